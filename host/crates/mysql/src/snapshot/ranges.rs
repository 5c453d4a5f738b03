//! Ranges of a table's key, which several connections read beside each other. A table is cut where
//! its first key column is a number: in halves, and halves of those that hold the most rows by the
//! server's estimate of its index, so that numbers which crowd in one place are cut there.

use wasmgate_model::Fault;

use super::DOING;
use crate::catalog::TableName;
use crate::connect::{Session, quote, text};
use crate::definition::{TableDefinition, TypeText};
use crate::incremental::quoted;

/// Rows of a range, at least: fewer are not worth a statement.
const ROWS_MIN: u64 = 10_000;
/// Ranges for each connection: none is long alone with the last one.
const EACH: u64 = 4;
/// So often the server is asked for an estimate of two halves, at most.
const QUESTIONS: usize = 200;

/// Numbers from one up to another, which is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: i128,
    to: i128,
    /// Estimated.
    rows: u64,
}

/// Ranges in their order.
#[derive(Debug)]
struct Ranges {
    all: Vec<Range>,
    /// Rows that each shall hold at most.
    each: u64,
}

impl Ranges {
    /// The range to be cut next, and where.
    fn next(&self) -> Option<(usize, i128)> {
        let large = |(_, r): &(usize, &Range)| r.rows > self.each && r.to - r.from > 1;
        let found = self.all.iter().enumerate().filter(large).max_by_key(|(_, r)| r.rows);
        found.map(|(place, r)| (place, r.from + (r.to - r.from) / 2))
    }

    fn cut(&mut self, place: usize, at: i128, [left, right]: [u64; 2]) {
        let Some(range) = self.all.get_mut(place) else { return };
        let after = Range { from: at, to: range.to, rows: right };
        (range.to, range.rows) = (at, left);
        self.all.insert(place + 1, after);
    }

    /// Neighbours that hold little become one; answers where each range but the first begins.
    fn bounds(&self) -> Vec<i128> {
        let (mut bounds, mut rows) = (Vec::new(), 0);
        for range in &self.all {
            if rows > 0 && rows + range.rows > self.each {
                bounds.push(range.from);
                rows = 0;
            }
            rows += range.rows;
        }
        bounds
    }
}

/// The conditions that `threads` connections read a table by, each row by one of them. `None`: it
/// is read whole.
pub(super) async fn conditions(
    session: &mut Session,
    maria: bool,
    name: &TableName,
    definition: &TableDefinition,
    (rows, threads): (i64, usize),
) -> Result<Option<Vec<String>>, Fault> {
    let rows = u64::try_from(rows).unwrap_or(0);
    let each = rows.div_ceil(EACH.saturating_mul(threads as u64).max(1)).max(ROWS_MIN);
    let Some(key) = number(definition).filter(|_| threads > 1 && rows > each) else {
        return Ok(None);
    };
    let sql = format!("SELECT MIN({key}), MAX({key}) FROM {}", quoted(name));
    let row = session.first(DOING, &sql).await?.unwrap_or_default();
    let (Ok(min), Ok(max)) = (text(&row, 0).parse::<i128>(), text(&row, 1).parse::<i128>()) else {
        return Ok(None);
    };
    let mut ranges = Ranges { all: vec![Range { from: min, to: max + 1, rows }], each };
    for _ in 0..QUESTIONS {
        let Some((place, at)) = ranges.next() else { break };
        let Some(range) = ranges.all.get(place).copied() else { break };
        let mut halves = [0; 2];
        for (half, (from, to)) in halves.iter_mut().zip([(range.from, at), (at, range.to)]) {
            *half = estimate(session, maria, name, &between(&key, Some(from), Some(to))).await?;
        }
        ranges.cut(place, at, halves);
    }
    Ok(Some(parts(&key, &ranges.bounds())))
}

/// The first column of the primary key, where it is a whole number.
fn number(definition: &TableDefinition) -> Option<String> {
    let name = definition.key.first().filter(|_| definition.primary)?;
    let column = definition.columns.iter().find(|c| c.name == *name)?;
    let ty = TypeText::parse(&column.column_type);
    let whole = ["tinyint", "smallint", "mediumint", "int", "bigint"].contains(&ty.name.as_str());
    whole.then(|| quote(name))
}

