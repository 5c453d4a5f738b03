//! TLS in libpq's six modes, on rustls. What a mode promises is in [`SslMode`]; nothing falls
//! back from `require` and above.

mod binding;
mod identity;

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use wasmgate_model::{Fault, FaultKind};

pub(crate) use binding::end_point;

use crate::connect::Failed;
use crate::connection::{Negotiation, Protocol};
use crate::settings::{Settings, SslMode};
use crate::transport::Host;

/// The protocol's name in TLS (PostgreSQL 17 and later look at it).
pub(crate) const ALPN: &[u8] = b"postgresql";
/// `ssl_root_cert` that stands for the roots of the system.
const SYSTEM: &str = "system";

/// TLS as the settings want it.
#[derive(Debug, Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the certificates; `None`: plain text only.
    ///
    /// # Errors
    /// A file cannot be read or used, or the mode does not go with the roots.
    pub(crate) fn new(settings: &Settings) -> Result<Option<Self>, Fault> {
        if settings.sslmode == SslMode::Disable {
            return Ok(None);
        }
        let check = check(settings)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let webpki = match check {
            Check::Nothing => None,
            _ => Some(webpki(settings, &provider)?),
        };
        let verifier = Arc::new(Verifier { check, webpki, provider: Arc::clone(&provider) });
        let versions: &[_] = match settings.connection.ssl_min_protocol {
            Protocol::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Protocol::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|e| tls_config("TLS cannot be set up").because(e))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match identity::read(&settings.connection)? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| tls_config("`ssl_cert` and `ssl_key` do not fit").because(e))?,
        };
        if settings.connection.ssl_negotiation == Negotiation::Direct {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        Ok(Some(Self(Arc::new(config))))
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

/// | sslmode | no root given | a root file | `system` |
/// |---|---|---|---|
/// | allow, prefer, require | nothing | chain | refused: says nothing about the server |
/// | verify-ca | refused: needs a root | chain | refused: anybody gets such a certificate |
/// | verify-full | system's roots, name | chain and name | chain and name |
fn check(settings: &Settings) -> Result<Check, Fault> {
    let is_system = settings.ssl_root_cert.as_deref() == Some(Path::new(SYSTEM));
    match (settings.sslmode, &settings.ssl_root_cert) {
        (SslMode::VerifyFull, _) => Ok(Check::ChainAndName),
        (_, Some(_)) if is_system => Err(tls_config(
            "`ssl_root_cert: system` goes with `sslmode: verify-full` only: anybody can have a \
             certificate of a public authority",
        )),
        (SslMode::VerifyCa, None) => Err(tls_config(
            "`sslmode: verify-ca` needs `ssl_root_cert`, the file with your authority's \
             certificate; for a public authority choose verify-full",
        )),
        (_, Some(_)) => Ok(Check::Chain),
        (_, None) => Ok(Check::Nothing),
    }
}

/// What a handshake that failed means.
pub(crate) fn refused(host: &Host<'_>, error: std::io::Error) -> Failed {
    let message = format!("no TLS with {host}; check `sslmode` and `ssl_root_cert`");
    // A connection that breaks during the handshake says nothing about TLS.
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<Error>());
    if is_tls {
        return Failed::Tls(Fault::new(FaultKind::SourceRefused, message).because(error));
    }
    let broken = format!("the connection to {host} broke while TLS was agreed on");
    Failed::Tls(Fault::new(FaultKind::SourceUnavailable, broken).because(error))
}

fn tls_config(what: &str) -> Fault {
    Fault::new(FaultKind::Config, what)
}

fn webpki(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Fault> {
    let roots = Arc::new(roots(settings.ssl_root_cert.as_deref())?);
    let mut builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
    if let Some(path) = &settings.connection.ssl_crl {
        let refuse = |what: &str| tls_config(&format!("`ssl_crl` {}: {what}", path.display()));
        let lists = CertificateRevocationListDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| refuse("cannot be read").because(e))?;
        if lists.is_empty() {
            return Err(refuse("holds no revocation list"));
        }
        builder = builder.with_crls(lists);
    }
    builder.build().map_err(|e| tls_config("the root certificates cannot be used").because(e))
}

fn roots(path: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut store = RootCertStore::empty();
    let Some(path) = path.filter(|path| *path != Path::new(SYSTEM)) else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        return Ok(store);
    };
    let refused = |what: &str| tls_config(&format!("`ssl_root_cert` {}: {what}", path.display()));
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|e| refused("cannot be read").because(e))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| refused("is not PEM").because(e))?;
        store.add(certificate).map_err(|e| refused("holds no usable root").because(e))?;
    }
    if store.is_empty() {
        return Err(refused("holds no certificate"));
    }
    Ok(store)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Nothing,
    Chain,
    ChainAndName,
}

/// Signatures of the handshake are always checked; chain and name as asked.
#[derive(Debug)]
struct Verifier {
    check: Check,
    webpki: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(webpki) = &self.webpki else {
            return Ok(ServerCertVerified::assertion());
        };
        match webpki.verify_server_cert(leaf, chain, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Chain => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
