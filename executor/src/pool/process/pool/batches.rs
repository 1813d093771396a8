//! `map` over processes: many short items in one job.
//!
//! ```text
//!   items ──> gathering ──> [ sent 3 | sent 3 | sent 3 ] ──join──> ready ──> results, in input order
//!              parcel            at most `window` items              |
//!                                  ^ rest: what has not begun of it ─+
//! ```
//!
//! How many go together follows from how long the last ones took: as many as take `TARGET`. It starts
//! with one, which is an ordinary job, and so long items never share one. Should the items become
//! longer all at once, the one at the front is out for long: then the pool is asked to take the
//! parcels apart that take so long (`Crew::relieve`).
//!
//! Only on the usual terms: a time limit, another try, and what else is agreed by jobs (a worker's
//! stay, its CPU time) mean each item by itself, and so each is then a job.
//!
//! Holds     N1 results in the order of the items, whatever fails; N2 at most `window` items are
//!           taken whose results were not given; N3 a panic of the items leaves what was gathered
//!           where it is.
//! Cost      a job for each parcel; for each item its encoding, and a place in a vector.
//! Source    CPython's `multiprocessing.Pool.map` (`chunksize`, there fixed by the length of the
//!           input). Next: `jobs.rs`.

use super::ProcessPool;
use crate::error::{Crossing, JoinError};
use crate::pool::executor::{Batches, Portable};
use crate::pool::process::chunk::{Opened, Sent};
use crate::pool::process::parcel::Parcel;
use crate::pool::process::policy::Terms;
use crate::pool::process::wire::BODY;
use crate::sync::lock;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::time::{Duration, Instant};
use std::vec;

/// How long the items of a parcel are to take together. Far more than handing it over costs, and
/// little enough to wait for.
const TARGET: Duration = Duration::from_micros(100);

/// Into a parcel this long no further item goes, so that most fit into a slot; and so long may
/// their arguments and results be together for more to go into one.
const FULL: usize = BODY / 2;

/// How many items are in flight for each worker, when they are short: four parcels of the size that
/// items which do nothing get.
const WINDOW_PER_WORKER: usize = 4096;

/// How many parcels are in flight for each worker: one that it is at, one behind, and those whose
/// results are on their way.
const PARCELS_PER_WORKER: usize = 4;

/// While items go one by one, so many are in flight for each worker, unless the map has a window of
/// its own: what a worker does while a sleeping process is being woken, when they do nothing.
const EAGER_PER_WORKER: usize = 64;

/// After so long at the front, the pool is asked to help. More than a busy machine makes a short
/// parcel wait.
const PATIENCE: Duration = Duration::from_millis(10);

/// After each of so many items it is looked whether they come slowly.
const GLANCE: usize = 8;

/// See the file head.
pub(super) struct ParcelBatches<'pool, F, A, R> {
    pool: &'pool ProcessPool,
    function: F,
    workers: usize,
    ready: vec::IntoIter<Result<R, JoinError>>,
    out: VecDeque<Batch<R>>,
    /// How many items `out` stands for.
    items_out: usize,
    gathering: Parcel,
    /// How many items go together.
    size: usize,
    argument: PhantomData<fn(A)>,
}

enum Batch<R> {
    Sent(Sent<R>),
    /// An item that could not be encoded.
    Failed(JoinError),
}

impl ProcessPool {
    pub(super) fn default_window_on(&self, terms: Terms) -> usize {
        let each = match self.is_usual(terms) {
            true => WINDOW_PER_WORKER,
            false => EAGER_PER_WORKER,
        };
        self.workers().saturating_mul(each)
    }

    /// How a `map` on these terms hands over its items, if not one by one.
    pub(super) fn batches_on<F, A, R>(
        &self,
        terms: Terms,
        function: F,
    ) -> Option<Box<dyn Batches<A, R> + '_>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        let batches = || Box::new(ParcelBatches::new(self, function)) as _;
        self.is_usual(terms).then(batches)
    }

    /// A map has waited for long.
    fn relieve(&self) {
        if self.shared.change(|crew, out| crew.relieve(out)) {
            self.shared.ring();
        }
    }

    /// Is there nothing that is agreed for each job by itself?
    fn is_usual(&self, terms: Terms) -> bool {
        terms == Terms::default() && !lock(&self.shared.crew).counts_jobs()
    }
}

