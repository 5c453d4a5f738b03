//! What is copied and in which pieces. A plain table is cut into ranges of its pages, which every
//! table has and the server reads without an index (14); a partitioned one into its partitions, or,
//! where they may not be read by their own names, into ranges of an integer key.

use std::collections::HashSet;
use std::sync::Arc;

use postgres_protocol::escape::escape_literal;
use wasmgate_connector::{SourceStatus, TableProgress};
use wasmgate_model::Fault;

use super::DOING;
use super::lines::Format;
use crate::catalog::{Catalog, Published, TableInfo, TableName, quote};
use crate::incremental::Key;
use crate::session::{Row, Session, number, text};
use crate::settings::{Settings, WireFormat};
use crate::table::{Naming, Table, described_by_catalog};

/// Pages of a piece, at least: less is not worth a statement.
const PAGES_MIN: u64 = 1024;
/// Pages of a piece, at most: so that the last reader is not long alone.
const PAGES_MAX: u64 = 16 * 1024;
/// Bytes of a page, where nobody built the server otherwise.
const PAGE_BYTES: u64 = 8192;
/// Types of integer keys: int8, int2, int4.
const INTEGERS: [u32; 3] = [20, 21, 23];

/// A table and how it is read.
#[derive(Debug)]
pub(crate) struct Clauses {
    pub table: Table,
    pub info: TableInfo,
    /// Names of the columns, quoted, with commas.
    pub names: String,
    /// What stands after FROM.
    pub item: String,
    /// Without WHERE; all of them have to hold.
    pub conditions: Vec<String>,
    /// The whole table, its columns as they are: COPY need not plan a query.
    whole: bool,
    /// How its rows are copied.
    pub format: Format,
}

/// A table to be copied.
pub(crate) struct Planned {
    pub table: Arc<Table>,
    /// COPY statements; together they give every row once.
    pub pieces: Vec<String>,
    /// How rows are written.
    pub format: Format,
    pub progress: Arc<TableProgress>,
    /// Rows that are left out: places of the key among the columns, and keys.
    pub without: Option<Arc<(Vec<usize>, HashSet<Key>)>>,
}

/// Part of a table: what stands after FROM, and where its rows are.
struct Part {
    item: String,
    range: Option<String>,
}

/// Plans copies, by what the catalog says in the snapshot itself.
pub(crate) struct Planner<'a> {
    pub session: &'a mut Session,
    pub catalog: &'a mut Catalog,
    pub naming: &'a Naming,
    pub settings: &'a Settings,
    pub status: &'a SourceStatus,
}

