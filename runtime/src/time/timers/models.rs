//! Loom: registration, cancelling and moving, each against firing. All deadlines have passed: what
//! is explored is who comes first, not what time it is.

use super::*;
use crate::count::Count;
use crate::time::entry::Answer;
use tatkal_executor::Parker;

fn publish(timers: &Timers, waker: Waker) -> Arc<Entry> {
    let mut fresh = Fresh::default();
    let entry = fresh.start(0, waker);
    timers.publish(&mut fresh).unwrap();
    entry
}

/// What the driver does, with a parker for a reactor.
fn turn(timers: &Timers, parker: Option<&mut Parker>) {
    let next = timers.fall_asleep();
    if let (None, Some(parker)) = (next, parker) {
        parker.park();
    }
    timers.fire(&mut Due::default(), &mut Wakes::default());
}

#[test]
fn a_timer_published_while_the_loop_falls_asleep_fires() {
    loom::model(|| {
        let mut parker = Parker::new();
        let timers = Arc::new(Timers::new(Clock::real(), parker.unparker()));
        let (woken, waker) = Count::new();
        let publisher = loom::thread::spawn({
            let timers = timers.clone();
            move || drop(publish(&timers, waker))
        });
        // Ends only if the publisher unparks a loop that sleeps without a deadline.
        while woken.get() == 0 {
            turn(&timers, Some(&mut parker));
        }
        publisher.join().unwrap();
        assert_eq!(woken.get(), 1);
    });
}

#[test]
fn a_timer_is_either_cancelled_or_fired() {
    loom::model(|| {
        let timers = Timers::new(Clock::real(), Waker::noop().clone());
        let (woken, waker) = Count::new();
        let entry = publish(&timers, waker);
        let canceller = loom::thread::spawn(move || entry.cancel().is_some());
        turn(&timers, None);
        let cancelled = canceller.join().unwrap();
        assert_eq!(woken.get(), usize::from(!cancelled));
    });
}

#[test]
fn a_timer_that_moves_while_it_fires_wakes_its_new_task_or_tells_it() {
    loom::model(|| {
        let timers = Timers::new(Clock::real(), Waker::noop().clone());
        let (old, old_waker) = Count::new();
        let (new, new_waker) = Count::new();
        let entry = publish(&timers, old_waker);
        let mover = loom::thread::spawn(move || entry.poll(&new_waker));
        turn(&timers, None);
        let answer = mover.join().unwrap();
        assert_eq!(old.get() + new.get(), 1);
        assert_eq!(new.get() == 1, answer == Answer::TooEarly);
    });
}

#[test]
fn a_timer_on_a_shelf_is_either_stopped_or_fired() {
    loom::model(|| {
        let timers = Arc::new(Timers::new(Clock::real(), Waker::noop().clone()));
        let shelf = timers.new_shelf();
        let (woken, waker) = Count::new();
        let worker = loom::thread::spawn(move || {
            let entry = shelf.start(0, waker);
            // As `stop_timer` does.
            match shelf.stop(entry) {
                Ok(_) => true,
                // It may be on a list that somebody has taken: that is in time, too.
                Err(entry) => {
                    drop(entry.cancel());
                    entry.poll(Waker::noop()) != Answer::Fired
                }
            }
        });
        turn(&timers, None);
        turn(&timers, None);
        let stopped = worker.join().unwrap();
        assert_eq!(woken.get(), usize::from(!stopped));
    });
}

#[test]
fn a_worker_that_falls_asleep_leaves_no_timer_behind() {
    loom::model(|| {
        let mut parker = Parker::new();
        let timers = Arc::new(Timers::new(Clock::real(), parker.unparker()));
        let (woken, waker) = Count::new();
        let worker = loom::thread::spawn({
            let timers = timers.clone();
            move || {
                let shelf = timers.new_shelf();
                drop(shelf.start(0, waker)); // and is not stopped
                timers.publish_shelf(&shelf); // against another that takes it along
                timers.remove_shelf(&shelf);
            }
        });
        // Ends only if whoever publishes unparks a loop that sleeps without a deadline.
        while woken.get() == 0 {
            turn(&timers, Some(&mut parker));
        }
        worker.join().unwrap();
        assert_eq!(woken.get(), 1);
    });
}
