//! The connector: plain or rustls, with certificates of the system or of a file.

use std::sync::Arc;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use wasmgate_model::{Fault, FaultKind};

use crate::settings::SinkSettings;

/// A connector for every host of the settings.
///
/// # Errors
/// The certificates cannot be read.
pub(super) fn connector(settings: &SinkSettings) -> Result<HttpsConnector<HttpConnector>, Fault> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(settings.connect_timeout));
    http.set_keepalive(Some(settings.connect_timeout));
    let builder = HttpsConnectorBuilder::new().with_tls_config(config(settings)?);
    Ok(builder.https_or_http().enable_http1().wrap_connector(http))
}

fn config(settings: &SinkSettings) -> Result<ClientConfig, Fault> {
    let roots = roots(settings)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder
        .map_err(|cause| Fault::new(FaultKind::Internal, "cannot set up TLS").because(cause))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots(settings: &SinkSettings) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &settings.ca_file else {
        if settings.hosts.iter().any(|host| host.starts_with("https://")) {
            // What the system holds and rustls does not read is left out, as browsers do.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        return Ok(roots);
    };
    let unreadable = |cause: rustls::pki_types::pem::Error| {
        let message = format!("ca_file: {} holds no readable PEM certificate", path.display());
        Fault::new(FaultKind::Config, message).because(cause)
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let added = certificate.map_err(unreadable).map(|der| roots.add(der))?;
        added.map_err(|cause| {
            let message = format!("ca_file: {} holds no usable certificate", path.display());
            Fault::new(FaultKind::Config, message).because(cause)
        })?;
    }
    if roots.is_empty() {
        let message = format!("ca_file: {} holds no certificate", path.display());
        return Err(Fault::new(FaultKind::Config, message));
    }
    Ok(roots)
}
