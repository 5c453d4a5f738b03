//! How keys, values and headers are written: the converters of a connector, or of the defaults.
//! JSON is written by the sinks; any other converter is refused by name.

use crate::setting::{Setting, Value};
use crate::spelling::closest;
use crate::translate::Work;
use crate::{Verdict, value};

/// Whose converters there are. A document's own replaces the default with all its options.
pub(crate) const ROLES: &[&str] = &["key.converter", "value.converter", "header.converter"];

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Options of the JSON converter.
const OPTIONS: &[&str] =
    &["schemas.enable", "schemas.cache.size", "decimal.format", "replace.null.with.default"];

/// Other converters that documents name.
const OTHERS: &[(&str, &str)] = &[
    ("org.apache.kafka.connect.storage.StringConverter", "text in Java's notation"),
    ("org.apache.kafka.connect.converters.ByteArrayConverter", "raw bytes"),
    ("io.debezium.converters.ByteArrayConverter", "raw bytes"),
    ("io.debezium.converters.BinaryDataConverter", "raw bytes"),
    ("io.debezium.converters.CloudEventsConverter", "CloudEvents"),
    ("io.confluent.connect.avro.AvroConverter", "Avro"),
    ("io.apicurio.registry.utils.converter.AvroConverter", "Avro"),
    ("io.confluent.connect.protobuf.ProtobufConverter", "Protobuf"),
    ("io.confluent.connect.json.JsonSchemaConverter", "JSON with a schema registry"),
    ("io.apicurio.registry.utils.converter.ExtJsonConverter", "JSON with a schema registry"),
];

/// Headers are texts, and other values are JSON, as these write them.
const HEADERS: &[&str] = &[
    "org.apache.kafka.connect.storage.SimpleHeaderConverter",
    "org.apache.kafka.connect.storage.StringConverter",
];

/// What the reference says about converters.
pub(crate) fn others() -> impl Iterator<Item = (&'static str, &'static str)> {
    OTHERS.iter().copied()
}

pub(crate) fn translate(work: &mut Work) {
    for role in ROLES {
        let class = work.find(role).map(|(i, p)| (i, p.value().trim().to_owned()));
        match (*role, class) {
            ("header.converter", Some((index, class))) => header(work, index, &class),
            ("header.converter", None) => options_ignored(work, role),
            (role, Some((index, class))) if is(&class, JSON) => json(work, role, Some(index)),
            (role, None) => json(work, role, None),
            (_, Some((index, class))) => refuse(work, index, &class),
        }
    }
}

/// A whole name, or its last part.
fn is(found: &str, class: &str) -> bool {
    found == class || class.rsplit('.').next() == Some(found)
}

fn header(work: &mut Work, index: usize, class: &str) {
    if HEADERS.iter().any(|known| is(class, known)) {
        work.honoured(index, "headers are texts; other values are JSON");
    } else {
        let class = work.shown(index, class);
        let why = format!("`{class}`: headers are texts, and other values are JSON");
        work.refuse(index, why, "leave it out");
    }
    options_ignored(work, "header.converter");
}

fn options_ignored(work: &mut Work, role: &str) {
    for (index, _) in work.under(&format!("{role}.")) {
        work.answer(index, Verdict::Ignored, "headers are texts; other values are JSON");
    }
}

fn refuse(work: &mut Work, index: usize, class: &str) {
    let shown = work.shown(index, class);
    let why = match OTHERS.iter().find(|(known, _)| is(class, known)) {
        Some((_, format)) => format!("`{shown}`: this version does not write {format}"),
        None => format!("`{shown}` is not known"),
    };
    let help = format!("write `{JSON}`, or convert in a consumer");
    work.refuse(index, why, &help);
}

fn json(work: &mut Work, role: &str, class: Option<usize>) {
    if let Some(index) = class {
        work.honoured(index, "JSON");
    }
    let mut schemas = class.is_some();
    for (index, option) in work.under(&format!("{role}.")) {
        let Some(property) = work.properties.get(index).cloned() else { continue };
        match option.as_str() {
            "schemas.enable" => match value::flag(&property) {
                Ok(flag) => {
                    schemas = flag;
                    work.honoured(index, "JSON without schemas");
                    if flag {
                        with_schemas(work, index, role);
                    }
                }
                Err(what) => work.wrong(index, what),
            },
            "schemas.cache.size" => {
                work.answer(index, Verdict::Ignored, "schemas are kept per table");
            }
            "decimal.format" => match value::word(&property, &["BASE64", "NUMERIC"]) {
                Ok(0) => work.honoured(index, "what is done anyway"),
                Ok(_) => {
                    let why = "decimals are texts of base64 in this version";
                    work.refuse(index, why, "see `decimal.handling.mode`: `string` or `double`");
                }
                Err(what) => work.wrong(index, what),
            },
            "replace.null.with.default" => match value::flag(&property) {
                Ok(false) => work.honoured(index, "null stays null"),
                Ok(true) => {
                    let why = "null stays null in this version";
                    work.refuse(index, why, "write `false`");
                }
                Err(what) => work.wrong(index, what),
            },
            "type" => work.answer(index, Verdict::Ignored, "known from the role"),
            other => {
                let text = "no option of the JSON converter; nothing is done about it";
                let help = closest(other, OPTIONS.iter().copied())
                    .map(|near| format!("did you mean `{role}.{near}`?"));
                work.answer_with(index, Verdict::Unknown, text, help);
            }
        }
    }
    let given = work.find(&format!("{role}.schemas.enable")).is_some();
    if schemas
        && !given
        && let Some(index) = class
    {
        with_schemas(work, index, role);
    }
    let setting = Setting { value: Value::Flag(schemas), from: class };
    work.converters.put(&format!("{}.schemas", role.trim_end_matches(".converter")), setting);
}

/// Kafka Connect's default.
fn with_schemas(work: &mut Work, index: usize, role: &str) {
    let why = "JSON with schemas is not supported by this version";
    work.refuse(index, why, &format!("write \"{role}.schemas.enable\": \"false\""));
}
