//! A batch: records of one source partition, one topic and one schema version.
//!
//! The payload is never compacted: stages see the rows in `sel`. What stages write stands in
//! [`Edits`], aligned with `sel`. A batch is reused after it settled: [`Batch::clear`].

use std::sync::Arc;

use crate::block::Block;
use crate::column::Column;
use crate::delivery::Position;
use crate::documents::Documents;
use crate::header::Headers;
use crate::kind::{Kind, Op};
use crate::outcome::{Reject, Removal};
use crate::plan::Plan;
use crate::rows::Rows;
use crate::schema::{Field, Schema};

/// The records themselves.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    Rows(Rows),
    Documents(Documents),
}

/// Where the values of a plan's read are.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadColumn {
    /// The current image's column of this number, as it is.
    Current(usize),
    /// Extracted or converted; one value per payload row.
    Own(Column),
}

/// What the record's value becomes (WIT `types.shape`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// As it came.
    #[default]
    Keep,
    /// The flat current row image.
    Row,
}

/// A field that a stage wrote; one value per row of `sel`.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenColumn {
    pub name: Arc<str>,
    pub kind: Kind,
    pub column: Column,
}

/// What the chain did to the records. All columns are aligned with [`Batch::sel`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    pub shape: Shape,
    /// Fields added or replaced, in order of first writing. An absent value leaves the record's.
    pub written: Vec<WrittenColumn>,
    /// Fields of the row image that are left out of every row, by their names in the payload.
    pub removed: Vec<Arc<str>>,
    /// (name in the payload, new name).
    pub renamed: Vec<(Arc<str>, Arc<str>)>,
    /// Key fields that are left out of every row.
    pub key_removed: Vec<Arc<str>>,
    /// Fields left out of single rows, ascending by row.
    pub removals: Vec<Removal>,
    /// Text; null or absent keeps the record's topic.
    pub topic: Option<Column>,
    /// Text; absent keeps the record's key, null empties it.
    pub key: Option<Column>,
    /// Integers; null keeps the record's own choice.
    pub partition: Option<Column>,
    /// True empties the value.
    pub tombstone: Option<Column>,
    /// Text each; absent adds nothing.
    pub headers: Vec<(Arc<str>, Column)>,
}

impl Edits {
    /// Whether nothing was done to any record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every column, to keep them aligned with `sel`.
    pub fn columns_mut(&mut self) -> impl Iterator<Item = &mut Column> {
        let single = [&mut self.topic, &mut self.key, &mut self.partition, &mut self.tombstone];
        self.written
            .iter_mut()
            .map(|w| &mut w.column)
            .chain(single.into_iter().flatten())
            .chain(self.headers.iter_mut().map(|(_, c)| c))
    }
}

