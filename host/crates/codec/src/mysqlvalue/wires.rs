//! How all columns of a table stand in rows events, made ready once for every row of it.

use std::ops::Deref;

use super::cursor::Cursor;
use super::read::{Span, Wire};

/// How the columns of a table stand in rows events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wires {
    each: Vec<Wire>,
    /// What a row without nulls is made of.
    steps: Vec<Span>,
}

impl Deref for Wires {
    type Target = [Wire];

    fn deref(&self) -> &[Wire] {
        &self.each
    }
}

impl FromIterator<Wire> for Wires {
    fn from_iter<I: IntoIterator<Item = Wire>>(wires: I) -> Self {
        let each: Vec<Wire> = wires.into_iter().collect();
        let mut steps: Vec<Span> = Vec::new();
        for span in each.iter().map(|wire| wire.span()) {
            match (steps.last_mut(), span) {
                (Some(Span::Bytes(before)), Span::Bytes(more)) => *before += more,
                _ => steps.push(span),
            }
        }
        Self { each, steps }
    }
}

impl Wires {
    /// Goes behind a row without nulls. `None`: it is cut short.
    pub(super) fn skip(&self, cursor: &mut Cursor<'_>) -> Option<()> {
        self.steps.iter().try_for_each(|step| step.skip(cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_long_as_its_values_together() {
        let wires = [
            Wire::Int { bytes: 3, signed: true },
            Wire::Float,
            Wire::Double,
            Wire::Decimal { precision: 10, scale: 2 },
            Wire::Year,
            Wire::Date,
            Wire::Sized { prefix: 2 },
            Wire::Time { digits: 3 },
            Wire::DateTime { digits: 6 },
            Wire::Timestamp { digits: 1 },
            Wire::Json { prefix: 4 },
            Wire::OldTime,
            Wire::OldDateTime,
            Wire::OldTimestamp,
            Wire::Labels { bytes: 2 },
            Wire::Bits { bytes: 5 },
            Wire::Sized { prefix: 1 },
        ];
        let value = |wire: &Wire| match wire {
            Wire::Sized { prefix: 1 } => vec![3, 7, 7, 7],
            Wire::Sized { .. } => vec![2, 0, 7, 7],
            Wire::Json { .. } => vec![1, 0, 0, 0, 7],
            _ => vec![1; 20],
        };
        let mut row = Vec::new();
        for wire in &wires {
            let value = value(wire);
            let mut rest = Cursor(&value);
            assert!(wire.read(&mut rest).is_some(), "{wire:?}");
            row.extend_from_slice(value.get(..value.len() - rest.0.len()).unwrap_or(&[]));
        }
        let mut read = Cursor(&row);
        for wire in wires {
            let before = read.0.len();
            assert!(wire.read(&mut read).is_some(), "{wire:?}");
            let mut skipped = Cursor(row.get(row.len() - before..).unwrap_or(&[]));
            assert_eq!(wire.span().skip(&mut skipped), Some(()), "{wire:?}");
            assert_eq!(skipped.0.len(), read.0.len(), "{wire:?}");
        }
        let mut skipped = Cursor(&row);
        let all: Wires = wires.into_iter().collect();
        assert_eq!(all.skip(&mut skipped), Some(()));
        assert_eq!(skipped.0.len(), read.0.len());
        assert_eq!(all.skip(&mut Cursor(row.get(..30).unwrap_or(&[]))), None);
        let null: Wires = [Wire::Null].into_iter().collect();
        assert_eq!(null.skip(&mut Cursor(&row)), None, "it has no value");
    }
}
