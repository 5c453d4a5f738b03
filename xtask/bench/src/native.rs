//! The same rules in plain Rust on typed rows: what the modules are held against.

use std::hint::black_box;

use crate::rounds::{fastest, time};

struct Row {
    call_id: String,
    customer_id: String,
    call_duration_seconds: i64,
    monthly_spending: f64,
    credit_score: i64,
    monthly_call_duration: i64,
    payment_method: String,
    network_type: String,
}

fn row(n: usize) -> Row {
    Row {
        call_id: format!("CDR{n:012}"),
        customer_id: format!("CUST{n:06}"),
        call_duration_seconds: 100 + n as i64 % 100,
        monthly_spending: 400.0 + (n % 100) as f64,
        credit_score: 500 + n as i64 % 100,
        monthly_call_duration: 600 + n as i64 % 100,
        payment_method: "credit_card".into(),
        network_type: "5G".into(),
    }
}

/// Quality, fraud and route as a person would write them; unwrap and identity cost nothing here.
pub(crate) fn stages(rows: usize) -> f64 {
    let table: Vec<Row> = (0..rows).map(row).collect();
    let mut fraud = vec![false; rows];
    let mut topics: Vec<&str> = vec![""; rows];
    let measured = fastest(rows, || {
        let ((), spent) = time(|| {
            for ((row, fraud), topic) in table.iter().zip(&mut fraud).zip(&mut topics) {
                let good = !row.call_id.is_empty()
                    && !row.customer_id.is_empty()
                    && row.call_duration_seconds >= 0
                    && row.monthly_spending >= 0.0
                    && ["4G", "5G"].contains(&row.network_type.as_str());
                *fraud = good
                    && row.monthly_spending > 400.0
                    && row.credit_score < 600
                    && row.monthly_call_duration > 500;
                *topic = if row.payment_method == "prepaid" { "cdr.prepaid" } else { "cdr" };
            }
            black_box((&mut fraud, &mut topics));
        });
        Ok::<_, std::convert::Infallible>(spent)
    });
    measured.unwrap_or_default()
}
