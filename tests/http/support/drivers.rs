//! Both drivers behind one face; the async one on our runtime.

use std::time::Duration;

use tatkal::Runtime;
use workloads::http::tatkal_net::TatkalNet;
use workloads::http::{Config, Deadline, Error, Response, Url, blocking, client};

/// Long enough that only a hang reaches it.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

#[derive(Debug, Clone, Copy)]
pub enum Driver {
    Blocking,
    Async,
}

pub const DRIVERS: [Driver; 2] = [Driver::Blocking, Driver::Async];

impl Driver {
    pub fn client(self, config: Config) -> Client {
        match self {
            Driver::Blocking => Client::Blocking(blocking::Client::new(config)),
            Driver::Async => {
                let runtime = Runtime::new().unwrap();
                Client::Async(client::Client::new(config, TatkalNet), runtime)
            }
        }
    }
}

pub enum Client {
    Blocking(blocking::Client),
    // Declared in this order, the connections are closed before their runtime is.
    Async(client::Client<TatkalNet>, Runtime),
}

impl Client {
    pub fn get(&self, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        match self {
            Client::Blocking(client) => client.get(url, deadline),
            Client::Async(client, runtime) => runtime.block_on(client.get(url, deadline)),
        }
    }

    pub fn head(&self, url: &Url, deadline: Deadline) -> Result<Response, Error> {
        match self {
            Client::Blocking(client) => client.head(url, deadline),
            Client::Async(client, runtime) => runtime.block_on(client.head(url, deadline)),
        }
    }

    pub fn idle_connections(&self) -> usize {
        match self {
            Client::Blocking(client) => client.idle_connections(),
            Client::Async(client, _) => client.idle_connections(),
        }
    }
}
