//! Texts of kinds that have a form. Whoever reads such a column, a later stage or a sink, takes the
//! form for granted: "x" read as a number is 0, and in a document it is a string like any other.

use wasmgate_connector::StageReject;
use wasmgate_model::{Block, Column, Kind, Values};

/// What a kind's values look like, and how it is told.
type Form = (fn(&[u8]) -> bool, &'static str);

/// Checks the values of a written column, but for those of rows without one and of rows that the
/// answer takes out of the chain. Kinds without a form cost nothing.
///
/// # Errors
/// The first row that is wrong: a fragment that follows "the column".
pub(super) fn check(column: &Column, kind: Kind, rejects: &[StageReject]) -> Result<(), String> {
    let (is_one, expected): Form = match kind {
        Kind::Uuid => (is_uuid, "8-4-4-4-12 hexadecimal digits"),
        Kind::Decimal => (is_decimal, "digits as in -12.50, NaN, Infinity or -Infinity"),
        // Whether JSON is some is asked by whoever writes it without quotes.
        _ => return Ok(()),
    };
    let Values::Texts(texts) = &column.values else {
        return Ok(());
    };
    match misfit(texts, is_one, (&column.nulls, rejects)) {
        None => Ok(()),
        Some(row) => {
            let (bytes, name) = (texts.get(row).len(), kind.name());
            Err(format!(
                "row {row}: found {bytes} bytes of text that are no {name}, expected {expected}"
            ))
        }
    }
}

/// The first row with a value of another form.
fn misfit(
    texts: &Block,
    is_one: fn(&[u8]) -> bool,
    (nulls, rejects): (&[u32], &[StageReject]),
) -> Option<usize> {
    let wrong = |row: &usize| {
        let number = *row as u32;
        !is_one(texts.get(*row))
            && nulls.binary_search(&number).is_err()
            && rejects.binary_search_by_key(&number, |reject| reject.row).is_err()
    };
    (0..texts.len()).find(wrong)
}

fn is_uuid(text: &[u8]) -> bool {
    let fits = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.iter().enumerate().all(fits)
}

fn is_decimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (mut some, mut points) = (false, 0);
    let plain = digits.iter().all(|byte| {
        some |= byte.is_ascii_digit();
        points += usize::from(*byte == b'.');
        byte.is_ascii_digit() || (*byte == b'.' && points == 1)
    });
    (plain && some) || matches!(text, b"NaN" | b"Infinity" | b"-Infinity")
}

#[cfg(test)]
mod tests {
    use wasmgate_connector::StageVerdict;

    use super::*;

    fn column(kind: Kind, texts: &[&str]) -> Column {
        let mut column = Column::new(kind);
        texts.iter().for_each(|text| column.push_bytes(text.as_bytes()));
        column
    }

    #[test]
    fn every_form() {
        let uuid = "3f2504e0-4f89-11d3-9A0C-0305e82c3301";
        let short = uuid.get(1..).unwrap_or_default();
        let cases: [(Kind, &[&str], &[&str]); 4] = [
            (
                Kind::Decimal,
                &["0", "-12.50", "007", "5.", ".5", "NaN", "Infinity", "-Infinity"],
                &["", "-", ".", "-.", "x", "1e5", "+1", "1 ", "1.2.3", "--1", "nan", "٣"],
            ),
            (Kind::Uuid, &[uuid], &["", "x", short, "3f2504e0-4f89-11d3-9a0c00305e82c3301"]),
            (Kind::Text, &["", "x"], &[]),
            (Kind::Json, &["", "x"], &[]),
        ];
        for (kind, good, bad) in cases {
            assert_eq!(check(&column(kind, good), kind, &[]), Ok(()));
            for text in bad {
                let wrong = check(&column(kind, &[text]), kind, &[]).err().unwrap_or_default();
                let says = format!("row 0: found {} bytes of text that are no", text.len());
                assert!(wrong.starts_with(&says), "{kind:?} {text:?}: {wrong}");
            }
        }
    }

    #[test]
    fn rows_without_a_value_and_rows_that_leave_may_hold_anything() {
        let mut column = column(Kind::Uuid, &["left", "x"]);
        column.push_null();
        let reject = |row| StageReject { row, verdict: StageVerdict::Drop };
        assert_eq!(check(&column, Kind::Uuid, &[reject(0), reject(1)]), Ok(()));
        let wrong = check(&column, Kind::Uuid, &[reject(0)]).err().unwrap_or_default();
        assert!(wrong.starts_with("row 1: found 1 bytes"), "{wrong}");
    }
}
