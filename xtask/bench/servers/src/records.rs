//! Call detail records as JSON documents of 20 fields and 600 bytes, and the rules for them.

/// A flat JSON record: the `n`th.
#[must_use]
pub fn document(n: usize) -> String {
    format!(
        concat!(
            r#"{{"call_id":"CDR{n:012}","customer_id":"CUST{c:06}","#,
            r#""caller_number":"+49150{n4:08}","callee_number":"+49178{n4:08}","#,
            r#""call_type":"voice","call_start_ms":17672256{n4:05},"call_end_ms":17672257{n4:05},"#,
            r#""call_duration_seconds":{s},"imei":"357158450{n4:06}","plan_type":"Premium Plus","#,
            r#""payment_method":"credit_card","monthly_spending":{m}.25,"credit_score":{k},"#,
            r#""monthly_call_duration":{d},"avg_payment_delay":{y},"credit_limit":3500,"#,
            r#""cell_id":"CELL-{n4:05}","network_type":"5G","roaming":false,"#,
            r#""termination_reason":"normal_clearing after a handover at the border "#,
            r#"between two cells of different operators, roaming"}}"#
        ),
        n = n,
        c = n % 100_000,
        n4 = n % 10_000,
        s = n % 3600,
        m = n % 700,
        k = 300 + n % 550,
        d = n % 900,
        y = n % 40,
    )
}

/// Checks five fields.
pub const QUALITY: &str = r#"{"required":["call_id","customer_id"],
    "ranges":{"call_duration_seconds":{"min":0},"monthly_spending":{"min":0}},
    "allowed":{"network_type":["4G","5G"]}}"#;
/// Reads three fields, writes one.
pub const FRAUD: &str = r#"{"conditions":[
    {"field":"monthly_spending","op":">","value":400},{"field":"credit_score","op":"<","value":600},
    {"field":"monthly_call_duration","op":">","value":500}],"write":"is_fraud"}"#;
/// By one field, to `cdr` or `cdr.prepaid`.
pub const ROUTE: &str = r#"{"fields":[
    {"field":"payment_method","equals":"prepaid","topic":"cdr.prepaid"}],"default":"cdr"}"#;
/// Envelope to flat row.
pub const UNWRAP: &str = r#"{"delete.tombstone.handling.mode":"rewrite","add.fields":"op"}"#;
