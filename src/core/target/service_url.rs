//! The form of every address of a service: one rule for all of them.

use thiserror::Error;
use url::{Host, Url};

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadUrl {
    /// It is no URL with a host.
    #[error("it is not a URL with a host")]
    Malformed,
    /// It is neither https nor http.
    #[error("it must start with https://")]
    Scheme,
    /// It is http to another machine.
    #[error("http is only for a literal loopback address")]
    Insecure,
    /// It carries more than an address.
    #[error("it must not hold a user, a password, a query or a fragment")]
    MoreThanAddress,
    /// A path follows the host.
    #[error("its path must be empty, /v3, or /v3 and the id of its project")]
    Path,
}

/// Reads the address of a service: the one rule for all of them.
/// Fails if it is malformed, is not https (http is taken for a literal loopback
/// address), or holds a user, a query or a fragment.
pub fn service_url(text: &str) -> Result<Url, BadUrl> {
    let url = Url::parse(text).map_err(|_| BadUrl::Malformed)?;
    if url.host().is_none() {
        return Err(BadUrl::Malformed);
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(BadUrl::Insecure),
        _ => return Err(BadUrl::Scheme),
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(BadUrl::MoreThanAddress);
    }
    Ok(url)
}

/// Whether the host is an IP address of the loopback range, written as one.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// [`is_loopback`] for an address that was not read yet.
pub fn is_here(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_loopback(&url))
}
