//! The template: a rule that passes every record as it came. Name the fields you need in the
//! struct, and say in the function what becomes of a record.

use wasmgate_sdk::prelude::*;

/// Reads and writes nothing.
#[derive(Row)]
struct Nothing {}

/// Passes every record as it came.
#[transform]
fn identity(_row: &mut Nothing) -> Verdict {
    keep()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::identity;
    use wasmgate_sdk::testkit::{Harness, json};

    #[test]
    fn records_pass_untouched() {
        let mut rule = Harness::<identity>::new("{}").unwrap();
        let records = json!([{ "id": 1, "note": null }, {}, 7, null]);
        let run = rule.run(records.clone()).unwrap();
        for (number, record) in records.as_array().unwrap().iter().enumerate() {
            assert_eq!(run.value(number), record);
        }
    }

    #[test]
    fn case_files_hold() {
        wasmgate_sdk::testkit::run_cases::<identity>("cases").unwrap();
    }

    #[test]
    fn there_is_nothing_to_configure() {
        let refusal = Harness::<identity>::new(r#"{ "limit": 3 }"#).unwrap_err();
        assert_eq!(refusal, "limit: unknown field, expected none: there is nothing to configure");
    }
}
