//! One connection, from the first byte to the last.
//!
//! ```text
//!          +---------------------------------------------------------------+
//!          v                                                               |
//!     next_head --request--> fate: wait --> route, or 418 --> send --keep--+
//!       |    |                                                 |
//!       |    +--refused, or too slow--> 4xx, 505 --> send      | close
//!       |                                              |       v
//!       +--no more, or idle for too long---------------+---> linger
//! ```
//!
//! Owns      the stream, and a buffer that holds what was read and not yet understood: less than a head
//!           plus one read. The requests of a client that does not wait for answers (pipelining) stay
//!           there, and are answered one after another.
//! Holds     every wait for the client ends after `patience`, whatever the client does or fails to do;
//!           the last answer is not lost to bytes that nobody read (see `linger`).
//! Transport anything that reads and writes; time is whatever the `sleep` that is passed in measures.

use super::answer::{Answer, Status};
use super::config::Config;
use super::fate::Fate;
use super::request::{MAX_HEAD, Request, parse};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::{or, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::future::Future;
use std::io;
use std::time::Duration;

/// How many bytes one read asks for: a usual head in one go.
const READ: usize = 2 * 1024;

/// For how many bytes a connection is listened to after its last answer.
const LINGER_BYTES: usize = 1024 * 1024;

/// Answers requests until the client has no more, leaves, or breaks the rules.
///
/// `sleep` makes a future that is ready after the given time. It is used for the delay of each answer and
/// for the limits on the client's silence.
///
/// # Errors
/// Those of the stream: a client that leaves in the middle is one of them, and no fault of the server's.
///
/// # Cancellation
/// Dropping the future drops the stream, and so closes the connection at once.
pub async fn serve_connection<S, F>(
    mut stream: S,
    config: &Config,
    sleep: impl Fn(Duration) -> F,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = ()>,
{
    let mut buffer = Vec::new();
    loop {
        let patience = sleep(config.patience);
        let head = match within(patience, next_head(&mut stream, &mut buffer)).await {
            Some(head) => head?,
            None if buffer.is_empty() => Head::None, // idle, not slow
            None => Head::Refused(Status::RequestTimeout),
        };
        let (answer, request) = match head {
            Head::Request(request) => {
                let fate = Fate::of(&request.target, config);
                sleep(fate.delay).await;
                let answer = match fate.fails {
                    true => Answer::with(Status::Teapot),
                    false => Answer::to(request.path()),
                };
                (answer, request)
            }
            Head::Refused(status) => (Answer::with(status), Request::UNREADABLE),
            Head::None => break,
        };
        let bytes = answer.bytes(request.head_only, request.keep_alive);
        match within(sleep(config.patience), stream.write_all(&bytes)).await {
            Some(written) => written?,
            None => return Err(io::ErrorKind::TimedOut.into()),
        }
        if !request.keep_alive {
            break;
        }
        // A client that sends faster than it is answered must not keep the thread from the others.
        yield_now().await;
    }
    within(sleep(config.patience), linger(stream))
        .await
        .unwrap_or(Ok(()))
}

enum Head {
    Request(Request),
    Refused(Status),
    /// The client has ended, between two requests.
    None,
}

/// Takes the next head off the buffer, reading as much as it needs. What was read stays in the buffer when
/// the future is dropped.
async fn next_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<Head> {
    loop {
        match parse(buffer) {
            Ok(Some((request, length))) => {
                buffer.drain(..length);
                return Ok(Head::Request(request));
            }
            Err(status) => return Ok(Head::Refused(status)),
            Ok(None) => debug_assert!(buffer.len() < MAX_HEAD),
        }
        let mut bytes = [0; READ];
        match stream.read(&mut bytes).await? {
            0 if buffer.is_empty() => return Ok(Head::None),
            0 => return Ok(Head::Refused(Status::BadRequest)),
            count => buffer.extend_from_slice(&bytes[..count]),
        }
    }
}

/// Ends the answers, then reads on until the client ends too. Closing a socket with unread bytes in it
/// would send a reset, and a reset overtakes the answer on its way: the client of a refused request would
/// see "connection reset" in place of the reason. RFC 9112, 9.6.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.close().await?;
    let mut bytes = [0; READ];
    let mut total = 0;
    while total < LINGER_BYTES {
        match stream.read(&mut bytes).await? {
            0 => break,
            count => total += count,
        }
    }
    Ok(())
}

/// What the future gives, or `None` if the limit is over first. The future is asked first: an answer that
/// is there counts, however late the question.
async fn within<T>(limit: impl Future<Output = ()>, future: impl Future<Output = T>) -> Option<T> {
    let limit = async {
        limit.await;
        None
    };
    or(async { Some(future.await) }, limit).await
}

#[cfg(test)]
mod tests;
