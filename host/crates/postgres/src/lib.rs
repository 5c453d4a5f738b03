//! F3: Postgres change capture. Our own replication client on `postgres-protocol`: a socket task
//! that always answers the server, a reading task that decodes, and the two halves of the
//! connector contract. Snapshot and stream meet at the slot's consistent point, without a gap.
//!
//! From the socket up: `wire` (frames) → `connect` (TLS, authentication) → `session` (queries,
//! COPY) and `replication` (the stream) → `stream`, `snapshot` (rows) → `driver` →
//! [`PostgresSource`].

mod assemble;
mod catalog;
mod check;
mod connect;
mod decide;
mod driver;
mod fault;
mod gathering;
mod literal;
mod lsn;
mod notify;
mod prepare;
mod publication;
mod pump;
mod replication;
mod rows;
mod session;
mod settings;
mod slot;
mod snapshot;
mod source;
mod state;
mod stream;
mod table;
mod tls;
mod wire;

pub use notify::Notifications;
pub use settings::{DecimalMode, Settings, Snapshot, SslMode};
pub use snapshot::options::{Snapshots, Watermarks};
pub use source::PostgresSource;
