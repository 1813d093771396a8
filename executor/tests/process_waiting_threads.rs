//! Threads that wait for jobs take the answers in themselves: nobody else is forgotten over it.

mod support;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use support::{kill, nap, naps, pool, until};
use tatkal_executor::{ProcessPool, Shutdown, Until, as_completed, wait};

tests![
    a_worker_that_is_made_while_a_thread_waits_is_heard,
    shutdown_waits_until_every_handle_is_told,
    whoever_waits_for_many_takes_the_answers_in,
    a_worker_with_nothing_to_do_takes_no_cpu_time,
    a_decoder_that_submits_is_never_inside_itself,
];

/// The state of a thread of this program, as proc(5) has it.
fn is_asleep(thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    let state = stat.rsplit(')').next().unwrap();
    state.trim_start().starts_with('S')
}

fn own_thread() -> i32 {
    // SAFETY: gettid only returns a number.
    unsafe { libc::gettid() }
}

fn a_worker_that_is_made_while_a_thread_waits_is_heard() {
    let pool = pool(2);
    let long = pool.submit(nap, 600);
    let aborter = long.abort_handle();
    until("its worker", || pool.worker_pids().len() == 1);
    let (tell, told) = mpsc::channel();
    let waiter = thread::spawn(move || {
        tell.send(own_thread()).unwrap();
        long.join()
    });
    let thread = told.recv().unwrap();
    until("the wait", || is_asleep(thread));
    // On a worker that the waiting thread has not seen: the second answer is heard as the first.
    for number in 0..10_u32 {
        let result = pool.submit(|number: u32| number + 1, number).join();
        assert_eq!(result.unwrap(), number + 1);
    }
    aborter.abort();
    waiter.join().unwrap().unwrap_err();
}

/// A result whose decoder says that it has begun, and waits to be let go on.
#[derive(Debug)]
struct Slow;

static DECODING: AtomicBool = AtomicBool::new(false);
static GO_ON: AtomicBool = AtomicBool::new(false);

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODING.store(true, Ordering::SeqCst);
        until("leave to go on", || GO_ON.load(Ordering::SeqCst));
        match u8::deserialize(deserializer)? {
            1 => Ok(Slow),
            other => Err(D::Error::custom(other)),
        }
    }
}

fn shutdown_waits_until_every_handle_is_told() {
    let pool = pool(2);
    // The thread that waits for this one decodes the other one's result.
    let waited_for = pool.submit(nap, 600);
    let aborter = waited_for.abort_handle();
    pool.submit(|(): ()| (), ()).join().unwrap();
    until("two workers", || pool.worker_pids().len() == 2);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            tell.send(own_thread()).unwrap();
            waited_for.join().unwrap_err()
        });
        let thread = told.recv().unwrap();
        until("the wait", || is_asleep(thread));
        let slow = pool.submit(|(): ()| Slow, ());
        until("the decoder", || DECODING.load(Ordering::SeqCst));
        aborter.abort();
        let end = scope.spawn(|| pool.shutdown(Shutdown::finish()));
        until("no worker", || pool.worker_pids().is_empty());
        // Time for a shutdown that does not wait to return.
        scope.spawn(|| {
            thread::sleep(std::time::Duration::from_millis(300));
            GO_ON.store(true, Ordering::SeqCst);
        });
        end.join().unwrap();
        assert!(slow.is_finished());
    });
}

/// A result that notes which thread decodes it.
#[derive(Debug)]
struct Traced;

static DECODER: AtomicI32 = AtomicI32::new(0);

impl Serialize for Traced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Traced {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODER.store(own_thread(), Ordering::SeqCst);
        <()>::deserialize(deserializer).map(|()| Traced)
    }
}

/// Lasts until its worker gets SIGUSR1.
fn until_told(_: ()) -> Traced {
    // SAFETY: both sets are initialised before they are used, and live for the calls.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        libc::prctl(libc::PR_SET_NAME, c"napping".as_ptr());
        let mut signal = 0;
        libc::sigwait(&set, &mut signal);
    }
    Traced
}

