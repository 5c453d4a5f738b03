//! The chain of stages of a pipeline and its versions. As the source's planner it binds schemas
//! with instances of its own; lanes ask it for what a batch was planned with.

mod lineage;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmgate_connector::{Module, Planner, Stage};
use wasmgate_model::{Blame, Fault, FaultKind, Plan, Schema};

use crate::binding::{self, Bound, Candidate, Unbound};
use crate::guard::Guard;
use crate::misfit::Misfit;
use crate::spec::{GuardSpec, StageSpec};

/// Versions kept in any case, so that batches in flight find theirs.
const VERSIONS_KEPT: u64 = 8;
/// Versions kept at most, as long as somebody holds one of their plans.
const VERSIONS_MAX: usize = 64;
/// Ids of the schemas that stages see; sources number from 0.
const VIEW_IDS_FROM: u64 = 1 << 40;

/// One stage of one version of the chain. The guard is the same in every version that runs the
/// same version of the module here.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) spec: StageSpec,
    pub(crate) guard: Arc<Guard>,
}

impl Place {
    fn new(spec: StageSpec, guard: GuardSpec) -> Self {
        let guard = Arc::new(Guard::new(guard, spec.module.identity()));
        Self { spec, guard }
    }

    fn name(&self) -> &str {
        &self.spec.module.identity().name
    }
}

/// Stages of one version of the chain.
pub(crate) type Places = Arc<[Place]>;

/// The chain, shared by source, lanes and status.
pub struct Chain {
    version: AtomicU64,
    state: Mutex<ChainState>,
}

struct ChainState {
    version: u64,
    versions: BTreeMap<u64, Places>,
    /// One open instance per stage, for binding only.
    probes: Vec<Box<dyn Stage>>,
    /// By chain version and schema id.
    bound: HashMap<(u64, u64), Arc<Bound>>,
    /// The newest schema of each topic (and of its envelopes).
    schemas: HashMap<(Arc<str>, bool), Arc<Schema>>,
    next_id: u64,
}

impl ChainState {
    fn places(&self) -> Places {
        self.versions.get(&self.version).map_or_else(|| Places::from([]), Arc::clone)
    }

    /// Lets versions go that no batch can have been planned with.
    fn retire(&mut self) {
        let oldest_kept = self.version.saturating_sub(VERSIONS_KEPT);
        let in_use = |(_, bound): (_, &Arc<Bound>)| Arc::strong_count(&bound.plan) > 1;
        let used: HashSet<u64> =
            self.bound.iter().filter(|b| in_use(*b)).map(|((chain, _), _)| *chain).collect();
        self.versions.retain(|chain, _| *chain > oldest_kept || used.contains(chain));
        while self.versions.len() > VERSIONS_MAX {
            self.versions.pop_first();
        }
        let versions = &self.versions;
        self.bound.retain(|(chain, _), _| versions.contains_key(chain));
    }
}

impl Chain {
    /// Opens every stage once, so that a configuration that a module refuses shows at once.
    ///
    /// # Errors
    /// A module refuses its configuration; the message names it.
    pub fn new(specs: Vec<StageSpec>) -> Result<Self, Fault> {
        Self::guarded(specs, &[])
    }

