//! Column defaults that are constants, as the catalog prints them. Deletes under replica identity
//! DEFAULT carry them in the NOT NULL columns that the server does not send, as with Debezium;
//! what has to be computed (`now()`, `nextval(..)`) has no value there.

use wasmgate_codec::pgvalue::ColumnType;
use wasmgate_model::{Kind, Logical};

use crate::catalog::CatalogColumn;

/// The constant that an expression of `pg_get_expr` is, as text of its type: `7`, `true`,
/// `'d''s'::text` or `E'a\\b'::text`. `None`: it is no constant.
pub(crate) fn constant(expression: &str) -> Option<String> {
    match expression {
        "true" | "false" => return Some(expression.to_owned()),
        "NULL" => return None,
        _ => {}
    }
    let number = |c: char| c.is_ascii_digit() || c == '.';
    if expression.starts_with(number) && expression.chars().all(number) {
        return Some(expression.to_owned());
    }
    let (escaped, quoted) = match expression.strip_prefix('E') {
        Some(rest) => (true, rest),
        None => (false, expression),
    };
    let mut value = String::new();
    let mut characters = quoted.strip_prefix('\'')?.chars();
    loop {
        match characters.next()? {
            '\'' => match characters.as_str().strip_prefix('\'') {
                Some(rest) => characters = rest.chars(),
                None => break,
            },
            '\\' if escaped => {
                value.push(characters.next()?);
                continue;
            }
            other => {
                value.push(other);
                continue;
            }
        }
        value.push('\'');
    }
    // A cast to the type follows; anything more is computed.
    let cast = characters.as_str().strip_prefix("::")?;
    let name = |c: char| c.is_alphanumeric() || " _.\"[](),".contains(c);
    cast.chars().all(name).then_some(value)
}

/// The default that a column's schema names, as JSON: the constant, or for a function the zero of
/// its type, as Debezium does. `None`: there is none, or none that schemas say (bytes, arrays).
pub(crate) fn schema_default(column: &CatalogColumn, ty: &ColumnType) -> Option<String> {
    let plain_bytes = ty.kind == Kind::Bytes && !matches!(ty.logical, Logical::BitString(_));
    let structured = ty.kind == Kind::Json && ty.logical != Logical::JsonText;
    if plain_bytes || structured || column.generated {
        return None;
    }
    match &column.default {
        Some(constant) => ty.json(constant.as_bytes()),
        None if column.computed => zero_of(ty).and_then(|text| ty.json(text)),
        None => None,
    }
}

/// The text that stands for what a function computes.
fn zero_of(ty: &ColumnType) -> Option<&'static [u8]> {
    Some(match (ty.kind, &ty.logical) {
        (Kind::Integer, Logical::Interval) => b"00:00:00",
        (Kind::Integer | Kind::Float | Kind::Decimal, _) => b"0",
        (Kind::Boolean, _) => b"f",
        (Kind::Text, Logical::Plain) => b"",
        (Kind::Uuid, _) => b"00000000-0000-0000-0000-000000000000",
        (Kind::DateDays, _) => b"1970-01-01",
        (Kind::TimeUs, _) => b"00:00:00",
        (Kind::TimestampUs, _) => b"1970-01-01 00:00:00+00",
        _ => return None,
    })
}

/// Whether an expression is the call of a function: `now()`, `nextval('s'::regclass)`.
pub(crate) fn is_call(expression: &str) -> bool {
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"');
    let start = expression.trim_start_matches('(');
    let call = start.split_once('(').is_some_and(|(f, _)| !f.is_empty() && f.chars().all(name));
    call && expression.ends_with(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_told_from_what_is_computed() {
        let cases = [
            ("7", Some("7")),
            ("1.5", Some("1.5")),
            ("'-1'::integer", Some("-1")),
            ("true", Some("true")),
            ("'dd'::text", Some("dd")),
            ("'it''s'::character varying", Some("it's")),
            ("''::text", Some("")),
            ("'2020-01-01 00:00:00+00'::timestamp with time zone", Some("2020-01-01 00:00:00+00")),
            ("'{a}'::text[]", Some("{a}")),
            ("'x'::\"Odd Type\"", Some("x")),
            (r"E'a\\b'::text", Some(r"a\b")),
            ("NULL", None),
            ("now()", None),
            ("nextval('s'::regclass)", None),
            ("('now'::text)::date", None),
            ("'a'::text || 'b'::text", None),
            ("'a", None),
            ("1 + 2", None),
            ("", None),
        ];
        for (expression, want) in cases {
            assert_eq!(constant(expression).as_deref(), want, "{expression}");
        }
        for (expression, call) in [
            ("now()", true),
            ("nextval('s'::regclass)", true),
            ("pg_catalog.now()", true),
            ("'now()'::text", false),
            ("CURRENT_TIMESTAMP", false),
            ("(1 + 2)", false),
        ] {
            assert_eq!(is_call(expression), call, "{expression}");
        }
    }
}
