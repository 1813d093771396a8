//! The promise of the `Executor` trait and of the one handle: the same program runs in every mode
//! and gives the same results; handles of all modes mix.

mod support;

use serde::{Deserialize, Serialize};
use std::cell::Cell;
use support::{is_dead, nap, naps, pool, until};
use tatkal_executor::{
    Executor, JoinError, LocalExecutor, Sequential, Shutdown, TaskGroup, ThreadPool, Until,
    as_completed, spawn, wait,
};

tests![
    map_gives_the_same_results_in_every_mode,
    a_panic_is_one_failed_item_in_every_mode,
    an_endless_input_is_fine_in_every_mode,
    after_shutdown_every_mode_reports_closed,
    handles_of_all_modes_mix,
    a_group_of_all_modes_ends_together,
];

/// Calls a generic function with each mode: the functions below are the "same program".
macro_rules! in_every_mode {
    ($program:ident) => {
        $program(&Sequential::new());
        $program(&ThreadPool::new(3));
        $program(&pool(2));
    };
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Flag {
    name: String,
    bytes: Vec<u8>,
}

fn download(name: String) -> Flag {
    let bytes = name.bytes().rev().collect();
    Flag { name, bytes }
}

const COUNTRIES: [&str; 5] = ["yemen", "zambia", "vietnam", "venezuela", "ukraine"];

fn map_gives_the_same_results_in_every_mode() {
    fn program(executor: &impl Executor) {
        let names = COUNTRIES.map(str::to_owned);
        let expected: Vec<_> = names.iter().cloned().map(download).collect();
        let flags: Vec<_> = executor.map(download, names).map(Result::unwrap).collect();
        assert_eq!(flags, expected);
        assert!(executor.workers() >= 1);
    }
    in_every_mode!(program);
}

fn a_panic_is_one_failed_item_in_every_mode() {
    fn odd_panics(n: u32) -> u32 {
        assert!(n.is_multiple_of(2), "{n} is odd");
        n
    }
    fn program(executor: &impl Executor) {
        for (n, result) in (0..6).zip(executor.map(odd_panics, 0..6)) {
            match result {
                Ok(value) => assert_eq!((value, n % 2), (n, 0)),
                Err(JoinError::Panicked(report)) => {
                    assert!(
                        report.message().contains(&format!("{n} is odd")),
                        "{report:?}"
                    );
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    in_every_mode!(program);
}

fn an_endless_input_is_fine_in_every_mode() {
    fn program(executor: &impl Executor) {
        let taken = Cell::new(0);
        let endless = (0_u64..).inspect(|_| taken.set(taken.get() + 1));
        let mut doubled = executor.map(|n: u64| 2 * n, endless).window(3);
        for n in 0..20 {
            assert_eq!(doubled.next().unwrap().unwrap(), 2 * n);
            assert_eq!(
                taken.get(),
                n + 3,
                "the window bounds how far it runs ahead"
            );
        }
    }
    in_every_mode!(program);
}

fn after_shutdown_every_mode_reports_closed() {
    fn program(executor: &impl Executor) {
        let before = executor.submit(download, "oman".to_owned());
        executor.shutdown(Shutdown::finish());
        executor.shutdown(Shutdown::cancel());
        assert_eq!(before.join().unwrap().name, "oman");
        let after = executor.submit(download, "iran".to_owned());
        assert!(matches!(after.join(), Err(JoinError::Closed)));
    }
    in_every_mode!(program);
}

fn handles_of_all_modes_mix() {
    let (threads, processes) = (ThreadPool::new(1), pool(1));
    LocalExecutor::default().block_on(async {
        let mut handles = vec![
            Sequential::new().submit(download, "chad".to_owned()),
            Executor::submit(&threads, download, "mali".to_owned()),
            processes.submit(download, "peru".to_owned()),
            spawn(async { download("cuba".to_owned()) }),
            processes.submit(|_: ()| -> Flag { std::process::exit(3) }, ()),
        ];
        let failed = wait(&mut handles, Until::FirstError).await;
        assert!(failed.done.contains(&4));
        let mut results = as_completed(handles).into_stream();
        let mut names = vec![String::new(); 5];
        while let Some((place, result)) = results.next().await {
            names[place] = match result {
                Ok(flag) => flag.name,
                Err(JoinError::WorkerDied(exit)) => format!("exit {}", exit.code.unwrap()),
                Err(error) => panic!("{error:?}"),
            };
        }
        assert_eq!(names, ["chad", "mali", "peru", "cuba", "exit 3"]);
    });
}

/// A process job that sleeps for an hour is killed, since another member failed.
fn a_group_of_all_modes_ends_together() {
    fn sleep_for_an_hour((): ()) -> Result<u32, String> {
        Ok(nap(3600))
    }
    let (threads, processes) = (ThreadPool::new(1), pool(1));
    let worker = processes.submit(|()| std::process::id(), ()).join();
    let worker = worker.unwrap();
    let failed = LocalExecutor::default().block_on(TaskGroup::scope(async |mut group| {
        group.insert(processes.submit(sleep_for_an_hour, ()));
        group.insert(threads.submit(|| Ok(7)));
        group.spawn(std::future::pending());
        assert_eq!(group.join_next().await, Some(7));
        until("it sleeps", || naps(worker));
        group.insert(Sequential::new().submit(|()| Err("stop".to_owned()), ()));
        group.join_next().await;
        Ok(())
    }));
    assert_eq!(failed.unwrap_err().into_first().returned().unwrap(), "stop");
    until("its worker is gone", || is_dead(worker));
}
