//! A hierarchical timer wheel that never turns back and never looks at an empty slot.
//!
//! ```text
//!   deadline in ticks, in base 64:     7 . 12 . 33        elapsed:  7 . 12 . 05
//!                                      |    |    |
//!   level 2  [ . . . 9 . . . ]        same same  first digit that differs is digit 0
//!   level 1  [ . . 30 . 44 . ]                   -> level 0, slot 33
//!   level 0  [ . 05 . 33 . . ]
//! ```
//!
//! An item goes to the level of the highest base-64 digit in which its tick differs from the
//! `elapsed` tick, in the slot that this digit names. Two things follow, and they are all there is
//! to know:
//!
//! Holds     I1 all items of a level come before all items of the levels above, and within a level
//!              slots are in order. So the first item is in the first occupied slot of the lowest
//!              occupied level: two bit scans.
//!           I2 moving `elapsed` on keeps every item in its place as long as no slot's start is
//!              passed; a slot whose start has come is emptied, and its items, which now share one
//!              more digit with `elapsed`, go down (**cascade**) or are due.
//! Owns      plain vectors: an item moves at most once per level, by a push. Nothing is unlinked
//!           when a timer is cancelled; `retain` sweeps now and then (`timers.rs` says when).
//! Precision slots are a tick wide, but keep each exact deadline: a tick orders items into slots,
//!           it does not round them. Next wake-up = the exact earliest deadline of the first slot;
//!           only where a slot is crowded is it the slot's end.
//! Cost      insert O(1); each item cascades at most seven times, usually once. 16 KiB when empty.
//! Source    Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987); that levels are
//!           chosen by the highest differing digit makes it a radix heap (Ahuja et al., 1990).
//!           Next: `entry.rs`.

/// A tick is 2^16 ns, about 66 us. Short enough that firing a crowded slot at its end keeps the
/// mean lateness around half of that; long enough that a crowd costs 15,000 wake-ups a second at
/// the very most.
const TICK_BITS: u32 = 16;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Enough levels for every deadline in 64 bits of nanoseconds: no overflow list.
const LEVELS: usize = ((u64::BITS - TICK_BITS) / SLOT_BITS) as usize;
/// A slot with more items than this fires at its end, all at once, and no longer item by item.
const CROWD: usize = 4;
/// An emptied slot keeps its memory up to this many items, so that a steady load allocates nothing.
const KEPT_CAPACITY: usize = 64;

pub(crate) struct Wheel<T> {
    /// The tick up to which slots have been emptied.
    elapsed: u64,
    /// `LEVELS` of them.
    levels: Vec<Level<T>>,
    len: usize,
}

struct Level<T> {
    /// Bit n: slot n has items.
    occupied: u64,
    slots: [Slot<T>; SLOTS],
}

struct Slot<T> {
    /// The least deadline of its items, or of items that were here when it was last empty.
    earliest: u64,
    items: Vec<(u64, T)>,
}

fn tick_of(nanos: u64) -> u64 {
    nanos >> TICK_BITS
}

/// The level of `tick`, seen from `elapsed`: the highest digit in which they differ.
fn level_of(tick: u64, elapsed: u64) -> usize {
    ((tick ^ elapsed) | 1).ilog2() as usize / SLOT_BITS as usize
}

fn digit(tick: u64, level: usize) -> usize {
    (tick >> (SLOT_BITS as usize * level)) as usize & (SLOTS - 1)
}

