//! F1: bytes to columns and back, without I/O. Sources fill batches through [`document`] (JSON),
//! [`pgoutput`] and [`pgvalue`] (Postgres) or [`mysqlvalue`], then call [`project`]; sinks write
//! rows through [`encode`].
//! Nothing here panics on any bytes.

pub mod connect;
pub mod document;
pub mod encode;
pub mod json;
pub mod mask;
pub mod mysqlvalue;
pub mod pgoutput;
pub mod pgvalue;
mod project;

pub use project::project;
