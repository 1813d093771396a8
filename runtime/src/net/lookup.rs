//! From what people write to socket addresses.
//!
//! An address that is already one is used as it is. A name is looked up by the system's resolver,
//! which blocks, and so not on the event loop's thread. Next: `socket.rs`.

use crate::blocking::spawn_blocking;
use std::io;
use std::net::ToSocketAddrs as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Whatever names one or more socket addresses: an address, `(host, port)`, `"host:port"`.
///
/// As std's trait of the same name, but a host name does not block the thread: the lookup is done
/// on the runtime's pool of blocking threads. Sealed: implemented here only.
pub trait ToSocketAddrs: sealed::Resolve {}

impl<T: sealed::Resolve + ?Sized> ToSocketAddrs for T {}

/// The addresses, or the name that they must be looked up under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Known(Vec<SocketAddr>),
    Named(String, u16),
}

mod sealed {
    use super::Target;
    use std::io;

    pub trait Resolve {
        fn target(&self) -> io::Result<Target>;
    }
}

/// All addresses of `target`, in the order to try them.
///
/// For those who want more than the first that answers, such as a time limit for each; others
/// leave it to [`TcpStream::connect`](super::TcpStream::connect).
///
/// # Errors
/// Those of the resolver, and `InvalidInput` for what is not an address with a port.
///
/// # Cancellation
/// The resolver cannot be stopped: it goes on, on its own thread, and its answer is dropped.
///
/// # Example
/// ```
/// # fn main() -> std::io::Result<()> {
/// let addresses = tatkal::block_on(tatkal::net::lookup(("localhost", 80)))?;
/// assert!(addresses.iter().all(|address| address.port() == 80));
/// # Ok(())
/// # }
/// ```
pub async fn lookup(target: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    match target.target()? {
        Target::Known(addresses) => Ok(addresses),
        Target::Named(host, port) => {
            let resolve = move || Ok((&*host, port).to_socket_addrs()?.collect());
            spawn_blocking(resolve).await.map_err(io::Error::other)?
        }
    }
}

/// What an empty list of addresses is told.
pub(super) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the name stands for no address at all",
    )
}

/// An IP address is no name.
fn host(host: &str, port: u16) -> Target {
    match host.parse::<IpAddr>() {
        Ok(ip) => Target::Known(vec![SocketAddr::new(ip, port)]),
        Err(_) => Target::Named(host.to_owned(), port),
    }
}

impl sealed::Resolve for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(address) = self.parse() {
            return Ok(Target::Known(vec![address]));
        }
        let invalid = |what| {
            let message = format!("{what} in the socket address {self:?}");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        };
        let (name, port) = self.rsplit_once(':').ok_or_else(|| invalid("no port"))?;
        let port = port.parse().map_err(|_| invalid("no valid port"))?;
        Ok(host(name, port))
    }
}

impl sealed::Resolve for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl sealed::Resolve for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        Ok(host(self.0, self.1))
    }
}

impl sealed::Resolve for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        Ok(host(&self.0, self.1))
    }
}

impl sealed::Resolve for [SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Known(self.to_vec()))
    }
}

impl<T: sealed::Resolve + ?Sized> sealed::Resolve for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

/// What turns into one address by itself.
macro_rules! known {
    ($($address:ty),*) => {$(
        impl sealed::Resolve for $address {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::Known(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

known!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use sealed::Resolve;

    #[test]
    fn addresses_need_no_lookup_and_names_do() {
        let known = |text: &str| Target::Known(vec![text.parse().unwrap()]);
        for (target, expected) in [
            ("127.0.0.1:80".target(), known("127.0.0.1:80")),
            ("[::1]:80".target(), known("[::1]:80")),
            (("::1", 80).target(), known("[::1]:80")),
            ((Ipv4Addr::LOCALHOST, 80).target(), known("127.0.0.1:80")),
            (
                "localhost:80".target(),
                Target::Named("localhost".into(), 80),
            ),
            (
                ("a.example", 1).target(),
                Target::Named("a.example".into(), 1),
            ),
        ] {
            assert_eq!(target.unwrap(), expected);
        }
        for wrong in ["localhost", "localhost:http", "localhost:70000", ""] {
            let error = wrong.target().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{wrong:?}");
        }
    }
}