/// Records of one topic and schema. Row numbers everywhere are payload rows, except that
/// columns of [`Edits`] have one value per entry of `sel`.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub schema: Arc<Schema>,
    /// What the decoder looked for; `reads` follows it.
    pub plan: Arc<Plan>,
    pub payload: Payload,
    /// One per row.
    pub ops: Vec<Op>,
    /// Key bytes per row, `None` where keys follow from the schema's key fields (rows).
    pub keys: Option<Block>,
    /// Ascending numbers of the rows without a key.
    pub null_keys: Vec<u32>,
    pub headers: Headers,
    /// Event time per row, microseconds since 1970.
    pub times_us: Vec<i64>,
    /// One per row, strictly ascending.
    pub positions: Vec<Position>,
    /// Partition asked for by the source record; empty, or one per row with -1 for none.
    pub partitions: Vec<i32>,
    /// Number of the source's partition, for reads of `$partition` and dead letters; -1 where the
    /// source has none. All rows of a batch come from one partition.
    pub source_partition: i32,
    /// When the gateway received the batch, microseconds since 1970.
    pub received_us: i64,
    /// Follows `plan.reads`.
    pub reads: Vec<ReadColumn>,
    /// Rows still in play, ascending.
    pub sel: Vec<u32>,
    /// Rows that are not, ascending by row.
    pub rejects: Vec<Reject>,
    pub edits: Edits,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new(schema: Arc<Schema>, plan: Arc<Plan>, payload: Payload) -> Self {
        Self {
            schema,
            plan,
            payload,
            ops: Vec::new(),
            keys: None,
            null_keys: Vec::new(),
            headers: Headers::default(),
            times_us: Vec::new(),
            positions: Vec::new(),
            partitions: Vec::new(),
            source_partition: -1,
            received_us: 0,
            reads: Vec::new(),
            sel: Vec::new(),
            rejects: Vec::new(),
            edits: Edits::default(),
        }
    }

    /// An empty batch of rows whose columns fit the schema's fields and `source` columns.
    #[must_use]
    pub fn rows(schema: Arc<Schema>, plan: Arc<Plan>, source: Vec<Column>) -> Self {
        let columns = |fields: &[Field]| fields.iter().map(|f| Column::new(f.kind)).collect();
        let old = columns(&schema.fields);
        let mut current: Vec<Column> = columns(&schema.fields);
        current.extend(schema.key_only.iter().map(|f| Column::new(f.kind)));
        let rows = Rows::new(current, old, source);
        Self::new(Arc::clone(&schema), plan, Payload::Rows(rows))
    }

    /// An empty batch of documents.
    #[must_use]
    pub fn documents(schema: Arc<Schema>, plan: Arc<Plan>) -> Self {
        let mut batch = Self::new(schema, plan, Payload::Documents(Documents::default()));
        batch.keys = Some(Block::default());
        batch
    }

    /// How many records came in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether the batch has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The values of plan read `i`, one per payload row.
    #[must_use]
    pub fn read(&self, i: usize) -> Option<&Column> {
        match (self.reads.get(i)?, &self.payload) {
            (ReadColumn::Own(column), _) => Some(column),
            (ReadColumn::Current(n), Payload::Rows(rows)) => rows.current.get(*n),
            (ReadColumn::Current(_), Payload::Documents(_)) => None,
        }
    }

    /// Puts every row in play that is not rejected yet. Sources call it when the batch is full.
    pub fn select_all(&mut self) {
        self.sel.clear();
        let mut rejects = self.rejects.iter().map(|r| r.row).peekable();
        for row in 0..self.ops.len() as u32 {
            if rejects.peek() == Some(&row) {
                rejects.next();
            } else {
                self.sel.push(row);
            }
        }
    }

    /// Key bytes of a row where the batch carries them; `None`: no key, or it follows from the
    /// schema's key fields.
    #[must_use]
    pub fn key_bytes(&self, row: usize) -> Option<&[u8]> {
        if self.null_keys.binary_search(&(row as u32)).is_ok() {
            return None;
        }
        self.keys.as_ref().map(|k| k.get(row))
    }

    /// The topic of `sel[i]`: the one a stage wrote, else the schema's.
    #[must_use]
    pub fn topic(&self, i: usize) -> &str {
        self.edits.topic.as_ref().and_then(|c| c.text(i)).unwrap_or(&self.schema.topic)
    }

    /// Bytes of payload held, to bound what is in flight.
    #[must_use]
    pub fn weight(&self) -> usize {
        let column = |c: &Column| match &c.values {
            crate::Values::Booleans(v) => v.len(),
            crate::Values::Ints(v) => v.len() * 8,
            crate::Values::Floats(v) => v.len() * 8,
            crate::Values::Texts(b) | crate::Values::Blobs(b) => b.data.len() + b.len() * 4,
        };
        let payload = match &self.payload {
            Payload::Rows(r) => r.current.iter().chain(&r.old).map(column).sum::<usize>(),
            Payload::Documents(d) => d.values.data.len() + d.edits.len() * 12,
        };
        payload + self.keys.as_ref().map_or(0, |k| k.data.len()) + self.ops.len() * 64
    }

    /// Empties the batch for another use with the same schema; memory is kept.
    pub fn clear(&mut self) {
        match &mut self.payload {
            Payload::Rows(rows) => rows.clear(),
            Payload::Documents(documents) => documents.clear(),
        }
        if let Some(keys) = &mut self.keys {
            keys.clear();
        }
        self.ops.clear();
        self.null_keys.clear();
        self.headers.clear();
        self.times_us.clear();
        self.positions.clear();
        self.partitions.clear();
        self.reads.clear();
        self.sel.clear();
        self.rejects.clear();
        self.edits = Edits::default();
    }
}
