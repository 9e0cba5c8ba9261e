//! A login with an access key: every request is signed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use reqwest::Request;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};

use super::credentials::AccessKey;
use super::signature::{self, Signed};
use crate::api::error::ApiError;
use crate::api::judge::authority;
use crate::core::secret::Secret;

const X_SDK_DATE: HeaderName = HeaderName::from_static("x-sdk-date");
const X_PROJECT_ID: HeaderName = HeaderName::from_static("x-project-id");
const X_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-security-token");
const X_LANGUAGE: HeaderName = HeaderName::from_static("x-language");

/// A checked access key.
pub(in crate::api) struct Signer {
    access: Arc<Secret>,
    secret: Arc<Secret>,
    security_token: Option<Arc<Secret>>,
}

impl Signer {
    /// Takes a key.
    /// Fails if a part of it is empty or holds anything but visible ASCII.
    pub(super) fn new(key: AccessKey) -> Result<Self, ApiError> {
        let check = |part: &'static str, secret: Secret| {
            let is_plain =
                |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            if is_plain(secret.expose()) {
                Ok(Arc::new(secret))
            } else {
                Err(ApiError::AccessKey { part })
            }
        };
        Ok(Self {
            access: check("its id", key.access)?,
            secret: check("its secret", key.secret)?,
            security_token: key
                .security_token
                .map(|token| check("its security token", token))
                .transpose()?,
        })
    }

    /// Signs what is in `request` now. The connection adds nothing that is signed.
    pub(super) fn authorize(
        &self,
        request: &mut Request,
        project_id: Option<&str>,
        now: Timestamp,
    ) {
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
        let value = signature::authorization(
            &Signed {
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

    pub(super) fn secrets(&self) -> Vec<Arc<Secret>> {
        [&self.access, &self.secret]
            .into_iter()
            .chain(&self.security_token)
            .map(Arc::clone)
            .collect()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

/// The query of a call that is signed, spelt as it is signed.
pub(super) fn query_of(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)))
        .collect();
    signature::canonical_query(&pairs)
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, Url};

    use super::*;

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
            let error = Signer::new(key).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
