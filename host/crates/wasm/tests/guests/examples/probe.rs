//! World `transform`. Well behaved unless its configuration names a way to misbehave:
//! `doubled = amount * 2`, `label = name + "!"`; negative amounts are dropped, 7 is dead-lettered.

use std::cell::RefCell;
use std::fmt::Write as _;

wit_bindgen::generate!({ path: "../../../../../wit", world: "transform" });

use exports::wasmgate::transform::stage::Guest;
use wasmgate::transform::types::{
    Batch, Block, Column, Description, Emission, Field, Kind, Output, Projection, Read, Reason,
    Reject, Removal, Schema, Shape, TextForm, Values, Verdict,
};
use wasmgate::transform::{clock, log, lookup, metrics, state};

thread_local! {
    static MODE: RefCell<String> = const { RefCell::new(String::new()) };
    static CALLS: RefCell<i64> = const { RefCell::new(0) };
}

fn mode(word: &str) -> bool {
    MODE.with_borrow(|m| m.split([' ', ',']).any(|w| w == word))
}

struct Probe;

impl Guest for Probe {
    fn describe() -> Description {
        Description {
            name: "probe".into(),
            version: "1.2.3".into(),
            summary: "does what its configuration says".into(),
            config_schema: r#"{"type":["string","object"],"required":["mode"]}"#.into(),
        }
    }

    fn open(config: String) -> Result<(), String> {
        // A JSON text, or an object with one: its words are all that counts.
        let config = config.trim_matches('"').to_owned();
        if config == "refuse" {
            return Err("the threshold is missing".into());
        }
        MODE.set(config);
        if mode("open-loop") {
            spin();
        }
        Ok(())
    }

    fn bind(schema: Schema) -> Result<Option<Projection>, String> {
        if mode("bind-error") {
            return Err(format!("{} has no field amount", schema.source));
        }
        if mode("untouched") {
            return Ok(None);
        }
        let read = |name: &str, kind| Read { name: name.into(), kind, optional: false };
        let write = |name: &str, kind| Field { name: name.into(), kind, nullable: true };
        let mut writes = vec![write("doubled", Kind::Integer), write("label", Kind::Text)];
        if mode("same-write") {
            writes.push(write("label", Kind::Text));
        }
        if mode("reserved-write") {
            writes.push(write("$offset", Kind::Integer));
        }
        if mode("topic-kind") {
            writes.push(write("$topic", Kind::Integer));
        }
        if mode("no-projection") {
            writes.clear();
        }
        Ok(Some(Projection {
            reads: match mode("reserved-read") {
                true => vec![read("$nonsense", Kind::Text)],
                false => vec![read("amount", Kind::Integer), read("name", Kind::Text)],
            },
            writes,
            removes: vec![],
            renames: vec![],
            shape: Shape::Keep,
            texts: if mode("each") { TextForm::Each } else { TextForm::Block },
            ops: mode("ops"),
        }))
    }

    fn process(batch: Batch) -> Result<Output, String> {
        CALLS.with_borrow_mut(|c| *c += 1);
        disturb(&batch)?;
        let mut output = answer(&batch);
        spoil(&mut output, batch.rows);
        Ok(output)
    }

    fn close() {
        log::write(log::Level::Info, "closed");
    }
}

fn amounts(batch: &Batch) -> &[i64] {
    match &batch.columns[0].values {
        Values::Ints(v) => v,
        _ => panic!("amount is not integers"),
    }
}

fn texts(column: &Column) -> Vec<&str> {
    match &column.values {
        Values::Texts(v) => v.iter().map(String::as_str).collect(),
        Values::Block(b) => {
            let mut from = 0;
            b.ends
                .iter()
                .map(|end| &b.data[std::mem::replace(&mut from, *end as usize)..*end as usize])
                .collect()
        }
        _ => panic!("name is not text"),
    }
}

/// Lines of all sizes and numbers.
fn talk() {
    if mode("log") {
        log::write(log::Level::Warn, "line\u{1b}[31m\none");
    }
    if mode("log-long") {
        log::write(log::Level::Warn, &"é".repeat(5 << 20));
    }
    if mode("log-flood") {
        (0..1000).for_each(|line| log::write(log::Level::Error, &format!("line {line}")));
    }
}

/// What goes wrong before there is an answer, and calls of the host.
fn disturb(batch: &Batch) -> Result<(), String> {
    talk();
    if mode("trap-13") && amounts(batch).contains(&13) {
        panic!("13");
    }
    if mode("loop") || (mode("loop-13") && amounts(batch).contains(&13)) {
        spin();
    }
    if mode("bomb") || (mode("bomb-13") && amounts(batch).contains(&13)) {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        loop {
            hoard.push(vec![1; 1 << 20]);
            std::hint::black_box(&hoard);
        }
    }
    if mode("err") {
        return Err("the rule cannot work today".into());
    }
    if mode("recursion") {
        std::hint::black_box(deeper(batch.rows.into()));
    }
    if mode("metrics") {
        metrics::add("rows", batch.rows.into());
        metrics::set("ratio", 0.5);
        metrics::observe("amount", &[1.0, 3.0]);
    }
    if mode("many-metrics") {
        (0..10_000).for_each(|i| metrics::add(&format!("m{i}"), 1));
    }
    if mode("state") {
        state::get(&["k".to_string()]);
    }
    if mode("lookup") {
        lookup::get("t", &["k".to_string()], &[], TextForm::Block).map(drop)?;
    }
    Ok(())
}

