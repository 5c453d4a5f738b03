//! The chain of stages of a pipeline and its versions. As the source's planner it binds schemas
//! with instances of its own; lanes ask it for what a batch was planned with.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmgate_connector::{Module, Planner, Stage};
use wasmgate_model::{Fault, FaultKind, Plan, Schema};

use crate::binding::{self, Bound, Candidate};
use crate::spec::StageSpec;
use crate::status::{StageFields, StageStatus};

/// Versions kept, so that batches in flight find theirs.
const VERSIONS_KEPT: usize = 8;
/// Ids of the schemas that stages see; sources number from 0.
const VIEW_IDS_FROM: u64 = 1 << 40;

/// Stages of one version of the chain.
pub(crate) type Specs = Arc<[StageSpec]>;

/// The chain, shared by source, lanes and status.
pub struct Chain {
    version: AtomicU64,
    state: Mutex<ChainState>,
}

struct ChainState {
    version: u64,
    versions: BTreeMap<u64, Specs>,
    /// One open instance per stage, for binding only.
    probes: Vec<Box<dyn Stage>>,
    /// By chain version and schema id.
    bound: HashMap<(u64, u64), Arc<Bound>>,
    /// The newest schema of each topic (and of its envelopes).
    schemas: HashMap<(Arc<str>, bool), Arc<Schema>>,
    next_id: u64,
}

impl Chain {
    /// Opens every stage once, so that a configuration that a module refuses shows at once.
    ///
    /// # Errors
    /// A module refuses its configuration; the message names it.
    pub fn new(specs: Vec<StageSpec>) -> Result<Self, Fault> {
        let probes = open(&specs)?;
        let state = ChainState {
            version: 1,
            versions: BTreeMap::from([(1, Specs::from(specs))]),
            probes,
            bound: HashMap::new(),
            schemas: HashMap::new(),
            next_id: VIEW_IDS_FROM,
        };
        Ok(Self { version: AtomicU64::new(1), state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, ChainState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stages and the binding that a batch was planned with.
    pub(crate) fn bound(&self, plan: &Plan, schema: &Schema) -> Result<(Specs, Arc<Bound>), Fault> {
        let state = self.lock();
        let specs = state.versions.get(&plan.chain).map(Arc::clone);
        let bound = state.bound.get(&(plan.chain, schema.id)).map(Arc::clone);
        specs.zip(bound).ok_or_else(|| {
            let what = format!(
                "a batch of {} was planned for chain version {}, which is gone",
                schema.topic, plan.chain
            );
            Fault::new(FaultKind::Internal, what)
        })
    }

    /// Whether a stage runs this module.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.specs().iter().any(|s| s.module.identity().name == name)
    }

    pub(crate) fn specs(&self) -> Specs {
        let state = self.lock();
        state.versions.get(&state.version).map_or_else(|| Specs::from([]), Arc::clone)
    }

    fn with(&self, module: &Arc<dyn Module>) -> Vec<StageSpec> {
        let mut specs = self.specs().to_vec();
        for spec in &mut specs {
            if spec.module.identity().name == module.identity().name {
                spec.module = Arc::clone(module);
            }
        }
        specs
    }

    /// Opens the whole chain with another version of a module and binds it to every schema in use.
    pub(crate) fn check(&self, module: &Arc<dyn Module>) -> Result<(), Fault> {
        let specs = self.with(module);
        let mut probes = open(&specs)?;
        let schemas: Vec<_> = self.lock().schemas.values().map(Arc::clone).collect();
        let mut next_id = u64::MAX / 2;
        for schema in schemas {
            bind_all(&schema, 0, &specs, &mut probes, &mut next_id)?;
        }
        probes.iter_mut().for_each(|p| p.close());
        Ok(())
    }

    /// Makes another version of a module current. Batches planned from now on run it.
    pub(crate) fn swap(&self, module: &Arc<dyn Module>) -> Result<(), Fault> {
        let specs = self.with(module);
        let probes = open(&specs)?;
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        state.versions.insert(version, Specs::from(specs));
        state.probes.iter_mut().for_each(|p| p.close());
        state.probes = probes;
        while state.versions.len() > VERSIONS_KEPT {
            state.versions.pop_first();
        }
        let oldest = state.versions.keys().next().copied().unwrap_or(version);
        state.bound.retain(|(chain, _), _| *chain >= oldest);
        self.version.store(version, Ordering::Release);
        Ok(())
    }

    pub(crate) fn stages(&self) -> Vec<StageStatus> {
        let status = |s: &StageSpec| {
            let id = s.module.identity();
            StageStatus {
                name: id.name.clone(),
                version: id.version.clone(),
                sha256: id.sha256.clone(),
            }
        };
        self.specs().iter().map(status).collect()
    }

    /// What each stage reads and writes, by topic.
    pub(crate) fn fields(&self) -> Vec<(String, Vec<StageFields>)> {
        let state = self.lock();
        let Some(specs) = state.versions.get(&state.version) else {
            return Vec::new();
        };
        let mut topics: Vec<_> = state
            .schemas
            .values()
            .filter_map(|schema| {
                let bound = state.bound.get(&(state.version, schema.id))?;
                Some((schema.topic.to_string(), stage_fields(specs, bound)))
            })
            .collect();
        topics.sort_by(|a, b| a.0.cmp(&b.0));
        topics
    }
}

impl Planner for Chain {
    fn plan(&self, schema: &Arc<Schema>) -> Result<Arc<Plan>, Fault> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let version = state.version;
        if let Some(bound) = state.bound.get(&(version, schema.id)) {
            return Ok(Arc::clone(&bound.plan));
        }
        let Some(specs) = state.versions.get(&version).map(Arc::clone) else {
            return Err(Fault::new(FaultKind::Internal, "the chain has no current version"));
        };
        let bound = bind_all(schema, version, &specs, &mut state.probes, &mut state.next_id)?;
        let bound = Arc::new(bound);
        let plan = Arc::clone(&bound.plan);
        state.bound.insert((version, schema.id), bound);
        let topic = (Arc::clone(&schema.topic), schema.envelope);
        state.schemas.insert(topic, Arc::clone(schema));
        Ok(plan)
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

fn open(specs: &[StageSpec]) -> Result<Vec<Box<dyn Stage>>, Fault> {
    specs.iter().map(|s| s.module.open(&s.config)).collect()
}

fn bind_all(
    schema: &Arc<Schema>,
    chain: u64,
    specs: &[StageSpec],
    probes: &mut [Box<dyn Stage>],
    next_id: &mut u64,
) -> Result<Bound, Fault> {
    let mut candidates: Vec<Candidate<'_>> = specs
        .iter()
        .zip(probes)
        .map(|(spec, probe)| Candidate {
            name: &spec.module.identity().name,
            applies: spec.applies(&schema.topic),
            stage: &mut **probe,
        })
        .collect();
    binding::bind(schema, chain, &mut candidates, &mut || {
        *next_id += 1;
        *next_id
    })
}

fn stage_fields(specs: &[StageSpec], bound: &Bound) -> Vec<StageFields> {
    let pairs = specs.iter().zip(&bound.stages);
    pairs
        .filter_map(|(spec, stage)| {
            let projection = &stage.as_ref()?.projection;
            Some(StageFields {
                stage: spec.module.identity().name.clone(),
                reads: projection.reads.iter().map(|r| r.name.clone()).collect(),
                writes: projection.writes.iter().map(|w| w.name.clone()).collect(),
            })
        })
        .collect()
}
