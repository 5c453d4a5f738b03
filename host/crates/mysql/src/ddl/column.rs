//! One column of CREATE or ALTER TABLE: its type as `information_schema` prints it, and the
//! attributes that records depend on. A word that is not known ends the reading: then the server
//! decides what the column is.

use super::token::{Token, Tokens};
use crate::definition::{ColumnDefinition, TypeText};

/// A column as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) column: ColumnDefinition,
    pub(super) primary: bool,
    pub(super) unique: bool,
}

/// Reads a column; `charset` is the table's, where it is known. `None`: not followed.
pub(super) fn column(
    tokens: &mut Tokens<'_>,
    charset: Option<&str>,
    maria: bool,
) -> Option<Written> {
    let name = tokens.identifier()?;
    let mut ty = type_of(tokens)?;
    let mut written = Written {
        column: ColumnDefinition {
            name,
            column_type: String::new(),
            charset: None,
            nullable: true,
            default: None,
            default_now: false,
            auto_increment: false,
            generated: false,
            comment: String::new(),
        },
        primary: false,
        unique: false,
    };
    if ty.name == "serial" {
        ty = Type { name: "bigint".into(), suffix: " unsigned".into(), ..ty };
        written.column.nullable = false;
        written.column.auto_increment = true;
        written.unique = true;
    }
    let mut own = None;
    while !ends(tokens) {
        attribute(tokens, &mut ty, &mut written, &mut own)?;
    }
    if maria && ty.name == "json" {
        ty.name = "longtext".into();
        own.get_or_insert_with(|| "utf8mb4".into());
    }
    finish(&mut ty, own.as_deref().or(charset), &mut written)?;
    if written.primary {
        written.column.nullable = false;
    }
    Some(written)
}

/// What stands behind a column: another one, the end, or its place.
fn ends(tokens: &Tokens<'_>) -> bool {
    tokens.is_at_end() || [",", ")", "first", "after"].iter().any(|word| tokens.is(word))
}

/// A type in pieces.
#[derive(Debug, Clone, Default)]
struct Type {
    name: String,
    /// What stands in its parentheses, labels quoted.
    arguments: Vec<String>,
    /// ` unsigned`, ` zerofill`
    suffix: String,
}

fn type_of(tokens: &mut Tokens<'_>) -> Option<Type> {
    let mut name = tokens.word()?.to_ascii_lowercase();
    if name == "national" {
        name = tokens.word()?.to_ascii_lowercase();
    }
    match name.as_str() {
        "double" => {
            tokens.eat("precision");
        }
        "char" | "character" | "nchar" if tokens.eat("varying") => name = "varchar".into(),
        "long" if tokens.eat("varbinary") => name = "mediumblob".into(),
        "long" => {
            tokens.eat("varchar");
            name = "mediumtext".into();
        }
        _ => {}
    }
    let mut ty = Type { name, ..Type::default() };
    if tokens.eat("(") {
        while !tokens.eat(")") {
            match tokens.take()? {
                Token::Word(word) => ty.arguments.push(word),
                Token::Text(text) => {
                    let text = text.replace('\\', "\\\\").replace('\'', "''");
                    ty.arguments.push(format!("'{text}'"));
                }
                Token::Sign(',') => {}
                _ => return None,
            }
        }
    }
    Some(ty)
}

fn attribute(
    tokens: &mut Tokens<'_>,
    ty: &mut Type,
    written: &mut Written,
    own: &mut Option<String>,
) -> Option<()> {
    let column = &mut written.column;
    let word = tokens.word()?.to_ascii_lowercase();
    match word.as_str() {
        "unsigned" | "zerofill" => {
            ty.suffix.push(' ');
            ty.suffix.push_str(&word);
        }
        "character" if tokens.eat("set") => *own = Some(tokens.identifier()?.to_lowercase()),
        "charset" => *own = Some(tokens.identifier()?.to_lowercase()),
        "collate" => {
            let collation = tokens.identifier()?.to_lowercase();
            own.get_or_insert(charset_of(&collation)?);
        }
        "ascii" => *own = Some("latin1".into()),
        "unicode" => *own = Some("ucs2".into()),
        "byte" => *own = Some("binary".into()),
        "not" if tokens.eat("null") => column.nullable = false,
        "not" => return tokens.eat("enforced").then_some(()),
        "null" => column.nullable = true,
        "default" => match default_of(tokens)? {
            Given::Constant(text) => column.default = Some(text),
            Given::Now => (column.default, column.default_now) = (None, true),
            Given::Other => column.default = None,
        },
        "auto_increment" => {
            column.auto_increment = true;
            column.nullable = false;
        }
        "primary" | "key" => {
            tokens.eat("key");
            written.primary = true;
        }
        "unique" => {
            tokens.eat("key");
            written.unique = true;
        }
        "comment" => column.comment = tokens.text()?,
        "as" => {
            column.generated = true;
            tokens.skip_parentheses();
        }
        _ => return without_effect(&word, tokens),
    }
    Some(())
}

