//! Rows out: envelopes, flat rows, keys and headers, with and without what stages did, and what a
//! chain reads of rows. Outputs are compared as text where order counts.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use wasmgate_codec::encode::{EncodeError, ValueWriter, original};
use wasmgate_codec::project;
use wasmgate_model::{
    Batch, Column, Field, FieldPath, Kind, Logical, Op, Payload, Plan, PlanRead, Position,
    ReadColumn, Removal, Schema, Shape, SourcePart, WrittenColumn,
};

fn field(name: &str, kind: Kind, logical: Logical, nullable: bool) -> Field {
    Field::new(name, kind, logical, nullable)
}

fn schema() -> Arc<Schema> {
    let money = Logical::Decimal { precision: 10, scale: 2 };
    let literal = |text: &str| SourcePart::Literal(text.into());
    Arc::new(Schema {
        fields: vec![
            field("id", Kind::Integer, Logical::Bits(32), false),
            field("name", Kind::Text, Logical::Plain, true),
            field("price", Kind::Decimal, money, true),
            field("at", Kind::TimestampUs, Logical::TimestampTz { digits: 3 }, false),
            field("blob", Kind::Bytes, Logical::Plain, true),
        ],
        key: vec!["id".into()],
        open: false,
        source: vec![
            literal("{\"db\":\"d \\\"1\\\"\",\"ts_ms\":"),
            SourcePart::Millis(0),
            literal(",\"ts_ns\":"),
            SourcePart::Nanos(0),
            literal(",\"snapshot\":"),
            SourcePart::Text(1),
            literal(",\"lsn\":"),
            SourcePart::Int(2),
            literal("}"),
        ],
        source_names: vec![
            ("db".into(), literal("\"d \\\"1\\\"\"")),
            ("xmin".into(), literal("null")),
            ("ts_ms".into(), SourcePart::Millis(0)),
            ("snapshot".into(), SourcePart::Text(1)),
            ("lsn".into(), SourcePart::Int(2)),
        ],
        ..Schema::open(7, "shop.public.t".into(), true)
    })
}

const SOURCE: &str =
    r#"{"db":"d \"1\"","ts_ms":1500,"ts_ns":1500000000,"snapshot":"false","lsn":null}"#;
const TIMES: &str = r#""ts_ms":1700,"ts_us":1700001,"ts_ns":1700001000}"#;

fn push_row(columns: &mut [Column], id: i64, name: Option<&str>) {
    columns[0].push_int(id);
    match name {
        Some(name) => columns[1].push_bytes(name.as_bytes()),
        None => columns[1].push_null(),
    }
    columns[2].push_bytes(b"1.50");
    columns[3].push_int(0);
    columns[4].push_absent();
}

/// Rows 0 to 5: create, update with an old image, delete, its tombstone, truncate, update without
/// an old image.
fn batch(plan: Plan) -> Batch {
    let source =
        vec![Column::new(Kind::Integer), Column::new(Kind::Text), Column::new(Kind::Integer)];
    let mut batch = Batch::rows(schema(), Arc::new(plan), source);
    let ops = [Op::Create, Op::Update, Op::Delete, Op::Tombstone, Op::Truncate, Op::Update];
    for (row, op) in ops.into_iter().enumerate() {
        let Payload::Rows(rows) = &mut batch.payload else { unreachable!() };
        match op {
            Op::Truncate => rows.current.iter_mut().for_each(Column::push_null),
            _ => push_row(&mut rows.current, 10 + row as i64, (row != 5).then_some("a\"b")),
        }
        if row == 1 {
            push_row(&mut rows.old, 11, None);
            rows.set_old(row);
        }
        rows.source[0].push_int(1_500_000);
        rows.source[1].push_bytes(b"false");
        rows.source[2].push_null();
        batch.ops.push(op);
        batch.times_us.push(1_500_000 + row as i64);
        batch.positions.push(Position::new(100, row as u64));
    }
    batch.received_us = 1_700_001;
    batch.headers.push("h", Some(b"1"));
    batch.headers.end_row(1);
    batch.select_all();
    batch
}

