//! F3: runs modules.
