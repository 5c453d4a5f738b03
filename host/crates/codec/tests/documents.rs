//! Documents through a batch: what is read, what is rejected and why, and what comes out after
//! the chain's edits. Each case is a document and its outcome.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use wasmgate_codec::document::{InboundRecord, append, write_key_without, write_value};
use wasmgate_codec::project;
use wasmgate_model::{
    Batch, Column, FieldPath, Kind, Member, Op, Payload, Plan, PlanRead, Position, Removal, Schema,
    Shape, Values, Verdict, WrittenColumn,
};

/// A batch of documents under a plan, projected. `None`: a tombstone.
fn batch(
    envelope: bool,
    reads: &[(&str, Kind, bool)],
    edits: &[&str],
    values: &[Option<&[u8]>],
) -> Batch {
    let mut batch = filled(envelope, reads, edits, values);
    project(&mut batch);
    batch
}

fn filled(
    envelope: bool,
    reads: &[(&str, Kind, bool)],
    edits: &[&str],
    values: &[Option<&[u8]>],
) -> Batch {
    let read = |(name, kind, optional): &(&str, Kind, bool)| PlanRead {
        path: FieldPath::parse(name, envelope).unwrap(),
        kind: *kind,
        optional: *optional,
        stage: "quality".into(),
    };
    let plan = Plan {
        chain: 1,
        reads: reads.iter().map(read).collect(),
        edits: edits.iter().map(|e| (*e).into()).collect(),
        image: false,
    };
    let schema = Arc::new(Schema::open(1, "t".into(), envelope));
    let mut batch = Batch::documents(schema, Arc::new(plan));
    for (row, value) in values.iter().enumerate() {
        let position = Position::new(row as u64, 0);
        let value = *value;
        append(
            &mut batch,
            &InboundRecord { key: None, value, time_us: 0, position, partition: -1 },
        );
    }
    batch
}

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

fn written(name: &str, kind: Kind, fill: impl FnOnce(&mut Column)) -> WrittenColumn {
    let mut column = Column::new(kind);
    fill(&mut column);
    WrittenColumn { name: name.into(), kind, column }
}

fn output(batch: &Batch, i: usize) -> Option<String> {
    let mut out = b"before{".to_vec();
    let some = write_value(batch, i, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("before{").unwrap().to_owned();
    if some {
        return Some(text);
    }
    assert_eq!(text, "");
    None
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
    let column = |i: usize| (0..10).map(|row| show(batch.read(i).unwrap(), row)).collect::<Vec<_>>();
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
    batch.rejects.push(wasmgate_model::Reject {
        row: 1,
        verdict: Verdict::Drop { stage: "source".into() },
    });
    project(&mut batch);
    let got: Vec<_> = rejects(&batch).into_iter().map(|(row, why)| (row, why == "dropped")).collect();
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
        assert_eq!(output(&batch, 1), None);
    }
}

