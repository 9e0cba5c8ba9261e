//! The certificates that are trusted, and causes of failed connections.

use std::borrow::Cow;
use std::error::Error as _;
use std::io;
use std::iter::successors;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use x509_cert::der::Decode as _;

use self::CauseAbout::{Host, Issuer, Other, Proxy};
use crate::core::redact::ForeignText;

const MAX_NAMES: usize = 5;

/// The cause of a failed connection, and what else a note has to name.
pub type ConnectCause = (Cow<'static, str>, CauseAbout);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseAbout {
    /// The host may be the wrong one.
    Host,
    /// The same, and which certificates are trusted.
    Issuer,
    Proxy,
    Other,
}

const NAME_NOT_FOUND: &str = "host name not found";
const NO_TLS: &str = "TLS handshake failed";
const TIMED_OUT: &str = "timed out";
const OUT_OF_DATE: &str = "certificate expired or not valid yet";

const CAUSES: [(&str, &str, CauseAbout); 9] = [
    (
        "proxy authorization required",
        "the proxy requires another login (HTTP 407)",
        Proxy,
    ),
    ("tunnel", "the proxy could not connect", Proxy),
    ("expired", OUT_OF_DATE, Host),
    ("not valid yet", OUT_OF_DATE, Host),
    ("certificate", "certificate rejected", Host),
    ("tls", NO_TLS, Other),
    ("handshake", NO_TLS, Other),
    ("dns error", NAME_NOT_FOUND, Host),
    ("received corrupt message", NO_TLS, Other),
];

/// Returns the cause in drspass's own words. The libraries distinguish some causes only in the
/// text of their errors, which is matched here and never shown.
pub fn connect_cause(error: &reqwest::Error) -> ConnectCause {
    if error.is_dns() {
        return (NAME_NOT_FOUND.into(), Host);
    }
    if let Some(cause) = certificate_cause(error) {
        return cause;
    }
    let mut causes = successors(error.source(), |&inner| inner.source());
    let texts: Vec<String> = causes.clone().map(ToString::to_string).collect();
    let text = texts.join("\n").to_ascii_lowercase();
    if let Some((_, words, about)) = CAUSES.iter().find(|(part, ..)| text.contains(part)) {
        return ((*words).into(), *about);
    }
    let words = causes.find_map(|inner| match inner.downcast_ref().map(io::Error::kind)? {
        io::ErrorKind::ConnectionRefused => Some("connection refused"),
        io::ErrorKind::TimedOut => Some(TIMED_OUT),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("host or network unreachable")
        }
        _ => None,
    });
    let words = words.unwrap_or_else(|| match error.is_timeout() {
        true => TIMED_OUT,
        false => "unknown cause",
    });
    (words.into(), Other)
}

/// Returns the cause of a refused certificate that names what the server offered.
fn certificate_cause(error: &(dyn std::error::Error + 'static)) -> Option<ConnectCause> {
    use CertificateError::{NotValidForNameContext, Other as OtherCause};
    if let Some(rustls::Error::InvalidCertificate(cause)) = error.downcast_ref() {
        return match cause {
            NotValidForNameContext { presented, .. } => {
                let names = names_offered(presented);
                let words = format!("certificate is for another host: it is for {names}");
                Some((words.into(), Host))
            }
            OtherCause(OtherError(cause)) => {
                let Rejected { words, issuer } = cause.downcast_ref()?;
                let issuer = issuer.as_deref().and_then(ForeignText::clean);
                let issuer = issuer.map_or("unreadable".to_owned(), |name| name.to_string());
                Some((format!("{words} {issuer}").into(), Issuer))
            }
            _ => None,
        };
    }
    // An error that another one wraps is not its source.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => certificate_cause(wrapped),
        None => certificate_cause(error.source()?),
    }
}

fn names_offered(presented: &[String]) -> String {
    // Each comes as DnsName("a.example") or IpAddress(192.0.2.1).
    let names = presented.iter().filter_map(|name| {
        let (_, name) = name.split_once('(')?;
        let name = name.trim_end_matches(')').trim_matches('"');
        ForeignText::clean(name).map(|name| name.to_string())
    });
    let names: Vec<String> = names.take(MAX_NAMES).collect();
    match names.len() {
        0 => "no name".to_owned(),
        count if count < presented.len() => format!("{}, and others", names.join(", ")),
        _ => names.join(", "),
    }
}

/// A certificate that does not come from a trusted issuer; `issuer` as in RFC 4514, unescaped.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Rejected {
    words: &'static str,
    issuer: Option<String>,
}

/// The verifier of the system, which also names an unknown issuer.
#[derive(Debug)]
struct NamingVerifier(Verifier);

impl ServerCertVerifier for NamingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = &self.0;
        verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| {
                let words = match &error {
                    rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                        "certificate issuer not trusted:"
                    }
                    // Such as that of an authority, used as the certificate of a host.
                    rustls::Error::InvalidCertificate(CertificateError::Other(_)) => {
                        "certificate rejected; its issuer is"
                    }
                    _ => return error,
                };
                // That of the last certificate is missing here, if they came in their order.
                let last = intermediates.last().unwrap_or(end_entity);
                let issuer = x509_cert::Certificate::from_der(last).ok();
                let issuer = issuer.map(|read| read.tbs_certificate.issuer.to_string());
                CertificateError::Other(OtherError(Arc::new(Rejected { words, issuer }))).into()
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Returns the TLS settings that trust the certificates of the system and `own`.
pub fn tls_config(own: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(own, Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamingVerifier(verifier)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns the usable certificates of a PEM text, and the numbers of the others, from one.
/// Each is parsed by itself: one unreadable certificate in a bundle of hundreds is not a reason
/// to trust none of them.
pub fn usable_certificates(pem: &[u8]) -> (Vec<u8>, Vec<usize>) {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(pem);
    if is_usable(&text) {
        return (pem.to_vec(), Vec::new());
    }
    let blocks = text.split(BEGIN).skip(1).map(|rest| {
        let inside = rest.split(END).next().unwrap_or_default();
        format!("{BEGIN}{inside}{END}\n")
    });
    let (mut usable, mut broken) = (Vec::new(), Vec::new());
    for (block, number) in blocks.zip(1..) {
        if is_usable(&block) {
            usable.extend_from_slice(block.as_bytes());
        } else {
            broken.push(number);
        }
    }
    (usable, broken)
}

/// Returns whether a text has certificates and all can be trusted.
fn is_usable(pem: &str) -> bool {
    let mut store = RootCertStore::empty();
    let mut all = CertificateDer::pem_slice_iter(pem.as_bytes());
    all.all(|read| read.is_ok_and(|one| store.add(one).is_ok())) && !store.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_that_cannot_be_read_is_still_one_that_is_not_trusted() {
        let words = "certificate issuer not trusted:";
        for issuer in [None, Some(" ".to_owned())] {
            let rejected = OtherError(Arc::new(Rejected { words, issuer }));
            let error = rustls::Error::from(CertificateError::Other(rejected));
            let (text, about) = certificate_cause(&error).expect("a cause");
            assert_eq!(text, "certificate issuer not trusted: unreadable");
            assert_eq!(about, Issuer);
        }
    }
}