fn value(batch: &Batch, i: usize) -> Option<String> {
    let (mut writer, mut out) = (ValueWriter::new(), Vec::new());
    let written = writer.begin(batch).value(i, &mut out).unwrap();
    assert!(written || out.is_empty());
    let text = String::from_utf8(out).unwrap();
    if written {
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    written.then_some(text)
}

fn key(batch: &Batch, i: usize) -> Option<String> {
    let (mut writer, mut out) = (ValueWriter::new(), Vec::new());
    let written = writer.begin(batch).key(i, &mut out);
    assert!(written || out.is_empty());
    written.then(|| String::from_utf8(out).unwrap())
}

fn image(id: i64, name: &str, at: &str) -> String {
    format!(
        "{{\"id\":{id},\"name\":{name},\"price\":\"AJY=\",\"at\":\"1970-01-01T00:00:00{at}Z\",\
         \"blob\":\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"}}"
    )
}

fn envelope(before: &str, after: &str, op: &str) -> Option<String> {
    Some(format!(
        "{{\"before\":{before},\"after\":{after},\"source\":{SOURCE},\"transaction\":null,\
         \"op\":\"{op}\",{TIMES}"
    ))
}

#[test]
fn envelopes_by_operation() {
    let batch = batch(Plan::default());
    let row = |id| image(id, r#""a\"b""#, ".000");
    assert_eq!(value(&batch, 0), envelope("null", &row(10), "c"));
    assert_eq!(value(&batch, 1), envelope(&image(11, "null", ".000"), &row(11), "u"));
    // a zero of a NOT NULL timestamptz in a delete stands for a value that was not sent
    assert_eq!(value(&batch, 2), envelope(&image(12, r#""a\"b""#, ""), "null", "d"));
    assert_eq!(value(&batch, 3), None);
    assert_eq!(value(&batch, 4), envelope("null", "null", "t"));
    assert_eq!(value(&batch, 5), envelope("null", &image(15, "null", ".000"), "u"));
    let keys: Vec<_> = (0..6).map(|i| key(&batch, i)).collect();
    let some = |id: i64| Some(format!("{{\"id\":{id}}}"));
    assert_eq!(keys, [some(10), some(11), some(12), some(13), None, some(15)]);
}

#[test]
fn flat_rows_are_the_current_image() {
    let mut batch = batch(Plan::default());
    batch.edits.shape = Shape::Row;
    let row = |id| Some(image(id, r#""a\"b""#, ".000"));
    assert_eq!(value(&batch, 1), row(11));
    assert_eq!(value(&batch, 2), Some(image(12, r#""a\"b""#, "")));
    assert_eq!([value(&batch, 3), value(&batch, 4)], [None, None]);
}

fn written(name: &str, kind: Kind, fill: &[Option<&str>]) -> WrittenColumn {
    let mut column = Column::new(kind);
    for value in fill {
        match (value, kind) {
            (None, _) => column.push_absent(),
            (Some("null"), _) => column.push_null(),
            (Some(text), Kind::Integer) => column.push_int(text.parse().unwrap()),
            (Some(text), Kind::Boolean) => column.push_bool(*text == "true"),
            (Some(text), _) => column.push_bytes(text.as_bytes()),
        }
    }
    WrittenColumn { name: name.into(), kind, column }
}

fn texts(fill: &[Option<&str>]) -> Column {
    written("", Kind::Text, fill).column
}

#[test]
fn edits_apply_to_the_current_image_of_selected_rows() {
    let mut batch = batch(Plan::default());
    batch.sel = vec![1, 2, 5];
    batch.edits.shape = Shape::Row;
    batch.edits.removed = vec!["blob".into(), "at".into()];
    batch.edits.renamed = vec![("name".into(), "title".into())];
    batch.edits.written = vec![
        written("price", Kind::Decimal, &[Some("2"), None, Some("null")]),
        written("title", Kind::Text, &[None, Some("T"), Some("")]),
        written("doc", Kind::Json, &[Some(" [1] "), None, Some("null")]),
        written("at", Kind::Integer, &[None, Some("5"), None]),
        written("total", Kind::Decimal, &[Some("9.999"), Some("1"), None]),
    ];
    batch.edits.removals = vec![Removal { row: 5, fields: vec!["title".into(), "id".into()] }];
    let rows: Vec<_> = (0..3).map(|i| value(&batch, i).unwrap()).collect();
    assert_eq!(rows[0], r#"{"id":11,"title":"a\"b","price":"AMg=","doc": [1] ,"total":"9.999"}"#);
    assert_eq!(rows[1], r#"{"id":12,"title":"T","price":"AJY=","at":5,"total":"1"}"#);
    assert_eq!(rows[2], r#"{"price":null,"doc":null}"#);
}

#[test]
fn absent_values_have_debeziums_placeholders() {
    let array = |of| (Kind::Json, Logical::Array(of));
    let text = "\"__debezium_unavailable_value\"";
    let map = r#""{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}""#;
    let numbers = format!("{:?}", b"__debezium_unavailable_value").replace(' ', "");
    let cases = [
        ((Kind::Text, Logical::Plain), text),
        ((Kind::Json, Logical::JsonText), text),
        ((Kind::Json, Logical::TextMap), map),
        ((Kind::Decimal, Logical::Plain), text),
        ((Kind::Decimal, Logical::Decimal { precision: 0, scale: 0 }), "null"),
        ((Kind::Bytes, Logical::Plain), "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\""),
        ((Kind::Bytes, Logical::BitString(9)), "null"),
        ((Kind::Integer, Logical::Plain), "null"),
        (array(Kind::Text), "[\"__debezium_unavailable_value\"]"),
        (array(Kind::Integer), &numbers),
        (array(Kind::DateDays), &numbers),
        (array(Kind::Uuid), "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]"),
        (array(Kind::Float), "null"),
    ];
    for ((kind, logical), want) in cases {
        let schema = Schema {
            fields: vec![field("f", kind, logical.clone(), true)],
            open: false,
            ..Schema::open(8, "t".into(), false)
        };
        let mut batch = Batch::rows(Arc::new(schema), Arc::new(Plan::default()), Vec::new());
        let Payload::Rows(rows) = &mut batch.payload else { unreachable!() };
        rows.current[0].push_absent();
        batch.ops.push(Op::Update);
        batch.positions.push(Position::new(1, 1));
        batch.times_us.push(0);
        batch.select_all();
        assert_eq!(value(&batch, 0), Some(format!("{{\"f\":{want}}}")), "{kind:?} {logical:?}");
    }
}

#[test]
fn json_that_a_stage_writes_into_an_array_is_checked() {
    let mut schema = (*schema()).clone();
    schema.fields[1] = field("name", Kind::Json, Logical::Array(Kind::Integer), true);
    let mut batch = batch(Plan::default());
    batch.schema = Arc::new(schema);
    batch.edits.shape = Shape::Row;
    batch.edits.written = vec![written("name", Kind::Json, &[Some("[1"), Some("[1]")])];
    batch.sel = vec![0, 1];
    let (mut writer, mut out) = (ValueWriter::new(), Vec::new());
    let writer = writer.begin(&batch);
    let error = writer.value(0, &mut out).unwrap_err();
    assert!(error.to_string().contains("`name` is not valid JSON"), "{error}");
    assert!(writer.value(1, &mut out).unwrap());
    assert!(String::from_utf8(out).unwrap().contains("\"name\":[1],"));
}

#[test]
fn edits_of_an_envelope_leave_the_old_image() {
    let mut batch = batch(Plan::default());
    batch.edits.removed = ["name", "price", "at", "blob"].map(Into::into).to_vec();
    batch.edits.written = vec![written("id", Kind::Integer, &[Some("1"); 6])];
    assert_eq!(value(&batch, 1), envelope(&image(11, "null", ".000"), r#"{"id":1}"#, "u"));
    assert_eq!(value(&batch, 2), envelope(r#"{"id":1}"#, "null", "d"));
    assert_eq!(value(&batch, 4), envelope("null", "null", "t"));
}

#[test]
fn values_without_a_form_are_errors_that_leave_nothing() {
    let cases = [
        ("price", Kind::Decimal, "1.255", "`price` has more fraction digits than its column"),
        ("price", Kind::Decimal, "abc", "`price` is not a decimal number"),
        ("doc", Kind::Json, "{\"a\":}", "`doc` is not valid JSON"),
    ];
    for (name, kind, text, want) in cases {
        let mut batch = batch(Plan::default());
        batch.edits.written = vec![written(name, kind, &[Some(text); 6])];
        let mut writer = ValueWriter::new();
        let mut out = b"kept".to_vec();
        let error = writer.begin(&batch).value(0, &mut out).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert!(matches!(error, EncodeError::Field { .. }));
        assert_eq!(out, b"kept");
        // 1.250 has two digits that count
        batch.edits.written = vec![written("price", Kind::Decimal, &[Some("1.250"); 6])];
        assert!(value(&batch, 0).unwrap().contains("\"price\":\"fQ==\""));
    }
}

#[test]
fn keys_headers_partitions_and_tombstones_of_stages() {
    let mut batch = batch(Plan::default());
    batch.sel = vec![0, 1, 2];
    batch.partitions = vec![3, -1, 4, 0, 0, 0];
    batch.edits.key = Some(texts(&[Some("k"), None, Some("null")]));
    batch.edits.tombstone =
        Some(written("", Kind::Boolean, &[Some("true"), Some("false"), Some("null")]).column);
    batch.edits.partition =
        Some(written("", Kind::Integer, &[Some("null"), Some("8"), None]).column);
    batch.edits.headers = vec![("w".into(), texts(&[None, Some("x"), Some("null")]))];
    assert_eq!(
        [0, 1, 2].map(|i| key(&batch, i)),
        [Some("k".into()), Some("{\"id\":11}".into()), None]
    );
    assert_eq!([0, 1, 2].map(|i| value(&batch, i).is_some()), [false, true, true]);
    let mut writer = ValueWriter::new();
    let begun = writer.begin(&batch);
    assert_eq!([0, 1, 2].map(|i| begun.partition(i)), [Some(3), Some(8), Some(4)]);
    assert_eq!(begun.time_us(2), 1_500_002);
    let headers = [0, 1, 2].map(|i| {
        let mut all = Vec::new();
        begun.headers(i, &mut |name, value| all.push((name.to_owned(), value.map(<[u8]>::to_vec))));
        all
    });
    let header = |name: &str, value: &[u8]| (name.to_owned(), Some(value.to_vec()));
    let want = [vec![], vec![header("h", b"1"), header("w", b"x")], vec![("w".to_owned(), None)]];
    assert_eq!(headers, want);
}

#[test]
fn key_fields_can_be_left_out() {
    let mut batch = batch(Plan::default());
    let mut schema = (*batch.schema).clone();
    schema.key = ["name", "id"].map(Into::into).to_vec();
    batch.schema = Arc::new(schema);
    assert_eq!(key(&batch, 0).unwrap(), r#"{"name":"a\"b","id":10}"#);
    batch.edits.removals = vec![Removal { row: 0, fields: vec!["$key.name".into()] }];
    assert_eq!(key(&batch, 0).unwrap(), r#"{"id":10}"#);
    batch.edits.key_removed = vec!["id".into()];
    assert_eq!(key(&batch, 1).unwrap(), r#"{"name":"a\"b"}"#);
    assert_eq!(key(&batch, 0).unwrap(), "{}");
}

#[test]
fn originals_ignore_what_stages_did() {
    let mut batch = batch(Plan::default());
    let want = value(&batch, 0);
    batch.sel.clear();
    batch.edits.shape = Shape::Row;
    batch.edits.removed = vec!["name".into()];
    batch.edits.key_removed = vec!["id".into()];
    let text = |bytes: Option<Vec<u8>>| bytes.map(|b| String::from_utf8(b).unwrap());
    let (key, value) = original(&batch, 0);
    assert_eq!((text(key), text(value)), (Some("{\"id\":10}".into()), want));
    let (key, value) = original(&batch, 3);
    assert_eq!((text(key), value), (Some("{\"id\":13}".into()), None));
    assert_eq!(original(&batch, 4).0, None);
}

#[test]
fn a_new_version_of_a_schema_is_a_new_layout() {
    let mut writer = ValueWriter::new();
    let mut seen = Vec::new();
    for (id, name) in [(1, "a"), (2, "b"), (1, "a")] {
        let mut batch = batch(Plan::default());
        let mut schema = (*batch.schema).clone();
        (schema.id, schema.fields[0].name) = (id, name.into());
        batch.schema = Arc::new(schema);
        batch.edits.shape = Shape::Row;
        let mut out = Vec::new();
        writer.begin(&batch).value(0, &mut out).unwrap();
        seen.push(out[2]);
    }
    assert_eq!(seen, b"aba");
}

fn reads(paths: &[(FieldPath, Kind)]) -> Batch {
    let read = |(path, kind): &(FieldPath, Kind)| PlanRead {
        path: path.clone(),
        kind: *kind,
        optional: true,
        stage: "s".into(),
    };
    let plan = Plan { reads: paths.iter().map(read).collect(), ..Plan::default() };
    let mut batch = batch(plan);
    project(&mut batch);
    batch
}

/// A column as text, for comparing: `-` is null, `?` absent.
fn shown(column: &Column) -> Vec<String> {
    let one = |i| {
        if column.is_absent(i) {
            return "?".to_owned();
        }
        let number = column.int(i).map(|v| v.to_string());
        let float = || column.float(i).map(|v| v.to_string());
        let bytes = || column.bytes(i).map(|b| String::from_utf8_lossy(b).into_owned());
        number.or_else(float).or_else(bytes).unwrap_or("-".to_owned())
    };
    (0..column.len()).map(one).collect()
}

#[test]
fn reads_of_every_path_and_conversion() {
    use FieldPath as P;
    let current = |name: &str| P::Current(name.into());
    let cases = [
        (current("id"), Kind::Integer, ["10", "11", "12", "-", "-", "15"]),
        (current("id"), Kind::Float, ["10", "11", "12", "-", "-", "15"]),
        (current("id"), Kind::Decimal, ["10", "11", "12", "-", "-", "15"]),
        (current("id"), Kind::Text, ["10", "11", "12", "-", "-", "15"]),
        (current("name"), Kind::Json, [r#""a\"b""#, r#""a\"b""#, r#""a\"b""#, "-", "-", "-"]),
        (current("name"), Kind::Bytes, ["a\"b", "a\"b", "a\"b", "-", "-", "-"]),
        (current("price"), Kind::Float, ["1.5", "1.5", "1.5", "-", "-", "1.5"]),
        (current("price"), Kind::Text, ["1.50", "1.50", "1.50", "-", "-", "1.50"]),
        (current("price"), Kind::Json, ["\"AJY=\"", "\"AJY=\"", "\"AJY=\"", "-", "-", "\"AJY=\""]),
        (current("at"), Kind::Integer, ["0", "0", "0", "-", "-", "0"]),
        (current("at"), Kind::Text, ["1970-01-01T00:00:00.000Z"; 6]),
        (current("blob"), Kind::Text, ["?", "?", "?", "-", "-", "?"]),
        (current("none"), Kind::Text, ["?"; 6]),
        (P::Before("id".into()), Kind::Integer, ["-", "11", "12", "-", "-", "-"]),
        (P::Before("name".into()), Kind::Text, ["-", "-", "a\"b", "-", "-", "-"]),
        (P::Before("none".into()), Kind::Text, ["?"; 6]),
        (
            P::Key,
            Kind::Text,
            ["{\"id\":10}", "{\"id\":11}", "{\"id\":12}", "{\"id\":13}", "-", "{\"id\":15}"],
        ),
        (P::KeyField("id".into()), Kind::Integer, ["10", "11", "12", "13", "-", "15"]),
        (P::KeyField("name".into()), Kind::Text, ["?"; 6]),
        (P::Topic, Kind::Text, ["shop.public.t"; 6]),
        (P::Partition, Kind::Integer, ["-"; 6]),
        (P::Offset, Kind::Integer, ["100"; 6]),
        (P::Header("h".into()), Kind::Text, ["?", "1", "?", "?", "?", "?"]),
        (P::Source("db".into()), Kind::Text, ["d \"1\""; 6]),
        (P::Source("ts_ms".into()), Kind::Integer, ["1500"; 6]),
        (P::Source("ts_ms".into()), Kind::Text, ["1500"; 6]),
        (P::Source("snapshot".into()), Kind::Text, ["false"; 6]),
        (P::Source("lsn".into()), Kind::Integer, ["-"; 6]),
        (P::Source("xmin".into()), Kind::Integer, ["-"; 6]),
        (P::Source("none".into()), Kind::Text, ["?"; 6]),
        (P::Transaction("id".into()), Kind::Text, ["-"; 6]),
        (P::Envelope("op".into()), Kind::Text, ["c", "u", "d", "-", "t", "u"]),
        (P::Envelope("ts_ms".into()), Kind::Integer, ["1700"; 6]),
        (P::Envelope("none".into()), Kind::Text, ["?"; 6]),
    ];
    let paths: Vec<_> = cases.iter().map(|(path, kind, _)| (path.clone(), *kind)).collect();
    let batch = reads(&paths);
    for (i, (path, kind, want)) in cases.iter().enumerate() {
        let mut want = want.map(str::to_owned);
        if *path == current("at") && *kind == Kind::Text {
            (want[3], want[4]) = ("-".into(), "-".into());
        }
        let got = shown(batch.read(i).unwrap());
        assert_eq!(got, want, "{path:?} as {kind:?}");
    }
    assert_eq!(shown(reads(&[(P::TimestampUs, Kind::TimestampUs)]).read(0).unwrap())[5], "1500005");
}

#[test]
fn stored_columns_are_not_copied() {
    let mut batch = reads(&[(FieldPath::Current("price".into()), Kind::Decimal)]);
    assert!(matches!(batch.reads[0], ReadColumn::Own(_)), "some rows have no image");
    batch.ops = vec![Op::Create; 6];
    project(&mut batch);
    assert_eq!(batch.reads, [ReadColumn::Current(2)]);
}

#[test]
fn timestamps_beyond_64_bits_read_as_the_largest() {
    let mut batch = reads(&[(FieldPath::Current("at".into()), Kind::TimestampUs)]);
    batch.ops = vec![Op::Create; 6];
    let ty = wasmgate_codec::pgvalue::column_type(1184, 3, None, &Default::default()).unwrap();
    let Payload::Rows(rows) = &mut batch.payload else { unreachable!() };
    rows.current[3].clear();
    for _ in 0..6 {
        let text = b"294276-12-31 23:59:59.999+00";
        wasmgate_codec::pgvalue::push_text(&mut rows.current[3], &ty, text).unwrap();
    }
    project(&mut batch);
    assert_eq!(batch.read(0).unwrap().int(0), Some(i64::MAX));
    assert!(value(&batch, 0).unwrap().contains("\"+294276-12-31T23:59:59.999Z\""));
}
