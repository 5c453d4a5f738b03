//! F4: moves records from a source through the chain to the sinks, and settled positions back.
//! Knows only the contract: no connector, no WASM, no JSON, no HTTP.
//!
//! `session` holds one run from a checkpoint: reader → lanes (OS threads, one chain each) →
//! writer → settler → checkpoint → acker. `engine` opens sessions again after a fault.

mod backoff;
mod binding;
mod chain;
mod convert;
mod decisions;
mod emission;
mod engine;
mod guard;
mod lane;
mod letters;
mod misfit;
mod pipeline;
mod rules;
mod session;
mod settler;
mod spec;
mod stage_run;
mod stamp;
mod status;
mod stop;
mod tracker;
mod watch;
mod writer;

pub use chain::Chain;
pub use lane::LaneChain;
pub use pipeline::Pipeline;
pub use spec::{GuardSpec, OnMisfit, PipelineSpec, PolicySpec, SinkSpec, StageSpec, Then};
pub use status::{Breaker, CopyStatus, PipelineStatus, StageFields, StageStatus, State};
