//! Begin and end of transactions as records of the topic `<prefix>.transaction`, in Debezium's
//! form.

use serde_json::{Value, json};
use wasmgate_model::{Fault, Position};

use super::Stream;
use super::changes::EVENT_BITS;
use crate::assemble::{Assembler, BEGIN_AT, now_us};
use crate::transaction::Transaction;

impl Transaction {
    /// Its name in records; where the server gives none, where it starts.
    pub(super) fn id(&self) -> std::sync::Arc<str> {
        match &self.gtid_text {
            Some(gtid) => std::sync::Arc::clone(gtid),
            None => format!("file={},pos={}", self.place.file, self.place.offset).into(),
        }
    }
}

impl Stream {
    /// The transaction begins.
    pub(super) fn tell_begin(&mut self, out: &mut Assembler) -> Result<(), Fault> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        if transaction.seen || transaction.foreign || std::mem::replace(&mut transaction.told, true)
        {
            return Ok(());
        }
        let at = Position::new(transaction.major, BEGIN_AT);
        self.tell("BEGIN", (Value::Null, Value::Null), at, out)
    }

    /// The transaction ends.
    pub(super) fn tell_end(&mut self, out: &mut Assembler) -> Result<(), Fault> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        if transaction.seen || !transaction.told {
            return Ok(());
        }
        let collections: Vec<Value> = transaction
            .counts
            .iter()
            .map(|((database, table), count)| {
                json!({ "data_collection": format!("{database}.{table}"), "event_count": count })
            })
            .collect();
        let at = Position::new(transaction.major, (transaction.event + 1) << EVENT_BITS);
        self.tell("END", (json!(transaction.total), json!(collections)), at, out)
    }

    fn tell(
        &self,
        status: &str,
        (count, collections): (Value, Value),
        at: Position,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let Some((transaction, schema)) = self.transaction.as_ref().zip(self.told.as_ref()) else {
            return Ok(());
        };
        if at.minor <= transaction.settled {
            return Ok(());
        }
        let id = &*transaction.id();
        let key = json!({ "id": id }).to_string();
        let value = json!({
            "status": status,
            "id": id,
            "event_count": count,
            "data_collections": collections,
            "ts_ms": now_us().div_euclid(1000),
        });
        out.document(schema, (&key, &value.to_string()), transaction.time_us, at)
    }
}