fn answer(batch: &Batch) -> Output {
    let names = texts(&batch.columns[1]);
    let mut doubled: Vec<i64> = amounts(batch).iter().map(|a| a * 2).collect();
    if mode("calls") {
        doubled.fill(CALLS.with_borrow(|c| *c));
    }
    if mode("clock") {
        doubled.fill(clock::now_us());
        assert_eq!(doubled.first(), Some(&clock::now_us()));
    }
    if mode("ops") {
        doubled = batch.ops.iter().map(|op| *op as i64).collect();
    }
    let (mut data, mut ends) = (String::new(), Vec::new());
    for name in &names {
        write!(data, "{name}!").unwrap();
        ends.push(data.len() as u32);
    }
    let label = match mode("each") {
        true => Values::Texts(names.iter().map(|n| format!("{n}!")).collect()),
        false => Values::Block(Block { ends, data }),
    };
    let reject = |(row, amount): (usize, &i64)| {
        let verdict = match amount {
            7 => Verdict::DeadLetter(Reason { code: "seven".into(), message: "is 7".into() }),
            i64::MIN..=-1 => Verdict::Drop,
            _ => return None,
        };
        Some(Reject { row: row as u32, verdict })
    };
    Output {
        columns: vec![column(Values::Ints(doubled), &batch.columns[0].nulls), column(label, &[])],
        rejects: amounts(batch).iter().enumerate().filter_map(reject).collect(),
        removals: vec![],
        extra: vec![],
    }
}

fn column(values: Values, nulls: &[u32]) -> Column {
    Column { values, nulls: nulls.to_vec(), absent: vec![] }
}

/// Breaks the contract in the way that the configuration names.
fn spoil(output: &mut Output, rows: u32) {
    if mode("columns") {
        output.columns.pop();
    }
    if mode("short") {
        output.columns[0].values = Values::Ints(vec![1; rows as usize - 1]);
    }
    if mode("kind") {
        output.columns[0].values = Values::Floats(vec![1.0; rows as usize]);
    }
    if mode("ends") {
        let ends = (0..rows).map(|r| rows - r).collect();
        let data = "x".repeat(rows as usize);
        output.columns[1].values = Values::Block(Block { ends, data });
    }
    if mode("past-end") {
        let ends = vec![99; rows as usize];
        output.columns[1].values = Values::Block(Block { ends, data: "x".into() });
    }
    if mode("half-char") {
        let ends = vec![1; rows as usize];
        output.columns[1].values = Values::Block(Block { ends, data: "é".into() });
    }
    if mode("trailing") {
        let ends = vec![1; rows as usize];
        output.columns[1].values = Values::Block(Block { ends, data: "abc".into() });
    }
    if mode("nulls") {
        output.columns[0].nulls = vec![1, 0];
    }
    if mode("null-row") {
        output.columns[0].nulls = vec![rows];
    }
    if mode("absent") {
        output.columns[0].absent = vec![0];
    }
    let drop = |row| Reject { row, verdict: Verdict::Drop };
    if mode("reject-row") {
        output.rejects = vec![drop(rows)];
    }
    if mode("reject-twice") {
        output.rejects = vec![drop(0), drop(0)];
    }
    if mode("removal-row") {
        output.removals = vec![Removal { row: rows, fields: vec!["name".into()] }];
    }
    if mode("removal") {
        output.removals = vec![Removal { row: 1, fields: vec!["name".into(), "$key.id".into()] }];
    }
    if mode("removal-name") {
        output.removals = vec![Removal { row: 0, fields: vec!["$topic".into()] }];
    }
    emit(output, rows);
    if mode("flood") {
        // One megabyte, 24 times: little memory here, much where it is copied to.
        let big = String::leak("x".repeat(1 << 20));
        let (at, size) = (big.as_mut_ptr(), big.len());
        // SAFETY: unsound on purpose; the host stops this before anything is freed.
        let note = (0..24).map(|_| unsafe { String::from_raw_parts(at, size, size) }).collect();
        output.removals = vec![Removal { row: 0, fields: note }];
    }
}

fn emit(output: &mut Output, rows: u32) {
    let parents = match () {
        () if mode("parents") => vec![rows],
        () if mode("extra") => vec![0, 1],
        () => return,
    };
    output.extra = vec![Emission {
        topic: "audit".into(),
        fields: vec![Field { name: "n".into(), kind: Kind::Integer, nullable: false }],
        columns: vec![column(Values::Ints(vec![5; parents.len()]), &[])],
        parents,
    }];
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

#[allow(unconditional_recursion, reason = "the point")]
fn deeper(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 8]);
    deeper(here[0] + 1) + here[7]
}

export!(Probe);
