//! A plan made ready for walking: which slots of the tree each read and each edit looks at.
//! Walkers are kept per thread and plan, with the key order that they have learnt.

use std::cell::RefCell;
use std::sync::Arc;

use wasmgate_model::{FieldPath, Plan};

use super::tree::{Found, ROOT, Target, Tree};

/// Walkers kept per thread; a source works on a few topics at a time.
const KEPT: usize = 32;

/// Where a read's value comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The row image: as a member of the document, or of `after` and `before`.
    Image {
        after: Target,
        before: Option<Target>,
    },
    /// Any other member of the document.
    Member(Target),
    /// A member of the key.
    KeyMember(Target),
    Key,
    Topic,
    Partition,
    Offset,
    Time,
    Header(Arc<str>),
}

/// Slots of the envelope's own members.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) op: u32,
    pub(super) after: u32,
    pub(super) before: u32,
}

/// Everything needed to project batches of one plan.
#[derive(Debug)]
pub(super) struct Walker {
    plan: Arc<Plan>,
    /// `None`: the document itself is the row.
    pub(super) envelope: Option<Envelope>,
    /// Members of the value.
    pub(super) value: Tree,
    pub(super) found: Found,
    /// Members of the key.
    pub(super) key: Tree,
    pub(super) key_found: Found,
    /// Follows the plan's reads.
    pub(super) origins: Vec<Origin>,
    /// Follows the plan's edits: in `after` or the document, and in `before`.
    pub(super) edits: Vec<(Target, Option<Target>)>,
    /// Whether values have to be looked at.
    pub(super) walks: bool,
    pub(super) reads_key: bool,
    /// Bytes of text that each read had in the last batch.
    pub(super) sizes: Vec<usize>,
}

impl Walker {
    fn new(plan: &Arc<Plan>, envelope: bool) -> Self {
        let mut value = Tree::default();
        let mut key = Tree::default();
        let images = envelope.then(|| Images::new(&mut value));
        let origins: Vec<_> = plan
            .reads
            .iter()
            .map(|read| origin(&read.path, images.as_ref(), &mut value, &mut key))
            .collect();
        let edits: Vec<_> =
            plan.edits.iter().map(|name| image(name, images.as_ref(), &mut value)).collect();
        let from_value =
            origins.iter().any(|o| matches!(o, Origin::Image { .. } | Origin::Member(_)));
        Self {
            plan: Arc::clone(plan),
            walks: envelope || plan.image || from_value || !edits.is_empty(),
            reads_key: origins.iter().any(|o| matches!(o, Origin::KeyMember(_))),
            envelope: images.map(|i| i.slots),
            value,
            sizes: vec![0; origins.len()],
            found: Found::default(),
            key,
            key_found: Found::default(),
            origins,
            edits,
        }
    }
}

/// The row images of an envelope, as objects of the tree.
struct Images {
    slots: Envelope,
    after: u32,
    before: u32,
}

impl Images {
    fn new(tree: &mut Tree) -> Self {
        let (before_slot, before) = tree.object(ROOT, "before");
        let (after_slot, after) = tree.object(ROOT, "after");
        let op = tree.slot(ROOT, "op");
        Self { slots: Envelope { op, after: after_slot, before: before_slot }, after, before }
    }
}

/// A field of the row image.
fn image(name: &str, images: Option<&Images>, tree: &mut Tree) -> (Target, Option<Target>) {
    match images {
        None => (tree.field(ROOT, name), None),
        Some(images) => (
            tree.field(images.after, name).within(images.slots.after),
            Some(tree.field(images.before, name).within(images.slots.before)),
        ),
    }
}

fn origin(path: &FieldPath, images: Option<&Images>, value: &mut Tree, key: &mut Tree) -> Origin {
    let mut group = |group: &str, name: &str| {
        let (slot, object) = value.object(ROOT, group);
        Origin::Member(value.field(object, name).within(slot))
    };
    match path {
        FieldPath::Current(name) => {
            let (after, before) = image(name, images, value);
            Origin::Image { after, before }
        }
        FieldPath::Before(name) => group("before", name),
        FieldPath::Source(name) => group("source", name),
        FieldPath::Transaction(name) => group("transaction", name),
        FieldPath::Envelope(name) => Origin::Member(value.field(ROOT, name)),
        FieldPath::KeyField(name) => Origin::KeyMember(key.field(ROOT, name)),
        FieldPath::Key => Origin::Key,
        FieldPath::Topic => Origin::Topic,
        FieldPath::Partition => Origin::Partition,
        FieldPath::Offset => Origin::Offset,
        FieldPath::TimestampUs => Origin::Time,
        FieldPath::Header(name) => Origin::Header(Arc::clone(name)),
    }
}

thread_local! {
    /// The last one used stands last.
    static WALKERS: RefCell<Vec<Walker>> = const { RefCell::new(Vec::new()) };
}

/// Works with the walker of a plan. Building one costs a few microseconds, as much as a dozen
/// records: too much for batches of one.
pub(super) fn with<T>(plan: &Arc<Plan>, envelope: bool, work: impl FnOnce(&mut Walker) -> T) -> T {
    WALKERS.with_borrow_mut(|kept| {
        let known = kept
            .iter()
            .rposition(|w| Arc::ptr_eq(&w.plan, plan) && w.envelope.is_some() == envelope);
        let mut walker = match known {
            Some(at) => kept.remove(at),
            None => Walker::new(plan, envelope),
        };
        let result = work(&mut walker);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(walker);
        result
    })
}
