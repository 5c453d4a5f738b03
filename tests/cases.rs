//! The cases, by what they are about; servers are started once and shared.

mod capture;
mod deploy;
mod kill;
mod orders;
mod outage;
mod reload;
mod servers;
mod telecom;
mod unwrap;
