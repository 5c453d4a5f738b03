//! F3: runs modules. A module is a WebAssembly component of one of the worlds in `wit/`; a
//! [`Runtime`] checks, compiles and opens it, and what comes out is a stage or a policy of the
//! contract (F2). A [`Library`] keeps the modules of a directory current.
//!
//! What enters: bytes that nobody vouches for. What leaves: answers that were checked against the
//! contract, or a fault that says whose doing it was. A guest can waste its own time and memory,
//! within limits, and nothing else.

mod artefact;
mod bindings;
mod call;
mod compile;
mod compile_child;
mod config_schema;
mod engine;
mod host;
mod inspect;
mod library;
mod lift;
mod limits;
mod loaded;
mod lower;
mod policy;
mod projection;
mod runtime;
mod safeguards;
mod stats;
mod structure;
mod transform;

pub use compile::{COMPILE_COMMAND, Compiler};
pub use compile_child::compile_child_main;
pub use host::metrics::{HistogramValue, MetricValue, ModuleMetrics};
pub use inspect::{Form, Inspection};
pub use library::{Change, ChangeKind, Library, ModuleState, ModuleStatus, read_module};
pub use limits::{Limits, MODULE_BYTES_MAX};
pub use loaded::Loaded;
pub use policy::PolicyComponent;
pub use runtime::Runtime;
#[doc(hidden)]
pub use safeguards::Safeguards;
pub use stats::ModuleStats;
pub use transform::TransformComponent;
