#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::{Place, read};

#[test]
fn every_shape_of_a_document_is_read() {
    let config = r#"{"a": "x", "n": 5432, "yes": true, "gone": null}"#;
    let shapes = [
        format!(r#"{{"name": " c ", "config": {config}}}"#),
        format!(r#"{{"config": {config}, "name": "c", "initial_state": "running"}}"#),
        format!(r#"{{"name": "c", "config": {config}, "tasks": [], "type": "source"}}"#),
        r#"{"name": "c", "a": "x", "n": 5432, "yes": true}"#.to_owned(),
        format!(r#"[{{"name": "c", "config": {config}}}]"#),
        format!(r#"{{"c": {{"info": {{"name": "c", "config": {config}, "tasks": []}}}}}}"#),
        format!("\t{{\"name\":\t\"c\",\r\n\t\"config\":{config}}}"),
    ];
    for shape in shapes {
        let documents = read(&shape, None).unwrap();
        assert_eq!(documents.len(), 1, "{shape}");
        assert_eq!(documents[0].name, "c", "{shape}");
        let config: Vec<(&str, &str)> =
            documents[0].config.iter().map(|m| (m.name.as_str(), m.written.as_str())).collect();
        assert_eq!(config, [("a", "x"), ("n", "5432"), ("yes", "true")], "{shape}");
    }
}

#[test]
fn values_know_their_places() {
    let text = "{\n  \"name\": \"c\",\n  \"config\": {\n    \"ü\": \"a\\\"b\\u00e9\",\n  \"n\": -1.5e3 }\n}";
    let document = read(text, None).unwrap().remove(0);
    assert_eq!(document.name_place, Place { line: 2, column: 11, width: 3 });
    let places: Vec<_> = document.config.iter().map(|m| (m.written.as_str(), m.place)).collect();
    assert_eq!(
        places,
        [
            ("a\"bé", Place { line: 4, column: 10, width: 12 }),
            ("-1.5e3", Place { line: 5, column: 8, width: 6 }),
        ]
    );
}

#[test]
fn what_is_no_document_is_refused_with_the_place() {
    for (text, line, want) in [
        ("{\n\"name\": \"c\",\n}", 3, "not valid JSON: trailing comma"),
        ("", 1, "not valid JSON: EOF"),
        ("[]", 1, "holds no connector"),
        ("\"x\"", 1, "is not a connector's document"),
        ("{\"config\": {}}", 1, "has no name"),
        ("{\"connector.class\": \"x\"}", 1, "has no name"),
        ("{\"name\": \"\", \"config\": {}}", 1, "has no name"),
        ("{\"name\": \"c\",\n\"config\": {\"a\": [1]}}", 2, "`a` is no text"),
        ("{\"name\": \"c\", \"config\": {\"a\": \"1\",\n\"a\": \"2\"}}", 2, "`a` is given twice"),
        ("{\"name\": \"c\", \"config\": {\"name\": \"d\"}}", 1, "`config.name` is `d`"),
        ("{\"name\": \"c\", \"config\": {}, \"connection\": 1}", 1, "`connection` is no member"),
        ("{\"name\": \"c\", \"config\": {}, \"initial_state\": \"PAUSED\"}", 1, "`PAUSED`"),
    ] {
        let refusal = read(text, None).unwrap_err();
        assert!(refusal.message.contains(want), "{text}: {refusal:?}");
        assert_eq!(refusal.place.line, line, "{text}");
        assert!(!refusal.help.is_empty(), "{text}");
    }
}

#[test]
fn a_name_may_be_given_beside_the_document() {
    let bare = "{\"connector.class\": \"x\"}";
    assert_eq!(read(bare, Some("c")).unwrap()[0].name, "c");
    let named = "{\"name\": \"c\", \"config\": {}}";
    assert_eq!(read(named, Some("c")).unwrap()[0].name, "c");
    let refusal = read(named, Some("d")).unwrap_err();
    assert!(refusal.message.contains("is `c`, but is given as `d`"), "{refusal:?}");
}
