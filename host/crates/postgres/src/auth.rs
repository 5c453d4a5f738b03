//! Logging in: plain password, MD5, SCRAM-SHA-256 with and without channel binding. What the
//! server asks for is held against what is allowed before anything is sent.

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding as Bound, ScramSha256};
use postgres_protocol::message::frontend;
use secrecy::{ExposeSecret as _, SecretString};
use wasmgate_model::{Fault, FaultKind};

use crate::connect::Failed;
use crate::connection::{ChannelBinding, Method};
use crate::fault::{ServerError, Who, protocol};
use crate::passfile;
use crate::settings::Settings;
use crate::transport::{Host, Peer};
use crate::wire::{Frame, Wire};

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// One login.
pub(crate) struct Login<'a> {
    settings: &'a Settings,
    who: &'a Who,
    host: &'a Host<'a>,
    peer: Peer,
    /// While SASL goes on.
    scram: Option<ScramSha256>,
    /// The server proved that it knows the password, on this very connection.
    bound: bool,
    /// It asked for something.
    asked: bool,
}

fn refused(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::SourceRefused, message)
}

impl<'a> Login<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        who: &'a Who,
        host: &'a Host<'a>,
        peer: Peer,
    ) -> Self {
        Self { settings, who, host, peer, scram: None, bound: false, asked: false }
    }

    /// Answers the server until it lets us in.
    pub(crate) async fn run(mut self, wire: &mut Wire) -> Result<(), Failed> {
        loop {
            let Frame { tag, body } = wire.frame().await?;
            match tag {
                b'E' => {
                    let error = ServerError::parse(&body);
                    let code = error.code.clone();
                    return Err(Failed::Answered(code, self.who.fault("cannot log in", error)));
                }
                b'N' | b'v' => continue,
                b'R' => {}
                _ => return Err(protocol(format!("message {tag:#x} while logging in")).into()),
            }
            let Some((code, rest)) = body.split_first_chunk::<4>() else {
                return Err(protocol("an empty authentication message").into());
            };
            match u32::from_be_bytes(*code) {
                0 => return Ok(self.let_in()?),
                12 => self.proven(rest)?,
                code => {
                    self.answer(wire, code, rest)?;
                    wire.send().await?;
                }
            }
        }
    }

    /// AuthenticationOk.
    fn let_in(&self) -> Result<(), Fault> {
        if self.scram.is_some() {
            return Err(protocol("the server ends the login before it proved itself"));
        }
        if !self.asked {
            self.allowed(Method::None)?;
        }
        match self.settings.connection.channel_binding {
            ChannelBinding::Require if !self.bound => Err(refused(
                "the server let us in without channel binding, which `channel_binding: require` \
                 asks for; it takes scram-sha-256 in pg_hba.conf and TLS",
            )),
            _ => Ok(()),
        }
    }

    fn answer(&mut self, wire: &mut Wire, code: u32, rest: &[u8]) -> Result<(), Fault> {
        match code {
            3 => {
                self.allowed(Method::Password)?;
                password_message(wire, self.password()?.expose_secret().as_bytes())?;
            }
            5 => {
                self.allowed(Method::Md5)?;
                let salt = rest.first_chunk().ok_or_else(|| protocol("md5 without salt"))?;
                let user = self.settings.user.as_bytes();
                let hash = md5_hash(user, self.password()?.expose_secret().as_bytes(), *salt);
                password_message(wire, hash.as_bytes())?;
            }
            10 => {
                self.allowed(Method::ScramSha256)?;
                self.start_scram(wire, rest)?;
            }
            11 => {
                let scram = self.scram.as_mut().ok_or_else(|| protocol("SASL out of order"))?;
                scram.update(rest).map_err(scram_failed)?;
                frontend::sasl_response(scram.message(), &mut wire.output).map_err(scram_failed)?;
            }
            other => {
                return Err(refused(format!(
                    "the server asks for authentication method {other}, which is not supported; \
                     use scram-sha-256 in pg_hba.conf"
                )));
            }
        }
        self.asked = true;
        Ok(())
    }

    /// The server's last word of SCRAM: its proof.
    fn proven(&mut self, rest: &[u8]) -> Result<(), Fault> {
        let mut scram = self.scram.take().ok_or_else(|| protocol("SASL out of order"))?;
        scram.finish(rest).map_err(scram_failed)
    }

    /// Whether the settings let the server ask for this.
    fn allowed(&self, method: Method) -> Result<(), Fault> {
        let connection = &self.settings.connection;
        let is_bound = connection.channel_binding == ChannelBinding::Require;
        if is_bound && !matches!(method, Method::ScramSha256 | Method::None) {
            return Err(refused(format!(
                "the server asks for `{}`, which has no channel binding, and `channel_binding: \
                 require` asks for it; use scram-sha-256 in pg_hba.conf",
                method.name()
            )));
        }
        let wanted = &connection.require_auth;
        if wanted.is_empty() || wanted.contains(&method) {
            return Ok(());
        }
        let names: Vec<_> = wanted.iter().map(|m| m.name()).collect();
        Err(refused(format!(
            "the server asks for `{}`, and `require_auth` allows {}; correct pg_hba.conf or \
             `require_auth`",
            method.name(),
            names.join(", ")
        )))
    }

    fn password(&self) -> Result<SecretString, Fault> {
        if let Some(password) = &self.settings.password {
            return Ok(password.clone());
        }
        let Settings { database, user, connection, .. } = self.settings;
        if let Some(file) = &connection.passfile
            && let Some(found) = passfile::look_up(file, self.host, database, user)?
        {
            return Ok(found);
        }
        Err(refused(format!(
            "the server asks user \"{user}\" for a password; set `password`, or add a line to \
             `connection.passfile`"
        )))
    }

    /// Answers the list of mechanisms, with channel binding where both sides can.
    fn start_scram(&mut self, wire: &mut Wire, mechanisms: &[u8]) -> Result<(), Fault> {
        let offered = |name: &str| mechanisms.split(|b| *b == 0).any(|m| m == name.as_bytes());
        let wish = self.settings.connection.channel_binding;
        let (mechanism, bound) = match (&self.peer, wish) {
            (Peer::Tls(Some(hash)), ChannelBinding::Prefer | ChannelBinding::Require)
                if offered(SCRAM_PLUS) =>
            {
                self.bound = true;
                (SCRAM_PLUS, Bound::tls_server_end_point(hash.clone()))
            }
            (_, ChannelBinding::Require) => return Err(self.unbound()),
            // "we could, but you did not offer": so a man in the middle cannot remove the offer.
            (Peer::Tls(Some(_)), ChannelBinding::Prefer) => (SCRAM, Bound::unrequested()),
            _ => (SCRAM, Bound::unsupported()),
        };
        if !offered(mechanism) {
            return Err(protocol("the server offers no SASL mechanism that we know"));
        }
        let scram = ScramSha256::new(self.password()?.expose_secret().as_bytes(), bound);
        frontend::sasl_initial_response(mechanism, scram.message(), &mut wire.output)
            .map_err(scram_failed)?;
        self.scram = Some(scram);
        Ok(())
    }

    /// Why a login cannot be bound although it has to be.
    fn unbound(&self) -> Fault {
        let why = match &self.peer {
            Peer::Plain => "the connection has no TLS",
            Peer::Tls(None) => {
                "the server's certificate has a signature that it is not defined for"
            }
            Peer::Tls(Some(_)) => "the server, or somebody between, does not offer it",
        };
        refused(format!("`channel_binding: require` cannot be had: {why}"))
    }
}

fn scram_failed(e: std::io::Error) -> Fault {
    protocol("SCRAM: the server does not prove that it knows the password").because(e)
}

fn password_message(wire: &mut Wire, password: &[u8]) -> Result<(), Fault> {
    frontend::password_message(password, &mut wire.output)
        .map_err(|e| Fault::new(FaultKind::Config, "`password` holds a zero byte").because(e))
}
