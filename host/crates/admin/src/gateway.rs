//! What the interface shows and asks for, as plain data; the binary implements [`Gateway`].

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::ApiError;
use crate::upload::Component;

/// The process behind the interface. Calls of `async` methods may take as long as a module takes
/// to compile; the others only look.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Whether every pipeline is connected and has its checkpoint.
    fn ready(&self) -> Readiness;

    /// Prometheus text exposition, format 0.0.4.
    fn metrics(&self) -> String;

    /// Every pipeline, by name.
    fn pipelines(&self) -> Vec<PipelineView>;

    /// Does something to a pipeline and answers how it is then.
    ///
    /// # Errors
    /// There is no such pipeline, or it cannot run.
    async fn act(&self, pipeline: &str, action: Action) -> Result<PipelineView, ApiError>;

    /// Hands a signal to the pipeline's source; the answer is the signal's id.
    ///
    /// # Errors
    /// There is no such pipeline, it does not run, or its source does not take the signal.
    async fn signal(&self, pipeline: &str, signal: Signal) -> Result<SignalView, ApiError>;

    /// Every module, by name.
    fn modules(&self) -> Vec<ModuleView>;

    /// Checks, stores and swaps in a module; a dry run only checks.
    ///
    /// # Errors
    /// The bytes are no module, are the active version already, or a pipeline that uses it cannot
    /// work with it; the old version goes on.
    async fn put_module(
        &self,
        name: &str,
        component: Component,
        dry_run: bool,
    ) -> Result<Upload, ApiError>;

    /// Removes a module. `force`: pipelines that use it pause first.
    ///
    /// # Errors
    /// There is no such module, or a pipeline uses it.
    async fn delete_module(&self, name: &str, force: bool) -> Result<Deletion, ApiError>;

    /// Goes back to the version before, or to the one with this digest.
    ///
    /// # Errors
    /// There is no such module or version, or a pipeline cannot work with it.
    async fn roll_back(&self, name: &str, sha256: Option<&str>) -> Result<ModuleView, ApiError>;

    /// Reads the modules' directory again.
    ///
    /// # Errors
    /// The directory cannot be read.
    async fn reload(&self) -> Result<ReloadView, ApiError>;
}

/// What can be done to a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Action {
    Pause,
    Resume,
    /// Opens source and sinks again from the checkpoint.
    Restart,
}

/// Something a source is asked to do, in Debezium's words.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// Comes back in notifications. Default, and where it is empty: a random one.
    #[schema(max_length = 64, pattern = "^[^\\x00]*$")]
    pub id: Option<String>,
    /// `execute-snapshot`, `stop-snapshot`, `pause-snapshot`, `resume-snapshot`, `log`, ...
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[^\\x00]*$")]
    pub kind: String,
    /// What the type needs. Default: nothing.
    #[serde(default)]
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// A signal that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SignalView {
    pub id: String,
}

/// Whether the process does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    /// The pipelines that are not running.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<NotReady>,
}

/// A pipeline that is not running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotReady {
    pub pipeline: String,
    pub state: String,
    pub reason: Option<String>,
}

/// A pipeline as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PipelineView {
    pub name: String,
    /// `starting`, `running`, `paused`, `retrying`, `failed`, `completed` or `stopped`.
    pub state: String,
    /// Why it is not simply running.
    pub reason: Option<String>,
    /// The stable word for it, where a fault is the reason: `slot-lost`, `source-unavailable`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Kind of the source.
    pub source: String,
    /// Kinds of the sinks, in order.
    pub sinks: Vec<String>,
    /// What the source is doing.
    pub phase: String,
    pub records_in: u64,
    pub records_out: u64,
    pub dropped: u64,
    pub dead_letters: u64,
    /// Records read and not settled.
    pub in_flight: u64,
    /// Milliseconds between the event at the source and its hand-over; null while unknown.
    pub lag_ms: Option<i64>,
    /// Tables whose rows are, or were last, copied.
    pub copies: Vec<CopyView>,
    /// Tables that the source holds back while all others go on.
    pub quarantined: Vec<QuarantinedView>,
    pub checkpoint: Vec<CheckpointView>,
    pub stages: Vec<StageView>,
    /// What the modules read and write, by topic: the lineage of its fields.
    pub fields: Vec<TopicFieldsView>,
    /// Topics whose schema some module does not fit.
    pub misfits: Vec<MisfitView>,
}

/// How far the copy of a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CopyView {
    /// `schema.table`.
    pub table: String,
    pub rows: u64,
    /// Rows that the server believes the table has; null while unknown.
    pub estimate: Option<u64>,
    /// The share that is read, of 100, by the estimate; null while unknown.
    pub percent: Option<u8>,
    /// Seconds that the rest takes at the speed so far; null while unknown.
    pub remaining_s: Option<u64>,
    pub done: bool,
}