impl Planner<'_> {
    /// The copy of one table. `condition` further restricts its rows; one that is a whole SELECT
    /// gives them.
    pub(crate) async fn table(
        &mut self,
        published: &Published,
        condition: Option<&str>,
    ) -> Result<Planned, Fault> {
        let settings = self.settings;
        let whole = condition.filter(|text| is_select(text));
        let configured = settings.snapshots.select.get(&published.name.to_string());
        let select = whole.or(configured.map(String::as_str));
        let mut clauses = self.clauses(published, select).await?;
        if let Some(condition) = condition.filter(|_| whole.is_none()) {
            clauses.whole = false;
            clauses.conditions.push(condition.to_owned());
        }
        let pages = self.pages(published).await?;
        let parts = match select {
            Some(_) => vec![Part { item: clauses.item.clone(), range: None }],
            None => self.parts(published, &clauses, &pages).await?,
        };
        let pieces = parts.iter().map(|part| statement(&clauses, part)).collect();
        let rows: i64 = pages.iter().map(|p| p.rows).sum();
        let known = pages.iter().all(|p| p.rows >= 0) && clauses.conditions.is_empty();
        let estimate = if known { rows } else { -1 };
        let progress = self.status.copying(published.name.to_string(), estimate);
        let (table, format) = (Arc::new(clauses.table), clauses.format);
        Ok(Planned { table, pieces, format, progress, without: None })
    }

    /// Whether a table is rather read in chunks beside the stream: it is large, and has a key to go
    /// by.
    pub(crate) async fn is_for_chunks(&mut self, published: &Published) -> Result<bool, Fault> {
        let snapshots = &self.settings.snapshots;
        let Some(limit) = snapshots.chunked_above else { return Ok(false) };
        if snapshots.select.contains_key(&published.name.to_string()) {
            return Ok(false);
        }
        let pages: u64 = self.pages(published).await?.iter().map(|p| p.pages).sum();
        if pages.saturating_mul(PAGE_BYTES) <= limit {
            return Ok(false);
        }
        let info = self.catalog.table(published.oid, &[]).await?;
        let firm = |name: &String| info.columns.iter().any(|c| c.name == *name && c.not_null);
        Ok(!info.key.is_empty() && info.key.iter().all(firm))
    }

    /// How a table is read, or the statement that gives its rows.
    pub(crate) async fn clauses(
        &mut self,
        published: &Published,
        select: Option<&str>,
    ) -> Result<Clauses, Fault> {
        let (only, filter) = self.lists(published).await?;
        let info = self.catalog.table(published.oid, &[]).await?;
        let described = described_by_catalog(&info, only.as_deref());
        let names = described.iter().map(|c| quote(&c.name)).collect::<Vec<_>>().join(", ");
        let table = self.naming.table(published.name.clone(), &described, &info, None);
        let generated = info.columns.iter().any(|c| c.generated);
        let whole = filter.is_none() && !generated && select.is_none() && !published.partitioned;
        let (item, conditions) = match select {
            Some(statement) => (format!("({statement}) AS selected"), Vec::new()),
            None if published.partitioned => {
                (published.name.quoted(), filter.into_iter().collect())
            }
            None => (format!("ONLY {}", published.name.quoted()), filter.into_iter().collect()),
        };
        // What a statement of the user's gives may be of other types than the columns.
        let known = select.is_none() && table.columns.iter().all(|c| c.form.is_some());
        let binary = known && self.settings.wire_format == WireFormat::Auto;
        let format = if binary { Format::Binary } else { Format::Text };
        Ok(Clauses { table, info, names, item, conditions, whole, format })
    }

    /// The publication's column list and row filter of a table (15).
    async fn lists(
        &mut self,
        published: &Published,
    ) -> Result<(Option<Vec<String>>, Option<String>), Fault> {
        let sql = "SELECT current_setting('server_version_num')";
        let version = self.session.query(DOING, sql).await?;
        if version.first().is_none_or(|r| number::<u32>(r, 0) < 150_000) {
            return Ok((None, None));
        }
        let sql = format!(
            "SELECT unnest(attnames), rowfilter FROM pg_catalog.pg_publication_tables \
             WHERE pubname = {} AND schemaname = {} AND tablename = {}",
            escape_literal(&self.settings.publication),
            escape_literal(&published.name.schema),
            escape_literal(&published.name.table),
        );
        let rows = self.session.query(DOING, &sql).await?;
        let filter = rows.first().map(|r| text(r, 1).to_owned()).filter(|f| !f.is_empty());
        // Without a list the catalog names every column that the stream sends; generated columns
        // are in the snapshot alone, as with Debezium.
        let listed: Vec<String> = rows.iter().map(|r| text(r, 0).to_owned()).collect();
        let info = self.catalog.table(published.oid, &[]).await?;
        let plain = info.columns.iter().filter(|c| !c.generated);
        let all = plain.into_iter().all(|c| listed.contains(&c.name));
        Ok(((!all).then_some(listed), filter))
    }

    async fn pages(&mut self, published: &Published) -> Result<Vec<Pages>, Fault> {
        let oid = published.oid;
        let leaves = if published.partitioned {
            format!("SELECT relid FROM pg_catalog.pg_partition_tree({oid}) WHERE isleaf")
        } else {
            format!("SELECT {oid}::regclass")
        };
        let sql = format!(
            "SELECT n.nspname, c.relname, c.relkind = 'r', c.reltuples::int8, \
             coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int8, \
             has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid IN ({leaves}) ORDER BY 1, 2"
        );
        let rows = self.session.query(DOING, &sql).await?;
        Ok(rows.iter().map(Pages::read).collect())
    }

    async fn parts(
        &mut self,
        published: &Published,
        clauses: &Clauses,
        pages: &[Pages],
    ) -> Result<Vec<Part>, Fault> {
        let threads = self.settings.snapshots.threads as u64;
        let all = || vec![Part { item: clauses.item.clone(), range: None }];
        if threads <= 1 {
            return Ok(all());
        }
        if !published.partitioned {
            let table = pages.first().filter(|p| p.plain);
            return Ok(table.map_or_else(all, |p| p.ranges(&clauses.item, threads)));
        }
        if pages.iter().all(|p| p.readable) {
            let each = pages.iter().flat_map(|p| {
                let item = format!("ONLY {}", p.name.quoted());
                if p.plain { p.ranges(&item, threads) } else { vec![Part { item, range: None }] }
            });
            return Ok(each.collect());
        }
        Ok(self.key_ranges(clauses, threads).await?.unwrap_or_else(all))
    }

    /// Ranges of an integer key, each as wide as the others.
    async fn key_ranges(
        &mut self,
        clauses: &Clauses,
        threads: u64,
    ) -> Result<Option<Vec<Part>>, Fault> {
        let Some(key) = clauses.info.key.first() else { return Ok(None) };
        let column = clauses.info.columns.iter().find(|c| c.name == *key && c.not_null);
        if !column.is_some_and(|c| INTEGERS.contains(&c.type_oid)) {
            return Ok(None);
        }
        let (key, item) = (quote(key), &clauses.item);
        let sql = format!("SELECT min({key}), max({key}) FROM {item}");
        let rows = self.session.query(DOING, &sql).await?;
        let bound = |i| rows.first().and_then(|r| text(r, i).parse::<i64>().ok());
        let (Some(low), Some(high)) = (bound(0), bound(1)) else { return Ok(None) };
        let count = threads.saturating_mul(4);
        let step = (i128::from(high) - i128::from(low)) / i128::from(count) + 1;
        let mut parts = Vec::new();
        let mut from = i128::from(low);
        while from <= i128::from(high) {
            let to = from + step;
            let range = if to > i128::from(high) {
                format!("{key} >= {from}")
            } else {
                format!("{key} >= {from} AND {key} < {to}")
            };
            parts.push(Part { item: item.clone(), range: Some(range) });
            from = to;
        }
        Ok(Some(parts))
    }
}

