//! Whom to believe that a broker is the one asked for. The only file of this sink that names rustls.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// What a TLS connection needs.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Believes the authorities in this file, or else those of the system.
    ///
    /// # Errors
    /// In words, when there are none.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            Some(path) => {
                let bad = |error: &dyn fmt::Display| format!("ca_file {}: {error}", path.display());
                let text = std::fs::read(path).map_err(|error| bad(&error))?;
                for certificate in CertificateDer::pem_slice_iter(&text) {
                    let certificate = certificate.map_err(|error| bad(&error))?;
                    roots.add(certificate).map_err(|error| bad(&error))?;
                }
                if roots.is_empty() {
                    return Err(bad(&"there is no certificate in it (PEM)"));
                }
            }
            None => {
                // A system's store may hold something unreadable; the rest of it is as good as ever.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err("the system has no certificates of authorities: install \
                                `ca-certificates`, or set ca_file"
                        .to_owned());
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_ca_file_is_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("club-ca.pem");
        assert!(Tls::new(Some(&path)).unwrap_err().contains("club-ca.pem"));
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(Tls::new(Some(&path)).unwrap_err().contains("no certificate in it"));
    }
}
