//! Where ready tasks wait. `local.rs`: a worker's own, with thieves; `inject.rs`: everybody's.

pub(crate) mod inject;
pub(crate) mod local;
