//! The process as the HTTP interface sees it.

use std::sync::Arc;

use async_trait::async_trait;
use wasmgate_admin::{
    Action, ApiError, CheckpointView, FieldsView, Gateway, ModuleState, ModuleView, NotReady,
    PipelineView, PreviousView, Readiness, ReloadView, StageView, StatsView, TopicFieldsView,
    Upload,
};
use wasmgate_model::{Fault, FaultKind};
use wasmgate_pipeline::{Pipeline, PipelineStatus, State};
use wasmgate_telemetry::Telemetry;
use wasmgate_wasm::{Loaded, ModuleStats, ModuleStatus};

use crate::commands::inspect::world;
use crate::modules::Modules;

/// Handles of everything that runs.
pub(crate) struct Process {
    pub(crate) pipelines: Vec<Arc<Pipeline>>,
    pub(crate) modules: Arc<Modules>,
    pub(crate) telemetry: Arc<Telemetry>,
}

impl Process {
    fn pipeline(&self, name: &str) -> Result<&Arc<Pipeline>, ApiError> {
        let found = self.pipelines.iter().find(|pipeline| pipeline.name() == name);
        found.ok_or_else(|| ApiError::pipeline_unknown(name))
    }

    fn known_module(&self, name: &str) -> Result<(), ApiError> {
        let known = self.modules.library().list().iter().any(|status| status.name == name);
        if known { Ok(()) } else { Err(ApiError::module_unknown(name)) }
    }

    /// Does something that blocks while modules compile.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Modules) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let modules = Arc::clone(&self.modules);
        let done = tokio::task::spawn_blocking(move || work(&modules)).await;
        done.map_err(|_| ApiError::new(500, "internal", "the request's task failed, see the log"))
    }

    fn view(&self, status: ModuleStatus) -> ModuleView {
        let active = self.modules.library().get(&status.name);
        let identity = active.as_ref().map(Loaded::identity);
        let schema = identity.and_then(|i| serde_json::from_str(&i.config_schema).ok());
        let previous = status.previous.into_iter();
        ModuleView {
            state: match status.state {
                wasmgate_wasm::ModuleState::Active => ModuleState::Active,
                wasmgate_wasm::ModuleState::Rejected => ModuleState::Rejected,
            },
            world: status.kind.map(|kind| world(kind).to_owned()),
            version: identity.map(|i| i.version.clone()),
            sha256: identity.map(|i| i.sha256.clone()),
            summary: identity.map(|i| i.summary.clone()),
            config_schema: schema,
            rejected: status.error,
            used_by: self.modules.used_by(&status.name),
            previous: previous.map(|(version, sha256)| PreviousView { version, sha256 }).collect(),
            stats: active.is_some().then(|| stats_view(&status.stats)),
            name: status.name,
        }
    }
}

#[async_trait]
impl Gateway for Process {
    fn ready(&self) -> Readiness {
        let statuses = self.pipelines.iter().map(|pipeline| pipeline.status());
        let not_ready: Vec<NotReady> = statuses
            .filter(|status| !matches!(status.state, State::Running | State::Completed))
            .map(|status| NotReady {
                pipeline: status.name,
                state: status.state.name().to_owned(),
                reason: status.reason,
            })
            .collect();
        Readiness { ready: not_ready.is_empty(), not_ready }
    }

    fn metrics(&self) -> String {
        self.telemetry.render(&self.modules.samples())
    }

    fn pipelines(&self) -> Vec<PipelineView> {
        self.pipelines.iter().map(|pipeline| pipeline_view(pipeline.status())).collect()
    }

    async fn act(&self, pipeline: &str, action: Action) -> Result<PipelineView, ApiError> {
        let pipeline = self.pipeline(pipeline)?;
        match action {
            Action::Pause => pipeline.pause(),
            Action::Resume => pipeline.resume(),
            Action::Restart => pipeline.restart(),
        }
        Ok(pipeline_view(pipeline.status()))
    }

    fn modules(&self) -> Vec<ModuleView> {
        let statuses = self.modules.library().list().into_iter();
        statuses.map(|status| self.view(status)).collect()
    }

