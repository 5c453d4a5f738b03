//! World `transform`: a component as a [`Module`], its instances as [`Stage`]s. An instance that
//! failed is never called again; the next call begins with a fresh one, opened and bound as the
//! old one was.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use wasmgate_connector::{Module, ModuleIdentity, Projection, Stage, StageInput, StageOutput};
use wasmgate_model::{Fault, FaultKind, Schema};
use wasmtime::Store;

use crate::bindings::transform::{Transform, TransformPre};
use crate::bindings::types;
use crate::call::{Guests, INSTANTIATE};
use crate::host::GuestContext;
use crate::host::log::one_line;
use crate::stats::ModuleStats;
use crate::{lift, lower, projection};

/// One version of a transform module.
pub struct TransformComponent {
    shared: Arc<Shared>,
}

/// What its instances share.
struct Shared {
    guests: Guests,
    pre: TransformPre<GuestContext>,
}

impl TransformComponent {
    pub(crate) fn new(guests: Guests, pre: TransformPre<GuestContext>) -> Self {
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

impl Module for TransformComponent {
    fn identity(&self) -> &Arc<ModuleIdentity> {
        &self.shared.guests.identity
    }

    fn open(&self, config: &str) -> Result<Box<dyn Stage>, Fault> {
        self.shared.guests.check_config(config)?;
        let mut stage = ComponentStage {
            shared: Arc::clone(&self.shared),
            config: config.to_owned(),
            instance: None,
            bound: HashMap::new(),
            ops: Vec::new(),
        };
        stage.instance = Some(stage.fresh()?);
        Ok(Box::new(stage))
    }
}

/// A live instance.
struct Instance {
    store: Store<GuestContext>,
    guest: Transform,
}

/// A schema, and what the module does to its records; `None`: nothing.
struct Bound {
    schema: Schema,
    terms: Option<Terms>,
}

#[derive(PartialEq)]
struct Terms {
    projection: Projection,
    texts: types::TextForm,
}

struct ComponentStage {
    shared: Arc<Shared>,
    config: String,
    /// `None` after a failure, until the next call.
    instance: Option<Instance>,
    /// By schema id.
    bound: HashMap<u64, Bound>,
    /// Kept for its memory.
    ops: Vec<types::Op>,
}

impl ComponentStage {
    fn fault(&self, kind: FaultKind, what: &str) -> Fault {
        Fault::new(kind, format!("module {} {what}", self.shared.guests.identity.name))
    }

    /// A fault of the module's answer, counted.
    fn failure(&self, kind: FaultKind, what: &str) -> Fault {
        self.shared.guests.counters.failure(kind);
        self.fault(kind, what)
    }

    /// An instance that is where the last one was: opened, and bound to every schema.
    fn fresh(&self) -> Result<Instance, Fault> {
        let Shared { guests, pre } = &*self.shared;
        let mut store = guests.store();
        let guest = guests.call(&mut store, INSTANTIATE, |s| pre.instantiate(s))?;
        let stage = guest.wasmgate_transform_stage();
        let opened = guests.call(&mut store, "open", |s| stage.call_open(s, &self.config))?;
        opened.map_err(|reason| guests.refused_config(&reason))?;
        let mut instance = Instance { store, guest };
        for bound in self.bound.values() {
            if self.terms(&mut instance, &bound.schema)? != bound.terms {
                let what = format!(
                    "binds {} in another way than before: bind must depend on nothing but \
                     configuration and schema",
                    bound.schema.topic
                );
                return Err(self.failure(FaultKind::ModuleOutput, &what));
            }
        }
        Ok(instance)
    }

    /// The instance, to be put back unless it fails.
    fn take(&mut self) -> Result<Instance, Fault> {
        self.instance.take().map_or_else(|| self.fresh(), Ok)
    }

    /// Asks an instance what it does to the records of a schema.
    fn terms(&self, instance: &mut Instance, schema: &Schema) -> Result<Option<Terms>, Fault> {
        let fields = lower::fields(schema);
        let key: Vec<&str> = schema.key.iter().map(|k| &**k).collect();
        let defaults: Vec<(&str, &str)> =
            schema.defaults.iter().map(|(n, d)| (&**n, &**d)).collect();
        let lowered = types::Schema {
            id: schema.id,
            source: &schema.topic,
            fields: &fields,
            key: &key,
            defaults: &defaults,
            open: schema.open,
            envelope: schema.envelope,
        };
        let stage = instance.guest.wasmgate_transform_stage();
        let answer = self
            .shared
            .guests
            .call(&mut instance.store, "bind", |s| stage.call_bind(s, lowered))?;
        let refused = |wrong: &str| {
            let what = format!("cannot be bound to {}: {wrong}", schema.topic);
            self.fault(FaultKind::ModuleRefused, &what)
        };
        let Some(answer) = answer.map_err(|reason| refused(&one_line(&reason)))? else {
            return Ok(None);
        };
        let texts = answer.texts;
        let projection = projection::lift(answer, schema.envelope)
            .map_err(|wrong| refused(&format!("its projection {wrong}")))?;
        Ok(Some(Terms { projection, texts }))
    }

    fn run(&self, instance: &mut Instance, input: &Call<'_>) -> Result<StageOutput, Fault> {
        let misuse = |what: &str| {
            self.fault(FaultKind::Internal, &format!("is called against the contract: {what}"))
        };
        let terms = self.bound.get(&input.schema).and_then(|b| b.terms.as_ref());
        let Terms { projection, texts } =
            terms.ok_or_else(|| misuse("the schema is not bound, or passes untouched"))?;
        input.check(projection).map_err(misuse)?;
        let slices = input.columns.iter().map(|c| lower::slices(c, *texts));
        let slices = slices.collect::<Result<Vec<_>, _>>().map_err(misuse)?;
        let columns = input.columns.iter().zip(&slices).map(|(c, s)| lower::column(c, s));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(misuse)?;
        let batch = types::Batch {
            schema: input.schema,
            rows: input.rows,
            ops: input.ops,
            columns: &columns,
        };
        let stage = instance.guest.wasmgate_transform_stage();
        let answer = self
            .shared
            .guests
            .call(&mut instance.store, "process", |s| stage.call_process(s, batch))?;
        let answer = answer.map_err(|reason| {
            let what = format!("failed the whole call: {}", one_line(&reason));
            self.failure(FaultKind::ModuleError, &what)
        })?;
        lift::output(answer, projection, input.rows).map_err(|wrong| {
            let what = format!("breaks the contract in its answer's {wrong}");
            self.failure(FaultKind::ModuleOutput, &what)
        })
    }
}

/// [`StageInput`] with its operations in the contract's form.
struct Call<'a> {
    schema: u64,
    rows: u32,
    ops: &'a [types::Op],
    columns: &'a [&'a wasmgate_model::Column],
}

