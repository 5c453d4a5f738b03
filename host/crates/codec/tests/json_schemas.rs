//! JSON as Kafka Connect's JsonConverter writes it: schemas around keys, values and headers,
//! defaults in place of nulls, decimals as numbers.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_codec::encode::{JsonOptions, ValueWriter};
use wasmgate_codec::pgvalue::{ColumnType, ValueModes, column_type, push_text};
use wasmgate_model::{
    Batch, Column, ConnectNames, ConnectSchema, ConnectShape, DocumentSchemas, Field, Kind,
    Logical, Op, Payload, Plan, Position, Removal, Schema, Shape, Style, WrittenColumn,
};

const SCHEMAS: JsonOptions = JsonOptions {
    key_schemas: true,
    value_schemas: true,
    header_schemas: true,
    replace_nulls: false,
    numeric_decimals: false,
};

fn ty(oid: u32, modifier: i32) -> ColumnType {
    column_type(oid, modifier, None, &ValueModes::default()).unwrap()
}

/// `id`, `n numeric(6,2) default 1.5`, `list numeric(6,2)[]`, `t text`.
fn types() -> Vec<(&'static str, ColumnType)> {
    let money = (6 << 16 | 2) + 4;
    vec![("id", ty(23, -1)), ("n", ty(1700, money)), ("list", ty(1231, money)), ("t", ty(25, -1))]
}

fn batch(rows: &[[Option<&str>; 4]]) -> Batch {
    let mut fields: Vec<Field> = types().iter().map(|(n, ty)| ty.field(n, *n != "id")).collect();
    let default = ConnectSchema { default: Some("\"AJY=\"".into()), ..types()[1].1.schema() };
    fields[1].connect = Some(Arc::new(default));
    let source = ConnectSchema::new(ConnectShape::Struct(Vec::new())).required();
    let schema = Schema {
        fields,
        key: vec!["id".into()],
        open: false,
        connect: Some(Arc::new(ConnectNames { base: "p.s.t".into(), source })),
        headers: Arc::from([("own".into(), "0".into())]),
        ..Schema::open(1, "p.s.t".into(), true)
    };
    let mut batch = Batch::rows(Arc::new(schema), Arc::new(Plan::default()), Vec::new());
    for (n, row) in rows.iter().enumerate() {
        let Payload::Rows(payload) = &mut batch.payload else { unreachable!() };
        for ((column, (_, ty)), value) in payload.current.iter_mut().zip(types()).zip(row) {
            match value {
                Some(text) => push_text(column, &ty, text.as_bytes()).unwrap(),
                None => column.push_null(),
            }
        }
        batch.ops.push(Op::Create);
        batch.times_us.push(0);
        batch.positions.push(Position::new(1, n as u64));
    }
    batch.select_all();
    batch
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", bytes.escape_ascii()))
}

fn written(writer: &mut ValueWriter, batch: &Batch, i: usize) -> (Value, Value) {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let begun = writer.begin(batch);
    begun.key(i, &mut key);
    assert!(begun.value(i, &mut value).unwrap());
    (parsed(&key), parsed(&value))
}

const ROW: [Option<&str>; 4] = [Some("1"), None, Some("{1.50,NULL,-0.01}"), Some("a\"b")];

