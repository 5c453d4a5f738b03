//! Marks large payments made abroad. What it reads and writes stands in the struct, what it does
//! in the function; `cases/` says what has to become of which record.

use wasmgate_sdk::prelude::*;

/// What can be set in the pipeline.
#[derive(Config)]
struct Limits {
    /// Larger payments are looked at.
    max_amount: f64,
}

/// What is read and written; everything else in the record passes untouched.
#[derive(Row)]
struct Payment<'a> {
    amount: f64,
    country: &'a str,
    home_country: &'a str,
    #[write]
    fraud: bool,
}

/// Marks large payments made abroad.
#[transform]
fn rule_name(payment: &mut Payment<'_>, limits: &Limits) -> Verdict {
    if payment.amount < 0.0 {
        return dead_letter("negative-amount", "a payment cannot be negative");
    }
    let abroad = payment.country != payment.home_country;
    payment.fraud = abroad && payment.amount > limits.max_amount;
    keep()
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        wasmgate_sdk::testkit::run_cases::<super::rule_name>("cases").unwrap();
    }
}
