//! Certificate and key from files, with ring as the only cryptography.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::control::server::{ServeError, TlsFiles};

/// Reads both files and checks that they fit together.
pub(super) fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, ServeError> {
    let fault = |what: &str, path: &std::path::Path, error: &dyn std::fmt::Display| {
        ServeError::Tls(format!("{what} {}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault("certificate", &files.certificate, &error))?;
    if chain.is_empty() {
        return Err(fault("certificate", &files.certificate, &"there is none in this file"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fault("key", &files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| fault("key", &files.key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
