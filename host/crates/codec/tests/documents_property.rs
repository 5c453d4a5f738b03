//! Random documents against `serde_json`: the same are accepted, the same values are read, and
//! spliced output says what an edited `serde_json::Value` says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value};
use wasmgate_codec::document::{InboundRecord, append, write_value};
use wasmgate_codec::project;
use wasmgate_model::{
    Batch, Column, FieldPath, Kind, Plan, PlanRead, Position, Removal, Schema, WrittenColumn,
};

/// Fields that are read and edited. No generated name is the start of a dotted one here, except
/// as its object.
const FIELDS: [&str; 7] = ["a", "b", "é", "n.a", "n.m.b", "x.y", "new"];

fn batch(documents: &[Vec<u8>], reads: &[Kind], edits: &[&str]) -> Batch {
    let read = |field: &str, kind: &Kind| PlanRead {
        path: FieldPath::parse(field, false).unwrap(),
        kind: *kind,
        optional: true,
        stage: "s".into(),
    };
    let plan = Plan {
        reads: FIELDS.iter().flat_map(|f| reads.iter().map(move |k| read(f, k))).collect(),
        edits: edits.iter().map(|e| (*e).into()).collect(),
        ..Plan::default()
    };
    let schema = Arc::new(Schema::open(1, "t".into(), false));
    let mut batch = Batch::documents(schema, Arc::new(plan));
    for (row, document) in documents.iter().enumerate() {
        let (value, position) = (Some(document.as_slice()), Position::new(row as u64, 0));
        append(
            &mut batch,
            &InboundRecord { key: None, value, time_us: 0, position, partition: -1 },
        );
    }
    project(&mut batch);
    batch
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "-0.0",
            "1e3",
            "12.0",
            "1.5",
            "5e-324",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "123456789012345678901234567890",
            "1E+2",
            "-12.50e-1",
            r#""""#,
            r#""\ud83c\udf88\u00e9""#,
            r#""\"\\\/\b\f\n\r\t\u0000""#,
            r#""seven77\n""#,
            r#""a text of more than sixteen bytes""#,
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        ".{0,12}".prop_map(|text: String| Value::String(text).to_string()),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        "b",
        "é",
        "n",
        "m",
        "n.a",
        "m.b",
        "n.m.b",
        "x.y",
        "q",
        "long-name-of-20-bytes",
        "",
        r"\u0061",
        r"\u006e",
        r"x\u002ey",
        r"\n",
    ])
    .prop_map(|name| format!("\"{name}\""))
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (name(), space(), space(), value, space());
    prop::collection::vec(member, 0..7).prop_flat_map(|members| {
        let members: Vec<_> =
            members.iter().map(|(n, s, t, v, u)| format!("{s}{n}{u}:{t}{v}{s}")).collect();
        space().prop_map(move |s| format!("{{{s}{}}}", members.join(",")))
    })
}

fn document() -> impl Strategy<Value = String> {
    let value = scalar().prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            3 => object(inner.clone()),
            1 => prop::collection::vec((space(), inner), 0..4).prop_map(|items| {
                let items: Vec<_> = items.iter().map(|(s, v)| format!("{s}{v}{s}")).collect();
                format!("[{}]", items.join(","))
            }),
        ]
    });
    (space(), object(value), space()).prop_map(|(s, o, t)| format!("{s}{o}{t}"))
}

/// What `serde_json` makes of a field: a literal dotted name hides nested ones.
fn lookup<'v>(object: &'v Map<String, Value>, field: &str) -> Option<&'v Value> {
    if let Some(value) = object.get(field) {
        return Some(value);
    }
    let (head, tail) = field.split_once('.')?;
    match object.get(head)? {
        Value::Object(inner) => lookup(inner, tail),
        null @ Value::Null => Some(null),
        _ => None,
    }
}

/// The object that holds a field, and its name there.
fn holder<'v, 'n>(
    object: &'v mut Map<String, Value>,
    field: &'n str,
) -> Option<(&'v mut Map<String, Value>, &'n str)> {
    if object.contains_key(field) {
        return Some((object, field));
    }
    let (head, tail) = field.split_once('.')?;
    holder(object.get_mut(head)?.as_object_mut()?, tail)
}

fn add(image: &mut Map<String, Value>, field: &str, value: Value) {
    fn into(object: &mut Map<String, Value>, field: &str, value: &Value) -> bool {
        let Some((head, tail)) = field.split_once('.') else {
            object.insert(field.to_owned(), value.clone());
            return true;
        };
        let inner = object.entry(head).or_insert(Value::Null);
        if inner.is_null() {
            *inner = Value::Object(Map::new());
        }
        inner.as_object_mut().is_some_and(|inner| into(inner, tail, value))
    }
    if !into(image, field, &value) {
        image.insert(field.to_owned(), value);
    }
}

/// What is done to one field.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Role {
    None,
    Written(i64),
    Removed,
    RemovedInRow,
    Renamed,
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![
        3 => Just(Role::None),
        2 => any::<i64>().prop_map(Role::Written),
        1 => Just(Role::Removed),
        1 => Just(Role::RemovedInRow),
        1 => Just(Role::Renamed),
    ]
}

