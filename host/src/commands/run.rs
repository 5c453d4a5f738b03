//! `wasmgate run`: lock, load, start; then wait for the end of the sources or a signal; then
//! drain. A configuration that is wrong ends the process before any port is bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wasmgate_admin::{Access, Gateway, ListenLimits, Role, UploadLimits, Uploads};
use wasmgate_connector::{CheckpointStore, Module as _, PolicyModule as _};
use wasmgate_debezium::Verdict;
use wasmgate_model::{Fault, FaultKind};
use wasmgate_pipeline::Pipeline;
use wasmgate_store::{DataDir, RedbStore};
use wasmgate_telemetry::Telemetry;
use wasmgate_wasm::{Library, Loaded, Runtime};

use crate::assemble::{self, Chain, FindModule, Shared};
use crate::config::reference::Process as Surroundings;
use crate::config::{self, Files, Loaded as LoadedConfig, Reported, checked};
use crate::connectors;
use crate::exit::Failure;
use crate::gateway::Process;
use crate::held::Obstacle;
use crate::log;
use crate::modules::{Modules, Unattended, User};
use crate::progress;
use crate::signals::Channel;
use crate::watch::watch;

/// How long in-flight records may take to settle at the end; what has not settled then is
/// delivered again at the next start.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(25);

/// Runs until a signal or, `until_complete`, until every source had an end.
///
/// # Errors
/// The configuration is wrong, the data directory is held, the listener cannot be bound, or a
/// pipeline failed where every one had to complete.
pub(crate) fn run(files: Files<'_>, until_complete: bool) -> Result<(), Failure> {
    let mut connectors = Vec::new();
    let loaded = config::load(files, &Surroundings, &mut connectors).map_err(Failure::Config)?;
    let LoadedConfig { config, document } = loaded;
    log::start(config.log);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = files.names(), "starting");
    connectors.iter().for_each(tell);
    let dir = DataDir::lock(&config.data_dir)?;
    let cache = dir.path().join("compiled");
    let runtime = Runtime::new(assemble::limits(&config.modules), Some(cache))?
        .with_compiler(assemble::compiler()?);
    let versions = dir.path().join("modules/versions");
    let library = Library::open(config.modules.dir.clone(), Arc::new(runtime), Some(versions))
        .map_err(|fault| Failure::Config(format!("modules.dir: {}", fault.chain())))?;
    refuse_misfits(&config, &library);
    let find: &dyn FindModule = if until_complete { &Unattended(&library) } else { &library };
    let chains = assemble::chains(&config, &document, find)
        .map_err(|problems| Failure::Config(document.report(problems)))?;
    let deleted = deleted(&config, &library);
    if let Some(name) = deleted.first().filter(|_| until_complete) {
        let what = "was deleted by force, so the pipelines that use it cannot complete";
        return Err(Failure::Config(format!("module `{name}` {what}; put a file back")));
    }
    for (name, configs) in configs(&config) {
        // What opens for the first time now, or did before.
        let held = chains.iter().any(|chain| chain.held.contains_key(&name));
        let taken = configs.iter().filter(|config| !held || library.took_before(&name, config));
        library.note_opened(&name, taken.map(String::as_str));
    }
    let store: Arc<dyn CheckpointStore> = Arc::new(RedbStore::open(&dir)?);
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("cannot start: {error}")))?;
    let parts = Parts { config, chains, deleted, known: Arc::new(library), store };
    let result = tokio.block_on(Box::pin(serve(parts, until_complete)));
    tokio.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Says of a connector what is not as it asks; nothing of it changes its records.
fn tell(connector: &Reported) {
    let Reported { file, name, findings, kept_in } = connector;
    tracing::info!(connector = name, file, properties = findings.len(), "connector translated");
    if let Some(dir) = kept_in {
        tracing::warn!(connector = name, dir, "no sink is configured, records are kept in files");
    }
    let not_done = [Verdict::Unsupported { changes_data: false }, Verdict::Unknown];
    for finding in findings.iter().filter(|finding| not_done.contains(&finding.verdict)) {
        let (property, reason) = (&finding.property, &finding.text);
        tracing::warn!(connector = name, property, reason, "property is not honoured");
    }
}

/// A file that was replaced while the gateway was down, by one that cannot work with the
/// configuration, is refused as it would have been while it ran: the version before runs on.
fn refuse_misfits(config: &checked::Config, library: &Library) {
    for name in library.replaced() {
        let Some(reason) = misfit(config, library, &name) else {
            continue;
        };
        tracing::warn!(module = name, error = reason, "module rejected, the version before runs");
        if let Err(fault) = library.retreat(&name, &reason) {
            tracing::warn!(module = name, error = fault.chain(), "the version before cannot run");
        }
    }
}

