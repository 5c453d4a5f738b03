//! One file per command.

pub(crate) mod checkpoints;
pub(crate) mod inspect;
pub(crate) mod module;
pub(crate) mod online;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod slots;
pub(crate) mod validate;
