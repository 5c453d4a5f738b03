//! World `raw-transform`, which this version refuses.

wit_bindgen::generate!({ path: "../../../../../wit", world: "raw-transform" });

use exports::wasmgate::transform::raw_stage::{Description, Guest, Message, Outcome};

struct Raw;

impl Guest for Raw {
    fn describe() -> Description {
        let name = String::from("raw");
        let (version, summary) = ("0.1.0".into(), String::new());
        Description { name, version, summary, config_schema: String::new() }
    }

    fn open(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn process(_topic: String, messages: Vec<Message>) -> Result<Vec<Outcome>, String> {
        Ok(messages.iter().map(|_| Outcome::Pass).collect())
    }

    fn close() {}
}

export!(Raw);
