//! Whether bytes are JSON that every reader takes: whole, UTF-8, no half surrogate pairs, no
//! deeper than readers go. Nothing is kept of what is read.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Whether `bytes` are one JSON document.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Checked>(bytes).is_ok()
}

/// A value that was looked at. `IgnoredAny` would skip what strings hold and go any deep.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Checked, A::Error> {
        while items.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Checked, A::Error> {
        while members.next_entry::<Checked, Checked>()?.is_some() {}
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_reader_takes() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let (within, beyond) = (deep(100), deep(100_000));
        let cases: [(&[u8], bool); 12] = [
            (br#"{"a": [1, -2.5e3, "x", true, null, {}]}"#, true),
            (br#"{"a":1,"a":2}"#, true),
            (br#""\ud83d\ude00""#, true),
            (br#""\ud800""#, false),
            (br#"{"\udc00":1}"#, false),
            (b"\"\xff\"", false),
            (b"{\"a\":1", false),
            (b"{\"a\":1}}", false),
            (b"1 2", false),
            (b"", false),
            (within.as_bytes(), true),
            (beyond.as_bytes(), false),
        ];
        for (bytes, json) in cases {
            let shown = bytes.get(..bytes.len().min(40));
            assert_eq!(is_json(bytes), json, "{shown:?}");
        }
    }
}