/// Why a pipeline cannot work with a module.
fn misfit(config: &checked::Config, library: &Library, name: &str) -> Option<String> {
    let module = library.get(name)?;
    config.pipelines.iter().find_map(|pipeline| {
        let stages = pipeline.transforms.iter().filter(|stage| stage.module == name);
        let mut stages = stages.map(|stage| match &module {
            Loaded::Transform(module) => module.open(&stage.config).map(drop),
            Loaded::Policy(_) => Err(other_world()),
        });
        let policy = pipeline.policy.iter().filter(|policy| policy.module == name);
        let mut policy = policy.map(|policy| match &module {
            Loaded::Policy(module) => module.open(&policy.config).map(drop),
            Loaded::Transform(_) => Err(other_world()),
        });
        let fault = stages.find_map(Result::err).or_else(|| policy.find_map(Result::err))?;
        Some(format!("pipeline {} cannot work with it: {}", pipeline.name, fault.chain()))
    })
}

/// Names of the modules that a pipeline uses.
fn modules_of(pipeline: &checked::Pipeline) -> impl Iterator<Item = &str> {
    let stages = pipeline.transforms.iter().map(|stage| stage.module.as_str());
    stages.chain(pipeline.policy.iter().map(|policy| policy.module.as_str()))
}

/// What modules are used with.
fn configs(config: &checked::Config) -> BTreeMap<String, Vec<String>> {
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pipeline in &config.pipelines {
        let stages = pipeline.transforms.iter().map(|stage| (&stage.module, &stage.config));
        let policy = pipeline.policy.iter().map(|policy| (&policy.module, &policy.config));
        for (name, config) in stages.chain(policy) {
            used.entry(name.clone()).or_default().push(config.clone());
        }
    }
    used
}

/// Modules in use that were deleted by force.
fn deleted(config: &checked::Config, library: &Library) -> BTreeSet<String> {
    let used = config.pipelines.iter().flat_map(modules_of);
    used.filter(|name| library.is_buried(name)).map(str::to_owned).collect()
}

fn other_world() -> Fault {
    Fault::new(FaultKind::ModuleRefused, "it is of another world than the version before")
}

/// What was made before anything ran.
struct Parts {
    config: checked::Config,
    chains: Vec<Chain>,
    /// Modules that pipelines use, and that were deleted by force.
    deleted: BTreeSet<String>,
    known: Arc<Library>,
    store: Arc<dyn CheckpointStore>,
}

async fn serve(parts: Parts, until_complete: bool) -> Result<(), Failure> {
    let cannot = |error| Failure::Runtime(format!("cannot wait for signals: {error}"));
    let mut signals = Signals::new().map_err(cannot)?;
    let http = &parts.config.http;
    let listener = TcpListener::bind(http.listen).await.map_err(|error| {
        Failure::Runtime(format!("http.listen: cannot listen on {}: {error}", http.listen))
    })?;
    let limits = UploadLimits { bytes: http.upload_max, ..UploadLimits::default() };
    let uploads = Uploads::open(parts.config.data_dir.join("uploads"), limits)
        .map_err(|error| Failure::Runtime(format!("data_dir: uploads: {error}")))?;
    let telemetry = Arc::new(Telemetry::new());
    let pipelines = start(&parts, &telemetry)?;
    let users = pipelines.iter().zip(&parts.chains).map(|(pipeline, chain)| User {
        pipeline: Arc::clone(pipeline),
        policy: chain.policy.as_ref().map(|(policy, _)| Arc::clone(policy)),
    });
    let users = users.collect();
    let modules = Modules::new(Arc::clone(&parts.known), users, Arc::clone(&telemetry))
        .with_cases(parts.config.modules.dir.clone())
        .with_deleted(parts.deleted.clone())
        .with_held(held(&parts))
        .with_configs(configs(&parts.config));
    let modules = Arc::new(modules);
    let process =
        Process { pipelines: pipelines.clone(), modules: Arc::clone(&modules), telemetry };
    let (stop_http, http_stopped) = listen(listener, http, uploads, Arc::new(process))?;
    // Dropping the set ends them.
    let _channels = channels(&parts, &pipelines)?;
    let dir = parts.config.modules.dir.clone();
    let watcher = tokio::spawn(async move { watch(&dir, modules).await });
    let bars = tokio::spawn(progress::draw(pipelines.clone()));

    let outcome = tokio::select! {
        result = completed(&pipelines), if until_complete => result,
        name = signals.next() => {
            tracing::info!(signal = name, "draining; a second signal stops at once");
            Ok(())
        }
    };
    watcher.abort();
    bars.abort();
    drain(&pipelines, &mut signals).await?;
    drop(stop_http);
    if tokio::time::timeout(Duration::from_secs(1), http_stopped).await.is_err() {
        tracing::debug!("HTTP requests were cut off");
    }
    tracing::info!("stopped");
    outcome
}

