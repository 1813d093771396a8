//! Setting up a worker: the pool's initializer, which is the first job of every worker.
//!
//! ```text
//!   Starting ── arrived ── initializer ── answered ──> set_up ──> Ready: takes jobs
//!                               |
//!                               +── panics, or ends its worker ──> the pool breaks, loudly
//! ```
//!
//! A worker that cannot be set up is no accident that another one would not have: starting the
//! next one, and the next, would be a storm that never ends (multiprocessing.Pool has it). So the
//! pool breaks, and every handle tells why.
//!
//! Owns      nothing; it is a job like others, only that nobody holds a handle of it, and that its
//!           end is told to the crew. It comes before all jobs, so its order is `FIRST`.
//! Source    CPython's `BrokenProcessPool`. Next: `output/lines.rs`.

use super::control::Ticket;
use super::job::{FIRST, Job, Outcome, RemoteJob, result_of};
use super::policy::Initializer;
use super::shared::Shared;
use super::wire::codec::{carry, new_memory};
use crate::error::JoinError;
use crate::task::schedule::TaskId;
use std::io;
use std::sync::{Arc, Weak};

struct Setup {
    // Weak: the member that holds this is held by what it would hold.
    shared: Weak<Shared>,
    ticket: Ticket,
}

impl Initializer {
    /// The first job of this worker.
    pub(super) fn job(&self, shared: &Arc<Shared>, ticket: Ticket) -> io::Result<Job> {
        let shared = Arc::downgrade(shared);
        Ok(Job {
            remote: Box::new(Setup { shared, ticket }),
            order: FIRST,
            entry: self.entry,
            argument: carry(self.argument.to_vec(), &mut new_memory).map_err(io::Error::other)?,
            policy: self.terms.policy(),
        })
    }
}

impl RemoteJob for Setup {
    fn id(&self) -> TaskId {
        // Odd, and so the address of no cell.
        TaskId((self.ticket as usize) << 1 | 1)
    }

    fn start(&mut self) -> bool {
        true
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        let result = match outcome {
            Outcome::Answer(answer) => result_of::<()>(answer),
            Outcome::Failed(JoinError::Cancelled) | Outcome::Husk => return, // the pool ends anyway
            Outcome::Failed(error) => Err(error),
        };
        if let Some(shared) = self.shared.upgrade() {
            shared.change(|crew, out| crew.set_up(self.ticket, result, out));
            shared.ring();
        }
    }
}
