//! F2: what captures of databases share, whatever the server: signals and the answers to commands,
//! the list of what is to be read beside the stream as the checkpoint keeps it, notifications.
//! How rows are read and set against the stream is each server's own.

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
