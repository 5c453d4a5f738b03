//! ClickHouse's types as `system.columns` writes them: parsed, and written again into the header
//! of a column. What is not known here is refused when a table is bound, never guessed.

use std::fmt;

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Bool,
    /// 8 to 256 bits.
    Int {
        bits: u16,
        signed: bool,
    },
    Float32,
    Float64,
    /// Precision 1 to 76; the width follows from it.
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// `String`.
    Text,
    /// `FixedString(N)`.
    FixedText(u32),
    Uuid,
    Date,
    Date32,
    /// Seconds; the time zone only changes how it is shown.
    DateTime {
        zone: Option<String>,
    },
    /// Ticks of 10^-scale seconds.
    DateTime64 {
        scale: u8,
        zone: Option<String>,
    },
    Time,
    Time64 {
        scale: u8,
    },
    Ipv4,
    Ipv6,
    /// `Enum8` or `Enum16`.
    Enum {
        bits: u8,
        labels: Vec<(String, i16)>,
    },
    /// `JSON`, with whatever stands in its brackets. It travels as `String`.
    Json,
    Nullable(Box<Type>),
    LowCardinality(Box<Type>),
    Array(Box<Type>),
    Map(Box<(Type, Type)>),
}

impl Type {
    /// Reads a type's text. `None`: a type that this sink does not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), arguments(rest.strip_suffix(')')?)?),
            None => (text, Vec::new()),
        };
        match arguments.as_slice() {
            [] => Self::plain(name),
            _ if name == "JSON" => Some(Self::Json),
            _ if name == "Enum8" || name == "Enum16" => labels(name, &arguments),
            [one] => Self::with_one(name, one),
            [precision, scale] if name == "Decimal" => {
                decimal(precision.parse().ok()?, scale.parse().ok()?)
            }
            [scale, zone] if name == "DateTime64" => Some(Self::DateTime64 {
                scale: scale.parse().ok().filter(|s| *s <= 9)?,
                zone: Some(unquoted(zone)?.0),
            }),
            [key, value] if name == "Map" => {
                Some(Self::Map(Box::new((Self::parse(key)?, Self::parse(value)?))))
            }
            [_, inner] if name == "SimpleAggregateFunction" => Self::parse(inner),
            _ => None,
        }
    }

    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "Bool" => Self::Bool,
            "Float32" => Self::Float32,
            "Float64" => Self::Float64,
            "String" => Self::Text,
            "UUID" => Self::Uuid,
            "Date" => Self::Date,
            "Date32" => Self::Date32,
            "DateTime" => Self::DateTime { zone: None },
            "DateTime64" => Self::DateTime64 { scale: 3, zone: None },
            "Time" => Self::Time,
            "Time64" => Self::Time64 { scale: 3 },
            "IPv4" => Self::Ipv4,
            "IPv6" => Self::Ipv6,
            "JSON" => Self::Json,
            _ => {
                let (signed, bits) = match name.strip_prefix("UInt") {
                    Some(bits) => (false, bits),
                    None => (true, name.strip_prefix("Int")?),
                };
                let bits = bits.parse().ok()?;
                let known = matches!(bits, 8 | 16 | 32 | 64 | 128 | 256);
                return known.then_some(Self::Int { bits, signed });
            }
        })
    }

    fn with_one(name: &str, argument: &str) -> Option<Self> {
        let inner = || Self::parse(argument).map(Box::new);
        let scale = || argument.parse().ok().filter(|s| *s <= 9);
        Some(match name {
            "Nullable" => Self::Nullable(inner()?),
            "LowCardinality" => Self::LowCardinality(inner()?),
            "Array" => Self::Array(inner()?),
            "FixedString" => Self::FixedText(argument.parse().ok().filter(|n| *n > 0)?),
            "DateTime" => Self::DateTime { zone: Some(unquoted(argument)?.0) },
            "DateTime64" => Self::DateTime64 { scale: scale()?, zone: None },
            "Time64" => Self::Time64 { scale: scale()? },
            "Decimal" => return decimal(argument.parse().ok()?, 0),
            "Decimal32" => return decimal(9, argument.parse().ok()?),
            "Decimal64" => return decimal(18, argument.parse().ok()?),
            "Decimal128" => return decimal(38, argument.parse().ok()?),
            "Decimal256" => return decimal(76, argument.parse().ok()?),
            _ => return None,
        })
    }

    /// Whether a value may be NULL.
    #[must_use]
    pub fn is_nullable(&self) -> bool {
        match self {
            Self::Nullable(_) => true,
            Self::LowCardinality(inner) => inner.is_nullable(),
            _ => false,
        }
    }

    /// The type without `Nullable` and `LowCardinality` around it.
    #[must_use]
    pub fn bare(&self) -> &Type {
        match self {
            Self::Nullable(inner) | Self::LowCardinality(inner) => inner.bare(),
            _ => self,
        }
    }

    /// The type as it stands in the block: the server turns text into JSON.
    #[must_use]
    pub fn sent(&self) -> Type {
        match self {
            Self::Json => Self::Text,
            Self::Nullable(inner) => Self::Nullable(Box::new(inner.sent())),
            _ => self.clone(),
        }
    }

    /// Bytes of one value, where every value has the same.
    pub(crate) fn width(&self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::Enum { bits: 8, .. } => 1,
            Self::Date | Self::Enum { .. } => 2,
            Self::Int { bits, .. } => usize::from(*bits) / 8,
            Self::Float32 | Self::Date32 | Self::DateTime { .. } | Self::Time | Self::Ipv4 => 4,
            Self::Float64 | Self::DateTime64 { .. } | Self::Time64 { .. } => 8,
            Self::Uuid | Self::Ipv6 => 16,
            Self::FixedText(n) => *n as usize,
            Self::Decimal { precision, .. } => match precision {
                0..=9 => 4,
                10..=18 => 8,
                19..=38 => 16,
                _ => 32,
            },
            _ => return None,
        })
    }
}

