//! Drops records that are too small to matter. What it reads stands in the struct, what it does
//! in the function; `cases/` says what has to become of which record.

use wasmgate_sdk::prelude::*;

/// What can be set in the pipeline.
#[derive(Config)]
struct Options {
    /// Records below it are dropped.
    #[config(default = 10.0)]
    min_amount: f64,
}

/// What is read of a record; everything else passes by.
#[derive(Row)]
struct Order {
    amount: f64,
}

/// Drops orders below an amount.
#[transform]
fn rule_name(order: &mut Order, options: &Options) -> Verdict {
    if order.amount < options.min_amount { discard() } else { keep() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        wasmgate_sdk::testkit::run_cases::<super::rule_name>("cases").unwrap();
    }
}