#[test]
fn what_belongs_to_the_record() {
    let names = ["$key", "$key.id", "$topic", "$partition", "$offset", "$timestamp-us"];
    let mut reads: Vec<_> = names.map(|n| (n, Kind::Text, true)).to_vec();
    reads.push(("$header.h", Kind::Text, true));
    reads.push(("$key.id", Kind::Integer, true));
    let mut batch = filled(false, &reads, &[], &[]);
    let keys: [Option<&[u8]>; 4] = [Some(br#"{"id":7}"#), Some(b"plain"), None, Some(b"{\"id\":\"\xff\"}")];
    for (row, key) in keys.into_iter().enumerate() {
        let position = Position::new(100 + row as u64, 0);
        let record = InboundRecord { key, value: None, time_us: 5, position, partition: row as i32 - 1 };
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

/// What is done to a document in a case.
#[derive(Default)]
struct Edit {
    written: Vec<(&'static str, Option<&'static str>)>,
    removed: Vec<&'static str>,
    renamed: Vec<(&'static str, &'static str)>,
    in_row: Vec<&'static str>,
}

/// Written values are JSON texts; `None` is absent.
fn edited(document: &str, edit: &Edit, announced: bool) -> String {
    let mut names: Vec<_> = edit.written.iter().map(|w| w.0).collect();
    names.extend(&edit.removed);
    names.extend(edit.renamed.iter().map(|r| r.0));
    let names = if announced { &names[..] } else { &[] };
    let mut batch = batch(false, &[], names, &[None, Some(document.as_bytes())]);
    for (name, value) in &edit.written {
        batch.edits.written.push(written(name, Kind::Json, |column| {
            column.push_absent();
            match value {
                Some(value) => column.push_bytes(value.as_bytes()),
                None => column.push_absent(),
            }
        }));
    }
    batch.edits.removed = edit.removed.iter().map(|n| (*n).into()).collect();
    batch.edits.renamed = edit.renamed.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    let fields: Vec<String> = edit.in_row.iter().map(|n| (*n).to_owned()).collect();
    batch.edits.removals.push(Removal { row: 0, fields: vec!["a".into()] });
    batch.edits.removals.push(Removal { row: 1, fields });
    output(&batch, 1).unwrap()
}

fn check(document: &str, edit: &Edit, want: &str) {
    for announced in [true, false] {
        assert_eq!(edited(document, edit, announced), want, "{document} announced: {announced}");
    }
}

#[test]
fn fields_are_written() {
    let cases = [
        (r#"{"a":1,"b":2}"#, "a", "9", r#"{"a":9,"b":2}"#),
        (r#" { "a" : 1 , "b":2 } "#, "b", "[9]", r#" { "a" : 1 , "b":[9] } "#),
        (r#"{"a":1}"#, "new", "9", r#"{"a":1,"new":9}"#),
        ("{}", "new", "9", r#"{"new":9}"#),
        (" { } ", "new", "9", r#" {"new":9 } "#),
        ("{ \"a\": 1\n}\n", "new", "9", "{ \"a\": 1,\"new\":9\n}\n"),
        (r#"{"a":1,"a":2}"#, "a", "9", r#"{"a":9,"a":9}"#),
        (r#"{"\u0061":1}"#, "a", "9", r#"{"\u0061":9}"#),
        (r#"{"n":{"a":1}}"#, "n.a", "9", r#"{"n":{"a":9}}"#),
        (r#"{"n":{"a":1},"n.a":2}"#, "n.a", "9", r#"{"n":{"a":1},"n.a":9}"#),
        (r#"{"n":{"a":1},"b":2}"#, "n.new", "9", r#"{"n":{"a":1,"new":9},"b":2}"#),
        (r#"{"n":{},"b":2}"#, "n.new", "9", r#"{"n":{"new":9},"b":2}"#),
        (r#"{"n":null,"b":2}"#, "n.m.new", "9", r#"{"n":{"m":{"new":9}},"b":2}"#),
        (r#"{"n":"text"}"#, "n.new", "9", r#"{"n":"text","n.new":9}"#),
        (r#"{"b":2}"#, "n.m.new", "9", r#"{"b":2,"n":{"m":{"new":9}}}"#),
        (r#"{"n":{"a":1},"n":{}}"#, "n.a", "9", r#"{"n":{"a":9},"n":{"a":9}}"#),
    ];
    for (document, name, value, want) in cases {
        let edit = Edit { written: vec![(name, Some(value))], ..Edit::default() };
        check(document, &edit, want);
        let absent = Edit { written: vec![(name, None)], ..Edit::default() };
        check(document, &absent, document);
    }
}

#[test]
fn fields_are_removed() {
    let cases: [(&str, &[&str], &str); 12] = [
        (r#"{"a":1,"b":2,"c":3}"#, &["a"], r#"{"b":2,"c":3}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["b"], r#"{"a":1,"c":3}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["c"], r#"{"a":1,"b":2}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["b", "c"], r#"{"a":1}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["c", "a"], r#"{"b":2}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["a", "b", "c"], "{}"),
        ("{ \"a\" : 1 , \"b\" : 2\n}", &["b"], "{ \"a\" : 1 \n}"),
        (r#"{"a":1,"b":2,"a":3}"#, &["a"], r#"{"b":2}"#),
        (r#"{"a":1}"#, &["x", "n.x"], r#"{"a":1}"#),
        (r#"{"n":{"x":1,"y":2},"b":2}"#, &["n.y"], r#"{"n":{"x":1},"b":2}"#),
        (r#"{"n":{"x":1},"n":{"x":2}}"#, &["n.x"], r#"{"n":{},"n":{}}"#),
        (r#"{"n":{"x":1},"b":2}"#, &["n", "n.x"], r#"{"b":2}"#),
    ];
    for (document, names, want) in cases {
        check(document, &Edit { removed: names.to_vec(), ..Edit::default() }, want);
        check(document, &Edit { in_row: names.to_vec(), ..Edit::default() }, want);
    }
}

#[test]
fn fields_are_renamed() {
    let cases = [
        (r#"{"a" : 1,"b":2}"#, "a", "é\"", r#"{"é\"" : 1,"b":2}"#),
        (r#"{"a":1,"b":2}"#, "x", "y", r#"{"a":1,"b":2}"#),
        (r#"{"\u0061":1,"a":2}"#, "a", "z", r#"{"z":1,"z":2}"#),
        (r#"{"n":{"a":1}}"#, "n.a", "n.z", r#"{"n":{"z":1}}"#),
        (r#"{"n":{"a":1},"n":{}}"#, "n.a", "n.z", r#"{"n":{"z":1},"n":{}}"#),
        (r#"{"n":{"a":1},"n":{}}"#, "n.a", "z", r#"{"n":{},"n":{}}"#),
        (r#"{"n.a":1}"#, "n.a", "z", r#"{"z":1}"#),
        (r#"{"n":{"a":1},"b":2}"#, "n.a", "z", r#"{"n":{},"b":2,"z":1}"#),
        (r#"{"a":[1],"n":{"b":2}}"#, "a", "n.z", r#"{"n":{"b":2,"z":[1]}}"#),
        (r#"{"a":[1],"b":2}"#, "a", "n.z", r#"{"b":2,"n":{"z":[1]}}"#),
        (r#"{"a":1,"b":2,"a":3}"#, "a", "n.z", r#"{"b":2,"n":{"z":3}}"#),
    ];
    for (document, old, new, want) in cases {
        check(document, &Edit { renamed: vec![(old, new)], ..Edit::default() }, want);
    }
}

#[test]
fn edits_together() {
    let edit = |written: &[(&'static str, Option<&'static str>)], removed: &[&'static str]| Edit {
        written: written.to_vec(),
        removed: removed.to_vec(),
        ..Edit::default()
    };
    let document = r#"{"a":1,"n":{"x":1},"c":3}"#;
    // All goes, one comes; several new ones, in order, into one new object.
    check(document, &edit(&[("z", Some("9"))], &["a", "n", "c"]), r#"{"z":9}"#);
    let many = [("m.p", Some("1")), ("z", Some("2")), ("m.q.r", Some("3")), ("m.q.s", Some("4"))];
    check("{}", &edit(&many, &[]), r#"{"m":{"p":1,"q":{"r":3,"s":4}},"z":2}"#);
    check(r#"{"m":null}"#, &edit(&many, &[]), r#"{"m":{"p":1,"q":{"r":3,"s":4}},"z":2}"#);
    // Into an object that goes: it is made again. Written wins over removed everywhere.
    check(document, &edit(&[("n.y", Some("9"))], &["n"]), r#"{"a":1,"c":3,"n":{"y":9}}"#);
    check(document, &edit(&[("a", Some("9"))], &["a"]), r#"{"a":9,"n":{"x":1},"c":3}"#);
    check(document, &edit(&[("a", None)], &["a"]), r#"{"n":{"x":1},"c":3}"#);
    // Left out of this row wins over written.
    let in_row = Edit { in_row: vec!["a", "$key.c"], ..edit(&[("a", Some("9"))], &[]) };
    check(document, &in_row, r#"{"n":{"x":1},"c":3}"#);
    // Renamed and written, under either name; or not there at all.
    for name in ["a", "b"] {
        let mut both = edit(&[(name, Some("9"))], &[]);
        both.renamed = vec![("a", "b")];
        check(document, &both, r#"{"b":9,"n":{"x":1},"c":3}"#);
        check("{}", &both, r#"{"b":9}"#);
    }
}

#[test]
fn written_kinds() {
    let mut batch = batch(false, &[], &[], &[Some(b"{}"), Some(b"{}")]);
    let text = |name, kind, value: &'static str| {
        written(name, kind, |c| {
            c.push_bytes(value.as_bytes());
            c.push_null();
        })
    };
    let int = |name, kind| {
        written(name, kind, |c| {
            c.push_int(-5);
            c.push_null();
        })
    };
    batch.edits.written = vec![
        text("t", Kind::Text, "q\"é\n"),
        text("j", Kind::Json, r#"{"k": [1]}"#),
        text("d", Kind::Decimal, "-12.50"),
        text("u", Kind::Uuid, "3f2504e0"),
        text("b", Kind::Bytes, "\u{1}\u{2}"),
        int("i", Kind::Integer),
        int("ts", Kind::TimestampUs),
        int("dd", Kind::DateDays),
        int("tu", Kind::TimeUs),
        written("f", Kind::Float, |c| {
            c.push_float(0.1);
            c.push_null();
        }),
        written("o", Kind::Boolean, |c| {
            c.push_bool(true);
            c.push_null();
        }),
    ];
    let want = concat!(
        r#"{"t":"q\"é\n","j":{"k": [1]},"d":"-12.50","u":"3f2504e0","b":"AQI=","#,
        r#""i":-5,"ts":-5,"dd":-5,"tu":-5,"f":0.1,"o":true}"#
    );
    assert_eq!(output(&batch, 0).unwrap(), want);
    let nulls: serde_json::Value = serde_json::from_str(&output(&batch, 1).unwrap()).unwrap();
    assert!(nulls.as_object().unwrap().len() == 11);
    assert!(nulls.as_object().unwrap().values().all(serde_json::Value::is_null));
    batch.edits.written = vec![text("j", Kind::Json, "{no}")];
    let error = write_value(&batch, 0, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not valid JSON at byte 1: a stage wrote it as a field of kind json"
    );
}

#[test]
fn edits_of_an_envelope_concern_its_image() {
    let events = [
        r#"{"before":{"a":1},"after":{"a":2},"op":"u"}"#,
        r#"{"before":{"a":1},"after":null,"op":"d"}"#,
        r#"{"before":null,"after":null,"op":"t"}"#,
        r#"{"after":{"a":1},"after":{"a":2},"op":"c"}"#,
    ];
    let kept = [
        r#"{"before":{"a":1},"after":{"a":9,"z":9},"op":"u"}"#,
        r#"{"before":{"a":9,"z":9},"after":null,"op":"d"}"#,
        r#"{"before":null,"after":null,"op":"t"}"#,
        r#"{"after":{"a":9},"after":{"a":9,"z":9},"op":"c"}"#,
    ];
    let flat = Some(r#"{"a":9,"z":9}"#.to_owned());
    let values = events.map(|e| Some(e.as_bytes()));
    let mut batch = batch(true, &[], &["a", "z"], &values);
    for name in ["a", "z"] {
        let nines = |c: &mut Column| (0..4).for_each(|_| c.push_int(9));
        batch.edits.written.push(written(name, Kind::Integer, nines));
    }
    let all = |batch: &Batch| (0..4).map(|i| output(batch, i)).collect::<Vec<_>>();
    assert_eq!(all(&batch), kept.map(|k| Some(k.to_owned())));
    batch.edits.shape = Shape::Row;
    assert_eq!(all(&batch), [flat.clone(), flat.clone(), None, flat]);
    batch.edits.written.clear();
    let images = [r#"{"a":2}"#, r#"{"a":1}"#, "", r#"{"a":2}"#];
    let images = images.map(|i| (!i.is_empty()).then(|| i.to_owned()));
    assert_eq!(all(&batch), images);
    let mut tombstone = Column::new(Kind::Boolean);
    [true, false, false, true].into_iter().for_each(|t| tombstone.push_bool(t));
    batch.edits.tombstone = Some(tombstone);
    let [_, image, none, _] = images;
    assert_eq!(all(&batch), [None, image, none, None]);
}

#[test]
fn rows_out_of_play_do_not_shift_the_others() {
    let values: [Option<&[u8]>; 3] = [Some(b"x"), Some(br#"{"a":1}"#), Some(br#"{"b":1}"#)];
    let mut batch = batch(false, &[], &["a"], &values);
    assert_eq!(batch.sel, [1, 2]);
    batch.edits.written.push(written("a", Kind::Integer, |c| {
        c.push_int(7);
        c.push_int(8);
    }));
    assert_eq!(output(&batch, 0).unwrap(), r#"{"a":7}"#);
    assert_eq!(output(&batch, 1).unwrap(), r#"{"b":1,"a":8}"#);
    assert_eq!(output(&batch, 2), None);
}

#[test]
fn keys_lose_fields() {
    let cases = [
        (r#"{"id":1,"region":"x"}"#, Some(r#"{"region":"x"}"#)),
        (r#" {"region" : "x" , "\u0069d":1}"#, Some(r#"{"region" : "x"}"#)),
        (r#"{"id":1}"#, Some("{}")),
        (r#" { "other": 1 } "#, Some(r#" { "other": 1 } "#)),
        ("plain", None),
        (r#"{"id":1}x"#, None),
    ];
    for (key, want) in cases {
        let mut out = b"{".to_vec();
        let whole = write_key_without(key.as_bytes(), &["id", "no"], &mut out);
        assert_eq!(whole, want.is_some(), "{key}");
        assert_eq!(String::from_utf8(out).unwrap(), format!("{{{}", want.unwrap_or("")));
    }
}
