//! `ForkServer`: how a program starts its fork server, finds it, and ends it.
//!
//! ```text
//!   ForkServer::start ── one thread? ── fork ──> server.rs
//!   ProcessPool       ── attach ── a line of its own to the server
//!   exit of the program (main returns, process::exit) ── stop: end the line, wait, reap
//! ```
//!
//! Owns      the one static that remembers the server: its pid, the program's line to it, and which
//!           process started it (a copy made by somebody's own `fork` must not use it).
//! Holds     F1 the fork happens only while the process has one thread; F2 the server is reaped:
//!           by `stop` at exit, or, when it died before, by whoever notices; F3 no lock of ours is
//!           held across the fork, or a worker that starts a server of its own would wait for it.
//!
//! Why the server is a plain child and not a daemon (forked twice, so that init reaps it): in a
//! container process 1 is often a program that reaps nobody, and every run would leave a zombie.
//! This way a run that ends by itself leaves nothing, and waits for that. The price: a program that
//! calls `waitpid(-1)` sees a child that it did not start.
//!
//! Source    CPython's forkserver (`ensure_running`). Next: `policy.rs`.

use super::control::{self, Request};
use super::image::Images;
use super::server::{self, Charter};
use super::sys;
use crate::block_on::is_entered;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once};
use std::time::Duration;

/// How long the exit of the program waits for the server to kill and reap its workers before it
/// kills the server. The server needs milliseconds; more means that somebody stopped it.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The process from which a program's worker processes are forked.
///
/// A process with threads cannot fork safely: the child would have one thread, and locks held by
/// the others for ever. So a small server process is forked early, while there is one thread, and
/// every [`ProcessPool`](super::ProcessPool) made later, at any time and from any thread, gets its
/// workers from there.
///
/// # What the workers see
/// A copy of the program *as it was when the server started*: statics, environment variables,
/// working directory, ignored signals. Later changes in the program do not reach them, and theirs
/// do not reach the program. Of the open files they have stdin, and a stdout and a stderr of their own
/// ([what is printed there](crate::docs::process_pool#what-workers-print)); a static that
/// holds any other finds `/dev/null` in its place. A lock that the calling thread holds during
/// `start` is locked for ever in every worker. So the first line of `main` is the place to call it.
///
/// # How it ends
/// With the program, however that ends: at a normal exit the program waits until server and
/// workers are gone; should it be killed, the kernel takes them along.
///
/// The server is a child process of the program: `waitpid(-1)` may return its pid. A program that
/// forks by itself can use neither server nor pools in its child; it can start a new server there.
///
/// # Example
/// ```
/// use tatkal_executor::{ForkServer, ProcessPool};
///
/// fn main() -> std::io::Result<()> {
///     ForkServer::start()?; // before any thread
///     let lengths = std::thread::spawn(|| {
///         let pool = ProcessPool::new(2)?; // any time, from any thread
///         let handle = pool.submit(|word: String| word.len(), "tatkal".to_owned());
///         std::io::Result::Ok(handle.join().unwrap())
///     });
///     assert_eq!(lengths.join().unwrap()?, 6);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkServer {
    pid: libc::pid_t,
}

/// A server that was started.
struct Running {
    pid: libc::pid_t,
    /// The process whose server it is.
    program: libc::pid_t,
    line: OwnedFd,
    images: Images,
}

static SERVER: Mutex<Option<Running>> = Mutex::new(None);

/// Has a server of ours died before its time? Relaxed: it only chooses the words of an error.
static LOST: AtomicBool = AtomicBool::new(false);

fn lock() -> MutexGuard<'static, Option<Running>> {
    SERVER
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl ForkServer {
    /// Starts the fork server, or finds it running.
    ///
    /// Call it as the first line of `main`. Takes about as long as a `fork`.
    ///
    /// # Errors
    /// Unless the server is running already: when the process has more than one thread; when it
    /// runs an executor on this one, of which every worker would have a dead copy; or when the
    /// system refuses a process or a descriptor. Without `/proc` the threads cannot be counted, and
    /// that is an error too.
    pub fn start() -> io::Result<ForkServer> {
        if let Some(server) = Self::find() {
            return Ok(server);
        }
        let obstacle = match sys::thread_count()? {
            1 if is_entered() => "this one runs an executor".to_owned(),
            1 => return start_server(),
            threads => format!("there are {threads}"),
        };
        let when = "while the process has one thread without an executor";
        Err(io::Error::other(match LOST.load(Ordering::Relaxed) {
            true => format!("the fork server is gone; a new one must start {when}, and {obstacle}"),
            false => format!(
                "the fork server must start {when}, and {obstacle}: call ForkServer::start() as \
                 the first line of main"
            ),
        }))
    }

    /// The server, if this process has started one and it is alive.
    pub fn find() -> Option<ForkServer> {
        let mut server = lock();
        forget_if_gone(&mut server);
        server.as_ref().map(|server| ForkServer { pid: server.pid })
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }
}

