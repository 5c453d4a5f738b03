//! Writes a text that is no decimal into a field of that kind.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn bind() -> Result<guest::Projection, String> {
        let mut projection = guest::projection();
        projection.writes[0].kind = guest::Kind::Decimal;
        Ok(projection)
    }

    fn process(batch: &guest::Batch) -> Result<guest::Output, String> {
        let mut output = guest::answer(batch);
        let text = |n: &i64| if *n == guest::MARK { "wrong" } else { "-12.50" };
        let texts = guest::numbers(batch).iter().map(|n| text(n).to_owned()).collect();
        output.columns[0] = guest::column(guest::Values::Texts(texts));
        Ok(output)
    }
}

guest::component!(Rule);
