//! Where ready tasks wait. `local.rs`: a worker's own, with thieves; `next.rs`: the one that it runs
//! next; `inject.rs`: everybody's.

pub(crate) mod inject;
pub(crate) mod local;
pub(crate) mod next;
