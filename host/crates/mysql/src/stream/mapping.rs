//! Table maps: which definition the rows of a table are read with.

use std::sync::Arc;

use wasmgate_codec::mysqlvalue::TableMap;
use wasmgate_model::{Fault, Position};

use super::changes::EVENT_BITS;
use super::{Known, Mapped, Stream};
use crate::assemble::Assembler;
use crate::catalog::TableName;
use crate::definition::{ColumnDefinition, TableDefinition};
use crate::fault::{protocol, refused};
use crate::fit::{from_metadata, misfit};
use crate::quarantine::MISMATCH;
use crate::table::Table;

impl Stream {
    /// Which table the rows of a number are of.
    pub(super) async fn table_map(
        &mut self,
        body: &[u8],
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        // Rows that were read before a restart may be of an older definition; nobody reads them.
        if self.transaction.as_ref().is_some_and(|t| t.seen) {
            return Ok(());
        }
        let id = body
            .first_chunk::<6>()
            .map(|b| b.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte)));
        if let Some(id) = id
            && self.mapped.get(&id).is_some_and(|m| m.body == body)
        {
            return Ok(());
        }
        let map = TableMap::parse(body, self.naming.maria)
            .map_err(|e| protocol("cannot read the log").because(e))?;
        let wanted = self.settings.wants(&map.database, &map.table);
        let table = match wanted {
            true => Some(self.known(&map, out).await?),
            false => None,
        };
        self.mapped.insert(map.id, Mapped { body: body.to_vec(), table });
        Ok(())
    }

    /// A table whose rows cannot be read waits alone.
    async fn known(&mut self, map: &TableMap, out: &mut Assembler) -> Result<Known, Fault> {
        let fault = match self.table_of(map).await {
            Ok(table) => return Ok(Known::Table(table)),
            Err(fault) => fault,
        };
        if fault.code() != MISMATCH {
            return Err(fault);
        }
        let name: TableName = (map.database.clone(), map.table.clone());
        let (major, event) =
            self.transaction.as_ref().map_or((self.next_major, 1), |t| (t.major, t.event + 1));
        let at = Position::new(major, (event << EVENT_BITS) + 1);
        out.hold(&name, at, fault.chain());
        Ok(Known::Unknown(name))
    }

    async fn table_of(&mut self, map: &TableMap) -> Result<Arc<Table>, Fault> {
        let name: TableName = (map.database.clone(), map.table.clone());
        let unclear = self.unclear.iter().position(|n| *n == name);
        let known = self.history.get(&name);
        let wrong = match known {
            Some(definition) if unclear.is_none() => misfit(definition, map),
            _ => Some("no definition is in force".into()),
        };
        let definition = match (wrong, known) {
            (None, Some(definition)) => definition.clone(),
            (wrong, _) => {
                let definition = self.define(&name, map, wrong.unwrap_or_default()).await?;
                if let Some(i) = unclear {
                    self.unclear.swap_remove(i);
                }
                definition
            }
        };
        let charsets = definition.clone();
        self.session().await?;
        if let Some(session) = &mut self.session {
            self.naming.prepare(session, &charsets).await?;
        }
        let before = self.tables.get(&name).map(|t| &**t);
        let table = self.naming.table(&name, &definition, Some(map), before);
        if table.wires.len() != map.columns.len() {
            return Err(unreadable(&name, compressed(&definition)));
        }
        let table = Arc::new(table);
        self.tables.insert(name, Arc::clone(&table));
        Ok(table)
    }

    /// The definition of a table that is new, or that the log contradicts: what the server has now
    /// if it fits the log, else what full metadata says. Never a guess.
    async fn define(
        &mut self,
        name: &TableName,
        map: &TableMap,
        wrong: String,
    ) -> Result<TableDefinition, Fault> {
        let maria = self.naming.maria;
        let now = crate::catalog::table(self.session().await?, maria, name).await?;
        let at = Position::new(self.next_major, 0);
        let known = now.as_ref().or_else(|| self.history.get(name));
        let fits = now.as_ref().is_some_and(|now| misfit(now, map).is_none());
        let definition = match (&now, fits) {
            (Some(now), true) => Some(now.clone()),
            _ => from_metadata(map, &self.naming.charsets, known),
        };
        let Some(definition) = definition else {
            if let Some(columns) = known.and_then(compressed) {
                return Err(unreadable(name, Some(columns)));
            }
            return Err(refused(format!(
                "the definition of {}.{} that was in force here is not known: {wrong}, and the \
                 server's present one does not fit either; set binlog_row_metadata = FULL at the \
                 server, and read the table again (signal `resume-table`)",
                name.0, name.1
            ))
            .coded(MISMATCH));
        };
        self.history.set(at, name, Some(definition.clone()))?;
        Ok(definition)
    }

    /// A table by a definition, for records of rows that are read.
    pub(crate) async fn table_as(
        &mut self,
        name: &TableName,
        definition: &TableDefinition,
    ) -> Result<Table, Fault> {
        self.session().await?;
        if let Some(session) = &mut self.session {
            self.naming.prepare(session, definition).await?;
        }
        Ok(self.naming.table(name, definition, None, None))
    }

    /// From here on a table is what the server says it is.
    pub(crate) fn defined(
        &mut self,
        name: &TableName,
        definition: TableDefinition,
        at: Position,
    ) -> Result<(), Fault> {
        self.forget_maps();
        self.tables.remove(name);
        self.unclear.retain(|n| n != name);
        self.history.set(at, name, Some(definition))
    }

    /// Statements may have changed what numbers of tables mean.
    pub(crate) fn forget_maps(&mut self) {
        self.mapped.clear();
    }

    /// The last version of a table, for records that have no rows.
    pub(crate) fn table_named(&self, name: &TableName) -> Option<Arc<Table>> {
        self.tables.get(name).cloned()
    }

    /// Notes a table's version.
    pub(crate) fn note_table(&mut self, table: Arc<Table>) {
        self.tables.insert(table.name.clone(), table);
    }
}

/// The table waits until its columns are of other types.
fn unreadable(name: &TableName, columns: Option<String>) -> Fault {
    let columns = columns.unwrap_or_else(|| "; give it another type".into());
    refused(format!(
        "{}.{} has a column whose values cannot be read from the log{columns}",
        name.0, name.1
    ))
    .coded(MISMATCH)
}

/// What to do about columns that MariaDB keeps compressed, and so in the log; `None`: there are
/// none.
pub(crate) fn compressed(definition: &TableDefinition) -> Option<String> {
    let kept = |c: &&ColumnDefinition| c.column_type.to_ascii_uppercase().contains(" COMPRESSED");
    let names: Vec<&str> =
        definition.columns.iter().filter(kept).map(|c| c.name.as_str()).collect();
    let names = (!names.is_empty()).then(|| names.join(", "))?;
    Some(format!(
        " (COMPRESSED: {names}); store it uncompressed (ALTER TABLE ... MODIFY), and read the table \
         again (signal `resume-table`)"
    ))
}
