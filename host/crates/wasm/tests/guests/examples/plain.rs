//! A rule as anybody writes it first: a plain build with the standard library, which prints, looks
//! at its environment and ends itself where its configuration says so.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};

wit_bindgen::generate!({ path: "../../../../../wit", world: "transform" });

use exports::wasmgate::transform::stage::Guest;
use wasmgate::transform::types::{
    Batch, Column, Description, Field, Kind, Output, Projection, Read, Schema, Shape, TextForm,
    Values,
};

thread_local! {
    static MODE: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Plain;

impl Guest for Plain {
    fn describe() -> Description {
        Description {
            name: "plain".into(),
            version: "0.1.0".into(),
            summary: "uses the standard library".into(),
            config_schema: String::new(),
        }
    }

    fn open(config: String) -> Result<(), String> {
        MODE.set(config);
        Ok(())
    }

    fn bind(_schema: Schema) -> Result<Option<Projection>, String> {
        Ok(Some(Projection {
            reads: vec![Read { name: "amount".into(), kind: Kind::Integer, optional: false }],
            writes: vec![Field { name: "found".into(), kind: Kind::Integer, nullable: false }],
            removes: vec![],
            renames: vec![],
            shape: Shape::Keep,
            texts: TextForm::Block,
            ops: false,
        }))
    }

    fn process(batch: Batch) -> Result<Output, String> {
        let found = MODE.with_borrow(|mode| act(mode));
        let values = Values::Ints(vec![found; batch.rows as usize]);
        let column = Column { values, nulls: vec![], absent: vec![] };
        Ok(Output { columns: vec![column], rejects: vec![], removals: vec![], extra: vec![] })
    }

    fn close() {}
}

/// Does what the configuration says, and answers what it found there.
fn act(mode: &str) -> i64 {
    let mut found = 0;
    match mode {
        "print" => {
            println!("out\u{1b}[31m one");
            eprintln!("err two");
        }
        "flood" => {
            let _ = std::io::stdout().write_all(&vec![b'x'; 10 << 20]);
            (0..2000).for_each(|line| println!("line {line}"));
        }
        "look" => {
            let mut input = Vec::new();
            let _ = std::io::stdin().read_to_end(&mut input);
            found = (std::env::vars().count() + std::env::args().count() + input.len()) as i64;
        }
        "panic" => panic!("out of cheese"),
        "exit" => std::process::exit(1),
        _ => found = 42,
    }
    found
}

export!(Plain);
