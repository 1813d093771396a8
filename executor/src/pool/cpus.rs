//! How many CPUs this process may use. Next: `executor.rs`.

use std::num::NonZero;
use std::thread::available_parallelism;

/// How many CPUs this process may use: at least 1.
///
/// Not how many the machine has: the affinity mask (`taskset`) and the CPU quota of the control
/// group (containers) count too, rounded down. Asks the system at each call, because both can
/// change; a pool asks once, when it is made.
///
/// # Example
/// ```
/// assert!(tatkal_executor::available_cpus() >= 1);
/// ```
pub fn available_cpus() -> usize {
    // std reads the affinity mask and, on Linux, cpu.max or cfs_quota_us of every group above us.
    available_parallelism().map_or(1, NonZero::get)
}
