//! What the guests share: a rule that works, of which each guest changes one thing. It reads `n`
//! and `name`, and writes `label` (`name` + "!"), `version` (a stamp in the binary, so that one
//! build gives many versions) and `at` (when the call was made). A batch that holds a record with
//! `n` = 13 is marked: most guests misbehave there and only there.

use std::cell::Cell;
use std::marker::PhantomData;

wit_bindgen::generate!({
    path: "../../wit",
    world: "transform",
    pub_export_macro: true,
    export_macro_name: "export_stage",
    default_bindings_module: "wasmgate_hostile_guests",
});

pub use exports::wasmgate::transform::stage::Guest as Stage;
pub use wasmgate::transform::types::{
    Batch, Block, Column, Description, Emission, Field, Kind, Output, Projection, Read, Reason,
    Reject, Schema, Shape, TextForm, Values, Verdict,
};
pub use wasmgate::transform::{clock, log};

/// The number that marks a record.
pub const MARK: i64 = 13;

/// A rule; every function has a default that works.
pub trait Rule: 'static {
    fn describe() -> Description {
        description()
    }

    fn open(config: &str) -> Result<(), String> {
        SPIN.set(spin_of(config));
        Ok(())
    }

    fn bind() -> Result<Projection, String> {
        Ok(projection())
    }

    /// Before a marked batch is answered.
    fn before(_batch: &Batch) {}

    /// After a marked batch was answered.
    fn after(_output: &mut Output, _rows: u32) {}

    fn process(batch: &Batch) -> Result<Output, String> {
        let marked = numbers(batch).contains(&MARK);
        if marked {
            Self::before(batch);
        }
        let mut output = answer(batch);
        if marked {
            Self::after(&mut output, batch.rows);
        }
        Ok(output)
    }

    fn close() {}
}

/// A rule as the contract has it.
pub struct Exported<R>(PhantomData<R>);

impl<R: Rule> Stage for Exported<R> {
    fn describe() -> Description {
        R::describe()
    }

    fn open(config: String) -> Result<(), String> {
        R::open(&config)
    }

    fn bind(_schema: Schema) -> Result<Option<Projection>, String> {
        R::bind().map(Some)
    }

    fn process(batch: Batch) -> Result<Output, String> {
        R::process(&batch)
    }

    fn close() {
        R::close();
    }
}

/// Exports a rule.
#[macro_export]
macro_rules! component {
    ($rule:ident) => {
        type Component = $crate::Exported<$rule>;
        $crate::export_stage!(Component);
    };
}

thread_local! {
    static SPIN: Cell<u32> = const { Cell::new(0) };
}

/// The last five digits are the version; whoever tests writes others into the binary.
static STAMP: [u8; 20] = *b"wasmgate-stamp:00000";

/// The version that was stamped into this binary.
pub fn version() -> i64 {
    let digits = (15..20).map(|at| {
        // SAFETY: within the array; volatile, because the bytes are not those that were compiled.
        i64::from(unsafe { std::ptr::read_volatile(STAMP.as_ptr().add(at)) } - b'0')
    });
    digits.fold(0, |number, digit| number * 10 + digit)
}

/// `{"spin":N}`: turns per record, to cost as much as a real rule.
fn spin_of(config: &str) -> u32 {
    setting(config, "spin") as u32
}

/// `"NAME":N` of a configuration; 0 where there is none.
pub fn setting(config: &str, name: &str) -> i64 {
    let digits = config.split(&format!("\"{name}\":")).nth(1).unwrap_or("");
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

pub fn description() -> Description {
    Description {
        name: "guest".into(),
        version: format!("1.{}.0", version()),
        summary: "a guest of the tests".into(),
        config_schema: r#"{"type":"object"}"#.into(),
    }
}

pub fn projection() -> Projection {
    let read = |name: &str, kind| Read { name: name.into(), kind, optional: true };
    let write = |name: &str, kind| Field { name: name.into(), kind, nullable: true };
    Projection {
        reads: vec![read("n", Kind::Integer), read("name", Kind::Text)],
        writes: vec![
            write("version", Kind::Integer),
            write("at", Kind::Integer),
            write("label", Kind::Text),
        ],
        removes: vec![],
        renames: vec![],
        shape: Shape::Keep,
        texts: TextForm::Block,
        ops: false,
    }
}

/// The first column.
pub fn numbers(batch: &Batch) -> &[i64] {
    match batch.columns.first().map(|c| &c.values) {
        Some(Values::Ints(numbers)) => numbers,
        _ => &[],
    }
}

pub fn answer(batch: &Batch) -> Output {
    let rows = batch.rows as usize;
    let (mut data, mut ends) = (String::new(), Vec::with_capacity(rows));
    if let Some(Values::Block(names)) = batch.columns.get(1).map(|c| &c.values) {
        let mut from = 0;
        for end in names.ends.iter().map(|end| *end as usize) {
            data.push_str(&names.data[from..end]);
            data.push('!');
            ends.push(data.len() as u32);
            from = end;
        }
    }
    for turn in 0..SPIN.get() * batch.rows {
        std::hint::black_box(turn);
    }
    Output {
        columns: vec![
            column(Values::Ints(vec![version(); rows])),
            column(Values::Ints(vec![clock::now_us(); rows])),
            column(Values::Block(Block { ends, data })),
        ],
        rejects: vec![],
        removals: vec![],
        extra: vec![],
    }
}

pub fn column(values: Values) -> Column {
    Column { values, nulls: vec![], absent: vec![] }
}

/// One record more, of a row, for a topic.
pub fn emission(topic: &str, parent: u32) -> Emission {
    Emission {
        topic: topic.into(),
        fields: vec![Field { name: "n".into(), kind: Kind::Integer, nullable: false }],
        columns: vec![column(Values::Ints(vec![5]))],
        parents: vec![parent],
    }
}

/// Never ends.
pub fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}
