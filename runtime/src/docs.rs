//! Pages that explain how something works and why it is so. There is no code here.

pub mod performance;
#[cfg(target_os = "linux")]
pub use tatkal_executor::docs::process_pool;
