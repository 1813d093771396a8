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
async fn reader(mut far: impl AsyncRead + Unpin + 'static, length: usize) -> JoinHandle<Vec<u8>> {
    let reader = spawn_local(async move {
        let mut got = Vec::new();
        while got.len() < length {
            let mut buffer = [0; 64];
            let count = far.read(&mut buffer).await.unwrap();
            got.extend_from_slice(&buffer[..count]);
        }
        got
    });
    yield_now().await;
    reader
}

#[test]
fn what_follows_a_message_with_descriptors_is_read() {
    on_both(|| async {
        let (near, far) = UnixStream::pair().unwrap();
        let reader = reader(far, 11).await;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [near.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let parts = [IoSlice::new(b"with")];
        sendmsg(&near, &parts, &mut control, SendFlags::empty()).unwrap();
        send(&near, b"without", SendFlags::empty()).unwrap();
        assert_eq!(reader.await.unwrap(), b"withwithout");
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
