//! The future of `block_on` is one among the tasks: when it yields, they run, and what other
//! threads hand over runs too.

use std::cell::Cell;
use std::rc::Rc;
use tatkal_executor::{LocalExecutor, spawn_local, yield_now};

#[test]
fn tasks_run_while_the_main_future_only_yields() {
    LocalExecutor::default().block_on(async {
        let done = Rc::new(Cell::new(0));
        for _ in 0..200 {
            let done = done.clone();
            spawn_local(async move { done.set(done.get() + 1) }).detach();
        }
        // Bounded: a main future that starves the tasks fails here and does not hang.
        let mut yields = 0;
        while done.get() < 200 && yields < 200 {
            yield_now().await;
            yields += 1;
        }
        assert_eq!(done.get(), 200);
    });
}

#[test]
fn work_from_another_thread_arrives_while_the_main_future_only_yields() {
    let executor = LocalExecutor::default();
    let handle = executor.handle();
    executor.block_on(async {
        let task = std::thread::spawn(move || handle.spawn(async {}))
            .join()
            .unwrap();
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(task.is_finished());
    });
}
