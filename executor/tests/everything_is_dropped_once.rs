//! The cases crossed: what kind of task, where it panics, when it is aborted, what becomes of its
//! handle, which executor. In each of them the future and the output are dropped exactly once, and
//! the handle hears what it should. (The one-by-one stories are in the other files.)

mod common;

use common::{Drops, Watched};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tatkal_executor::{
    AbortHandle, JoinError, JoinHandle, LocalExecutor, MultiExecutor, yield_now,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Ready,
    /// Wakes itself once.
    Yields,
    /// Is woken by the test.
    Sleeps,
    /// Is never woken, and keeps no waker.
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Panics {
    Nowhere,
    InPoll,
    InDropOfFuture,
    InDropOfOutput,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Aborted {
    Never,
    /// On one thread: before the first poll. On many: whenever that is.
    AtOnce,
    DuringFirstPoll,
    WhileAsleep,
    /// After everything else, the end of the executor included.
    AtTheEnd,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Joined,
    /// As soon as there is one.
    DroppedAtOnce,
    /// Polled once, then dropped, with its waker in the task.
    DroppedWaiting,
    DroppedAtTheEnd,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    OneThread,
    TwoThreads,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    kind: Kind,
    panics: Panics,
    aborted: Aborted,
    fate: Fate,
    place: Where,
}

fn cases() -> impl Iterator<Item = Case> {
    use self::{Aborted::*, Fate::*, Kind::*, Panics::*, Where::*};
    let mut all = Vec::new();
    for kind in [Ready, Yields, Sleeps, Forgotten] {
        for panics in [Nowhere, InPoll, InDropOfFuture, InDropOfOutput] {
            for aborted in [Never, AtOnce, DuringFirstPoll, WhileAsleep, AtTheEnd] {
                for fate in [Joined, DroppedAtOnce, DroppedWaiting, DroppedAtTheEnd] {
                    for place in [OneThread, TwoThreads] {
                        all.push(Case {
                            kind,
                            panics,
                            aborted,
                            fate,
                            place,
                        });
                    }
                }
            }
        }
    }
    all.into_iter()
}

/// What test and task tell each other.
#[derive(Default)]
struct Shared {
    waker: Mutex<Option<Waker>>,
    abort: Mutex<Option<AbortHandle>>,
    polls: Mutex<usize>,
    outputs_made: Mutex<usize>,
}

struct Body {
    case: Case,
    shared: Arc<Shared>,
    outputs: Drops,
    _future: Watched,
}

impl Future for Body {
    type Output = Watched;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Watched> {
        let (case, shared) = (self.case, &self.shared);
        let poll = {
            let mut polls = shared.polls.lock().unwrap();
            *polls += 1;
            *polls
        };
        if poll == 1 && case.aborted == Aborted::DuringFirstPoll {
            // On many threads the test may not have left it there yet; it does soon.
            loop {
                if let Some(abort) = shared.abort.lock().unwrap().take() {
                    abort.abort();
                    break;
                }
                std::thread::yield_now();
            }
        }
        match case.kind {
            Kind::Yields if poll == 1 => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Kind::Sleeps if poll == 1 => {
                *shared.waker.lock().unwrap() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Kind::Forgotten => return Poll::Pending,
            _ => {}
        }
        if case.panics == Panics::InPoll {
            panic!("in poll");
        }
        *shared.outputs_made.lock().unwrap() += 1;
        Poll::Ready(if case.panics == Panics::InDropOfOutput {
            self.outputs.watch_and_panic()
        } else {
            self.outputs.watch()
        })
    }
}

enum Executor {
    One(LocalExecutor),
    Two(MultiExecutor),
}

impl Executor {
    fn new(place: Where) -> Self {
        match place {
            Where::OneThread => Executor::One(LocalExecutor::default()),
            Where::TwoThreads => Executor::Two(MultiExecutor::new(2).unwrap()),
        }
    }

    fn spawn(&self, body: Body) -> JoinHandle<Watched> {
        match self {
            Executor::One(executor) => executor.spawn_local(body),
            Executor::Two(executor) => executor.handle().spawn(body),
        }
    }

    /// Lets tasks run until `done`. A case that never gets there is stopped by the test runner.
    fn run_until(&self, done: impl Fn() -> bool) {
        match self {
            Executor::One(executor) => executor.block_on(async {
                while !done() {
                    yield_now().await;
                }
            }),
            Executor::Two(..) => {
                while !done() {
                    std::thread::yield_now();
                }
            }
        }
    }
}

/// What the handle hears on one thread, where nothing is left to chance.
fn expected(case: Case) -> &'static str {
    let aborted_before_its_end = match case.aborted {
        Aborted::Never | Aborted::AtTheEnd => false,
        Aborted::AtOnce => true,
        // Its poll goes on; a result that comes from that same poll stands.
        Aborted::DuringFirstPoll => case.kind != Kind::Ready,
        Aborted::WhileAsleep => matches!(case.kind, Kind::Sleeps | Kind::Forgotten),
    };
    if case.panics == Panics::InDropOfFuture {
        "panicked"
    } else if aborted_before_its_end || case.kind == Kind::Forgotten {
        "cancelled"
    } else if case.panics == Panics::InPoll {
        "panicked"
    } else {
        "ok"
    }
}

fn run(case: Case) {
    let (futures, outputs) = (Drops::default(), Drops::default());
    let shared = Arc::new(Shared::default());
    let executor = Executor::new(case.place);
    let body = Body {
        case,
        shared: shared.clone(),
        outputs: outputs.clone(),
        _future: match case.panics {
            Panics::InDropOfFuture => futures.watch_and_panic(),
            _ => futures.watch(),
        },
    };
    let mut handle = executor.spawn(body);
    let abort = handle.abort_handle();
    *shared.abort.lock().unwrap() = Some(abort.clone());
    if case.aborted == Aborted::AtOnce {
        abort.abort();
    }
    if case.fate == Fate::DroppedWaiting {
        let mut cx = Context::from_waker(Waker::noop());
        // A result that is there already is dropped like any other output.
        if let Poll::Ready(Ok(output)) = Pin::new(&mut handle).poll(&mut cx) {
            drop_quietly(output);
        }
    }
    let mut handle = Some(handle);
    if matches!(case.fate, Fate::DroppedAtOnce | Fate::DroppedWaiting) {
        drop_quietly(handle.take());
    }
    let polls = || *shared.polls.lock().unwrap();
    let asleep = || polls() == 1 && matches!(case.kind, Kind::Sleeps | Kind::Forgotten);
    executor.run_until(|| abort.is_finished() || asleep());
    if case.aborted == Aborted::WhileAsleep {
        abort.abort();
    }
    if case.kind == Kind::Sleeps {
        executor.run_until(|| abort.is_finished() || shared.waker.lock().unwrap().is_some());
        if let Some(waker) = shared.waker.lock().unwrap().take() {
            waker.wake();
        }
    }
    let ends_by_itself = case.kind != Kind::Forgotten
        || matches!(
            case.aborted,
            Aborted::AtOnce | Aborted::DuringFirstPoll | Aborted::WhileAsleep
        );
    if ends_by_itself {
        executor.run_until(|| abort.is_finished());
    }
    drop(executor);
    assert!(abort.is_finished());
    abort.abort();
    if case.fate == Fate::Joined {
        let result = handle.take().unwrap().join();
        let heard = match &result {
            Ok(_) => "ok",
            Err(JoinError::Cancelled) => "cancelled",
            Err(JoinError::Panicked(_)) => "panicked",
            Err(other) => panic!("{other}"),
        };
        if case.place == Where::OneThread {
            assert_eq!(heard, expected(case));
        }
        drop_quietly(result);
    }
    drop_quietly(handle);
    shared.waker.lock().unwrap().take();
    assert_eq!(futures.count(), 1, "the future");
    let made = *shared.outputs_made.lock().unwrap();
    assert!(made <= 1);
    assert_eq!(outputs.count(), made, "the output");
}

/// Drops a value that may panic as it goes.
fn drop_quietly<T>(value: T) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value)));
}

#[test]
fn in_every_case() {
    // Hundreds of panics on purpose: their messages would only hide a real one.
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let failed: Vec<_> = cases()
        .filter_map(|case| {
            let failure = std::panic::catch_unwind(|| run(case)).err()?;
            let message = failure.downcast_ref::<String>().cloned().or_else(|| {
                failure
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
            });
            Some((case, message))
        })
        .collect();
    std::panic::set_hook(shown);
    assert_eq!(cases().count(), 640);
    for (case, message) in &failed {
        eprintln!("{case:?}: {}", message.as_deref().unwrap_or("?"));
    }
    assert!(failed.is_empty(), "{} cases of 640 failed", failed.len());
}