/// New names: beside the old one, out of its object, into an object.
const RENAMED: [&str; 7] = ["a2", "m.a", "é2", "n.a2", "b2", "z", "n.z"];

/// Does to the value what the batch's edits say, one role per field.
fn model(image: &mut Map<String, Value>, roles: &[Role; 7]) {
    let mut added = Vec::new();
    for ((field, role), new) in FIELDS.iter().zip(roles).zip(RENAMED) {
        let Some((object, name)) = holder(image, field) else {
            if let Role::Written(n) = role {
                added.push((*field, Value::from(*n)));
            }
            continue;
        };
        let around = field.strip_suffix(name).unwrap();
        match role {
            Role::None => {}
            Role::Written(n) => *object.get_mut(name).unwrap() = Value::from(*n),
            Role::Removed | Role::RemovedInRow => {
                object.remove(name);
            }
            Role::Renamed => {
                let value = object.remove(name).unwrap();
                match new.strip_prefix(around).filter(|n| !n.contains('.')) {
                    Some(local) => {
                        object.insert(local.to_owned(), value);
                    }
                    None => added.push((new, value)),
                }
            }
        }
    }
    for (field, value) in added {
        add(image, field, value);
    }
}

fn spliced(document: &str, roles: &[Role; 7], announced: bool) -> String {
    let names = if announced { &FIELDS[..] } else { &[] };
    let mut batch = batch(&[document.as_bytes().to_vec()], &[Kind::Json], names);
    assert_eq!(batch.rejects, [], "{document}");
    let mut fields = Vec::new();
    for ((field, role), new) in FIELDS.iter().zip(roles).zip(RENAMED) {
        match role {
            Role::None => {}
            Role::Written(n) => {
                let mut column = Column::new(Kind::Integer);
                column.push_int(*n);
                let (name, kind) = ((*field).into(), Kind::Integer);
                batch.edits.written.push(WrittenColumn { name, kind, column });
            }
            Role::Removed => batch.edits.removed.push((*field).into()),
            Role::RemovedInRow => fields.push((*field).to_owned()),
            Role::Renamed => batch.edits.renamed.push(((*field).into(), new.into())),
        }
    }
    batch.edits.removals.push(Removal { row: 0, fields });
    let mut out = Vec::new();
    assert!(write_value(&batch, 0, &mut out).unwrap());
    String::from_utf8(out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn values_are_those_of_serde_json(documents in prop::collection::vec(document(), 1..4)) {
        let bytes: Vec<_> = documents.iter().map(|d| d.as_bytes().to_vec()).collect();
        let kinds = [Kind::Json, Kind::Text];
        let batch = batch(&bytes, &kinds, &[]);
        prop_assert_eq!(&batch.rejects, &[]);
        for (row, document) in documents.iter().enumerate() {
            let value: Value = serde_json::from_str(document).unwrap();
            for (i, field) in FIELDS.iter().enumerate() {
                let (json, text) = (batch.read(i * 2).unwrap(), batch.read(i * 2 + 1).unwrap());
                let want = lookup(value.as_object().unwrap(), field);
                prop_assert_eq!(json.is_absent(row), want.is_none(), "{} in {}", field, document);
                let got = json.text(row).map(|t| serde_json::from_str::<Value>(t).unwrap());
                prop_assert_eq!(got.as_ref(), want.filter(|w| !w.is_null()));
                if let Some(Value::String(want)) = want {
                    prop_assert_eq!(text.text(row), Some(want.as_str()));
                }
            }
        }
    }

    #[test]
    fn the_same_documents_are_accepted(
        document in document(),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(
                b"{}[]\",:\\ \n\t\x00\x1f\x7f\x80\xc3\xa9\xed\xf4019-+.eEtrufalsn/xdD8".to_vec(),
            )),
            0..4,
        ),
    ) {
        let mut bytes = document.into_bytes();
        for (at, change, byte) in changes {
            let at = at.index(bytes.len());
            match change {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => { bytes.remove(at); }
                _ => {}
            }
        }
        let batch = batch(&[bytes.clone()], &[Kind::Json], &[]);
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) => prop_assert_eq!(batch.rejects.is_empty(), value.is_object()),
            // JSON sets numbers no range; reading them as floats does.
            Err(e) if e.to_string().starts_with("number out of range") => {}
            Err(e) => prop_assert!(!batch.rejects.is_empty(), "{}", e),
        }
    }

    #[test]
    fn edits_are_those_of_a_value(
        document in document(),
        roles in prop::array::uniform7(role()),
        announced: bool,
    ) {
        let out = spliced(&document, &roles, announced);
        let mut want: Value = serde_json::from_str(&document).unwrap();
        model(want.as_object_mut().unwrap(), &roles);
        let got: Value = serde_json::from_str(&out).map_err(|e| {
            TestCaseError::fail(format!("{e}: {out}"))
        })?;
        prop_assert_eq!(got, want, "{}", out);
        if roles == [Role::None; 7] {
            prop_assert_eq!(out, document);
        }
    }
}
