//! F2: what captures of databases share, whatever the server: how existing rows are to be read,
//! snapshots beside the stream with their signals and what the checkpoint keeps of them, what it
//! says of tables that are held back, notifications. How rows are read and set against the stream
//! is each server's own.

pub mod incremental;
mod name;
mod notify;
mod options;
mod quarantine;
mod signal;
mod work;

pub use name::{Named, TableName};
pub use notify::{About, Copying, Data, Notifications, Notifier, Places, no_numbers};
pub use options::Snapshots;
pub use quarantine::{Held, Keeps, KeepsNone, KeyValue, RowKey, cause};
pub use signal::{Answers, Execute, Kind, Signal, Signals, means};
pub use work::{Item, TableItem, Work};
