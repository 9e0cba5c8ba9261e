//! Which hosts may be talked to at all.

use thiserror::Error;
use url::Url;

use super::clouds::is_cloud_host;
use super::service_url::{is_here, is_loopback};

/// A host that may not be talked to.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{host} is not a host of a known cloud")]
pub struct UntrustedHost {
    /// The host.
    pub host: String,
}

/// Whether `url` leads to a known cloud, to a literal loopback address, or to a
/// host in `trusted`.
/// Fails with the host otherwise.
pub fn check_host(url: &str, trusted: &[String]) -> Result<(), UntrustedHost> {
    let untrusted = |host: &str| UntrustedHost {
        host: host.to_owned(),
    };
    let url = Url::parse(url).map_err(|_| untrusted("an unreadable address"))?;
    let host = url.host_str().unwrap_or_default();
    // A known name with another port is another program, so it must be named.
    let is_known = is_cloud_host(host) && url.port().is_none();
    let is_named = trusted.iter().any(|name| name.eq_ignore_ascii_case(host));
    if is_known || is_named || is_loopback(&url) {
        Ok(())
    } else {
        Err(untrusted(host))
    }
}

/// Whether an endpoint that the catalogue of the identity service names may be
/// talked to. One on this machine is only taken from an identity service on this
/// machine: whoever answers elsewhere must not choose a port here.
/// Fails with the host otherwise.
pub fn check_catalogued(
    endpoint: &str,
    auth_url: &str,
    trusted: &[String],
) -> Result<(), UntrustedHost> {
    if is_here(endpoint) && !is_here(auth_url) {
        return Err(UntrustedHost {
            host: "a loopback address named by the catalogue".to_owned(),
        });
    }
    check_host(endpoint, trusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_known_clouds_are_trusted_unasked() {
        for host in [
            "drs.eu-de.otc.t-systems.com.example.org",
            "drs.eu-de.evil.otc.t-systems.com",
            "drs-eu-de.otc.t-systems.com",
            "obs.eu-de.otc.t-systems.com",
            "drs.otc.t-systems.com",
            "drs..otc.t-systems.com",
            "eu-de.otc.t-systems.com",
            "localhost",
            "10.0.0.1",
        ] {
            let url = format!("https://{host}");
            assert!(check_host(&url, &[]).is_err(), "{host}");
        }
        assert!(check_host("https://drs.eu-de.otc.t-systems.com:8443", &[]).is_err());
        assert!(check_host("http://127.0.0.1:8080", &[]).is_ok());
        assert!(check_host("http://[::1]:8080", &[]).is_ok());
    }

    #[test]
    fn a_catalogue_elsewhere_does_not_name_a_port_here() {
        let iam = "https://iam.eu-de.otc.t-systems.com/v3";
        let check = |endpoint, auth_url| check_catalogued(endpoint, auth_url, &[]);
        assert!(check("http://127.0.0.1:9", iam).is_err());
        assert!(check("http://127.0.0.1:9", "http://127.0.0.1:8/v3").is_ok());
        assert!(check("https://drs.eu-de.otc.t-systems.com", iam).is_ok());
        assert!(check("https://drs.example.org", iam).is_err());
    }
}
