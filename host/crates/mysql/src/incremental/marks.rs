//! Marks around a chunk as Debezium makes them: rows of the signal table. Without them nothing is
//! written: transactions and places of the log are compared.

use wasmgate_model::Fault;
use wasmgate_replication::incremental::Mark;

use crate::catalog::TableName;
use crate::connect::{Session, literal, quote, text};
use crate::fault::refused;
use crate::settings::{Settings, Watermarks};

const DOING: &str = "cannot mark a chunk in the signal table";

/// Makes marks.
#[derive(Debug)]
pub(crate) struct Marker {
    /// `None`: nothing is written.
    table: Option<TableName>,
    deletes: bool,
    /// First column of the signal table.
    id_column: String,
}

impl Marker {
    pub(crate) fn new(settings: &Settings) -> Self {
        let how = settings.snapshots.watermarks;
        let table = settings.signal_table().filter(|_| how != Watermarks::ReadOnly);
        Self { table, deletes: how == Watermarks::InsertDelete, id_column: "id".into() }
    }

    /// Whether marks are made.
    pub(crate) fn writes(&self) -> bool {
        self.table.is_some()
    }

    /// Readies a connection that was just opened.
    pub(crate) async fn prepare(&mut self, session: &mut Session) -> Result<(), Fault> {
        let Some((database, table)) = &self.table else { return Ok(()) };
        let sql = format!(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND \
             TABLE_NAME = {} ORDER BY ORDINAL_POSITION LIMIT 1",
            literal(database),
            literal(table)
        );
        let row = session.first(DOING, &sql).await?.ok_or_else(|| {
            refused(format!(
                "the signal table {database}.{table} does not exist; create it, or correct \
                 `signals.table`"
            ))
        })?;
        text(&row, 0).clone_into(&mut self.id_column);
        Ok(())
    }

    /// Before a chunk is read.
    pub(crate) async fn open(&self, session: &mut Session) -> Result<Option<Mark>, Fault> {
        let Some(table) = &self.table else { return Ok(None) };
        let mark = Mark::new(now(session).await?)?;
        insert(session, table, mark.opening()).await?;
        Ok(Some(mark))
    }

    /// After a chunk was read, when its transaction has ended.
    pub(crate) async fn close(&self, session: &mut Session, mark: Mark) -> Result<(), Fault> {
        let Some(table) = &self.table else { return Ok(()) };
        if self.deletes {
            let (name, column) = (quoted(table), quote(&self.id_column));
            let id = literal(&mark.open_id());
            return session.run(DOING, &format!("DELETE FROM {name} WHERE {column} = {id}")).await;
        }
        let closed = now(session).await?;
        insert(session, table, mark.closing(&closed)).await
    }
}

/// A table's name in SQL.
pub(crate) fn quoted((database, table): &TableName) -> String {
    format!("{}.{}", quote(database), quote(table))
}

async fn now(session: &mut Session) -> Result<String, Fault> {
    let sql = "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')";
    let row = session.first(DOING, sql).await?.unwrap_or_default();
    Ok(text(&row, 0).to_owned())
}

async fn insert(session: &mut Session, table: &TableName, row: [String; 3]) -> Result<(), Fault> {
    let values = row.map(|value| literal(&value)).join(", ");
    session.run(DOING, &format!("INSERT INTO {} VALUES ({values})", quoted(table))).await
}
