//! The system calls of the process pool that concern processes: who they are, how they end, what
//! signals mean to them, what they have open.
//!
//! Source    the man pages of each call; execve(2) for what becomes of signals. Next: `pages.rs`.

use super::retry;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// This process.
pub(in crate::pool::process) fn own_pid() -> libc::pid_t {
    // SAFETY: getpid only returns a number.
    unsafe { libc::getpid() }
}

/// The CPU that this thread is on, which may be another one by now.
pub(in crate::pool::process) fn current_cpu() -> u32 {
    // SAFETY: sched_getcpu only returns a number.
    unsafe { libc::sched_getcpu() }.cast_unsigned()
}

/// The parent process; changes when it dies.
pub(in crate::pool::process) fn parent_pid() -> libc::pid_t {
    // SAFETY: getppid only returns a number.
    unsafe { libc::getppid() }
}

/// Sends a signal to a child that this process has not reaped yet (so the pid is still its own).
pub(in crate::pool::process) fn kill(pid: libc::pid_t, signal: libc::c_int) {
    // SAFETY: no memory is involved. The only failures: it is dead already, or no such signal.
    unsafe { libc::kill(pid, signal) };
}

/// A descriptor that names a child that this process has not reaped yet. It names that process and
/// no other for ever, whoever holds it, and is readable once the process is dead.
pub(in crate::pool::process) fn process_descriptor(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no memory; the descriptor is new (and close-on-exec) and owned by
    // nobody else.
    unsafe {
        let fd = retry(|| libc::syscall(libc::SYS_pidfd_open, pid, 0) as isize)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Sends a signal to the process that a [`process_descriptor`] names, if it still lives.
pub(in crate::pool::process) fn signal(process: &OwnedFd, signal: libc::c_int) {
    let (fd, nothing) = (process.as_raw_fd(), ptr::null::<libc::siginfo_t>());
    // SAFETY: no memory is involved. The only failure: it is dead already.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, nothing, 0) };
}

/// Waits for a child (or any, for -1) to die and returns its pid, its raw status, and the CPU time
/// that it and the children it had waited for have used. With `wait` false
/// it may return 0 as the pid: nobody has died.
pub(in crate::pool::process) fn wait_for_child(
    pid: libc::pid_t,
    wait: bool,
) -> io::Result<(libc::pid_t, libc::c_int, Duration)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let flags = if wait { 0 } else { libc::WNOHANG };
    // SAFETY: status and usage live on the stack for the whole call.
    let dead =
        retry(|| unsafe { libc::wait4(pid, &mut status, flags, usage.as_mut_ptr()) as isize })?;
    // SAFETY: all zero is valid, and so is what the call may have written.
    let usage = unsafe { usage.assume_init() };
    let cpu_time = duration(usage.ru_utime) + duration(usage.ru_stime);
    Ok((dead as libc::pid_t, status, cpu_time))
}

fn duration(time: libc::timeval) -> Duration {
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
}

/// Ties this process to its parent: when the parent dies, the kernel kills this one too.
///
/// The parent may have died just before the call, so its pid is checked after it.
pub(in crate::pool::process) fn die_with_parent(parent: libc::pid_t) {
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if parent_pid() != parent {
        exit_now(0);
    }
}

/// Names this process, as `ps` and `top` show it.
pub(in crate::pool::process) fn set_name(name: &CStr) {
    // SAFETY: the name ends in a NUL; the kernel copies at most 16 bytes of it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Leaves at once: no exit handlers, no destructors, no flush of inherited buffers.
pub(in crate::pool::process) fn exit_now(code: libc::c_int) -> ! {
    // SAFETY: _exit is always allowed.
    unsafe { libc::_exit(code) }
}

/// Every signal, or none.
fn signal_set(full: bool) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: both calls initialise the set.
    unsafe {
        if full {
            libc::sigfillset(set.as_mut_ptr());
        } else {
            libc::sigemptyset(set.as_mut_ptr());
        }
        set.assume_init()
    }
}

/// Blocks every signal (those that can be) in this thread and returns the mask as it was.
pub(in crate::pool::process) fn block_signals() -> libc::sigset_t {
    set_signal_mask(&signal_set(true))
}

/// Lets every signal through to this thread.
pub(in crate::pool::process) fn unblock_signals() {
    set_signal_mask(&signal_set(false));
}

/// Replaces this thread's signal mask and returns the one before.
pub(in crate::pool::process) fn set_signal_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    let mut before = signal_set(false);
    // SAFETY: both sets are initialised and live for the whole call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, &mut before) };
    before
}

/// Sets a signal to `SIG_DFL` or `SIG_IGN`.
pub(in crate::pool::process) fn set_signal(signal: libc::c_int, action: libc::sighandler_t) {
    // SAFETY: the two constants install no code. Failure: the signal cannot be changed.
    unsafe { libc::signal(signal, action) };
}

/// Puts every signal that has a handler back to its default and leaves ignored ones ignored: the
/// rule of execve(2). An inherited handler would act on what it shares with the parent (the
/// self-pipe of an event loop, say) in the parent's place.
///
/// SIGSEGV and SIGBUS keep theirs: std's handler, which tells a stack overflow from other faults.
pub(in crate::pool::process) fn reset_signal_handlers() {
    for signal in 1..=libc::SIGRTMAX() {
        if signal == libc::SIGSEGV || signal == libc::SIGBUS {
            continue;
        }
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the call only fills `action`, and all zero (left when it fails) is valid too.
        let action = unsafe {
            libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
            action.assume_init()
        };
        if action.sa_sigaction != libc::SIG_IGN && action.sa_sigaction != libc::SIG_DFL {
            set_signal(signal, libc::SIG_DFL);
        }
    }
}

