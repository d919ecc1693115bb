//! Until when the certificates of the configuration are valid. Whether others trust them is not looked at.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, time};
use crate::control::config::Config;
use crate::model::time::{Millis, Timestamp};

/// Whoever renews by hand needs about this long to notice and to get it done.
const SOON: Millis = Millis::hours(21 * 24);

pub(super) fn certificates(config: &Config, now: Timestamp) -> Vec<Finding> {
    let http = config.http.tls.as_ref().map(|tls| tls.certificate.as_path());
    let kafka = config.kafka.as_ref().and_then(|kafka| kafka.connection.tls.as_ref());
    let kafka = [kafka.and_then(|tls| tls.certificate.as_deref()), kafka.and_then(|tls| tls.ca.as_deref())];
    http.into_iter().chain(kafka.into_iter().flatten()).map(|path| judge(path, expiry(path), now)).collect()
}

/// When the first certificate of the file ends.
fn expiry(path: &Path) -> Result<Timestamp, String> {
    let certificate = CertificateDer::from_pem_file(path).map_err(|error| error.to_string())?;
    not_after(&certificate).ok_or_else(|| "its validity cannot be read".to_owned())
}

fn judge(path: &Path, expiry: Result<Timestamp, String>, now: Timestamp) -> Finding {
    let name = path.display();
    let why = "the other side refuses the connection from then on";
    let remedy = "renew it, then reload: the daemon reads it again (that of a Kafka client at the next start)";
    match expiry {
        Ok(end) if end <= now => Finding::problem(Check::Certificates, format!("{name} ended {end}"), why, remedy),
        Ok(end) if end <= now + SOON => {
            let left = time((end - now).to_duration());
            Finding::warning(Check::Certificates, format!("{name} ends {end}, in {left}"), why, remedy)
        }
        Ok(end) => Finding::ok(Check::Certificates, format!("{name} is valid until {end}")),
        Err(fault) => Finding::warning(
            Check::Certificates,
            format!("{name}: {fault}"),
            "a certificate that cannot be read is of no use to either side",
            format!("openssl x509 -noout -dates -in {name}"),
        ),
    }
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of validity: RFC 5280, section 4.1. All before it is stepped over by its DER lengths.
fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(der)?;
    let (_, mut body, _) = element(certificate)?;
    let (tag, _, rest) = element(body)?;
    if tag == VERSION {
        body = rest;
    }
    for _ in 0..3 {
        body = element(body)?.2; // Serial number, algorithm, issuer.
    }
    let (SEQUENCE, validity, _) = element(body)? else { return None };
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    // `YYMMDDHHMMSSZ` for the years 1950 to 2049, `YYYYMMDDHHMMSSZ` for all others.
    let full = match tag {
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| full.get(from..to);
    Timestamp::parse(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    ))
}

/// Tag, content and what follows of the first element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::doctor::finding::Level;

    fn file(year: i32) -> tempfile::NamedTempFile {
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(year, 7, 9);
        let certificate = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificate.pem()).unwrap();
        file
    }

    #[test]
    fn the_end_of_validity_is_read_in_both_spellings() {
        for (year, text) in [(2031, "2031-07-09T00:00:00.000Z"), (2061, "2061-07-09T00:00:00.000Z")] {
            assert_eq!(expiry(file(year).path()).unwrap().to_string(), text);
        }
        let no_certificate = tempfile::NamedTempFile::new().unwrap();
        assert!(expiry(no_certificate.path()).is_err());
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0]), None);
    }

    #[test]
    fn an_end_that_is_near_is_a_warning() {
        let path = Path::new("cert.pem");
        let now = Timestamp(1_800_000_000_000);
        let after = |days: i64| judge(path, Ok(now + Millis::hours(days * 24)), now).level;
        assert_eq!([after(-1), after(5), after(90)], [Level::Problem, Level::Warning, Level::Ok]);
        insta::assert_snapshot!(judge(path, Ok(now + Millis::hours(120)), now).what, @"cert.pem ends 2027-01-20T08:00:00.000Z, in 5 d");
    }
}
