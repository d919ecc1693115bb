//! When the certificates that the process shows others expire, so that a rule can warn in time.
//!
//! Read from the files at the start and at each reload: that is when the listener reads its own. The client library of
//! Kafka reads its file whenever it makes a client.

use std::path::Path;

use anyhow::Context as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::control::config::Config;
use crate::metrics::{Metric, Metrics};

/// Shows the earliest end among the certificates of each file that the configuration names, 0 where it names none.
pub(super) fn tell_expiry(config: &Config, metrics: &Metrics) {
    let listener = config.http.tls.as_ref().map(|tls| tls.certificate.as_path());
    let kafka = config.kafka.as_ref().and_then(|kafka| kafka.connection.tls.as_ref());
    let kafka_client = kafka.and_then(|tls| tls.certificate.as_deref());
    for (credential, file) in [("listener", listener), ("kafka_client", kafka_client)] {
        let expiry = file.map(earliest_expiry).transpose().unwrap_or_else(|error| {
            tracing::warn!(credential, error = format!("{error:#}"), "it is not known when a certificate expires");
            None
        });
        metrics.set(Metric::CredentialExpiry, &[credential], expiry.unwrap_or(0) as f64);
    }
}

/// The earliest end of validity in a PEM file, seconds since the epoch: a chain is as good as its weakest link.
fn earliest_expiry(file: &Path) -> anyhow::Result<i64> {
    let chain = CertificateDer::pem_file_iter(file).with_context(|| format!("read {}", file.display()))?;
    let mut earliest = None;
    for certificate in chain {
        let certificate = certificate.with_context(|| format!("read {}", file.display()))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).context("parse certificate")?;
        let end = parsed.validity().not_after.timestamp();
        earliest = Some(earliest.map_or(end, |known: i64| known.min(end)));
    }
    earliest.with_context(|| format!("{}: there is no certificate in this file", file.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn certificate(until_year: i32) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["tidegate.example.org".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn the_weakest_link_of_the_chain_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.pem");
        fs::write(&file, certificate(2040) + &certificate(2030)).unwrap();
        assert_eq!(earliest_expiry(&file).unwrap(), 1_893_456_000); // 2030-01-01T00:00:00Z
        fs::write(&file, "no certificate").unwrap();
        assert!(earliest_expiry(&file).unwrap_err().to_string().contains("there is no certificate"));
        assert!(earliest_expiry(&folder.path().join("missing")).is_err());
    }
}
