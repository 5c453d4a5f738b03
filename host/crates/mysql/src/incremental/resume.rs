//! Tables that are held back go on: what is in the way is looked for at once; from the place that
//! the log has then the table's changes are delivered again, and its rows are read anew.

use wasmgate_connector::Refusal;
use wasmgate_model::Fault;
use wasmgate_replication::{Item, TableItem, TableName as Named};

use super::Beside;
use crate::assemble::Assembler;
use crate::catalog::TableName;
use crate::definition::TableDefinition;
use crate::prepare::status;
use crate::stream::Stream;
use crate::table::Table;

impl Beside {
    /// Takes the word that a table may go on.
    pub(super) async fn resume_table(
        &mut self,
        id: &str,
        name: &Named,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<Result<(), Refusal>, Fault> {
        let table = (name.schema.clone(), name.table.clone());
        if !out.is_held(&table) {
            let why = format!("table {name} is not quarantined");
            return Ok(Err(Refusal::Conflict(why)));
        }
        if let Err(why) = self.fit(&table, stream, out).await? {
            return Ok(Err(Refusal::Conflict(format!("table {name} stays quarantined: {why}"))));
        }
        // The log may hold changes of the table as it was: they are dead letters, too.
        let place = status(stream.session().await?, self.server.maria).await?;
        out.quarantine(|all| {
            let held = all.iter_mut().filter(|held| held.name == table);
            held.for_each(|held| held.resume_at = Some(place.clone()));
        });
        self.news = true;
        tracing::info!(id, table = %name, "the table goes on, and is read anew");
        Ok(Ok(()))
    }

    /// Lets tables go on that the stream has come far enough for. No transaction is open.
    pub(super) async fn release(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let due = out.held().iter().filter(|held| held.is_due(stream.read_to()));
        let due: Vec<TableName> = due.map(|held| held.name.clone()).collect();
        for name in due {
            match self.fit(&name, stream, out).await? {
                Ok((table, definition)) => {
                    stream.defined(&name, definition, out.place())?;
                    let place = stream.place.clone();
                    out.release(&table, &place, self.settings.tombstones_on_delete)?;
                    let (schema, table) = name;
                    let name = Named { schema, table };
                    let id = format!("resume-table {name}");
                    self.work.queue.push(Item::of(&id, vec![TableItem::of(&name)]));
                    self.store(stream);
                }
                Err(why) => {
                    let table = format!("{}.{}", name.0, name.1);
                    tracing::warn!(table, why, "the table stays quarantined");
                    out.quarantine(|all| {
                        for held in all.iter_mut().filter(|held| held.name == name) {
                            held.resume_at = None;
                            held.reason.clone_from(&why);
                        }
                    });
                    self.news = true;
                }
            }
        }
        Ok(())
    }

    /// The table as it is now, or why it cannot go on.
    async fn fit(
        &mut self,
        name: &TableName,
        stream: &mut Stream,
        out: &Assembler,
    ) -> Result<Result<(Table, TableDefinition), String>, Fault> {
        let maria = self.server.maria;
        let found = crate::catalog::table(stream.session().await?, maria, name).await?;
        let Some(definition) = found else {
            return Ok(Err("there is no such table at the server".into()));
        };
        let firm = |key: &String| definition.columns.iter().any(|c| c.name == *key && !c.nullable);
        if definition.key.is_empty() || !definition.key.iter().all(firm) {
            let why = "it has no key to read it anew by; give it a primary key";
            return Ok(Err(why.into()));
        }
        let table = stream.table_as(name, &definition).await?;
        let refusal = out.refusal(&table)?;
        Ok(refusal.map_or(Ok((table, definition)), Err))
    }
}
