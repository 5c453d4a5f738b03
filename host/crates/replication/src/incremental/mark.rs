//! Marks around a chunk as rows of the signal table, in Debezium's form: one when it is begun, and
//! one when it is read.

use wasmgate_connector::random_id;
use wasmgate_model::Fault;

use crate::notify::no_numbers;

/// A mark that was opened.
#[derive(Debug)]
pub struct Mark {
    id: String,
    opened: String,
}

impl Mark {
    /// A new one; `opened` is the server's time.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(opened: String) -> Result<Self, Fault> {
        Ok(Self { id: random_id().map_err(no_numbers)?, opened })
    }

    /// Id of the row that opens it.
    #[must_use]
    pub fn open_id(&self) -> String {
        format!("{}-open", self.id)
    }

    /// The row that opens it: id, type, data.
    #[must_use]
    pub fn opening(&self) -> [String; 3] {
        let data = format!("{{\"openWindowTimestamp\": \"{}\"}}", self.opened);
        [self.open_id(), "snapshot-window-open".into(), data]
    }

    /// The row that closes it: id, type, data; `closed` is the server's time.
    #[must_use]
    pub fn closing(&self, closed: &str) -> [String; 3] {
        let Self { id, opened } = self;
        let data = format!(
            "{{\"openWindowTimestamp\": \"{opened}\", \"closeWindowTimestamp\": \"{closed}\"}}"
        );
        [format!("{id}-close"), "snapshot-window-close".into(), data]
    }
}
