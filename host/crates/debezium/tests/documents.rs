//! Documents of the shapes that people keep: each is taken, or refused with a reason that names
//! the property.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;

use wasmgate_debezium::{Origin, Property, Provider, Translation, read, resolve, translate};

/// What becomes of a document.
enum Fate {
    /// It runs.
    Taken,
    /// It is no connector's document.
    NoDocument(&'static str),
    /// Each of these: property, part of the reason.
    Refused(&'static [(&'static str, &'static str)]),
}

use Fate::{NoDocument, Refused, Taken};

const DOCUMENTS: &[(&str, Fate)] = &[
    ("avro", Refused(&[("key.converter", "Avro"), ("value.converter", "Avro")])),
    ("bare", Taken),
    ("busy", Taken),
    ("cloudevents", Refused(&[("value.converter", "CloudEvents")])),
    ("custom", Refused(&[("converters", "classes of Java"), ("post.processors", "of Java")])),
    ("exported", Taken),
    ("form", NoDocument("`connection` is no member")),
    ("least", Taken),
    ("lineage", Refused(&[("transforms.lineage.type", "openlineage.OpenLineage")])),
    ("mongodb", Refused(&[("connector.class", "MongoDB")])),
    ("mysql", Taken),
    ("mysql-of-version-1", Taken),
    ("mysql-signals", Taken),
    ("numbers", Taken),
    ("of-version-1", Taken),
    ("one-schema", Taken),
    (
        "outbox",
        Refused(&[
            ("key.converter", "Java's notation"),
            ("value.converter", "Java's notation"),
            ("transforms.outbox.type", "the outbox router"),
        ]),
    ),
    ("patterns", Taken),
    ("rows", Taken),
    ("schemas", Taken),
    ("secrets", Taken),
    ("shards", Refused(&[("transforms.merge.type", "makes keys unique")])),
    ("signals", Taken),
    ("standby", Taken),
    ("tables", Taken),
    ("unnamed", NoDocument("has no name")),
    ("wal2json", Refused(&[("plugin.name", "only `pgoutput`")])),
];

struct Secrets(HashMap<&'static str, &'static str>);

impl Provider for Secrets {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|v| (*v).to_owned())
    }

    fn file(&self, path: &str) -> io::Result<String> {
        self.variable(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/documents")
}

fn translated(text: &str) -> Result<Vec<Translation>, String> {
    let secrets = Secrets(HashMap::from([
        ("CRM_HOST", "crm-db"),
        ("/run/crm.properties", "user=capture\n"),
        ("/run/secrets/crm", "hunter2\n"),
    ]));
    let documents = read(text, None).map_err(|refusal| refusal.message)?;
    let translated = documents.into_iter().map(|document| {
        let properties = document.config.into_iter().map(|member| Property {
            resolved: resolve(&member.written, &secrets).unwrap(),
            name: member.name,
            written: member.written,
            origin: Origin::Document(member.place),
        });
        translate(properties.collect(), &[])
    });
    Ok(translated.collect())
}

#[test]
fn every_document_is_taken_or_refused_with_its_reason() {
    let mut wrong = String::new();
    for (name, fate) in DOCUMENTS {
        let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        let refused: BTreeSet<(String, String)> = match (translated(&text), fate) {
            (Err(message), NoDocument(want)) if message.contains(want) => continue,
            (Err(message), _) => {
                wrong += &format!("{name}: {message}\n");
                continue;
            }
            (Ok(all), _) => {
                let findings = all.into_iter().flat_map(|translation| translation.findings);
                let errors = findings.filter(|finding| finding.verdict.is_error());
                errors.map(|finding| (finding.property, finding.text)).collect()
            }
        };
        let wanted: &[(&str, &str)] = match fate {
            Taken => &[],
            NoDocument(_) => &[("a refusal", "")],
            Refused(wanted) => wanted,
        };
        let fits = |(property, text): &(String, String)| {
            wanted.iter().any(|(name, part)| name == property && text.contains(part))
        };
        if refused.len() != wanted.len() || !refused.iter().all(fits) {
            wrong += &format!("{name}: {refused:#?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_document_of_the_folder_is_looked_at() {
    let entries = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().file_name());
    let there: BTreeSet<_> = entries.map(|name| name.into_string().unwrap()).collect();
    let listed: BTreeSet<_> = DOCUMENTS.iter().map(|(name, _)| format!("{name}.json")).collect();
    assert_eq!(there, listed);
}
