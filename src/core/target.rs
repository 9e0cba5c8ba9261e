//! Where passwords go: the address of the service and the project. `clouds` knows
//! the addresses of regions, `hosts` holds the rule which hosts may be talked to at
//! all, `service_url` the one for the form of every address.
//!
//! A change of drspass.yaml must not be able to send passwords elsewhere, so
//! the target is compared with the one sealed in the manifest, and hosts outside
//! the known clouds are only reached when the user, not a file, names them
//! (design section 2.2).

mod clouds;
mod hosts;
mod service_url;

use thiserror::Error;

use super::config::{TargetConfig, bare_endpoint};
use super::fingerprint::Scope;
use clouds::Addresses;

pub use hosts::{UntrustedHost, check_catalogued, check_host};
pub use service_url::{BadUrl, is_here, is_loopback, service_url};

/// The service, the project and the login that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Service and project.
    pub scope: Scope,
    /// Address of the identity service, ending in `/v3`.
    pub auth_url: String,
}

/// Where the endpoint of a target was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointFrom {
    /// It is written, or follows from the region.
    Settings,
    /// Neither says it, so what is sealed must be what the catalogue of the identity
    /// service says of this region.
    Catalogue {
        /// The region; any where none is named.
        region: Option<String>,
    },
}

/// A target that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    /// Neither a region that is known nor both addresses are given.
    #[error("the target has no address: its region is not a known one, and an address is missing")]
    Unresolved,
    /// The region is not a known one and no endpoint is given, so only the catalogue
    /// of the identity service can tell it.
    #[error("the target has no endpoint: its region is not a known one, and none is written")]
    NoEndpoint,
    /// An address is malformed.
    #[error("target.{field} is not an address that can be used: {why}")]
    Address {
        /// `endpoint` or `auth_url`.
        field: &'static str,
        /// What is wrong with it.
        why: BadUrl,
    },
}

impl Target {
    /// The target that `config` describes: explicit addresses first, then those
    /// that follow from the region.
    /// Fails if an address is malformed, is not https (http is taken for a
    /// literal loopback address), or cannot be found.
    pub fn resolve(config: &TargetConfig) -> Result<Self, TargetError> {
        Self::resolve_or(config, None)
    }

    /// As [`Target::resolve`]; `catalogued` is the endpoint where neither an address
    /// nor a known region gives one.
    pub fn resolve_or(
        config: &TargetConfig,
        catalogued: Option<&str>,
    ) -> Result<Self, TargetError> {
        let of_region = config.region.as_deref().and_then(clouds::addresses);
        let pick = |explicit: &Option<String>, known: fn(&Addresses) -> String| {
            explicit.clone().or_else(|| of_region.as_ref().map(known))
        };
        let auth_url =
            pick(&config.auth_url, |a| a.auth_url.clone()).ok_or(TargetError::Unresolved)?;
        let endpoint = pick(&config.endpoint, |a| a.endpoint.clone())
            .or_else(|| catalogued.map(str::to_owned))
            .ok_or(TargetError::NoEndpoint)?;
        let address = |field| move |why| TargetError::Address { field, why };
        let endpoint = service_url(&endpoint).map_err(address("endpoint"))?;
        let endpoint = bare_endpoint(endpoint.as_str(), &config.project_id)
            .ok_or(BadUrl::Path)
            .map_err(address("endpoint"))?;
        Ok(Self {
            scope: Scope {
                endpoint: endpoint.to_owned(),
                project_id: config.project_id.clone(),
            },
            auth_url: auth_address(&auth_url).map_err(address("auth_url"))?,
        })
    }

    /// Whether both hosts may be talked to.
    /// Fails with the first that may not.
    pub fn check_hosts(&self, trusted: &[String]) -> Result<(), UntrustedHost> {
        check_host(&self.scope.endpoint, trusted)?;
        check_host(&self.auth_url, trusted)
    }
}

