//! A transform component as a stage: what it may do, and what becomes of each way to misbehave.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/guests.rs"]
mod guests;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use wasmgate_connector::{Module as _, Projection, Stage, StageInput, StageOutput, StageVerdict};
use wasmgate_model::{Column, Fault, FaultKind, Kind, Op, Schema, Values};
use wasmgate_wasm::{Limits, Loaded, MetricValue, Runtime, TransformComponent};

/// The memory limit of the tests' runtime.
const MEMORY_BYTES: usize = 16 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let limits = Limits { memory_bytes: MEMORY_BYTES, batch_time: Duration::from_millis(200) };
    Runtime::new(limits, Some(guests::code_dir())).unwrap()
});

fn probe() -> Arc<TransformComponent> {
    static PROBE: LazyLock<Arc<TransformComponent>> = LazyLock::new(own_probe);
    Arc::clone(&PROBE)
}

/// One whose counters no other test moves.
fn own_probe() -> Arc<TransformComponent> {
    match RUNTIME.load("probe", &guests::guest("probe")).unwrap() {
        Loaded::Transform(module) => module,
        Loaded::Policy(_) => panic!("the probe is a transform"),
    }
}

fn schema(id: u64) -> Schema {
    Schema::open(id, Arc::from("shop.public.orders"), true)
}

/// A mode as the configuration that the probe takes: a JSON text.
fn text(mode: &str) -> String {
    format!("{mode:?}")
}

fn bound(mode: &str) -> (Box<dyn Stage>, Projection) {
    let mut stage = probe().open(&text(mode)).unwrap();
    let projection = stage.bind(&schema(1)).unwrap().expect("a projection");
    (stage, projection)
}

fn amounts(values: &[i64]) -> Column {
    let mut column = Column::new(Kind::Integer);
    values.iter().for_each(|v| column.push_int(*v));
    column
}

fn names(values: &[&str]) -> Column {
    let mut column = Column::new(Kind::Text);
    values.iter().for_each(|v| column.push_bytes(v.as_bytes()));
    column
}

fn call(stage: &mut dyn Stage, numbers: &[i64]) -> Result<StageOutput, Fault> {
    let texts: Vec<&str> =
        ["ada", "", "zoë", "dan"].into_iter().cycle().take(numbers.len()).collect();
    let (numbers, texts) = (amounts(numbers), names(&texts));
    let rows = numbers.len() as u32;
    stage.process(&StageInput { schema: 1, rows, ops: &[], columns: &[&numbers, &texts] })
}

fn ints(column: &Column) -> Vec<Option<i64>> {
    (0..column.len()).map(|i| column.int(i)).collect()
}

fn strings(column: &Column) -> Vec<Option<&str>> {
    (0..column.len()).map(|i| column.text(i)).collect()
}

