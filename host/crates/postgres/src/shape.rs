//! What records look like: the settings that decide what a row of a table becomes, in plain
//! fields that the host maps its configuration onto. Names match as in Debezium: a pattern has to
//! match the whole name, whatever the case.

use regex::Regex;
use wasmgate_codec::mask::Mask;
pub use wasmgate_codec::pgvalue::{BinaryMode, DecimalMode, TimePrecision, ValueModes};
use wasmgate_model::Op;

use crate::catalog::TableName;

/// What records look like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How values are written.
    pub values: ValueModes,
    /// Stands for a large value that the server did not send; `None`: Debezium's text.
    pub unavailable: Option<Vec<u8>>,
    pub columns: ColumnRules,
    pub names: Names,
    /// Every record carries Debezium's `__debezium.context.*` headers.
    pub context_headers: bool,
    /// Changes that give no record.
    pub skipped: Skipped,
    /// An update that changes no column of the records gives none; needs the old row (replica
    /// identity FULL).
    pub skip_unchanged: bool,
}

impl Default for Shape {
    /// Debezium's defaults, without its context headers.
    fn default() -> Self {
        Self {
            values: ValueModes::default(),
            unavailable: None,
            columns: ColumnRules::default(),
            names: Names::default(),
            context_headers: false,
            skipped: Skipped { truncate: true, ..Skipped::default() },
            skip_unchanged: false,
        }
    }
}

/// Changes that give no record (Debezium's `skipped.operations`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    pub create: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
}

impl Skipped {
    pub(crate) fn has(self, op: Op) -> bool {
        match op {
            Op::Create => self.create,
            Op::Update => self.update,
            Op::Delete => self.delete,
            Op::Truncate => self.truncate,
            _ => false,
        }
    }
}

/// Which tables take part.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// By the schema's name.
    pub schemas: Filter,
    /// By `schema.table`.
    pub tables: Filter,
}

impl Filters {
    pub(crate) fn wants(&self, table: &TableName) -> bool {
        (self.schemas.is_empty() || self.schemas.wants(&table.schema))
            && (self.tables.is_empty() || self.tables.wants(&table.to_string()))
    }
}

/// Names that take part or stay out. Empty lists take all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Where not empty: only these.
    pub include: Vec<Regex>,
    /// None of these.
    pub exclude: Vec<Regex>,
}

impl Filter {
    /// Whether a name takes part.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        let among = |list: &[Regex]| list.iter().any(|p| p.is_match(name));
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }

    /// Whether it takes everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

/// Rules for columns, which they name as `schema.table.column`.
#[derive(Debug, Clone, Default)]
pub struct ColumnRules {
    /// Columns of the records. A key has its columns all the same.
    pub filter: Filter,
    /// Masks; the first that fits a column is its.
    pub masks: Vec<(Vec<Regex>, Mask)>,
    /// Keys by table (`schema.table`), in place of the table's own; the first that fits.
    pub keys: Vec<(Regex, Vec<String>)>,
    /// Columns whose type in the database stands in schemas.
    pub source_types: Vec<Regex>,
    /// Types (`schema.table.column` is not looked at) whose columns say their type in schemas:
    /// the type's name in upper case, as `VARCHAR`.
    pub source_datatypes: Vec<Regex>,
}

impl ColumnRules {
    pub(crate) fn mask(&self, table: &TableName, column: &str) -> Option<&Mask> {
        let name = qualified(table, column);
        let mut masks = self.masks.iter();
        masks.find(|(patterns, _)| patterns.iter().any(|p| p.is_match(&name))).map(|(_, m)| m)
    }

    pub(crate) fn has(&self, table: &TableName, column: &str) -> bool {
        self.filter.is_empty() || self.filter.wants(&qualified(table, column))
    }

    pub(crate) fn key(&self, table: &TableName) -> Option<&[String]> {
        let name = table.to_string();
        self.keys.iter().find(|(p, _)| p.is_match(&name)).map(|(_, columns)| columns.as_slice())
    }

