//! Connections, and those kept open between requests.
//!
//! Owns      the idle connections of one client. Whoever takes one owns it until it is put back;
//!           one that is not put back is closed by its drop.
//! Holds     at most so many per origin, and in all: a list, newest last. The newest is taken
//!           first, since it is the least likely to be closed by the server; the oldest gives way.
//! Locking   one mutex, held for a scan of the list and never across I/O or a drop (closing a
//!           socket is a system call, and a stream of a user's own may do anything).
//! Cost      a scan of at most `idle_total` entries.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::config::Config;
use super::session::Session;
use super::url::Origin;

/// A stream, where it leads, and its TLS state.
pub struct Connection<S> {
    /// The bytes' way; only the drivers touch it.
    pub stream: S,
    pub(super) origin: Origin,
    pub(super) session: Session,
}

/// Idle connections, shared by all requests of a client. `S` is the stream.
pub struct Pool<S> {
    idle: Mutex<Vec<Idle<S>>>,
}

struct Idle<S> {
    connection: Connection<S>,
    since: Instant,
}

impl<S> Pool<S> {
    /// An empty pool.
    pub fn new() -> Pool<S> {
        Pool {
            idle: Mutex::new(Vec::new()),
        }
    }

    /// The connection to `origin` that was put back last, unless it is too old.
    pub fn take(&self, origin: &Origin, config: &Config) -> Option<Connection<S>> {
        let (found, outlived) = {
            let mut idle = self.lock();
            let at = idle
                .iter()
                .rposition(|idle| idle.connection.origin == *origin)?;
            let found = idle.remove(at);
            let too_old = found.since.elapsed() > config.idle_age;
            // The list is sorted by age: all before it are too old as well.
            let outlived: Vec<_> = if too_old {
                idle.drain(..at).collect()
            } else {
                Vec::new()
            };
            (Some(found).filter(|_| !too_old), outlived)
        };
        drop(outlived);
        found.map(|idle| idle.connection)
    }

    /// Keeps `connection` for a later request, or closes it, or an older one for it.
    pub fn put(&self, connection: Connection<S>, config: &Config) {
        let limit = config.idle_per_origin.min(config.idle_total);
        if limit == 0 {
            return;
        }
        let now = Instant::now();
        let surplus = {
            let mut idle = self.lock();
            let same = |idle: &Idle<S>| idle.connection.origin == connection.origin;
            let siblings = idle.iter().filter(|idle| same(idle)).count();
            let surplus = if siblings >= limit {
                idle.iter().position(same).map(|at| idle.remove(at))
            } else if idle.len() >= config.idle_total {
                Some(idle.remove(0))
            } else {
                None
            };
            idle.push(Idle {
                connection,
                since: now,
            });
            surplus
        };
        drop(surplus);
    }

    /// How many connections are idle.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Is none idle?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No code that can panic runs under the lock, so poison says nothing.
    fn lock(&self) -> MutexGuard<'_, Vec<Idle<S>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Default for Pool<S> {
    fn default() -> Pool<S> {
        Pool::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::url::Url;
    use std::time::Duration;

    fn connection(host: &str, stream: u32) -> Connection<u32> {
        let origin = Url::parse(&format!("http://{host}/"))
            .unwrap()
            .origin()
            .clone();
        let session = Session::new(&origin, &Default::default()).unwrap();
        Connection {
            stream,
            origin,
            session,
        }
    }

    fn take(pool: &Pool<u32>, host: &str, config: &Config) -> Option<u32> {
        pool.take(&connection(host, 0).origin, config)
            .map(|connection| connection.stream)
    }

    #[test]
    fn the_newest_of_an_origin_is_taken_first_and_limits_drop_the_oldest() {
        let config = Config {
            idle_per_origin: 2,
            idle_total: 3,
            ..Config::default()
        };
        let pool = Pool::new();
        for (host, stream) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)] {
            pool.put(connection(host, stream), &config);
        }
        assert_eq!(pool.len(), 3);
        assert_eq!(take(&pool, "a", &config), Some(3), "1 and then 2 gave way");
        assert_eq!(take(&pool, "a", &config), None);
        assert_eq!(
            take(&pool, "a:81", &config),
            None,
            "the port is part of the origin"
        );
        assert_eq!(take(&pool, "b", &config), Some(5));
        assert_eq!(take(&pool, "b", &config), Some(4));
        assert!(pool.is_empty());
    }

    #[test]
    fn an_old_connection_is_closed_instead_of_used() {
        let config = Config {
            idle_age: Duration::ZERO,
            ..Config::default()
        };
        let pool = Pool::new();
        for (host, stream) in [("b", 1), ("a", 2), ("a", 3)] {
            pool.put(connection(host, stream), &config);
        }
        let put = Instant::now();
        while put.elapsed().is_zero() {} // the clock's next tick
        assert_eq!(take(&pool, "a", &config), None);
        assert!(pool.is_empty(), "nor those that are older");
    }

    #[test]
    fn a_limit_of_zero_keeps_nothing() {
        let config = Config {
            idle_per_origin: 0,
            ..Config::default()
        };
        let pool = Pool::new();
        pool.put(connection("a", 1), &config);
        assert!(pool.is_empty());
    }
}
