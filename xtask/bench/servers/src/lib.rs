//! What both benches share: the records.

pub mod records;
