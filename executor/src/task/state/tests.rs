//! Every state that a task can reach, by every order of transitions, with I1 to I5 checked in each.
//!
//! Beside the word stands a ghost that counts what really exists: runnables, wakers, handles, the
//! owner of RUNNING, what is in the stage. From a new task on, every step that any holder could
//! take next is taken, until no new state turns up. Transitions are atomic, so all interleavings
//! of them are all interleavings there are (what lies between them is loom's job).

mod ghost;

use ghost::{Ghost, Owner, Stage};
use std::collections::{BTreeMap, VecDeque};

/// Explores everything that is reachable; gives every state with the steps that lead there.
fn explore(owner: Owner) -> BTreeMap<Ghost, Option<(&'static str, Ghost)>> {
    let start = Ghost::new(owner);
    let mut seen = BTreeMap::from([(start, None)]);
    let mut queue = VecDeque::from([start]);
    while let Some(ghost) = queue.pop_front() {
        let checked = std::panic::catch_unwind(|| {
            ghost.check(owner);
            ghost.steps(owner)
        });
        let Ok(steps) = checked else {
            print_path(&seen, ghost);
            panic!("{owner:?}: see the steps above");
        };
        for (name, next) in steps {
            seen.entry(next).or_insert_with(|| {
                queue.push_back(next);
                Some((name, ghost))
            });
        }
    }
    seen
}

/// The shortest way to a state, for whoever broke it.
fn print_path(seen: &BTreeMap<Ghost, Option<(&'static str, Ghost)>>, mut ghost: Ghost) {
    let mut path = Vec::new();
    while let Some((name, before)) = seen[&ghost] {
        path.push(format!("{name:30} -> {:?}", ghost.snapshot()));
        ghost = before;
    }
    for line in path.iter().rev() {
        eprintln!("{line}");
    }
}

fn owners() -> impl Iterator<Item = Owner> {
    let bits = |owner: u8| Owner {
        listed: owner & 1 != 0,
        in_place: owner & 2 != 0,
        at_home: owner & 4 != 0,
    };
    // Whoever cancels in place may be any thread.
    (0..8)
        .map(bits)
        .filter(|owner| !(owner.in_place && owner.at_home))
}

#[test]
fn no_order_of_transitions_breaks_an_invariant() {
    for owner in owners() {
        let seen = explore(owner);
        assert!(seen.len() > 500, "{owner:?}: only {} states", seen.len());
        // Some way leads to each end, so the exploration did not stop short of one.
        assert!(seen.keys().any(|g| g.freed && g.snapshot().is_complete()));
        assert!(seen.keys().any(|g| g.snapshot().is_cancelled()));
    }
}

#[test]
fn every_task_can_come_to_its_end_from_every_state() {
    // Backwards from the freed states: whoever cannot be reached has lost a reference.
    for owner in owners() {
        let seen = explore(owner);
        let mut before: BTreeMap<Ghost, Vec<Ghost>> = BTreeMap::new();
        for ghost in seen.keys() {
            for (_, next) in ghost.steps(owner) {
                before.entry(next).or_default().push(*ghost);
            }
        }
        let mut queue: Vec<_> = seen.keys().filter(|g| g.freed).copied().collect();
        let mut ending: std::collections::BTreeSet<_> = queue.iter().copied().collect();
        while let Some(ghost) = queue.pop() {
            for earlier in before.get(&ghost).into_iter().flatten() {
                if ending.insert(*earlier) {
                    queue.push(*earlier);
                }
            }
        }
        assert_eq!(ending.len(), seen.len(), "{owner:?}");
    }
}

#[test]
fn complete_is_final_and_cancelled_stays() {
    for owner in owners() {
        for ghost in explore(owner).keys() {
            for (name, next) in ghost.steps(owner) {
                let (word, after) = (ghost.snapshot(), next.snapshot());
                assert!(
                    !word.is_complete() || after.is_complete(),
                    "{name}: {ghost:?}"
                );
                assert!(
                    !word.is_cancelled() || after.is_cancelled(),
                    "{name}: {ghost:?}"
                );
                let interest = word.has_join_interest() || !after.has_join_interest();
                assert!(interest, "{name}: a handle out of nothing: {ghost:?}");
            }
        }
    }
}

#[test]
fn a_task_without_a_list_that_everybody_forgot_is_freed_with_its_future() {
    let owner = Owner {
        in_place: false,
        listed: false,
        at_home: false,
    };
    let forgotten = explore(owner)
        .into_keys()
        .any(|g| g.freed && !g.snapshot().is_complete() && g.stage == Stage::Empty);
    assert!(forgotten, "polled, pending, and no waker was kept");
    // With a list that cannot be: its reference goes only as the task completes.
    let listed = Owner {
        listed: true,
        ..owner
    };
    assert!(
        explore(listed)
            .into_keys()
            .all(|g| !g.freed || g.snapshot().is_complete())
    );
}
