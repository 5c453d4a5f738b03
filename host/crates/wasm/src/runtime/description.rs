//! What a module says of itself, checked before it is shown or used as a label.

use std::sync::Arc;

use wasmgate_connector::ModuleIdentity;
use wasmgate_model::Fault;

use super::{Named, refused};
use crate::bindings::types::Description;
use crate::call::Guests;
use crate::config_schema::ConfigSchema;
use crate::host::log::{clip, one_line};

/// Bytes of the texts in a description.
const NAME_BYTES_MAX: usize = 128;
const VERSION_BYTES_MAX: usize = 64;
const SUMMARY_BYTES_MAX: usize = 4096;
const CONFIG_SCHEMA_BYTES_MAX: usize = 256 << 10;

/// Completes a module's identity with what it says of itself.
pub(super) fn complete(
    guests: &mut Guests,
    name: Named<'_>,
    description: Description,
) -> Result<(), Fault> {
    guests.config_schema = check(&description)?;
    let Description { version, summary, config_schema, name: own_name } = description;
    guests.identity = Arc::new(ModuleIdentity {
        name: match name {
            Named::As(name) => name.to_owned(),
            Named::Shown(_) => own_name,
        },
        version,
        sha256: guests.identity.sha256.clone(),
        summary: one_line(&summary),
        config_schema,
    });
    Ok(())
}

/// Checks a description, and answers what it says of the configuration.
fn check(description: &Description) -> Result<Option<ConfigSchema>, Fault> {
    let Description { name, version, summary, config_schema } = description;
    if name.is_empty() || clip(name, NAME_BYTES_MAX) != *name {
        return Err(refused(format!(
            "describe answered the name {:?} ({} bytes), expected 1 to {NAME_BYTES_MAX} bytes \
             without control characters",
            clip(name, NAME_BYTES_MAX),
            name.len()
        )));
    }
    if version.len() > VERSION_BYTES_MAX || !is_semantic_version(version) {
        return Err(refused(format!(
            "describe answered the version {:?}, expected a semantic version such as 1.0.0",
            clip(version, VERSION_BYTES_MAX)
        )));
    }
    bounded("summary", summary, SUMMARY_BYTES_MAX)?;
    bounded("config-schema", config_schema, CONFIG_SCHEMA_BYTES_MAX)?;
    if config_schema.is_empty() {
        return Ok(None);
    }
    let schema = serde_json::from_str::<serde_json::Value>(config_schema).map_err(|e| {
        refused("describe answered a config-schema that is not JSON".into()).because(e)
    })?;
    if !schema.is_object() {
        return Err(refused(
            "describe answered a config-schema that is no JSON Schema: expected an object".into(),
        ));
    }
    ConfigSchema::read(schema).map(Some).map_err(|wrong| {
        let wrong = one_line(&wrong);
        refused(format!("describe answered a config-schema that cannot be used: {wrong}"))
    })
}

fn bounded(what: &str, text: &str, most: usize) -> Result<(), Fault> {
    match text.len() {
        n if n <= most => Ok(()),
        n => Err(refused(format!(
            "describe answered a {what} of {n} bytes, the limit is {most} bytes"
        ))),
    }
}

/// Whether a text is a version by semver.org 2.0.0.
fn is_semantic_version(text: &str) -> bool {
    let (rest, build) = split(text, '+');
    let (core, pre) = split(rest, '-');
    let number = |n: &str| {
        !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && (n == "0" || !n.starts_with('0'))
    };
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let word_or_number = |w: &str| word(w) && (!w.bytes().all(|b| b.is_ascii_digit()) || number(w));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(word_or_number))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        Description {
            name: "rule".into(),
            version: "1.0.0".into(),
            summary: "a rule".into(),
            config_schema: r#"{"type":"object"}"#.into(),
        }
    }

    #[test]
    fn versions_are_semantic() {
        for good in
            ["0.1.0", "1.20.300", "1.0.0-rc.1", "1.0.0-0a.x-y", "1.0.0+01.abc", "1.0.0-a+b-c"]
        {
            assert!(is_semantic_version(good), "{good}");
        }
        for bad in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "01.0.0",
            "1.0.x",
            "v1.0.0",
            "1.0.0-",
            "1.0.0-01",
            "1.0.0+",
            "1.0.0-a..b",
            "1..0",
            "1.0.0 ",
            "1.0.\u{661}",
            "-1.0.0",
        ] {
            assert!(!is_semantic_version(bad), "{bad}");
        }
    }

    #[test]
    fn descriptions_are_short_and_harmless() {
        assert!(check(&description()).is_ok());
        assert!(check(&Description { config_schema: String::new(), ..description() }).is_ok());
        let long = |bytes| "x".repeat(bytes);
        for (wrong, says) in [
            (Description { name: String::new(), ..description() }, "the name \"\" (0 bytes)"),
            (Description { name: long(129), ..description() }, "(129 bytes)"),
            (Description { name: "a\u{1b}b".into(), ..description() }, "the name \"a b\""),
            (Description { version: "one".into(), ..description() }, "the version \"one\""),
            (
                Description { version: format!("1.0.0-{}", long(70)), ..description() },
                "expected a semantic version",
            ),
            (Description { summary: long(4097), ..description() }, "a summary of 4097 bytes"),
            (
                Description { config_schema: long((256 << 10) + 1), ..description() },
                "the limit is 262144 bytes",
            ),
            (Description { config_schema: "{".into(), ..description() }, "is not JSON"),
            (Description { config_schema: "[]".into(), ..description() }, "expected an object"),
            (
                Description { config_schema: r#"{"type":"map"}"#.into(), ..description() },
                "cannot be used: #/type: expected one or a list of null, boolean",
            ),
        ] {
            let message = check(&wrong).expect_err(says).chain();
            assert!(message.contains(says), "{message}");
        }
    }
}
