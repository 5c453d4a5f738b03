//! The connection to Postgres: raw to the connector's settings.

use std::path::Path;

use wasmgate_postgres as postgres;

use crate::config::check::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

impl Checks<'_> {
    pub(super) fn connection(
        &mut self,
        field: &Field,
        raw: raw::Connection,
        sslmode: raw::SslMode,
    ) -> postgres::Connection {
        for (name, path) in
            [("ssl_cert", &raw.ssl_cert), ("ssl_key", &raw.ssl_key), ("ssl_crl", &raw.ssl_crl)]
        {
            self.there(&field.member(name), path.as_deref());
        }
        if raw.ssl_cert.is_some() != raw.ssl_key.is_some() {
            let problem = Problem::new("`ssl_cert` and `ssl_key` go together, found one of them");
            self.refuse(field, problem);
        }
        let direct = matches!(raw.ssl_negotiation, raw::Negotiation::Direct);
        if direct && !sslmode.is_binding() {
            let problem = Problem::new("found `direct` with an `sslmode` that may go without TLS")
                .help("choose `sslmode: require` or stronger");
            self.refuse(&field.member("ssl_negotiation"), problem);
        }
        let (idle, pause) = (field.member("keepalives_idle"), field.member("keepalives_interval"));
        let keepalive = postgres::KeepAlive {
            idle: self.time_ms(&idle, raw.keepalives_idle, 1000, 7_200_000),
            interval: self.time_ms(&pause, raw.keepalives_interval, 1000, 600_000),
            count: raw.keepalives_count,
        };
        self.bounds(&field.member("keepalives_count"), keepalive.count, 1, 100);
        let user = field.member("tcp_user_timeout");
        postgres::Connection {
            ssl_cert: raw.ssl_cert,
            ssl_key: raw.ssl_key,
            ssl_key_password: raw.ssl_key_password.map(|p| p.0),
            ssl_crl: raw.ssl_crl,
            ssl_min_protocol: match raw.ssl_min_protocol_version {
                raw::Protocol::Tls12 => postgres::Protocol::Tls12,
                raw::Protocol::Tls13 => postgres::Protocol::Tls13,
            },
            ssl_negotiation: match raw.ssl_negotiation {
                raw::Negotiation::Postgres => postgres::Negotiation::Postgres,
                raw::Negotiation::Direct => postgres::Negotiation::Direct,
            },
            channel_binding: match raw.channel_binding {
                raw::ChannelBinding::Disable => postgres::ChannelBinding::Disable,
                raw::ChannelBinding::Prefer => postgres::ChannelBinding::Prefer,
                raw::ChannelBinding::Require => postgres::ChannelBinding::Require,
            },
            require_auth: raw.require_auth.into_iter().map(method).collect(),
            passfile: raw.passfile,
            keepalive: raw.keepalives.then_some(keepalive),
            tcp_user_timeout: self.time_ms(&user, raw.tcp_user_timeout, 0, 3_600_000),
            further_hosts: self.hosts(&field.member("further_hosts"), &raw.further_hosts),
            target: target(raw.target_session_attrs),
            initial_statements: raw.initial_statements,
        }
    }

    /// A file that is named has to be there.
    pub(super) fn there(&mut self, field: &Field, path: Option<&Path>) {
        if let Some(path) = path.filter(|path| !path.is_file()) {
            let message = format!("the file `{}` is not there", path.display());
            self.refuse(field, Problem::new(message));
        }
    }

    fn hosts(&mut self, field: &Field, hosts: &[String]) -> Vec<(String, u16)> {
        let mut checked = Vec::with_capacity(hosts.len());
        for (index, host) in hosts.iter().enumerate() {
            match host_and_port(host) {
                Some(host) => checked.push(host),
                None => {
                    let problem = Problem::new(format!("found `{host}`, expected `host:port`"));
                    self.refuse(&field.entry(index), problem);
                }
            }
        }
        checked
    }
}

/// `host`, `host:port`, `[address]:port`, a socket's folder.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').or(rest.is_empty().then_some("5432"))?),
        None => text.rsplit_once(':').unwrap_or((text, "5432")),
    };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn method(raw: raw::Method) -> postgres::Method {
    match raw {
        raw::Method::None => postgres::Method::None,
        raw::Method::Password => postgres::Method::Password,
        raw::Method::Md5 => postgres::Method::Md5,
        raw::Method::ScramSha256 => postgres::Method::ScramSha256,
    }
}

fn target(raw: raw::Target) -> postgres::Target {
    match raw {
        raw::Target::Any => postgres::Target::Any,
        raw::Target::ReadWrite => postgres::Target::ReadWrite,
        raw::Target::ReadOnly => postgres::Target::ReadOnly,
        raw::Target::Primary => postgres::Target::Primary,
        raw::Target::Standby => postgres::Target::Standby,
        raw::Target::PreferStandby => postgres::Target::PreferStandby,
    }
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn hosts_and_ports() {
        for (text, want) in [
            ("db", Some(("db", 5432))),
            ("db:6543", Some(("db", 6543))),
            ("[fe80::1]:7", Some(("fe80::1", 7))),
            ("[fe80::1]", Some(("fe80::1", 5432))),
            ("/run/postgresql", Some(("/run/postgresql", 5432))),
            ("db:", None),
            (":5432", None),
            ("db:x", None),
            ("db:0", None),
        ] {
            let got = host_and_port(text);
            assert_eq!(got.as_ref().map(|(h, p)| (h.as_str(), *p)), want, "{text}");
        }
    }
}
