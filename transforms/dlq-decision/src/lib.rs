//! The reference policy: a failure that may pass is tried again with a growing pause, all others
//! are kept, dropped or stop the pipeline by their code.

use std::collections::BTreeMap;

use wasmgate_sdk::prelude::*;

/// What becomes of records that failed. `halt` is looked at first, then `drop`, then retries.
#[derive(Config)]
pub struct Rules {
    /// How often a record is tried again.
    #[config(default = 3)]
    retries: u32,
    /// Places whose failures are tried again. Elsewhere the same input fails the same way.
    #[config(default = vec!["sink".to_owned()])]
    retry_stages: Vec<String>,
    /// Pause before the first retry, in milliseconds; it doubles with each.
    #[config(default = 500)]
    backoff_ms: u32,
    /// Longest pause, in milliseconds.
    #[config(default = 30_000)]
    max_backoff_ms: u32,
    /// Dead-letter topics by code; other codes go to the default place.
    #[config(default)]
    topics: BTreeMap<String, String>,
    /// Codes whose records are dropped.
    #[config(default)]
    drop: Vec<String>,
    /// Codes that stop the pipeline.
    #[config(default)]
    halt: Vec<String>,
}

/// Retries, keeps, drops or halts by the code of a failure.
#[policy]
pub fn dlq_decision(failure: &Failure, rules: &Rules) -> Decision {
    if rules.halt.contains(&failure.code) {
        return Decision::Halt;
    }
    if rules.drop.contains(&failure.code) {
        return Decision::Drop;
    }
    if failure.attempt <= rules.retries && rules.retry_stages.contains(&failure.stage) {
        return retry(pause_ms(failure.attempt, rules));
    }
    rules.topics.get(&failure.code).map_or_else(to_dead_letters, to_topic)
}

/// Doubles with each attempt; `attempt` starts at 1.
fn pause_ms(attempt: u32, rules: &Rules) -> u32 {
    let doublings = attempt.saturating_sub(1).min(31);
    rules.backoff_ms.saturating_mul(1 << doublings).min(rules.max_backoff_ms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::dlq_decision;
    use wasmgate_sdk::prelude::*;
    use wasmgate_sdk::testkit::{decide, failure};

    const CONFIG: &str = r#"{ "retries": 3, "backoff_ms": 100, "max_backoff_ms": 250,
        "topics": { "out-of-range": "orders.range" }, "drop": ["duplicate"], "halt": ["broken"] }"#;

    #[test]
    fn the_code_and_the_stage_decide() {
        for (stage, code, expected) in [
            ("sink", "timeout", Decision::Retry(100)),
            ("sink", "broken", Decision::Halt),
            ("sink", "duplicate", Decision::Drop),
            ("quality-check", "out-of-range", Decision::DeadLetter(Some("orders.range".into()))),
            ("decode", "not-json", Decision::DeadLetter(None)),
        ] {
            let decision = decide::<dlq_decision>(CONFIG, &failure(stage, code)).unwrap();
            assert_eq!(decision, expected, "{stage} {code}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_retries_end() {
        for (attempt, expected) in [
            (1, Decision::Retry(100)),
            (2, Decision::Retry(200)),
            (3, Decision::Retry(250)),
            (4, Decision::DeadLetter(None)),
        ] {
            let failure = Failure { attempt, ..failure("sink", "timeout") };
            assert_eq!(decide::<dlq_decision>(CONFIG, &failure).unwrap(), expected);
        }
        let patient = r#"{ "retries": 4000000000 }"#;
        let failure = Failure { attempt: 4_000_000_000, ..failure("sink", "timeout") };
        assert_eq!(decide::<dlq_decision>(patient, &failure).unwrap(), Decision::Retry(30_000));
    }

    #[test]
    fn a_mistyped_option_is_named() {
        let refusal = decide::<dlq_decision>(r#"{ "retries": "3" }"#, &failure("sink", "x"));
        let expected = r#"retries: found the text "3", expected an integer from 0 to 4294967295"#;
        assert_eq!(refusal.unwrap_err(), expected);
    }
}
