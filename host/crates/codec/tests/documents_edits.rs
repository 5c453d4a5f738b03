//! Documents out of a batch, after what the chain did to them. Each case is a document, the edits
//! and what is written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "documents/batch.rs"]
mod support;

use support::batch;
use wasmgate_codec::document::{write_key_without, write_value};
use wasmgate_model::{Batch, Column, Kind, Removal, Shape, WrittenColumn};

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
        (r#"{"id":1,"region":"x"}"#, r#"{"region":"x"}"#),
        (r#" {"region" : "x" , "\u0069d":1}"#, r#"{"region" : "x"}"#),
        (r#"{"id":1}"#, "{}"),
        ("{}", "{}"),
        (r#" { "other": 1 } "#, r#" { "other": 1 } "#),
        ("plain", "plain"),
        (r#"{"id":1}x"#, r#"{"id":1}x"#),
    ];
    for (key, want) in cases {
        let mut out = b"{".to_vec();
        write_key_without(key.as_bytes(), &["id", "no"], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{{{want}"));
    }
}
