//! Starts real servers for tests, the demo and `cargo xtask services`. Standard library only, so
//! that xtask stays light. Each server gets a fresh data folder and free ports, and dies with its
//! handle. `proxy` stands between a client and a server and breaks what it carries.

pub mod cache;
pub mod certificates;
pub mod clickhouse;
pub mod clickhouse_wire;
pub mod kafka;
pub mod mysql;
mod ports;
pub mod postgres;
pub mod proxy;
