//! The process as the HTTP interface sees it.

use std::sync::Arc;

use async_trait::async_trait;
use wasmgate_admin::{
    Action, ApiError, BreakerView, CheckpointView, Component, CopyView, Deletion, FieldsView,
    Gateway, KeptView, MisfitView, ModuleState, ModuleView, NotReady, PipelineView, PreviousView,
    QuarantinedView, Readiness, ReloadView, RenameView, Signal, SignalView, StageView, StatsView,
    TopicFieldsView, Upload, UploadState,
};
use wasmgate_connector::{Quarantined, Refusal, random_id};
use wasmgate_model::{Fault, FaultKind};
use wasmgate_pipeline::{CopyStatus, Pipeline, PipelineStatus, StageFields, StageStatus, State};
use wasmgate_telemetry::Telemetry;
use wasmgate_wasm::{Loaded, ModuleStats, ModuleStatus};

use crate::commands::inspect::world;
use crate::modules::{Modules, NotRemoved, NotRolledBack};

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

    /// Does something that blocks while modules compile.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Modules) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let modules = Arc::clone(&self.modules);
        let done = tokio::task::spawn_blocking(move || work(&modules)).await;
        done.map_err(|_| ApiError::new(500, "internal", "the request's task failed, see the log"))
    }

    fn why_held(&self, pipeline: &str) -> Option<String> {
        self.modules.held(pipeline).or_else(|| self.modules.waits(pipeline))
    }

    fn pipeline_view(&self, pipeline: &Pipeline) -> PipelineView {
        let mut view = pipeline_view(pipeline.status());
        view.reason = view.reason.or_else(|| self.why_held(&view.name));
        view
    }

    fn view(&self, status: ModuleStatus) -> ModuleView {
        let active = self.modules.known().get(&status.name);
        let identity = active.as_ref().map(Loaded::identity);
        let schema = identity.and_then(|i| serde_json::from_str(&i.config_schema).ok());
        let kept = |versions: Vec<(String, String)>| {
            let versions = versions.into_iter();
            versions.map(|(version, sha256)| PreviousView { version, sha256 }).collect()
        };
        ModuleView {
            state: match status.state {
                wasmgate_wasm::ModuleState::Active => ModuleState::Active,
                wasmgate_wasm::ModuleState::Rejected => ModuleState::Rejected,
            },
            world: status.kind.map(|kind| world(kind).to_owned()),
            version: identity.map(|i| i.version.clone()),
            sha256: identity.map(|i| i.sha256.clone()),
            summary: identity.map(|i| i.summary.clone()),
            loaded_at_ms: active.is_some().then_some(status.loaded_at_us / 1000),
            imports: active.as_ref().map(Loaded::imports).unwrap_or_default(),
            config_schema: schema,
            rejected: status.error.or_else(|| self.modules.refused(&status.name)),
            used_by: self.modules.used_by(&status.name),
            uses: self.modules.uses(&status.name),
            previous: kept(status.previous),
            aside: kept(status.aside),
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
                state: status.state.name().to_owned(),
                reason: status.reason.or_else(|| self.why_held(&status.name)),
                pipeline: status.name,
            })
            .collect();
        Readiness { ready: not_ready.is_empty(), not_ready }
    }

    fn metrics(&self) -> String {
        self.pipelines.iter().for_each(|pipeline| pipeline.count());
        self.telemetry.render(&self.modules.samples())
    }

    fn pipelines(&self) -> Vec<PipelineView> {
        self.pipelines.iter().map(|pipeline| self.pipeline_view(pipeline)).collect()
    }

    async fn act(&self, pipeline: &str, action: Action) -> Result<PipelineView, ApiError> {
        let pipeline = self.pipeline(pipeline)?;
        if let Some(why) = self.modules.held(pipeline.name()).filter(|_| action != Action::Pause) {
            return Err(ApiError::new(409, "module-deleted", why));
        }
        if action != Action::Pause && self.modules.waits(pipeline.name()).is_some() {
            let name = pipeline.name().to_owned();
            let opened = self.apart(move |modules| modules.reopen(&name)).await?;
            opened.map_err(|fault| {
                let why = self.modules.waits(pipeline.name()).unwrap_or_else(|| fault.chain());
                ApiError::new(409, "module-not-open", why)
            })?;
            // It was started paused.
            pipeline.resume();
        }
        match action {
            Action::Pause => pipeline.pause(),
            Action::Resume => pipeline.resume(),
            Action::Restart => pipeline.restart(),
        }
        Ok(self.pipeline_view(pipeline))
    }

    async fn signal(&self, pipeline: &str, signal: Signal) -> Result<SignalView, ApiError> {
        let pipeline = self.pipeline(pipeline)?;
        let id = match signal.id {
            Some(id) => id,
            None => random_id().map_err(|error| {
                ApiError::new(500, "internal", format!("no random numbers: {error}"))
            })?,
        };
        let data = serde_json::Value::Object(signal.data).to_string();
        let sent = pipeline.command(id.clone(), signal.kind, data).await;
        sent.map_err(|refusal| {
            let (status, code) = match refusal {
                Refusal::NotRunning => (409, "pipeline-not-running"),
                Refusal::NotSupported => (409, "signal-not-supported"),
                Refusal::Invalid(_) => (400, "signal-refused"),
                Refusal::Conflict(_) | Refusal::Late => (409, "signal-conflict"),
                Refusal::Busy => (409, "signal-busy"),
            };
            ApiError::new(status, code, refusal.to_string())
        })?;
        Ok(SignalView { id })
    }

    fn modules(&self) -> Vec<ModuleView> {
        let statuses = self.modules.known().list().into_iter();
        statuses.map(|status| self.view(status)).collect()
    }

    async fn put_module(
        &self,
        name: &str,
        mut component: Component,
        dry_run: bool,
    ) -> Result<Upload, ApiError> {
        let owned = name.to_owned();
        // The component lives as long as the work: no other upload begins before it is done.
        let put = self.apart(move |modules| {
            let bytes = component.read().map_err(|error| {
                Fault::new(FaultKind::Disk, "the uploaded component cannot be read").because(error)
            })?;
            if dry_run {
                return modules.try_out(&owned, &bytes).map(Some);
            }
            modules.put(&owned, &bytes)
        });
        let Some(module) = put.await?.map_err(|fault| refused(&fault))? else {
            let message = format!("this component is the active version of `{name}` already");
            return Err(ApiError::new(409, "module-same", message));
        };
        let identity = module.identity();
        Ok(Upload {
            name: name.to_owned(),
            version: identity.version.clone(),
            sha256: identity.sha256.clone(),
            state: if dry_run { UploadState::Checked } else { UploadState::Active },
            world: world(module.kind()).to_owned(),
            used_by: self.modules.used_by(name),
        })
    }

    async fn delete_module(&self, name: &str, force: bool) -> Result<Deletion, ApiError> {
        let owned = name.to_owned();
        match self.apart(move |modules| modules.remove(&owned, force)).await? {
            Ok(paused) => Ok(Deletion { name: name.to_owned(), paused }),
            Err(NotRemoved::Gone) => Err(ApiError::module_unknown(name)),
            Err(NotRemoved::NotActive) => {
                let message = format!("no version of `{name}` was ever taken in; remove its file");
                Err(ApiError::new(409, "module-not-active", message))
            }
            Err(NotRemoved::Fault(fault)) => Err(refused(&fault)),
            Err(NotRemoved::Used(users)) => {
                let message = format!("module `{name}` is used by {}", users.join(", "));
                Err(ApiError::new(409, "module-in-use", message).with_details(users))
            }
        }
    }

    async fn roll_back(&self, name: &str, sha256: Option<&str>) -> Result<ModuleView, ApiError> {
        let (owned, sha256) = (name.to_owned(), sha256.map(str::to_owned));
        let done = self.apart(move |modules| modules.roll_back(&owned, sha256.as_deref())).await?;
        done.map_err(|why| match why {
            NotRolledBack::Gone => ApiError::module_unknown(name),
            NotRolledBack::NotKept => {
                let message = format!("no such earlier version of module `{name}` is kept");
                ApiError::new(409, "module-no-previous", message)
            }
            NotRolledBack::Fault(fault) => refused(&fault),
        })?;
        let mut statuses = self.modules.known().list().into_iter();
        let status = statuses.find(|status| status.name == name);
        let status = status.ok_or_else(|| ApiError::module_unknown(name))?;
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
        call_p50_ns: stats.call_p50_ns,
        call_p99_ns: stats.call_p99_ns,
        memory_bytes_max: stats.memory_bytes_max,
    }
}