#[test]
fn identity_comes_from_the_module_and_its_file() {
    let module = probe();
    let identity = module.identity();
    assert_eq!((identity.name.as_str(), identity.version.as_str()), ("probe", "1.2.3"));
    assert_eq!(identity.config_schema, r#"{"type":["string","object"],"required":["mode"]}"#);
    assert_eq!(identity.sha256.len(), 64);
}

#[test]
fn columns_go_in_and_come_back_in_both_text_forms() {
    for mode in ["", "each"] {
        let (mut stage, projection) = bound(mode);
        let reads: Vec<_> = projection.reads.iter().map(|r| (r.name.as_str(), r.kind)).collect();
        assert_eq!(reads, [("amount", Kind::Integer), ("name", Kind::Text)]);
        let output = call(&mut *stage, &[1, -2, 7, 40]).unwrap();
        assert_eq!(ints(&output.columns[0]), [Some(2), Some(-4), Some(14), Some(80)], "{mode}");
        assert_eq!(
            strings(&output.columns[1]),
            [Some("ada!"), Some("!"), Some("zoë!"), Some("dan!")],
            "{mode}"
        );
        let rejects: Vec<_> = output.rejects.iter().map(|r| (r.row, &r.verdict)).collect();
        let seven = StageVerdict::DeadLetter { code: "seven".into(), message: "is 7".into() };
        assert_eq!(rejects, [(1, &StageVerdict::Drop), (2, &seven)], "{mode}");
    }
}

#[test]
fn marks_pass_both_ways() {
    let (mut stage, _) = bound("");
    let mut numbers = amounts(&[1]);
    numbers.push_null();
    let texts = names(&["a", "b"]);
    let input = StageInput { schema: 1, rows: 2, ops: &[], columns: &[&numbers, &texts] };
    assert_eq!(ints(&stage.process(&input).unwrap().columns[0]), [Some(2), None]);
}

#[test]
fn operations_cross_where_they_are_asked_for() {
    let (mut stage, projection) = bound("ops");
    assert!(projection.ops);
    let (numbers, texts) = (amounts(&[1, 1, 1]), names(&["a", "b", "c"]));
    let ops = &[Op::Create, Op::Delete, Op::Tombstone];
    let columns = &[&numbers, &texts];
    let output = stage.process(&StageInput { schema: 1, rows: 3, ops, columns }).unwrap();
    assert_eq!(ints(&output.columns[0]), [Some(0), Some(2), Some(7)]);
    let none = StageInput { schema: 1, rows: 3, ops: &[], columns };
    assert_eq!(stage.process(&none).unwrap_err().kind, FaultKind::Internal);
}

#[test]
fn an_empty_batch_and_one_without_projection_are_well() {
    let (mut stage, _) = bound("");
    assert!(call(&mut *stage, &[]).unwrap().columns[1].is_empty());
    let mut untouched = probe().open(&text("untouched")).unwrap();
    assert_eq!(untouched.bind(&schema(1)).unwrap(), None);
    assert_eq!(call(&mut *untouched, &[1]).unwrap_err().kind, FaultKind::Internal);
}

#[test]
fn emissions_and_removals_come_back() {
    let (mut stage, _) = bound("extra removal");
    let output = call(&mut *stage, &[1, 2]).unwrap();
    assert_eq!(output.removals, [(1, vec!["name".to_owned(), "$key.id".to_owned()])]);
    let extra = &output.extra[0];
    assert_eq!((extra.topic.as_str(), extra.parents.as_slice()), ("audit", &[0, 1][..]));
    assert_eq!(extra.columns[0].values, Values::Ints(vec![5, 5]));
}

#[test]
fn data_past_the_last_end_is_dropped() {
    let (mut stage, _) = bound("trailing");
    let output = call(&mut *stage, &[1, 2]).unwrap();
    let Values::Texts(block) = &output.columns[1].values else { panic!("text") };
    assert_eq!((block.offsets.as_slice(), block.data.as_slice()), (&[0, 1, 1][..], &b"a"[..]));
}

/// (way to misbehave, kind of fault, what the message says)
const MISDEEDS: [(&str, FaultKind, &str); 23] = [
    ("loop", FaultKind::ModuleDeadline, "ran longer than 200ms (in process"),
    ("bomb", FaultKind::ModuleLimit, "the limit is 16777216 bytes (in process"),
    ("flood", FaultKind::ModuleLimit, "hands over more than 16777216 bytes (in process"),
    ("recursion", FaultKind::ModuleTrap, "(in process"),
    ("err", FaultKind::ModuleError, "the rule cannot work today"),
    ("state", FaultKind::ModuleTrap, "keyed state is not configured for this stage"),
    ("lookup", FaultKind::ModuleError, "lookups are not configured"),
    ("columns", FaultKind::ModuleOutput, "columns: found 1, expected 2"),
    ("short", FaultKind::ModuleOutput, "column \"doubled\": found 1 values for 2 rows"),
    ("kind", FaultKind::ModuleOutput, "found floats for a field of kind integer"),
    ("ends", FaultKind::ModuleOutput, "ends: row 1 ends at 1, before it starts at 2"),
    ("past-end", FaultKind::ModuleOutput, "ends: row 0 ends at 99, which is past the data"),
    ("half-char", FaultKind::ModuleOutput, "inside a character"),
    ("nulls", FaultKind::ModuleOutput, "nulls: row 0 comes after row 1"),
    ("null-row", FaultKind::ModuleOutput, "nulls: there is no row 2, the call has 2 rows"),
    ("absent", FaultKind::ModuleOutput, "absent: row 0 is not in nulls"),
    ("reject-row", FaultKind::ModuleOutput, "rejects: there is no row 2"),
    ("reject-twice", FaultKind::ModuleOutput, "rejects: row 0 comes after row 0"),
    ("removal-row", FaultKind::ModuleOutput, "removals: there is no row 2"),
    ("removal-name", FaultKind::ModuleOutput, "removals: removes \"$topic\""),
    ("parents", FaultKind::ModuleOutput, "there is no parent row 2"),
    (
        "trap-13",
        FaultKind::ModuleTrap,
        "module probe trapped: wasm trap: wasm `unreachable` instruction",
    ),
    ("trap-13", FaultKind::ModuleTrap, "(in process, at "),
];

#[test]
fn each_misdeed_is_a_fault_of_its_kind_and_the_next_call_finds_a_fresh_instance() {
    for (mode, kind, says) in MISDEEDS {
        let (mut stage, _) = bound(mode);
        for _ in 0..2 {
            let fault = call(&mut *stage, &[13, 1]).unwrap_err();
            assert_eq!(fault.kind, kind, "{mode}: {}", fault.chain());
            assert!(fault.chain().contains(says), "{mode}: {}", fault.chain());
        }
    }
}

#[test]
fn a_trap_costs_one_instance_and_no_later_call() {
    let (mut stage, _) = bound("trap-13 calls");
    stage.bind(&schema(2)).unwrap();
    let calls = |stage: &mut dyn Stage| call(stage, &[1]).unwrap().columns[0].int(0);
    assert_eq!((calls(&mut *stage), calls(&mut *stage)), (Some(1), Some(2)));
    assert_eq!(call(&mut *stage, &[1, 13]).unwrap_err().kind, FaultKind::ModuleTrap);
    // Counting begins anew: the memory is fresh. The configuration and both schemas are known.
    assert_eq!(calls(&mut *stage), Some(1));
    let (numbers, texts) = (amounts(&[1]), names(&["a"]));
    let input = StageInput { schema: 2, rows: 1, ops: &[], columns: &[&numbers, &texts] };
    assert_eq!(stage.process(&input).unwrap().columns[0].int(0), Some(2));
}

#[test]
fn a_deadline_is_kept() {
    let (mut stage, _) = bound("loop");
    let started = Instant::now();
    assert_eq!(call(&mut *stage, &[1]).unwrap_err().kind, FaultKind::ModuleDeadline);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_configuration_that_does_not_fit_the_schema_never_reaches_the_module() {
    let probe = own_probe();
    let opened = probe.stats().instances;
    for (config, says) in [
        (
            "7",
            "module probe refuses its configuration: the configuration: found 7, expected text or",
        ),
        ("", "mode: not given, and there is no default"),
        ("loop", "the configuration is not JSON"),
    ] {
        let fault = probe.open(config).err().unwrap();
        assert_eq!(fault.kind, FaultKind::ModuleRefused);
        assert!(fault.chain().contains(says), "{}", fault.chain());
    }
    assert_eq!(probe.stats().instances, opened);
}

#[test]
fn refusals_of_open_and_bind_say_why() {
    let fault = |mode: &str| match probe().open(&text(mode)) {
        Err(fault) => fault,
        Ok(mut stage) => stage.bind(&schema(1)).unwrap_err(),
    };
    for (mode, kind, says) in [
        ("refuse", FaultKind::ModuleRefused, "configuration: the threshold is missing"),
        ("open-loop", FaultKind::ModuleDeadline, "(in open"),
        ("bind-error", FaultKind::ModuleRefused, "shop.public.orders has no field amount"),
        ("same-write", FaultKind::ModuleRefused, "writes \"label\" twice"),
        ("reserved-write", FaultKind::ModuleRefused, "writes \"$offset\""),
        ("topic-kind", FaultKind::ModuleRefused, "writes \"$topic\" as integer, it is text"),
        ("reserved-read", FaultKind::ModuleRefused, "reads \"$nonsense\""),
    ] {
        let fault = fault(mode);
        assert_eq!(fault.kind, kind, "{mode}: {}", fault.chain());
        assert!(fault.chain().contains(says), "{mode}: {}", fault.chain());
    }
}

#[test]
fn a_caller_that_breaks_the_contract_is_told() {
    let (mut stage, _) = bound("");
    let (numbers, texts) = (amounts(&[1]), names(&["a"]));
    for columns in [&[&numbers][..], &[&texts, &numbers], &[&numbers, &amounts(&[1])]] {
        let input = StageInput { schema: 1, rows: 1, ops: &[], columns };
        assert_eq!(stage.process(&input).unwrap_err().kind, FaultKind::Internal);
    }
    let input = StageInput { schema: 9, rows: 1, ops: &[], columns: &[&numbers, &texts] };
    assert_eq!(stage.process(&input).unwrap_err().kind, FaultKind::Internal);
    assert!(call(&mut *stage, &[1]).is_ok());
}

#[test]
fn time_stands_still_in_a_call_and_goes_on_between_calls() {
    let (mut stage, _) = bound("clock");
    let mut read = || call(&mut *stage, &[1]).unwrap().columns[0].int(0).unwrap();
    let first = read();
    assert!(first > 1_500_000_000_000_000);
    let deadline = Instant::now() + Duration::from_secs(5);
    while read() == first {
        assert!(Instant::now() < deadline, "the clock stands still");
    }
}

#[test]
fn what_a_module_measures_can_be_read_and_is_bounded() {
    let module = RUNTIME.load("measured", &guests::guest("probe")).unwrap();
    let Loaded::Transform(module) = module else { panic!("a transform") };
    let run = |mode: &str| {
        let mut stage = module.open(&text(mode)).unwrap();
        stage.bind(&schema(1)).unwrap();
        call(&mut *stage, &[1, 2, 3]).unwrap();
    };
    run("metrics");
    run("metrics log");
    let registry = Arc::clone(&RUNTIME.metrics()["measured"]);
    let metrics = registry.snapshot();
    assert_eq!(metrics["rows"], MetricValue::Counter(6));
    assert_eq!(metrics["ratio"], MetricValue::Gauge(0.5));
    let MetricValue::Histogram(histogram) = &metrics["amount"] else { panic!("histogram") };
    assert_eq!((histogram.count, histogram.sum), (4, 8.0));
    assert!(histogram.buckets.contains(&(1.0, 2)) && histogram.buckets.contains(&(4.0, 4)));
    run("many-metrics");
    assert_eq!(registry.snapshot().len(), 64);
    assert!(registry.refused() > 9_000);
}

#[test]
fn calls_are_counted() {
    let module = RUNTIME.load("counted", &guests::guest("probe")).unwrap();
    let Loaded::Transform(component) = &module else { panic!("a transform") };
    let mut stage = component.open(&text("trap-13 loop-not")).unwrap();
    stage.bind(&schema(1)).unwrap();
    call(&mut *stage, &[1, 2]).unwrap();
    call(&mut *stage, &[13]).unwrap_err();
    stage.close();
    let stats = module.stats();
    assert_eq!((stats.calls, stats.rows, stats.traps, stats.errors), (2, 3, 1, 0));
    // One to be described, one to be opened.
    assert_eq!(stats.instances, 2);
    assert!(stats.cpu_ns > 0);
    assert!((1 << 16..=MEMORY_BYTES as u64).contains(&stats.memory_bytes_max));
}
