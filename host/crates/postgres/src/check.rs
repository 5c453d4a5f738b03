//! Looking at the server without changing anything: one finding per thing that has to be so, with
//! the exact statement where something is missing. What works but will hurt one day is a finding
//! that is well and still says what to do.

mod server;
mod signals;
mod slots;
mod tables;

use std::sync::Arc;

use wasmgate_connector::Finding;
use wasmgate_model::Fault;

use crate::catalog::{Catalog, quote};
use crate::connect::{Connector, Purpose};
use crate::settings::Settings;

/// What is found, in order.
struct Findings<'s> {
    settings: &'s Settings,
    all: Vec<Finding>,
}

impl Findings<'_> {
    /// It is as it should be.
    fn good(&mut self, what: impl Into<String>) {
        self.all.push(Finding { ok: true, what: what.into(), fix: None });
    }

    /// It works; better do something.
    fn note(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.all.push(Finding { ok: true, what: what.into(), fix: Some(fix.into()) });
    }

    /// It does not work.
    fn bad(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.all.push(Finding { ok: false, what: what.into(), fix: Some(fix.into()) });
    }

    fn failed(&mut self, fault: &Fault) {
        self.all.push(Finding { ok: false, what: fault.chain(), fix: None });
    }

    /// Our role, as an identifier.
    fn role(&self) -> String {
        quote(&self.settings.user)
    }
}

/// Every finding; stops where nothing more can be asked.
pub(crate) async fn check(settings: &Arc<Settings>) -> Vec<Finding> {
    let mut findings = Findings { settings, all: Vec::new() };
    if let Err(fault) = look(settings, &mut findings).await {
        findings.failed(&fault);
    }
    findings.all
}

async fn look(settings: &Arc<Settings>, findings: &mut Findings<'_>) -> Result<(), Fault> {
    let connector = Connector::new(settings)?;
    let mut catalog = Catalog::new(connector.clone());
    let version = server::server(&mut catalog, findings).await?;
    replication(&connector, findings).await;
    server::holding_back(&mut catalog, findings).await?;
    slots::slot(&mut catalog, findings, version).await?;
    tables::publication(&mut catalog, findings).await?;
    signals::signals(&mut catalog, findings).await
}

/// A replication connection is let in by its own lines of `pg_hba.conf` and its own privilege: the
/// only way to know is to open one.
async fn replication(connector: &Connector, findings: &mut Findings<'_>) {
    match connector.connect(Purpose::Replication).await {
        Ok(_) => findings.good("a replication connection is let in"),
        Err(fault) => findings.failed(&fault),
    }
}
