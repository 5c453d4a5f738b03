//! Tables that are held back go on: what is in the way is looked for at once; from the place that
//! the log has then the table's changes are delivered again, and its rows are read anew.

use wasmgate_connector::Refusal;
use wasmgate_model::Fault;

use super::marks::end_of_records;
use super::{Beside, Item, TableItem};
use crate::assemble::Assembler;
use crate::catalog::TableName;
use crate::fault::protocol;
use crate::lsn::Lsn;
use crate::session::text;
use crate::stream::Stream;
use crate::table::{Table, described_by_catalog};

impl Beside {
    /// Takes the word that a table may go on.
    pub(super) async fn resume_table(
        &mut self,
        id: &str,
        name: &TableName,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<Result<(), Refusal>, Fault> {
        if !out.is_held(name) {
            let why = format!("table {name} is not quarantined");
            return Ok(Err(Refusal::Conflict(why)));
        }
        if let Err(why) = self.fit(name, stream, out).await? {
            return Ok(Err(Refusal::Conflict(format!("table {name} stays quarantined: {why}"))));
        }
        // The log may hold changes of the table as it was: they are dead letters, too.
        let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                   ELSE pg_current_wal_insert_lsn() END";
        let rows = stream.catalog().query("cannot read the place in the log", sql).await?;
        let place = rows.first().and_then(|row| Lsn::parse(text(row, 0)));
        let Some(Lsn(place)) = place else { return Err(protocol("no place in the log")) };
        let resume_at = Some(end_of_records(place));
        out.quarantine(|all| {
            let held = all.iter_mut().filter(|held| held.is(name));
            held.for_each(|held| held.resume_at = resume_at);
        });
        tracing::info!(id, table = %name, "the table goes on, and is read anew");
        Ok(Ok(()))
    }

    /// Lets tables go on that the stream has come far enough for.
    pub(super) async fn release(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let here = out.place().major;
        let due = out.held().iter().filter(|held| held.resume_at.is_some_and(|at| at <= here));
        let due: Vec<TableName> = due.map(|held| held.table()).collect();
        for name in due {
            match self.fit(&name, stream, out).await? {
                Ok(table) => {
                    out.release(&table, self.settings.tombstones_on_delete)?;
                    let id = format!("resume-table {name}");
                    self.work.queue.push(Item::of(&id, vec![TableItem::of(&name)]));
                    self.store(out);
                }
                Err(why) => {
                    tracing::warn!(table = %name, why, "the table stays quarantined");
                    out.quarantine(|all| {
                        for held in all.iter_mut().filter(|held| held.is(&name)) {
                            held.resume_at = None;
                            held.reason.clone_from(&why);
                        }
                    });
                }
            }
        }
        self.resuming = out.held().iter().any(|held| held.resume_at.is_some());
        Ok(())
    }

    /// The table as it is now, or why it cannot go on.
    async fn fit(
        &mut self,
        name: &TableName,
        stream: &mut Stream,
        out: &Assembler,
    ) -> Result<Result<Table, String>, Fault> {
        let publication = &self.settings.publication;
        let published = stream.catalog().published(publication).await?.unwrap_or_default();
        let Some(found) = published.iter().find(|p| p.name == *name) else {
            return Ok(Err(format!("it is not in publication {publication}")));
        };
        let info = stream.catalog().table(found.oid, &[]).await?;
        let firm = |key: &String| info.columns.iter().any(|c| c.name == *key && c.not_null);
        if info.key.is_empty() || !info.key.iter().all(firm) {
            let why = "it has no key to read it anew by; give it a primary key";
            return Ok(Err(why.into()));
        }
        let described = described_by_catalog(&info, None);
        let table = self.naming.table(name.clone(), &described, &info, None);
        let refusal = out.context().planner.refusal(&table.schema)?;
        Ok(refusal.map_or(Ok(table), Err))
    }
}
