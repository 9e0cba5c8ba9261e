//! One way to one host: the transport rules, one sending, and the reading of an
//! answer.
//!
//! It owns what design sections 2.2 and 7 say of connections: no redirect is
//! followed, nothing to this machine goes through a proxy, nothing unprotected
//! leaves it, waits have an end and answers a largest size. It refuses to log
//! bodies, headers and queries.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER,
};
use reqwest::{Certificate, Request, Response, redirect};
use url::Url;

use crate::core::redact::ForeignText;
use crate::core::secret::Secret;
use crate::core::target::is_loopback;

use super::client::Options;
use super::error::ApiError;
use super::judge::authority;
use super::note::{ConnectCause, LossCause, Note, Trust};
use super::received::{Body, Headers, Received};

/// Largest answer that is read, in bytes. A real one takes some 200 per entry.
pub(super) const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Connections that were idle for longer are not used again: a gateway may have
/// forgotten them, and the answer would be lost.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// How many names of a certificate are shown.
const MAX_NAMES: usize = 5;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What an OpenStack identity service answers to the first of two factors
/// (OpenStack Identity API, "Multi-Factor Authentication").
const OPENSTACK_AUTH_RECEIPT: HeaderName = HeaderName::from_static("openstack-auth-receipt");
const X_SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// What came of one sending.
#[derive(Debug)]
pub(super) enum Sent {
    Answer(Received),
    /// The request may have left, and no answer came.
    Lost(LossCause),
    /// The request did not leave.
    NoConnection(ConnectCause),
}

/// Connections to one host.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    trust: Trust,
    proxy: Option<String>,
    setting: &'static str,
}

impl Transport {
    /// Prepares connections to the host of `url`, which `setting` names; nothing is sent.
    /// Fails if the CA file holds no certificate, or if the system's certificates
    /// or proxy settings cannot be used.
    pub(super) fn new(
        url: &Url,
        setting: &'static str,
        options: &Options,
    ) -> Result<Self, ApiError> {
        let is_loopback = is_loopback(url);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("drspass/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .https_only(!is_loopback)
            .connect_timeout(options.connect_timeout.min(options.request_timeout / 2))
            .timeout(options.request_timeout)
            .pool_idle_timeout(MAX_IDLE);
        if is_loopback {
            builder = builder.no_proxy();
        }
        let trust = if url.scheme() == "http" {
            // Where nothing is protected, the machine needs no certificates.
            builder = builder.tls_certs_only([]);
            Trust::System
        } else if let Some(pem) = &options.ca_file {
            let certificates = Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or(ApiError::CaFile)?;
            builder = builder.tls_certs_merge(certificates);
            Trust::SystemAndFile
        } else {
            Trust::System
        };
        let http = builder.build().map_err(|error| {
            match texts(&error).contains("no ca certificates") {
                true => ApiError::NoAuthorities,
                false => ApiError::Setup(error.without_url()),
            }
        })?;
        let proxy = options.proxy.clone().filter(|_| !is_loopback);
        Ok(Self {
            http,
            trust,
            proxy,
            setting,
        })
    }

    /// Sends one request and reads its answer. `entries` and `attempt` are for
    /// the log alone.
    pub(super) async fn send(&self, request: Request, entries: usize, attempt: u32) -> Sent {
        let method = request.method().clone();
        let path = request.url().path().to_owned();
        tracing::debug!(%method, path, entries, attempt, "sending");
        let response = match self.http.execute(request).await {
            Ok(response) => response,
            Err(error) => {
                let sent = failed(&error);
                tracing::debug!(%method, path, entries, attempt, ?sent, "no answer");
                return sent;
            }
        };
        let received = receive(response).await;
        let status = received.status;
        tracing::debug!(%method, path, entries, attempt, status, "answered");
        Sent::Answer(received)
    }

    pub(super) fn no_connection(&self, url: &Url, cause: ConnectCause) -> Note {
        Note::NoConnection {
            host: authority(url),
            cause,
            trust: self.trust,
            proxy: self.proxy.clone(),
            setting: self.setting,
        }
    }
}

/// What to tell of an answer that did not come.
pub(super) fn answer_lost(url: &Url, cause: LossCause) -> Note {
    Note::AnswerLost {
        host: authority(url),
        cause,
    }
}

async fn receive(mut response: Response) -> Received {
    let headers = response.headers();
    let coding = text_of(headers, &CONTENT_ENCODING)
        .filter(|coding| !coding.trim().is_empty() && !coding.eq_ignore_ascii_case("identity"));
    let kept = Headers {
        content_type: text_of(headers, &CONTENT_TYPE),
        date: text_of(headers, &DATE),
        location: text_of(headers, &LOCATION),
        request_id: text_of(headers, &X_REQUEST_ID),
        retry_after: text_of(headers, &RETRY_AFTER),
        asks_second_factor: headers.contains_key(OPENSTACK_AUTH_RECEIPT),
        subject_token: text_of(headers, &X_SUBJECT_TOKEN).map(Secret::new),
    };
    let status = response.status().as_u16();
    let body = match coding {
        Some(coding) => Body::Coded(coding),
        None => read(&mut response).await,
    };
    Received {
        status,
        headers: kept,
        body,
    }
}

fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

async fn read(response: &mut Response) -> Body {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER_BYTES => {
                return Body::TooLong;
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Body::Read(body),
            Err(_) => return Body::Cut,
        }
    }
}

