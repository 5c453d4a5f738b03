//! Keys that chunks go by: in SQL (order, bounds, the text that the checkpoint keeps), and as bytes
//! that are the same for a row of a chunk and for the same row in the log.

use wasmgate_codec::mysqlvalue::{ColumnType, Datum, push};
use wasmgate_model::{Column, Values};
use wasmgate_replication::incremental::push_key;

use crate::connect::{literal, quote};
use crate::definition::{ColumnDefinition, TypeText};

/// Appends one value of a key. False: it cannot be told from others (null, or not a value of its
/// type).
pub(crate) fn push_value(key: &mut Vec<u8>, ty: &ColumnType, value: Option<Datum<'_>>) -> bool {
    let mut put = |bytes: &[u8]| push_key(key, bytes);
    match value {
        None => return false,
        Some(Datum::Int(n)) => put(&i128::from(n).to_be_bytes()),
        Some(Datum::Unsigned(n)) => put(&i128::from(n).to_be_bytes()),
        // As they are: what records make of a date that does not exist is the same for many.
        Some(Datum::Date(date)) => put(format!("{date:?}").as_bytes()),
        Some(Datum::DateTime(date, us)) => put(format!("{date:?} {us}").as_bytes()),
        Some(Datum::Instant(us) | Datum::Time(us)) => put(&us.to_be_bytes()),
        Some(Datum::Bits(bits)) => {
            let first = bits.iter().position(|b| *b != 0).unwrap_or(bits.len());
            put(bits.get(first..).unwrap_or_default());
        }
        Some(other) => {
            let mut column = Column::new(ty.kind);
            if push(&mut column, ty, other).is_err() || column.is_null(0) {
                return false;
            }
            match &column.values {
                Values::Booleans(v) => put(&[u8::from(v.first().copied().unwrap_or_default())]),
                Values::Ints(v) => put(&v.first().copied().unwrap_or_default().to_be_bytes()),
                Values::Floats(v) => {
                    put(&v.first().copied().unwrap_or_default().to_bits().to_be_bytes());
                }
                Values::Texts(_) | Values::Blobs(_) => put(column.bytes(0).unwrap_or_default()),
            }
        }
    }
    true
}

/// A value as text, as records have it.
pub(crate) fn text_of(ty: &ColumnType, value: Datum<'_>) -> Option<String> {
    let mut column = Column::new(ty.kind);
    push(&mut column, ty, value).ok()?;
    Some(String::from_utf8_lossy(column.bytes(0)?).into_owned())
}

/// How a column's values are written in SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    /// Single precision is made double, which is exact: its own text is not.
    Float,
    Hex,
    /// By the number behind it: labels compare as texts, and are in the order of their numbers.
    Index,
    Text,
}

/// A column that chunks go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub name: String,
    form: Form,
}

impl KeyColumn {
    pub(crate) fn of(column: &ColumnDefinition) -> Self {
        let form = match TypeText::parse(&column.column_type).name.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "year" => {
                Form::Number
            }
            "float" | "double" => Form::Float,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Form::Hex,
            "enum" | "set" | "bit" => Form::Index,
            _ => Form::Text,
        };
        Self { name: column.name.clone(), form }
    }

    /// What is compared and ordered.
    fn value(&self) -> String {
        match self.form {
            Form::Index => format!("{} + 0", quote(&self.name)),
            _ => quote(&self.name),
        }
    }

    /// An expression that gives the text which [`KeyColumn::literal`] takes.
    pub(crate) fn text(&self) -> String {
        let name = quote(&self.name);
        match self.form {
            Form::Hex => format!("HEX({name})"),
            Form::Float => format!("CAST({name} + 0e0 AS CHAR)"),
            _ => format!("CAST({} AS CHAR)", self.value()),
        }
    }

    fn literal(&self, text: &str) -> String {
        let plain = |c: u8| c.is_ascii_digit() || b"+-.eE".contains(&c);
        match self.form {
            Form::Hex if text.bytes().all(|b| b.is_ascii_hexdigit()) => format!("x'{text}'"),
            Form::Number | Form::Float | Form::Index
                if !text.is_empty() && text.bytes().all(plain) =>
            {
                text.to_owned()
            }
            _ => literal(text),
        }
    }
}

/// The columns for ORDER BY, each with `after` behind it.
pub(crate) fn order(key: &[KeyColumn], after: &str) -> String {
    key.iter().map(|c| format!("{}{after}", c.value())).collect::<Vec<_>>().join(", ")
}

/// The condition for rows beyond a key, in a form that the server reads by the index.
pub(crate) fn beyond(key: &[KeyColumn], from: &[String]) -> String {
    bound(key, from, (">", ">", ">="))
}

/// The condition for rows up to a key, with it.
pub(crate) fn up_to(key: &[KeyColumn], to: &[String]) -> String {
    bound(key, to, ("<", "<=", "<="))
}

fn bound(key: &[KeyColumn], values: &[String], (inner, last, first): (&str, &str, &str)) -> String {
    let parts: Vec<(String, String)> =
        key.iter().zip(values).map(|(c, v)| (c.value(), c.literal(v))).collect();
    let mut alternatives = Vec::with_capacity(parts.len());
    for (i, (column, value)) in parts.iter().enumerate() {
        let same = parts.iter().take(i).map(|(c, v)| format!("{c} = {v}"));
        let sign = if i + 1 == parts.len() { last } else { inner };
        let all: Vec<String> = same.chain([format!("{column} {sign} {value}")]).collect();
        alternatives.push(format!("({})", all.join(" AND ")));
    }
    let whole = alternatives.join(" OR ");
    match parts.first().filter(|_| parts.len() > 1) {
        Some((column, value)) => format!("{column} {first} {value} AND ({whole})"),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, ty: &str) -> KeyColumn {
        KeyColumn::of(&ColumnDefinition {
            name: name.into(),
            column_type: ty.into(),
            charset: None,
            nullable: false,
            default: None,
            auto_increment: false,
            generated: false,
            default_now: false,
            comment: String::new(),
        })
    }

    #[test]
    fn bounds_are_ranges_of_the_index() {
        let one = [column("id", "bigint unsigned")];
        assert_eq!(beyond(&one, &["7".into()]), "(`id` > 7)");
        assert_eq!(up_to(&one, &["9".into()]), "(`id` <= 9)");
        let two = [column("a", "varchar(9)"), column("b", "varbinary(4)")];
        let values = ["it's \\".to_owned(), "00FF".to_owned()];
        assert_eq!(
            beyond(&two, &values),
            "`a` >= 'it''s \\\\' AND ((`a` > 'it''s \\\\') OR (`a` = 'it''s \\\\' AND `b` > x'00FF'))"
        );
        assert_eq!(
            up_to(&two, &values),
            "`a` <= 'it''s \\\\' AND ((`a` < 'it''s \\\\') OR (`a` = 'it''s \\\\' AND `b` <= x'00FF'))"
        );
        assert_eq!(order(&two, " DESC"), "`a` DESC, `b` DESC");
    }

    #[test]
    fn text_that_is_no_number_stays_text() {
        let id = [column("id", "int")];
        assert_eq!(beyond(&id, &["1 OR 1".into()]), "(`id` > '1 OR 1')");
        let label = column("e", "enum('b','a')");
        assert_eq!(label.text(), "CAST(`e` + 0 AS CHAR)");
        assert_eq!(beyond(&[label], &["2".into()]), "(`e` + 0 > 2)");
    }
}
