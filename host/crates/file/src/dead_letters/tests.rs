#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use serde_json::Value;
use wasmgate_codec::document::Format;
use wasmgate_connector::conformance::{self, ReadLetter};
use wasmgate_connector::fakes;
use wasmgate_model::{DeadLetterCause, Schema};

use super::*;
use crate::input;

fn letter(line: &str) -> ReadLetter {
    let record = input::parse(line.as_bytes(), Format::Json).unwrap();
    let whole: Value = serde_json::from_str(line).unwrap();
    let error = whole.get("error").unwrap();
    let text = |of: &Value, name: &str| of.get(name).unwrap().as_str().unwrap().to_owned();
    ReadLetter {
        topic: record.topic.into_owned(),
        key: record.key.map(|b| b.into_owned()),
        value: record.value.map(|b| b.into_owned()),
        stage: text(error, "stage"),
        code: text(error, "code"),
        message: text(error, "message"),
        module: error
            .get("module")
            .map(|m| (text(m, "name"), text(m, "version"), text(m, "sha256"))),
    }
}

fn letters(path: &Path) -> Vec<ReadLetter> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(letter).collect()
}

fn place(dir: &Path) -> FileDeadLetters {
    FileDeadLetters::new(FileDeadLetterSettings { dir: dir.into() })
}

#[tokio::test]
async fn passes_the_kit() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("dead/letters");
    let path = dir.join("conformance.jsonl");
    conformance::dead_letters(&place(&dir), async || letters(&path)).await;
}

#[tokio::test]
async fn a_chosen_topic_has_its_own_file_and_the_place_of_the_record_is_named() {
    let root = tempfile::tempdir().unwrap();
    let mut open = place(root.path()).open().await.unwrap();
    let schema = Arc::new(Schema::open(1, "t".into(), false));
    let mut batch = fakes::documents(&schema, 41, &[(None, Some(b"x"))]);
    batch.headers.push("h", Some(b"\xff"));
    batch.headers.end_row(0);
    let delivery = fakes::delivery("orders-3", 41, vec![batch]);
    let cause = DeadLetterCause {
        stage: "rule".into(),
        code: "bad".into(),
        message: "why".into(),
        module: None,
    };
    let topic = Some("parked".to_owned());
    let letter = DeadLetter { batch: 0, row: 0, cause, attempts: 3, topic };
    let context = DeadLetterContext { pipeline: "orders".into(), source: "kafka" };
    open.write(&context, &delivery, &[letter]).await.unwrap();
    let text = std::fs::read_to_string(root.path().join("parked.jsonl")).unwrap();
    let mut line: Value = serde_json::from_str(&text).unwrap();
    let error = line.get_mut("error").unwrap();
    let at = error.as_object_mut().unwrap().remove("at").unwrap();
    assert!(at.as_i64().unwrap() > 1_700_000_000_000);
    let want = json!({
        "topic": "t", "key": null, "value": {"$bytes": "eA=="},
        "headers": [["h", {"$bytes": "/w=="}]], "timestamp": 42,
        "error": {
            "stage": "rule", "code": "bad", "message": "why", "attempts": 3, "pipeline": "orders",
            "source": "kafka", "partition": "orders-3", "position": "42/0",
        },
    });
    assert_eq!(line, want);
}
