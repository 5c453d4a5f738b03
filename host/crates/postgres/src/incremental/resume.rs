//! Tables that are held back go on: what is in the way is looked for at once; at the place that the
//! log has then what was kept of the table is delivered, from there on its changes are, and its
//! rows are read anew.

use wasmgate_model::Fault;

use super::marks::end_of_records;
use super::side::Side;
use crate::catalog::{TableInfo, TableName};
use crate::fault::protocol;
use crate::lsn::Lsn;
use crate::session::text;
use crate::table::{Table, described_by_catalog};

impl Side<'_> {
    /// Says that a table goes on where the log ends now.
    pub(super) async fn resume(&mut self, name: &TableName, discard: bool) -> Result<(), Fault> {
        let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                   ELSE pg_current_wal_insert_lsn() END";
        let rows = self.stream.catalog().query("cannot read the place in the log", sql).await?;
        let place = rows.first().and_then(|row| Lsn::parse(text(row, 0)));
        let Some(Lsn(place)) = place else { return Err(protocol("no place in the log")) };
        let resume_at = Some(end_of_records(place));
        self.out.quarantine(|all| {
            let held = all.iter_mut().filter(|held| held.is(name));
            held.for_each(|held| (held.resume_at, held.discard) = (resume_at, discard));
        });
        Ok(())
    }

    /// The table as it is now, or why it cannot go on.
    pub(super) async fn now(
        &mut self,
        name: &TableName,
        discard: bool,
    ) -> Result<Result<Table, String>, Fault> {
        let publication = &self.own.settings.publication;
        let published = self.stream.catalog().published(publication).await?.unwrap_or_default();
        let Some(found) = published.iter().find(|p| p.name == *name) else {
            return Ok(Err(format!("it is not in publication {publication}")));
        };
        let info = self.stream.catalog().table(found.oid, &[]).await?;
        let firm = |key: &String| info.columns.iter().any(|c| c.name == *key && c.not_null);
        if info.key.is_empty() || !info.key.iter().all(firm) {
            let why = "it has no key to read it anew by; give it a primary key";
            return Ok(Err(why.into()));
        }
        let listed = self.stream.catalog().listed(publication, name).await?;
        let sent = Sent::of(&info, listed);
        if let Some(key) = info.key.iter().find(|key| !sent.reads(key)) {
            let why = format!(
                "publication {publication} does not list its key column {key}; without it the \
                 table cannot be read anew"
            );
            return Ok(Err(why));
        }
        // A copy has generated columns too, the stream has not.
        let read = described_by_catalog(&info, sent.read.as_deref());
        let streamed = described_by_catalog(&info, Some(&sent.streamed));
        let table = self.own.naming.table(name.clone(), &read, &info, None);
        for described in [&read, &streamed] {
            let version = self.own.naming.table(name.clone(), described, &info, Some(&table));
            if let Some(why) = self.out.context().planner.refusal(&version.schema)? {
                return Ok(Err(why));
            }
        }
        if !discard && let Some(why) = self.unfit_kept(name).await? {
            let way = "`\"kept\": \"dead_letter\"` in the signal gives them up";
            return Ok(Err(format!("{why}; {way}")));
        }
        Ok(Ok(table))
    }
}

/// The columns of a table that are sent.
struct Sent {
    /// When it is read anew; `None`: all.
    read: Option<Vec<String>>,
    streamed: Vec<String>,
}

impl Sent {
    /// `listed`: the columns that the publication names; empty: it does not say.
    fn of(info: &TableInfo, listed: Vec<String>) -> Self {
        let plain = info.columns.iter().filter(|c| !c.generated).map(|c| c.name.clone());
        let plain: Vec<String> = plain.collect();
        if listed.is_empty() || plain.iter().all(|name| listed.contains(name)) {
            return Self { read: None, streamed: plain };
        }
        Self { read: Some(listed.clone()), streamed: listed }
    }

    fn reads(&self, column: &String) -> bool {
        self.read.as_ref().is_none_or(|read| read.contains(column))
    }
}
