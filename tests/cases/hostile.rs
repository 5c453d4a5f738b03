//! Modules and bodies of somebody who means harm, each against a running gateway: a clear reason
//! every time, a good pipeline in the same process that does not notice, memory that stays.
//! `tests/components/` holds the guests, one file each, and `guests!` one test for each file.

mod arena;
mod beside;
mod bodies;
mod letters;
mod start;

use serde_json::{Value, json};
use wasmgate_tests::guests::{Guest, component, stamped};

use arena::Arena;

/// One test a guest. A file of `tests/components/` that is not named here is an arm that is
/// missing below; a name without a file is a variant that there is not.
macro_rules! guests {
    ($($name:ident => $test:expr;)*) => {
        $(
            #[test]
            fn $name() {
                $test(Guest::$name);
            }
        )*

        #[expect(dead_code, reason = "compiled, never run")]
        fn every_guest_has_a_test(guest: Guest) {
            match guest {
                $(Guest::$name => (),)*
            }
        }
    };
}

guests! {
    // Refused before anything is compiled.
    core_only => refused("component-type");
    other_world => refused("no world of wasmgate:transform");
    later_contract => refused("wasmgate:transform/stage@0.2.0");
    foreign_import => refused("acme:net/sockets@1.0.0");

    // Refused when they are first run.
    trap_describe => refused("(in describe");
    trap_open => refused("(in open");
    trap_bind => refused("(in bind");
    loop_open => refused("ran longer than 200ms (in open");
    loop_start => refused("ran longer than 200ms (in instantiate");
    trap_start => refused("(in instantiate");
    table_bomb => refused("table elements, the limit is 20000");
    memory_start => refused("the limit is 16777216 bytes");
    handle_bomb => refused("holds more than 10000 handles");
    instance_bomb => refused("instance");
    config_schema_broken => refused("JSON");
    config_required => refused("threshold: not given");
    config_ignored => refused("limits: not given, and there is no default");

    // One record lost.
    trap_process => loses_one("module-trap", "(in process, at ");
    loop_process => loses_one("module-deadline", "ran longer than 200ms (in process");
    recursion => loses_one("module-trap", "(in process");
    memory_bomb => loses_one("module-limit", "the limit is 16777216 bytes (in process");
    output_bomb => loses_one("module-limit", "hands over more than 16777216 bytes");
    column_count => loses_one("module-output", "columns: found 2, expected 3");
    column_length => loses_one("module-output", "found 0 values for 1 rows");
    column_kind => loses_one("module-output", "found floats for a field of kind integer");
    ends_past => loses_one("module-output", "past the data");
    ends_split => loses_one("module-output", "inside a character");
    text_not_utf8 => loses_one("module-output", "utf-8");
    rejects_range => loses_one("module-output", "rejects: there is no row 1");
    rejects_unsorted => loses_one("module-output", "rejects: row 0 comes after row 0");
    parents_foreign => loses_one("module-output", "there is no parent row 1");
    emission_flood => loses_one("module-output", "found 20000 emissions");
    topic_flood => loses_one("module-output", "found 2000 topics");
    topic_broken => loses_one("module-output", "topic");
    uuid_misfit => loses_one("module-output", "column \"version\": row 0: found 5 bytes of text that are no uuid");
    decimal_misfit => loses_one("module-output", "column \"version\": row 0: found 5 bytes of text that are no decimal");

    // No record lost.
    good => loses_nothing;
    ends_descend => loses_none;
    trap_close => fails_when_it_leaves;
    log_flood => floods_the_log;
    topic_foreign => emits_where_nobody_listens;
    by_the_clock => start::a_module_that_refuses_by_the_clock_waits_for_an_upload;
    code_flood => letters::files_of_dead_letters_are_few_at_a_time;
    turns => beside::a_good_pipeline_does_not_notice;
}

/// Admission refuses it with these words, however it comes.
fn refused(says: &str) -> impl FnOnce(Guest) {
    let says = says.to_owned();
    move |guest| {
        let arena = Arena::start();
        arena.refuses(&component(guest), &says);
        arena.stays_well();
    }
}

/// It is taken in while records pass, and meets the marked one, 13, amid others.
fn accepted(guest: Guest) -> Arena {
    let arena = Arena::start();
    let (status, body) = arena.put(&component(guest));
    assert_eq!((status, &body["state"]), (201, &json!("active")), "{body}");
    arena.feed(10..20);
    arena
}

/// The rule that the others are made of works, or they would show nothing.
fn loses_nothing(_guest: Guest) {
    let arena = Arena::start();
    let (status, body) = arena.put(&stamped(7));
    assert_eq!((status, &body["version"]), (201, &json!("1.7.0")), "{body}");
    arena.feed(10..20);
    let want: Vec<i64> = (0..5).chain(10..20).collect();
    assert_eq!(arena.wait_out(want.len()), want);
    let out = arena.out();
    let seen: Vec<_> = out.iter().map(|r| (r["version"].as_i64(), r["label"].as_str())).collect();
    let versions = (0..15).map(|row| (Some(if row < 5 { 0 } else { 7 }), Some("ada!")));
    assert_eq!(seen, versions.collect::<Vec<_>>());
    assert!(arena.letters().is_empty(), "{:?}", arena.letters());
    arena.stays_well();
}