/// A table that is held back: its changes become dead letters, or are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QuarantinedView {
    /// `schema.table`.
    pub table: String,
    /// Names the module and the field, or what changed.
    pub reason: String,
    /// Position of the first change that was held back.
    pub since: String,
    /// It was resumed, and is read anew once the source has come to where it was then.
    pub resuming: bool,
    /// Changes that are delivered when it goes on; null where they become dead letters.
    pub kept: Option<KeptView>,
}

/// Changes of a table that are kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeptView {
    pub changes: u64,
    pub bytes: u64,
}

/// A topic whose records a module cannot work on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MisfitView {
    pub topic: String,
    /// Names the module and the field.
    pub reason: String,
}

/// How far a partition of the source is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckpointView {
    pub partition: String,
    pub position: String,
}

/// A module as it runs in a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StageView {
    pub module: String,
    pub version: String,
    pub sha256: String,
    pub breaker: BreakerView,
}

/// What happens when a stage fails too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BreakerView {
    /// The module is not called; `then` is what happens instead.
    pub open: bool,
    /// `pause`, `dead-letter` or `bypass`.
    pub then: String,
    /// Records on which this version failed within the breaker's window.
    pub failures: u32,
    pub last_fault: Option<String>,
}

/// What the modules do to one topic's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TopicFieldsView {
    pub topic: String,
    pub stages: Vec<FieldsView>,
}

/// What a module reads and writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldsView {
    pub module: String,
    pub reads: Vec<String>,
    /// Kinds of `reads`, in their order.
    pub read_kinds: Vec<String>,
    pub writes: Vec<String>,
    /// Kinds of `writes`, in their order.
    pub write_kinds: Vec<String>,
    pub removes: Vec<String>,
    pub renames: Vec<RenameView>,
}

/// A field that gets another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RenameView {
    pub from: String,
    pub to: String,
}

/// Whether a module can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModuleState {
    /// Ready to be used, or in use.
    Active,
    /// No version of it could be loaded.
    Rejected,
}

/// A module.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModuleView {
    pub name: String,
    pub state: ModuleState,
    /// World it implements: `transform` or `dead-letter-policy`; null where none was loaded.
    pub world: Option<String>,
    pub version: Option<String>,
    /// Hex sha256 of the component.
    pub sha256: Option<String>,
    pub summary: Option<String>,
    /// When this version was loaded, milliseconds since 1970.
    pub loaded_at_ms: Option<i64>,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// JSON Schema of its configuration.
    pub config_schema: Option<serde_json::Value>,
    /// Why the newest file or upload was refused; the version above goes on.
    pub rejected: Option<String>,
    /// Pipelines that use it.
    pub used_by: Vec<String>,
    /// How it is used, and how these pipelines are.
    pub uses: Vec<UseView>,
    /// Versions that a rollback can reach, latest first.
    pub previous: Vec<PreviousView>,
    /// Versions that were rolled away from, latest first; a rollback reaches one by its digest.
    pub aside: Vec<PreviousView>,
    /// What calling this version has cost so far; null where none was loaded.
    pub stats: Option<StatsView>,
}

/// How a pipeline uses a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UseView {
    pub pipeline: String,
    /// Place in its `transforms`, from 0; null as its policy.
    pub stage: Option<usize>,
    /// Version that it runs.
    pub version: String,
    pub sha256: String,
    /// State of the pipeline.
    pub state: String,
    /// Why the pipeline is not simply running.
    pub reason: Option<String>,
}

/// What calling a module has cost since this version was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StatsView {
    pub calls: u64,
    pub records: u64,
    pub traps: u64,
    /// Calls that ran over their time.
    pub deadlines: u64,
    /// Calls that ran over memory or another limit.
    pub limits: u64,
    /// Calls that answered with an error, or against the contract.
    pub errors: u64,
    pub cpu_ms: u64,
    /// Half of all calls took at most this long, nanoseconds; at most a quarter too high.
    pub call_p50_ns: u64,
    /// 99 of 100 calls took at most this long, nanoseconds; at most a quarter too high.
    pub call_p99_ns: u64,
    /// Most linear memory that one instance has held.
    pub memory_bytes_max: u64,
}

/// An earlier version of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PreviousView {
    pub version: String,
    pub sha256: String,
}

/// How far an upload came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UploadState {
    /// Stored, and swapped in wherever it is used.
    Active,
    /// A dry run: it could be.
    Checked,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Upload {
    pub name: String,
    pub version: String,
    /// Hex sha256 of the component.
    pub sha256: String,
    pub state: UploadState,
    /// World it implements.
    pub world: String,
    /// Pipelines that use it.
    pub used_by: Vec<String>,
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Deletion {
    pub name: String,
    /// Pipelines that used it and are paused now. Upload a module of this name, then resume them.
    pub paused: Vec<String>,
}

/// What a look at the modules' directory changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReloadView {
    /// Modules that were loaded and swapped in.
    pub accepted: Vec<String>,
    /// Modules whose newest version is refused; the old versions go on.
    pub rejected: Vec<String>,
    /// Modules whose files are gone.
    pub removed: Vec<String>,
}
