//! Refuses every record with a code of its own, for which a policy may have a place of its own.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn process(batch: &guest::Batch) -> Result<guest::Output, String> {
        let mut output = guest::answer(batch);
        let reject = |(row, n): (usize, &i64)| guest::Reject {
            row: row as u32,
            verdict: guest::Verdict::DeadLetter(guest::Reason {
                code: format!("c{n}"),
                message: "no".into(),
            }),
        };
        output.rejects = guest::numbers(batch).iter().enumerate().map(reject).collect();
        Ok(output)
    }
}

guest::component!(Rule);