/// Attributes that no record depends on.
fn without_effect(word: &str, tokens: &mut Tokens<'_>) -> Option<()> {
    match word {
        "signed" | "binary" | "visible" | "invisible" | "virtual" | "stored" | "persistent"
        | "enforced" => {}
        "on" => {
            // ON UPDATE CURRENT_TIMESTAMP(6), ON DELETE SET NULL
            tokens.take()?;
            tokens.take()?;
            tokens.skip_parentheses();
            for word in ["null", "default", "action"] {
                tokens.eat(word);
            }
        }
        "generated" => {
            tokens.eat("always");
        }
        "check" => tokens.skip_parentheses(),
        "constraint" => {
            if !tokens.is("check") {
                tokens.identifier()?;
            }
        }
        "column_format"
        | "storage"
        | "srid"
        | "engine_attribute"
        | "secondary_engine_attribute" => {
            tokens.eat("=");
            tokens.take()?;
        }
        "references" => {
            tokens.table_name()?;
            tokens.skip_parentheses();
        }
        "match" => {
            tokens.take()?;
        }
        _ => return None,
    }
    Some(())
}

/// The character set that a collation belongs to.
pub(super) fn charset_of(collation: &str) -> Option<String> {
    let name = collation.split('_').next()?;
    // MariaDB's newer ones go with several character sets.
    (name != "uca1400").then(|| name.to_owned())
}

/// A default.
enum Given {
    Constant(String),
    /// The time of the insert.
    Now,
    /// It has to be computed, or is NULL.
    Other,
}

fn default_of(tokens: &mut Tokens<'_>) -> Option<Given> {
    let mut sign = String::new();
    if tokens.eat("-") {
        sign.push('-');
    } else {
        tokens.eat("+");
    }
    if tokens.is("(") {
        tokens.skip_parentheses();
        return Some(Given::Other);
    }
    match tokens.take()? {
        Token::Text(text) => Some(Given::Constant(text)),
        Token::Word(word) => {
            let lower = word.to_ascii_lowercase();
            // b'101', x'41', N'..', _utf8mb4'..'
            if let Some(Token::Text(text)) = tokens.peek().cloned() {
                tokens.skip();
                return Some(match lower.as_str() {
                    "b" => Given::Constant(format!("b'{text}'")),
                    "x" => Given::Other,
                    _ => Given::Constant(text),
                });
            }
            if word.starts_with(|c: char| c.is_ascii_digit()) {
                let mut number = sign + &word;
                if tokens.eat(".") {
                    number.push('.');
                    number.push_str(&tokens.word().unwrap_or_default());
                }
                return Some(Given::Constant(number));
            }
            tokens.skip_parentheses();
            Some(match lower.as_str() {
                "true" => Given::Constant("1".into()),
                "false" => Given::Constant("0".into()),
                "now" | "current_timestamp" | "localtime" | "localtimestamp" => Given::Now,
                _ => Given::Other,
            })
        }
        Token::Sign('.') => Some(Given::Constant(format!("{sign}0.{}", tokens.word()?))),
        _ => None,
    }
}

/// Brings the type into the form that `information_schema` has. `None`: a text whose character set
/// is not known.
fn finish(ty: &mut Type, charset: Option<&str>, written: &mut Written) -> Option<()> {
    let printed = if ty.arguments.is_empty() {
        format!("{}{}", ty.name, ty.suffix)
    } else {
        format!("{}({}){}", ty.name, ty.arguments.join(","), ty.suffix)
    };
    let parsed = TypeText::parse(&printed);
    let first = parsed.argument(0);
    let bytes = charset == Some("binary");
    let (name, arguments) = match parsed.name.as_str() {
        "char" | "varchar" if bytes => {
            let name = if parsed.name == "char" { "binary" } else { "varbinary" };
            (name.to_owned(), format!("({})", first.unwrap_or(1)))
        }
        "char" | "binary" | "bit" if first.is_none() => (parsed.name.clone(), "(1)".into()),
        "text" | "blob" => (sized(&parsed.name, first, bytes), String::new()),
        "tinytext" | "mediumtext" | "longtext" if bytes => {
            (parsed.name.replace("text", "blob"), String::new())
        }
        "decimal" => {
            let (precision, scale) = (first.unwrap_or(10), parsed.argument(1).unwrap_or(0));
            ("decimal".into(), format!("({precision},{scale})"))
        }
        "float" if parsed.argument(1).is_none() => {
            let name = if first.is_some_and(|p| p > 24) { "double" } else { "float" };
            (name.into(), String::new())
        }
        name if ty.arguments.is_empty() => (name.to_owned(), String::new()),
        name => (name.to_owned(), format!("({})", ty.arguments.join(","))),
    };
    let text = ["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"];
    if text.contains(&name.as_str()) {
        written.column.charset = Some(charset?.to_owned());
    }
    let sign = if parsed.zerofill {
        " unsigned zerofill"
    } else if parsed.unsigned {
        " unsigned"
    } else {
        ""
    };
    written.column.column_type = format!("{name}{arguments}{sign}");
    Some(())
}

/// `text(100)` is the smallest type that holds so many.
fn sized(name: &str, length: Option<u32>, bytes: bool) -> String {
    let kind = if bytes || name == "blob" { "blob" } else { "text" };
    // A character of the widest set has four bytes.
    let width = if kind == "text" { 4 } else { 1 };
    let size = match length.unwrap_or(16_383).saturating_mul(width) {
        0..=255 => "tiny",
        256..=65_535 => "",
        65_536..=16_777_215 => "medium",
        _ => "long",
    };
    format!("{size}{kind}")
}
