//! What a module is, for people: `wasmgate module inspect`.

use wasmgate_connector::{ModuleIdentity, ModuleKind};

/// How a module came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Component,
    /// A core module that carries its contract; the gateway makes it a component.
    CoreModule,
}

/// What was found in a module's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub form: Form,
    /// The world, where it is one of ours with imports that it may have.
    pub kind: Option<ModuleKind>,
    /// Names of imported interfaces.
    pub imports: Vec<String>,
    /// Names of exported interfaces, those of toolchains included.
    pub exports: Vec<String>,
    /// What the module says of itself, where it could be run. The name is its own, not a file's.
    pub description: Option<ModuleIdentity>,
    /// Why the gateway would not load it.
    pub refusal: Option<String>,
    /// Hex sha256 of the bytes.
    pub sha256: String,
    /// Bytes.
    pub size: usize,
}
