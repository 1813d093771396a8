//! Where the speed comes from: each decision, what it replaced, and what it bought.
//!
//! The table beside tokio and the other peers is in the README, and `cargo bench --bench versus`
//! makes it anew: ours and theirs in turns, round by round, in one run. This page is about the
//! steps that led there. A step was kept when it paid for its lines, and its figures are from the
//! day it was made: time per operation *before -> after*, on two virtual CPUs (an Intel Xeon guest,
//! Linux 6.18, glibc's allocator unless said otherwise). The runs before and after a step were
//! seldom the same run, so a tenth means nothing; a ratio "to tokio" is always from one run.
//!
//! Counts settle what a noisy clock cannot: locked instructions, allocations, system calls,
//! context switches. On one thread nearly all of what a task costs is its locked instructions (20
//! cycles each) and its one allocation, so that is where to look first; on two threads it is cache
//! lines that travel between them; with sockets it is the kernel.
//!
//! # Tasks on one thread
//!
//! | decision | before -> after | why it helps |
//! |---|---|---|
//! | Leave the event loop alone while there are tasks to run, but for a look every 61 polls | spawn and join: 5.7 times tokio's speed in the first version | tokio makes a system call each time its queue empties |
//! | One allocation per task, header, future, result and the joiner's waker together, not aligned to cache lines | 121 bytes with a future of 64; tokio 270 | glibc is slow at 128-byte alignment, so half of this is gone under mimalloc, where `versus` measures too |
//! | Count who holds the executor in a plain number on its own thread (`single/count.rs`), not in an `Arc` | 137 -> 99 ns for a spawn and join; to tokio 4.3 -> 5.9 | seven of eleven locked instructions went |
//! | Complete in one step: leave the list of live tasks, then one exchange stores COMPLETE and gives both references back; the joiner's waker is consumed, not called and dropped later | 99 -> 92 ns; 10,000 tasks 97 -> 84 ns each, to tokio 3.5 -> 4.1 | six locked instructions of a task that is joined later became two |
//! | Begin a poll with a load: nobody else needs to know whether a task is queued or polled, so SCHEDULED stays until the poll is over, and a wake meanwhile leaves NOTIFIED | 93 -> 81 ns; a yield 37 -> 32 ns, to tokio 1.9 -> 2.3 | the last locked instruction but one |
//! | Queues in blocks that are freed as they empty, a list of live tasks that grows by an eighth | 138 -> 121 bytes per idle task | doubled rings keep the memory of the largest burst |
//!
//! A task that is spawned, run and joined afterwards takes one locked instruction now (it was six),
//! one that is awaited while it is pending three (eleven).
//!
//! # Tasks on many threads
//!
//! | decision | before -> after, per task | why it helps |
//! |---|---|---|
//! | A list of live tasks per worker without a lock: its owner inserts, whoever completes a task takes it out by one exchange, thieves give vacant places back 64 at a time | spawned by a worker 477 -> 238 ns, from outside 469 -> 248 ns (10,000 of them, two workers) | four locked instructions and the contention of thief and spawner for one lock |
//! | No counted pointer to the executor in a task: who holds the right to poll finds it alive, because it sweeps its lists before it goes | 70 -> 61 ns to spawn one (one worker) | two locked instructions on a line that all workers write |
//! | A thief that comes back for more pauses first, some 64 `spin_loop`s | 251 -> 138 ns; 2,900 thefts -> 300; to tokio 1.4 -> 4.8 with the steps before it | a thief close behind the spawner takes tasks one by one, and the lines of queue, list and cells each time |
//! | An inject queue of two halves, exchanged when the workers' half is empty; one lock per spawn from outside; no fence where a worker wakes another | from outside 306 -> 232 ns | producers slept on the lock that a worker held while it moved half a ring |
//! | Memory that another thread asked for goes back to the allocator in batches, whoever is alone with a task needs no locked instruction, an output's error is one word in the cell (`versus`, one run before and one after) | from outside 287 -> 225 ns, to tokio 2.4 -> 2.9, smol 1.0 -> 1.2; with mimalloc to tokio 1.4 -> 2.0 | a free by a third thread is a locked instruction on a line that all of them write: boxes of one thread that two others free take 93 ns each, in batches of 64 33 |
//! | Memory of tasks from outside does not go back at all: a worker leaves it in the executor's depot (`task/depot.rs`), 64 cells at a time, where a thread that spawns fetches as many (`versus`, three runs before and after) | from outside 239 -> 191 ns, to tokio 2.6 to 2.9 -> 3.3 to 3.8, smol 1.2 to 1.4 -> 1.6 to 1.8; with mimalloc 199 -> 171 ns, to tokio 1.9 to 2.2 -> 2.3 to 2.5 | the spawning thread was the slower side, with a third of its time in `malloc`: cold cells, and the lock of an arena in which the workers freed |
//! | Workers take memory from the depot, too, before they ask the allocator | 10,000 tasks without handles, spawned by one of two workers, 238 -> 141 ns | the half that is stolen ends on the other worker; with an empty depot two loads more |
//! | A busy worker takes its *share* of the inject queue at its look, not one task | 10,000 tasks from outside beside four busy ones: 13 s -> 4 ms | it was a defect of fairness first; `versus` found it |
//! | A poll begins with a load, as on one thread: SCHEDULED stays until it is over, nobody is told that a task is being polled, and a shutdown leaves what is queued to who has it | a hop of 100 pairs that talk 55.5 -> 51.5 ns; spawn one and join 125 -> 106 ns; 10,000 from a worker 131 -> 121 ns | one locked instruction per poll; and one protocol where there were two |
//! | The next slot's owner takes from it by a load and a store; the thief who rescues it from a stuck worker, once in 10 ms, has the kernel make both sides' fence (`membarrier`, `sync/fence.rs`, `queue/next.rs`) | a hop 59 -> 55 ns; with the row above to tokio 1.02 -> 1.20, with mimalloc 1.10 -> 1.22 | one locked instruction per hop of eleven, seven of which are the mailbox's |
//! | A slot for the task to run next, which thieves leave alone unless its worker is stuck | chained spawns: 3.2 times tokio's speed | two tasks that talk stay on one CPU, and a store fills the empty slot |
//! | The watch: a sleeper looks every 10 ms, only while there is activity, whether a poll is stuck | nothing measurable | instead of waking somebody at each event to hand the driver over: two context switches per request |
//!
//! What [`RuntimeMetrics`](crate::RuntimeMetrics) counts costs 4 of 749 instructions of a task that is
//! spawned and joined on one thread and 2 of a yield's 190; on a worker, where the live tasks are
//! counted too, 14 of 1,012 and 3 of 233. None of them is locked. (callgrind, 22,000 rounds less
//! 2,000, with the counters and without.)
//!
//! # Timers
//!
//! | decision | before -> after | why it helps |
//! |---|---|---|
//! | A timeout polls its future first and reads no clock when that is ready | 17 times tokio's speed | most timeouts never fire |
//! | A timer stays on its thread's own list until that thread goes to sleep; dropped before, nobody hears of it, and its entry is used again | to tokio 4.3 -> 7.3 (1 thread), 4.4 -> 5.1 (2; `versus` with pinned workers: 12.9) | no lock, no `malloc`, two locked instructions instead of six; 23 of the 60 ns left are one look at the clock |
//! | One lock per turn for lists, wheel and deadline instead of three, none where there are no timers | an echo round trip 3,879 -> 3,529 instructions, with the next row | |
//! | A needless wake-up pays for a sweep of cancelled timers | 26 wake-ups in 300 ms after a burst -> a few | each had ended the loop's sleep at its old deadline |
//! | A timer's deadline in nanoseconds with a timerfd behind it, not in ticks of `epoll_wait` | mean lateness 58 to 66 us, tokio 1,100 us | a bare timerfd and epoll loop is 55 us late here, a virtual machine |
//!
//! # Sockets
//!
//! | decision | before -> after | why it helps |
//! |---|---|---|
//! | A source keeps its first waiter in a field of its own | (row above) | no allocation per source, no list to walk per event |
//! | Wakers are collected under the lock and called outside, in one batch per turn | | what they wake goes into the queue in order, and one helper is woken for all |
//! | A read that filled its buffer is not followed by another that would find nothing: it is put off until an event comes, or until the loop would sleep; whether that pays each socket learns (`reactor/side.rs`) | echo of 1 byte, both ends on one thread: 0.83 -> 0.90 of a raw epoll loop's speed, to tokio 1.06 -> 1.17; 64 x 1 KiB: to tokio 1.01 -> 1.11 | four receives a round trip became two; on loopback a vain one is 190 ns in the kernel and some 300 instructions around it |
//! | A loop whose put-off reads were found to be ready makes them before it looks at the OS, and looks once for so many of them; whether that pays each loop learns (`reactor/doubts.rs`) | echo of 1 byte, both ends on one thread: 0.90 -> 1.05 of a raw epoll loop's speed, to tokio 1.17 -> 1.36 | two waits a round trip became 0.1: the raw loop asks the OS what it could know |
//! | Two numbers for a direction, events announced and events used up, each with a writer of its own | 3,574 -> 2,587 instructions a round trip, with the rows around it | "nothing is left" is a store, not a compare-exchange, and the other direction's events do not undo it |
//! | Sockets are read and written without libc, whose `recv` and `send` switch cancellation on and off around the call once there is a second thread | echo of 64 x 1 KiB on two threads 2,575 -> 2,128 instructions a round trip; to tokio 1.02 -> 1.04, on one thread 1.08 -> 1.09 | two locked instructions around each call, and code that is cold after it |
//! | A Unix stream whose last read filled its buffer is read by `recv`; only a short read needs `recvmsg`, which says whether it was cut | echo of 64 x 1 KiB, to tokio: one thread 1.03 -> 1.13, two 0.99 -> 1.05; of 1 byte 1.50 -> 1.67 | 80 ns for each of the calls |
//! | A loop without timers takes no lock for them; a look takes no token that is not there; wakers in a ring | (row above) | four locked instructions a turn |
//! | A loop that watches nothing, and has no timer, sleeps on a futex, not on an eventfd behind an epoll; the first source ends that | a wake-up there and back, both runtimes on one CPU, 2.41 -> 2.24 us; on two CPUs 0.89 to 0.97 -> 0.96 to 0.98 of a bare futex (`versus`) | 100 ns of kernel for each wake-up |
//! | Little between the end of a sleep and the next wake-up, and that close together: one word for token and sleep (they were two), what a wake-up from outside touches of the executor on one cache line, futexes without the detour through libc, an empty list looked at in line | on each side 287 -> 220 instructions, 33 -> 28 lines of code, 40 -> 29 of data, the bench's own among them; beyond a bare futex's round trip of 40 us 1.45 -> 1.05, tokio's 2.5 | all of it is cold by then (below) |
//! | The inject queue of a one-thread executor keeps the memory of a few entries, and is let in right after a sleep | a round trip of two *tasks*, beyond a bare futex's 2.30 -> 1.41 us; to tokio 1.02 -> 1.04, on one CPU 1.16 -> 1.20 | each wake-up had a `malloc` on one thread and a `free` on the other |
//!
//! Two threads on two CPUs that wake each other take some 20 us each way, the kernel's and the
//! hypervisor's. Beyond that only what lies between a thread's end of sleep and its wake of the other
//! counts (a bare futex pair that idles for a microsecond *before it sleeps* is no slower), and there
//! a line counts more than an instruction: 64 lines more on each side, all different, cost a round trip
//! 0.3 us if they are data and 0.6 if they are code, 0.4 and 1.1 if each is on a page of its own, and 16
//! lines that both sides write 0.7. On one CPU, where nothing is cold, the first are 0.07 and 0.35, and our
//! round trip is 0.12 us longer than a bare futex's 1.92.
//!
//! Counted with `valgrind --tool=callgrind` and `strace -c`, two lengths of a run subtracted. System
//! calls per echo round trip with both ends on one thread: two sends, two receives and a tenth of a
//! wait (and one vain receive in 64 messages, to notice a stream); a raw loop has two waits, tokio two
//! and four receives. With 64 connections of 1 KiB it is two sends and two receives, and the raw loop
//! a tenth faster: 1,993 instructions in user space against 393. Of the 0.5 us that a round trip took
//! longer than the raw loop before the loop guessed, 0.24 were our instructions when nothing else was
//! in the caches (75 ns of it twelve locks that nobody contends), the rest the caches after a system
//! call; a bulk transfer is as fast as before.
//!
//! # The thread pool
//!
//! | decision | before -> after, per job | why it helps |
//! |---|---|---|
//! | Two queues: submitters push at the rear, workers take from the front, and the two are exchanged when the front is empty; a worker yields three times before it exchanges | submitted and joined 476 -> 89 ns (tokio's `spawn_blocking` held to as many threads 937, rayon 704); detached 578 -> 294 | a worker faster than the submitter fetched jobs singly, and the lock with them. Each half alone does little: the exchange 430, the yields 380 |
//! | The same three steps for detached jobs, whose cells shrank from 72 to 56 bytes | detached 270 -> 220, to tokio 2.9 -> 3.7, crossbeam's channel 1.05 -> 1.35 | half of the workers' time went into `free`. What was left was the submitter's: 100 of its 220 ns in `malloc`, which walked from one cold cell to the next |
//! | A depot for the memory of jobs that are over, as for tasks from outside | detached 218 -> 131 ns (five runs each), to tokio 3.3 to 4.4 -> 5.2 to 7.4, rayon 1.7 to 2.4 -> 3.4 to 3.9, crossbeam's channel 0.6 to 1.4 -> 1.2 to 2.3; with mimalloc 188 -> 127 ns, crossbeam 1.0 to 1.2 -> 1.7 to 1.9 | 60 ns are left without the counter that the benchmark's jobs share |
//! | Dropping a handle early is one exchange | 639 -> 527, 600 (two pairs of noisy runs) | three locked instructions per detached job instead of four |
//!
//! # The process pool
//!
//! | decision | before -> after | why it helps |
//! |---|---|---|
//! | A board of memory shared with each worker instead of a socket: a slot per job, whose word decides between claim and take-back; bells ring only for sleepers | a no-op job 7 -> 1 us (CPython's pool 125 us) | no system call while both sides are awake |
//! | Short jobs are offered in advance, as many as take together what a wake-up costs | (in the row above) | waking a process is the dear part: 40 us across two virtual CPUs |
//! | A thread that joins takes the answers in by itself | a job there and back 8 -> 6 us on one CPU, raw 2.7 | one thread less to wake |
//! | Files in memory for payloads above 16 KiB, used again once read; a `Vec<u8>` is copied whole | 1 MiB there and back 0.66 ms (CPython 3.6) | byte by byte, serde took 0.7 ms to encode a MiB and 1.2 to decode it; fresh pages cost more than the copy (0.3 to 0.5 ms against 0.1) |
//! | The worker's bell is quiet while a submitter rings it, and the submitter, back from the system call that woke the worker, takes the answer in if it is there; nobody is told who does not wait | a job there and back on one CPU 6.2 -> 3.4 us, two bare processes 3.05 | the worker ran before `submit` was back, and woke the manager for an answer that the submitter was about to fetch: 5.9 system calls a job became 2.1 |
//! | When a job is the pool's only one, and the other side is on another CPU and was quick, both sides look for 50 us before they sleep (`board/watch.rs`) | on two CPUs 58 -> 2.4 us, two bare processes that sleep 52 | no sleep, no waking. With more jobs in flight there is nothing to gain, and `map` got slower |
//! | `map` sends parcels of some 100 us of items (`parcel.rs`); results go into shared memory one by one, so a death still costs one item | 1.2 to 3 -> 0.11 us an item, `multiprocessing.Pool.map` 0.15 in the same run | one lock, one handle and half a waking for many |
//! | Payload files that come again stay mapped at both ends (`wire/view.rs`), new memory gets its pages by the piece | 1 MiB there and back 0.50 -> 0.38 ms, without a page fault; 64 MiB back 110 -> 60 ms, later ones 37, two fresh copies 72 | faults cost more than copies |
//! | Futexes and bells without the detour through libc, a worker that sleeps in the read of an eventfd and not on a shared futex | a job there and back on one CPU 3.10 -> 3.00 us, which pays for half of the next row | a cold path after each sleep |
//!
//! What is bought with time: what workers print goes through the program, so that lines are whole
//! (`output.rs`). A job that prints nothing pays for a look at its pipe, 0.1 to 0.2 us of its 3.4; one that
//! prints a line takes 11 us where it took 4.
//!
//! # What was tried and thrown away
//!
//! - *Spinning before a worker sleeps.* From outside, sleeps fell from 250 to 4 per 10,000 tasks and
//!   the time rose from 218 to 266 ns: the spinner takes the producer's cache lines. Between two
//!   one-thread executors a spin of 20 us makes a round trip of 268 us one of 2.3; but an event loop
//!   that spins hears its descriptors later, and an idle one must cost nothing. A loop that watches
//!   nothing could spin (20 us: 52 us -> 0.84 us there and back), but with both threads on one CPU
//!   2.4 us become 42, and it would take a CPU from a pool that computes: it cannot know whose.
//! - *Yielding before a worker looks into the inject queue once more*, as the thread pool does: 40
//!   sleeps per 10,000 tasks became 2, and 230 ns a task 290. Three threads have two CPUs here, and
//!   a worker that sleeps leaves its CPU to the spawner.
//! - *Fetching the next task's cell ahead* (`prefetch`, one to three tasks, both queues): nothing. The
//!   spawner is the slower side. *The next free cell, for the spawner:* nothing either.
//! - *A `ThreadPool::execute` without a handle*, its closure in the queue's entry: not built. With a
//!   depot there is no allocation to save, and the bars are passed by jobs that do have handles.
//! - *A load before every reference drop, in case it is the last.* Pays only where being last is
//!   likely; kept where the handle reads its output.
//! - *An intrusive list of live tasks.* The same memory: two pointers in every cell.
//! - *The next slot only when the queue is empty.* Pairs that talk fell from 1.05 to 0.99 of tokio's
//!   speed.
//! - *Spinning instead of yielding in the thread pool.* As fast, for 5 us of CPU at every pause.
//!   *Workers that claim batches:* 5 to 15 %, and jobs stuck behind one that blocks. *A lock-free
//!   ring:* 230 against 290 ns, and bounded.
//! - *Locks without atomics in the reactor* (unsound, to know the price): an echo round trip 4.65 -> 4.56
//!   us. All code in one unit with link-time optimization: 4.73 -> 4.66.
//! - *Reads put off by workers too*, into a list of each worker's that whoever drives goes through before
//!   it sleeps, and nobody puts off while somebody sleeps there. Of two vain reads a round trip (echo of
//!   64 x 1 KiB on two threads) four in five were saved, and the time fell by 1 to 2 % of the 4 that
//!   reading never in vain would bring (TCP; Unix streams 3 of 7 %): a worker that runs dry while the
//!   other is busy looks and looks, and each doubt that it ends too early brings the vain reads back. With
//!   4 connections, where a worker would sleep, it took 3 to 5 % longer.
//! - *TCP_INQ, to know that nothing is left to read.* `recvmsg` costs 640 ns more, the vain read 190.
//! - *Using timer entries again, alone:* 561 -> 492 instructions and no nanosecond, until the waker
//!   stayed on the thread's list too.
//! - *Sockets between the processes, one manager for all answers; byte rings in shared memory.* Two
//!   system calls a job; indices to distrust, and holes where jobs were taken back.
//!
//! # Where others are better
//!
//! - A boxed future alone costs half of a task with glibc, a quarter with mimalloc.
//! - A hundred pairs that talk without end on two threads: tokio is only a fifth slower. The mailbox
//!   takes seven of the nine locked instructions of a hop and half of its 403 instructions (578 with
//!   tokio); there are no thefts and no sleeps to save, a handful in four million polls.
//! - A queue of crossbeam's with two threads behind it, no handles, has a second rhythm, in which it
//!   takes four fifths of our time (104 against 130 ns a job), or as long as we do: its threads come
//!   seldom, and find many.
//! - smol's idle tasks are 113 bytes.
//! - A raw epoll loop with 64 connections, as above.
