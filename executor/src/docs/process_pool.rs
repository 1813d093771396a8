//! The process pool: how a job gets to another process and back, and what happens when one dies.
//!
//! # The data flow
//!
//! Two workers, at a moment when job 3 has just been answered, 4 and 5 run, and more are waiting:
//!
//! ```text
//! |====================== the program ======================|== shared memory ==|== workers ==|
//!
//!                  +- queue --------+  +- member 1 -------+  +- board 1 -------+  +-----------+
//!  submit(f, 8)──> | 7: g, "seven"  |  | 4: f, 4  (begun) |  | 4 claimed       |─>| worker 1  |
//!    |    encode   | 8: f, 8        |─>| 6: f, 6          |─>| 6 offered  f, 6 |  |   f(4)    |
//!    |             | ...            |  +------------------+  +-----------------+  +-----------+
//!    v             +----------------+  +- member 2 -------+  +- board 2 -------+  +-----------+
//!  JoinHandle                          | 3: f, 3          |  | 3 answered  9   |<─| worker 2  |
//!    ^                                 | 5: f, 5  (begun) |─>| 5 claimed       |─>|   f(5)    |
//!    |    decode                       +------------------+  +-----------------+  +-----------+
//!    +───── 9 ───── manager <──────────────────────────────────────+  it rings           |
//!                    |   ^                                                              dies
//!                    |   |                                                               |
//!            Fork 3      Forked 3: pid 4713, Exited 1: signal 9                          |
//!                    v   |                                                               v
//!  |===== fork server: one thread, small; forks the workers, and reaps them by waitpid =======|
//! ```
//!
//! `submit`, in the calling thread:
//! - encodes the argument, so that a value that cannot be encoded fails its own job and no other;
//! - takes the pool's one lock and gives the job a number and a place: at an idle worker, else (if
//!   fewer workers exist than may) in the queue until a new one has come, else behind the job of a
//!   busy worker, so that this one need not wait for us in between;
//! - wakes that worker if it sleeps. No other thread of the program is involved;
//! - takes the answer in, if it is there as soon as the worker has been woken: on one CPU that is
//!   the rule for short jobs, and then the manager sleeps on.
//!
//! The worker, a copy of the program that does nothing else:
//! - claims the job in the board: from here on it has begun, and cannot be taken back;
//! - finds the function by its address, which is the same as in the program, since both are copies
//!   of one process; decodes the argument; calls the function; encodes the result;
//! - waits until the program has written what the job has printed, if it has, and then answers in the
//!   place of the argument.
//!
//! The manager, the pool's one thread:
//! - takes answers from the boards, decodes them (long ones are decoded by another thread, the porter),
//!   and completes the handles: that wakes whoever joins or awaits them;
//! - asks the fork server for workers;
//! - hears of deaths, and does what was agreed ([`OnDeath`]);
//! - starts the thread that passes on what workers print, when one does.
//!
//! A job stays in the program, with its argument, until it is answered. What a worker had not begun
//! when it died is simply given to another one.
//!
//! # Many items: `map`
//!
//! Waking, locks and handles cost a microsecond or more for each job, far more than a short item. So
//! [`map`] encodes many of them into one job, a parcel:
//!
//! ```text
//!   items 7..  ──> | parcel 12: 4 5 6 |──> board 1 ──> worker 1:  f(4) f(5) f(6)
//!   (lazy)         | parcel 13: 7 8 9 |                             |    |    +── is at it
//!                                                       tray 1: [ 16 | 25 |
//!   killed now:  results of 4 and 5, an error for 6; no other item is lost, and none runs twice
//! ```
//!
//! How many go into one follows from how long the last ones took: together some 100 us. It begins
//! with one, so long items always travel alone. Nobody is to notice the others by anything but the
//! time it takes:
//! - each item is claimed before it begins, and its result lies on the worker's tray, in shared
//!   memory, before the next one is claimed. A panic or a codec that fails is such a result;
//! - when the worker dies, what is on the tray counts, the item it was at fails, and what had not
//!   begun is a job again, at its place in the queue;
//! - when the results fill the tray, the parcel ends, and the rest is a job again;
//! - when the map has waited for one item for some 10 ms, the items before it are given out and
//!   those behind it are a job again, which any worker can run;
//! - what of a parcel has not begun when the map is dropped, or the queue is cancelled, never does.
//!
//! Items with a time limit or with another [`OnDeath`], and those of a pool that limits CPU time or
//! jobs per worker, are a job each: there the agreement is about every single one. The window of a
//! `map` ([`Executor::default_window`]) and the [metrics](crate::ProcessPoolMetrics) count items. A
//! bounded queue counts jobs, so parcels, and [`queued`](crate::ProcessPool::queued) does too.
//!
//! # Why a fork server
//!
//! `fork` copies the calling thread only. Had another thread a lock at that moment (of the
//! allocator, of stdout), then nobody in the child will ever release it, and the first `println!`
//! there waits for ever. So a process with threads cannot fork and go on; and a program that wants
//! a process pool usually has threads by then, the pool's own manager among them.
//!
//! The fork server is a copy of the program made while there was one thread. It does nothing but
//! fork and wait, and stays single for life; so its children are whole. It has another virtue:
//! it is as small as the program was at its start. A fork copies page tables, and that of a
//! program of many gigabytes takes long.
//!
//! The price: a worker sees the program as it was when the server started ([`ForkServer`]). So the
//! first line of `main` is the place to start it.
//!
//! A worker is killed without the server: with the news of it comes a descriptor of its process, by
//! which the pool signals it and hears of its death. That needs Linux 5.3; on an older one every
//! job fails with [`Start`].
//!
//! # What crosses and what does not
//!
//! | | |
//! |---|---|
//! | the function | as an address. It must not have data of its own: no captures, no `fn` pointers |
//! | argument, result | as bytes, by serde: both implement [`Portable`] |
//! | a panic | its message, its place, and (with `RUST_BACKTRACE`) its backtrace; not its payload |
//! | what it prints | goes to the program's stdout and stderr, in whole lines; on stdout, before the result |
//! | statics, environment, working directory | those of the server's start. Each worker has its own from then on |
//! | stdin | is the program's: who reads it there takes it from the program |
//! | other open files, locks, threads, sockets | do not. A static that holds a descriptor finds `/dev/null` there |
//! | code loaded after the start of the server | does not; such a job is refused |
//!
//! Two of these are checked by the compiler. A function that captures:
//!
//! ```compile_fail,E0080
//! # fn main() -> std::io::Result<()> {
//! use tatkal_executor::ProcessPool;
//! let pool = ProcessPool::new(1)?;
//! let factor = 3;
//! let handle = pool.submit(move |number: u32| number * factor, 14);
//! // error: the function of a job may not capture anything (nor be a `fn` pointer): another
//! //        process could not see it; pass the data as the job's argument
//! # Ok(()) }
//! ```
//!
//! and a type without a serde form:
//!
//! ```compile_fail,E0277
//! # fn main() -> std::io::Result<()> {
//! use tatkal_executor::ProcessPool;
//! struct Point(f64, f64);
//! let pool = ProcessPool::new(1)?;
//! let handle = pool.submit(|point: Point| point.0.hypot(point.1), Point(3.0, 4.0));
//! // error: `Point` cannot go to another process
//! //   label: a job's argument and its result travel as bytes, and this cannot
//! //   note: what travels implements `Serialize` and `DeserializeOwned` (derive serde's two
//! //         traits), is `Send`, and borrows nothing
//! # Ok(()) }
//! ```
//!
//! As it is meant:
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use tatkal_executor::ProcessPool;
//! let pool = ProcessPool::new(1)?;
//! let factor = 3;
//! let handle = pool.submit(|(number, factor): (u32, u32)| number * factor, (14, factor));
//! assert_eq!(handle.join().unwrap(), 42);
//! # Ok(()) }
//! ```
//!
//! # Long data
//!
//! ```text
//!                   submit                            the worker
//!   up to 16 KiB    encoded, copied into the board    decoded where it lies
//!   longer          copied into a file in memory ──>  copied out of it, and decoded
//!                     |  used again, and then mapped at both ends
//!   SharedBytes     the file that they are in ──────> mapped, and looked at
//! ```
//!
//! The descriptor of the file goes through a socket, the data does not, so long arguments and results
//! in both directions at once never wait for each other. Results go the same way back.
//!
//! | a value | copies each way | on the event loop |
//! |---|---|---|
//! | a `Vec<u8>`, as a whole | 2 | nothing: long ones are decoded by a thread of their own |
//! | any other | 2, and the encoding and decoding, item by item | the same |
//! | [`SharedBytes`], anywhere in a value | 0; 1 when they were made from a vector | nothing: there is nothing to decode |
//!
//! A `Vec<u8>` within another value is visited by serde byte by byte, some milliseconds a MiB. Make it
//! `SharedBytes` (or serialize it as bytes, as the crate `serde_bytes` does).
//!
//! Two copies are fast when the memory is there, and page faults are not: so the files are used again
//! (a stock of at most 64 MiB at each sender), both sides keep them mapped, and new vectors are given
//! their pages by the piece. A second after the last use the stock goes back to the system. With a
//! limit of memory, nothing is mapped in the worker: address space is what is limited.
//!
//! `SharedBytes` are sealed: nobody can write to their memory or cut it, whatever the worker that wrote
//! it does. A seal is for ever, so that memory is new every time, and writing it costs more than copying
//! into memory that is used again. It pays for what is long, kept, looked at in part, or sent on: any
//! number of workers look at the same pages.
//!
//! The files of other values are not sealed. A job that keeps the descriptor of its argument's file
//! (by looking for it in `/proc/self/fd`) can read and spoil what is sent in it later. That is bytes
//! that somebody decodes, and no more; but jobs are not protected from each other's malice.
//!
//! A result of 64 MiB is dropped in about as many milliseconds as a vector of that length, three to
//! six; a loop that has no time for that drops it elsewhere.
//!
//! # When something goes wrong
//!
//! | what happens | the handle says | and the pool |
//! |---|---|---|
//! | the job panics | [`Panicked`] | goes on with the same worker |
//! | a codec fails or panics, at any of the four crossings | [`Codec`], which names the [`Crossing`] | the same |
//! | the worker dies in the job: a signal, `abort`, `exit` (even with 0), a stack overflow | [`WorkerDied`], with pid and signal or code, and the crossing if it was at one | makes another worker; or runs the job again, or breaks: [`OnDeath`] |
//! | the job has cost more workers than was allowed | [`Quarantined`], with the end of each | goes on |
//! | the worker dies idle, while it is made, or with jobs that it has not begun | nothing: another one runs them | makes another worker |
//! | its time is up | [`TimedOut`] | stops the job, makes another worker |
//! | it uses more memory or CPU time than it may | [`WorkerDied`], with the [`Limit`] | makes another worker |
//! | it is stopped (SIGSTOP) | nothing; a time limit and `abort` reach it there | a job that it has not begun and that has a time limit is run by another |
//! | the initializer fails | [`Broken`], with its reason | ends; it does not try again and again |
//! | no process can be made | [`Start`], with the system's reason, if there is no worker at all | goes on with those there are, and tries again |
//! | the fork server is stopped (SIGSTOP) | [`WorkerDied`] without a reason, two seconds late, where a worker dies in the job; nothing else | makes no worker meanwhile, and kills and ends as ever (at most two seconds later) |
//! | the fork server is killed | [`WorkerDied`] or [`Start`] | its workers die with it; every job, now and later, fails at once |
//! | the program is killed | | the kernel kills server and workers, in the middle of jobs, busy or not |
//!
//! # Stopping
//!
//! A running job is the one thing that only this mode can stop by force. Its worker gets a SIGTERM
//! (a job that must tidy up can handle it, and if it then comes to an end, that end counts), and
//! after [the grace] a SIGKILL. The handle speaks when the worker is
//! dead, so what the job did is over by then.
//!
//! | | jobs that wait | jobs that run |
//! |---|---|---|
//! | [`JoinHandle::abort`], a time limit | never start (they have no time limit yet) | are stopped |
//! | [`Shutdown::finish`], or dropping the pool | run | run |
//! | [`Shutdown::cancel`] | are cancelled | run |
//! | [`ProcessPool::terminate`] | are cancelled | are stopped |
//! | [`ProcessPool::kill`] | are cancelled | are killed, without grace |
//!
//! Ctrl-C goes to the whole foreground group. The workers and the server ignore it and print
//! nothing; the program decides: it dies, and they with it, or it calls `terminate`.
//!
//! # What workers print
//!
//! Their stdout and stderr are pipes to the program, and the program writes what comes there to its own:
//!
//! ```text
//!   worker 1:  print!("6 x 7 "); print!("= 42\n") ──> pipe ──+
//!   worker 2:  println!("{}", text of 1 MB) ─────────> pipe ──+──> whole lines, one after the other ──> stdout
//! ```
//!
//! - Lines are whole, however long they are and in how many parts they come: those of different workers,
//!   and of different pools, do not tear each other. They are written as they come, not when the job is
//!   over. A line of more than 1 MiB is not kept until its end; others may come in between.
//! - What a job has printed on stdout is written before its result is told, also a last line that has no
//!   end. (Of the items of a [`map`]: before the results of the parcel that they went with, unless these
//!   are given out while it runs.) When a worker dies, what it had printed is written before its job is
//!   told.
//! - No result waits for stderr. What is printed there without a line end is shown when the worker has
//!   said nothing more for a second, or is dead.
//! - Where stdout and stderr lead to the same file (a terminal, `2>&1`) when the pool's first job comes,
//!   all that one worker prints stays in order, and what is said here of stdout goes for both.
//! - Nothing comes twice. What a worker that was killed had still in a buffer of its own is lost, as ever:
//!   std's buffer until a line ends, and C's (which are written as lines end, and when the worker leaves).
//! - Whoever does not read the program's stdout stops the jobs that print, and nobody else: not those that
//!   print nothing, not the pool, which can abort and kill them. The last words of a dead worker are waited
//!   for 200 ms at most (then its job is told, and they come later), those of a pool that ends until
//!   nothing could be written for as long.
//! - Where the program's stdout fails (the reader is gone, the disk is full) a worker's next print fails:
//!   `println!` panics there, with a broken pipe.
//! - A program that a job starts has the worker's stdout and stderr. What it prints when the worker is dead
//!   is written, until the pool ends; after that its prints fail.
//! - What the program itself prints goes its own way: long lines, its own or the workers' (more than
//!   4 KiB), can still meet. (A thread that holds the lock of stdout may wait for jobs that print.)
//! - In a worker stdout is no terminal, whatever the program's is: `is_terminal` says so.
//! - Should the program be killed, or leave before its pools have ended, what was on its way is lost: what
//!   is in the pipes, and lines that have not ended. (`terminate` and `kill` do not wait for the end, nor
//!   does a drop after them; a `shutdown` does.)
//!
//! A worker costs two pipes, a job that prints nothing costs one system call, and the pool one more thread
//! as soon as somebody prints. A job that prints a line takes 11 us there and back, a silent one 3: it
//! waits for that thread.
//!
//! # Why is it slower than threads?
//!
//! A job for a thread is a pointer. A job for a process is bytes that somebody makes, carries and
//! reads again, and so is its result. Whether that matters depends on the job, so the pool can say
//! where the time goes: one that was told to [`measure`] sorts every moment of a job, from the begin
//! of `submit` until the handle is told, into one of five [phases].
//!
//! | phase | what it is | large when | then |
//! |---|---|---|---|
//! | encode | argument and result become bytes | data is large, or of many small parts | send a `Vec<u8>`, [`SharedBytes`], or the name of a file |
//! | queue | until a worker is free | there is more work than CPUs, or workers are being made | nothing is wrong: threads would wait as well |
//! | transfer | waking the worker, the way there, the way back, waking the program | jobs are short, or come one at a time | make them longer; hand in many before the first is joined |
//! | run | the function | it is the work | with threads it takes as long, or longer when they share a lock |
//! | decode | the bytes become values again | as with encode | as with encode |
//!
//! With threads there is the queue and the run, and of the transfer the waking. What is left is the
//! price of the other process.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use tatkal_executor::{Executor, ProcessPool};
//! let pool = ProcessPool::builder().workers(2).measure(true).build()?;
//! let sum = |numbers: Vec<u64>| numbers.iter().sum::<u64>();
//! assert!(pool.map(sum, (1..100).map(|n| (0..n).collect())).all(|sum| sum.is_ok()));
//!
//! let metrics = pool.metrics();
//! let phases = metrics.phases.expect("it measures");
//! let work = phases.total() - phases.queue;
//! let share = |phase: std::time::Duration| 100.0 * phase.as_secs_f64() / work.as_secs_f64();
//! println!("{:.0} % of the time was work", share(phases.run));
//! println!("{:.0} % went into bytes", share(phases.encode + phases.decode));
//! println!("{} bytes there", metrics.total().bytes_in);
//! # Ok(()) }
//! ```
//!
//! [`ProcessPool::metrics`] also says of each worker how many jobs it has done, how many bytes
//! went in and came out, its CPU time and its memory: without `measure`, too.
//!
//! # The rules, and what each prevents
//!
//! | rule | without it |
//! |---|---|
//! | only a process with one thread forks | a lock that nobody releases; the child hangs at its first allocation or `println!` |
//! | workers and server let go of every descriptor but their own | a pipe stays open in a process that knows nothing of it: its reader waits for ever, and a killed worker's end is not seen |
//! | a worker leaves by `_exit` | the program's exit handlers and buffers run once more for every worker: lines appear twice |
//! | workers reset signal handlers and ignore SIGINT | the program's handler acts in the worker, on what both share; Ctrl-C kills jobs that the program wanted to finish |
//! | workers seed their randomness afresh | all draw the same numbers |
//! | workers die with the server, it with the program | orphans that compute for nobody |
//! | the server reaps, and tells each status | zombies; and nobody knows how a worker died |
//! | the pool speaks of workers by tickets and signals them by descriptors, never by pids | a signal to a stranger who has got the number |
//! | a job is claimed before it begins | a death costs jobs that never ran, or one runs twice |
//! | so is every item of a parcel | the same for many at a time |
//! | jobs are given in advance only when all workers are busy, and taken back when one is idle | a short job waits behind a long one while others do nothing |
//! | answers that were whole when the worker died count | a job that was done is reported as failed, and done again |
//! | the argument is encoded by the submitter | one bad argument breaks the channel for all (CPython had that) |
//! | an address is looked up, never jumped to | a damaged message runs arbitrary code |
//! | bytes are behind a reference only when they are sealed | another process changes what a `&[u8]` shows, or takes it away |
//! | only the program writes to its stdout | a line that is printed in parts has another worker's in the middle |
//! | the pool waits for what was printed before it tells the result | whoever has the result does not find the line |
//! | a thread of its own writes it | whoever does not read stdout stops the whole pool |
//! | no user code runs under the pool's lock | a waker that submits a job waits for itself |
//! | a failing initializer breaks the pool | workers are made and die for ever |
//!
//! # Reading on
//! In the source, `pool/process/mod.rs` has the reading order.
//!
//! [`SharedBytes`]: crate::SharedBytes
//! [`map`]: crate::Executor::map
//! [`Executor::default_window`]: crate::Executor::default_window
//! [`measure`]: crate::ProcessPoolBuilder::measure
//! [phases]: crate::JobPhases
//! [`ProcessPool::metrics`]: crate::ProcessPool::metrics
//! [`OnDeath`]: crate::OnDeath
//! [`ForkServer`]: crate::ForkServer
//! [`Portable`]: crate::Portable
//! [`Crossing`]: crate::Crossing
//! [`Limit`]: crate::Limit
//! [`Panicked`]: crate::JoinError::Panicked
//! [`Codec`]: crate::JoinError::Codec
//! [`WorkerDied`]: crate::JoinError::WorkerDied
//! [`Quarantined`]: crate::JoinError::Quarantined
//! [`TimedOut`]: crate::JoinError::TimedOut
//! [`Broken`]: crate::JoinError::Broken
//! [`Start`]: crate::JoinError::Start
//! [`JoinHandle::abort`]: crate::JoinHandle::abort
//! [`Shutdown::finish`]: crate::Shutdown::finish
//! [`Shutdown::cancel`]: crate::Shutdown::cancel
//! [`ProcessPool::terminate`]: crate::ProcessPool::terminate
//! [`ProcessPool::kill`]: crate::ProcessPool::kill
//! [the grace]: crate::ProcessPoolBuilder::grace
