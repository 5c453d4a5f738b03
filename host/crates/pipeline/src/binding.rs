//! Binds a chain of stages to a schema: which columns each stage gets and where its answers go,
//! and the plan that the source's decoder follows. Pure but for the modules' own `bind`.

mod view;

use std::collections::HashMap;
use std::sync::Arc;

use wasmgate_connector::{Projection, Stage};
use wasmgate_model::{Fault, FaultKind, FieldPath, Kind, Plan, PlanRead, Schema, Shape};

use self::view::{Found, View};
use crate::misfit::Misfit;
use crate::rules::{self, Target};

/// Where a stage's read comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Column of the plan.
    Plan(usize),
    /// Written by an earlier stage as `from`; rows it left absent come from plan read `below`.
    Slot { slot: usize, from: Kind, below: Option<usize> },
    /// Not there: every row absent.
    Absent,
}

/// One read of a bound stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoundRead {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// A row without the field (absent, not null) is dead-lettered.
    pub(crate) required: bool,
    pub(crate) input: Input,
}

/// A stage bound to a schema. `None` in [`Bound::stages`]: its records pass untouched.
#[derive(Debug)]
pub(crate) struct BoundStage {
    /// The schema as this stage sees it: after what earlier stages did.
    pub(crate) view: Arc<Schema>,
    pub(crate) projection: Projection,
    pub(crate) reads: Vec<BoundRead>,
    /// Slot of each write.
    pub(crate) writes: Vec<usize>,
}

/// A column that stages write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) target: Target,
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    /// A later stage removed the field again.
    pub(crate) removed: bool,
}

/// A chain bound to a schema.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) schema: Arc<Schema>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) stages: Vec<Option<BoundStage>>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) removed: Vec<Arc<str>>,
    pub(crate) renamed: Vec<(Arc<str>, Arc<str>)>,
    pub(crate) key_removed: Vec<Arc<str>>,
    pub(crate) shape: Shape,
    /// A stage does not fit the schema: none of them runs.
    pub(crate) misfit: Option<Misfit>,
}

/// Why a chain cannot be bound: the place of the stage, and what is wrong.
#[derive(Debug)]
pub(crate) struct Unbound {
    pub(crate) at: usize,
    pub(crate) fault: Fault,
}

/// A stage to bind: its name, whether it applies to the schema's topic, an open instance.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) applies: bool,
    pub(crate) stage: &'a mut dyn Stage,
}

