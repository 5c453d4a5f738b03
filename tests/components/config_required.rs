//! Has a setting without which it does not work, says so in its schema, and looks for it when it
//! is opened, as the SDK has its rules do.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn open(config: &str) -> Result<(), String> {
        match config.contains("\"threshold\"") {
            true => Ok(()),
            false => Err("threshold: missing, expected a number".into()),
        }
    }

    fn describe() -> guest::Description {
        let config_schema = r#"{"type":"object","properties":{"threshold":{"type":"number"}},"required":["threshold"]}"#;
        guest::Description { config_schema: config_schema.into(), ..guest::description() }
    }
}

guest::component!(Rule);