    /// A chain whose stages fail as their guards say.
    pub(crate) fn guarded(specs: Vec<StageSpec>, guards: &[GuardSpec]) -> Result<Self, Fault> {
        let guards = guards.iter().copied().chain(std::iter::repeat(GuardSpec::default()));
        let places = specs.into_iter().zip(guards).map(|(spec, guard)| Place::new(spec, guard));
        let places: Places = places.collect();
        let state = ChainState {
            version: 1,
            probes: open(&places)?,
            versions: BTreeMap::from([(1, places)]),
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
    ///
    /// # Errors
    /// So many versions followed that this one is gone: the chain's doing, as a module's.
    pub(crate) fn bound(
        &self,
        plan: &Plan,
        schema: &Schema,
    ) -> Result<(Places, Arc<Bound>), Fault> {
        let state = self.lock();
        let places = state.versions.get(&plan.chain).map(Arc::clone);
        let bound = state.bound.get(&(plan.chain, schema.id)).map(Arc::clone);
        places.zip(bound).ok_or_else(|| {
            let what = format!(
                "a batch of {} was planned for chain version {}, which is gone; it is read again",
                schema.topic, plan.chain
            );
            Fault::new(FaultKind::ModuleRefused, what)
        })
    }

    /// Whether a stage runs this module.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.places().iter().any(|p| p.name() == name)
    }

    pub(crate) fn places(&self) -> Places {
        self.lock().places()
    }

    fn with(&self, module: &Arc<dyn Module>) -> Places {
        let place = |place: &Place| {
            if place.name() != module.identity().name {
                return place.clone();
            }
            let spec = StageSpec { module: Arc::clone(module), ..place.spec.clone() };
            Place::new(spec, place.guard.spec)
        };
        self.places().iter().map(place).collect()
    }

    /// Opens the whole chain with another version of a module and binds it to every schema in use.
    /// A stage of another module that does not fit already is no reason to refuse this one.
    pub(crate) fn check(&self, module: &Arc<dyn Module>) -> Result<(), Fault> {
        let places = self.with(module);
        let mut probes = open(&places)?;
        let schemas: Vec<_> = self.lock().schemas.values().map(Arc::clone).collect();
        let mut next_id = u64::MAX / 2;
        for schema in schemas {
            let Err(unbound) = bind_all(&schema, 0, &places, &mut probes, &mut next_id) else {
                continue;
            };
            let other = places.get(unbound.at).is_some_and(|p| p.name() != module.identity().name);
            if !(other && self.misfit_at(&schema) == Some(unbound.at)) {
                return Err(unbound.fault);
            }
        }
        probes.iter_mut().for_each(|p| p.close());
        Ok(())
    }

    /// The stage that does not fit a schema now.
    fn misfit_at(&self, schema: &Schema) -> Option<usize> {
        let state = self.lock();
        let bound = state.bound.get(&(state.version, schema.id))?;
        bound.misfit.as_ref().map(|m| m.at)
    }

    /// Makes another version of a module current. Batches planned from now on run it.
    pub(crate) fn swap(&self, module: &Arc<dyn Module>) -> Result<(), Fault> {
        let places = self.with(module);
        let probes = open(&places)?;
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        state.versions.insert(version, places);
        state.probes.iter_mut().for_each(|p| p.close());
        state.probes = probes;
        state.retire();
        self.version.store(version, Ordering::Release);
        Ok(())
    }

    /// Stages that are not called any more get another try.
    pub(crate) fn close_breakers(&self) {
        self.places().iter().for_each(|p| p.guard.close());
    }

    /// Modules that did not fit are asked again. Nothing may be in flight.
    pub(crate) fn forget_misfits(&self) {
        self.lock().bound.retain(|_, bound| bound.misfit.is_none());
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
        let places = state.places();
        let bound = match bind_all(schema, version, &places, &mut state.probes, &mut state.next_id)
        {
            Ok(bound) => bound,
            Err(unbound) => misfit(schema, version, &places, unbound)?,
        };
        let plan = Arc::clone(&bound.plan);
        state.bound.insert((version, schema.id), Arc::new(bound));
        let topic = (Arc::clone(&schema.topic), schema.envelope);
        state.schemas.insert(topic, Arc::clone(schema));
        Ok(plan)
    }

    fn refusal(&self, schema: &Arc<Schema>) -> Result<Option<String>, Fault> {
        self.plan(schema)?;
        let state = self.lock();
        let bound = state.bound.get(&(state.version, schema.id));
        Ok(bound.and_then(|bound| bound.misfit.as_ref()).and_then(Misfit::refusal))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// A module that does not fit is met in the lane, where its batch has its place among others.
fn misfit(
    schema: &Arc<Schema>,
    version: u64,
    places: &[Place],
    unbound: Unbound,
) -> Result<Bound, Fault> {
    match places.get(unbound.at) {
        Some(place) if unbound.fault.blame() == Blame::Guest => {
            let misfit = Misfit::new(schema, &place.guard, &unbound);
            tracing::warn!(reason = misfit.reason, "a module does not fit a schema");
            Ok(misfit.bound(schema, version))
        }
        _ => Err(unbound.fault),
    }
}

fn open(places: &[Place]) -> Result<Vec<Box<dyn Stage>>, Fault> {
    places.iter().map(|p| p.spec.module.open(&p.spec.config)).collect()
}

fn bind_all(
    schema: &Arc<Schema>,
    chain: u64,
    places: &[Place],
    probes: &mut [Box<dyn Stage>],
    next_id: &mut u64,
) -> Result<Bound, Unbound> {
    let mut candidates: Vec<Candidate<'_>> = places
        .iter()
        .zip(probes)
        .map(|(place, probe)| Candidate {
            name: place.name(),
            applies: place.spec.applies(&schema.topic),
            stage: &mut **probe,
        })
        .collect();
    binding::bind(schema, chain, &mut candidates, &mut || {
        *next_id += 1;
        *next_id
    })
}
