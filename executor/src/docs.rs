//! Pages that explain how something works, with pictures. There is no code here.

pub mod process_pool;
