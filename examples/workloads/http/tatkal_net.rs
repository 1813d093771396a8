//! The network of the async client: tatkal's sockets, timers and lookups.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tatkal::net::{TcpStream, lookup};

use super::client::Network;
use super::probe::read_now;

/// Tatkal's event loop, whichever the task that fetches runs on.
///
/// ```no_run
/// use std::time::Duration;
/// use workloads::http::{Config, Deadline, Url, client::Client, tatkal_net::TatkalNet};
///
/// tatkal::block_on(async {
///     let client = Client::new(Config::default(), TatkalNet);
///     let url = Url::parse("http://127.0.0.1:8080/flags/ye/ye.jpg")?;
///     let response = client.get(&url, Deadline::after(Duration::from_secs(3))).await?.ok()?;
///     println!("{} bytes", response.body.len());
///     Ok::<(), workloads::http::Error>(())
/// })?;
/// # Ok::<(), workloads::http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TatkalNet;

impl Network for TatkalNet {
    type Stream = TcpStream;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        lookup((host, port)).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // A request is written whole; waiting to fill a segment would only delay it.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn sleep_until(&self, instant: Instant) -> impl Future<Output = ()> {
        tatkal::sleep_until(instant)
    }

    fn read_now(&self, stream: &mut TcpStream, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        read_now(stream, buffer)
    }
}
