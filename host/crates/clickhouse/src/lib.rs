//! F3: the ClickHouse sink: Native blocks of our own over the official client's transport.
//!
//! Life of a row: `sink` gives it to the worker of its table, which gathers rows into batches
//! with fixed bounds (`lane`), binds them to the table (`bind`), encodes them into a block
//! (`encode`, `native`), notes the bounds (`ledger`), and sends the block until it is taken.

mod bind;
mod check;
mod client;
mod context;
mod ddl;
mod documents;
mod encode;
mod error;
mod lane;
mod ledger;
mod mapping;
pub mod native;
mod piece;
mod settings;
mod shape;
mod sink;
mod table;
mod types;
mod worker;

pub use ledger::LedgerPlace;
pub use settings::{
    BatchSettings, Compression, Engine, Epoch, SinkSettings, TableSettings, Truncate,
};
pub use sink::ClickHouseSink;
pub use types::Type;