fn whoever_waits_for_many_takes_the_answers_in() {
    type Handles = Vec<tatkal_executor::JoinHandle<Traced>>;
    let ways: [fn(Handles); 4] = [
        |mut handles| drop(wait(&mut handles, Until::All).join()),
        |mut handles| {
            let limit = std::time::Duration::from_secs(60);
            drop(wait(&mut handles, Until::First).join_timeout(limit));
        },
        |handles| assert_eq!(as_completed(handles).count(), 1),
        |handles| handles.into_iter().for_each(|it| drop(it.join())),
    ];
    for wait in ways {
        let pool = pool(1);
        let handles = vec![pool.submit(until_told, ())];
        until("the worker", || !pool.worker_pids().is_empty());
        let worker = pool.worker_pids()[0];
        until("the job", || naps(worker));
        let (tell, told) = mpsc::channel();
        let waiter = thread::spawn(move || {
            tell.send(own_thread()).unwrap();
            wait(handles);
        });
        let thread = told.recv().unwrap();
        until("the wait", || is_asleep(thread));
        kill(worker, libc::SIGUSR1);
        waiter.join().unwrap();
        assert_eq!(DECODER.load(Ordering::SeqCst), thread);
    }
}

fn allowed_cpus() -> Vec<usize> {
    // SAFETY: the set is plain data, and lives for the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        let all = 0..libc::CPU_SETSIZE as usize;
        all.filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect()
    }
}

/// Has this thread run on these CPUs only.
fn run_on(cpus: Vec<usize>) {
    // SAFETY: as above.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        cpus.iter().for_each(|cpu| libc::CPU_SET(*cpu, &mut set));
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// However quickly jobs have come: it looks on for a moment, and sleeps.
fn a_worker_with_nothing_to_do_takes_no_cpu_time() {
    let pool = pool(1);
    // On two CPUs, if there are: there it looks on.
    let cpus = allowed_cpus();
    pool.submit(run_on, vec![cpus[0]]).join().unwrap();
    run_on(cpus[cpus.len() - 1..].to_vec());
    for n in 0..2_000_u32 {
        assert_eq!(pool.submit(|n: u32| n, n).join().unwrap(), n);
    }
    run_on(cpus);
    let cpu_time = || pool.metrics().workers[0].work.cpu_time;
    let before = cpu_time();
    thread::sleep(std::time::Duration::from_millis(500)); // in which it could take as much
    let taken = cpu_time() - before;
    assert!(taken < std::time::Duration::from_millis(50), "{taken:?}");
}

static CHAIN: OnceLock<ProcessPool> = OnceLock::new();
static DECODED: AtomicU32 = AtomicU32::new(0);
static DEEPEST: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

fn submit_next(left: u32) {
    let handle = CHAIN.get().unwrap().submit(|left: u32| Next(left), left);
    handle.detach();
}

/// A result whose decoder submits the next job of a chain.
struct Next(u32);

impl Serialize for Next {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Next {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Next, D::Error> {
        let left = u32::deserialize(deserializer)?;
        DEPTH.set(DEPTH.get() + 1);
        DEEPEST.fetch_max(DEPTH.get(), Ordering::Relaxed);
        if left > 0 {
            submit_next(left - 1);
        }
        DEPTH.set(DEPTH.get() - 1);
        DECODED.fetch_add(1, Ordering::Relaxed);
        Ok(Next(left))
    }
}

fn a_decoder_that_submits_is_never_inside_itself() {
    const JOBS: u32 = 1000;
    let chain = thread::spawn(|| {
        let pool = CHAIN.get_or_init(|| pool(1));
        // On one CPU: there, an answer is often ready before `submit` is over.
        let cpu = allowed_cpus()[0];
        pool.submit(run_on, vec![cpu]).join().unwrap();
        run_on(vec![cpu]);
        submit_next(JOBS - 1);
        until("the chain's end", || {
            DECODED.load(Ordering::Relaxed) == JOBS
        });
    });
    chain.join().unwrap();
    assert_eq!(DEEPEST.load(Ordering::Relaxed), 1);
}
