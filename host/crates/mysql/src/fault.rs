//! What the server says when it refuses, and what to do about it. One table by error number
//! (MySQL's and MariaDB's error references); the statement that helps stands in the message.

use mysql_async::{DriverError, Error, IoError, ServerError};
use wasmgate_model::{Fault, FaultKind};

/// Who asks: the words that go into advice.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub user: String,
    pub server_id: u32,
}

impl Who {
    /// The fault for an error while `doing` something.
    pub(crate) fn fault(&self, doing: &str, error: Error) -> Fault {
        let (kind, advice) = match &error {
            Error::Server(server) => self.advice(server),
            // rustls says what is wrong with a certificate as invalid data.
            Error::Io(IoError::Io(e)) if e.kind() == std::io::ErrorKind::InvalidData => (
                FaultKind::SourceRefused,
                "the server's certificate is not trusted; name its issuer in `ssl_root_cert`, or \
                 choose another `ssl_mode`"
                    .into(),
            ),
            Error::Io(IoError::Tls(_)) => (
                FaultKind::SourceRefused,
                "the TLS connection fails; correct `ssl_mode` or `ssl_root_cert`".into(),
            ),
            Error::Driver(DriverError::NoClientSslFlagFromServer) => (
                FaultKind::SourceRefused,
                "the server has no TLS; set `ssl_mode: preferred` or turn its TLS on".into(),
            ),
            Error::Driver(DriverError::UnknownAuthPlugin { name }) => {
                let user = &self.user;
                let what = format!(
                    "the server wants the plugin {name} for user \"{user}\", which is not \
                     supported; run: ALTER USER '{user}'@'%' IDENTIFIED WITH caching_sha2_password \
                     BY '...' (MariaDB: IDENTIFIED VIA ed25519 USING PASSWORD('...'))"
                );
                (FaultKind::SourceRefused, what)
            }
            _ => (FaultKind::SourceUnavailable, "the connection broke; it is tried again".into()),
        };
        Fault::new(kind, format!("{doing}: {advice}")).because(error)
    }

    fn advice(&self, error: &ServerError) -> (FaultKind, String) {
        let user = &self.user;
        match error.code {
            1045 | 1698 => (
                FaultKind::SourceRefused,
                format!("user \"{user}\" is not let in; correct `user` and `password`"),
            ),
            1130 => (
                FaultKind::SourceRefused,
                format!("the server does not let this machine in; create '{user}'@'HOST' for it"),
            ),
            1227 | 1044 | 1142 | 1143 => (
                FaultKind::SourceRefused,
                format!("user \"{user}\" lacks a privilege: {}", grants(user)),
            ),
            // Tried again, the two would throw each other out for ever.
            1236 | 4052 if duplicate(&error.message) => (
                FaultKind::SourceRefused,
                format!(
                    "another reader took over server id {}; give one of the two a `server_id` of \
                     its own, and resume this pipeline",
                    self.server_id
                ),
            ),
            1236 | 1789 | 1790 => (FaultKind::SourceLost, LOST.into()),
            3159 => (
                FaultKind::SourceRefused,
                "the server takes TLS connections only; set `ssl_mode: required`".into(),
            ),
            1412 => (
                FaultKind::SourceUnavailable,
                "a table was altered while it was read; the snapshot begins again".into(),
            ),
            1146 | 1049 => (FaultKind::SourceRefused, "there is no such table".into()),
            // Connections, shutdown, locks: they pass by themselves.
            1040
            | 1053
            | 1077
            | 1152
            | 1153..=1161
            | 1184
            | 1203
            | 1205
            | 1213
            | 1226
            | 1317
            | 1927
            | 3024
            | 3168
            | 3169
            | 4031 => (
                FaultKind::SourceUnavailable,
                "the server cannot serve us now; it is tried again".into(),
            ),
            _ => (FaultKind::SourceRefused, "the server refuses".into()),
        }
    }
}

/// What a capture needs.
pub(crate) fn grants(user: &str) -> String {
    format!(
        "GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{user}'@'%' (for MariaDB \
         also BINLOG MONITOR)"
    )
}

fn duplicate(message: &str) -> bool {
    message.contains("same server_uuid/server_id") || message.contains("same server_id")
}

/// What to do where our place in the log is gone.
pub(crate) const LOST: &str = "binlog-lost: the server no longer has the changes after the \
     checkpoint, so some would be missing; set `snapshot: when_needed` to read the tables again, \
     or remove the pipeline's checkpoint";

/// The server sent what its log cannot hold.
pub(crate) fn protocol(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::SourceProtocol, what)
}

/// Something that somebody has to change at the server.
pub(crate) fn refused(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::SourceRefused, what)
}