/// Modules that cannot run now, by the pipelines that use them.
fn held(parts: &Parts) -> BTreeMap<String, BTreeMap<String, Obstacle>> {
    let chains = parts.config.pipelines.iter().zip(&parts.chains);
    let held = chains.filter(|(_, chain)| !chain.held.is_empty());
    held.map(|(settings, chain)| (settings.name.clone(), chain.held.clone())).collect()
}

fn start(parts: &Parts, telemetry: &Telemetry) -> Result<Vec<Arc<Pipeline>>, Failure> {
    let sources = parts.config.data_dir.join("sources");
    let shared = Shared { store: Arc::clone(&parts.store), sources, telemetry };
    let mut pipelines = Vec::new();
    for (settings, chain) in parts.config.pipelines.iter().zip(&parts.chains) {
        let spec = assemble::spec(settings, chain, &shared);
        let held = modules_of(settings).find(|name| parts.deleted.contains(*name));
        let closed = chain.held.iter().next();
        let started = spec.and_then(match (held, closed) {
            (None, None) => Pipeline::start,
            (Some(_), None) => Pipeline::start_paused,
            (_, Some(_)) => Pipeline::start_waiting,
        });
        pipelines.push(started.map_err(|fault| {
            Failure::Config(format!("pipelines.{}: {}", settings.name, fault.chain()))
        })?);
        match (held, closed) {
            (Some(module), _) => tracing::warn!(
                pipeline = settings.name,
                module,
                "paused: its module was deleted by force; upload one, then resume the pipeline"
            ),
            (None, Some((module, obstacle))) => tracing::warn!(
                pipeline = settings.name,
                reason = format!("module `{module}`{obstacle}"),
                "paused: its module cannot run; put another version in its place, or resume the \
                 pipeline to try again"
            ),
            (None, None) => tracing::info!(pipeline = settings.name, "pipeline started"),
        }
    }
    Ok(pipelines)
}

/// Starts to read signals for the pipelines' sources.
fn channels(parts: &Parts, pipelines: &[Arc<Pipeline>]) -> Result<JoinSet<()>, Failure> {
    let mut tasks = JoinSet::new();
    for (settings, pipeline) in parts.config.pipelines.iter().zip(pipelines) {
        for (number, channel) in settings.signals.iter().enumerate() {
            let (source, key) = connectors::signals(channel).map_err(|fault| {
                Failure::Config(format!("pipelines.{}: {}", settings.name, fault.chain()))
            })?;
            // No pipeline's name has a colon.
            let name = format!("{}:signals-{}-{number}", settings.name, source.kind());
            let (pipeline, store) = (Arc::clone(pipeline), Arc::clone(&parts.store));
            tasks.spawn(Channel { name, source, key, pipeline, store }.run());
        }
    }
    Ok(tasks)
}

type HttpTask = tokio::task::JoinHandle<()>;

/// Serves HTTP until the sender is dropped.
fn listen(
    listener: TcpListener,
    http: &checked::Http,
    uploads: Uploads,
    gateway: Arc<dyn Gateway>,
) -> Result<(oneshot::Sender<()>, HttpTask), Failure> {
    let address = listener
        .local_addr()
        .map_err(|error| Failure::Runtime(format!("http.listen: no address: {error}")))?;
    let tokens = http.tokens.iter().map(|(token, role)| (token.expose_secret(), *role));
    let tokens: Vec<(&str, Role)> = tokens.collect();
    let access = Access::new(address, &tokens, &http.hosts);
    let router = wasmgate_admin::router(gateway, access, uploads);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let stopped = async {
            // Dropping the sender is the signal.
            drop(stopped.await);
        };
        wasmgate_admin::serve(listener, router, ListenLimits::default(), stopped).await;
    });
    tracing::info!(%address, "HTTP interface listens");
    Ok((stop, task))
}

/// Waits until every source had an end.
async fn completed(pipelines: &[Arc<Pipeline>]) -> Result<(), Failure> {
    let finished = pipelines.iter().map(|pipeline| async {
        let failed = pipeline.finished().await.err()?;
        Some(format!("pipeline {} failed: {failed}", pipeline.name()))
    });
    let failures: Vec<String> = join_all(finished).await.into_iter().flatten().collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure::Runtime(failures.join("\n"))) }
}

/// Settles what is in flight and lets go, within bounds.
async fn drain(pipelines: &[Arc<Pipeline>], signals: &mut Signals) -> Result<(), Failure> {
    let stopped = join_all(pipelines.iter().map(|pipeline| pipeline.stop()));
    tokio::select! {
        drained = tokio::time::timeout(DRAIN_TIME_MAX, stopped) => {
            if drained.is_err() {
                tracing::warn!("not drained in time; what is not settled is delivered again");
            }
            Ok(())
        }
        name = signals.next() => {
            Err(Failure::Runtime(format!("stopped by a second {name} before everything settled")))
        }
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