/// A module that was not taken: the caller's doing, unless the disk or the gateway failed. The
/// details are the single causes, outermost first.
fn refused(fault: &Fault) -> ApiError {
    let ours = matches!(fault.kind, FaultKind::Disk | FaultKind::Internal);
    let mut details = vec![fault.to_string()];
    let mut cause = std::error::Error::source(fault);
    while let Some(because) = cause {
        details.push(because.to_string());
        cause = because.source();
    }
    let status = if ours { 500 } else { 422 };
    ApiError::new(status, fault.kind.label(), fault.chain()).with_details(details)
}

fn pipeline_view(status: PipelineStatus) -> PipelineView {
    let marks = status.checkpoint.into_iter();
    let topics = status.fields.into_iter();
    let misfits = status.misfits.into_iter();
    PipelineView {
        name: status.name,
        state: status.state.name().to_owned(),
        reason: status.reason,
        code: status.code.map(str::to_owned),
        source: status.source.to_owned(),
        sinks: status.sinks.into_iter().map(str::to_owned).collect(),
        phase: status.phase,
        records_in: status.records_in,
        records_out: status.records_out,
        dropped: status.dropped,
        dead_letters: status.dead_letters,
        in_flight: status.in_flight,
        lag_ms: (status.lag_ms >= 0).then_some(status.lag_ms),
        copies: status.copies.into_iter().map(copy_view).collect(),
        quarantined: status.quarantined.into_iter().map(quarantined_view).collect(),
        checkpoint: marks
            .map(|(partition, position)| CheckpointView { partition, position })
            .collect(),
        stages: status.stages.into_iter().map(stage_view).collect(),
        fields: topics
            .map(|(topic, stages)| {
                let stages = stages.into_iter().map(fields_view).collect();
                TopicFieldsView { topic, stages }
            })
            .collect(),
        misfits: misfits.map(|(topic, reason)| MisfitView { topic, reason }).collect(),
    }
}

