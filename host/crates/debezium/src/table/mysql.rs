//! Properties of the MySQL and MariaDB connectors; what is here goes before the rooms that all
//! connectors share.

mod connect;
mod shape;
mod snapshot;

use super::Room;

/// The rooms of the table that are MySQL's own.
pub(super) const ROOMS: &[Room] = &[
    ("Connection (MySQL, MariaDB)", connect::ROWS),
    ("Which tables, and what records look like (MySQL, MariaDB)", shape::ROWS),
    ("Snapshots (MySQL, MariaDB)", snapshot::ROWS),
];