/// One record becomes a dead letter that says which module did it and why; the others pass.
fn loses_one(code: &str, says: &str) -> impl FnOnce(Guest) {
    let (code, says) = (code.to_owned(), says.to_owned());
    move |guest| {
        let arena = accepted(guest);
        let letters = arena.wait_letters(1);
        arena.resume();
        let want: Vec<i64> = (0..5).chain(10..20).filter(|n| *n != 13).collect();
        assert_eq!(arena.wait_out(want.len()), want, "{}", arena.gateway.describe("hostile"));
        let error = error_of(&letters[0], &json!({ "n": 13, "name": "ada" }));
        assert_eq!(error["code"], code.as_str(), "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&says), "expected {says:?} in {message}");
        let digest = arena.module()["sha256"].clone();
        assert_eq!((&error["stage"], &error["module"]["sha256"]), (&json!("guest"), &digest));
        assert_eq!(error["module"]["version"], "1.0.0", "{error}");
        assert_eq!(arena.letters().len(), 1, "{:?}", arena.letters());
        arena.stays_well();
    }
}

/// What a dead letter says about a record that is kept as it was.
fn error_of<'a>(letter: &'a Value, record: &Value) -> &'a Value {
    assert_eq!(&letter["value"], record, "{letter}");
    &letter["error"]
}

/// A module that fails again and again is not called any more: its pipeline pauses, loses nothing,
/// and goes on with the next version.
#[test]
fn breaker_pauses_nobody_else() {
    let arena = Arena::start();
    let (status, body) = arena.put(&component(Guest::trap_process));
    assert_eq!(status, 201, "{body}");
    arena.feed(std::iter::repeat_n(13, 30));
    let paused = |status: &Value| status["state"] == "paused";
    let status = arena.gateway.wait_pipeline("hostile", "the pause", paused);
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("guest") && reason.contains("trapped"), "{reason}");
    let (status, body) = arena.put(&stamped(1));
    assert_eq!(status, 201, "{body}");
    arena.gateway.wait_pipeline("hostile", "work", |status| status["state"] == "running");
    let came = || arena.out().len() - 5 + arena.letters().len();
    wasmgate_tests::wait_for(
        "every record, passed or as a dead letter",
        || (came() >= 30).then_some(()),
        || arena.gateway.describe("hostile"),
    );
    assert_eq!(came(), 30, "{}", arena.gateway.describe("hostile"));
    arena.stays_well();
}

/// The answer to a whole batch is wrong, and to each of its records right.
fn loses_none(guest: Guest) {
    let arena = accepted(guest);
    let want: Vec<i64> = (0..5).chain(10..20).collect();
    assert_eq!(arena.wait_out(want.len()), want);
    assert!(arena.letters().is_empty(), "{:?}", arena.letters());
    let errors = arena.module()["stats"]["errors"].as_i64();
    assert!(errors >= Some(1), "the wrong answer was not noticed: {}", arena.module());
    arena.stays_well();
}

/// Its trap comes when nobody waits for an answer any more.
fn fails_when_it_leaves(guest: Guest) {
    let arena = accepted(guest);
    arena.wait_out(15);
    let (status, body) = arena.put(&stamped(1));
    assert_eq!(status, 201, "{body}");
    arena.feed(20..23);
    arena.wait_out(18);
    wasmgate_tests::wait_for(
        "the trap in the log",
        || arena.gateway.log().contains("(in close").then_some(()),
        || arena.gateway.log(),
    );
    assert!(arena.letters().is_empty(), "{:?}", arena.letters());
    arena.stays_well();
}

/// What it says is cut, and no more than a few lines of it are written.
fn floods_the_log(guest: Guest) {
    let arena = accepted(guest);
    let want: Vec<i64> = (0..5).chain(10..20).collect();
    assert_eq!(arena.wait_out(want.len()), want);
    // The last lines of the log may not be read yet.
    let log = wasmgate_tests::wait_for(
        "what it says",
        || Some(arena.gateway.log()).filter(|log| log.contains("module says")),
        || arena.gateway.log(),
    );
    let said: Vec<&str> = log.lines().filter(|line| line.contains("module says")).collect();
    assert!((1..200).contains(&said.len()), "{} lines", said.len());
    let tagged = |line: &&str| line.contains("guest") && line.contains("1.0.0");
    assert!(said.iter().all(tagged), "{said:?}");
    arena.stays_well();
}

/// A record for a topic that no sink takes is a dead letter; its parent passes.
fn emits_where_nobody_listens(guest: Guest) {
    let arena = accepted(guest);
    let letters = arena.wait_letters(1);
    arena.wait_out(15);
    let message = letters[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("elsewhere"), "{message}");
    arena.stays_well();
}