fn is_select(text: &str) -> bool {
    text.trim_start().get(..6).is_some_and(|start| start.eq_ignore_ascii_case("select"))
}

/// A relation with rows of its own.
#[derive(Debug)]
struct Pages {
    name: TableName,
    plain: bool,
    /// By the last ANALYZE; -1: never.
    rows: i64,
    pages: u64,
    readable: bool,
}

impl Pages {
    fn read(row: &Row) -> Self {
        Self {
            name: TableName { schema: text(row, 0).into(), table: text(row, 1).into() },
            plain: text(row, 2) == "t",
            rows: number(row, 3),
            pages: number(row, 4),
            readable: text(row, 5) == "t",
        }
    }

    /// Ranges of pages; the last has no end, whatever the table grew by meanwhile.
    fn ranges(&self, item: &str, threads: u64) -> Vec<Part> {
        let step = self.pages.div_ceil(threads).clamp(PAGES_MIN, PAGES_MAX);
        let starts = (0..self.pages.max(1)).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let starts: Vec<u64> = starts.collect();
        let each = starts.iter().enumerate().map(|(i, from)| {
            let mut bounds = Vec::new();
            if *from > 0 {
                bounds.push(format!("ctid >= '({from},0)'"));
            }
            if let Some(to) = starts.get(i + 1) {
                bounds.push(format!("ctid < '({to},0)'"));
            }
            let range = (!bounds.is_empty()).then(|| bounds.join(" AND "));
            Part { item: item.to_owned(), range }
        });
        each.collect()
    }
}

fn statement(clauses: &Clauses, part: &Part) -> String {
    let Clauses { table, names, conditions, whole, format, .. } = clauses;
    let option = format.option();
    if *whole && part.range.is_none() && !names.is_empty() {
        return format!("COPY {} ({names}) TO STDOUT{option}", table.name.quoted());
    }
    let all: Vec<String> =
        conditions.iter().chain(&part.range).map(|condition| format!("({condition})")).collect();
    let filter =
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
    format!("COPY (SELECT {names} FROM {}{filter}) TO STDOUT{option}", part.item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_pages_leave_no_gap_and_have_no_end() {
        let name = TableName { schema: "s".into(), table: "t".into() };
        for (pages, threads, want) in [
            (0, 4, vec![None]),
            (1000, 4, vec![None]),
            (2000, 4, vec![Some("ctid < '(1024,0)'"), Some("ctid >= '(1024,0)'")]),
            (
                6000,
                3,
                vec![
                    Some("ctid < '(2000,0)'"),
                    Some("ctid >= '(2000,0)' AND ctid < '(4000,0)'"),
                    Some("ctid >= '(4000,0)'"),
                ],
            ),
        ] {
            let table = Pages { name: name.clone(), plain: true, rows: 0, pages, readable: true };
            let ranges = table.ranges("t", threads);
            let got: Vec<_> = ranges.iter().map(|part| part.range.as_deref()).collect();
            assert_eq!(got, want, "{pages} pages");
        }
    }
}
