//! Watermarks of Postgres: raw to the connector's settings.

use wasmgate_postgres as postgres;

use crate::config::check::snapshots::Marks;
use crate::config::raw::Watermarks;

impl Marks for Watermarks {
    type Checked = postgres::Watermarks;
    const TABLE: &str = "schema.table";
    const WITHOUT_TABLE: &str = "message";

    fn checked(&self) -> postgres::Watermarks {
        match self {
            Self::Message => postgres::Watermarks::Message,
            Self::ReadOnly => postgres::Watermarks::ReadOnly,
            Self::InsertInsert => postgres::Watermarks::InsertInsert,
            Self::InsertDelete => postgres::Watermarks::InsertDelete,
        }
    }

    fn in_table(&self) -> bool {
        matches!(self, Self::InsertInsert | Self::InsertDelete)
    }
}
