//! Stages: what a module does to records, as the pipeline sees it. The wasm crate implements
//! these traits over components; a native stage is a few lines (see [`crate::fakes`]).

use std::sync::Arc;

use wasmgate_model::{Column, Fault, Kind, Op, Schema, Shape};

/// Who a module is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleIdentity {
    /// Name under which pipelines use it: the file's stem.
    pub name: String,
    /// Semantic version from its description.
    pub version: String,
    /// Hex sha256 of the component; empty for native stages.
    pub sha256: String,
    pub summary: String,
    /// JSON Schema of its configuration.
    pub config_schema: String,
}

/// The contract's worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleKind {
    /// World `transform`.
    Transform,
    /// World `dead-letter-policy`.
    Policy,
    /// World `raw-transform`.
    RawTransform,
}

/// One version of a module, ready to be opened. Shared by pipelines and lanes.
pub trait Module: Send + Sync {
    /// Who it is.
    fn identity(&self) -> &Arc<ModuleIdentity>;

    /// Opens an instance with a configuration (JSON). One per lane and stage.
    ///
    /// # Errors
    /// The module refuses the configuration, or fails.
    fn open(&self, config: &str) -> Result<Box<dyn Stage>, Fault>;
}

/// A field a stage reads (WIT `types.read`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub name: String,
    pub kind: Kind,
    pub optional: bool,
}

/// A field a stage writes (WIT `types.field` in `projection.writes`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub name: String,
    pub kind: Kind,
    pub nullable: bool,
}

/// What a stage does to the records of one schema (WIT `types.projection`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    pub reads: Vec<Read>,
    pub writes: Vec<Write>,
    pub removes: Vec<String>,
    pub renames: Vec<(String, String)>,
    pub shape: Shape,
    pub ops: bool,
}

/// The rows of one call. Columns follow the projection's reads.
#[derive(Debug)]
pub struct StageInput<'a> {
    /// Id the schema was bound under.
    pub schema: u64,
    pub rows: u32,
    /// One per row where the projection asked for it, else empty.
    pub ops: &'a [Op],
    pub columns: &'a [&'a Column],
}

/// What becomes of a row that does not go on (WIT `types.verdict`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageVerdict {
    Drop,
    DeadLetter { code: String, message: String },
}

/// A row that does not go on; `row` is its number in the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageReject {
    pub row: u32,
    pub verdict: StageVerdict,
}

/// Additional records (WIT `types.emission`).
#[derive(Debug, Clone, PartialEq)]
pub struct Emission {
    pub topic: String,
    /// Per record, the row of the call it descends from.
    pub parents: Vec<u32>,
    pub fields: Vec<Write>,
    pub columns: Vec<Column>,
}

/// The answer of one call (WIT `types.output`), already validated by the runtime: column counts
/// and lengths, rows in range and ascending, text on character boundaries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageOutput {
    /// Follow the projection's writes, one value per input row.
    pub columns: Vec<Column>,
    pub rejects: Vec<StageReject>,
    /// (row of the call, fields to leave out of it), ascending.
    pub removals: Vec<(u32, Vec<String>)>,
    pub extra: Vec<Emission>,
}

/// An open instance. Used by one thread at a time.
pub trait Stage: Send {
    /// Called once per schema, before `process` names it. `None`: records of it pass untouched.
    ///
    /// # Errors
    /// The module cannot work on this schema; the message says why.
    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, Fault>;

    /// Processes rows. After `Err` the instance has renewed itself (fresh memory, opened and bound
    /// again), so the caller may call again, with fewer rows.
    ///
    /// # Errors
    /// The whole call failed: trap, deadline, limit, `err`, or an answer that breaks the contract.
    fn process(&mut self, input: &StageInput<'_>) -> Result<StageOutput, Fault>;

    /// The instance is about to be dropped.
    fn close(&mut self) {}
}
