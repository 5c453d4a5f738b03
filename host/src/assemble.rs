//! Checked settings and loaded modules become pipelines. A module that is missing, of the wrong
//! world, or that refuses its configuration is a problem of the configuration, shown where it is
//! named.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use regex::Regex;
use wasmgate_clickhouse::LedgerPlace;
use wasmgate_codec::encode::original;
use wasmgate_connector::{CheckpointStore, Module, PolicyModule, RecordEncoder};
use wasmgate_model::{Batch, Fault, FaultKind};
use wasmgate_pipeline::{PipelineSpec, PolicySpec, SinkSpec, StageSpec};
use wasmgate_telemetry::Telemetry;
use wasmgate_wasm::{Compiler, Limits, Loaded};

use crate::commands::inspect::world;
use crate::config::problem::Problem;
use crate::config::{Document, Field, checked};
use crate::connectors;
use crate::held::{Held, Obstacle};
use crate::policy::ReplaceablePolicy;

/// Where modules are looked up.
pub(crate) trait FindModule {
    /// The module of this name.
    ///
    /// # Errors
    /// There is none.
    fn find(&self, name: &str) -> Result<Found, Problem>;

    /// Whether a module that does not open is at fault and not the configuration, so that what
    /// uses it waits. `None`: it is a problem of the configuration.
    fn obstacle(&self, name: &str, config: &str, fault: &Fault) -> Option<Obstacle>;
}

/// What there is of a module.
pub(crate) enum Found {
    Loaded(Loaded),
    /// Its file was refused, and no version ran before.
    Refused {
        sha256: String,
        reason: String,
    },
}

/// The modules of one pipeline, opened once with their configurations.
pub(crate) struct Chain {
    pub(crate) stages: Vec<StageSpec>,
    pub(crate) policy: Option<(Arc<ReplaceablePolicy>, String)>,
    /// Modules that cannot run now, and why; others stand in for them.
    pub(crate) held: BTreeMap<String, Obstacle>,
}

/// Limits of modules.
pub(crate) fn limits(modules: &checked::Modules) -> Limits {
    let memory_bytes = usize::try_from(modules.memory_bytes).unwrap_or(usize::MAX);
    Limits { memory_bytes, batch_time: modules.batch_time }
}

/// This program compiles modules in a child of its own.
///
/// # Errors
/// The program's file cannot be found.
pub(crate) fn compiler() -> Result<Compiler, Fault> {
    let exe = std::env::current_exe().map_err(|error| {
        Fault::new(FaultKind::Internal, "cannot find the program's own file").because(error)
    })?;
    Ok(Compiler::Child { exe })
}

/// Finds and opens every module that the pipelines use.
///
/// # Errors
/// Every problem found.
pub(crate) fn chains(
    config: &checked::Config,
    document: &Document,
    modules: &dyn FindModule,
) -> Result<Vec<Chain>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut chains = Vec::new();
    let mut keep = |field: &Field, problem: Problem| problems.push(document.locate(field, problem));
    for pipeline in &config.pipelines {
        let field = Field::default().member("pipelines").member(&pipeline.name);
        let mut chain = Chain { stages: Vec::new(), policy: None, held: BTreeMap::new() };
        for (index, transform) in pipeline.transforms.iter().enumerate() {
            let field = field.member("transforms").entry(index);
            match stage(&field, transform, modules, &mut chain.held) {
                Ok(stage) => chain.stages.push(stage),
                Err(misplaced) => keep(&misplaced.0, misplaced.1),
            }
        }
        let settings = pipeline.policy.as_ref();
        let field = field.member("policy");
        match settings.map(|settings| policy(&field, settings, modules, &mut chain.held)) {
            Some(Ok(policy)) => chain.policy = Some(policy),
            Some(Err(misplaced)) => keep(&misplaced.0, misplaced.1),
            None => {}
        }
        chains.push(chain);
    }
    if problems.is_empty() { Ok(chains) } else { Err(problems) }
}

/// A problem and the field it is about.
type Misplaced = Box<(Field, Problem)>;

