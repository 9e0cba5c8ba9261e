//! The signature of a request with an access key, `SDK-HMAC-SHA256`.
//!
//! Source: Huawei Cloud, "API Request Signing Guide"; the signer of the official Python SDK.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use reqwest::Request;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use super::{AccessKey, IamName};
use crate::api::http::{X_LANGUAGE, authority};
use crate::core::failure::Failure;
use crate::core::mac::{hex, keyed};
use crate::core::secret::Secret;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

const X_SDK_DATE: HeaderName = HeaderName::from_static("x-sdk-date");
const X_PROJECT_ID: HeaderName = HeaderName::from_static("x-project-id");
const X_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-security-token");

pub struct Signer {
    access: Arc<Secret>,
    secret: Arc<Secret>,
    security_token: Option<Arc<Secret>>,
    /// The name of the project if only that is given.
    pub project: Option<String>,
}

impl Signer {
    pub fn new(key: AccessKey) -> Result<Self, Failure> {
        let check = |part: &'static str, secret: Secret| {
            let is_plain =
                |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            if is_plain(secret.expose()) {
                return Ok(Arc::new(secret));
            }
            Err(Failure::new(
                "drspass::api::access_key",
                format!(
                    "the access key is invalid: {part} is empty or contains a blank, a line end \
                     or a foreign character"
                ),
                "Store each part of the key alone on one line, without quotation marks.",
            ))
        };
        Ok(Self {
            access: check("its id", key.access)?,
            secret: check("its secret", key.secret)?,
            security_token: key
                .security_token
                .map(|token| check("its security token", token))
                .transpose()?,
            project: match key.project {
                Some(IamName::Named(name, _)) => Some(name),
                _ => None,
            },
        })
    }

    /// Signs what is in `request` now. The connection adds nothing that is signed.
    pub fn authorize(&self, request: &mut Request, project_id: Option<&str>, now: Timestamp) {
        let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let security_token = self.security_token.as_deref().map(Secret::expose);
        let added = [
            (X_SDK_DATE, Some(date.as_str())),
            (X_PROJECT_ID, project_id),
            (X_SECURITY_TOKEN, security_token),
        ];
        let headers = request.headers_mut();
        for (name, value) in added {
            if let Some(mut value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                value.set_sensitive(name == X_SECURITY_TOKEN);
                headers.insert(name, value);
            }
        }
        let host = authority(request.url());
        let query: Vec<_> = request.url().query_pairs().collect();
        let mut signed = vec![("host", host.as_str())];
        let names = [
            CONTENT_TYPE,
            X_LANGUAGE,
            X_PROJECT_ID,
            X_SDK_DATE,
            X_SECURITY_TOKEN,
        ];
        for name in &names {
            if let Some(value) = request.headers().get(name).and_then(|v| v.to_str().ok()) {
                signed.push((name.as_str(), value));
            }
        }
        let body = request.body().and_then(|body| body.as_bytes());
        let value = authorization(
            &SignedParts {
                method: request.method().as_str(),
                path: request.url().path(),
                query: &query,
                headers: &signed,
                body: body.unwrap_or_default(),
            },
            &date,
            self.access.expose(),
            self.secret.expose().as_bytes(),
        );
        if let Ok(mut value) = HeaderValue::from_str(&value) {
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
    }

    pub fn secrets(&self) -> Vec<Arc<Secret>> {
        [&self.access, &self.secret]
            .into_iter()
            .chain(&self.security_token)
            .map(Arc::clone)
            .collect()
    }
}

pub struct SignedParts<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// Lower-case names with their values; all of them are signed.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// Returns the value of the `Authorization` header. `date` is the value of `X-Sdk-Date`, which
/// must be among the headers.
pub fn authorization(request: &SignedParts<'_>, date: &str, access: &str, secret: &[u8]) -> String {
    let (canonical, names) = canonical(request);
    let hash = hex(&Sha256::digest(canonical.as_bytes()));
    let signature = sign(date, &hash, secret);
    format!("{ALGORITHM} Access={access}, SignedHeaders={names}, Signature={signature}")
}

/// Signs the hash of a canonical request. The secret is used as it is: this scheme derives no
/// key from it.
fn sign(date: &str, hash: &str, secret: &[u8]) -> String {
    let text = format!("{ALGORITHM}\n{date}\n{hash}");
    hex(&keyed(secret, text.as_bytes()))
}

fn canonical(request: &SignedParts<'_>) -> (String, String) {
    let mut headers: Vec<_> = request.headers.to_vec();
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut text = String::new();
    let _ = writeln!(text, "{}", request.method);
    let _ = writeln!(text, "{}", canonical_path(request.path));
    let _ = writeln!(text, "{}", canonical_query(request.query));
    for (name, value) in headers {
        let _ = writeln!(text, "{name}:{}", value.trim());
    }
    let body = hex(&Sha256::digest(request.body));
    let _ = write!(text, "\n{names}\n{body}");
    (text, names)
}