impl<'pool, F, A, R> ParcelBatches<'pool, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Portable,
    R: Portable,
{
    fn new(pool: &'pool ProcessPool, function: F) -> Self {
        ParcelBatches {
            pool,
            function,
            workers: pool.workers(),
            ready: Vec::new().into_iter(),
            out: VecDeque::new(),
            items_out: 0,
            gathering: Parcel::default(),
            size: 1,
            argument: PhantomData,
        }
    }

    /// Sends items until the window is full or they have ended.
    fn fill(&mut self, items: &mut dyn Iterator<Item = A>, window: usize) {
        let most = (window / (PARCELS_PER_WORKER * self.workers)).max(1);
        let ahead = match window == self.workers.saturating_mul(WINDOW_PER_WORKER) {
            true => EAGER_PER_WORKER * self.workers,
            false => window,
        };
        loop {
            let size = self.size.min(most);
            let out = self.items_out + self.ready.len() + size.max(self.gathering.items);
            let is_enough = out > ahead && self.out.len() >= PARCELS_PER_WORKER * self.workers;
            if out > window || is_enough {
                return;
            }
            let goes_on = match size {
                1 if self.gathering.items == 0 => self.send_next(items),
                _ => self.send_several(items, size),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// False: the items have ended.
    fn send_next(&mut self, items: &mut dyn Iterator<Item = A>) -> bool {
        let Some(item) = items.next() else {
            return false;
        };
        let sent = self.pool.submit_item(self.function, &item);
        self.push(1, Batch::Sent(sent));
        true
    }

    /// False: the items have ended.
    fn send_several(&mut self, items: &mut dyn Iterator<Item = A>, size: usize) -> bool {
        let begin = Instant::now();
        let (mut encode_ns, mut goes_on) = (0, true);
        while self.gathering.items < size && self.gathering.bytes.len() < FULL {
            let Some(item) = items.next() else {
                goes_on = false;
                break;
            };
            let start_ns = self.pool.clock_ns();
            let added = self.gathering.add(&item);
            encode_ns += self.pool.clock_ns() - start_ns;
            if let Err(reason) = added {
                self.send_gathered(encode_ns);
                let (crossing, reason) = (Crossing::EncodeArgument, reason.into_boxed_str());
                self.push(1, Batch::Failed(JoinError::Codec { crossing, reason }));
                return true;
            }
            // Those that come slowly are not held back for one another.
            let count = self.gathering.items;
            if count.is_multiple_of(GLANCE) && begin.elapsed() > TARGET {
                self.size = count / 2;
                break;
            }
        }
        if self.gathering.bytes.len() > BODY && self.gathering.items > 1 {
            let last = self.gathering.split_last();
            self.send_gathered(encode_ns);
            self.gathering = last;
        }
        self.send_gathered(encode_ns);
        goes_on
    }

    fn send_gathered(&mut self, encode_ns: u64) {
        let items = self.gathering.items;
        if items > 0 {
            let parcel = std::mem::take(&mut self.gathering);
            let sent = self
                .pool
                .submit_parcel::<F, A, R>(self.function, parcel, encode_ns);
            self.push(items, Batch::Sent(sent));
        }
    }

    fn push(&mut self, items: usize, batch: Batch<R>) {
        self.items_out += items;
        self.out.push_back(batch);
    }

    /// How long to wait for the one at the front before the pool is asked to help.
    fn patience(&self) -> Duration {
        let is_here = |batch: &Batch<R>| match batch {
            Batch::Sent(sent) => sent.handle.is_finished(),
            Batch::Failed(_) => true,
        };
        let in_parcels = |batch: &Batch<R>| matches!(batch, Batch::Sent(sent) if sent.items > 1);
        match self.out.front().is_none_or(is_here) || !self.out.iter().any(in_parcels) {
            true => Duration::MAX,
            false => PATIENCE,
        }
    }

    /// Waits for the batch at the front. None: there is none.
    fn take_front(&mut self) -> Option<()> {
        loop {
            let patience = self.patience();
            let results = match self.out.front_mut()? {
                Batch::Failed(_) => None,
                Batch::Sent(sent) => match sent.handle.join_timeout(patience) {
                    Some(opened) => Some(opened),
                    None => {
                        self.pool.relieve();
                        continue;
                    }
                },
            };
            let batch = self.out.pop_front()?;
            self.ready = match (batch, results) {
                (Batch::Failed(error), _) => vec![Err(error)],
                (Batch::Sent(sent), Some(Ok(opened))) => self.open(opened, sent.bytes),
                // Its promise was dropped: the pool's threads are gone.
                (Batch::Sent(sent), _) => {
                    let lost = std::iter::repeat_with(|| Err(JoinError::Cancelled));
                    lost.take(sent.items).collect()
                }
            }
            .into_iter();
            self.items_out -= self.ready.len();
            return Some(());
        }
    }

    fn open(&mut self, opened: Opened<R>, sent_bytes: usize) -> Vec<Result<R, JoinError>> {
        if let Some((took, bytes)) = opened.took {
            self.learn(opened.results.len(), took, bytes.max(sent_bytes));
        }
        if let Some(rest) = opened.rest {
            self.out.push_front(Batch::Sent(rest));
        }
        opened.results
    }

    /// So many items took so long, and their arguments or their results have so many bytes.
    fn learn(&mut self, items: usize, took: Duration, bytes: usize) {
        let fit = |each: u128, room: u128| (items as u128 * room / each.max(1)) as usize;
        let fit = fit(took.as_nanos(), TARGET.as_nanos()).min(fit(bytes as u128, FULL as u128));
        // One answer is not the whole truth: the worker may have had to wait for a CPU.
        self.size = fit
            .clamp(self.size / 2, self.size * 4)
            .clamp(1, WINDOW_PER_WORKER);
    }
}

impl<F, A, R> Batches<A, R> for ParcelBatches<'_, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Portable,
    R: Portable,
{
    #[track_caller]
    fn next(
        &mut self,
        items: &mut dyn Iterator<Item = A>,
        window: usize,
    ) -> Option<Result<R, JoinError>> {
        while self.ready.len() == 0 {
            self.fill(items, window);
            self.take_front()?;
            // The workers first, then the caller with its results.
            self.fill(items, window);
        }
        self.ready.next()
    }

    fn in_flight(&self) -> usize {
        self.items_out + self.ready.len() + self.gathering.items
    }
}

impl<F, A, R> Drop for ParcelBatches<'_, F, A, R> {
    fn drop(&mut self) {
        // The last first: a worker that becomes free meanwhile then finds nothing left to start.
        while self.out.pop_back().is_some() {}
    }
}
