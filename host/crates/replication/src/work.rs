//! What is to be read beside the stream and how far it is; stored with every position, so that a
//! restart goes on at the last chunk.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::name::TableName;

/// A snapshot that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Of the signal.
    pub id: String,
    /// The stream waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocking: bool,
    /// Tables that are not read yet, `schema.table`; the first is being read.
    pub tables: Vec<TableItem>,
    /// Names of all that were asked for, for notifications.
    pub all: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surrogate: Option<String>,
    /// It was told that it began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Its table was held back: it is again where its rows cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumes: bool,
}

/// A table of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableItem {
    pub schema: String,
    pub table: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The last key, once it is known: rows beyond it come by the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Vec<String>>,
    /// The key of the last row delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Vec<String>>,
    /// Rows read.
    #[serde(default)]
    pub rows: u64,
}

impl Item {
    /// Tables to be read beside the stream. `id` comes back in notifications.
    #[must_use]
    pub fn of(id: &str, tables: Vec<TableItem>) -> Self {
        let all = tables.iter().map(TableItem::name).collect::<Vec<_>>().join(",");
        Self {
            id: id.to_owned(),
            blocking: false,
            tables,
            all,
            surrogate: None,
            told: false,
            resumes: false,
        }
    }
}

impl TableItem {
    /// A whole table, not read yet.
    #[must_use]
    pub fn of(name: &TableName) -> Self {
        Self { schema: name.schema.clone(), table: name.table.clone(), ..Self::default() }
    }

    /// Its table.
    #[must_use]
    pub fn table_name(&self) -> TableName {
        TableName { schema: self.schema.clone(), table: self.table.clone() }
    }

    /// `schema.table`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Work {
    /// In the order that they were asked for; the first is being read.
    #[serde(default)]
    pub queue: Vec<Item>,
    #[serde(default)]
    pub paused: bool,
    /// Commands taken.
    #[serde(default)]
    pub commands: u64,
}

impl Work {
    /// Reads what [`Work::stored`] wrote.
    #[must_use]
    pub fn parse(value: Option<&Value>) -> Option<Self> {
        serde_json::from_value(value?.clone()).ok()
    }

    /// As it stands in the state; nothing where there is nothing to say.
    #[must_use]
    pub fn stored(&self) -> Option<Value> {
        if *self == Self::default() {
            return None;
        }
        serde_json::to_value(self).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_survives_its_text() {
        assert_eq!(Work::default().stored(), None);
        let table = TableItem {
            schema: "public".into(),
            table: "t".into(),
            condition: Some("id < 3".into()),
            max: Some(vec!["9".into(), "é".into()]),
            last: Some(vec!["1".into(), String::new()]),
            rows: 7,
        };
        let item = Item {
            id: "s1".into(),
            blocking: true,
            tables: vec![table],
            all: "public.t".into(),
            surrogate: Some("v".into()),
            told: true,
            resumes: true,
        };
        let work = Work { queue: vec![item], paused: true, commands: 3 };
        assert_eq!(Work::parse(work.stored().as_ref()), Some(work));
    }
}
