//! What surrounds the values of a row: the transaction block, keys that differ from the row.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use wasmgate_codec::encode::ValueWriter;
use wasmgate_codec::project;
use wasmgate_model::{
    Batch, Column, Field, FieldPath, Kind, Logical, Op, Payload, Plan, PlanRead, Position, Schema,
    TransactionParts,
};

fn integer(name: &str) -> Field {
    Field::new(name, Kind::Integer, Logical::Bits(32), true)
}

fn read(path: FieldPath, kind: Kind) -> PlanRead {
    PlanRead { path, kind, optional: true, stage: "s".into() }
}

fn written(batch: &Batch, i: usize) -> (String, String) {
    let (mut writer, mut key, mut value) = (ValueWriter::new(), Vec::new(), Vec::new());
    let begun = writer.begin(batch);
    begun.key(i, &mut key);
    begun.value(i, &mut value).unwrap();
    (String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap())
}

/// One create per value; `fill` appends the source columns of a row.
fn batch(schema: Schema, reads: Vec<PlanRead>, rows: usize, source: Vec<Column>) -> Batch {
    let plan = Arc::new(Plan { reads, ..Plan::default() });
    let mut batch = Batch::rows(Arc::new(schema), plan, source);
    for row in 0..rows {
        let Payload::Rows(rows) = &mut batch.payload else { unreachable!() };
        for (n, column) in rows.current.iter_mut().enumerate() {
            column.push_int((10 * row + n) as i64);
        }
        batch.ops.push(Op::Create);
        batch.times_us.push(0);
        batch.positions.push(Position::new(1, row as u64));
    }
    batch.select_all();
    batch
}

#[test]
fn a_row_carries_its_place_in_the_transaction() {
    let mut source = vec![Column::new(Kind::Text), Column::new(Kind::Integer)];
    source.push(Column::new(Kind::Integer));
    let [id, total, table] = source.as_mut_slice() else { unreachable!() };
    id.push_bytes(b"7:99");
    total.push_int(3);
    table.push_int(1);
    source.iter_mut().for_each(Column::push_null);
    let reads = vec![
        read(FieldPath::Transaction("id".into()), Kind::Text),
        read(FieldPath::Transaction("total_order".into()), Kind::Integer),
    ];
    let schema = Schema {
        fields: vec![integer("a")],
        open: false,
        transaction: Some(TransactionParts { id: 0, total_order: 1, data_collection_order: 2 }),
        ..Schema::open(1, "t".into(), true)
    };
    let mut batch = batch(schema, reads, 2, source);
    let block = r#""transaction":{"id":"7:99","total_order":3,"data_collection_order":1},"op":"c""#;
    let (_, value) = written(&batch, 0);
    assert!(value.contains(block), "{value}");
    let (_, value) = written(&batch, 1);
    assert!(value.contains(r#""transaction":null,"op":"c""#), "{value}");
    project(&mut batch);
    let (id, total) = (batch.read(0).unwrap(), batch.read(1).unwrap());
    assert_eq!((id.text(0), id.text(1)), (Some("7:99"), None));
    assert_eq!((total.int(0), total.int(1)), (Some(3), None));
}

#[test]
fn a_key_may_hold_what_the_row_does_not() {
    let of = |path: fn(Arc<str>) -> FieldPath| read(path("a".into()), Kind::Integer);
    let schema = Schema {
        fields: vec![integer("a"), integer("b")],
        key: vec!["a".into(), "c".into(), "b".into()],
        key_only: vec![integer("a"), integer("c")],
        open: false,
        ..Schema::open(1, "t".into(), false)
    };
    let mut batch =
        batch(schema, vec![of(FieldPath::Current), of(FieldPath::KeyField)], 2, Vec::new());
    let (key, value) = written(&batch, 1);
    assert_eq!((&*key, &*value), (r#"{"a":12,"c":13,"b":11}"#, r#"{"a":10,"b":11}"#));
    project(&mut batch);
    assert_eq!(batch.read(0).unwrap().int(1), Some(10));
    assert_eq!(batch.read(1).unwrap().int(1), Some(12));
}
