//! Our own certificate and its key.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Decode as _;
use pkcs8::der::pem::decode_vec;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::ExposeSecret as _;
use wasmgate_model::{Fault, FaultKind};

use crate::connection::Connection;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Certificate and key; `None`: none is set.
pub(super) fn read(connection: &Connection) -> Result<Option<Identity>, Fault> {
    let (cert, key) = match (&connection.ssl_cert, &connection.ssl_key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        _ => return Err(Fault::new(FaultKind::Config, "`ssl_cert` and `ssl_key` go together")),
    };
    let refuse = |what: &str| fault("ssl_cert", cert, what);
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| refuse("cannot be read").because(e))?;
    if chain.is_empty() {
        return Err(refuse("holds no certificate"));
    }
    Ok(Some((chain, private_key(key, connection)?)))
}

fn fault(option: &str, path: &Path, what: &str) -> Fault {
    Fault::new(FaultKind::Config, format!("`{option}` {}: {what}", path.display()))
}

/// A key that others may read is refused: as with libpq root's may be read by its group.
fn private_key(path: &Path, connection: &Connection) -> Result<PrivateKeyDer<'static>, Fault> {
    let refuse = |what: &str| fault("ssl_key", path, what);
    let about = std::fs::metadata(path).map_err(|e| refuse("cannot be read").because(e))?;
    if !about.is_file() {
        return Err(refuse("is not a plain file"));
    }
    let open_to_others = if about.uid() == 0 { 0o037 } else { 0o077 };
    if about.mode() & open_to_others != 0 {
        return Err(refuse("others may read it; run chmod 600 on it (640 where root owns it)"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| refuse("cannot be read").because(e))?;
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(refuse(
            "is encrypted in the old form; convert it with `openssl pkcs8 -topk8 -v2 aes256`",
        ));
    }
    if !text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes());
        return key.map_err(|e| refuse("holds no private key").because(e));
    }
    let Some(password) = &connection.ssl_key_password else {
        return Err(refuse("is encrypted; set `connection.ssl_key_password`"));
    };
    let cannot = |what: &str| refuse(&format!("cannot be opened: {what}"));
    let (_, der) = decode_vec(text.trim().as_bytes()).map_err(|_| cannot("it is not PEM"))?;
    let sealed = EncryptedPrivateKeyInfoRef::from_der(&der)
        .map_err(|_| cannot("it is not an encrypted PKCS #8 key"))?;
    let opened = sealed.decrypt(password.expose_secret().as_bytes()).map_err(|_| {
        cannot("the password is wrong, or the key is sealed with something else than PBES2 and AES")
    })?;
    Ok(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into())
}