fn quarantined_view(held: Quarantined) -> QuarantinedView {
    let Quarantined { table, reason, since, resuming, kept } = held;
    let kept = kept.map(|kept| KeptView { changes: kept.changes, bytes: kept.bytes });
    QuarantinedView { table, reason, since: since.to_string(), resuming, kept }
}

fn copy_view(copy: CopyStatus) -> CopyView {
    CopyView {
        table: copy.table,
        rows: copy.rows,
        estimate: u64::try_from(copy.estimate).ok(),
        percent: copy.percent,
        remaining_s: copy.remaining.map(|remaining| remaining.as_secs()),
        done: copy.done,
    }
}

fn stage_view(stage: StageStatus) -> StageView {
    StageView {
        module: stage.name,
        version: stage.version,
        sha256: stage.sha256,
        breaker: BreakerView {
            open: stage.breaker.open,
            then: stage.breaker.then.name().to_owned(),
            failures: stage.breaker.failures,
            last_fault: stage.breaker.last_fault,
        },
    }
}

fn fields_view(stage: StageFields) -> FieldsView {
    let kinds = |kinds: Vec<&str>| kinds.into_iter().map(str::to_owned).collect();
    FieldsView {
        module: stage.stage,
        reads: stage.reads,
        read_kinds: kinds(stage.read_kinds),
        writes: stage.writes,
        write_kinds: kinds(stage.write_kinds),
        removes: stage.removes,
        renames: stage.renames.into_iter().map(|(from, to)| RenameView { from, to }).collect(),
    }
}
