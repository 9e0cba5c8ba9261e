//! The connection to one host: transport rules, sending, and reading an answer.
//!
//! By design sections 2.2 and 7, redirects are not followed, loopback requests bypass proxies,
//! nothing unprotected leaves the machine, and waits and answers are limited. Bodies, headers
//! and queries are never logged.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use reqwest::{Method, Request, Response, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

use super::tls::{CauseAbout, connect_cause, tls_config};
use crate::core::config::ApplyConfig;
use crate::core::failure::Failure;
use crate::core::target::{EndpointFrom, Target, is_loopback};

/// Largest answer that is read, in bytes. A real one takes some 200 per entry.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Idle time after which a connection is not used again: a gateway may have forgotten it, and
/// the answer would be lost.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// Longest time to connect, at most half of that of a request: a timeout while connecting must
/// be known to have sent nothing.
const MAX_CONNECTING: Duration = Duration::from_secs(10);

/// Smallest clock difference that is reported: a signed login allows for 15 minutes ("API
/// Request Signing Guide").
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

pub const CLOCK_OFF: &str = "the clock of this machine says";

pub const X_LANGUAGE: HeaderName = HeaderName::from_static("x-language");
pub const X_SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Sent by an OpenStack identity service after the first of two factors (OpenStack Identity API,
/// "Multi-Factor Authentication").
pub const OPENSTACK_AUTH_RECEIPT: HeaderName = HeaderName::from_static("openstack-auth-receipt");

#[derive(Clone)]
pub struct ClientOptions {
    pub target: Target,
    pub endpoint_from: EndpointFrom,
    /// The settings that name the endpoint and the identity service, for messages.
    pub named_by: [&'static str; 2],
    pub login_from: String,
    pub sending: ApplyConfig,
    /// The first wait between two attempts; it doubles from there.
    pub retry_first_wait: Duration,
    /// PEM certificates trusted in addition to those of the system.
    pub ca_file: Option<Vec<u8>>,
    /// Host and port of the environment's proxy, for messages: the connection finds it by itself.
    pub proxy: Option<String>,
}

impl ClientOptions {
    pub fn new(target: Target) -> Self {
        Self {
            target,
            endpoint_from: EndpointFrom::Settings,
            named_by: ["target.endpoint", "target.auth_url"],
            login_from: String::new(),
            sending: ApplyConfig::default(),
            retry_first_wait: Duration::from_secs(1),
            ca_file: None,
            proxy: None,
        }
    }
}

/// A request before a login is added.
#[derive(Clone)]
pub struct ApiCall {
    pub method: Method,
    pub url: Url,
    pub body: Option<Bytes>,
}

impl ApiCall {
    /// Returns the request with the headers of every call: messages in English, and no content
    /// coding (design section 7).
    pub fn request(&self) -> Request {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(X_LANGUAGE, HeaderValue::from_static("en-us"));
        if let Some(body) = &self.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        request
    }

    pub fn host(&self) -> String {
        authority(&self.url)
    }
}

/// Returns host and port of an address, without user, path and query.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Why one sending got no answer, with the text to report.
#[derive(Debug)]
pub enum NoAnswer {
    /// The request may have left.
    Lost(String),
    /// The request did not leave.
    NoConnection(String),
}

pub struct Transport {
    http: reqwest::Client,
    trusted: &'static str,
    proxy: Option<String>,
    setting: &'static str,
}

impl Transport {
    /// Prepares connections to the host of `url`, which `setting` names; sends nothing.
    pub fn new(url: &Url, setting: &'static str, options: &ClientOptions) -> Result<Self, Failure> {
        let is_loopback = is_loopback(url);
        let request_timeout = options.sending.request_timeout;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("drspass/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .https_only(!is_loopback)
            .connect_timeout(MAX_CONNECTING.min(request_timeout / 2))
            .timeout(request_timeout)
            .pool_idle_timeout(MAX_IDLE);
        if is_loopback {
            builder = builder.no_proxy();
        }
        let mut trusted = "the certificates of the system";
        if url.scheme() == "http" {
            // Where nothing is protected, the machine needs no certificates.
            builder = builder.tls_certs_only([]);
        } else {
            let mut own = Vec::new();
            if let Some(pem) = &options.ca_file {
                own = CertificateDer::pem_slice_iter(pem)
                    .collect::<Result<Vec<_>, _>>()
                    .ok()
                    .filter(|certificates| !certificates.is_empty())
                    .ok_or_else(|| {
                        Failure::new(
                            "drspass::api::ca_file",
                            "the CA file has no PEM certificate",
                            "Name a file with one or more BEGIN CERTIFICATE blocks.",
                        )
                    })?;
                trusted = "the certificates of the system and of the CA file";
            }
            let config = tls_config(own).map_err(|error| match error {
                rustls::Error::General(_) => Failure::new(
                    "drspass::api::no_authorities",
                    "cannot check certificates: the system has no certificate authorities",
                    "Nothing was sent. Install those of the system (Debian: ca-certificates), or name a PEM file with --ca-file or OS_CACERT.",
                ),
                error => cannot_set_up(error),
            })?;
            builder = builder.tls_backend_preconfigured(config);
        }
        let http = builder
            .build()
            .map_err(|error| cannot_set_up(error.without_url()))?;
        Ok(Self {
            http,
            trusted,
            proxy: options.proxy.clone().filter(|_| !is_loopback),
            setting,
        })
    }

    /// Sends one request and reads its answer. `entries` and `attempt` are for the log alone.
    pub async fn send(
        &self,
        request: Request,
        entries: usize,
        attempt: u32,
    ) -> Result<Received, NoAnswer> {
        let method = request.method().clone();
        let path = request.url().path().to_owned();
        let host = authority(request.url());
        tracing::debug!(%method, path, entries, attempt, "sending");
        let response = match self.http.execute(request).await {
            Ok(response) => response,
            Err(error) => {
                let failed = self.failed(&host, &error);
                tracing::debug!(%method, path, entries, attempt, ?failed, "no answer");
                return Err(failed);
            }
        };
        let received = receive(response).await;
        let status = received.status;
        tracing::debug!(%method, path, entries, attempt, status, "answered");
        Ok(received)
    }

    /// Classifies a failed sending. Only a connection that was never made proves that nothing left.
    fn failed(&self, host: &str, error: &reqwest::Error) -> NoAnswer {
        if !error.is_connect() {
            return NoAnswer::Lost(match error.is_timeout() {
                true => answer_lost(host, "timed out"),
                false => answer_lost(host, "the connection broke"),
            });
        }
        let (words, about) = connect_cause(error);
        let mut note = format!("no connection to {host}: {words}");
        if about == CauseAbout::Proxy
            && let Some(proxy) = &self.proxy
        {
            note.push_str(&format!(" (proxy {proxy})"));
        }
        if about == CauseAbout::Issuer {
            note.push_str(&format!(" (checked against {})", self.trusted));
        }
        if matches!(about, CauseAbout::Host | CauseAbout::Issuer) {
            note.push_str(&format!("; the host is that of {}", self.setting));
        }
        NoAnswer::NoConnection(note + "; nothing was sent")
    }
}

fn cannot_set_up(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(
        "drspass::api::setup",
        "cannot set up the connection to the service",
        "Check the certificate store of the system and the proxy variables.",
    )
    .because(error)
}

fn answer_lost(host: &str, cause: &str) -> String {
    format!("answer from {host} lost: {cause}")
}

pub fn answer_cut(url: &Url) -> String {
    answer_lost(&authority(url), "the connection broke in the middle of it")
}

#[derive(Debug)]
pub struct Received {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Body,
}

pub enum Body {
    Read(Vec<u8>),
    /// It has this content coding.
    Coded(String),
    TooLong,
    /// The connection broke or timed out in the middle of it.
    Cut,
}

impl fmt::Debug for Body {
    /// Omits the body, which may repeat a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "Read(..)",
            Self::Coded(_) => "Coded(..)",
            Self::TooLong => "TooLong",
            Self::Cut => "Cut",
        })
    }
}

