//! Why a lane stops: a fault that ends the session at once, or a module for which the pipeline
//! pauses after what was processed has settled.

use wasmgate_model::{Blame, Fault};

#[derive(Debug)]
pub(crate) enum Stop {
    Fault(Fault),
    /// The chain of this version cannot go on.
    Pause {
        fault: Fault,
        chain: u64,
    },
}

impl Stop {
    /// What a fault of the chain, running this version, means.
    pub(crate) fn of_chain(fault: Fault, chain: u64) -> Self {
        match fault.blame() {
            Blame::Guest => Self::Pause { fault, chain },
            _ => Self::Fault(fault),
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
