//! Case files on a module of closures: decoded, called, applied, encoded, compared.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use wasmgate_cases::{
    Bound, CASES_BYTES_MAX, CaseFile, Report, Sample, check_bundled, made_up, run, run_cases,
};
use wasmgate_connector::fakes::{FnModule, fn_module};
use wasmgate_connector::{
    Emission, Module as _, Projection, Read, StageInput, StageOutput, StageReject, StageVerdict,
    Write,
};
use wasmgate_model::{Column, Fault, FaultKind, Kind};

fn write(name: &str, kind: Kind) -> Write {
    Write { name: name.to_owned(), kind, nullable: true }
}

/// Reads `n` as float, writes twice of it and the topic of large ones; drops what is negative,
/// fails on 13, emits a record for 99, refuses a configuration with `bad`.
fn doubler(optional: bool) -> FnModule {
    let projection = Projection {
        reads: vec![Read { name: "n".to_owned(), kind: Kind::Float, optional }],
        writes: vec![
            write("double", Kind::Float),
            write("$topic", Kind::Text),
            write("$header.seen", Kind::Text),
        ],
        removes: vec!["secret".to_owned()],
        ..Projection::default()
    };
    fn_module("doubler", projection, process).opening(|config| {
        let refused = Fault::new(FaultKind::ModuleRefused, "the word `bad` is not liked");
        if config.contains("bad") { Err(refused) } else { Ok(()) }
    })
}

fn process(input: &StageInput<'_>) -> Result<StageOutput, Fault> {
    let mut output = StageOutput::default();
    let (mut doubles, mut topics) = (Column::new(Kind::Float), Column::new(Kind::Text));
    let mut seen = Column::new(Kind::Text);
    for row in 0..input.rows {
        let n = input.columns[0].float(row as usize).unwrap_or_default();
        if n == 13.0 {
            return Err(Fault::new(FaultKind::ModuleTrap, "unlucky"));
        }
        if n < 0.0 {
            output.rejects.push(StageReject { row, verdict: StageVerdict::Drop });
        }
        if n == 99.0 {
            output.extra.push(Emission {
                topic: "more".to_owned(),
                parents: vec![row],
                fields: Vec::new(),
                columns: Vec::new(),
            });
        }
        doubles.push_float(n * 2.0);
        if n > 50.0 {
            topics.push_bytes(b"large")
        } else {
            topics.push_absent()
        }
        if n > 50.0 { seen.push_bytes(b"yes") } else { seen.push_absent() }
    }
    output.columns = vec![doubles, topics, seen];
    Ok(output)
}

fn report(text: &str) -> Report {
    let case = CaseFile::parse("case", text).unwrap();
    run_cases(&doubler(false), &[case]).unwrap()
}

fn passes(text: &str) {
    let report = report(text);
    assert!(report.passed(), "{report}");
}

#[test]
fn records_leave_as_the_gateway_would_write_them() {
    passes(
        "rows:\n\
         - { value: { n: 1, a: [1, { b: null }] }, key: k, expect: { write: { double: 2 } } }\n\
         - { value: { n: -1 }, expect: drop }\n\
         - value: { n: 60, secret: x }\n  headers: { own: 1 }\n  \
           expect: { write: { double: 120 }, remove: [secret], topic: large, \
                     headers: { seen: 'yes' } }\n\
         - { value: {}, expect: { dead-letter: missing-field, message: '\"n\"' } }\n\
         - { value: { n: x }, expect: { dead-letter: wrong-kind } }\n\
         - { value: 7, expect: { dead-letter: invalid-json, message: an object is expected } }\n\
         - { value: null, key: { id: 1 }, expect: keep }\n",
    );
}

#[test]
fn envelopes_keep_their_shape() {
    passes(
        "schema: { envelope: true }\n\
         rows:\n\
         - value: { op: u, before: { n: 1 }, after: { n: 2 }, source: { lsn: 1 } }\n  \
           expect: { write: { double: 4 } }\n\
         - { value: { op: d, before: { n: 3 }, after: null }, expect: { write: { double: 6 } } }\n",
    );
}

#[test]
fn a_culprit_is_found_and_its_neighbours_pass() {
    passes(
        "rows:\n\
         - { value: { n: 1 }, expect: { write: { double: 2 } } }\n\
         - { value: { n: 13 }, expect: { dead-letter: module-trap, message: unlucky } }\n\
         - { value: { n: 2 }, expect: { write: { double: 4 } } }\n",
    );
}

