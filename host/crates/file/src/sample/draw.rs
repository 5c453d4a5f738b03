//! Numbers that look random and follow from a seed, a subject and what is asked about it.

/// Draws about one subject.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64, subject: u64) -> Self {
        Self(mix(seed ^ mix(subject)))
    }

    /// A number below `bound` for a question.
    pub(super) fn below(self, question: u64, bound: u64) -> u64 {
        mix(self.0.wrapping_add(question)) % bound.max(1)
    }

    /// One of the choices for a question.
    pub(super) fn one_of<'a>(self, question: u64, choices: &[&'a str]) -> &'a str {
        let at = self.below(question, choices.len() as u64) as usize;
        choices.get(at).copied().unwrap_or("")
    }
}

/// The finaliser of splitmix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