/// A descriptor that becomes readable when a child dies. SIGCHLD must be blocked.
pub(in crate::pool::process) fn child_signals() -> io::Result<OwnedFd> {
    let mut set = signal_set(false);
    // SAFETY: the set is initialised; the descriptor is new and owned by nobody else.
    unsafe {
        libc::sigaddset(&mut set, libc::SIGCHLD);
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        let fd = retry(|| libc::signalfd(-1, &set, flags) as isize)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// The number of threads of this process.
pub(in crate::pool::process) fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Puts `/dev/null` in the place of every open descriptor except `keep` and the standard three,
/// and of those three where they are closed.
///
/// Not closed: a static of the program may own such a descriptor, and its number must never come
/// to name a stranger's file (that is what I/O safety means). What stood behind the number is let
/// go all the same: nobody waits in vain for a pipe's end because this process holds it.
///
/// Only a number that this process may not have any more, its limit having been lowered after the
/// file was opened, is closed: as long as the limit stands, nothing else can get it.
pub(in crate::pool::process) fn plug_descriptors(keep: &OwnedFd) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let mut numbers = vec![0, 1, 2];
    for entry in std::fs::read_dir("/proc/self/fd")? {
        numbers.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<RawFd>().ok()),
        );
    }
    for fd in numbers {
        // SAFETY: F_GETFD only asks.
        let open = unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1;
        let standard = fd <= libc::STDERR_FILENO;
        if open == standard || fd == keep.as_raw_fd() || fd == null.as_raw_fd() {
            continue;
        }
        let flags = if standard { 0 } else { libc::O_CLOEXEC };
        // SAFETY: whoever owned the number goes on owning it; only what is behind it changes.
        let plugged = retry(|| unsafe { libc::dup3(null.as_raw_fd(), fd, flags) as isize });
        match plugged {
            // Both of dup3's descriptors are open, so it means: past the limit.
            Err(error) if error.raw_os_error() == Some(libc::EBADF) && !standard => {
                // SAFETY: whoever owned the number finds it closed and, past the limit, free.
                unsafe { libc::close(fd) };
            }
            plugged => drop(plugged?),
        }
    }
    Ok(())
}

/// How much address space this process has mapped, in bytes.
pub(in crate::pool::process) fn address_space() -> io::Result<u64> {
    statm("self", 0)
}

/// One of the numbers of proc(5)'s `statm`, in bytes.
fn statm(pid: &str, index: usize) -> io::Result<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm
        .split_whitespace()
        .nth(index)
        .and_then(|pages| pages.parse::<u64>().ok());
    // SAFETY: sysconf only returns a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    match (pages, u64::try_from(page)) {
        (Some(pages), Ok(page)) => Ok(pages * page),
        _ => Err(io::Error::other("/proc/PID/statm is not as it was")),
    }
}

/// The CPU time that this process has used, all its threads together, as RLIMIT_CPU counts it: by
/// ticks. (What getrusage tells is measured, and may be far from it where CPUs are shared.)
pub(in crate::pool::process) fn cpu_time() -> Duration {
    // A process's clocks have negative numbers: its pid, inverted (0: our own), and in the three
    // lowest bits which one. 0 is this one; it has no name in C.
    const TICKS: libc::clockid_t = !0 << 3;
    read_clock(TICKS)
}

/// The CPU time and the resident memory (bytes) of a process, if it is a child of `parent`. (Its pid
/// may be a stranger's by now: one that was not checked after the look would be believed.)
pub(in crate::pool::process) fn usage_of(pid: u32, parent: u32) -> Option<(Duration, u64)> {
    // As in `cpu_time`; 2 is the measured one, and any process may read it.
    let clock = !libc::pid_t::try_from(pid).ok()? << 3 | 2;
    let (pid, cpu_time) = (pid.to_string(), read_clock(clock));
    let rss_bytes = statm(&pid, 1).ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain anything, so what counts comes after its last parenthesis.
    let mut words = stat.rsplit(')').next()?.split_whitespace();
    (words.nth(1)? == parent.to_string()).then_some((cpu_time, rss_bytes))
}

/// The machine's clock, in nanoseconds: the same in all its processes, and never set.
pub(in crate::pool::process) fn now_ns() -> u64 {
    u64::try_from(read_clock(libc::CLOCK_MONOTONIC).as_nanos()).unwrap_or(u64::MAX)
}

fn read_clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time lives on the stack for the whole call, and stays zero when that fails.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Sets a limit that the kernel enforces, for good: no more of it than `most`.
pub(in crate::pool::process) fn lower_limit(resource: libc::__rlimit_resource_t, most: u64) {
    if let Some(mut limit) = limit(resource) {
        limit.rlim_max = limit.rlim_max.min(most);
        limit.rlim_cur = limit.rlim_cur.min(limit.rlim_max);
        set_limit(resource, limit);
    }
}

/// Sets a limit that the kernel reminds of with a signal, and that can be raised again.
pub(in crate::pool::process) fn set_soft_limit(resource: libc::__rlimit_resource_t, most: u64) {
    if let Some(mut limit) = limit(resource) {
        limit.rlim_cur = limit.rlim_max.min(most);
        set_limit(resource, limit);
    }
}

fn limit(resource: libc::__rlimit_resource_t) -> Option<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit lives on the stack for the whole call.
    let answer = unsafe { libc::getrlimit(resource, &mut limit) };
    (answer == 0).then_some(limit)
}

/// Its failure: the limit is no lower than it was before.
fn set_limit(resource: libc::__rlimit_resource_t, limit: libc::rlimit) {
    // SAFETY: the limit lives on the stack for the whole call, which only reads it.
    unsafe { libc::setrlimit(resource, &limit) };
}