impl<T> Wheel<T> {
    /// An empty wheel at time 0.
    pub(crate) fn new() -> Self {
        let slot = |_: usize| Slot {
            earliest: u64::MAX,
            items: Vec::new(),
        };
        let level = |_: usize| Level {
            occupied: 0,
            slots: std::array::from_fn(slot),
        };
        Self {
            elapsed: 0,
            levels: (0..LEVELS).map(level).collect(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds an item that is due at `deadline`. One in the past is due at the next `advance`.
    pub(crate) fn insert(&mut self, deadline: u64, item: T) {
        self.len += 1;
        self.place(deadline, item);
    }

    fn place(&mut self, deadline: u64, item: T) {
        let tick = tick_of(deadline).max(self.elapsed);
        let level = &mut self.levels[level_of(tick, self.elapsed)];
        let index = digit(tick, level_of(tick, self.elapsed));
        level.occupied |= 1 << index;
        let slot = &mut level.slots[index];
        slot.earliest = slot.earliest.min(deadline);
        slot.items.push((deadline, item));
    }

    /// When to look again. Never later than a tick after the first deadline; `None` if empty.
    pub(crate) fn next(&self) -> Option<u64> {
        let (level, index) = self.first()?;
        let slot = &self.levels[level].slots[index];
        if level == 0 && slot.items.len() > CROWD {
            let end = (self.start(level, index) + 1) << TICK_BITS;
            // Zero: the last tick there is ends where the numbers do.
            return Some(if end == 0 { u64::MAX } else { end });
        }
        Some(slot.earliest)
    }

    /// Takes out what is due at `now`, in the order of the deadlines.
    pub(crate) fn advance(&mut self, now: u64, due: &mut Vec<(u64, T)>) {
        let now_tick = tick_of(now);
        let already = due.len();
        while let Some((level, index)) = self.first() {
            let start = self.start(level, index);
            if start > now_tick {
                break;
            }
            self.elapsed = self.elapsed.max(start); // I2
            let mut items = self.take(level, index);
            if level > 0 {
                for (deadline, item) in items.drain(..) {
                    self.place(deadline, item);
                }
            } else {
                let is_due = |(deadline, _): &mut (u64, T)| *deadline <= now;
                due.extend(items.extract_if(.., is_due));
            }
            let later = !items.is_empty();
            self.give_back(level, index, items);
            if later {
                break; // The current tick's slot, and these are due later in it.
            }
        }
        self.elapsed = self.elapsed.max(now_tick);
        self.len -= due.len() - already;
        due[already..].sort_by_key(|(deadline, _)| *deadline);
    }

    /// Keeps the items that `keep` says yes to.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.len = 0;
        for level in 0..LEVELS {
            let mut occupied = self.levels[level].occupied;
            while occupied != 0 {
                let index = occupied.trailing_zeros() as usize;
                occupied &= occupied - 1; // the lowest bit goes out
                let mut items = self.take(level, index);
                items.retain(|(_, item)| keep(item));
                self.len += items.len();
                self.give_back(level, index, items);
            }
        }
    }

    /// The first occupied slot of the lowest occupied level. (I1)
    fn first(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        Some((level, self.levels[level].occupied.trailing_zeros() as usize))
    }

    /// The first tick of a slot: the digits of `elapsed` above it, its own, zeros below.
    fn start(&self, level: usize, index: usize) -> u64 {
        let shift = SLOT_BITS as usize * level;
        let above = self.elapsed >> shift >> SLOT_BITS << SLOT_BITS;
        (above | index as u64) << shift
    }

    fn take(&mut self, level: usize, index: usize) -> Vec<(u64, T)> {
        let level = &mut self.levels[level];
        level.occupied &= !(1 << index);
        level.slots[index].earliest = u64::MAX;
        std::mem::take(&mut level.slots[index].items)
    }

    fn give_back(&mut self, level: usize, index: usize, mut items: Vec<(u64, T)>) {
        let level = &mut self.levels[level];
        if items.is_empty() {
            items.shrink_to(KEPT_CAPACITY);
        } else {
            level.occupied |= 1 << index;
        }
        let slot = &mut level.slots[index];
        slot.earliest = items.iter().map(|item| item.0).min().unwrap_or(u64::MAX);
        slot.items = items;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const TICK: u64 = 1 << TICK_BITS;

    fn due(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.advance(now, &mut due);
        due.into_iter().map(|(_, item)| item).collect()
    }

    /// Small, seeded, and good enough: numbers that reach every level.
    fn random(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    #[test]
    fn nothing_is_due_a_nanosecond_early_and_everything_on_time() {
        for bits in 0..64 {
            let deadline = 1_u64 << bits;
            let mut wheel = Wheel::new();
            wheel.insert(deadline, 1);
            assert_eq!(wheel.next(), Some(deadline));
            assert_eq!(due(&mut wheel, deadline - 1), []);
            assert_eq!(wheel.next(), Some(deadline), "after an early look");
            assert_eq!(due(&mut wheel, deadline), [1]);
            assert_eq!((wheel.next(), wheel.len()), (None, 0));
        }
    }

    #[test]
    fn the_past_is_due_at_once_and_the_end_of_time_is_in_range() {
        let mut wheel = Wheel::new();
        assert_eq!(due(&mut wheel, 1_000_000_000), []);
        wheel.insert(0, 1);
        wheel.insert(u64::MAX, 2);
        assert_eq!(wheel.next(), Some(0));
        assert_eq!(due(&mut wheel, 1_000_000_000), [1]);
        assert_eq!(wheel.next(), Some(u64::MAX));
        assert_eq!(due(&mut wheel, u64::MAX), [2]);
    }

    #[test]
    fn a_crowd_in_one_tick_fires_together_at_its_end() {
        let mut wheel = Wheel::new();
        for item in 0..=CROWD as u32 {
            wheel.insert(10 * TICK + u64::from(item), item);
        }
        // One level up they are not looked at yet: wake for the first, find the crowd.
        wheel.advance(10 * TICK - 1, &mut Vec::new());
        assert_eq!(wheel.next(), Some(11 * TICK));
        assert_eq!(due(&mut wheel, 11 * TICK), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_is_due_later_in_the_current_tick_stays() {
        let mut wheel = Wheel::new();
        wheel.insert(TICK + 10, 1);
        wheel.insert(TICK + 20, 2);
        assert_eq!(due(&mut wheel, TICK + 10), [1]);
        assert_eq!(wheel.next(), Some(TICK + 20));
        wheel.insert(TICK + 15, 3); // into the tick that is being emptied
        assert_eq!(wheel.next(), Some(TICK + 15));
        assert_eq!(due(&mut wheel, TICK + 20), [3, 2]);
    }

    #[test]
    fn a_sweep_keeps_what_it_is_told_to_and_corrects_the_next_wake_up() {
        let mut wheel = Wheel::new();
        for item in 0..100 {
            wheel.insert(u64::from(item) * 100 * TICK, item);
        }
        wheel.retain(|item| item % 10 == 5);
        assert_eq!(wheel.len(), 10);
        assert_eq!(wheel.next(), Some(500 * TICK));
        assert_eq!(
            due(&mut wheel, u64::MAX),
            [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
        );
    }

    #[test]
    fn it_agrees_with_a_sorted_list() {
        let mut seed = 0x9E37_79B9_7F4A_7C15;
        for _ in 0..200 {
            let mut wheel = Wheel::new();
            let mut model: Vec<(u64, u32)> = Vec::new();
            let mut now = 0;
            for item in 0..200 {
                let reach = random(&mut seed) % 45;
                let deadline = now + (random(&mut seed) & ((1 << reach) - 1));
                wheel.insert(deadline, item);
                model.push((deadline, item));
                if random(&mut seed).is_multiple_of(3) {
                    now += random(&mut seed) & ((1 << (random(&mut seed) % 45)) - 1);
                    model.sort_by_key(|(deadline, _)| *deadline);
                    let split = model.partition_point(|(deadline, _)| *deadline <= now);
                    let expected: Vec<u64> = model.drain(..split).map(|item| item.0).collect();
                    let mut got = Vec::new();
                    wheel.advance(now, &mut got);
                    let got: Vec<u64> = got.into_iter().map(|item| item.0).collect();
                    assert_eq!(got, expected);
                    assert_eq!(wheel.len(), model.len());
                    let first = model.first().map(|item| item.0);
                    let next = wheel.next();
                    assert!(
                        next >= first && next <= first.map(|at| at | (TICK - 1)).map(|at| at + 1)
                    );
                }
            }
        }
    }
}
