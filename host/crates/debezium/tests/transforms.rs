//! Chains of transforms, and the predicates before them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use wasmgate_debezium::{Origin, Place, Property, Setting, Translation, Value, Verdict, translate};

const UNWRAP: &str = "io.debezium.transforms.ExtractNewRecordState";
const ROUTER: &str = "org.apache.kafka.connect.transforms.RegexRouter";
const TOPIC: &str = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";
const TOMBSTONE: &str = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone";
const HEADER: &str = "org.apache.kafka.connect.transforms.predicates.HasHeaderKey";

fn with(more: &[(&str, &str)]) -> Translation {
    let least = [
        ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
        ("database.hostname", "db"),
        ("database.user", "u"),
        ("database.dbname", "shop"),
        ("topic.prefix", "p"),
    ];
    let all = least.iter().chain(more).map(|(name, value)| Property {
        name: (*name).to_owned(),
        written: (*value).to_owned(),
        resolved: None,
        origin: Origin::Document(Place::default()),
    });
    translate(all.collect(), &[])
}

fn json(setting: &Setting) -> Json {
    match &setting.value {
        Value::Flag(flag) => json!(flag),
        Value::Whole(n) => json!(n),
        Value::Text(text) | Value::Any(text) => json!(text),
        Value::List(entries) => entries.iter().map(json).collect(),
        Value::Map(members) => members
            .iter()
            .map(|(name, setting)| (name.clone(), json(setting)))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn stages(translation: &Translation) -> Json {
    assert!(!translation.is_refused(), "{:?}", translation.findings);
    translation.pipeline.get("transforms").map_or(json!([]), json)
}

fn error(translation: &Translation, property: &str) -> String {
    let finding = translation.findings.iter().find(|f| f.property == property).unwrap();
    assert!(finding.verdict.is_error(), "{finding:?}");
    finding.text.clone()
}

#[test]
fn a_chain_becomes_modules_in_its_order() {
    let translation = with(&[
        ("transforms.route.replacement", "$3"),
        ("transforms", " unwrap, route "),
        ("transforms.route.type", ROUTER),
        ("transforms.route.regex", r"([^.]+)\.([^.]+)\.([^.]+)"),
        ("transforms.unwrap.type", UNWRAP),
        ("transforms.unwrap.delete.tombstone.handling.mode", "rewrite"),
        ("transforms.unwrap.add.fields", "op,table,lsn"),
        ("transforms.unwrap.drop.tombstones", "false"),
        ("transforms.unwrap.delete.handling.mode", "rewrite"),
    ]);
    let unwrap = json!({ "module": "unwrap", "config": {
        "delete.tombstone.handling.mode": "rewrite", "add.fields": "op,table,lsn" } });
    let topics = json!([{ "pattern": r"([^.]+)\.([^.]+)\.([^.]+)", "topic": "$3" }]);
    let route = json!({ "module": "route", "config": { "topics": topics } });
    assert_eq!(stages(&translation), json!([unwrap, route]));
    let finding = |name: &str| translation.findings.iter().find(|f| f.property == name).unwrap();
    for removed in ["drop.tombstones", "delete.handling.mode"] {
        let finding = finding(&format!("transforms.unwrap.{removed}"));
        assert_eq!(finding.verdict, Verdict::Ignored);
        assert!(finding.text.contains("without effect"), "{finding:?}");
    }
    let origin = ("transforms[1].module".to_owned(), "transforms.route.type".to_owned());
    assert!(translation.origins.contains(&origin), "{:?}", translation.origins);
}

#[test]
fn what_no_module_does_is_refused_by_name() {
    for class in [
        "io.debezium.transforms.ByLogicalTableRouter",
        "io.debezium.transforms.outbox.EventRouter",
        "org.apache.kafka.connect.transforms.InsertField$Value",
        "com.example.Mine",
    ] {
        let translation = with(&[
            ("transforms", "t"),
            ("transforms.t.type", class),
            ("transforms.t.option", "x"),
            ("transforms.t.predicate", "p"),
        ]);
        assert!(error(&translation, "transforms.t.type").contains(class), "{class}");
    }
}

#[test]
fn what_is_wrong_in_a_chain_is_named() {
    let unwrap = ("transforms.t.type", UNWRAP);
    let router = ("transforms.t.type", ROUTER);
    let replacement = ("transforms.t.replacement", "x");
    for (properties, name, want) in [
        (vec![], "transforms.t.type", "is missing"),
        (vec![router, replacement], "transforms.t.regex", "is missing"),
        (vec![router, ("transforms.t.regex", "a")], "transforms.t.replacement", "is missing"),
        (
            vec![router, replacement, ("transforms.t.regex", "(?!a).*")],
            "transforms.t.regex",
            "look-around",
        ),
        (
            vec![unwrap, ("transforms.t.delete.tombstone.handling.mode", "keep")],
            "transforms.t.delete.tombstone.handling.mode",
            "found `keep`, expected `drop`, `tombstone`",
        ),
        (
            vec![unwrap, ("transforms.t.drop.fields.from.key", "maybe")],
            "transforms.t.drop.fields.from.key",
            "expected `true` or `false`",
        ),
    ] {
        let mut all = vec![("transforms", "t")];
        all.extend(properties);
        let translation = with(&all);
        assert!(error(&translation, name).contains(want), "{name}: {translation:?}");
    }
    let twice = with(&[("transforms", "t,t"), unwrap]);
    assert!(error(&twice, "transforms").contains("twice"));
    let typo = with(&[("transforms", "t"), unwrap, ("transforms.t.add.feilds", "op")]);
    let finding = typo.findings.iter().find(|f| f.verdict == Verdict::Unknown).unwrap();
    assert_eq!(finding.help.as_deref(), Some("did you mean `add.fields`?"));
}

/// One transform with a predicate.
fn guarded(class: &str, predicate: &str, more: &[(&str, &str)]) -> Translation {
    let mut all = vec![
        ("transforms", "t"),
        ("transforms.t.type", class),
        ("transforms.t.predicate", "p"),
        ("predicates", "p"),
        ("predicates.p.type", predicate),
    ];
    if class == ROUTER {
        all.extend([("transforms.t.regex", "a"), ("transforms.t.replacement", "b")]);
    }
    all.extend(more);
    with(&all)
}

#[test]
fn predicates_are_honoured_where_they_can_be_said() {
    let pattern = ("predicates.p.pattern", r"p\.public\..*");
    let negate = ("transforms.t.negate", "true");
    let topics = guarded(UNWRAP, TOPIC, &[pattern]);
    assert_eq!(stages(&topics)[0]["when"], json!({ "topics": [r"p\.public\..*"] }));
    let rewrite = ("transforms.t.delete.tombstone.handling.mode", "rewrite");
    let kept = guarded(UNWRAP, TOMBSTONE, &[negate, rewrite]);
    let mode = &stages(&kept)[0]["config"]["delete.tombstone.handling.mode"];
    assert_eq!(*mode, json!("rewrite-with-tombstone"));
    for (translation, want) in [
        (guarded(UNWRAP, TOPIC, &[pattern, negate]), "cannot be negated"),
        (guarded(UNWRAP, TOMBSTONE, &[rewrite]), "`RecordIsTombstone`"),
        (guarded(UNWRAP, TOMBSTONE, &[negate]), "`RecordIsTombstone`"),
        (guarded(ROUTER, TOMBSTONE, &[negate]), "`RecordIsTombstone`"),
        (guarded(UNWRAP, HEADER, &[("predicates.p.name", "h")]), "`HasHeaderKey`"),
        (guarded(UNWRAP, "com.example.P", &[]), "`com.example.P` is not known"),
        (
            with(&[
                ("transforms", "t"),
                ("transforms.t.type", UNWRAP),
                ("transforms.t.predicate", "p"),
                ("predicates", "q"),
            ]),
            "does not name `p`",
        ),
    ] {
        assert!(error(&translation, "transforms.t.predicate").contains(want), "{want}");
    }
    let unpatterned = guarded(UNWRAP, TOPIC, &[]);
    assert!(error(&unpatterned, "predicates.p.pattern").contains("is missing"));
}

#[test]
fn a_predicate_on_topics_is_refused_after_they_changed() {
    let translation = with(&[
        ("transforms", "a,b"),
        ("transforms.a.type", ROUTER),
        ("transforms.a.regex", "x"),
        ("transforms.a.replacement", "y"),
        ("transforms.b.type", UNWRAP),
        ("transforms.b.predicate", "p"),
        ("predicates", "p"),
        ("predicates.p.type", TOPIC),
        ("predicates.p.pattern", "y"),
    ]);
    assert!(error(&translation, "transforms.b.predicate").contains("renames topics"));
}