    async fn put_module(&self, name: &str, component: Vec<u8>) -> Result<Upload, ApiError> {
        let owned = name.to_owned();
        let put = self.apart(move |modules| modules.put(&owned, &component)).await?;
        let Some(module) = put.map_err(|fault| refused(&fault))? else {
            let message = format!("this component is the active version of `{name}` already");
            return Err(ApiError::new(409, "module-same", message));
        };
        let identity = module.identity();
        Ok(Upload {
            name: name.to_owned(),
            version: identity.version.clone(),
            sha256: identity.sha256.clone(),
            state: ModuleState::Active,
        })
    }

    async fn delete_module(&self, name: &str) -> Result<(), ApiError> {
        self.known_module(name)?;
        let used_by = self.modules.used_by(name);
        if !used_by.is_empty() {
            let message = format!("module `{name}` is used by {}", used_by.join(", "));
            return Err(ApiError::new(409, "module-in-use", message).with_details(used_by));
        }
        let name = name.to_owned();
        let removed = self.apart(move |modules| modules.remove(&name)).await?;
        removed.map_err(|fault| refused(&fault))
    }

    async fn roll_back(&self, name: &str) -> Result<ModuleView, ApiError> {
        self.known_module(name)?;
        let status = |process: &Self| {
            process.modules.library().list().into_iter().find(|status| status.name == name)
        };
        if status(self).is_some_and(|status| status.previous.is_empty()) {
            let message = format!("module `{name}` has no earlier version to go back to");
            return Err(ApiError::new(409, "module-no-previous", message));
        }
        let owned = name.to_owned();
        let done = self.apart(move |modules| modules.roll_back(&owned)).await?;
        done.map_err(|fault| refused(&fault))?;
        let status = status(self).ok_or_else(|| ApiError::module_unknown(name))?;
        Ok(self.view(status))
    }

    async fn reload(&self) -> Result<ReloadView, ApiError> {
        let outcome = self.apart(Modules::reload).await?.map_err(|fault| refused(&fault))?;
        let (accepted, rejected, removed) = (outcome.accepted, outcome.rejected, outcome.removed);
        Ok(ReloadView { accepted, rejected, removed })
    }
}

fn stats_view(stats: &ModuleStats) -> StatsView {
    StatsView {
        calls: stats.calls,
        records: stats.rows,
        traps: stats.traps,
        deadlines: stats.deadlines,
        limits: stats.limits,
        errors: stats.errors,
        cpu_ms: stats.cpu_ns / 1_000_000,
        memory_bytes_max: stats.memory_bytes_max,
    }
}

/// A module that was not taken: the caller's doing, unless the disk failed.
fn refused(fault: &Fault) -> ApiError {
    let status = if fault.kind == FaultKind::Disk { 500 } else { 422 };
    ApiError::new(status, fault.kind.label(), fault.chain())
}

fn pipeline_view(status: PipelineStatus) -> PipelineView {
    let marks = status.checkpoint.into_iter();
    let stages = status.stages.into_iter();
    let topics = status.fields.into_iter();
    PipelineView {
        name: status.name,
        state: status.state.name().to_owned(),
        reason: status.reason,
        source: status.source.to_owned(),
        sinks: status.sinks.into_iter().map(str::to_owned).collect(),
        phase: status.phase,
        records_in: status.records_in,
        records_out: status.records_out,
        dropped: status.dropped,
        dead_letters: status.dead_letters,
        in_flight: status.in_flight,
        lag_ms: (status.lag_ms >= 0).then_some(status.lag_ms),
        checkpoint: marks
            .map(|(partition, position)| CheckpointView { partition, position })
            .collect(),
        stages: stages
            .map(|s| StageView { module: s.name, version: s.version, sha256: s.sha256 })
            .collect(),
        fields: topics
            .map(|(topic, stages)| {
                let stages = stages.into_iter();
                let view = |s: wasmgate_pipeline::StageFields| FieldsView {
                    module: s.stage,
                    reads: s.reads,
                    writes: s.writes,
                };
                TopicFieldsView { topic, stages: stages.map(view).collect() }
            })
            .collect(),
    }
}
