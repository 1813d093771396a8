//! A stream's read that brings less than there was room for says that nothing is left, as a rule. A
//! message with descriptors, and a byte out of band, end a read early: what comes after is read too.

mod common;

use common::{on_both, pair};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use tatkal::net::UnixStream;
use tatkal::{JoinHandle, spawn_local, yield_now};

/// A task that waits for bytes already, and reads so many.
async fn reader(far: impl AsyncRead + Unpin + 'static, length: usize) -> JoinHandle<Vec<u8>> {
    reader_of_messages(far, 0, length).await
}

/// The same; to begin with, so many with a buffer for one at a time.
async fn reader_of_messages(
    mut far: impl AsyncRead + Unpin + 'static,
    singly: usize,
    length: usize,
) -> JoinHandle<Vec<u8>> {
    let reader = spawn_local(async move {
        let mut got = Vec::new();
        while got.len() < length {
            let mut buffer = [0; 64];
            let room = if got.len() < singly { 1 } else { 64 };
            let count = far.read(&mut buffer[..room]).await.unwrap();
            got.extend_from_slice(&buffer[..count]);
        }
        got
    });
    yield_now().await;
    reader
}

fn send_with_a_descriptor(near: &UnixStream, bytes: &[u8]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [near.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(
        near,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::empty(),
    )
    .unwrap();
}

#[test]
fn what_follows_a_message_with_descriptors_is_read() {
    on_both(|| async {
        let (near, far) = UnixStream::pair().unwrap();
        let reader = reader(far, 11).await;
        send_with_a_descriptor(&near, b"with");
        send(&near, b"without", SendFlags::empty()).unwrap();
        assert_eq!(reader.await.unwrap(), b"withwithout");
    });
}

/// Reads that fill their buffers are made in another way, and the first that does not is, too.
#[test]
fn what_follows_a_message_with_descriptors_is_read_after_reads_that_filled_their_buffers() {
    on_both(|| async {
        let (near, far) = UnixStream::pair().unwrap();
        let reader = reader_of_messages(far, 3, 14).await;
        send(&near, b"one", SendFlags::empty()).unwrap();
        yield_now().await;
        send_with_a_descriptor(&near, b"with");
        send(&near, b"without", SendFlags::empty()).unwrap();
        assert_eq!(reader.await.unwrap(), b"onewithwithout");
    });
}

#[test]
fn what_follows_a_byte_out_of_band_is_read() {
    on_both(|| async {
        let (mut near, far) = pair().await;
        let reader = reader(far, 11).await;
        near.write_all(b"before").await.unwrap();
        send(&near, b"!", SendFlags::OOB).unwrap();
        near.write_all(b"after").await.unwrap();
        assert_eq!(reader.await.unwrap(), b"beforeafter");
    });
}
