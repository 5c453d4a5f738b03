//! The header that says which version of a module touched a record: the same for every row, so a
//! column that is copied as a whole.

use std::sync::Arc;

use wasmgate_connector::ModuleIdentity;
use wasmgate_model::{Block, Column, Kind, Values};

use crate::guard::version_and_digest;

pub(crate) struct Stamp {
    name: Arc<str>,
    value: String,
    /// The value as often as the largest batch so far had rows.
    made: Block,
}

impl Stamp {
    pub(crate) fn new(id: &ModuleIdentity) -> Self {
        let name = format!("wasmgate.module.{}", id.name).into();
        Self { name, value: version_and_digest(id), made: Block::default() }
    }

    /// The header for so many rows.
    pub(crate) fn header(&mut self, rows: usize) -> (Arc<str>, Column) {
        while self.made.len() < rows {
            self.made.push(self.value.as_bytes());
        }
        let mut column = Column::new(Kind::Text);
        let bytes = rows * self.value.len();
        if let (Some(offsets), Some(data)) =
            (self.made.offsets.get(..=rows), self.made.data.get(..bytes))
        {
            column.values = Values::Texts(Block { offsets: offsets.to_vec(), data: data.to_vec() });
        }
        (Arc::clone(&self.name), column)
    }
}
