//! Documents into a batch: what is read, what is rejected and why. Each case is a document and its
//! outcome.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

#[path = "documents/batch.rs"]
mod support;

use support::{batch, filled};
use wasmgate_codec::document::{InboundRecord, append, write_value};
use wasmgate_codec::project;
use wasmgate_model::{Batch, Column, Kind, Member, Op, Payload, Position, Values, Verdict};

/// A value of a column, for comparison.
fn show(column: &Column, row: usize) -> String {
    if column.is_absent(row) {
        return "absent".into();
    }
    if column.is_null(row) {
        return "null".into();
    }
    match &column.values {
        Values::Booleans(v) => v[row].to_string(),
        Values::Ints(v) => v[row].to_string(),
        Values::Floats(v) => v[row].to_string(),
        Values::Texts(b) => b.text(row).to_owned(),
        Values::Blobs(b) => format!("{:?}", b.get(row)),
    }
}

/// stage, code and message of every reject, by row.
fn rejects(batch: &Batch) -> Vec<(u32, String)> {
    let cause = |verdict: &Verdict| match verdict {
        Verdict::DeadLetter(c) => format!("{} {}: {}", c.stage, c.code, c.message),
        Verdict::Drop { .. } => "dropped".to_owned(),
    };
    batch.rejects.iter().map(|r| (r.row, cause(&r.verdict))).collect()
}

