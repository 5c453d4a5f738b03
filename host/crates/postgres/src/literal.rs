//! Column defaults that are constants, as the catalog prints them. Deletes under replica identity
//! DEFAULT carry them in the NOT NULL columns that the server does not send, as with Debezium;
//! what has to be computed (`now()`, `nextval(..)`) has no value there.

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
    }
}