#[test]
fn typed_schemas_are_checked_and_decimals_converted() {
    passes(
        "schema: { fields: { id: integer, n: decimal }, key: [id] }\n\
         rows: [{ value: { id: 1, n: '2.50' }, expect: { write: { double: 5 } } }]\n",
    );
    passes(
        "schema: { name: t, fields: { id: integer } }\n\
         refuses: 'reads field \"n\", which t does not have (it has id)'\n",
    );
    passes("schema: { fields: { n: text } }\nrefuses: 'as float; it is text'\n");
    passes("config: { bad: 1 }\nrefuses: is not liked\n");
}

#[test]
fn what_is_not_as_expected_is_reported_with_its_line() {
    for (text, parts) in [
        (
            "rows:\n- { value: { n: 1 }, expect: keep }\n- { value: { n: 60 }, expect: drop }\n",
            &[
                "case.yaml:2",
                "value.double: expected nothing, found 2",
                "case.yaml:3",
                "verdict: expected drop, found keep",
                "1 case, 2 records: 2 not as expected",
            ][..],
        ),
        ("config: { bad: 1 }\nrows: [{ value: 1, expect: keep }]", &["found a refusal: the word"]),
        ("refuses: anything", &["refusal: expected … anything …, found none"]),
        (
            "rows: [{ value: { n: 99 }, expect: { write: { double: 198 }, topic: large, \
             headers: { seen: 'yes' } } }]",
            &["additional records: expected none, found some of topic more"],
        ),
    ] {
        let shown = report(text).to_string();
        for part in parts {
            assert!(shown.contains(part), "{part:?} is not in\n{shown}");
        }
    }
}

#[test]
fn a_folder_that_holds_no_cases_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let fault = run(&doubler(false), dir.path()).unwrap_err();
    assert!(fault.chain().contains("there is no case file"), "{}", fault.chain());
    std::fs::write(dir.path().join("a.yaml"), "rows: 7").unwrap();
    let fault = run(&doubler(false), dir.path()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::ModuleRefused);
    assert!(fault.chain().contains("a.yaml:1: rows: found 7"), "{}", fault.chain());
    let text = "rows: [{ value: { n: 1 }, expect: { write: { double: 2 } } }]";
    std::fs::write(dir.path().join("a.yaml"), text).unwrap();
    assert_eq!(
        run(&doubler(false), dir.path()).unwrap().to_string(),
        "1 case, 1 record: all as expected"
    );
}

/// 256 files of a MiB take gigabytes when all are parsed at once.
#[test]
fn a_case_file_is_read_when_the_one_before_it_has_run() {
    let dir = tempfile::tempdir().unwrap();
    let text = "rows: [{ value: { n: 1 }, expect: keep }]";
    for name in ["a.yaml", "b.yaml"] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let second = dir.path().join("b.yaml");
    let read = Read { name: "n".to_owned(), kind: Kind::Float, optional: false };
    let projection = Projection { reads: vec![read], ..Projection::default() };
    let breaks_the_next = fn_module("module", projection, move |_| {
        std::fs::write(&second, "rows: 7").unwrap();
        Ok(StageOutput::default())
    });
    let fault = run(&breaks_the_next, dir.path()).unwrap_err();
    assert!(fault.chain().contains("b.yaml:1: rows: found 7"), "{}", fault.chain());
}

#[test]
fn cases_beside_a_module_decide_about_it() {
    let dir = tempfile::tempdir().unwrap();
    check_bundled(&doubler(false), "doubler", dir.path()).unwrap();
    std::fs::create_dir(dir.path().join("doubler.cases")).unwrap();
    let file = dir.path().join("doubler.cases/one.yaml");
    let text = "rows: [{ value: { n: 1 }, expect: { write: { double: 3 } } }]";
    for (text, part) in [
        (text, "1 not as expected, of 1 records); the first: one.yaml:1: the record is not"),
        ("rows: 7", "its cases cannot be run"),
    ] {
        std::fs::write(&file, text).unwrap();
        let fault = check_bundled(&doubler(false), "doubler", dir.path()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::ModuleRefused);
        assert!(fault.chain().contains(part), "{}", fault.chain());
    }
    std::fs::write(&file, text.replace('3', "2")).unwrap();
    check_bundled(&doubler(false), "doubler", dir.path()).unwrap();
    check_bundled(&doubler(false), "another", dir.path()).unwrap();
}

