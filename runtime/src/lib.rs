//! tatkal: the runtime. WAITING: what are we waiting for?
pub use tatkal_executor::*;
