//! Has a configuration without which it does not work.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn describe() -> guest::Description {
        let config_schema = r#"{"type":"object","properties":{"threshold":{"type":"number"}},"required":["threshold"]}"#;
        guest::Description { config_schema: config_schema.into(), ..guest::description() }
    }
}

guest::component!(Rule);
