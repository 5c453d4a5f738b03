//! Call detail records, already joined with the customer's profile: flat JSON of 20 fields and
//! about 600 bytes. One call in some fifteen fulfils the reference system's fraud rule.

use wasmgate_codec::json::write_float;

use super::Made;
use super::draw::Draw;
use super::orders::push;

/// Customers there are.
const CUSTOMERS: u64 = 10_000;

/// Makes call detail records.
#[derive(Debug)]
pub(super) struct Telecom {
    seed: u64,
    topic: String,
}

impl Telecom {
    pub(super) fn new(seed: u64, prefix: &str) -> Self {
        Self { seed, topic: format!("{prefix}-cdr") }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn make(&self, n: u64, record: &mut Made) {
        let call = Draw::new(self.seed, n);
        let customer = call.below(0, CUSTOMERS);
        let Made { key, value, time_ms } = record;
        push(key, format_args!("{{\"customer_id\":\"CUST{customer:06}\"}}"));
        push(
            value,
            format_args!("{{\"call_id\":\"CDR{n:012}\",\"customer_id\":\"CUST{customer:06}\""),
        );
        let duration = 5 + call.below(1, 3600);
        push(
            value,
            format_args!(
                r#","caller_number":"+4915{:09}","callee_number":"+4917{:09}","call_type":"{}""#,
                customer * 7919 % 1_000_000_000,
                call.below(2, 1_000_000_000),
                call.one_of(3, &["voice", "voice", "video", "conference"]),
            ),
        );
        push(
            value,
            format_args!(
                r#","call_start_ms":{time_ms},"call_end_ms":{},"call_duration_seconds":{duration}"#,
                *time_ms + duration * 1000,
            ),
        );
        self.profile(customer, value);
        push(
            value,
            format_args!(
                ",\"cell_id\":\"CELL-{:05}\",\"network_type\":\"{}\",\"roaming\":{}",
                call.below(4, 20_000),
                call.one_of(5, &["4G", "5G", "5G", "3G"]),
                call.below(6, 20) == 0,
            ),
        );
        push(
            value,
            format_args!(
                ",\"termination_reason\":\"{}\"}}",
                call.one_of(9, &["normal_clearing", "user_busy", "no_answer", "network_failure"]),
            ),
        );
    }

    /// What is the same in every call of a customer.
    fn profile(&self, customer: u64, out: &mut Vec<u8>) {
        let draw = Draw::new(self.seed, customer | 1 << 63);
        push(
            out,
            format_args!(
                r#","imei":"35{:013}","plan_type":"{}","payment_method":"{}","monthly_spending":"#,
                draw.below(1, 10_000_000_000_000),
                draw.one_of(2, &["Basic", "Standard", "Premium", "Premium Plus"]),
                draw.one_of(3, &["credit_card", "bank_transfer", "prepaid", "cash"]),
            ),
        );
        write_float((1000 + draw.below(4, 59_000)) as f64 / 100.0, out);
        push(
            out,
            format_args!(
                concat!(
                    r#","credit_score":{},"monthly_call_duration":{},"#,
                    r#""avg_payment_delay":{},"credit_limit":{}"#
                ),
                300 + draw.below(5, 551),
                draw.below(6, 1001),
                draw.below(7, 45),
                500 * (1 + draw.below(8, 10)),
            ),
        );
    }
}
