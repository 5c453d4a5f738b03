//! Watermarks of MySQL: raw to the connector's settings.

use wasmgate_mysql as mysql;

use crate::config::check::snapshots::Marks;
use crate::config::raw::MySqlWatermarks;

impl Marks for MySqlWatermarks {
    type Checked = mysql::Watermarks;
    const TABLE: &str = "database.table";
    const WITHOUT_TABLE: &str = "read_only";

    fn checked(&self) -> mysql::Watermarks {
        match self {
            Self::ReadOnly => mysql::Watermarks::ReadOnly,
            Self::InsertInsert => mysql::Watermarks::InsertInsert,
            Self::InsertDelete => mysql::Watermarks::InsertDelete,
        }
    }

    fn in_table(&self) -> bool {
        matches!(self, Self::InsertInsert | Self::InsertDelete)
    }
}
