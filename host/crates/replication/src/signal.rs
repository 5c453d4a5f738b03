//! Signals: what the source is asked to do while it runs, in Debezium's words. They come from rows
//! of the signal table and as commands; here they are read, the source does them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::sync::oneshot;
use wasmgate_connector::Refusal;

use crate::name::TableName;

/// Longest condition and list of a signal, in bytes: the whole is kept in every checkpoint.
const DATA_MAX: usize = 64 << 10;

/// Where signals come from, beside commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signals {
    /// `schema.table`, a captured table: three columns for id, type and data. `None`: no table is
    /// looked at.
    pub table: Option<String>,
}

impl Signals {
    /// The signal table.
    #[must_use]
    pub fn table(&self) -> Option<TableName> {
        self.table.as_deref().and_then(TableName::parse)
    }
}

/// How rows are read on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Beside the stream, in chunks.
    #[default]
    #[serde(alias = "INCREMENTAL")]
    Incremental,
    /// The stream waits.
    #[serde(alias = "BLOCKING")]
    Blocking,
}

/// A request for existing rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    pub kind: Kind,
    /// Regular expressions that match whole names of tables.
    pub tables: Vec<String>,
    /// By expression for tables: a condition, or for a blocking snapshot a whole SELECT.
    pub conditions: BTreeMap<String, String>,
    /// The column to go by instead of the key.
    pub surrogate: Option<String>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    Execute(Execute),
    /// Only these tables; empty: all.
    Stop(Vec<String>),
    Pause,
    Resume,
    Log(String),
    /// A table that is held back goes on. `discard`: what is kept of it becomes dead letters.
    ResumeTable {
        table: TableName,
        discard: bool,
    },
    /// Our own mark in the signal table.
    Window,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Condition {
    data_collection: String,
    filter: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Data {
    data_collections: Vec<String>,
    r#type: Option<Kind>,
    additional_conditions: Vec<Condition>,
    /// The form of older versions: for all tables.
    additional_condition: Option<String>,
    surrogate_key: Option<String>,
    message: Option<String>,
    /// `schema.table`.
    table: Option<String>,
    kept: KeptUse,
}

/// What becomes of kept changes when their table goes on.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum KeptUse {
    #[default]
    Deliver,
    DeadLetter,
}

impl Signal {
    /// Reads a signal by its type.
    ///
    /// # Errors
    /// The type is not known, or the data does not fit it.
    pub fn parse(kind: &str, data: &str) -> Result<Self, Refusal> {
        let invalid = |why: String| Refusal::Invalid(format!("signal `{kind}`: {why}"));
        if data.len() > DATA_MAX {
            return Err(invalid(format!("its data is longer than {DATA_MAX} bytes")));
        }
        let read = || match data.trim() {
            "" => Ok(Data::default()),
            text => serde_json::from_str::<Data>(text).map_err(|e| invalid(e.to_string())),
        };
        Ok(match kind {
            "execute-snapshot" => Self::Execute(Execute::of(read()?).map_err(invalid)?),
            "stop-snapshot" => Self::Stop(read()?.data_collections),
            "pause-snapshot" => Self::Pause,
            "resume-snapshot" => Self::Resume,
            "log" => Self::Log(read()?.message.ok_or_else(|| invalid("no `message`".into()))?),
            "resume-table" => {
                let Data { table, kept, .. } = read()?;
                let table = table.as_deref().and_then(TableName::parse);
                let table = table.ok_or_else(|| invalid("no `table` (schema.table)".into()))?;
                Self::ResumeTable { table, discard: kept == KeptUse::DeadLetter }
            }
            "snapshot-window-open" | "snapshot-window-close" => Self::Window,
            _ => {
                let known = "execute-snapshot, stop-snapshot, pause-snapshot, resume-snapshot, \
                             resume-table, log";
                let why = format!("signal `{kind}` is not known; there are {known}");
                return Err(Refusal::Invalid(why));
            }
        })
    }
}

impl Execute {
    fn of(data: Data) -> Result<Self, String> {
        if data.data_collections.is_empty() {
            return Err("`data-collections` names no table".into());
        }
        for pattern in &data.data_collections {
            whole(pattern)?;
        }
        let mut conditions = BTreeMap::new();
        if let Some(condition) = data.additional_condition.filter(|c| !c.is_empty()) {
            conditions.insert(".*".to_owned(), condition);
        }
        for Condition { data_collection, filter } in data.additional_conditions {
            whole(&data_collection)?;
            conditions.insert(data_collection, filter);
        }
        let surrogate = data.surrogate_key.filter(|column| !column.is_empty());
        let kind = data.r#type.unwrap_or_default();
        Ok(Self { kind, tables: data.data_collections, conditions, surrogate })
    }