/// What a failed sending proves. Only a connection that was never made proves
/// that nothing left.
fn failed(error: &reqwest::Error) -> Sent {
    if error.is_connect() {
        Sent::NoConnection(connect_cause(error))
    } else if error.is_timeout() {
        Sent::Lost(LossCause::TimedOut)
    } else {
        Sent::Lost(LossCause::Broken)
    }
}

/// The text of all errors below this one, in small letters.
fn texts(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&inner.to_string().to_ascii_lowercase());
        text.push('\n');
        source = inner.source();
    }
    text
}

/// The names of a certificate that is for another host than the one that was asked for.
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

/// The cause in our words. The libraries below only tell some causes apart in
/// the text of their errors, so that is read here and shown nowhere.
fn connect_cause(error: &reqwest::Error) -> ConnectCause {
    if error.is_dns() {
        return ConnectCause::NameNotFound;
    }
    if let Some(names) = names_offered(error) {
        return ConnectCause::WrongName { names };
    }
    let text = texts(error);
    let mut by_kind = None;
    let mut source = error.source();
    while let Some(inner) = source {
        by_kind = by_kind.or_else(|| {
            let kind = inner.downcast_ref::<io::Error>()?.kind();
            match kind {
                io::ErrorKind::ConnectionRefused => Some(ConnectCause::Refused),
                io::ErrorKind::TimedOut => Some(ConnectCause::TimedOut),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    Some(ConnectCause::Unreachable)
                }
                _ => None,
            }
        });
        source = inner.source();
    }
    let by_text = [
        ("proxy authorization required", ConnectCause::ProxyLogin),
        ("tunnel", ConnectCause::Proxy),
        ("unknownissuer", ConnectCause::IssuerNotTrusted),
        ("unknown issuer", ConnectCause::IssuerNotTrusted),
        ("expired", ConnectCause::OutOfDate),
        ("not valid yet", ConnectCause::OutOfDate),
        ("certificate", ConnectCause::BadCertificate),
        ("tls", ConnectCause::Tls),
        ("handshake", ConnectCause::Tls),
        ("dns error", ConnectCause::NameNotFound),
        ("received corrupt message", ConnectCause::Tls),
    ];
    let found = by_text.into_iter().find(|(words, _)| text.contains(words));
    match (found, by_kind) {
        (Some((_, cause)), _) => cause,
        (None, Some(cause)) => cause,
        (None, None) if error.is_timeout() => ConnectCause::TimedOut,
        (None, None) => ConnectCause::Other,
    }
}