impl Received {
    /// Returns the body, empty if it could not be read as it is.
    pub fn into_body(self) -> Vec<u8> {
        match self.body {
            Body::Read(body) => body,
            Body::Coded(_) | Body::TooLong | Body::Cut => Vec::new(),
        }
    }

    pub fn header(&self, name: &HeaderName) -> Option<Cow<'_, str>> {
        text_of(&self.headers, name)
    }

    /// Returns the wait that the answer asks for: seconds, or a date by the answer's own clock
    /// (RFC 9110, section 10.2.3).
    pub fn wait_asked(&self, now: Timestamp) -> Option<Duration> {
        let asked = self.header(&RETRY_AFTER)?;
        let asked = asked.trim();
        if !asked.is_empty() && asked.bytes().all(|b| b.is_ascii_digit()) {
            return Some(asked.parse().map_or(Duration::MAX, Duration::from_secs));
        }
        let until = parse_date(asked)?;
        let from = self.date().unwrap_or(now);
        Duration::try_from(until.duration_since(from)).ok()
    }

    fn date(&self) -> Option<Timestamp> {
        parse_date(&self.header(&DATE)?)
    }

    pub fn clock_off(&self, local: Timestamp) -> Option<String> {
        let server = self.date()?;
        let apart = local.duration_since(server).unsigned_abs();
        if apart <= CLOCK_TOLERANCE {
            return None;
        }
        let minutes = apart.as_secs() / 60;
        let apart = match minutes / 60 {
            0 | 1 => format!("{minutes} minutes"),
            hours => format!("{hours} hours"),
        };
        Some(format!(
            "{CLOCK_OFF} {local:.0}, the service's {server:.0}: they differ by {apart}; check \
             the clock of this machine"
        ))
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}

async fn receive(mut response: Response) -> Received {
    let mut headers = std::mem::take(response.headers_mut());
    if let Some(token) = headers.get_mut(X_SUBJECT_TOKEN) {
        token.set_sensitive(true);
    }
    let coding = text_of(&headers, &CONTENT_ENCODING)
        .filter(|coding| !coding.trim().is_empty() && !coding.eq_ignore_ascii_case("identity"));
    let body = match coding {
        Some(coding) => Body::Coded(coding.into_owned()),
        None => read(&mut response).await,
    };
    Received {
        status: response.status().as_u16(),
        headers,
        body,
    }
}

fn text_of<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, str>> {
    Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()))
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