    /// The condition on a table.
    #[must_use]
    pub fn condition(&self, table: &str) -> Option<&str> {
        let exact = self.conditions.get(table);
        let fits = |pattern: &str| whole(pattern).is_ok_and(|p| p.is_match(table));
        let found = exact
            .or_else(|| self.conditions.iter().find(|(pattern, _)| fits(pattern)).map(|(_, c)| c));
        found.map(String::as_str)
    }
}

/// Whether one of the expressions means a table.
#[must_use]
pub fn means(patterns: &[String], table: &str) -> bool {
    patterns.iter().any(|p| p == table || whole(p).is_ok_and(|p| p.is_match(table)))
}

/// An expression that matches whole names.
fn whole(pattern: &str) -> Result<regex::Regex, String> {
    let compiled =
        regex::Regex::new(pattern).and_then(|_| regex::Regex::new(&format!(r"\A(?:{pattern})\z")));
    compiled.map_err(|_| format!("`{pattern}` is no regular expression"))
}

type Waiting = Vec<(u64, oneshot::Sender<Result<(), Refusal>>)>;

/// Commands that were taken and are answered once they are in the checkpoint.
#[derive(Debug, Clone, Default)]
pub struct Answers(Arc<Mutex<Waiting>>);

impl Answers {
    /// To be answered when command `number` is stored.
    pub fn wait(&self, number: u64, answer: oneshot::Sender<Result<(), Refusal>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((number, answer));
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Everything up to this command is stored.
    pub fn stored(&self, number: u64) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (of, answer) in std::mem::take(&mut *waiting) {
            if of <= number {
                // Whoever asked may not wait any more.
                answer.send(Ok(())).ok();
            } else {
                waiting.push((of, answer));
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_as_recorded() {
        let data = r#"{"data-collections":["public.t","public\\.x.*"],"type":"incremental",
            "additional-conditions":[{"data-collection":"public.t","filter":"id<3"}],
            "surrogate-key":"v"}"#;
        let Signal::Execute(execute) = Signal::parse("execute-snapshot", data).unwrap() else {
            panic!("no snapshot")
        };
        assert_eq!(execute.kind, Kind::Incremental);
        assert_eq!(execute.condition("public.t"), Some("id<3"));
        assert_eq!(execute.condition("public.xy"), None);
        assert_eq!(execute.surrogate.as_deref(), Some("v"));
        assert!(means(&execute.tables, "public.xy") && !means(&execute.tables, "public.txx"));
        for (kind, data, want) in [
            ("stop-snapshot", "", Signal::Stop(Vec::new())),
            ("stop-snapshot", r#"{"data-collections":["a.b"]}"#, Signal::Stop(vec!["a.b".into()])),
            ("pause-snapshot", "{}", Signal::Pause),
            ("resume-snapshot", "", Signal::Resume),
            (
                "resume-table",
                r#"{"table":"a.b"}"#,
                Signal::ResumeTable {
                    table: TableName { schema: "a".into(), table: "b".into() },
                    discard: false,
                },
            ),
            (
                "resume-table",
                r#"{"table":"a.b","kept":"dead_letter"}"#,
                Signal::ResumeTable {
                    table: TableName { schema: "a".into(), table: "b".into() },
                    discard: true,
                },
            ),
            ("log", r#"{"message":"hi {}"}"#, Signal::Log("hi {}".into())),
            ("snapshot-window-open", "{\"openWindowTimestamp\": \"x\"}", Signal::Window),
        ] {
            assert_eq!(Signal::parse(kind, data), Ok(want), "{kind} {data}");
        }
        for (kind, data, part) in [
            ("bogus", "{}", "`bogus` is not known"),
            ("log", "{}", "no `message`"),
            ("resume-table", r#"{"table":"b"}"#, "no `table`"),
            ("resume-table", r#"{"table":"a.b","kept":"x"}"#, "unknown variant"),
            ("execute-snapshot", "{}", "names no table"),
            ("execute-snapshot", r#"{"data-collections":["("]}"#, "no regular expression"),
            ("execute-snapshot", r#"{"data-collections":["a"],"type":"x"}"#, "unknown variant"),
            ("execute-snapshot", "{", "EOF"),
        ] {
            let error = Signal::parse(kind, data).unwrap_err().to_string();
            assert!(error.contains(part), "{kind} {data}: {error}");
        }
    }

    #[test]
    fn commands_are_answered_in_the_order_they_are_stored() {
        let answers = Answers::default();
        let (first, mut one) = oneshot::channel();
        let (second, mut two) = oneshot::channel();
        answers.wait(3, first);
        answers.wait(4, second);
        answers.stored(3);
        assert_eq!((one.try_recv().ok(), two.try_recv().ok()), (Some(Ok(())), None));
        answers.stored(9);
        assert!(answers.is_empty() && two.try_recv() == Ok(Ok(())));
    }
}
