//! F3: checkpoints on disk, one process at a time.
