//! What the tests share: answers as a table, and servers that follow a script.

pub mod cases;
pub mod drivers;
pub mod machine;
pub mod pipe;
pub mod server;
pub mod tls;
