//! F3: Postgres change capture. Our own replication client on `postgres-protocol`: a socket task
//! that always answers the server, a reading task that decodes, and the two halves of the
//! connector contract. Snapshot and stream meet at the slot's consistent point, without a gap.
//!
//! From the socket up: `wire` (frames) → `transport` (TLS) → `auth` → `connect` → `session`
//! (queries, COPY) and `replication` (the stream) → `stream`, `snapshot` (rows) → `driver` →
//! [`PostgresSource`].

mod assemble;
mod auth;
mod catalog;
mod changes;
mod check;
mod connect;
mod connection;
mod decide;
mod documents;
mod driver;
mod events;
mod fault;
mod gathering;
mod heartbeat;
mod incremental;
mod literal;
mod lsn;
mod passfile;
mod prepare;
mod protocol;
mod publication;
mod pump;
mod quarantine;
mod replication;
mod resting;
mod rows;
mod session;
mod settings;
mod shape;
mod slot;
mod slot_care;
mod slot_watch;
mod snapshot;
mod source;
mod source_block;
mod source_type;
mod state;
mod stream;
mod streaming;
mod table;
mod tls;
mod transaction;
mod transactions;
mod transport;
mod wire;
mod wire_format;

pub use changes::SchemaChanges;
pub use connection::{
    ChannelBinding, Connection, KeepAlive, Method, Negotiation, Protocol, Target,
};
pub use events::Events;
pub use quarantine::options::{HeldEvents, Quarantine};
pub use settings::{Settings, Snapshot, SslMode, WireFormat};
pub use shape::{
    BinaryMode, ColumnRules, DecimalMode, Filter, Filters, NameAdjustment, Names, Shape, Skipped,
    TimePrecision, ValueModes, pattern,
};
pub use slot_care::{Identity, Mismatch, OnWalLimit, PublicationMode, SlotCare};
pub use snapshot::options::{Snapshots, Watermarks};
pub use source::{PostgresSource, SlotState};
pub use streaming::{InProgress, Messages, Origins, Streaming};
pub use transactions::Limits as SpillLimits;
pub use wasmgate_replication::{Notifications, Signals};
