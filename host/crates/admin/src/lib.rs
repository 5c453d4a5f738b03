//! F5: the HTTP interface. It looks and asks through a [`Gateway`] and never touches data: it
//! knows no connector, no module runtime and no pipeline.
//!
//! A request passes `guard` (host name, token, origin) before any route sees it.

mod answer;
mod gateway;
mod guard;
mod health;
mod modules;
mod openapi;
mod pipelines;
mod server;

pub use answer::ApiError;
pub use gateway::{
    Action, CheckpointView, FieldsView, Gateway, ModuleState, ModuleView, NotReady, PipelineView,
    PreviousView, Readiness, ReloadView, StageView, StatsView, TopicFieldsView, Upload,
};
pub use guard::Access;
pub use openapi::document;
pub use server::{MODULE_BYTES_MAX, router, serve};