/// Checks an address of the identity service and gives it its one spelling: no slash at
/// the end, and `/v3` where there is no path.
/// Fails as [`service_url`].
pub fn auth_address(text: &str) -> Result<String, BadUrl> {
    let url = service_url(text)?;
    let version = if url.path() == "/" { "v3" } else { "" };
    Ok(format!("{url}{version}").trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(
        region: Option<&str>,
        endpoint: Option<&str>,
        auth_url: Option<&str>,
    ) -> TargetConfig {
        TargetConfig {
            region: region.map(str::to_owned),
            project_id: "054ba152d480d55b2f5dc0069e7ddef0".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            auth_url: auth_url.map(str::to_owned),
        }
    }

    #[test]
    fn a_region_gives_both_addresses() {
        for (region, endpoint, auth_url) in [
            (
                "eu-de",
                "https://drs.eu-de.otc.t-systems.com",
                "https://iam.eu-de.otc.t-systems.com/v3",
            ),
            (
                "eu-ch2",
                "https://drs.eu-ch2.sc.otc.t-systems.com",
                "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3",
            ),
            (
                "cn-north-4",
                "https://drs.cn-north-4.myhuaweicloud.com",
                "https://iam.cn-north-4.myhuaweicloud.com/v3",
            ),
            (
                "eu-west-101",
                "https://drs.eu-west-101.myhuaweicloud.eu",
                "https://iam.eu-west-101.myhuaweicloud.eu/v3",
            ),
        ] {
            let target = Target::resolve(&config(Some(region), None, None)).expect(region);
            assert_eq!(target.scope.endpoint, endpoint);
            assert_eq!(target.auth_url, auth_url);
            assert_eq!(target.check_hosts(&[]), Ok(()));
        }
    }

    #[test]
    fn explicit_addresses_win_and_lose_their_trailing_slash() {
        let target = Target::resolve(&config(
            Some("eu-de"),
            Some("https://drs.example.com/"),
            None,
        ))
        .expect("a target");
        assert_eq!(target.scope.endpoint, "https://drs.example.com");
        assert!(target.check_hosts(&[]).is_err());
        assert_eq!(target.check_hosts(&["DRS.example.com".to_owned()]), Ok(()));
    }

    #[test]
    fn an_endpoint_has_no_path_and_an_identity_service_has_a_version() {
        const HOST: &str = "https://drs.example.com:8443";
        let project = "054ba152d480d55b2f5dc0069e7ddef0";
        let resolve = |path: &str, auth_url| {
            let endpoint = format!("{HOST}{path}");
            Target::resolve(&config(None, Some(&endpoint), Some(auth_url)))
        };
        let iam = "https://iam.example.com/v3";
        let own = format!("/v3/{project}");
        for path in ["", "/", "/v3", "/v3/", own.as_str(), &format!("{own}/")] {
            let target = resolve(path, iam).expect(path);
            assert_eq!(target.scope.endpoint, HOST, "{path}");
        }
        for path in [
            "/x",
            "/v3/other",
            "/v33",
            "/v2",
            "/x/v3",
            "/v3/v3",
            &format!("/{project}"),
        ] {
            let why = BadUrl::Path;
            let field = "endpoint";
            let refused = Err(TargetError::Address { field, why });
            assert_eq!(resolve(path, iam), refused, "{path}");
        }
        for (auth_url, sealed) in [
            ("https://iam.example.com", iam),
            ("https://IAM.example.com:443/", iam),
            ("https://iam.example.com/v3/", iam),
            (
                "https://iam.example.com/identity",
                "https://iam.example.com/identity",
            ),
            ("http://127.0.0.1:15000", "http://127.0.0.1:15000/v3"),
        ] {
            assert_eq!(resolve("", auth_url).expect(auth_url).auth_url, sealed);
        }
    }

    #[test]
    fn addresses_that_could_lead_elsewhere_are_refused() {
        for bad in [
            "http://drs.eu-de.otc.t-systems.com",
            "http://localhost:1",
            "ftp://drs.eu-de.otc.t-systems.com",
            "https://user@drs.eu-de.otc.t-systems.com",
            "https://drs.eu-de.otc.t-systems.com?x=1",
            "https://drs.eu-de.otc.t-systems.com#x",
            "drs.eu-de.otc.t-systems.com",
            "https://",
            "",
        ] {
            let refused =
                Target::resolve(&config(None, Some(bad), Some("https://iam.example.com/v3")));
            assert!(matches!(refused, Err(TargetError::Address { .. })), "{bad}");
        }
        let of_auth_url = |catalogued| {
            let auth_url = Some("https://iam.eu-de.otc.t-systems.com/v3");
            Target::resolve_or(&config(Some("eu-new"), None, auth_url), catalogued)
        };
        assert_eq!(of_auth_url(None), Err(TargetError::NoEndpoint));
        assert!(of_auth_url(Some("https://drs.example.com")).is_ok());
        assert!(of_auth_url(Some("http://drs.example.com")).is_err());
        for unknown in [None, Some("eu-dee"), Some("../x")] {
            assert_eq!(
                Target::resolve(&config(unknown, None, None)),
                Err(TargetError::Unresolved)
            );
        }
    }
}
