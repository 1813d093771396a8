//! Many connections at once all echo, and afterwards as many descriptors are open as before.
//! Alone in its file: it counts the descriptors of the process.

mod common;

use common::{BACKENDS, descriptors};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use tatkal::net::{TcpListener, TcpStream};
use tatkal::{Runtime, spawn_local};

const CONNECTIONS: usize = 500;

async fn echo_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = spawn_local(async move {
        let mut tasks = Vec::new();
        for _ in 0..CONNECTIONS {
            let (mut stream, _) = listener.accept().await.unwrap();
            tasks.push(spawn_local(async move {
                let (mut read, mut write) = stream.split();
                futures_lite::io::copy(&mut read, &mut write).await.unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            spawn_local(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                for round in 0..3 {
                    let sent = [n as u8, (n >> 8) as u8, round];
                    stream.write_all(&sent).await.unwrap();
                    let mut received = [0; 3];
                    stream.read_exact(&mut received).await.unwrap();
                    assert_eq!(received, sent);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    server.await.unwrap();
}

#[test]
fn five_hundred_connections_echo_and_leave_no_descriptor() {
    let before = descriptors();
    for backend in BACKENDS {
        let runtime = Runtime::builder().backend(backend).build().unwrap();
        runtime.block_on(echo_all());
        drop(runtime);
        assert_eq!(descriptors(), before, "{backend:?}");
    }
    // Also when tasks that own sockets are still alive.
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        spawn_local(async move { listener.accept().await.map(drop) }).detach();
        tatkal::yield_now().await;
    });
    drop(runtime);
    assert_eq!(descriptors(), before);
    // And with workers; a handle that outlives the runtime may keep the door, but no socket.
    for backend in BACKENDS {
        let builder = Runtime::builder().backend(backend).worker_threads(2);
        let runtime = builder.build().unwrap();
        let handle = runtime.handle();
        runtime
            .spawn(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                listener.accept().await.map(drop)
            })
            .detach();
        runtime.block_on(async { tatkal::sleep(std::time::Duration::from_millis(1)).await });
        drop(runtime);
        drop(handle);
        assert_eq!(descriptors(), before, "{backend:?}");
    }
}
