//! F3: MySQL and MariaDB change capture. The client library connects and brings the binary log's
//! events; values, transactions, definitions and positions are read here. Snapshot and stream
//! meet at a set of transactions, without a gap and without a lock.
//!
//! From the server up: `connect` (sessions) and `dump` (the log) → `event`, `stream` (transactions,
//! rows) with `history`, `ddl` and `fit` (which definition is in force) → `snapshot` and
//! `incremental` (existing rows) → `driver` → [`MySqlSource`].

mod assemble;
mod catalog;
mod check;
mod connect;
mod ddl;
mod definition;
mod documents;
mod driver;
mod dump;
mod event;
mod fault;
mod fit;
mod gtid;
mod heartbeat;
mod history;
mod incremental;
mod prepare;
mod quarantine;
mod recover;
mod rows;
mod said;
mod schema_topic;
mod settings;
mod snapshot;
mod source;
mod state;
mod stream;
mod table;
mod transaction;

pub use settings::{
    BigintMode, ColumnRules, DecimalMode, Filter, Heartbeats, Modes, Notifications, Settings,
    Signals, Snapshot, Snapshots, SslMode, Start, TimeMode, VIEW_TRIES, Watermarks,
};
pub use source::MySqlSource;
