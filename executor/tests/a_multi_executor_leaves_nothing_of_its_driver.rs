//! The driver goes with the last worker, whoever still holds a handle; and workers are asked to
//! pass on what they keep before they sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;
use tatkal_executor::{Driver, MultiBuilder, Parker};

/// A parker that notes its own end.
struct Mortal {
    parker: Parker,
    gone: Arc<AtomicBool>,
}

impl Driver for Mortal {
    fn park(&mut self, limit: Option<Duration>) {
        Driver::park(&mut self.parker, limit);
    }

    fn unparker(&self) -> Waker {
        self.parker.unparker()
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
    }
}

fn mortal() -> (Mortal, Arc<AtomicBool>) {
    let gone = Arc::new(AtomicBool::new(false));
    let driver = Mortal {
        parker: Parker::new(),
        gone: gone.clone(),
    };
    (driver, gone)
}

#[test]
fn the_driver_is_gone_after_the_drop_although_a_handle_lives() {
    let (driver, gone) = mortal();
    let executor = MultiBuilder::new(2).build(driver).unwrap();
    let handle = executor.handle();
    executor.block_on(async {});
    drop(executor);
    assert!(gone.load(Ordering::SeqCst));
    assert!(handle.spawn(async {}).join().unwrap_err().is_cancelled());
}

#[test]
fn the_driver_is_gone_after_a_shutdown_that_was_in_time() {
    let (driver, gone) = mortal();
    let executor = MultiBuilder::new(2).build(driver).unwrap();
    executor.shutdown_timeout(Duration::MAX).unwrap();
    assert!(gone.load(Ordering::SeqCst));
}

#[test]
fn a_worker_is_asked_to_pass_things_on_before_it_sleeps() {
    let asked = Arc::new(AtomicUsize::new(0));
    let executor = MultiBuilder::new(1)
        .on_thread_park({
            let asked = asked.clone();
            move || {
                asked.fetch_add(1, Ordering::SeqCst);
            }
        })
        .build(Parker::new())
        .unwrap();
    for _ in 0..3 {
        let before = asked.load(Ordering::SeqCst);
        executor.handle().spawn(async {}).join().unwrap();
        while asked.load(Ordering::SeqCst) == before {
            std::thread::yield_now(); // it goes to sleep soon; a hang here is the failure
        }
    }
}
