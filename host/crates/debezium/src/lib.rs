//! F1: connector documents, as people POST them to Kafka Connect, as settings of a pipeline.
//!
//! A document is flat: names and texts. [`read`] finds the documents of a file with the place of
//! every value, [`resolve`] its references (KIP-297), and [`translate`] looks every property up
//! in one table and answers with the pipeline's settings, in the shape that the configuration
//! file has, and with a [`Finding`] for each property: honoured, ignored, unsupported, unknown or
//! wrong. Nothing here opens a file, a socket or an environment.
//!
//! Source of fact: Debezium 3.6 (`PostgresConnectorConfig`, `RelationalDatabaseConnectorConfig`,
//! `CommonConnectorConfig` and what they name), Kafka Connect 4.

mod columns;
mod converters;
mod document;
mod filters;
mod finding;
mod java;
mod legacy;
mod page;
mod predicates;
mod properties_file;
mod property;
mod reference;
mod setting;
mod spelling;
mod table;
mod transforms;
mod translate;
mod value;

pub use document::{Document, Member, Place, Refusal, read};
pub use finding::{Finding, Verdict};
pub use page::page;
pub use property::{Origin, Property};
pub use reference::{Provider, resolve};
pub use setting::{Setting, Value};
pub use translate::{Translation, known, translate};