#[test]
fn fields_are_read() {
    // (document, name, kind, value or reason)
    let cases = [
        (r#"{"a":1}"#, "a", Kind::Integer, "1"),
        (r#"{"a":1,"a":2}"#, "a", Kind::Integer, "2"),
        (r#"{"\u0061":3}"#, "a", Kind::Integer, "3"),
        (r#"{"é":3}"#, "é", Kind::Integer, "3"),
        (r#"{"":3}"#, "", Kind::Integer, "3"),
        (r#"{"a":null}"#, "a", Kind::Integer, "null"),
        (r#"{"a":null}"#, "a", Kind::Json, "null"),
        (r#" { "a" : [ 1 , {} ] } "#, "a", Kind::Json, "[ 1 , {} ]"),
        (r#"{"a":"\ud83c\udf88"}"#, "a", Kind::Text, "🎈"),
        (r#"{"a":{"b":{"c":5}}}"#, "a.b.c", Kind::Integer, "5"),
        (r#"{"a":{"b.c":5}}"#, "a.b.c", Kind::Integer, "5"),
        (r#"{"a":{"b":{"c":5}},"a.b.c":6}"#, "a.b.c", Kind::Integer, "6"),
        (r#"{"a":null}"#, "a.b", Kind::Integer, "null"),
        (r#"{"a":{"b":null}}"#, "a.b.c", Kind::Integer, "null"),
        (r#"{"a":{"b":1},"a":{}}"#, "a.b", Kind::Integer, MISSING),
        (r#"{"a":7}"#, "a.b", Kind::Integer, MISSING),
        ("{}", "a.b", Kind::Integer, MISSING),
        (r#"{"a.b":"x"}"#, "a.b", Kind::Float, "field a.b: wanted float, found a string"),
    ];
    for (document, name, kind, want) in cases {
        for optional in [true, false] {
            let batch = batch(false, &[(name, kind, optional)], &[], &[Some(document.as_bytes())]);
            let got = rejects(&batch).pop().map_or_else(
                || show(batch.read(0).unwrap(), 0),
                |(_, reason)| reason.split_once(": ").unwrap().1.to_owned(),
            );
            let want = match (want, optional) {
                (MISSING, true) => "absent",
                (want, _) => want,
            };
            assert_eq!(got.replace(&format!("field {name} is"), "field is"), want, "{document}");
        }
    }
}

const MISSING: &str = "field is not there, and it is not optional";

#[test]
fn rejected_rows_keep_columns_aligned() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(128), "]".repeat(128));
    let values = [
        Some(&br#"{"a":1,"b":"x"}"#[..]),
        Some(b"{\"a\":1"),
        Some(br#"{"a":"no","b":2}"#),
        None,
        Some(b"[1]"),
        Some(b"{\"a\":\"\xff\"}"),
        Some(deep.as_bytes()),
        Some(br#"{"b":"y"}"#),
        Some(br#"{"a":9,"b":null}"#),
        Some(b""),
    ];
    let reads = [("a", Kind::Integer, false), ("b", Kind::Text, true)];
    let batch = batch(false, &reads, &["a"], &values);
    let want = [
        (1, "decode invalid-json: not valid JSON at byte 6: it ends too early"),
        (2, "convert wrong-kind: field a: wanted integer, found a string"),
        (4, "decode invalid-json: not valid JSON at byte 0: an object is expected"),
        (5, "decode invalid-json: not valid JSON at byte 6: it is not UTF-8"),
        (6, "decode invalid-json: not valid JSON at byte 132: it is nested deeper than 128 levels"),
        (7, "quality missing-field: field a is not there, and it is not optional"),
        (9, "decode invalid-json: not valid JSON at byte 0: it ends too early"),
    ];
    assert_eq!(rejects(&batch), want.map(|(row, text)| (row, text.to_owned())));
    assert_eq!(batch.sel, [0, 3, 8]);
    let column =
        |i: usize| (0..10).map(|row| show(batch.read(i).unwrap(), row)).collect::<Vec<_>>();
    let (a, b) = (column(0), column(1));
    assert_eq!((&*a[0], &*a[3], &*a[8]), ("1", "absent", "9"));
    assert_eq!((&*b[0], &*b[3], &*b[8]), ("x", "absent", "null"));
    let Payload::Documents(documents) = &batch.payload else { panic!() };
    assert_eq!((documents.images.len(), documents.edits.len()), (10, 10));
    assert!(documents.edits[8].found() && !documents.edits[7].found());
}

#[test]
fn a_character_across_two_values_is_not_utf8() {
    let values: [Option<&[u8]>; 2] = [Some(b"{}\xc3"), Some(b"\xa9{}")];
    let batch = batch(false, &[("a", Kind::Integer, true)], &[], &values);
    assert_eq!(rejects(&batch).len(), 2);
}

#[test]
fn the_reason_of_the_source_stands() {
    let mut batch = filled(false, &[("a", Kind::Integer, true)], &[], &[Some(b"x"), Some(b"y")]);
    batch
        .rejects
        .push(wasmgate_model::Reject { row: 1, verdict: Verdict::Drop { stage: "source".into() } });
    project(&mut batch);
    let got: Vec<_> =
        rejects(&batch).into_iter().map(|(row, why)| (row, why == "dropped")).collect();
    assert_eq!(got, [(0, false), (1, true)]);
}

#[test]
fn nobody_looks_where_nobody_reads() {
    let reads = [("$topic", Kind::Text, false), ("$key", Kind::Text, true)];
    let values: [Option<&[u8]>; 2] = [Some(b"\xff not JSON"), None];
    for reads in [&reads[..], &[]] {
        let batch = batch(false, reads, &[], &values);
        assert_eq!(rejects(&batch), []);
        assert_eq!(batch.reads.len(), reads.len());
        let mut out = Vec::new();
        assert!(write_value(&batch, 0, &mut out).unwrap());
        assert_eq!(out, b"\xff not JSON");
        assert!(!write_value(&batch, 1, &mut Vec::new()).unwrap());
    }
}

#[test]
fn what_belongs_to_the_record() {
    let names = ["$key", "$key.id", "$topic", "$partition", "$offset", "$timestamp-us"];
    let mut reads: Vec<_> = names.map(|n| (n, Kind::Text, true)).to_vec();
    reads.push(("$header.h", Kind::Text, true));
    reads.push(("$key.id", Kind::Integer, true));
    let mut batch = filled(false, &reads, &[], &[]);
    let keys: [Option<&[u8]>; 4] =
        [Some(br#"{"id":7}"#), Some(b"plain"), None, Some(b"{\"id\":\"\xff\"}")];
    for (row, key) in keys.into_iter().enumerate() {
        let position = Position::new(100 + row as u64, 0);
        let record =
            InboundRecord { key, value: None, time_us: 5, position, partition: row as i32 - 1 };
        append(&mut batch, &record);
        if row == 1 {
            batch.headers.push("h", Some(b"first"));
            batch.headers.push("h", Some(b"last"));
        } else if row == 2 {
            batch.headers.push("h", None);
        }
        batch.headers.end_row(row);
    }
    project(&mut batch);
    let row = |row: usize| (0..8).map(|i| show(batch.read(i).unwrap(), row)).collect::<Vec<_>>();
    assert_eq!(row(0), [r#"{"id":7}"#, "7", "t", "null", "100", "5", "absent", "7"]);
    assert_eq!(row(1), ["plain", "absent", "t", "0", "101", "5", "last", "absent"]);
    assert_eq!(row(2), ["null", "absent", "t", "1", "102", "5", "null", "absent"]);
    let want = "convert wrong-kind: field $key: wanted text, found bytes that are not UTF-8";
    assert_eq!(rejects(&batch), [(3, want.to_owned())]);
}

#[test]
fn envelopes() {
    let names = ["id", "before.id", "$source.ts_ms", "$transaction.id", "$envelope.op"];
    let reads = names.map(|n| (n, Kind::Text, true));
    let tail = r#""source":{"ts_ms":5},"transaction":null"#;
    // (members, op, image, reads)
    let cases = [
        (
            format!(r#""before":null,"after":{{"id":1}},{tail},"op":"c""#),
            Some((Op::Create, r#"{"id":1}"#, ["1", "null", "5", "null", "c"])),
        ),
        (
            format!(r#""op":"u","before":{{"id":1}},"after":{{"id":2}},{tail}"#),
            Some((Op::Update, r#"{"id":2}"#, ["2", "1", "5", "null", "u"])),
        ),
        (
            format!(r#""before":{{"id":1}},"after":null,{tail},"op":"d""#),
            Some((Op::Delete, r#"{"id":1}"#, ["1", "1", "5", "null", "d"])),
        ),
        (
            r#""after":{"id":1},"op":"r""#.to_owned(),
            Some((Op::Snapshot, r#"{"id":1}"#, ["1", "absent", "absent", "absent", "r"])),
        ),
        (
            format!(r#""before":null,"after":null,{tail},"op":"t""#),
            Some((Op::Truncate, "", ["null", "null", "5", "null", "t"])),
        ),
        (
            format!(r#""op":"m",{tail},"message":{{"content":"x"}}"#),
            Some((Op::Message, "", ["absent", "absent", "5", "null", "m"])),
        ),
        (
            r#""before":null,"after":null,"op":"d","transaction":{"id":"9"}"#.to_owned(),
            Some((Op::Delete, "", ["null", "null", "absent", "9", "d"])),
        ),
        (r#""after":{"id":1},"op":"x""#.to_owned(), None),
        (r#""after":{"id":1}"#.to_owned(), None),
    ];
    for (members, want) in cases {
        let document = format!("{{{members}}}");
        let batch = batch(true, &reads, &["id"], &[Some(document.as_bytes())]);
        let Some((op, image, values)) = want else {
            let want = "decode invalid-envelope: the envelope's op is not one of c, u, d, r, t, m";
            assert_eq!(rejects(&batch), [(0, want.to_owned())]);
            continue;
        };
        assert_eq!(rejects(&batch), [], "{document}");
        assert_eq!(batch.ops, [op], "{document}");
        let Payload::Documents(documents) = &batch.payload else { panic!() };
        let text = |m: Member| &document[m.value as usize..m.end as usize];
        assert_eq!(text(documents.images[0]), image, "{document}");
        assert_eq!(documents.edits[0].found(), !image.is_empty(), "{document}");
        let got: Vec<_> = (0..reads.len()).map(|i| show(batch.read(i).unwrap(), 0)).collect();
        assert_eq!(got, values, "{document}");
    }
}

#[test]
fn operations_are_known_without_a_plan() {
    let values: [Option<&[u8]>; 2] = [Some(br#"{"op":"d","before":{"id":1},"after":null}"#), None];
    let batch = batch(true, &[], &[], &values);
    assert_eq!(batch.ops, [Op::Delete, Op::Tombstone]);
}

#[test]
fn a_record_without_an_image_misses_no_field() {
    let reads = [("id", Kind::Integer, false), ("$source.x", Kind::Integer, false)];
    let values: [Option<&[u8]>; 3] =
        [Some(br#"{"op":"m","source":{"x":1}}"#), Some(br#"{"op":"m","source":{}}"#), None];
    let batch = batch(true, &reads, &[], &values);
    let want = "quality missing-field: field $source.x is not there, and it is not optional";
    assert_eq!(rejects(&batch), [(1, want.to_owned())]);
}
