//! F2: the contract. Sources, stages, policies, sinks and stores meet the pipeline here, and
//! nowhere else; none of them knows another. The trivial members of each family are in
//! [`fakes`], and [`conformance`] holds what every real one has to show.

mod command;
pub mod conformance;
pub mod fakes;
mod planner;
mod policy;
mod pool;
mod sink;
mod source;
mod stage;
mod store;

pub use command::{Commands, Refusal, SourceCommand, random_id};
pub use planner::{PassThrough, Planner};
pub use policy::{Decision, Failure, Policy, PolicyModule};
pub use pool::BatchPool;
pub use sink::{
    DeadLetter, DeadLetterConnector, DeadLetterContext, DeadLetters, Durable, IN_FLIGHT,
    RecordEncoder, RefusedRow, RowSet, Sink, SinkConnector, SinkCounts, SinkHealth, WriteRequest,
    Written,
};
pub use source::{
    BatchLimits, Finding, KeptChanges, Quarantined, Source, SourceAcker, SourceContext,
    SourceEvent, SourceHalves, SourceReader, SourceStatus, TableProgress,
};
pub use stage::{
    Emission, Module, ModuleIdentity, ModuleKind, Projection, Read, Stage, StageInput, StageOutput,
    StageReject, StageVerdict, Write,
};
pub use store::CheckpointStore;
