//! What the first snapshot reads, and how.

use std::sync::Arc;

use wasmgate_connector::{SourceStatus, TableProgress};
use wasmgate_model::Fault;

use super::DOING;
use super::ranges::conditions;
use crate::catalog::{Server, TableName};
use crate::connect::{Session, literal, quote, text};
use crate::definition::TableDefinition;
use crate::history::History;
use crate::incremental::quoted;
use crate::settings::{Settings, Snapshot, Watermarks};
use crate::table::{Naming, Table};

/// A table that is read whole.
pub(crate) struct Planned {
    pub table: Table,
    /// Statements that give its rows, each row by one of them.
    pub pieces: Vec<String>,
    pub progress: Arc<TableProgress>,
}

/// The tables that are read whole by so many connections, by name, and those that are read in
/// chunks beside the stream.
pub(crate) async fn plan(
    (session, threads): (&mut Session, usize),
    server: &Server,
    naming: &mut Naming,
    history: &History,
    status: &SourceStatus,
) -> Result<(Vec<Planned>, Vec<TableName>), Fault> {
    let settings = Arc::clone(&naming.settings);
    let mut planner = Planner { session, threads, maria: server.maria, naming, status };
    let (mut whole, mut later) = (Vec::new(), Vec::new());
    // A name that is empty is a database's.
    let names = history.names().filter(|(_, table)| !table.is_empty());
    for name in names.filter(|(database, table)| settings.copies_first(database, table)) {
        let Some(definition) = history.get(name) else { continue };
        let (rows, bytes) = size(planner.session, name).await?;
        if is_for_chunks(&settings, server, definition, bytes) {
            later.push(name.clone());
            continue;
        }
        whole.push(planner.table(name, definition, rows, None).await?);
    }
    Ok((whole, later))
}

/// Says how tables are read.
pub(crate) struct Planner<'a> {
    pub session: &'a mut Session,
    /// Connections that read.
    pub threads: usize,
    pub maria: bool,
    pub naming: &'a mut Naming,
    pub status: &'a SourceStatus,
}

impl Planner<'_> {
    /// How a table of so many rows is read. `condition` restricts its rows; one that is a whole
    /// SELECT gives them.
    pub(crate) async fn table(
        &mut self,
        name: &TableName,
        definition: &TableDefinition,
        rows: i64,
        condition: Option<&str>,
    ) -> Result<Planned, Fault> {
        self.naming.prepare(self.session, definition).await?;
        let table = self.naming.table(name, definition, None, None);
        let text = format!("{}.{}", name.0, name.1);
        let set = self.naming.settings.snapshots.select.get(&text).cloned();
        let (whole, condition) = match condition.filter(|text| is_select(text)) {
            Some(statement) => (Some(statement.to_owned()), None),
            None => (set, condition),
        };
        let estimate = if whole.is_none() && condition.is_none() { rows } else { -1 };
        let pieces = match whole {
            Some(statement) => {
                let statement = statement.trim().trim_end_matches(';');
                vec![select(definition, &format!("({statement}) AS chosen"), &[condition])]
            }
            None => self.pieces(name, definition, rows, condition).await?,
        };
        Ok(Planned { table, pieces, progress: self.status.copying(text, estimate) })
    }

    /// The table's rows, in ranges of the key where several connections read.
    async fn pieces(
        &mut self,
        name: &TableName,
        definition: &TableDefinition,
        rows: i64,
        condition: Option<&str>,
    ) -> Result<Vec<String>, Fault> {
        let (item, asked) = (quoted(name), (rows, self.threads));
        let parts = conditions(self.session, self.maria, name, definition, asked).await?;
        let Some(parts) = parts else { return Ok(vec![select(definition, &item, &[condition])]) };
        let item = format!("{item} FORCE INDEX (PRIMARY)");
        let of = |part: String| select(definition, &item, &[Some(&part), condition]);
        Ok(parts.into_iter().map(of).collect())
    }
}

fn is_select(text: &str) -> bool {
    text.trim_start().get(..6).is_some_and(|start| start.eq_ignore_ascii_case("select"))
}

/// A statement for all columns of a table, or of what gives its rows, under conditions.
fn select(definition: &TableDefinition, item: &str, conditions: &[Option<&str>]) -> String {
    let columns: Vec<String> = definition.columns.iter().map(|c| quote(&c.name)).collect();
    let all: Vec<String> = conditions.iter().flatten().map(|c| format!("({c})")).collect();
    let filter =
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
    format!("SELECT {} FROM {item}{filter}", columns.join(", "))
}

/// Rows and bytes as the server believes; -1: it does not say.
pub(crate) async fn size(
    session: &mut Session,
    (database, table): &TableName,
) -> Result<(i64, i64), Fault> {
    let sql = format!(
        "SELECT TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} \
         AND TABLE_NAME = {}",
        literal(database),
        literal(table)
    );
    let row = session.first(DOING, &sql).await?.unwrap_or_default();
    let number = |i| text(&row, i).parse().unwrap_or(-1);
    Ok((number(0), number(1)))
}

/// Whether a table is large, and can be read by its key while the stream goes on.
fn is_for_chunks(
    settings: &Settings,
    server: &Server,
    definition: &TableDefinition,
    bytes: i64,
) -> bool {
    let how = &settings.snapshots;
    let compares = server.maria || server.gtids || how.watermarks != Watermarks::ReadOnly;
    let large =
        how.chunked_above.is_some_and(|above| u64::try_from(bytes).is_ok_and(|b| b > above));
    let firm = |name: &String| definition.columns.iter().any(|c| c.name == *name && !c.nullable);
    let keyed = !definition.key.is_empty() && definition.key.iter().all(firm);
    settings.snapshot != Snapshot::InitialOnly && compares && large && keyed
}
