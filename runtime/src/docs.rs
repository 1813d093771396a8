//! Pages that explain how something works and why it is so. There is no code here.

pub mod performance;
#[cfg(all(target_os = "linux", not(loom)))] // as the page itself
pub use tatkal_executor::docs::process_pool;
