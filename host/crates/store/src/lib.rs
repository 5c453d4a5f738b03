//! F3: what has to survive the process: the data directory, held by one process at a time
//! ([`DataDir`]), and the checkpoints in it ([`RedbStore`]).

mod checkpoints;
mod data_dir;
mod encoding;

pub use checkpoints::RedbStore;
pub use data_dir::{DataDir, LockError};
