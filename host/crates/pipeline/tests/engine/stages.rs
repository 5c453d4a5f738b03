//! What stages do to rows.

use wasmgate_connector::fakes::{FnModule, fn_module};
use wasmgate_connector::{
    Decision, Emission, Projection, Read, StageInput, StageOutput, StageReject, StageVerdict, Write,
};
use wasmgate_model::{Column, Fault, FaultKind, Kind};

use super::rig::{Rig, script};

pub(crate) fn reads(name: &str, kind: Kind) -> Read {
    Read { name: name.into(), kind, optional: false }
}

pub(crate) fn writes(name: &str, kind: Kind) -> Write {
    Write { name: name.into(), kind, nullable: true }
}

fn ints(input: &StageInput<'_>, column: usize) -> Vec<i64> {
    (0..input.rows as usize).map(|i| input.columns[column].int(i).unwrap()).collect()
}

/// Rejects odd ids: those divisible by three are dead-lettered, the others dropped.
fn odd_out() -> FnModule {
    let projection =
        Projection { reads: vec![reads("id", Kind::Integer)], ..Projection::default() };
    fn_module("odd-out", projection, |input| {
        let mut output = StageOutput::default();
        for (row, id) in ints(input, 0).into_iter().enumerate().filter(|(_, id)| id % 2 == 1) {
            let verdict = match id % 3 {
                0 => StageVerdict::DeadLetter { code: "three".into(), message: "no".into() },
                _ => StageVerdict::Drop,
            };
            output.rejects.push(StageReject { row: row as u32, verdict });
        }
        Ok(output)
    })
}

/// Writes `double` = 2 * id, and the topic for ids over ten.
fn double() -> FnModule {
    let projection = Projection {
        reads: vec![reads("id", Kind::Integer)],
        writes: vec![writes("double", Kind::Integer), writes("$topic", Kind::Text)],
        ..Projection::default()
    };
    fn_module("double", projection, |input| {
        let (mut double, mut topic) = (Column::new(Kind::Integer), Column::new(Kind::Text));
        for id in ints(input, 0) {
            double.push_int(id * 2);
            if id > 10 { topic.push_bytes(b"big") } else { topic.push_null() }
        }
        Ok(StageOutput { columns: vec![double, topic], ..StageOutput::default() })
    })
}

#[tokio::test]
async fn rejects_leave_and_later_stages_see_the_rest() {
    let rig = Rig::new(script(2, 10)).stage(double()).stage(odd_out()).stage(double());
    rig.run().await;
    let rows: Vec<_> = rig.sink.look(|log| {
        let text = |r: &wasmgate_connector::fakes::SinkRow| {
            (
                r.row,
                r.topic.clone(),
                r.written.iter().find(|w| &*w.0 == "double").unwrap().1.clone(),
            )
        };
        log.durable.iter().map(text).collect()
    });
    let want: Vec<_> = (0..20)
        .step_by(2)
        .map(|id: u32| {
            let topic = if id > 10 { "big" } else { "t" };
            (id % 10, topic.to_owned(), Some((id * 2).to_string()))
        })
        .collect();
    assert_eq!(rows, want);
    let letters: Vec<u64> =
        rig.letters.look(|log| log.letters.iter().map(|l| l.position.major - 1).collect());
    assert_eq!(letters, [3, 9, 15]);
    let metrics = rig.telemetry.render(&[]);
    for line in [
        "wasmgate_records_dropped_total{pipeline=\"p\",stage=\"odd-out\"} 7",
        "wasmgate_dead_letters_total{code=\"three\",pipeline=\"p\",stage=\"odd-out\"} 3",
        "wasmgate_records_out_total{pipeline=\"p\"} 10",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test]
async fn a_failing_row_is_found_and_its_neighbours_go_on() {
    let projection =
        Projection { reads: vec![reads("id", Kind::Integer)], ..Projection::default() };
    let rig = Rig::new(script(2, 16)).stage(fn_module("touchy", projection, |input| {
        match ints(input, 0).iter().any(|id| [5, 20].contains(id)) {
            true => Err(Fault::new(FaultKind::ModuleTrap, "unreachable")),
            false => Ok(StageOutput::default()),
        }
    }));
    rig.run().await;
    assert_eq!(rig.durable_rows().len(), 30);
    let letters = rig.letters.look(|log| log.letters.clone());
    let found: Vec<_> =
        letters.iter().map(|l| (l.position.major - 1, &*l.cause.code, &*l.cause.stage)).collect();
    assert_eq!(found, [(5, "module-trap", "touchy"), (20, "module-trap", "touchy")]);
    assert_eq!(letters[0].cause.module.as_ref().unwrap().0, "touchy");
}

#[tokio::test]
async fn emissions_settle_with_their_parents() {
    let projection =
        Projection { reads: vec![reads("id", Kind::Integer)], ..Projection::default() };
    let rig = Rig::new(script(1, 4)).stage(fn_module("alert", projection, |input| {
        let mut column = Column::new(Kind::Integer);
        ints(input, 0).iter().for_each(|id| column.push_int(*id));
        let extra = vec![Emission {
            topic: "alerts".into(),
            parents: (0..input.rows).collect(),
            fields: vec![writes("id", Kind::Integer)],
            columns: vec![column],
        }];
        Ok(StageOutput { extra, ..StageOutput::default() })
    }));
    rig.run().await;
    let topics = rig.sink.look(|log| {
        let count = |t: &str| log.durable.iter().filter(|r| r.topic == t).count();
        (count("t"), count("alerts"))
    });
    assert_eq!(topics, (4, 4));
    assert_eq!(rig.store.look(|log| log.at("p", "one").unwrap().major), 4);
}

#[tokio::test]
async fn the_policy_decides_per_record_and_a_retry_keeps_its_place() {
    let projection =
        Projection { reads: vec![reads("id", Kind::Integer)], ..Projection::default() };
    let tries = std::sync::atomic::AtomicU32::new(0);
    let mut rig = Rig::new(script(2, 8)).stage(fn_module("moody", projection, move |input| {
        let ids = ints(input, 0);
        let reject = |row: usize, code: &str| StageReject {
            row: row as u32,
            verdict: StageVerdict::DeadLetter { code: code.into(), message: String::new() },
        };
        let mut output = StageOutput::default();
        for (row, id) in ids.iter().enumerate() {
            match id {
                1 => output.rejects.push(reject(row, "drop-me")),
                2 => output.rejects.push(reject(row, "elsewhere")),
                3 if tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 => {
                    output.rejects.push(reject(row, "again"));
                }
                _ => {}
            }
        }
        Ok(output)
    }));
    rig.policy = Some(wasmgate_connector::fakes::FakePolicy::new(|f| match &*f.code {
        "drop-me" => Decision::Drop,
        "again" if f.attempt < 5 => Decision::Retry(1),
        _ => Decision::DeadLetter(Some(format!("dlq.{}", f.code))),
    }));
    rig.run().await;
    let mut rows: Vec<u64> = rig.durable_rows().iter().map(|r| r - 1).collect();
    let second = rows.split_off(6);
    rows.sort_unstable();
    assert_eq!(rows, [0, 3, 4, 5, 6, 7], "the retried row is settled with its delivery");
    assert_eq!(second, (8..16).collect::<Vec<_>>());
    let letters = rig.letters.look(|log| log.letters.clone());
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].chosen.as_deref(), Some("dlq.elsewhere"));
    let attempts: Vec<u32> = rig.policy.unwrap().look(|failures| {
        failures.iter().filter(|f| f.code == "again").map(|f| f.attempt).collect()
    });
    assert_eq!(attempts, [1, 2]);
}
