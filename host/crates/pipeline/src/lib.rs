//! F4: moves, batches, settles, retries, dead-letters; knows only the contract.