/// Binds every stage in order.
pub(crate) fn bind(
    schema: &Arc<Schema>,
    chain: u64,
    candidates: &mut [Candidate<'_>],
    new_id: &mut dyn FnMut() -> u64,
) -> Result<Bound, Unbound> {
    let mut binder = Binder {
        view: View::new(schema),
        plan: Plan { chain, ..Plan::default() },
        known: HashMap::new(),
        slots: Vec::new(),
        key_removed: Vec::new(),
        shape: Shape::Keep,
    };
    let mut stages = Vec::with_capacity(candidates.len());
    for (at, candidate) in candidates.iter_mut().enumerate() {
        if !candidate.applies {
            stages.push(None);
            continue;
        }
        let unbound = |fault| Unbound { at, fault };
        let view = Arc::new(binder.view.schema(new_id()));
        let projection = candidate.stage.bind(&view).map_err(unbound)?;
        stages.push(match projection {
            Some(projection) => {
                Some(binder.stage(candidate.name, view, projection).map_err(unbound)?)
            }
            None => None,
        });
    }
    Ok(binder.finish(schema, stages))
}

struct Binder {
    view: View,
    plan: Plan,
    known: HashMap<(FieldPath, Kind), usize>,
    slots: Vec<Slot>,
    key_removed: Vec<Arc<str>>,
    shape: Shape,
}

impl Binder {
    fn stage(
        &mut self,
        name: &str,
        view: Arc<Schema>,
        projection: Projection,
    ) -> Result<BoundStage, Fault> {
        rules::check(name, &projection)?;
        let mut reads = Vec::with_capacity(projection.reads.len());
        for read in &projection.reads {
            let required = !read.optional;
            let input = self.read(name, &read.name, read.kind, required)?;
            reads.push(BoundRead { name: read.name.clone(), kind: read.kind, required, input });
        }
        for (from, to) in &projection.renames {
            self.view.rename(from, to, &mut self.slots);
        }
        for field in &projection.removes {
            match field.strip_prefix("$key.") {
                Some(key) => self.key_removed.push(key.into()),
                None => self.view.remove(field, &mut self.slots),
            }
        }
        let mut writes = Vec::with_capacity(projection.writes.len());
        for write in &projection.writes {
            let target = rules::target(name, write)?;
            writes.push(self.slot(name, target, &write.name, write.kind, write.nullable)?);
        }
        if projection.shape == Shape::Row && self.view.envelope {
            self.shape = Shape::Row;
            self.plan.image = true;
            self.view.envelope = false;
        }
        Ok(BoundStage { view, projection, reads, writes })
    }

    fn read(
        &mut self,
        stage: &str,
        name: &str,
        kind: Kind,
        required: bool,
    ) -> Result<Input, Fault> {
        let refuse = |what: String| Err(rules::refused(stage, &what));
        let Some(path) = FieldPath::parse(name, self.view.envelope) else {
            return refuse(format!("reads {name}, which is no such reserved name"));
        };
        let written = match &path {
            FieldPath::Topic => self.find(&Target::Topic),
            FieldPath::Key => self.find(&Target::Key),
            FieldPath::Header(header) => self.find(&Target::Header(header.to_string())),
            _ => None,
        };
        if let Some(slot) = written {
            let below = Some(self.plan_read(stage, path, kind));
            return Ok(Input::Slot { slot, from: Kind::Text, below });
        }
        match self.view.find(&path) {
            Found::Missing if required => {
                let (topic, have) = (&self.view.topic, self.view.names());
                refuse(format!("reads field {name:?}, which {topic} does not have (it has {have})"))
            }
            Found::Missing => Ok(Input::Absent),
            Found::Source { kind: Some(found), .. } if !found.converts_to(kind) => refuse(format!(
                "reads field {name:?} of {} as {}; it is {}",
                self.view.topic,
                kind.name(),
                found.name()
            )),
            Found::Source { path, .. } => Ok(Input::Plan(self.plan_read(stage, path, kind))),
            Found::Written { slot, below } => {
                let from = self.slots.get(slot).map_or(kind, |s| s.kind);
                if !crate::convert::possible(from, kind) {
                    let (from, kind) = (from.name(), kind.name());
                    return refuse(format!(
                        "reads field {name:?} as {kind}; an earlier stage writes {from}"
                    ));
                }
                let below = below.map(|path| self.plan_read(stage, path, kind));
                Ok(Input::Slot { slot, from, below })
            }
        }
    }

    fn plan_read(&mut self, stage: &str, path: FieldPath, kind: Kind) -> usize {
        let reads = &mut self.plan.reads;
        *self.known.entry((path.clone(), kind)).or_insert_with(|| {
            reads.push(PlanRead { path, kind, optional: true, stage: stage.into() });
            reads.len() - 1
        })
    }

    fn find(&self, target: &Target) -> Option<usize> {
        self.slots.iter().position(|s| s.target == *target)
    }

    fn slot(
        &mut self,
        stage: &str,
        target: Target,
        name: &str,
        kind: Kind,
        nullable: bool,
    ) -> Result<usize, Fault> {
        let live = |s: &Slot| {
            s.target == target && !s.removed && (target != Target::Field || &*s.name == name)
        };
        let found = self.slots.iter().position(live);
        let slot = match found {
            Some(at) if self.slots.get(at).is_some_and(|s| s.kind != kind) => {
                let what = format!(
                    "writes field {name:?} as {}; an earlier stage writes another kind",
                    kind.name()
                );
                return Err(rules::refused(stage, &what));
            }
            Some(at) => at,
            None => {
                let slot = Slot { target: target.clone(), name: name.into(), kind, removed: false };
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        if target == Target::Field {
            self.view.write(name, kind, nullable, slot);
        }
        Ok(slot)
    }

    fn finish(mut self, schema: &Arc<Schema>, stages: Vec<Option<BoundStage>>) -> Bound {
        let (removed, renamed) = self.view.edits();
        let mut edits: Vec<Arc<str>> = removed.clone();
        edits.extend(renamed.iter().map(|(from, _)| Arc::clone(from)));
        let fields = self.slots.iter().filter(|s| s.target == Target::Field && !s.removed);
        edits.extend(fields.map(|s| Arc::clone(&s.name)));
        edits.sort();
        edits.dedup();
        self.plan.edits = edits;
        Bound {
            schema: Arc::clone(schema),
            plan: Arc::new(self.plan),
            stages,
            slots: self.slots,
            removed,
            renamed,
            key_removed: self.key_removed,
            shape: self.shape,
            misfit: None,
        }
    }
}

impl Bound {
    /// The stage's projection must be the one that the plan was made with.
    pub(crate) fn confirm(
        &self,
        at: usize,
        name: &str,
        projection: Option<&Projection>,
    ) -> Result<(), Fault> {
        let planned = self.stages.get(at).and_then(Option::as_ref).map(|s| &s.projection);
        if planned == projection {
            return Ok(());
        }
        let what = format!(
            "module {name} binds the same schema in two ways; bind must depend on its arguments only"
        );
        Err(Fault::new(FaultKind::ModuleOutput, what))
    }
}