fn stage(
    field: &Field,
    transform: &checked::Transform,
    modules: &dyn FindModule,
    held: &mut BTreeMap<String, Obstacle>,
) -> Result<StageSpec, Misplaced> {
    let name = field.member("module");
    let missing = |problem| Box::new((name.clone(), problem));
    let module: Arc<dyn Module> = match modules.find(&transform.module).map_err(missing)? {
        Found::Loaded(Loaded::Transform(module)) => match module.open(&transform.config) {
            Ok(_) => module,
            Err(fault) => {
                let obstacle = modules.obstacle(&transform.module, &transform.config, &fault);
                let obstacle = obstacle.ok_or_else(|| refused(field, &fault))?;
                held.insert(transform.module.clone(), obstacle);
                Arc::new(Held::new(module.identity(), &fault))
            }
        },
        Found::Loaded(other) => return Err(Box::new((name, wrong_world(&other, "transform")))),
        Found::Refused { sha256, reason } => {
            held.insert(transform.module.clone(), Obstacle::loads(reason.clone()));
            Arc::new(Held::refused(&transform.module, sha256, reason))
        }
    };
    let topics = transform.topics.clone().map(Arc::<[Regex]>::from);
    Ok(StageSpec { module, config: transform.config.clone(), topics })
}

fn policy(
    field: &Field,
    settings: &checked::Policy,
    modules: &dyn FindModule,
    held: &mut BTreeMap<String, Obstacle>,
) -> Result<(Arc<ReplaceablePolicy>, String), Misplaced> {
    let name = field.member("module");
    let missing = |problem| Box::new((name.clone(), problem));
    let module: Arc<dyn PolicyModule> = match modules.find(&settings.module).map_err(missing)? {
        Found::Loaded(Loaded::Policy(module)) => match module.open(&settings.config) {
            Ok(_) => module,
            Err(fault) => {
                let obstacle = modules.obstacle(&settings.module, &settings.config, &fault);
                let obstacle = obstacle.ok_or_else(|| refused(field, &fault))?;
                held.insert(settings.module.clone(), obstacle);
                Arc::new(Held::new(module.identity(), &fault))
            }
        },
        Found::Loaded(other) => {
            return Err(Box::new((name, wrong_world(&other, "dead-letter-policy"))));
        }
        Found::Refused { sha256, reason } => {
            held.insert(settings.module.clone(), Obstacle::loads(reason.clone()));
            Arc::new(Held::refused(&settings.module, sha256, reason))
        }
    };
    let policy = ReplaceablePolicy::new(module, settings.config.clone());
    Ok((Arc::new(policy), settings.config.clone()))
}

fn wrong_world(module: &Loaded, wanted: &str) -> Problem {
    let (name, found) = (&module.identity().name, world(module.kind()));
    Problem::new(format!("module `{name}` is of the world `{found}`, expected `{wanted}`"))
        .help("transforms go under `transforms`, a dead-letter policy under `policy`")
}

/// `open` failed: the configuration, as far as anybody can tell.
fn refused(field: &Field, fault: &Fault) -> Misplaced {
    let problem = Problem::new(fault.chain())
        .help("`wasmgate module inspect` shows the schema of the module's config");
    Box::new((field.member("config"), problem))
}

/// What pipelines share.
pub(crate) struct Shared<'a> {
    pub(crate) store: Arc<dyn CheckpointStore>,
    /// Directory of what sources keep, with one directory in it for each pipeline.
    pub(crate) sources: PathBuf,
    pub(crate) telemetry: &'a Telemetry,
}

/// Everything a pipeline needs.
///
/// # Errors
/// A connector refuses its settings.
pub(crate) fn spec(
    settings: &checked::Pipeline,
    chain: &Chain,
    shared: &Shared<'_>,
) -> Result<PipelineSpec, Fault> {
    let sinks = settings.sinks.iter().enumerate().map(|(number, sink)| {
        let store = Arc::clone(&shared.store);
        let place = LedgerPlace { store, pipeline: settings.name.as_str().into(), number };
        let connector = connectors::sink(&sink.kind, Some(place))?;
        Ok(SinkSpec { topics: sink.topics.clone(), connector })
    });
    let policy = chain.policy.as_ref().map(|(policy, config)| {
        let module: Arc<dyn PolicyModule> = Arc::<ReplaceablePolicy>::clone(policy);
        PolicySpec { module, config: config.clone() }
    });
    Ok(PipelineSpec {
        name: settings.name.as_str().into(),
        source: connectors::source(&settings.source, &shared.sources.join(&settings.name))?,
        stages: chain.stages.clone(),
        guards: settings.transforms.iter().map(|transform| transform.guard).collect(),
        sinks: sinks.collect::<Result<_, Fault>>()?,
        dead_letters: connectors::dead_letters(&settings.dead_letters)?,
        policy,
        limits: settings.limits,
        lanes: settings.lanes,
        encoder: Arc::new(Original),
        store: Arc::clone(&shared.store),
        metrics: shared.telemetry.pipeline(&settings.name),
    })
}

/// Records as policies see them.
struct Original;

impl RecordEncoder for Original {
    fn original(&self, batch: &Batch, row: usize) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        original(batch, row)
    }
}
