//! World `dead-letter-policy`: a component as a [`PolicyModule`].

use std::sync::Arc;

use wasmgate_connector::{Decision, Failure, ModuleIdentity, Policy, PolicyModule};
use wasmgate_model::{Fault, FaultKind};
use wasmtime::Store;

use crate::bindings::policy::exports::wasmgate::transform::policy as wit;
use crate::bindings::policy::{DeadLetterPolicy, DeadLetterPolicyPre};
use crate::call::{Guests, INSTANTIATE};
use crate::host::GuestContext;
use crate::lower;
use crate::stats::ModuleStats;

/// One version of a policy module.
pub struct PolicyComponent {
    shared: Arc<Shared>,
}

/// What its instances share.
struct Shared {
    guests: Guests,
    pre: DeadLetterPolicyPre<GuestContext>,
}

impl PolicyComponent {
    pub(crate) fn new(guests: Guests, pre: DeadLetterPolicyPre<GuestContext>) -> Self {
        Self { shared: Arc::new(Shared { guests, pre }) }
    }

    /// What calling it has cost so far.
    #[must_use]
    pub fn stats(&self) -> ModuleStats {
        self.shared.guests.counters.snapshot()
    }

    pub(crate) fn component(&self) -> &wasmtime::component::Component {
        &self.shared.guests.code
    }
}

impl PolicyModule for PolicyComponent {
    fn identity(&self) -> &Arc<ModuleIdentity> {
        &self.shared.guests.identity
    }

    fn open(&self, config: &str) -> Result<Box<dyn Policy>, Fault> {
        self.shared.guests.check_config(config)?;
        let instance = fresh(&self.shared, config)?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(ComponentPolicy {
            shared,
            config: config.to_owned(),
            instance: Some(instance),
        }))
    }
}

/// A live instance.
struct Instance {
    store: Store<GuestContext>,
    guest: DeadLetterPolicy,
}

struct ComponentPolicy {
    shared: Arc<Shared>,
    config: String,
    /// `None` after a failure, until the next call.
    instance: Option<Instance>,
}

fn fresh(shared: &Shared, config: &str) -> Result<Instance, Fault> {
    let Shared { guests, pre } = shared;
    let mut store = guests.store();
    let guest = guests.call(&mut store, INSTANTIATE, |s| pre.instantiate(s))?;
    let policy = guest.wasmgate_transform_policy();
    let opened = guests.call(&mut store, "open", |s| policy.call_open(s, config))?;
    opened.map_err(|reason| guests.refused_config(&reason))?;
    Ok(Instance { store, guest })
}

impl Policy for ComponentPolicy {
    fn decide(&mut self, failures: &[Failure]) -> Result<Vec<Decision>, Fault> {
        let Shared { guests, .. } = &*self.shared;
        guests.counters.call(failures.len());
        let mut instance =
            self.instance.take().map_or_else(|| fresh(&self.shared, &self.config), Ok)?;
        let lowered: Vec<wit::Failure<'_>> = failures.iter().map(lower_failure).collect();
        let policy = instance.guest.wasmgate_transform_policy();
        let decisions =
            guests.call(&mut instance.store, "decide", |s| policy.call_decide(s, &lowered))?;
        if decisions.len() != failures.len() {
            guests.counters.failure(FaultKind::ModuleOutput);
            let message = format!(
                "module {} breaks the contract: found {} decisions for {} failures",
                guests.identity.name,
                decisions.len(),
                failures.len()
            );
            return Err(Fault::new(FaultKind::ModuleOutput, message));
        }
        self.instance = Some(instance);
        Ok(decisions.into_iter().map(lift_decision).collect())
    }
}

fn lower_failure(failure: &Failure) -> wit::Failure<'_> {
    wit::Failure {
        stage: &failure.stage,
        code: &failure.code,
        message: &failure.message,
        attempt: failure.attempt,
        age_ms: failure.age_ms,
        topic: &failure.topic,
        partition: failure.partition,
        op: lower::op(failure.op),
        key: failure.key.as_deref(),
        value: failure.value.as_deref(),
    }
}

fn lift_decision(decision: wit::Decision) -> Decision {
    match decision {
        wit::Decision::Retry(ms) => Decision::Retry(ms),
        wit::Decision::DeadLetter(topic) => {
            Decision::DeadLetter(topic.filter(|topic| !topic.is_empty()))
        }
        wit::Decision::Drop => Decision::Drop,
        wit::Decision::Halt => Decision::Halt,
    }
}