impl Call<'_> {
    fn check(&self, projection: &Projection) -> Result<(), &'static str> {
        let reads = &projection.reads;
        if self.columns.len() != reads.len()
            || !self.columns.iter().zip(reads).all(|(c, r)| lower::fits(c, r, self.rows))
        {
            return Err("the columns do not follow the projection's reads");
        }
        if self.ops.len() != if projection.ops { self.rows as usize } else { 0 } {
            return Err("the operations do not follow the projection");
        }
        Ok(())
    }
}

impl Stage for ComponentStage {
    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, Fault> {
        let mut instance = self.take()?;
        let terms = self.terms(&mut instance, schema);
        // A module that says no is well; any other failure costs the instance.
        if terms.as_ref().map_or_else(|f| f.kind == FaultKind::ModuleRefused, |_| true) {
            self.instance = Some(instance);
        }
        let terms = terms?;
        let projection = terms.as_ref().map(|t| t.projection.clone());
        self.bound.insert(schema.id, Bound { schema: schema.clone(), terms });
        Ok(projection)
    }

    fn process(&mut self, input: &StageInput<'_>) -> Result<StageOutput, Fault> {
        if self.shared.guests.safeguards.counting {
            self.shared.guests.counters.call(input.rows as usize);
        }
        let mut instance = self.take()?;
        let mut ops = mem::take(&mut self.ops);
        ops.clear();
        ops.extend(input.ops.iter().map(|op| lower::op(*op)));
        let call =
            Call { schema: input.schema, rows: input.rows, ops: &ops, columns: input.columns };
        let output = self.run(&mut instance, &call);
        self.ops = ops;
        if output.is_ok() {
            self.instance = Some(instance);
        }
        output
    }

    fn close(&mut self) {
        let Some(mut instance) = self.instance.take() else {
            return;
        };
        let stage = instance.guest.wasmgate_transform_stage();
        let closed = self.shared.guests.call(&mut instance.store, "close", |s| stage.call_close(s));
        if let Err(fault) = closed {
            tracing::warn!(error = %fault.chain(), "a module failed while it was closed");
        }
    }
}
