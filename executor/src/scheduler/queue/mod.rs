//! Where ready tasks wait. `local.rs`: a worker's own, with thieves; `next.rs`: the one that it runs
//! next; `inject.rs`: everybody's.

pub(crate) mod inject;
pub(crate) mod local;
pub(crate) mod next;

/// For the tests here: a runnable that adds `weight` to `total` when it is run.
#[cfg(test)]
fn weighing(
    total: &std::sync::Arc<crate::sync::atomic::AtomicUsize>,
    weight: usize,
) -> crate::task::runnable::Runnable {
    let total = total.clone();
    let body = async move {
        total.fetch_add(weight, crate::sync::atomic::Ordering::Relaxed);
    };
    crate::task::body::new_task(
        crate::task::body::Plain(body),
        crate::task::schedule::Nowhere,
    )
    .0
}
