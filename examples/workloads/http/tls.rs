//! Whom to trust: the TLS configuration that both drivers share.
//!
//! rustls on ring (the smaller of its two cryptographic libraries), TLS 1.2 and 1.3. HTTP/1.1 is
//! offered as the only protocol, so that no server answers in HTTP/2.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::{Error, Reason};

/// The roots a server's certificate must lead to. Cheap to clone; clones share one configuration
/// and its session cache.
#[derive(Clone)]
pub struct Tls(Arc<Roots>);

enum Roots {
    /// The system's, read at the first use: reading them takes milliseconds that a plain http run
    /// should not pay.
    System(OnceLock<Result<Arc<ClientConfig>, String>>),
    Given(Arc<ClientConfig>),
}

impl Tls {
    /// Trusts what the system trusts (and `SSL_CERT_FILE`, `SSL_CERT_DIR`, where they are set).
    pub fn system() -> Tls {
        Tls(Arc::new(Roots::System(OnceLock::new())))
    }

    /// Trusts the certificates of one PEM file, and no others.
    ///
    /// # Errors
    ///
    /// [`Reason::Roots`], with the file's name as the URL, when the file cannot be read, holds no
    /// certificate, or holds one that is malformed.
    pub fn with_root_file(path: impl AsRef<Path>) -> Result<Tls, Error> {
        let path = path.as_ref();
        let read = || Self::read_roots(&std::fs::read(path).map_err(|error| error.to_string())?);
        read().map_err(|why| Error {
            url: path.display().to_string(),
            reason: Reason::Roots(why),
        })
    }

    /// Trusts the certificates of a PEM text, and no others.
    ///
    /// # Errors
    ///
    /// [`Reason::Roots`] when the text holds no certificate, or one that is malformed.
    pub fn with_root_pem(pem: &[u8]) -> Result<Tls, Error> {
        Self::read_roots(pem).map_err(|why| Error {
            url: "PEM".to_owned(),
            reason: Reason::Roots(why),
        })
    }

    fn read_roots(pem: &[u8]) -> Result<Tls, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("not a PEM file: {error}"))?;
            roots
                .add(certificate)
                .map_err(|error| format!("not a root certificate: {error}"))?;
        }
        if roots.is_empty() {
            return Err("no certificate in it".to_owned());
        }
        Ok(Tls(Arc::new(Roots::Given(configure(roots)))))
    }

    /// The configuration, made now if it is the system's and this is the first use of it.
    pub fn config(&self) -> Result<Arc<ClientConfig>, Reason> {
        match &*self.0 {
            Roots::Given(config) => Ok(config.clone()),
            Roots::System(cell) => cell.get_or_init(load_system).clone().map_err(Reason::Roots),
        }
    }
}

impl Default for Tls {
    fn default() -> Tls {
        Tls::system()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            Roots::System(_) => "Tls(system roots)",
            Roots::Given(_) => "Tls(given roots)",
        })
    }
}

fn load_system() -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // System stores hold the odd certificate that webpki cannot read; the others still count.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(": {error}"));
        return Err(format!("no root certificate found on this system{why}"));
    }
    Ok(configure(roots))
}

fn configure(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Errors of rustls come wrapped when they pass through `io`; there is no other `io` below us.
pub(super) fn unwrap_error(error: io::Error) -> rustls::Error {
    rustls::Error::General(error.to_string())
}
