//! `LocalSet`: tasks that are not `Send` use the sockets and timers of a runtime with workers, and
//! never leave their thread.

mod common;

use common::{BACKENDS, pair};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;
use tatkal::net::{TcpListener, TcpStream};
use tatkal::{Backend, Handle, JoinSet, LocalSet, Runtime, sleep, spawn, spawn_local, timeout};

const MS: Duration = Duration::from_millis(1);

fn many(backend: Backend) -> Runtime {
    let builder = Runtime::builder().backend(backend).worker_threads(2);
    builder.build().unwrap()
}

/// Notes on which thread it is dropped.
struct Note(Arc<Mutex<Vec<ThreadId>>>);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(thread::current().id());
    }
}

#[test]
fn sockets_and_timers_work_and_the_tasks_stay_here() {
    for backend in BACKENDS {
        let runtime = many(backend);
        let local = LocalSet::new(&runtime.handle());
        let home = thread::current().id();
        local.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let served = Rc::new(Cell::new(0));
            let count = served.clone();
            let server = spawn_local(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let count = count.clone();
                    spawn_local(async move {
                        let mut byte = [0];
                        while stream.read_exact(&mut byte).await.is_ok() {
                            stream.write_all(&byte).await.unwrap();
                            count.set(count.get() + 1);
                            assert_eq!(thread::current().id(), home);
                        }
                    })
                    .detach();
                }
            });
            let mut clients = JoinSet::new();
            for n in 0..50 {
                let not_send = Rc::new([n]);
                clients.spawn_local(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    for _ in 0..10 {
                        stream.write_all(&*not_send).await.unwrap();
                        let mut back = [0];
                        stream.read_exact(&mut back).await.unwrap();
                        assert_eq!(back, *not_send);
                        sleep(MS).await;
                        assert_eq!(thread::current().id(), home);
                    }
                });
            }
            timeout(Duration::from_secs(60), clients.join_all())
                .await
                .unwrap();
            assert_eq!(served.get(), 500);
            server.abort();
        });
    }
}

#[test]
fn tasks_here_and_on_the_workers_talk_to_each_other() {
    let runtime = many(Backend::Mio);
    let local = LocalSet::new(&runtime.handle());
    let home = thread::current().id();
    local.block_on(async {
        let here = spawn(async { thread::current().id() });
        let there = Handle::current().spawn(async { thread::current().id() });
        assert_eq!(here.await.unwrap(), home, "`spawn` is local, too");
        assert_ne!(there.await.unwrap(), home);
        let (mut client, mut server) = pair().await;
        let there = Handle::current().spawn(async move {
            server.write_all(b"from a worker").await.unwrap();
        });
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "from a worker");
        there.await.unwrap();
    });
}

#[test]
fn tasks_wait_between_two_calls_and_go_with_the_set_on_this_thread() {
    let runtime = many(Backend::Mio);
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let local = LocalSet::new(&runtime.handle());
    let steps = Rc::new(RefCell::new(Vec::new()));
    let (note, log) = (Note(dropped.clone()), steps.clone());
    let (client, _server) = runtime.block_on(pair());
    local
        .spawn_local(async move {
            // Dropped with its socket, which needs the runtime for that.
            let _held = (note, client);
            for step in 0.. {
                log.borrow_mut().push(step);
                tatkal::yield_now().await;
            }
        })
        .detach();
    assert!(steps.borrow().is_empty(), "only inside `block_on`");
    let a_turn = || local.block_on(async { tatkal::yield_now().await });
    a_turn();
    let before = steps.borrow().len();
    assert!(before > 0);
    a_turn();
    assert!(steps.borrow().len() > before);
    assert_eq!(local.live_tasks(), 1);
    drop(local);
    assert_eq!(*dropped.lock().unwrap(), [thread::current().id()]);
}

#[test]
fn a_runtime_that_goes_first_fails_what_its_local_tasks_wait_for() {
    let runtime = many(Backend::Mio);
    let local = LocalSet::new(&runtime.handle());
    let (mut client, _server) = runtime.block_on(pair());
    let reading = local.spawn_local(async move { client.read(&mut [0]).await.map(drop) });
    local.block_on(async { tatkal::yield_now().await });
    drop(runtime);
    assert!(local.block_on(reading).unwrap().is_err());
}
