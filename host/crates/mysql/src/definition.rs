//! A table as the server describes it: the columns' types as `information_schema` prints them,
//! which is also how a statement writes them.

use std::sync::Arc;

use serde_json::{Value, json};

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnDefinition {
    pub name: String,
    /// `int unsigned`, `varchar(20)`, `enum('a','b')`.
    pub column_type: String,
    /// Character set of texts and labels.
    pub charset: Option<String>,
    pub nullable: bool,
    /// The default as text, where it is a constant.
    pub default: Option<String>,
    /// The default is the time of the insert.
    pub default_now: bool,
    pub auto_increment: bool,
    pub generated: bool,
    pub comment: String,
}

/// One version of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TableDefinition {
    /// In the order of the rows.
    pub columns: Vec<ColumnDefinition>,
    /// The primary key, else the first unique key without nullable columns.
    pub key: Vec<String>,
    /// The key is the primary one.
    pub primary: bool,
    /// Default of new columns.
    pub charset: String,
    pub comment: String,
}

/// A column's type taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TypeText {
    /// Lower case, without arguments.
    pub name: String,
    pub arguments: Vec<u32>,
    pub labels: Arc<[String]>,
    pub unsigned: bool,
    pub zerofill: bool,
}

impl TypeText {
    /// Takes `decimal(10,2) unsigned zerofill` apart; names that mean another type are replaced.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let mut ty = Self { name: name.to_ascii_lowercase(), ..Self::default() };
        rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('(') {
            let (arguments, labels, after) = arguments(inner);
            (ty.arguments, ty.labels, rest) = (arguments, labels.into(), after);
        }
        for word in rest.split_whitespace() {
            ty.unsigned |= word.eq_ignore_ascii_case("unsigned");
            ty.zerofill |= word.eq_ignore_ascii_case("zerofill");
        }
        ty.unsigned |= ty.zerofill;
        let real = match ty.name.as_str() {
            "integer" | "int4" => "int",
            "int1" => "tinyint",
            "int2" => "smallint",
            "int3" | "middleint" => "mediumint",
            "int8" => "bigint",
            "bool" | "boolean" => "tinyint",
            "dec" | "numeric" | "fixed" => "decimal",
            "real" | "float8" => "double",
            "float4" => "float",
            "character" | "nchar" => "char",
            "nvarchar" => "varchar",
            "long" => "mediumtext",
            "geomcollection" => "geometrycollection",
            "serial" => {
                ty.unsigned = true;
                "bigint"
            }
            _ => return ty,
        };
        real.clone_into(&mut ty.name);
        ty
    }

    pub(crate) fn argument(&self, i: usize) -> Option<u32> {
        self.arguments.get(i).copied()
    }
}

/// What stands in the parentheses of a type, and what follows them.
fn arguments(inner: &str) -> (Vec<u32>, Vec<String>, &str) {
    let (mut numbers, mut labels) = (Vec::new(), Vec::new());
    let mut rest = inner;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n', '\t', '\r']);
        let mut characters = rest.chars();
        match characters.next() {
            None => return (numbers, labels, ""),
            Some(')') => return (numbers, labels, characters.as_str()),
            Some(quote @ ('\'' | '"')) => {
                let mut label = String::new();
                loop {
                    match characters.next() {
                        None => break,
                        Some('\\') => label.extend(characters.next()),
                        Some(c) if c == quote => match characters.as_str().strip_prefix(quote) {
                            Some(after) => {
                                label.push(quote);
                                characters = after.chars();
                            }
                            None => break,
                        },
                        Some(c) => label.push(c),
                    }
                }
                labels.push(label);
                rest = characters.as_str();
            }
            Some(_) => {
                let end = rest.find([',', ')']).unwrap_or(rest.len());
                let (number, after) = rest.split_at(end);
                numbers.extend(number.trim().parse::<u32>().ok());
                rest = after;
            }
        }
    }
}

impl TableDefinition {
    pub(crate) fn to_json(&self) -> Value {
        let columns: Vec<Value> = self
            .columns
            .iter()
            .map(|c| {
                json!({ "name": c.name, "type": c.column_type, "charset": c.charset,
                        "nullable": c.nullable, "default": c.default, "default_now": c.default_now,
                        "auto_increment": c.auto_increment, "generated": c.generated,
                        "comment": c.comment })
            })
            .collect();
        json!({ "columns": columns, "key": self.key, "primary": self.primary,
                "charset": self.charset, "comment": self.comment })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |v: &Value, name: &str| v.get(name).and_then(Value::as_str).map(str::to_owned);
        let flag = |v: &Value, name: &str| v.get(name).and_then(Value::as_bool);
        let columns = value.get("columns")?.as_array()?.iter().map(|c| {
            Some(ColumnDefinition {
                name: text(c, "name")?,
                column_type: text(c, "type")?,
                charset: text(c, "charset"),
                nullable: flag(c, "nullable")?,
                default: text(c, "default"),
                // Histories of before this was told.
                default_now: flag(c, "default_now").unwrap_or(false),
                auto_increment: flag(c, "auto_increment")?,
                generated: flag(c, "generated")?,
                comment: text(c, "comment")?,
            })
        });
        let key = value.get("key")?.as_array()?.iter().map(|k| k.as_str().map(str::to_owned));
        Some(Self {
            columns: columns.collect::<Option<_>>()?,
            key: key.collect::<Option<_>>()?,
            primary: flag(value, "primary")?,
            charset: text(value, "charset")?,
            comment: text(value, "comment")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_taken_apart() {
        let ty = TypeText::parse("decimal(10,2) unsigned zerofill");
        assert_eq!((&*ty.name, &*ty.arguments, ty.unsigned), ("decimal", &[10, 2][..], true));
        let ty = TypeText::parse("enum('a','b''c','d,e','f\\'g')");
        assert_eq!(*ty.labels, ["a", "b'c", "d,e", "f'g"].map(str::to_owned));
        assert_eq!(TypeText::parse("INTEGER").name, "int");
        assert_eq!(TypeText::parse("double").arguments, Vec::<u32>::new());
        assert!(TypeText::parse("int(5) zerofill").unsigned);
    }
}
