//! The column API: for rules that learn their fields from the configuration or the schema.
//! `#[transform]` implements it for rules whose fields are a struct.

use crate::config::Config;
use crate::contract::{Batch, Output, Projection, Schema};

/// A stage of the chain. Export it with [`crate::export_transform!`].
pub trait Transform: Sized + 'static {
    /// Shape of the configuration; `NoConfig` where there is none.
    type Config: Config;

    /// Once per instance.
    ///
    /// # Errors
    /// The configuration cannot be used; the message says which field and why.
    fn open(config: Self::Config) -> Result<Self, String>;

    /// Once per schema. `None`: its records pass untouched.
    ///
    /// # Errors
    /// The rule cannot work on this schema.
    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, String>;

    /// The hot call. `schema` is the id that was bound.
    ///
    /// # Errors
    /// The whole batch failed. For one bad record use [`Output::dead_letter`].
    fn process(&mut self, schema: u64, batch: &Batch) -> Result<Output, String>;

    /// The instance is about to be retired.
    fn close(&mut self) {}
}
