//! The schema as a stage sees it: the source's fields after what earlier stages wrote, removed
//! and renamed, each with where it really comes from.

use std::sync::Arc;

use wasmgate_model::{Field, FieldPath, Kind, Logical, Schema};

use super::Slot;

/// (payload name, new name).
pub(super) type Renames = Vec<(Arc<str>, Arc<str>)>;

/// Where a field of the view comes from.
#[derive(Debug, Clone)]
enum Origin {
    /// The payload's field of this name.
    Source(Arc<str>),
    /// A slot; what it leaves absent is the payload's field, if there is one.
    Written { slot: usize, below: Option<Arc<str>> },
}

struct ViewField {
    field: Field,
    origin: Origin,
}

/// What a name leads to.
pub(super) enum Found {
    Source { path: FieldPath, kind: Option<Kind> },
    Written { slot: usize, below: Option<FieldPath> },
    Missing,
}

pub(super) struct View {
    base: Arc<Schema>,
    pub(super) topic: Arc<str>,
    pub(super) envelope: bool,
    fields: Vec<ViewField>,
    /// Payload fields that are no longer visible under their own name.
    removed: Vec<Arc<str>>,
    /// (payload name, name now).
    renamed: Vec<(Arc<str>, Arc<str>)>,
}

impl View {
    pub(super) fn new(schema: &Arc<Schema>) -> Self {
        let field =
            |f: &Field| ViewField { field: f.clone(), origin: Origin::Source(Arc::clone(&f.name)) };
        Self {
            base: Arc::clone(schema),
            topic: Arc::clone(&schema.topic),
            envelope: schema.envelope,
            fields: schema.fields.iter().map(field).collect(),
            removed: Vec::new(),
            renamed: Vec::new(),
        }
    }

    /// The contract's schema of this view.
    pub(super) fn schema(&self, id: u64) -> Schema {
        Schema {
            fields: self.fields.iter().map(|f| f.field.clone()).collect(),
            key: self.base.key.clone(),
            key_only: self.base.key_only.clone(),
            open: self.base.open,
            defaults: Arc::clone(&self.base.defaults),
            ..Schema::open(id, Arc::clone(&self.topic), self.envelope)
        }
    }

    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|f| &*f.field.name).collect();
        names.join(", ")
    }

    pub(super) fn find(&self, path: &FieldPath) -> Found {
        let FieldPath::Current(name) = path else {
            let kind = match path {
                FieldPath::Before(name) if !self.base.open => match self.base.field(name) {
                    Some((_, field)) => Some(field.kind),
                    None => return Found::Missing,
                },
                _ => None,
            };
            return Found::Source { path: path.clone(), kind };
        };
        let named = |f: &&ViewField| f.field.name == *name;
        match self.fields.iter().find(named) {
            Some(ViewField { field, origin: Origin::Source(source) }) => {
                let kind = (!self.base.open).then_some(field.kind);
                Found::Source { path: FieldPath::Current(Arc::clone(source)), kind }
            }
            Some(ViewField { origin: Origin::Written { slot, below }, .. }) => {
                let below = below.as_ref().map(|n| FieldPath::Current(Arc::clone(n)));
                Found::Written { slot: *slot, below }
            }
            None if self.base.open && !self.removed.contains(name) => {
                Found::Source { path: path.clone(), kind: None }
            }
            None => Found::Missing,
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str, slots: &mut [Slot]) {
        self.remove(to, slots);
        let to: Arc<str> = to.into();
        let at = self.fields.iter().position(|f| &*f.field.name == from);
        let Some(view) = at.and_then(|at| self.fields.get_mut(at)) else {
            if self.base.open {
                self.removed.push(from.into());
                let field = Field::new(Arc::clone(&to), Kind::Json, Logical::Plain, true);
                self.renamed.push((from.into(), to));
                self.fields.push(ViewField { field, origin: Origin::Source(from.into()) });
            }
            return;
        };
        view.field.name = Arc::clone(&to);
        match &view.origin {
            Origin::Source(source) => {
                self.renamed.retain(|(name, _)| name != source);
                self.renamed.push((Arc::clone(source), to));
                self.removed.push(from.into());
            }
            Origin::Written { slot, .. } => {
                if let Some(slot) = slots.get_mut(*slot) {
                    slot.name = to;
                }
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str, slots: &mut [Slot]) {
        let at = self.fields.iter().position(|f| &*f.field.name == name);
        match at.map(|at| self.fields.remove(at).origin) {
            Some(Origin::Source(source)) => {
                self.renamed.retain(|(from, _)| *from != source);
                self.removed.push(source);
            }
            Some(Origin::Written { slot, below }) => {
                if let Some(slot) = slots.get_mut(slot) {
                    slot.removed = true;
                }
                self.removed.extend(below);
            }
            None if self.base.open => self.removed.push(name.into()),
            None => {}
        }
    }

    pub(super) fn write(&mut self, name: &str, kind: Kind, nullable: bool, slot: usize) {
        let field = Field::new(name, kind, Logical::Plain, nullable);
        let gone = self.removed.iter().any(|r| &**r == name);
        let below = (self.base.open && !gone).then(|| Arc::clone(&field.name));
        match self.fields.iter_mut().find(|f| &*f.field.name == name) {
            Some(view) => {
                let below = match &view.origin {
                    Origin::Source(source) if *source != field.name => {
                        self.renamed.retain(|(from, _)| from != source);
                        self.removed.push(Arc::clone(source));
                        None
                    }
                    Origin::Source(source) => Some(Arc::clone(source)),
                    Origin::Written { below, .. } => below.clone(),
                };
                view.field = field;
                view.origin = Origin::Written { slot, below };
            }
            None => {
                self.fields.push(ViewField { field, origin: Origin::Written { slot, below } });
            }
        }
    }

    /// (payload fields to leave out, payload fields under a new name).
    pub(super) fn edits(&self) -> (Vec<Arc<str>>, Renames) {
        let renamed_away = |name: &Arc<str>| self.renamed.iter().any(|(from, _)| from == name);
        let mut removed: Vec<Arc<str>> =
            self.removed.iter().filter(|n| !renamed_away(n)).cloned().collect();
        removed.sort();
        removed.dedup();
        (removed, self.renamed.clone())
    }
}
