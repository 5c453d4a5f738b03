//! What a value is, before it is put into a batch: which part of it is the record, and whether
//! that is a change envelope.

use wasmgate_model::Member;

use super::scan::{Scanner, members};
use super::text::{decoded, inner, is_name};
use super::{Classified, DocumentError, Format};

/// Finds the record in a value.
///
/// [`Format::DebeziumJson`]: an object with exactly the members `schema` (an object or null) and
/// `payload`, as Kafka Connect's `JsonConverter` writes it, is unwrapped to its payload, which is
/// an envelope when the schema's name ends with `.Envelope`. A payload of `null` gives an empty
/// range. Any other object, and a payload without a schema, is an envelope only if
/// `bare_envelopes` says so and it has `op`, `source`, and `after` or `before`.
/// The other formats: the whole value, not looked at.
///
/// # Errors
/// The value is not JSON as far as it had to be read, or, in Debezium's format, not an object.
pub fn classify(format: Format, value: &[u8]) -> Result<Classified, DocumentError> {
    let Format::DebeziumJson { bare_envelopes } = format else {
        return Ok(Classified::whole(value, false));
    };
    if let Some((schema, payload)) = wrapper(value)? {
        let (start, end) = (payload.value as usize, payload.end as usize);
        if value.get(start..end) == Some(b"null") {
            return Ok(Classified { start, end: start, envelope: false, schema: (0, 0) });
        }
        let envelope = match value.get(schema.value as usize) {
            Some(b'{') => names_envelope(value, schema)?,
            _ => bare_envelopes && is_envelope(value, start)?,
        };
        let schema = (schema.value as usize, schema.end as usize);
        return Ok(Classified { start, end, envelope, schema });
    }
    let mut scan = Scanner::new(value, 0);
    scan.space();
    let envelope = bare_envelopes && is_envelope(value, scan.at)?;
    Ok(Classified::whole(value, envelope))
}

/// The record's key: the payload of a wrapped key in [`Format::DebeziumJson`] (`None` when it is
/// null), else the key as it is.
#[must_use]
pub fn key_payload(format: Format, key: &[u8]) -> Option<&[u8]> {
    if !matches!(format, Format::DebeziumJson { .. }) {
        return Some(key);
    }
    let Ok(Some((_, payload))) = wrapper(key) else {
        return Some(key);
    };
    key.get(payload.value as usize..payload.end as usize).filter(|p| *p != b"null")
}

/// Schema and payload, if that is what the object consists of.
fn wrapper(value: &[u8]) -> Result<Option<(Member, Member)>, DocumentError> {
    let mut scan = Scanner::new(value, 0);
    let found = wrapper_members(&mut scan).map_err(|reason| scan.error(reason))?;
    Ok(found.filter(|(schema, _)| matches!(value.get(schema.value as usize), Some(b'{' | b'n'))))
}

/// Leaves at the first name that does not belong: a flat row costs one look.
fn wrapper_members(scan: &mut Scanner<'_>) -> Result<Option<(Member, Member)>, super::Reason> {
    scan.space();
    let mut more = scan.open_object()?;
    let (mut schema, mut payload) = (None, None);
    while more {
        let name = scan.at as u32;
        let (token, _) = scan.name()?;
        let place = if is_name(token, "schema") {
            &mut schema
        } else if is_name(token, "payload") {
            &mut payload
        } else {
            return Ok(None);
        };
        let start = scan.at as u32;
        scan.value(1)?;
        let member = Member { name, value: start, end: scan.at as u32 };
        if place.replace(member).is_some() {
            return Ok(None);
        }
        more = scan.next_member()?;
    }
    scan.finish()?;
    Ok(schema.zip(payload))
}

/// Whether a Connect schema names an envelope; its fields' schemas have names too.
fn names_envelope(value: &[u8], schema: Member) -> Result<bool, DocumentError> {
    let mut envelope = false;
    members(value, schema.value as usize, |member, name| {
        if is_name(name, "name") {
            let text = value.get(member.value as usize..member.end as usize).unwrap_or(&[]);
            let name = decoded(inner(text));
            envelope = text.first() == Some(&b'"') && name.ends_with(b".Envelope");
        }
    })?;
    Ok(envelope)
}

