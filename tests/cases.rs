//! The cases, by what they are about; servers are started once and shared.

mod badinput;
mod capture;
mod clickhouse;
mod connector;
mod crosssite;
mod deploy;
mod hostile;
mod kill;
mod kill_snapshot;
mod large;
mod load;
mod mysql;
mod mysql_signals;
mod nasty;
mod network;
mod orders;
mod outage;
mod quarantine;
mod reload;
mod servers;
mod signals;
mod soak;
mod swap;
mod telecom;
mod unwrap;
