//! Places for dead letters: the original record and its cause, once per letter.

use std::sync::Arc;

use wasmgate_model::DeadLetterCause;

use super::soon;
use crate::fakes;
use crate::sink::{DeadLetter, DeadLetterConnector, DeadLetterContext};

/// A dead letter as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLetter {
    /// The record's own topic.
    pub topic: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub stage: String,
    pub code: String,
    pub message: String,
    /// Name, version and sha256 of the module that decided.
    pub module: Option<(String, String, String)>,
}

/// Runs the kit against an empty place. `read_back` answers every letter of pipeline
/// `conformance` that is there, in order.
///
/// # Panics
/// The place does not do what [`crate::DeadLetters`] says.
pub async fn dead_letters(
    connector: &dyn DeadLetterConnector,
    read_back: impl AsyncFn() -> Vec<ReadLetter>,
) {
    let context = DeadLetterContext { pipeline: "conformance".into(), source: "fake" };
    let mut want = Vec::new();
    for round in 0..2 {
        let mut place = match soon("opening the place", connector.open()).await {
            Ok(place) => place,
            Err(fault) => panic!("opening the place, round {round}: {}", fault.chain()),
        };
        let (delivery, letters) = letters(&mut want);
        for (case, letters) in [("no letter", &[][..]), ("every letter", &letters)] {
            if let Err(fault) = soon(case, place.write(&context, &delivery, letters)).await {
                panic!("{case}, round {round}: {}", fault.chain());
            }
        }
        assert_eq!(read_back().await, want, "letters after round {round}");
    }
}

type Case = (Option<&'static [u8]>, Option<&'static [u8]>);

/// Records of every shape, the last of them not dead, with one letter each.
fn letters(want: &mut Vec<ReadLetter>) -> (wasmgate_model::Delivery, Vec<DeadLetter>) {
    let module = Arc::new(("rule".to_owned(), "1.2.3".to_owned(), "ab12".to_owned()));
    let cases: [Case; 5] = [
        (Some(b"{\"id\":1}"), Some(b"{\"n\": 1.0}")),
        (Some(b"plain text"), Some(b"{broken")),
        (None, Some(&[0, 159, 146, 150, b'\n', b'"'])),
        (Some(b""), None),
        (Some(b"{\"id\":5}"), Some(b"{\"not\":\"dead\"}")),
    ];
    let schema = wasmgate_model::Schema::open(1 << 41, "conformance.dead".into(), false);
    let batch = fakes::documents(&Arc::new(schema), 0, &cases);
    let dead = cases.get(..4).unwrap_or(&[]);
    let letters = dead.iter().enumerate().map(|(row, (key, value))| {
        let cause = DeadLetterCause {
            stage: "rule".into(),
            code: "missing-field".into(),
            message: format!("row {row}: \"amount\" is missing\nin two lines"),
            module: (row % 2 == 0).then(|| Arc::clone(&module)),
        };
        want.push(ReadLetter {
            topic: "conformance.dead".into(),
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            stage: cause.stage.to_string(),
            code: cause.code.to_string(),
            message: cause.message.clone(),
            module: cause.module.as_deref().cloned(),
        });
        DeadLetter { batch: 0, row: row as u32, cause, attempts: 1, topic: None }
    });
    let letters = letters.collect();
    (fakes::delivery("kit", 0, vec![batch]), letters)
}
