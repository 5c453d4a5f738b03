//! A certificate authority for tests, through the program `openssl`: server and client
//! certificates, also expired or revoked ones, and encrypted keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An authority with its files in a folder of its own.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

/// A certificate and its key, PEM both.
#[derive(Debug, Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Common name: the user, for a client's.
    pub name: &'a str,
    /// As in `DNS:localhost,IP:127.0.0.1`; may be empty.
    pub also: &'a str,
    /// Days that it is good for; negative: it was over before it began.
    pub days: i32,
}

impl Authority {
    /// A new authority in a folder, which is made.
    ///
    /// # Errors
    /// What openssl said, or that it is missing.
    pub fn create(folder: &Path) -> Result<Self, String> {
        let authority = Self { folder: folder.to_owned() };
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        authority.write("index.txt", "")?;
        authority.write("crlnumber", "01\n")?;
        let text = "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\ncrlnumber=crlnumber\n\
                    default_md=sha256\ndefault_crl_days=2\n[v3]\n\
                    basicConstraints=critical,CA:TRUE\n\
                    keyUsage=critical,keyCertSign,cRLSign\n[req]\ndistinguished_name=dn\n[dn]\n";
        authority.write("ca.cnf", text)?;
        let mut words = vec!["req", "-x509", "-config", "ca.cnf", "-extensions", "v3"];
        words.extend(NEW_KEY);
        words.extend(["-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key"]);
        authority.openssl(&words, &["-out", "ca.crt"])?;
        Ok(authority)
    }

    /// The authority's own certificate: a root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Issues a certificate; `file` names its files.
    ///
    /// # Errors
    /// What openssl said.
    pub fn issue(&self, file: &str, subject: Subject<'_>) -> Result<Pair, String> {
        let [key, csr, crt, ext] = ["key", "csr", "crt", "ext"].map(|e| format!("{file}.{e}"));
        let mut extensions = "basicConstraints=CA:FALSE\n".to_owned();
        if !subject.also.is_empty() {
            extensions.push_str(&format!("subjectAltName={}\n", subject.also));
        }
        self.write(&ext, &extensions)?;
        let name = format!("/CN={}", subject.name);
        let mut words = vec!["req", "-config", "ca.cnf"];
        words.extend(NEW_KEY);
        words.extend(["-subj", &name, "-keyout", &key]);
        self.openssl(&words, &["-out", &csr])?;
        let days = subject.days.to_string();
        let words = ["x509", "-req", "-in", &csr, "-CA", "ca.crt", "-CAkey", "ca.key"];
        let more = ["-CAcreateserial", "-days", &days, "-extfile", &ext, "-out", &crt];
        self.openssl(&words, &more)?;
        Ok(Pair { certificate: self.folder.join(crt), key: self.folder.join(key) })
    }

    /// A revocation list; it names the certificate, if one is given.
    ///
    /// # Errors
    /// What openssl said.
    pub fn revocation_list(&self, revoked: Option<&Pair>) -> Result<PathBuf, String> {
        let words = ["ca", "-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key"];
        if let Some(pair) = revoked {
            self.openssl(&words, &["-revoke", &pair.certificate.to_string_lossy()])?;
        }
        let file = if revoked.is_some() { "revoked.crl" } else { "empty.crl" };
        self.openssl(&words, &["-gencrl", "-out", file])?;
        Ok(self.folder.join(file))
    }

    /// The pair with its key encrypted under a password.
    ///
    /// # Errors
    /// What openssl said.
    pub fn encrypt(&self, pair: &Pair, password: &str) -> Result<Pair, String> {
        let key = pair.key.with_extension("sealed.key");
        let (plain, sealed) = (pair.key.to_string_lossy(), key.to_string_lossy());
        let pass = format!("pass:{password}");
        let words = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", &plain];
        self.openssl(&words, &["-passout", &pass, "-out", &sealed])?;
        Ok(Pair { key, ..pair.clone() })
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join(file);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn openssl(&self, words: &[&str], more: &[&str]) -> Result<(), String> {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&self.folder).args(words).args(more).stdin(Stdio::null());
        let output = openssl.output().map_err(|e| format!("cannot run openssl: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("openssl {words:?} failed: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