    pub(crate) fn says_type(&self, table: &TableName, column: &str, datatype: &str) -> bool {
        let name = qualified(table, column);
        let datatype = datatype.to_uppercase();
        self.source_types.iter().any(|p| p.is_match(&name))
            || self.source_datatypes.iter().any(|p| p.is_match(&datatype))
    }
}

fn qualified(table: &TableName, column: &str) -> String {
    format!("{table}.{column}")
}

/// A pattern as Debezium reads it: of the whole name, whatever the case.
///
/// # Errors
/// The text is no regular expression.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    // Compiled alone first: `)(` would become valid inside the group that anchors it.
    Regex::new(text)?;
    Regex::new(&format!(r"(?i)\A(?:{text})\z"))
}

/// How topics, schemas and fields are named.
#[derive(Debug, Clone)]
pub struct Names {
    /// Between the parts of a topic (`topic.delimiter`).
    pub delimiter: String,
    /// `schema.name.adjustment.mode`
    pub schemas: NameAdjustment,
    /// `field.name.adjustment.mode`
    pub fields: NameAdjustment,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            delimiter: ".".into(),
            schemas: NameAdjustment::default(),
            fields: NameAdjustment::default(),
        }
    }
}

/// What becomes of characters that Avro does not take in names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameAdjustment {
    #[default]
    None,
    /// `_` in their place.
    Avro,
    /// `_u` and the number in hexadecimal digits in their place, and for `_` too.
    AvroUnicode,
}

impl NameAdjustment {
    /// The name of a schema; dots part it.
    pub(crate) fn schema(self, name: &str) -> String {
        self.adjust(name, true)
    }

    /// The name of a field, which has no dots.
    pub(crate) fn field(self, name: &str) -> String {
        self.adjust(name, false)
    }

    fn adjust(self, name: &str, dots: bool) -> String {
        if self == Self::None {
            return name.to_owned();
        }
        let unicode = self == Self::AvroUnicode;
        let mut out = String::with_capacity(name.len());
        for (i, c) in name.chars().enumerate() {
            let letter = c.is_ascii_alphabetic() || (c == '_' && !unicode);
            let later = i > 0 && (c.is_ascii_digit() || (dots && c == '.'));
            match (letter || later, unicode) {
                (true, _) => out.push(c),
                (false, false) => {
                    out.push('_');
                    if c.is_ascii_digit() {
                        out.push(c);
                    }
                }
                (false, true) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        // as Debezium has it: only one and two digits are filled up
                        let zeros = if *unit <= 0xff { "00" } else { "" };
                        out.push_str(&format!("_u{zeros}{unit:x}"));
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_for_avro() {
        let cases = [
            ("My Table.x$é", "My_Table.x__", "My_u0020Table.x_u0024_u00e9"),
            ("1a_b", "_1a_b", "_u0031a_u005fb"),
            ("ab1", "ab1", "ab1"),
        ];
        for (name, avro, unicode) in cases {
            assert_eq!(NameAdjustment::None.schema(name), name);
            assert_eq!(NameAdjustment::Avro.schema(name), avro);
            assert_eq!(NameAdjustment::AvroUnicode.schema(name), unicode);
        }
        assert_eq!(NameAdjustment::Avro.field("a.b"), "a_b");
    }

    #[test]
    fn patterns_match_whole_names_in_any_case() {
        let list = |texts: &[&str]| texts.iter().map(|t| pattern(t).unwrap()).collect();
        let filter = Filter { include: list(&["public\\..*"]), exclude: list(&["public\\.t|x"]) };
        for (name, want) in [("public.a", true), ("PUBLIC.a", true), ("public.t", false)] {
            assert_eq!(filter.wants(name), want, "{name}");
        }
        assert!(filter.wants("public.tt") && !filter.wants("other.a"));
        assert!(pattern(")(").is_err());
    }
}