#[test]
fn keys_and_envelopes_have_their_schemas() {
    let batch = batch(&[ROW]);
    let (key, value) = written(&mut ValueWriter::with(SCHEMAS), &batch, 0);
    let id = json!({ "type": "int32", "optional": false, "field": "id" });
    let want = json!({
        "schema": { "type": "struct", "fields": [id], "optional": false, "name": "p.s.t.Key" },
        "payload": { "id": 1 },
    });
    assert_eq!(key, want);
    let schema = &value["schema"];
    assert_eq!((&schema["name"], &schema["version"]), (&json!("p.s.t.Envelope"), &json!(2)));
    let fields = schema["fields"].as_array().unwrap();
    let names: Vec<&str> = fields.iter().map(|f| f["field"].as_str().unwrap()).collect();
    let order = ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"];
    assert_eq!(names, order);
    let decimal = |more: Value| {
        let mut schema = json!({
            "type": "bytes", "optional": true, "name": "org.apache.kafka.connect.data.Decimal",
            "version": 1, "parameters": { "scale": "2", "connect.decimal.precision": "6" },
        });
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    assert_eq!(fields[1]["fields"][1], decimal(json!({ "default": "AJY=", "field": "n" })));
    let list = json!({ "type": "array", "items": decimal(json!({})), "optional": true,
        "field": "list" });
    assert_eq!(fields[1]["fields"][2], list);
    assert_eq!(value["payload"]["after"]["n"], Value::Null);
    assert_eq!(value["payload"]["after"]["list"], json!(["AJY=", null, "/w=="]));
}

#[test]
fn nulls_become_defaults_and_decimals_numbers() {
    let batch = batch(&[ROW, [Some("2"), Some("-12.30"), None, None]]);
    let options =
        JsonOptions { replace_nulls: true, numeric_decimals: true, ..JsonOptions::default() };
    let mut writer = ValueWriter::with(options);
    let (key, value) = written(&mut writer, &batch, 0);
    assert_eq!(key, json!({ "id": 1 }));
    let mut text = Vec::new();
    writer.begin(&batch).value(0, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(r#""n":1.50,"list":[1.50,null,-0.01],"t":"a\"b""#), "{text}");
    assert_eq!(value["after"]["n"], json!(1.5));
    let (_, value) = written(&mut writer, &batch, 1);
    assert_eq!(value["after"]["n"], json!(-12.3));
    let with = JsonOptions { value_schemas: true, ..options };
    let (_, value) = written(&mut ValueWriter::with(with), &batch, 0);
    assert_eq!(value["schema"]["fields"][1]["fields"][1]["default"], json!(1.5));
}

#[test]
fn flat_rows_have_the_schema_of_what_stages_made() {
    let mut batch = batch(&[ROW, ROW, ROW]);
    batch.edits.shape = Shape::Row;
    let mut writer = ValueWriter::with(SCHEMAS);
    let (_, value) = written(&mut writer, &batch, 0);
    assert_eq!(
        (&value["schema"]["name"], &value["schema"]["optional"]),
        (&json!("p.s.t.Value"), &json!(true))
    );
    let mut added =
        WrittenColumn { name: "__op".into(), kind: Kind::Text, column: Column::new(Kind::Text) };
    let mut free =
        WrittenColumn { name: "j".into(), kind: Kind::Json, column: Column::new(Kind::Json) };
    for _ in 0..3 {
        added.column.push_bytes(b"c");
        free.column.push_bytes(b"{\"a\":1}");
    }
    batch.edits.written = vec![added, free];
    batch.edits.removed = vec!["list".into()];
    batch.edits.renamed = vec![("t".into(), "text".into())];
    batch.edits.key_removed = vec!["id".into()];
    batch.edits.removals = vec![Removal { row: 2, fields: vec!["n".into()] }];
    let names = |value: &Value| -> Vec<String> {
        let fields = value["schema"]["fields"].as_array().unwrap();
        fields.iter().map(|f| f["field"].as_str().unwrap().to_owned()).collect()
    };
    for (i, want) in [(0, &["id", "n", "text", "__op", "j"][..]), (2, &["id", "text", "__op", "j"])]
    {
        let (key, value) = written(&mut writer, &batch, i);
        assert_eq!(names(&value), want);
        let payload: Vec<&String> = value["payload"].as_object().unwrap().keys().collect();
        assert_eq!(payload.len(), want.len());
        assert_eq!(value["payload"]["j"], json!("{\"a\":1}"));
        assert_eq!(value["schema"]["optional"], json!(false));
        assert_eq!(key["schema"]["fields"], json!([]));
    }
}

#[test]
fn headers_and_documents_are_wrapped() {
    let mut rows = batch(&[ROW]);
    rows.headers.push("__debezium.newkey", Some(b"{\"id\":2}"));
    rows.headers.push("n", Some(b"1"));
    rows.headers.push("raw", Some(b"x"));
    rows.headers.end_row(0);
    let mut found = Vec::new();
    ValueWriter::with(SCHEMAS).begin(&rows).headers(0, &mut |name, value| {
        found.push((name.to_owned(), parsed(value.unwrap())));
    });
    let text = |t: &str| json!({ "schema": { "type": "string", "optional": true }, "payload": t });
    assert_eq!(found[0], ("own".to_owned(), text("0")));
    assert_eq!(found[1].1["schema"]["name"], json!("p.s.t.Key"));
    assert_eq!(found[1].1["payload"], json!({ "id": 2 }));
    assert_eq!(found[2].1, json!({ "schema": null, "payload": 1 }));
    assert_eq!(found[3].1, text("x"));

    let number = ConnectSchema::new(ConnectShape::Int64).required();
    let known = DocumentSchemas { key: number.clone(), value: number };
    for (schemas, want) in
        [(Some(known), json!({ "type": "int64", "optional": false })), (None, Value::Null)]
    {
        let schema =
            Schema { documents: schemas.map(Arc::new), ..Schema::open(9, "d".into(), false) };
        let mut batch = Batch::documents(Arc::new(schema), Arc::new(Plan::default()));
        for (n, value) in [&b"7"[..], b"{\"schema\":1,\"payload\":2}"].iter().enumerate() {
            batch.keys.as_mut().unwrap().push(b"8");
            let Payload::Documents(documents) = &mut batch.payload else { unreachable!() };
            documents.values.push(value);
            batch.ops.push(Op::Append);
            batch.times_us.push(0);
            batch.positions.push(Position::new(1, n as u64));
        }
        batch.select_all();
        let mut writer = ValueWriter::with(SCHEMAS);
        let (key, value) = written(&mut writer, &batch, 0);
        assert_eq!((&key["schema"], &key["payload"]), (&want, &json!(8)));
        assert_eq!((&value["schema"], &value["payload"]), (&want, &json!(7)));
        assert_eq!(written(&mut writer, &batch, 1).1, json!({ "schema": 1, "payload": 2 }));
    }
}

/// The placeholder of a value that was not sent, in every form that has one.
#[test]
fn placeholders_follow_the_type() {
    let array = |kind| Logical::Array(kind);
    let cases = [
        (Kind::Text, Logical::Plain, Style::Plain, json!("é")),
        (Kind::Bytes, Logical::Plain, Style::Plain, json!("w6k=")),
        (Kind::Bytes, Logical::Plain, Style::Hex, Value::Null),
        (Kind::Json, Logical::TextMap, Style::Plain, json!("{\"é\":\"é\"}")),
        (Kind::Json, Logical::TextMap, Style::Object, json!({ "é": "é" })),
        (Kind::Json, array(Kind::Text), Style::Plain, json!(["é"])),
        (Kind::Json, array(Kind::Integer), Style::Plain, json!([-61, -87])),
        (Kind::Json, array(Kind::Float), Style::Plain, Value::Null),
    ];
    for (kind, logical, style, want) in cases {
        let field = Field { style, ..Field::new("v", kind, logical.clone(), true) };
        let schema = Schema {
            fields: vec![field],
            open: false,
            unavailable: Some("é".as_bytes().into()),
            ..Schema::open(1, "t".into(), false)
        };
        let mut batch = Batch::rows(Arc::new(schema), Arc::new(Plan::default()), Vec::new());
        let Payload::Rows(rows) = &mut batch.payload else { unreachable!() };
        rows.current[0].push_absent();
        batch.ops.push(Op::Append);
        batch.times_us.push(0);
        batch.positions.push(Position::new(1, 0));
        batch.select_all();
        let mut out = Vec::new();
        ValueWriter::new().begin(&batch).value(0, &mut out).unwrap();
        assert_eq!(parsed(&out)["v"], want, "{kind:?} {logical:?} {style:?}");
    }
}