/// A pool's connection to the server.
pub(super) struct Attachment {
    pub(super) line: OwnedFd,
    pub(super) images: Images,
}

/// Gives the server a line to a new pool.
pub(super) fn attach() -> io::Result<Attachment> {
    let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET)?;
    let mut server = lock();
    forget_if_gone(&mut server);
    let server = server.as_ref().ok_or_else(gone)?;
    control::send(&server.line, Request::Attach, &[theirs.as_fd()])?;
    Ok(Attachment {
        line: ours,
        images: server.images.clone(),
    })
}

/// What a pool says when its line has ended.
pub(super) fn gone() -> io::Error {
    io::Error::other("the fork server is gone, and with it its workers; no new ones can be made")
}

/// F1: the caller has counted the threads, and there is no other thread that could make one.
fn start_server() -> io::Result<ForkServer> {
    let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET)?;
    let images = Images::now();
    let program = sys::own_pid();
    // What stands in a buffer now would be printed by every copy of it.
    io::stdout().flush()?;
    // SAFETY: a null stream means all of C's output streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    // Blocked across the fork, so that no signal finds the child before it is settled (S6).
    let mask = sys::block_signals();
    // SAFETY: one thread, so the child is whole and may run anything.
    let pid = match unsafe { libc::fork() } {
        0 => {
            drop(ours); // or the server would never read the end of its own line
            server::run(Charter {
                line: theirs,
                images,
                program,
                leave: stop,
            })
        }
        pid => pid,
    };
    let error = io::Error::last_os_error();
    sys::set_signal_mask(&mask);
    if pid == -1 {
        return Err(error);
    }
    static STOP_AT_EXIT: Once = Once::new();
    // SAFETY: `stop_at_exit` is a plain function that may run at any exit. (Where the list of such
    // functions is full, the server reads the end of its line when the program is gone.)
    STOP_AT_EXIT.call_once(|| unsafe {
        libc::atexit(stop_at_exit);
    });
    *lock() = Some(Running {
        pid,
        program,
        line: ours,
        images,
    });
    Ok(ForkServer { pid })
}

/// Forgets a server that has died, and reaps it (F2); and one that is our parent's and not ours.
fn forget_if_gone(server: &mut Option<Running>) {
    let foreign = |server: &mut Running| server.program != sys::own_pid();
    // Dropping closes our copy of the line, so that its owner's end can be noticed.
    drop(server.take_if(foreign));
    if let Some(dead) = server.take_if(|server| server.has_ended(Duration::ZERO)) {
        LOST.store(true, Ordering::Relaxed);
        dead.reap();
    }
}

extern "C" fn stop_at_exit() {
    stop();
}

/// Ends this process's server, if it has one, and waits until it is gone.
///
/// Runs at exit, where other threads may still be at work: their pools find the line ended.
pub(super) fn stop() {
    let mut server = lock();
    forget_if_gone(&mut server);
    if let Some(server) = server.take() {
        sys::shutdown_write(&server.line);
        if !server.has_ended(STOP_PATIENCE) {
            sys::kill(server.pid, libc::SIGKILL);
        }
        server.reap();
    }
}

/// By a pool whose line has ended: if the server is dead, let it be reaped now.
pub(super) fn note_end() {
    let mut server = lock();
    // A dying process closes its descriptors one after the other.
    if server
        .as_ref()
        .is_some_and(|server| server.has_ended(STOP_PATIENCE))
    {
        forget_if_gone(&mut server);
    }
}

impl Running {
    /// Has the other end of the line been closed, or is it within `limit`? It never sends.
    fn has_ended(&self, limit: Duration) -> bool {
        let mut line = [sys::interest(&self.line, libc::POLLIN)];
        sys::poll(&mut line, Some(limit)).is_ok_and(|ready| ready > 0)
    }

    /// Collects the dead server. It closed its line, so it is on its last steps: the wait is short.
    fn reap(self) {
        // The error: somebody else's waitpid(-1) has collected it already.
        let _ = sys::wait_for_child(self.pid, true);
    }
}