/// Whether the object at `start` has the members of an envelope.
fn is_envelope(value: &[u8], start: usize) -> Result<bool, DocumentError> {
    if value.get(start) != Some(&b'{') {
        return Ok(false);
    }
    let (mut op, mut source, mut image) = (false, false, false);
    members(value, start, |_, name| match name.len() {
        4 => op |= name == b"\"op\"",
        7 | 8 => {
            source |= name == b"\"source\"";
            image |= name == b"\"after\"" || name == b"\"before\"";
        }
        _ => {}
    })?;
    Ok(op && source && image)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

    use super::*;

    const BARE: Format = Format::DebeziumJson { bare_envelopes: true };
    const STRICT: Format = Format::DebeziumJson { bare_envelopes: false };

    #[test]
    fn the_record_is_found() {
        let schema = r#"{"type":"struct","fields":[{"name":"x.Envelope"}],"name":"t.Value"}"#;
        let wrapped =
            |schema: &str, payload: &str| format!(r#"{{"schema":{schema},"payload":{payload}}}"#);
        let row = r#"{"id":1}"#;
        let event = r#"{"before":null,"after":{},"source":{},"op":"c"}"#;
        let named = r#"{"name":"p.s.t.Envelope","type":"struct"}"#;
        let escaped = r#"{"name":"p.s.t.\u0045nvelope"}"#;
        // (value, record, envelope when bare ones are allowed, and when not)
        let cases = [
            (row.to_owned(), row, false, false),
            (format!(" {event}\n"), &*format!(" {event}\n"), true, false),
            (wrapped(named, event), event, true, true),
            (wrapped(escaped, event), event, true, true),
            (wrapped(schema, row), row, false, false),
            (wrapped("null", event), event, true, false),
            (wrapped("null", "7"), "7", false, false),
            (wrapped(named, "null"), "", false, false),
            (format!(r#" {{ "payload" : {row} , "schema" : {named} }} "#), row, true, true),
        ];
        for (value, record, bare, strict) in cases {
            for (format, envelope) in [(BARE, bare), (STRICT, strict)] {
                let c = classify(format, value.as_bytes()).unwrap();
                assert_eq!((&value[c.start..c.end], c.envelope), (record, envelope), "{value}");
            }
        }
    }

    #[test]
    fn other_members_make_it_a_row() {
        for value in [
            r#"{"schema":{},"payload":{},"id":1}"#,
            r#"{"schema":"public","payload":{}}"#,
            r#"{"schema":{},"schema":{},"payload":1}"#,
            r#"{"payload":1}"#,
            "{}",
        ] {
            let whole = Classified::whole(value.as_bytes(), false);
            assert_eq!(classify(STRICT, value.as_bytes()), Ok(whole), "{value}");
            assert_eq!(key_payload(STRICT, value.as_bytes()), Some(value.as_bytes()));
        }
    }

    #[test]
    fn other_formats_are_not_looked_at() {
        for format in [Format::Json, Format::Bytes] {
            let whole = Classified { start: 0, end: 3, envelope: false, schema: (0, 0) };
            assert_eq!(classify(format, b"\xff{}"), Ok(whole));
            assert_eq!(key_payload(format, b"\xff"), Some(&b"\xff"[..]));
        }
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for value in ["", "7", "[]", r#"{"schema":{},"payload":{}"#, r#"{"schema":{}}x"#] {
            assert!(classify(STRICT, value.as_bytes()).is_err(), "{value}");
        }
    }

    #[test]
    fn keys_lose_their_wrapper() {
        let cases = [
            (r#"{"schema":{"type":"struct"},"payload":{"id":1}}"#, Some(r#"{"id":1}"#)),
            (r#"{"schema":null,"payload":null}"#, None),
            (r#"{"id":1}"#, Some(r#"{"id":1}"#)),
            ("plain", Some("plain")),
        ];
        for (key, want) in cases {
            assert_eq!(key_payload(STRICT, key.as_bytes()), want.map(str::as_bytes), "{key}");
        }
    }
}
