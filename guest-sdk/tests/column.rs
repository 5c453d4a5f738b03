//! The column API: cells, builders, and answers that break the contract.
#![allow(clippy::unwrap_used, reason = "tests")]

use wasmgate_sdk::contract::{Block, Values};
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::testkit::{Harness, json};

#[test]
fn built_columns_read_back() {
    let mut texts = TextBuilder::with_rows(4);
    let cells = [Cell::Value("ä"), Cell::Null, Cell::Absent, Cell::Value("")];
    cells.into_iter().for_each(|cell| texts.push_cell(cell));
    let column = texts.finish();
    let expected = Column {
        values: Values::Block(Block { ends: vec![2, 2, 2, 2], data: "ä".to_owned() }),
        nulls: vec![1, 2],
        absent: vec![2],
    };
    assert_eq!(column, expected);
    assert_eq!(column.texts().unwrap().collect::<Vec<_>>(), cells);

    let mut ints = IntBuilder::with_rows(3);
    ints.push_absent();
    ints.push(-5);
    ints.push_null();
    let cells: Vec<_> = ints.finish().ints().unwrap().collect();
    assert_eq!(cells, [Cell::Absent, Cell::Value(-5), Cell::Null]);
}

#[test]
fn a_column_of_another_kind_is_an_error() {
    let mut floats = FloatBuilder::with_rows(1);
    floats.push(1.0);
    let refusal = floats.finish().texts().unwrap_err();
    let expected =
        "found floats, expected a block of texts: the host did not follow the projection";
    assert_eq!(refusal, expected);
}

/// Answers as it was told to.
struct Wrong;

impl Transform for Wrong {
    type Config = NoConfig;
    fn open(_config: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
    fn bind(&mut self, _schema: &Schema) -> Result<Option<Projection>, String> {
        Ok(Some(Projection::new().write("a", Kind::Integer)))
    }
    fn process(&mut self, _schema: u64, batch: &Batch) -> Result<Output, String> {
        let mut column = IntBuilder::with_rows(1);
        (0..batch.rows).for_each(|_| column.push(1));
        Ok(match batch.rows {
            1 => Output::new(),
            2 => Output { columns: vec![BoolBuilder::with_rows(0).finish()], ..Output::new() },
            3 => {
                let mut texts = TextBuilder::with_rows(3);
                (0..3).for_each(|_| texts.push("1"));
                Output { columns: vec![texts.finish()], ..Output::new() }
            }
            4 => {
                let mut output = Output { columns: vec![column.finish()], ..Output::new() };
                output.discard(1);
                output.discard(0);
                output
            }
            _ => {
                let mut output = Output { columns: vec![column.finish()], ..Output::new() };
                output.dead_letter(9, "x", "y");
                output
            }
        })
    }
}

#[test]
fn the_harness_refuses_what_the_host_refuses() {
    for (rows, expected) in [
        (1, "the answer has 0 columns, the projection writes 1"),
        (2, "column `a` has 0 values for 2 rows"),
        (3, "column `a` does not hold values of kind integer"),
        (4, "rejects: rows do not ascend at 0"),
        (5, "rejects: row 9 of a call with 5 rows"),
    ] {
        let records = json!(vec![json!({}); rows]);
        let refusal = Harness::<Wrong>::new("").unwrap().run(records).unwrap_err();
        assert_eq!(refusal, expected);
    }
}
