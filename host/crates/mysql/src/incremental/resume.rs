//! Tables that are held back go on: what is in the way is looked for at once; from the place that
//! the log has then the table's changes are delivered again, and its rows are read anew.

use wasmgate_model::Fault;
use wasmgate_replication::TableName as Named;

use super::side::Side;
use crate::catalog::TableName;
use crate::definition::TableDefinition;
use crate::prepare::status;
use crate::stream::compressed;
use crate::table::Table;

impl Side<'_> {
    /// Says that a table goes on where the log ends now.
    pub(super) async fn resume(&mut self, name: &Named) -> Result<(), Fault> {
        let place = status(self.stream.session().await?, self.own.server.maria).await?;
        self.out.quarantine(|all| {
            let held = all.iter_mut().filter(|held| held.is(name));
            held.for_each(|held| held.resume_at = Some(place.clone()));
        });
        self.own.news = true;
        Ok(())
    }

    /// The table as it is now, or why it cannot go on.
    pub(super) async fn now(
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
        if let Some(columns) = compressed(&definition) {
            let why = format!("it has columns whose values cannot be read from the log{columns}");
            return Ok(Err(why));
        }
        let table = self.stream.table_as(name, &definition).await?;
        let refusal = self.out.refusal(&table)?;
        Ok(refusal.map_or(Ok((table, definition)), Err))
    }
}
