//! Case files: a configuration, a schema, records, and what has to become of each, in YAML. Rules
//! run them natively, the gateway runs them on the component; both read, compare and report
//! through this crate, so that a file means the same everywhere.
//!
//! ```
//! let text = "config: { max: 100 }\nrows:\n  - value: { n: 7 }\n    expect: drop\n";
//! let case = wasmgate_case_file::CaseFile::parse("small", text).unwrap();
//! assert_eq!(case.rows.len(), 1);
//! ```

mod case;
mod compare;
mod dir;
mod read;
mod report;
mod tree;

pub use case::{
    CaseFile, Dead, Expected, FieldCase, Found, Input, Kept, RowCase, SchemaCase, Wanted,
    WantedValue,
};
pub use compare::{differences, refusal_difference};
pub use dir::{CASE_BYTES_MAX, CASE_FILES_MAX, case_files, load, read_case};
pub use read::Problem;
pub use report::{Failure, Report};
pub use serde_json::Value;
