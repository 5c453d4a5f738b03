//! Tables that were held back go on: what is in the way is looked for at once; from the place that
//! the log has then their changes are delivered again, and their rows are read anew.

use wasmgate_connector::Refusal;
use wasmgate_model::Fault;

use super::{Incremental, StreamSide};
use crate::name::TableName;
use crate::work::{Item, TableItem};

impl<R: Send + 'static> Incremental<R> {
    /// Takes the word that a table may go on.
    pub(super) async fn resume_table(
        &mut self,
        id: &str,
        (name, discard): (&TableName, bool),
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<Result<(), Refusal>, Fault> {
        if !side.is_held(name) {
            let why = format!("table {name} is not quarantined");
            return Ok(Err(Refusal::Conflict(why)));
        }
        if let Err(why) = side.fit(name, discard).await? {
            return Ok(Err(Refusal::Conflict(format!("table {name} stays quarantined: {why}"))));
        }
        side.goes_on(name, discard).await?;
        tracing::info!(id, table = %name, "the table goes on, and is read anew");
        Ok(Ok(()))
    }

    /// Lets tables go on that the stream has come far enough for.
    ///
    /// # Errors
    /// The server does not answer, or what was held back cannot be made good.
    pub async fn release<S: StreamSide<Rows = R>>(&mut self, side: &mut S) -> Result<(), Fault> {
        for (name, discard) in side.due() {
            match side.fit(&name, discard).await? {
                Ok(table) => {
                    side.release(&name, table, discard).await?;
                    // With the word that it goes on, the next delivery says that it is read.
                    let id = format!("resume-table {name}");
                    let item = Item::of(&id, vec![TableItem::of(&name)]);
                    self.work.queue.push(Item { resumes: true, ..item });
                    side.store(&self.work);
                }
                Err(why) => {
                    tracing::warn!(table = %name, why, "the table stays quarantined");
                    side.stays(&name, &why);
                }
            }
        }
        Ok(())
    }
}
