//! The connection to one service and one project.
//!
//! It owns the address, the transport rules (no redirect, no proxy to this
//! machine, no unprotected connection, time limits, a cap on answers) and one
//! sending. It refuses to log bodies, headers or queries.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RETRY_AFTER,
};
use reqwest::{Certificate, Response, redirect};
use url::Url;

use crate::core::config::is_project_id;
use crate::core::outcome::Reply;
use crate::core::target::{BadUrl, is_loopback, service_url};

use super::auth::Session;
use super::error::ApiError;
use super::judge::authority;
use super::note::{ConnectCause, LossCause, Note, Trust};
use super::received::{Body, Headers, Received};
use super::secrets::RunSecrets;

/// Largest answer that is read, in bytes. A real one takes some 200 per entry.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Connections that were idle for longer are not used again: a gateway may have
/// forgotten them, and the answer would be lost.
const MAX_IDLE: Duration = Duration::from_secs(20);

const X_LANGUAGE: HeaderName = HeaderName::from_static("x-language");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where to send and how long to wait.
#[derive(Debug)]
pub struct Options {
    /// Address of the service, such as `https://drs.eu-de.otc.t-systems.com`;
    /// it may have a path.
    pub endpoint: String,
    /// The project whose jobs are changed.
    pub project_id: String,
    /// Longest time from the start of a request to the end of its answer.
    pub request_timeout: Duration,
    /// Longest time to connect, at most half of the former: a time limit that
    /// ends while connecting must be known to have sent nothing.
    pub connect_timeout: Duration,
    /// Longest time for the repetitions of one throttled request.
    pub retry_max_elapsed: Duration,
    /// The first wait between two attempts; it doubles from there.
    pub retry_first_wait: Duration,
    /// Certificates in PEM form that are trusted beside those of the system.
    pub ca_file: Option<Vec<u8>>,
}

impl Options {
    /// The defaults of design section 2.1 for one service and project.
    pub const fn new(endpoint: String, project_id: String) -> Self {
        Self {
            endpoint,
            project_id,
            request_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            retry_max_elapsed: Duration::from_secs(5 * 60),
            retry_first_wait: Duration::from_secs(1),
            ca_file: None,
        }
    }
}

/// The clock and the dice, handed in so that nothing here reads them by itself.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    /// The time of day.
    pub now: fn() -> Timestamp,
    /// An evenly distributed number; it only spreads waits.
    pub random: fn() -> u64,
}

/// A client of one service, project and login.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    pub(super) session: Session,
    /// Address of the one call.
    pub(super) url: Url,
    trust: Trust,
    pub(super) retry_max_elapsed: Duration,
    pub(super) retry_first_wait: Duration,
    pub(super) ambient: Ambient,
    /// What must not come back, beyond the request at hand.
    pub(super) run: Option<RunSecrets>,
}

/// What came of a batch.
#[derive(Debug)]
pub struct Answered {
    /// The meaning.
    pub reply: Reply,
    /// What a person should know about how it came to be.
    pub notes: Vec<Note>,
}

/// What came of one sending.
#[derive(Debug)]
pub(super) enum Sent {
    Answer(Received),
    /// The request may have left, and no answer came.
    Lost(LossCause),
    /// The request did not leave.
    NoConnection(ConnectCause),
}

impl Client {
    /// Prepares a client; nothing is sent.
    /// Fails if the endpoint is no https address (or http to a literal loopback
    /// address), if the project id could change the address of a request, if
    /// the CA file holds no certificate, or if the system's certificates or
    /// proxy settings cannot be used.
    pub fn new(options: Options, session: Session, ambient: Ambient) -> Result<Self, ApiError> {
        let endpoint = service_url(&options.endpoint).map_err(|why| match why {
            BadUrl::Insecure => ApiError::InsecureEndpoint,
            _ => ApiError::Endpoint,
        })?;
        let is_loopback = is_loopback(&endpoint);
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
        let trust = if let Some(pem) = &options.ca_file {
            let certificates = Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or(ApiError::CaFile)?;
            builder = builder.tls_certs_merge(certificates);
            Trust::SystemAndFile
        } else {
            Trust::System
        };
        Ok(Self {
            url: call(&endpoint, &options.project_id)?,
            http: builder
                .build()
                .map_err(|error| ApiError::Setup(error.without_url()))?,
            session,
            trust,
            retry_max_elapsed: options.retry_max_elapsed,
            retry_first_wait: options.retry_first_wait,
            ambient,
            run: None,
        })
    }

    /// The same client, which looks for all secrets of a run in every answer.
    #[must_use]
    pub fn guarding(mut self, secrets: RunSecrets) -> Self {
        self.run = Some(secrets);
        self
    }

    /// Sends one request and reads its answer.
    pub(super) async fn send(&self, body: Bytes, entries: usize, attempt: u32) -> Sent {
        let path = self.url.path();
        let built = self
            .http
            .put(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .header(X_LANGUAGE, HeaderValue::from_static("en-us"))
            .body(body)
            .build();
        let Ok(mut request) = built else {
            return Sent::NoConnection(ConnectCause::Other);
        };
        self.session.authorize(&mut request);
        tracing::debug!(method = "PUT", path, entries, attempt, "sending");
        let response = match self.http.execute(request).await {
            Ok(response) => response,
            Err(error) => {
                let sent = failed(&error);
                tracing::debug!(method = "PUT", path, entries, attempt, ?sent, "no answer");
                return sent;
            }
        };
        let received = receive(response).await;
        let status = received.status;
        tracing::debug!(method = "PUT", path, entries, attempt, status, "answered");
        Sent::Answer(received)
    }

    pub(super) fn no_connection(&self, cause: ConnectCause) -> Note {
        Note::NoConnection {
            host: authority(&self.url),
            cause,
            trust: self.trust,
        }
    }

    pub(super) fn answer_lost(&self, cause: LossCause) -> Note {
        Note::AnswerLost {
            host: authority(&self.url),
            cause,
        }
    }
}

/// The address of the call that changes passwords.
fn call(endpoint: &Url, project_id: &str) -> Result<Url, ApiError> {
    if !is_project_id(project_id) {
        return Err(ApiError::ProjectId);
    }
    let prefix = endpoint.path().trim_end_matches('/');
    let mut url = endpoint.clone();
    url.set_path(&format!("{prefix}/v3/{project_id}/jobs/batch-modify-pwd"));
    Ok(url)
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

/// The cause in our words. The libraries below only tell some causes apart in
/// the text of their errors, so that is read here and shown nowhere.
fn connect_cause(error: &reqwest::Error) -> ConnectCause {
    if error.is_dns() {
        return ConnectCause::NameNotFound;
    }
    let mut text = String::new();
    let mut by_kind = None;
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&inner.to_string().to_ascii_lowercase());
        text.push('\n');
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
        ("not valid for name", ConnectCause::WrongName),
        ("notvalidforname", ConnectCause::WrongName),
        ("expired", ConnectCause::OutOfDate),
        ("not valid yet", ConnectCause::OutOfDate),
        ("certificate", ConnectCause::BadCertificate),
        ("tls", ConnectCause::Tls),
        ("handshake", ConnectCause::Tls),
        ("dns error", ConnectCause::NameNotFound),
        ("received corrupt message", ConnectCause::Tls),
    ];
    let found = by_text.iter().find(|(words, _)| text.contains(words));
    match (found, by_kind) {
        (Some((_, cause)), _) => *cause,
        (None, Some(cause)) => cause,
        (None, None) if error.is_timeout() => ConnectCause::TimedOut,
        (None, None) => ConnectCause::Other,
    }
}

#[cfg(test)]
mod tests;
