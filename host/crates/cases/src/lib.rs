//! F3: runs case files on a module: the records go through the decoder and the encoder of the
//! gateway and through the module itself, so a case passes here if it would in a pipeline of this
//! one stage. Knows nothing of WebAssembly: a module is what the contract (F2) says it is.
//!
//! What enters: a module, and files that nobody vouches for; files, bytes and time are bounded.

mod apply;
mod batch;
mod bound;
mod bundled;
mod made_up;
mod run;
mod sample;

pub use bound::Bound;
pub use bundled::{CASES_BYTES_MAX, check_bundled};
pub use made_up::made_up;
pub use run::{CASES_TIME_MAX, run, run_cases, run_files};
pub use sample::Sample;
pub use wasmgate_case_file::{CaseFile, Failure, Report, case_files, load};
