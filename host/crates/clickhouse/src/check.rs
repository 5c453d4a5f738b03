//! `validate --online`: what the sink would find, without changing anything.

use wasmgate_connector::Finding;
use wasmgate_model::Fault;

use crate::client::Hosts;
use crate::settings::{Engine, SinkSettings};
use crate::sink::connect;
use crate::table::describe;

/// Looks at the server, and at the tables whose names are known without a record.
pub(crate) async fn look(settings: &SinkSettings) -> Vec<Finding> {
    let bad = |fault: Fault| vec![Finding { ok: false, what: fault.chain(), fix: None }];
    let hosts = match Hosts::new(settings) {
        Ok(hosts) => hosts,
        Err(fault) => return bad(fault),
    };
    let server = match connect(&hosts, &settings.database).await {
        Ok(server) => server,
        Err(fault) => return bad(fault),
    };
    let what = format!(
        "clickhouse {}.{} at {} answers, database {} is there",
        server.major,
        server.minor,
        hosts.address(),
        settings.database
    );
    let mut findings = vec![Finding { ok: true, what, fix: None }];
    let all = std::iter::once(&settings.table).chain(settings.tables.iter().map(|(_, t)| t));
    for table in all.filter(|table| !table.name.contains('{')) {
        let name = &table.name;
        match describe(&hosts, &settings.database, name).await {
            Err(error) => {
                let fault = error.fault(format!("cannot describe table {name}"));
                findings.push(Finding { ok: false, what: fault.chain(), fix: None });
            }
            Ok(None) => findings.push(Finding {
                ok: table.create,
                what: format!("table {name} does not exist yet"),
                fix: (!table.create).then(|| "create it, or set `create: true`".to_owned()),
            }),
            Ok(Some(found)) => {
                // Rows that are repeated are merged by key; a log or a sign counts them twice.
                let needed = found.window == 0 && table.engine != Engine::Replacing;
                findings.push(Finding {
                    ok: !needed,
                    what: format!("table {name}: remembers {} inserts", found.window),
                    fix: (found.window == 0).then(|| found.set_window()),
                });
            }
        }
    }
    findings
}
