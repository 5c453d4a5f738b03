//! The transaction that is being read: where it stands, and what was counted in it.

use std::fmt::Write as _;

use crate::catalog::TableName;

/// A transaction that is being read.
pub(crate) struct Transaction {
    pub commit_lsn: u64,
    pub commit_us: i64,
    pub xid: i64,
    /// Place of its first record in the log.
    pub begin_lsn: u64,
    /// The replication origin that it came by: name, place there.
    pub origin: Option<(String, u64)>,
    /// Number of the record that tells its beginning, whether it is told or not.
    pub begin: u64,
    /// Whether that is behind us.
    pub begun: bool,
    /// Number of the last record.
    pub minor: u64,
    /// Records up to this number were settled before a restart.
    pub settled: u64,
    pub tally: Tally,
}

/// Events of a transaction, where transaction metadata is asked for.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    total: i64,
    messages: i64,
    /// In the order of their first event.
    tables: Vec<(u32, String, i64)>,
    /// Place of the last one in `tables`.
    last: usize,
}

impl Tally {
    /// Counts events of a table; (place of the first in the transaction, and among those of its
    /// table), from 1.
    pub(crate) fn count(&mut self, relation: u32, name: &TableName, events: i64) -> (i64, i64) {
        let place = match self.tables.get(self.last) {
            Some((last, ..)) if *last == relation => self.last,
            _ => {
                let known = self.tables.iter().position(|(table, ..)| *table == relation);
                known.unwrap_or_else(|| {
                    self.tables.push((relation, name.to_string(), 0));
                    self.tables.len() - 1
                })
            }
        };
        self.last = place;
        let first = self.total + 1;
        self.total += events;
        let Some((.., of_table)) = self.tables.get_mut(place) else { return (first, first) };
        *of_table += events;
        (first, *of_table - events + 1)
    }

    /// Counts a logical message.
    pub(crate) fn message(&mut self) -> (i64, i64) {
        self.total += 1;
        self.messages += 1;
        (self.total, self.messages)
    }

    pub(crate) fn total(&self) -> i64 {
        self.total
    }

    /// What was counted as a JSON array; logical messages come last.
    pub(crate) fn collections(&self) -> String {
        let tables = self.tables.iter().map(|(_, name, count)| (name.as_str(), *count));
        let messages = (self.messages > 0).then_some(("message", self.messages));
        let mut text = String::from("[");
        for (i, (name, count)) in tables.chain(messages).enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let name = serde_json::Value::from(name);
            // Text takes whatever is written to it.
            write!(text, "{comma}{{\"data_collection\":{name},\"event_count\":{count}}}").ok();
        }
        text.push(']');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_in_the_transaction_and_in_the_table() {
        let table = |name: &str| TableName { schema: "s".into(), table: name.into() };
        let mut tally = Tally::default();
        assert_eq!(tally.collections(), "[]");
        assert_eq!(tally.count(1, &table("a"), 1), (1, 1));
        assert_eq!(tally.count(2, &table("b\""), 2), (2, 1));
        assert_eq!(tally.message(), (4, 1));
        assert_eq!(tally.count(1, &table("a"), 1), (5, 2));
        assert_eq!(tally.count(2, &table("b\""), 1), (6, 3));
        let want = r#"[{"data_collection":"s.a","event_count":2},"#.to_owned()
            + r#"{"data_collection":"s.b\"","event_count":3},"#
            + r#"{"data_collection":"message","event_count":1}]"#;
        assert_eq!((tally.total(), tally.collections()), (6, want));
    }
}
