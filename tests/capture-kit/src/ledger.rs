//! What came of tables that are held back while all others go on.

use std::collections::BTreeMap;
use std::ops::DerefMut;
use std::sync::Arc;

use serde_json::Value;
use wasmgate_codec::encode::original;
use wasmgate_connector::{Planner, Refusal};
use wasmgate_model::{DeadLetterCause, Delivery, Fault, Plan, Schema, Verdict};

use crate::event::{Event, events};
use crate::run::Run;

/// A chain that reads `v` of tables named `t`.
#[derive(Debug)]
pub struct Reads;

impl Planner for Reads {
    fn plan(&self, _: &Arc<Schema>) -> Result<Arc<Plan>, Fault> {
        Ok(Arc::new(Plan::default()))
    }

    fn refusal(&self, schema: &Arc<Schema>) -> Result<Option<String>, Fault> {
        let fits = !schema.topic.ends_with(".t") || schema.field("v").is_some();
        Ok((!fits).then(|| "module rule 1.0.0 does not fit: it reads field \"v\"".to_owned()))
    }

    fn version(&self) -> u64 {
        1
    }
}

/// A pipeline with what came of it. `R`: the [`Run`] of a connector's tests.
pub struct Ledger<R> {
    pub run: R,
    /// Topic of the table `t`.
    pub topic: String,
    pub events: Vec<Event>,
    pub letters: Vec<(Value, DeadLetterCause)>,
    /// The table `t` as the events say it is, by its keys.
    pub rows: BTreeMap<String, Value>,
}

impl<R: DerefMut<Target = Run>> Ledger<R> {
    pub fn new(run: R, topic: String) -> Self {
        let (events, letters, rows) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { run, topic, events, letters, rows }
    }

    /// Reads and settles until `done`.
    pub async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let delivery = self.run.next().await.unwrap().unwrap();
            self.take(&delivery);
            self.run.settle(&delivery).await;
        }
    }

    /// Takes a delivery that is not settled yet.
    pub fn take(&mut self, delivery: &Delivery) {
        for event in events(delivery) {
            match event.op {
                _ if event.topic != self.topic => {}
                "d" => drop(self.rows.remove(&event.key.to_string())),
                "t" => self.rows.clear(),
                "r" | "c" | "u" => {
                    self.rows.insert(event.key.to_string(), event.after().clone());
                }
                _ => {}
            }
            self.events.push(event);
        }
        for batch in &delivery.batches {
            for reject in &batch.rejects {
                let Verdict::DeadLetter(cause) = &reject.verdict else { panic!("a drop") };
                let (_, value) = original(batch, reject.row as usize);
                let value = serde_json::from_slice(&value.unwrap()).unwrap();
                self.letters.push((value, (**cause).clone()));
            }
        }
    }

    /// Events of the other table.
    pub fn others(&self) -> usize {
        self.events.iter().filter(|e| e.topic.ends_with(".other")).count()
    }

    /// Asks for a table while the source goes on.
    ///
    /// # Errors
    /// It is refused.
    pub async fn resume(&mut self, data: Value) -> Result<(), Refusal> {
        let commands = Arc::clone(&self.run.commands);
        let asked = tokio::spawn(async move {
            commands.send("s1".into(), "resume-table".into(), data.to_string()).await
        });
        while !asked.is_finished() {
            let short = std::time::Duration::from_millis(100);
            let Ok(next) = tokio::time::timeout(short, self.run.next()).await else { continue };
            let delivery = next.unwrap().unwrap();
            self.take(&delivery);
            self.run.settle(&delivery).await;
        }
        asked.await.unwrap()
    }

    /// Reads until the rows are those of the server.
    pub async fn equals(&mut self, want: &BTreeMap<String, Value>) {
        self.until(|ledger| ledger.rows == *want).await;
    }
}
