//! What a run says in the end: one table, the findings, and JSON for programs.
//!
//! ```text
//!   jobs ──> items ──> ModeRun ──> Run ──┬─> table.rs     one row a mode
//!                                        ├─> findings.rs  what the numbers show
//!                                        ├─> accounts.rs  where the time in processes went
//!                                        └─> json.rs      all of it, for programs
//! ```
//!
//! Reading order: `model.rs`, `style.rs`, `table.rs`, `findings.rs`, `text.rs` (the whole report
//! as it is printed), `accounts.rs`, `json.rs`, `progress.rs`.

pub mod accounts;
pub mod findings;
pub mod json;
pub mod model;
pub mod progress;
pub mod style;
pub mod table;
pub mod text;
