//! `Jobs`: jobs of a pool on terms of their own.
//!
//! A view of the pool that carries terms, and not a method with an argument for each of them: so
//! every way to hand in work (`submit`, `try_submit`, `map`) takes them, and what holds for many
//! jobs is said once.
//!
//! Next: `../builder.rs`.

use super::ProcessPool;
use crate::pool::executor::{Batches, Executor, Portable, Shutdown};
use crate::pool::process::policy::{OnDeath, Terms};
use crate::pool::thread::TrySubmitError;
use crate::task::join::JoinHandle;
use std::fmt;
use std::time::Duration;

/// Jobs of a [`ProcessPool`] on other terms than the pool's own. Made by [`ProcessPool::jobs`].
///
/// It is an [`Executor`]: everything that runs on a pool runs on these terms as well.
///
/// # Example
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::time::Duration;
/// use tatkal_executor::{Executor, JoinError, OnDeath, ProcessPool};
/// let pool = ProcessPool::new(1)?;
/// let brief = pool.jobs().timeout(Duration::from_millis(50));
/// let endless = brief.submit(|(): ()| -> () { loop { std::thread::park() } }, ());
/// assert!(matches!(endless.join(), Err(JoinError::TimedOut)));
///
/// let tough = pool.jobs().on_death(OnDeath::Retry(2));
/// let results = tough.map(|n: u32| n + 1, 0..3).map(Result::unwrap);
/// assert!(results.eq(1..=3));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy)]
#[must_use = "terms do nothing until a job is submitted on them"]
pub struct Jobs<'pool> {
    pool: &'pool ProcessPool,
    terms: Terms,
}

impl ProcessPool {
    /// Jobs on terms of their own; at first they are those of the pool.
    pub fn jobs(&self) -> Jobs<'_> {
        let terms = self.terms;
        Jobs { pool: self, terms }
    }
}

impl Jobs<'_> {
    /// How long such a job may run: see
    /// [`ProcessPoolBuilder::timeout`](crate::ProcessPoolBuilder::timeout).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.terms.timeout = Some(limit);
        self
    }

    /// They may run as long as they like, whatever holds for the pool.
    pub fn without_timeout(mut self) -> Self {
        self.terms.timeout = None;
        self
    }

    /// What becomes of such a job when its worker dies.
    pub fn on_death(mut self, what: OnDeath) -> Self {
        self.terms.on_death = what;
        self
    }

    /// As [`ProcessPool::submit`].
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        self.pool.submit_on(self.terms, function, argument)
    }

    /// As [`ProcessPool::try_submit`].
    ///
    /// # Errors
    /// As there.
    pub fn try_submit<F, A, R>(
        &self,
        function: F,
        argument: A,
    ) -> Result<JoinHandle<R>, TrySubmitError<A>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        self.pool.try_submit_on(self.terms, function, argument)
    }
}

impl Executor for Jobs<'_> {
    #[track_caller]
    fn submit<F, A, R>(&self, function: F, argument: A) -> JoinHandle<R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        Jobs::submit(self, function, argument)
    }

    fn workers(&self) -> usize {
        self.pool.workers()
    }

    fn default_window(&self) -> usize {
        self.pool.default_window_on(self.terms)
    }

    fn batches<'pool, F, A, R>(&'pool self, function: F) -> Option<Box<dyn Batches<A, R> + 'pool>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Portable,
        R: Portable,
    {
        self.pool.batches_on(self.terms, function)
    }

    /// Of the whole pool.
    #[track_caller]
    fn shutdown(&self, how: Shutdown) {
        self.pool.shutdown(how);
    }
}

impl fmt::Debug for Jobs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("timeout", &self.terms.timeout)
            .field("on_death", &self.terms.on_death)
            .finish_non_exhaustive()
    }
}
