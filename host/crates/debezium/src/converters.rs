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

/// What the options of a JSON converter say.
#[derive(Clone, Copy)]
struct Json {
    schemas: bool,
    replace_nulls: bool,
    numeric: bool,
}

pub(crate) fn translate(work: &mut Work) {
    let mut said: [Option<Json>; 3] = [None; 3];
    for (role, said) in ROLES.iter().zip(&mut said) {
        let class = work.find(role).map(|(i, p)| (i, p.value().trim().to_owned()));
        *said = match (*role, class) {
            (role, Some((index, class))) if is(&class, JSON) => Some(json(work, role, Some(index))),
            ("header.converter", Some((index, class))) => header(work, index, &class),
            ("header.converter", None) => {
                options_ignored(work, role);
                None
            }
            (role, None) => Some(json(work, role, None)),
            (_, Some((index, class))) => refuse(work, index, &class),
        };
    }
    let [key, Some(value), header] = said else { return };
    let key = key.unwrap_or(value);
    if (key.replace_nulls, key.numeric) != (value.replace_nulls, value.numeric)
        && let Some((index, _)) = work.find("key.converter")
    {
        let why = "keys and values are written alike but for their schemas";
        work.refuse(index, why, "give both converters the same options");
    }
    let mut put = |name: &str, flag: bool| {
        work.converters.put(name, Setting { value: Value::Flag(flag), from: None });
    };
    put("schemas", value.schemas);
    put("key_schemas", key.schemas);
    put("header_schemas", header.is_some_and(|h| h.schemas));
    put("replace_null_with_default", value.replace_nulls);
    let decimals = if value.numeric { "numeric" } else { "base64" };
    let decimals = Setting { value: Value::Text(decimals.to_owned()), from: None };
    work.converters.put("decimals", decimals);
}

/// A whole name, or its last part.
fn is(found: &str, class: &str) -> bool {
    found == class || class.rsplit('.').next() == Some(found)
}

fn header(work: &mut Work, index: usize, class: &str) -> Option<Json> {
    if HEADERS.iter().any(|known| is(class, known)) {
        work.honoured(index, "headers are texts; other values are JSON");
    } else {
        let class = work.shown(index, class);
        let why = format!("`{class}`: headers are texts, and other values are JSON");
        work.refuse(index, why, "leave it out");
    }
    options_ignored(work, "header.converter");
    None
}

fn options_ignored(work: &mut Work, role: &str) {
    for (index, _) in work.under(&format!("{role}.")) {
        work.answer(index, Verdict::Ignored, "headers are texts; other values are JSON");
    }
}

fn refuse(work: &mut Work, index: usize, class: &str) -> Option<Json> {
    let shown = work.shown(index, class);
    let why = match OTHERS.iter().find(|(known, _)| is(class, known)) {
        Some((_, format)) => format!("`{shown}`: this version does not write {format}"),
        None => format!("`{shown}` is not known"),
    };
    let help = format!("write `{JSON}`, or convert in a consumer");
    work.refuse(index, why, &help);
    None
}

fn json(work: &mut Work, role: &str, class: Option<usize>) -> Json {
    if let Some(index) = class {
        work.honoured(index, "JSON");
    }
    // without a converter nobody knows the worker's: records are bare JSON then
    let mut said = Json { schemas: class.is_some(), replace_nulls: true, numeric: false };
    for (index, option) in work.under(&format!("{role}.")) {
        let Some(property) = work.properties.get(index).cloned() else { continue };
        let done = |word: bool| if word { "as asked" } else { "what is done anyway" };
        match option.as_str() {
            "schemas.enable" => match value::flag(&property) {
                Ok(flag) => {
                    said.schemas = flag;
                    let how = if flag { "JSON with schemas" } else { "JSON without schemas" };
                    work.honoured(index, how);
                }
                Err(what) => work.wrong(index, what),
            },
            "schemas.cache.size" => {
                work.answer(index, Verdict::Ignored, "schemas are kept per table");
            }
            "decimal.format" => match value::word(&property, &["BASE64", "NUMERIC"]) {
                Ok(word) => {
                    said.numeric = word == 1;
                    work.honoured(index, done(said.numeric));
                }
                Err(what) => work.wrong(index, what),
            },
            "replace.null.with.default" => match value::flag(&property) {
                Ok(flag) => {
                    said.replace_nulls = flag;
                    work.honoured(index, done(!flag));
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
    said
}