fn decimal(precision: u8, scale: u8) -> Option<Type> {
    let fits = (1..=76).contains(&precision) && scale <= precision;
    fits.then_some(Type::Decimal { precision, scale })
}

/// `'a' = 1, 'b' = 2`.
fn labels(name: &str, arguments: &[&str]) -> Option<Type> {
    let label = |argument: &&str| {
        let (label, rest) = unquoted(argument)?;
        Some((label, rest.trim().strip_prefix('=')?.trim().parse().ok()?))
    };
    let bits = if name == "Enum8" { 8 } else { 16 };
    Some(Type::Enum { bits, labels: arguments.iter().map(label).collect::<Option<_>>()? })
}

/// The text of a quoted literal, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.trim().strip_prefix('\'')?.chars();
    let mut plain = String::new();
    loop {
        match chars.next()? {
            '\'' => return Some((plain, chars.as_str())),
            '\\' => plain.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                other => other,
            }),
            other => plain.push(other),
        }
    }
}

/// What stands between the commas of the outermost level.
fn arguments(text: &str) -> Option<Vec<&str>> {
    let (mut found, mut depth, mut quoted, mut escaped, mut start) =
        (Vec::new(), 0_i32, false, false, 0);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text.get(start..at)?.trim());
                start = at + 1;
            }
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    found.push(text.get(start..)?.trim());
    (!quoted && depth == 0).then_some(found)
}

/// A text as a literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A name as it stands in SQL.
pub(crate) fn name(text: &str) -> String {
    format!("`{}`", text.replace('\\', "\\\\").replace('`', "\\`"))
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("Bool"),
            Self::Int { bits, signed } => {
                write!(f, "{}{bits}", if *signed { "Int" } else { "UInt" })
            }
            Self::Float32 => f.write_str("Float32"),
            Self::Float64 => f.write_str("Float64"),
            Self::Decimal { precision, scale } => write!(f, "Decimal({precision}, {scale})"),
            Self::Text => f.write_str("String"),
            Self::FixedText(n) => write!(f, "FixedString({n})"),
            Self::Uuid => f.write_str("UUID"),
            Self::Date => f.write_str("Date"),
            Self::Date32 => f.write_str("Date32"),
            Self::DateTime { zone: None } => f.write_str("DateTime"),
            Self::DateTime { zone: Some(zone) } => write!(f, "DateTime({})", quoted(zone)),
            Self::DateTime64 { scale, zone: None } => write!(f, "DateTime64({scale})"),
            Self::DateTime64 { scale, zone: Some(zone) } => {
                write!(f, "DateTime64({scale}, {})", quoted(zone))
            }
            Self::Time => f.write_str("Time"),
            Self::Time64 { scale } => write!(f, "Time64({scale})"),
            Self::Ipv4 => f.write_str("IPv4"),
            Self::Ipv6 => f.write_str("IPv6"),
            Self::Enum { bits, labels } => {
                write!(f, "Enum{bits}(")?;
                for (n, (label, value)) in labels.iter().enumerate() {
                    let comma = if n > 0 { ", " } else { "" };
                    write!(f, "{comma}{} = {value}", quoted(label))?;
                }
                f.write_str(")")
            }
            Self::Json => f.write_str("JSON"),
            Self::Nullable(inner) => write!(f, "Nullable({inner})"),
            Self::LowCardinality(inner) => write!(f, "LowCardinality({inner})"),
            Self::Array(inner) => write!(f, "Array({inner})"),
            Self::Map(pair) => write!(f, "Map({}, {})", pair.0, pair.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_written_again() {
        for text in [
            "Bool",
            "Int8",
            "UInt256",
            "Decimal(76, 38)",
            "FixedString(7)",
            "DateTime('Asia/Istanbul')",
            "DateTime64(6, 'UTC')",
            "Time64(6)",
            "Enum8('a' = -1, 'it\\'s, (odd)' = 2)",
            "LowCardinality(Nullable(String))",
            "Array(Array(Nullable(Decimal(10, 2))))",
            "Map(LowCardinality(String), Array(UInt8))",
        ] {
            let parsed = Type::parse(text);
            assert_eq!(parsed.map(|t| t.to_string()).as_deref(), Some(text));
        }
        for (text, same) in [
            ("Decimal64(3)", "Decimal(18, 3)"),
            ("JSON(max_dynamic_paths=8)", "JSON"),
            ("SimpleAggregateFunction(max, UInt8)", "UInt8"),
        ] {
            assert_eq!(Type::parse(text).map(|t| t.to_string()).as_deref(), Some(same));
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for text in [
            "",
            "Int7",
            "AggregateFunction(sum, UInt8)",
            "Nullable(",
            "Nullable(Nope)",
            "Tuple(UInt8)",
            "Decimal(77, 0)",
            "Decimal(3, 4)",
            "FixedString(0)",
            "DateTime64(10)",
            "Enum8('a)",
            "Array())",
        ] {
            assert_eq!(Type::parse(text), None, "{text}");
        }
    }
}