#[test]
fn samples_repeat_the_records_that_reach_the_module() {
    let text = "rows:\n- { value: { n: 3 }, expect: keep }\n- { value: {}, expect: keep }\n";
    let case = CaseFile::parse("case", text).unwrap();
    let mut stage = doubler(false).open("{}").unwrap();
    let bound = Bound::new(&mut *stage, &case, "test", 0).unwrap();
    let output = Sample::new(&case, &bound, 5).unwrap().call(&mut *stage).unwrap();
    assert_eq!((0..5).map(|row| output.columns[0].float(row)).collect::<Vec<_>>(), [Some(6.0); 5]);
    assert_eq!(Sample::empty(&bound).call(&mut *stage).unwrap().columns[0].len(), 0);

    let made = made_up(case, &bound);
    let output = Sample::new(&made, &bound, 2).unwrap().call(&mut *stage).unwrap();
    assert_eq!(output.columns[0].float(1), Some(25.0));
    let none = CaseFile::parse("case", "rows: [{ value: {}, expect: keep }]").unwrap();
    let fault = Sample::new(&none, &bound, 2).unwrap_err();
    assert!(fault.chain().contains("no record of the case"), "{}", fault.chain());
}

/// What a case file holds may be anything: a link may lead to what nobody else may read, and the
/// reason of a refusal is shown to many.
#[test]
fn what_case_files_hold_is_not_told_and_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let cases = dir.path().join("doubler.cases");
    std::fs::create_dir(&cases).unwrap();
    let told = |part: &str| {
        let fault = check_bundled(&doubler(false), "doubler", dir.path()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::ModuleRefused);
        let chain = fault.chain();
        assert!(chain.contains(part) && !chain.contains("TopSecret"), "{chain}");
    };
    let file = cases.join("one.yaml");
    for (text, part) in [
        ("\"TopSecret\"", "doubler.cases/one.yaml:1: is no case file"),
        ("about: x\nTopSecret: 1\n", "doubler.cases/one.yaml:2: is no case file"),
        ("a: &x [*TopSecret]", "doubler.cases/one.yaml:1: is not valid YAML"),
        ("schema: { fields: { a: TopSecret } }", "is no case file"),
        (
            "rows: [{ value: { n: 1 }, expect: { write: { TopSecret: 3 } } }]",
            "one.yaml:1: the record is not as expected",
        ),
        ("refuses: TopSecret", "one.yaml: the module does not refuse it as expected"),
        ("config: { bad: TopSecret }\nrows: [{ value: {}, expect: drop }]", "one.yaml: the case"),
    ] {
        std::fs::write(&file, text).unwrap();
        told(part);
    }
    std::fs::remove_file(&file).unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "TopSecret").unwrap();
    std::os::unix::fs::symlink(&secret, &file).unwrap();
    told("doubler.cases/one.yaml: is no regular file");
    std::fs::remove_file(&file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, 0o600.into()).unwrap();
    told("doubler.cases/one.yaml: is no regular file");
    std::fs::remove_dir_all(&cases).unwrap();
    std::os::unix::fs::symlink(dir.path(), &cases).unwrap();
    told("doubler.cases: is no folder");
}

#[test]
fn case_files_are_bounded_together() {
    let dir = tempfile::tempdir().unwrap();
    let cases = dir.path().join("doubler.cases");
    std::fs::create_dir(&cases).unwrap();
    let about = "x".repeat((1 << 20) - 100);
    let text = format!("about: {about}\nrows: [{{ value: {{ n: 1 }}, expect: drop }}]\n");
    let count = CASES_BYTES_MAX / text.len() as u64;
    let fill = |number: u64| std::fs::write(cases.join(format!("{number:03}.yaml")), &text);
    (0..count).for_each(|number| fill(number).unwrap());
    let told = || check_bundled(&doubler(false), "doubler", dir.path()).unwrap_err().chain();
    // Each is read and runs, though none is as expected.
    assert!(
        told().contains(&format!("({count} not as expected, of {count} records)")),
        "{}",
        told()
    );
    fill(count).unwrap();
    assert!(told().contains("doubler.cases: larger than 16777216 bytes in all"), "{}", told());
}
