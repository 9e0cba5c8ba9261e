//! Causes of failed connections, and the certificates that a user gives.

use std::borrow::Cow;
use std::error::Error as _;
use std::io;

use reqwest::Certificate;

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
const ISSUER_NOT_TRUSTED: &str = "certificate issuer not trusted";
const OUT_OF_DATE: &str = "certificate expired or not valid yet";

const CAUSES: [(&str, &str, CauseAbout); 11] = [
    (
        "proxy authorization required",
        "the proxy requires another login (HTTP 407)",
        Proxy,
    ),
    ("tunnel", "the proxy could not connect", Proxy),
    ("unknownissuer", ISSUER_NOT_TRUSTED, Issuer),
    ("unknown issuer", ISSUER_NOT_TRUSTED, Issuer),
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
    if let Some(names) = names_offered(error) {
        let words = format!("certificate is for another host: it is for {names}");
        return (words.into(), Host);
    }
    let text = texts(error);
    if let Some((_, words, about)) = CAUSES.iter().find(|(part, ..)| text.contains(part)) {
        return ((*words).into(), *about);
    }
    let mut words = None;
    let mut source = error.source();
    while let (None, Some(inner)) = (words, source) {
        let kind = inner.downcast_ref().map(io::Error::kind);
        words = match kind {
            Some(io::ErrorKind::ConnectionRefused) => Some("connection refused"),
            Some(io::ErrorKind::TimedOut) => Some(TIMED_OUT),
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                Some("host or network unreachable")
            }
            _ => None,
        };
        source = inner.source();
    }
    let words = words.unwrap_or_else(|| match error.is_timeout() {
        true => TIMED_OUT,
        false => "unknown cause",
    });
    (words.into(), Other)
}

pub fn texts(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&inner.to_string().to_ascii_lowercase());
        text.push('\n');
        source = inner.source();
    }
    text
}

/// Returns the names of a certificate that is for another host than the requested one.
fn names_offered(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(rustls::Error::InvalidCertificate(
        rustls::CertificateError::NotValidForNameContext { presented, .. },
    )) = error.downcast_ref()
    {
        // Each comes as DnsName("a.example") or IpAddress(192.0.2.1).
        let names = presented.iter().filter_map(|name| {
            let name = name
                .split_once('(')?
                .1
                .trim_end_matches(')')
                .trim_matches('"');
            ForeignText::clean(name).map(|name| name.to_string())
        });
        let names: Vec<String> = names.take(MAX_NAMES).collect();
        return Some(match names.len() {
            0 => "no name".to_owned(),
            count if count < presented.len() => format!("{}, and others", names.join(", ")),
            _ => names.join(", "),
        });
    }
    // An error that another one wraps is not its source.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => names_offered(wrapped),
        None => names_offered(error.source()?),
    }
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

/// Returns whether a text has certificates and all are usable, as their user will need.
fn is_usable(pem: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy();
    Certificate::from_pem_bundle(pem.as_bytes()).is_ok_and(|certificates| {
        !certificates.is_empty() && client.tls_certs_only(certificates).build().is_ok()
    })
}