/// The server's estimate, by its index.
async fn estimate(
    session: &mut Session,
    maria: bool,
    name: &TableName,
    condition: &str,
) -> Result<u64, Fault> {
    // With FORCE INDEX MySQL does not look into the index.
    let from = quoted(name);
    let sql = format!("EXPLAIN FORMAT=TRADITIONAL SELECT 1 FROM {from} WHERE {condition}");
    let row = session.first(DOING, &sql).await?.unwrap_or_default();
    // MySQL tells the partitions, too. Where there can be no row there is no number.
    let place = if maria { 8 } else { 9 };
    Ok(text(&row, place).parse().unwrap_or(0))
}

/// Open at both ends: numbers beyond the smallest and the largest are in a range as well.
fn parts(key: &str, bounds: &[i128]) -> Vec<String> {
    let starts = std::iter::once(None).chain(bounds.iter().copied().map(Some));
    let ends = bounds.iter().copied().map(Some).chain(std::iter::once(None));
    starts.zip(ends).map(|(from, to)| between(key, from, to)).collect()
}

fn between(key: &str, from: Option<i128>, to: Option<i128>) -> String {
    let from = from.map(|from| format!("{key} >= {from}"));
    let to = to.map(|to| format!("{key} < {to}"));
    let both: Vec<String> = from.into_iter().chain(to).collect();
    if both.is_empty() { "TRUE".into() } else { both.join(" AND ") }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Cuts a table of these numbers; answers how many rows each range has.
    fn counts(numbers: &[i128], each: u64) -> Vec<usize> {
        let count = |from: i128, to: i128| {
            numbers.iter().filter(|n| (from..to).contains(*n)).count() as u64
        };
        let (min, max) = (numbers[0], numbers[numbers.len() - 1]);
        let rows = numbers.len() as u64;
        let mut ranges = Ranges { all: vec![Range { from: min, to: max + 1, rows }], each };
        for _ in 0..QUESTIONS {
            let Some((place, at)) = ranges.next() else { break };
            let Range { from, to, .. } = ranges.all[place];
            ranges.cut(place, at, [count(from, at), count(at, to)]);
        }
        let mut counts = Vec::new();
        let mut from = i128::MIN;
        for bound in ranges.bounds().into_iter().chain([i128::MAX]) {
            assert!(from < bound);
            counts.push(count(from, bound) as usize);
            from = bound;
        }
        assert_eq!(counts.iter().sum::<usize>(), numbers.len(), "each in one range");
        counts
    }

    #[test]
    fn ranges_hold_about_the_same_wherever_the_numbers_crowd() {
        let even: Vec<i128> = (1..=1000).collect();
        let far: Vec<i128> = (1..=1000).chain([i128::from(u64::MAX)]).collect();
        let below: Vec<i128> = (-1000..0).chain([i128::from(i64::MAX)]).collect();
        for numbers in [even, far, below] {
            let counts = counts(&numbers, 100);
            assert!((9..=20).contains(&counts.len()), "{counts:?}");
            assert!(counts.iter().all(|n| *n <= 100), "{counts:?}");
        }
        assert_eq!(counts(&[5], 100), [1]);
    }

    #[test]
    fn tables_are_cut_by_numbers_of_the_primary_key_alone() {
        let column = |(name, ty): &(&str, &str)| {
            json!({ "name": name, "type": ty, "nullable": false, "auto_increment": false,
                    "generated": false, "comment": "" })
        };
        let cut = |columns: &[(&str, &str)], key: &[&str], primary: bool| {
            let columns: Vec<Value> = columns.iter().map(column).collect();
            let table = json!({ "columns": columns, "key": key, "primary": primary,
                                "charset": "", "comment": "" });
            TableDefinition::from_json(&table).and_then(|table| number(&table))
        };
        let (number, text) = (("n`", "bigint(20) unsigned"), ("t", "varchar(20)"));
        assert_eq!(cut(&[text, number], &["n`"], true).as_deref(), Some("`n```"));
        assert_eq!(cut(&[text, number], &["n`", "t"], true).as_deref(), Some("`n```"));
        assert_eq!(cut(&[text, number], &["t", "n`"], true), None);
        for ty in ["varchar(20)", "decimal(20,0)", "double", "date", "year", "bit(8)", "enum('1')"]
        {
            assert_eq!(cut(&[("k", ty)], &["k"], true), None, "{ty}");
        }
        // The hint says PRIMARY.
        assert_eq!(cut(&[number], &["n`"], false), None);
        assert_eq!(cut(&[number], &[], false), None);
    }

    #[test]
    fn ranges_leave_no_gap_and_have_no_end() {
        assert_eq!(parts("k", &[]), ["TRUE"]);
        assert_eq!(parts("k", &[-5, 7]), ["k < -5", "k >= -5 AND k < 7", "k >= 7"]);
    }
}
