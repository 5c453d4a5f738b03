//! Sends records to a topic of their region. What it reads and writes stands in the struct, what
//! it does in the function; `cases/` says what has to become of which record.

use wasmgate_sdk::prelude::*;

/// What can be set in the pipeline.
#[derive(Config)]
struct Options {
    /// Put before the region.
    #[config(default = "orders.")]
    prefix: String,
}

/// What is read and written; everything else in the record passes untouched.
#[derive(Row)]
struct Order<'a> {
    region: Option<&'a str>,
    /// `None` leaves the record in its topic.
    #[write]
    #[row(name = "$topic")]
    topic: Option<String>,
}

/// Sends orders to the topic of their region.
#[transform]
fn rule_name(order: &mut Order<'_>, options: &Options) -> Verdict {
    order.topic = order.region.map(|region| format!("{}{region}", options.prefix));
    keep()
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        wasmgate_sdk::testkit::run_cases::<super::rule_name>("cases").unwrap();
    }
}
