//! World `dead-letter-policy`: retries twice, then keeps; halts for the code `corrupt`.

wit_bindgen::generate!({ path: "../../../../../wit", world: "dead-letter-policy" });

use exports::wasmgate::transform::policy::{Decision, Description, Failure, Guest};

struct Policy;

impl Guest for Policy {
    fn describe() -> Description {
        Description {
            name: "policy".into(),
            version: "0.1.0".into(),
            summary: String::new(),
            config_schema: String::new(),
        }
    }

    fn open(config: String) -> Result<(), String> {
        if config == "refuse" { Err("no".into()) } else { Ok(()) }
    }

    fn decide(failures: Vec<Failure>) -> Vec<Decision> {
        let decide = |f: &Failure| match (f.code.as_str(), f.attempt) {
            ("corrupt", _) => Decision::Halt,
            ("trap", _) => panic!("trap"),
            ("short", _) => Decision::Drop,
            (_, 1 | 2) => Decision::Retry(100 * f.attempt),
            _ if f.value.is_none() => Decision::DeadLetter(None),
            _ => Decision::DeadLetter(Some(format!("{}.dlq", f.topic))),
        };
        let mut decisions: Vec<_> = failures.iter().map(decide).collect();
        if failures.iter().any(|f| f.code == "short") {
            decisions.pop();
        }
        decisions
    }
}

export!(Policy);
