//! A token as a header of a request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::Request;
use reqwest::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::api::error::ApiError;
use crate::core::secret::Secret;

const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// A checked token and the header made of it.
pub(in crate::api) struct TokenHeader {
    secret: Arc<Secret>,
    header: HeaderValue,
}

impl TokenHeader {
    /// Takes a token with at most one line end after it, which is dropped: files
    /// and variables often end in one.
    /// Fails if the token is empty or holds anything but visible ASCII.
    pub(super) fn given(given: &Secret) -> Result<Self, ApiError> {
        let text = given.expose();
        let text = text
            .strip_suffix("\r\n")
            .or_else(|| text.strip_suffix('\n'))
            .unwrap_or(text);
        if text.is_empty() {
            return Err(ApiError::TokenEmpty);
        }
        for (i, c) in text.chars().enumerate() {
            let position = i + 1;
            if c.is_control() {
                return Err(ApiError::TokenControl { position });
            }
            if !c.is_ascii_graphic() {
                return Err(ApiError::TokenForeign { position });
            }
        }
        // The header shares one wiped buffer; each request clones the handle.
        let bytes = Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()));
        let mut header = HeaderValue::from_maybe_shared(bytes)
            .map_err(|_| ApiError::TokenForeign { position: 1 })?;
        header.set_sensitive(true);
        Ok(Self {
            secret: Arc::new(Secret::new(text.to_owned())),
            header,
        })
    }

    pub(super) fn authorize(&self, request: &mut Request) {
        request
            .headers_mut()
            .insert(X_AUTH_TOKEN, self.header.clone());
    }

    /// The token as the value of another header.
    pub(super) const fn value(&self) -> &HeaderValue {
        &self.header
    }

    pub(super) const fn secret(&self) -> &Arc<Secret> {
        &self.secret
    }
}

impl fmt::Debug for TokenHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHeader(..)")
    }
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, Url};

    use super::*;

    fn session(token: &str) -> Result<TokenHeader, ApiError> {
        TokenHeader::given(&Secret::new(token.to_owned()))
    }

    #[test]
    fn one_line_end_after_a_token_is_dropped() {
        for given in ["tok-1", "tok-1\n", "tok-1\r\n"] {
            let url = Url::parse("http://127.0.0.1/").unwrap();
            let mut request = Request::new(Method::PUT, url);
            session(given).unwrap().authorize(&mut request);
            let header = &request.headers()["x-auth-token"];
            assert_eq!(header, "tok-1");
            assert!(header.is_sensitive());
            assert!(!format!("{request:?}").contains("tok-1"));
        }
    }

    #[test]
    fn other_odd_characters_are_refused_by_position() {
        let said = |token: &str| session(token).unwrap_err().to_string();
        for (token, position) in [("to\nk", 3), ("tok\n\n", 4), ("tok\r", 4), ("\ttok", 1)] {
            let text = format!("the token holds a control character at position {position}");
            assert_eq!(said(token), text);
        }
        assert!(said("tök").ends_with("outside ASCII at position 2"));
        assert!(said("to k").ends_with("position 3"));
        assert_eq!(said("\n"), "the token is empty");
        assert_eq!(said(""), "the token is empty");
    }

    #[test]
    fn a_session_shows_nothing_of_its_token() {
        assert_eq!(
            format!("{:?}", session("tok-1").unwrap()),
            "TokenHeader(..)"
        );
    }
}
