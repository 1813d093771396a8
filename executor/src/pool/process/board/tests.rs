//! Board and worker at one table: what crosses, who wins, and what nonsense can do.

use super::*;

fn pair() -> (Board, Board) {
    let (pool, [file, pillow]) = Board::create().unwrap();
    let worker = Board::open(&file, pillow).unwrap();
    (pool, worker)
}

fn bytes(length: usize, seed: u64) -> Payload {
    Payload::Bytes((0..length).map(|at| (at as u64 * 7 + seed) as u8).collect())
}

#[test]
fn a_late_reader_does_not_hide_that_a_later_result_was_read() {
    let (pool, worker) = pair();
    let board = Arc::new(pool);
    let [first, later] = [1, 1 + SLOTS as u64].map(|number| Loan {
        board: board.clone(),
        number,
    });
    drop(later);
    drop(first);
    assert!(worker.is_read(1 + SLOTS as u64));
}

#[test]
fn arguments_and_results_of_every_length_cross() {
    let (pool, worker) = pair();
    let lengths = [0, 1, INLINE - 1, INLINE, INLINE + 1, 5000, BODY];
    for (number, length) in (1..).zip(lengths.into_iter().cycle().take(3 * SLOTS)) {
        assert_eq!(worker.next(number), Turn::Nothing);
        pool.offer(number, number * 3, &bytes(length, number));
        let turn = Turn::Mine {
            entry: number * 3,
            length,
        };
        assert_eq!(worker.next(number), turn);
        let Payload::Bytes(expected) = bytes(length, number) else {
            unreachable!()
        };
        assert_eq!(worker.argument(number, length), expected);
        assert_eq!(pool.look(number), Look::NotYet);
        assert!(pool.was_begun(number) && !pool.withdraw(number));
        let took = Duration::from_nanos(number);
        worker.answer(number, Kind::Done, &bytes(length, number + 1), took);
        assert_eq!(
            pool.look(number),
            Look::Answered {
                kind: Kind::Done,
                length,
                took
            }
        );
        let Payload::Bytes(expected) = bytes(length, number + 1) else {
            unreachable!()
        };
        assert_eq!(pool.copy_out(number, length), expected);
    }
}

#[test]
fn a_job_is_claimed_or_withdrawn_but_never_both() {
    let (pool, worker) = pair();
    for number in 1..=3 * SLOTS as u64 {
        pool.offer(number, 0, &bytes(0, 0));
        if number % 3 == 0 {
            assert!(matches!(worker.next(number), Turn::Mine { .. }));
            assert!(!pool.withdraw(number));
        } else {
            assert!(pool.withdraw(number));
            assert_eq!(worker.next(number), Turn::Over);
        }
        assert_eq!(pool.was_begun(number), number % 3 == 0);
    }
}

#[test]
fn a_worker_far_behind_passes_over_what_is_over() {
    let (pool, worker) = pair();
    for number in 1..=2 * SLOTS as u64 {
        pool.offer(number, 0, &bytes(0, 0));
        assert!(pool.withdraw(number));
    }
    let last = 2 * SLOTS as u64 + 1;
    pool.offer(last, 9, &bytes(0, 0));
    for number in 1..last {
        assert_eq!(worker.next(number), Turn::Over, "{number}");
    }
    assert_eq!(
        worker.next(last),
        Turn::Mine {
            entry: 9,
            length: 0
        }
    );
}

#[test]
fn one_of_two_racers_wins_every_job() {
    let (pool, worker) = pair();
    for number in 1..=2_000 {
        pool.offer(number, 0, &bytes(0, 0));
        let claim = || matches!(worker.next(number), Turn::Mine { .. });
        let wins = std::thread::scope(|scope| {
            let claim = scope.spawn(claim);
            [pool.withdraw(number), claim.join().unwrap()]
        });
        assert!(wins[0] != wins[1], "job {number}: {wins:?}");
    }
}

/// L3: a worker that writes anything anywhere cannot make the pool read what is not there.
#[test]
fn whatever_is_written_here_is_an_answer_or_nonsense() {
    let (pool, worker) = pair();
    let mut dice = 0x5eed_u64;
    let mut roll = move || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    let mut seen = [0; 3];
    for _ in 0..20_000 {
        let number = 1 + roll() % (2 * SLOTS as u64);
        let slot = worker.slot(number);
        // Plausible values, or the walk would hardly ever get past the first check.
        let kind = if roll() % 2 == 0 {
            roll() as u32
        } else {
            (roll() % 8) as u32
        };
        slot.kind.store(kind, Ordering::Relaxed);
        slot.length
            .store((roll() >> (32 + roll() % 32)) as u32, Ordering::Relaxed);
        slot.took_ns.store(roll(), Ordering::Relaxed);
        match roll() % 3 {
            0 if roll() % 2 == 0 => slot.word.offer(number),
            0 => slot.word.offer(roll() >> 2),
            _ => slot.word.answer(number),
        }
        match pool.look(number) {
            Look::NotYet => seen[0] += 1,
            Look::Nonsense => seen[1] += 1,
            Look::Answered { length, .. } => {
                assert!(length <= MAX_PAYLOAD);
                if length <= BODY {
                    assert_eq!(pool.copy_out(number, length).len(), length);
                }
                seen[2] += 1;
            }
        }
        pool.withdraw(number);
        pool.was_begun(number);
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}
