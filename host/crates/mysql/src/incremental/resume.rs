//! Tables that are held back go on: what is in the way is looked for at once; from the place that
//! the log has then the table's changes are delivered again, and its rows are read anew.

use wasmgate_connector::Refusal;
use wasmgate_model::Fault;
use wasmgate_replication::TableName as Named;

use super::side::Side;
use crate::catalog::TableName;
use crate::definition::TableDefinition;
use crate::prepare::status;
use crate::table::Table;

impl Side<'_> {
    /// Takes the word that a table may go on.
    pub(super) async fn resume(
        &mut self,
        id: &str,
        name: &Named,
    ) -> Result<Result<(), Refusal>, Fault> {
        let table = (name.schema.clone(), name.table.clone());
        if !self.out.is_held(&table) {
            let why = format!("table {name} is not quarantined");
            return Ok(Err(Refusal::Conflict(why)));
        }
        if let Err(why) = self.fit(&table).await? {
            return Ok(Err(Refusal::Conflict(format!("table {name} stays quarantined: {why}"))));
        }
        // The log may hold changes of the table as it was: they are dead letters, too.
        let place = status(self.stream.session().await?, self.own.server.maria).await?;
        self.out.quarantine(|all| {
            let held = all.iter_mut().filter(|held| held.name == table);
            held.for_each(|held| held.resume_at = Some(place.clone()));
        });
        self.own.news = true;
        tracing::info!(id, table = %name, "the table goes on, and is read anew");
        Ok(Ok(()))
    }

    /// Tables that the stream has come far enough for.
    pub(super) fn due(&self) -> Vec<TableName> {
        let read_to = self.stream.read_to();
        let due = self.out.held().iter().filter(|held| held.is_due(read_to));
        due.map(|held| held.name.clone()).collect()
    }

    /// Lets a table go on that is read anew after this. False: it cannot.
    pub(super) async fn release(&mut self, name: &TableName) -> Result<bool, Fault> {
        match self.fit(name).await? {
            Ok((table, definition)) => {
                self.stream.defined(name, definition, self.out.place())?;
                let place = self.stream.place.clone();
                self.out.release(&table, &place, self.own.settings.tombstones_on_delete)?;
                Ok(true)
            }
            Err(why) => {
                let table = format!("{}.{}", name.0, name.1);
                tracing::warn!(table, why, "the table stays quarantined");
                self.out.quarantine(|all| {
                    for held in all.iter_mut().filter(|held| held.name == *name) {
                        held.resume_at = None;
                        held.reason.clone_from(&why);
                    }
                });
                self.own.news = true;
                Ok(false)
            }
        }
    }

    /// The table as it is now, or why it cannot go on.
    async fn fit(
        &mut self,
        name: &TableName,
    ) -> Result<Result<(Table, TableDefinition), String>, Fault> {
        let maria = self.own.server.maria;
        let found = crate::catalog::table(self.stream.session().await?, maria, name).await?;
        let Some(definition) = found else {
            return Ok(Err("there is no such table at the server".into()));
        };
        let firm = |key: &String| definition.columns.iter().any(|c| c.name == *key && !c.nullable);
        if definition.key.is_empty() || !definition.key.iter().all(firm) {
            let why = "it has no key to read it anew by; give it a primary key";
            return Ok(Err(why.into()));
        }
        let table = self.stream.table_as(name, &definition).await?;
        let refusal = self.out.refusal(&table)?;
        Ok(refusal.map_or(Ok((table, definition)), Err))
    }
}
