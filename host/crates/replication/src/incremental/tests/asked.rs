//! What is asked for while something else is under way: pauses, stops, tables that are held back.

use super::*;

const NOTHING: [(u8, &str); 0] = [];

/// What a restart would go on with.
fn stored(bench: &Bench) -> Work {
    Work::parse(bench.side.stored.as_ref()).unwrap_or_default()
}

/// How often something was told.
fn told(bench: &Bench, kind: &str) -> usize {
    bench.side.out.kinds.iter().filter(|told| *told == kind).count()
}

#[tokio::test]
async fn nothing_is_begun_while_work_is_paused() {
    let mut bench = Bench::new(&[1], Work::default());
    bench.signal("pause-snapshot", "").await;
    assert!(stored(&bench).paused, "a restart is paused, too");
    bench.signal("execute-snapshot", ASKED).await;
    bench.signal("pause-snapshot", "").await;
    assert_eq!((bench.side.out.kinds.len(), bench.beside.asked), (0, 0), "it was paused before");
    bench.beside.work.queue[0].blocking = true;
    assert!(!bench.beside.is_blocking_next(), "also no snapshot that the stream waits for");
    bench.beside.work.queue[0].blocking = false;
    let mut bench = Bench::new(&[1], stored(&bench));
    bench.go();
    assert_eq!(bench.beside.asked, 0);
    bench.signal("resume-snapshot", "").await;
    assert!(!stored(&bench).paused);
    bench.finish().await;
    assert_eq!(bench.side.out.rows, [(1, "old")]);
}

#[tokio::test]
async fn what_is_asked_for_after_all_was_stopped_is_not_paused() {
    let mut bench = Bench::new(&[1], Work::default());
    bench.signal("execute-snapshot", ASKED).await;
    bench.signal("pause-snapshot", "").await;
    bench.signal("stop-snapshot", "").await;
    bench.signal("execute-snapshot", ASKED).await;
    bench.finish().await;
    assert_eq!(bench.side.out.rows, [(1, "old")]);
}

#[tokio::test]
async fn an_answer_that_comes_after_the_stop_is_passed_over() {
    // The table is asked for.
    let mut bench = Bench::new(&[1, 2, 3], Work::default());
    bench.signal("execute-snapshot", ASKED).await;
    assert!(bench.beside.opening);
    bench.signal("stop-snapshot", "").await;
    bench.signal("execute-snapshot", r#"{"data-collections":["s.gone"]}"#).await;
    bench.finish().await;
    assert_eq!(bench.side.out.rows, NOTHING);
    assert_eq!(told(&bench, "TABLE_SCAN_COMPLETED UNKNOWN_SCHEMA"), 1);
    // A chunk is asked for.
    let mut bench = Bench::new(&[1, 2, 3], Work::default());
    bench.signal("execute-snapshot", ASKED).await;
    while bench.beside.reading.is_none() {
        bench.take().await;
    }
    assert_eq!(bench.beside.asked, 1);
    bench.signal("stop-snapshot", "").await;
    bench.take().await;
    assert!(bench.beside.waiting().is_none());
    bench.signal("execute-snapshot", ASKED).await;
    bench.finish().await;
    assert_eq!(bench.side.out.rows, [(1, "old"), (2, "old"), (3, "old")]);
}

#[tokio::test]
async fn a_stop_gives_up_what_the_stream_waits_for() {
    let tables = || vec![TableItem::of(&name())];
    let item = Item { blocking: true, ..Item::of("id", tables()) };
    for (asked, stopped) in [
        ("", true),
        (r#"{"data-collections":["s.t"]}"#, true),
        (r#"{"data-collections":["s.other"]}"#, false),
    ] {
        let queue = vec![item.clone(), Item::of("next", vec![TableItem::of(&name())])];
        let mut bench = Bench::new(&[1], Work { queue, ..Work::default() });
        bench.side.blocks = true;
        bench.side.open(7, Tracked::new(name(), Vec::new()));
        bench.beside.signal(["id", "stop-snapshot", asked], &mut bench.side).await.unwrap();
        assert_eq!((bench.side.blocks, bench.side.windows.is_empty()), (!stopped, stopped));
        assert_eq!(told(&bench, "ABORTED "), if stopped { 2 } else { 0 }, "{asked}");
        assert_eq!(stored(&bench) == Work::default(), stopped, "{asked}");
    }
}

#[tokio::test]
async fn a_table_that_is_held_back_is_not_read() {
    let stopped = "TABLE_SCAN_COMPLETED STOPPED";
    // Before it is begun.
    let mut bench = Bench::new(&[1, 2, 3], Work::default());
    bench.side.held.push("s.t".into());
    bench.signal("execute-snapshot", ASKED).await;
    assert_eq!((bench.beside.work.queue.len(), told(&bench, stopped)), (0, 1));
    assert!(!bench.beside.opening);
    // While a chunk waits for the stream.
    let mut bench = Bench::new(&[1, 2, 3], Work::default());
    bench.signal("execute-snapshot", ASKED).await;
    bench.chunk().await;
    bench.side.held.push("s.t".into());
    assert!(!bench.deliver().await);
    assert_eq!((bench.beside.work.queue.len(), told(&bench, stopped)), (0, 1));
    assert!(bench.side.out.rows.is_empty() && bench.side.windows.is_empty());
    // By its own rows.
    let mut bench = Bench::new(&[1, 2, 3], Work::default());
    bench.signal("execute-snapshot", ASKED).await;
    bench.chunk().await;
    bench.side.takes = Some(1);
    assert!(!bench.deliver().await);
    assert_eq!((bench.side.out.rows.len(), told(&bench, stopped)), (1, 1));
    assert!(stored(&bench).queue.is_empty());
}

#[tokio::test]
async fn a_table_is_read_once_and_up_to_its_last_row_when_it_was_begun() {
    let mut bench = Bench::new(&[1, 2, 3], Work::default());
    let twice = r#"{"data-collections":["s.t","s\\.[ut]"]}"#;
    bench.signal("execute-snapshot", twice).await;
    assert_eq!(bench.beside.work.queue[0].tables.len(), 1);
    while bench.beside.reading.is_none() {
        bench.take().await;
    }
    bench.table.lock().unwrap().insert(9, "new");
    let work = stored(&bench);
    assert_eq!(work.queue[0].tables[0].max, Some(vec!["3".to_owned()]));
    let mut bench = Bench::new(&[1, 2, 3, 9], work);
    bench.go();
    while bench.beside.reading.is_none() {
        bench.take().await;
    }
    assert_eq!(bench.beside.reading.as_ref().map(|reading| &*reading.max[0]), Some("3"));
}
