//! Payload of records that came as JSON: the original bytes, and where in them the members lie
//! that somebody reads, writes or removes. An untouched record leaves byte-identical.

use crate::block::Block;

/// Where one member of an object lies, as offsets into the document (not the arena).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Member {
    /// The opening quote of the name. Equal to `value` for a span without a name (an image).
    pub name: u32,
    /// First byte of the value.
    pub value: u32,
    /// One past the last byte of the value; 0 where the member is not there.
    pub end: u32,
}

impl Member {
    /// Whether the member is there.
    #[must_use]
    pub fn found(self) -> bool {
        self.end != 0
    }
}

/// Original documents and the places found in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Documents {
    /// The values as they came (for a schema envelope: its payload). A tombstone is empty.
    pub values: Block,
    /// Per row, the object that a row image is: the document itself, or for an envelope `after`
    /// (`before` for a delete). Not found: there is no image. Empty where nothing was walked.
    pub images: Vec<Member>,
    /// `rows * plan.edits.len()`, row by row: where each field to be written or removed lies.
    pub edits: Vec<Member>,
    /// Further occurrences of a duplicate key: (row, edit number, place), in order.
    pub duplicates: Vec<(u32, u32, Member)>,
}

impl Documents {
    /// Empties and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.images.clear();
        self.edits.clear();
        self.duplicates.clear();
    }
}
