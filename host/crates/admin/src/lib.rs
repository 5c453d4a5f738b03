//! F5: the HTTP interface. It looks and asks through a [`Gateway`] and never touches data: it
//! knows no connector, no module runtime and no pipeline.
//!
//! A request passes `guard` (host name, origin, token, role) before any route sees it.

mod access;
mod answer;
mod gateway;
mod guard;
mod health;
mod input;
mod listen;
mod modules;
mod openapi;
mod pipelines;
mod role;
mod seats;
mod server;
mod signals;
mod upload;

pub use access::Access;
pub use answer::ApiError;
pub use gateway::{
    Action, BreakerView, CheckpointView, CopyView, Deletion, FieldsView, Gateway, KeptView,
    MisfitView, ModuleState, ModuleView, NotReady, PipelineView, PreviousView, QuarantinedView,
    Readiness, ReloadView, RenameView, Signal, SignalView, StageView, StatsView, TopicFieldsView,
    Upload, UploadState, UseView,
};
pub use listen::{ListenLimits, serve};
pub use openapi::document;
pub use role::Role;
pub use server::router;
pub use upload::{Component, MODULE_BYTES_MAX, UploadLimits, Uploads};