/// Returns the path with every segment in its one spelling and a final slash, which the
/// request itself does not have.
fn canonical_path(path: &str) -> String {
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| encode(&percent_decode_str(segment).collect::<Vec<u8>>()))
        .collect();
    let mut path = segments.join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// Returns the pairs sorted by decoded text, each side encoded. The request must carry exactly
/// this text.
pub fn canonical_query(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name.as_bytes()), encode(value.as_bytes())))
        .collect();
    pairs.join("&")
}

fn encode(bytes: &[u8]) -> String {
    const ENCODED: AsciiSet = NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    percent_encode(bytes, &ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, Url};

    use super::*;

    const ACCESS: &str = "DRSPASSEXAMPLEAK0001";
    const SECRET: &[u8] = b"drspass-example-secret-key-not-real-0001";
    const DATE: &str = "20260102T030405Z";
    const PROJECT: &str = "054ba152d480d55b2f5dc0069e7ddef0";

    fn pair<'a>(name: &'a str, value: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
        (Cow::Borrowed(name), Cow::Borrowed(value))
    }

    /// Checks the hash of the canonical request and the whole header.
    fn check(request: &SignedParts<'_>, hash: &str, names: &str, signature: &str) {
        let (canonical, _) = canonical(request);
        assert_eq!(
            hex(&Sha256::digest(canonical.as_bytes())),
            hash,
            "{canonical}"
        );
        assert_eq!(
            authorization(request, DATE, ACCESS, SECRET),
            format!(
                "SDK-HMAC-SHA256 Access={ACCESS}, SignedHeaders={names}, Signature={signature}"
            )
        );
    }

    // Made with the signer of the official Python SDK, huaweicloudsdkcore 3.1.219.
    #[test]
    fn a_password_change_is_signed_as_the_sdk_signs_it() {
        let path = format!("/v3/{PROJECT}/jobs/batch-modify-pwd");
        check(
            &SignedParts {
                method: "PUT",
                path: &path,
                query: &[],
                headers: &[
                    ("host", "drs.eu-de.otc.t-systems.com"),
                    ("x-sdk-date", DATE),
                    ("content-type", "application/json"),
                    ("x-project-id", PROJECT),
                ],
                body: br#"{"jobs": [{"db_password": "pl4in-Example", "end_point_type": "so", "job_id": "25df459d-a37c-41b9-bc2b-8c00ba32jb52"}]}"#,
            },
            "25f114abe1de8340da5f0bc768eb368a6b265dd954e83300641ca454be5b189d",
            "content-type;host;x-project-id;x-sdk-date",
            "0ac7ad29c0f8c0195139c7d9f04b5e5cb691f327d0fc1a49212862eaad14ecd5",
        );
    }

    #[test]
    fn a_query_and_a_security_token_are_signed_as_the_sdk_signs_them() {
        let path = format!("/v5/{PROJECT}/jobs");
        let query = [
            pair("limit", "10"),
            pair("name", "a b/ü~*"),
            pair("job_type", "sync"),
            pair("flag", "true"),
            pair("ids", "b"),
            pair("ids", "a"),
        ];
        assert_eq!(
            canonical_query(&query),
            "flag=true&ids=a&ids=b&job_type=sync&limit=10&name=a%20b%2F%C3%BC~%2A"
        );
        check(
            &SignedParts {
                method: "GET",
                path: &path,
                query: &query,
                headers: &[
                    ("host", "drs.cn-north-4.myhuaweicloud.com"),
                    ("content-type", "application/json"),
                    ("x-language", "en-us"),
                    ("x-project-id", PROJECT),
                    ("x-sdk-date", DATE),
                    ("x-security-token", "EXAMPLESECURITYTOKEN"),
                ],
                body: b"",
            },
            "d2606495da20eca3b4ffd12f81cf13d4c441cc7522c980a9be3a66553b506e4c",
            "content-type;host;x-language;x-project-id;x-sdk-date;x-security-token",
            "61e97516b5f55c999572dac040c25c47c4049c6f9a253e810ea734cfd7af0ea0",
        );
    }

    #[test]
    fn a_call_without_body_and_project_is_signed_as_the_sdk_signs_it() {
        check(
            &SignedParts {
                method: "GET",
                path: "/v3/projects",
                query: &[pair("name", "eu-de")],
                headers: &[
                    ("host", "iam.eu-de.otc.t-systems.com"),
                    ("x-sdk-date", DATE),
                ],
                body: b"",
            },
            "1c10abd3acc5fc270959cac2a62990985babaf47c4c797d46d9cb90cd42c688e",
            "host;x-sdk-date",
            "1a98d0b81d32c31230d52cf0418ef9c41bfb559343cd7ae17db111a26e0ca4ca",
        );
    }

    // Read off the wire with another key, user agent included.
    #[test]
    fn the_request_that_the_sdk_sends_has_the_signature_that_it_sends() {
        let project = "0123456789abcdef0123456789abcdef";
        let path = format!("/v3/{project}/jobs/batch-modify-pwd");
        let request = SignedParts {
            method: "PUT",
            path: &path,
            query: &[],
            headers: &[
                ("host", "drs.example.invalid"),
                ("content-type", "application/json"),
                ("x-project-id", project),
                ("x-sdk-date", DATE),
                ("user-agent", "vector/1"),
            ],
            body: br#"{"jobs": [{"db_password": "Made-up-1!", "end_point_type": "so", "job_id": "6513270e-269e-0d37-f2a7-4de452e6jbb4"}]}"#,
        };
        assert_eq!(
            authorization(&request, DATE, "MADEUPAK00000000", b"made-up-sk"),
            "SDK-HMAC-SHA256 Access=MADEUPAK00000000, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-date, Signature=adcd671b86c5cbf49e2911e4de7294a5c33b06e2a8f22e7ccb7a71eb9eb62643"
        );
    }

    // The worked example of the "API Request Signing Guide".
    #[test]
    fn the_published_example_has_its_signature() {
        assert_eq!(
            sign(
                "20191115T033655Z",
                "b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a",
                b"MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
            ),
            "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"
        );
    }

    #[test]
    fn a_path_is_signed_in_its_one_spelling() {
        for path in ["/v3/a%2fb", "/v3/a%2Fb", "/v3/a%2Fb/"] {
            assert_eq!(canonical_path(path), "/v3/a%2Fb/");
        }
        assert_eq!(canonical_path("/v3/ü"), "/v3/%C3%BC/");
        assert_eq!(canonical_path("/"), "/");
        assert_eq!(canonical_path(""), "/");
    }

    // A checked key, and what it adds to a request.

    fn key(access: &str, secret: &str, token: Option<&str>) -> AccessKey {
        AccessKey {
            access: Secret::new(access.to_owned()),
            secret: Secret::new(secret.to_owned()),
            security_token: token.map(|token| Secret::new(token.to_owned())),
            project: None,
        }
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05.678Z".parse().unwrap()
    }

    #[test]
    fn what_is_sent_carries_the_pinned_signature() {
        let project = "054ba152d480d55b2f5dc0069e7ddef0";
        let url = format!("https://drs.eu-de.otc.t-systems.com/v3/{project}/jobs/batch-modify-pwd");
        let mut request = Request::new(Method::PUT, Url::parse(&url).unwrap());
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = br#"{"jobs": [{"db_password": "pl4in-Example", "end_point_type": "so", "job_id": "25df459d-a37c-41b9-bc2b-8c00ba32jb52"}]}"#;
        *request.body_mut() = Some(body.to_vec().into());
        let signer = Signer::new(key(
            "DRSPASSEXAMPLEAK0001",
            "drspass-example-secret-key-not-real-0001",
            None,
        ))
        .unwrap();
        signer.authorize(&mut request, Some(project), now());
        assert_eq!(request.headers()["x-sdk-date"], "20260102T030405Z");
        assert_eq!(request.headers()["x-project-id"], project);
        assert_eq!(
            request.headers()["authorization"],
            "SDK-HMAC-SHA256 Access=DRSPASSEXAMPLEAK0001, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=0ac7ad29c0f8c0195139c7d9f04b5e5cb691f327d0fc1a49212862eaad14ecd5"
        );
        assert!(!format!("{request:?}").contains("0ac7ad29"));
    }

    #[test]
    fn a_host_with_a_port_and_the_language_and_the_security_token_are_signed() {
        let url = Url::parse("http://127.0.0.1:18443/v3/projects?name=eu-de").unwrap();
        let mut request = Request::new(Method::GET, url);
        request
            .headers_mut()
            .insert(X_LANGUAGE, HeaderValue::from_static("en-us"));
        let signer = Signer::new(key("AK", "SK", Some("canary-st"))).unwrap();
        signer.authorize(&mut request, None, now());
        let header = request.headers()["authorization"].to_str().unwrap();
        assert!(
            header.contains("SignedHeaders=host;x-language;x-sdk-date;x-security-token,"),
            "{header}"
        );
        assert!(request.headers()["x-security-token"].is_sensitive());
    }

    #[test]
    fn a_key_with_a_blank_or_a_line_end_is_refused_by_part() {
        for (key, part) in [
            (key("", "s", None), "its id"),
            (key("A K", "s", None), "its id"),
            (key("AK", "s\n", None), "its secret"),
            (key("AK", "s", Some("t\r\n")), "its security token"),
        ] {
            let error = Signer::new(key).err().unwrap();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
