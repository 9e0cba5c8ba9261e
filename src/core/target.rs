//! Where passwords go: the address of the service and the project, the addresses of regions, and
//! the rule for trusted hosts.
//!
//! A change of drspass.yaml must not redirect passwords, so the target is compared with the one
//! sealed in the manifest, and hosts outside the known clouds are reached only when the user, not a
//! file, names them (design section 2.2).

use thiserror::Error;
use url::{Host, Url};

use super::config::{TargetConfig, bare_endpoint};
use super::failure::{ErrorClass, Failure};
use super::fingerprint::Scope;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub scope: Scope,
    /// Address of the identity service, ending in `/v3`.
    pub auth_url: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointFrom {
    Settings,
    /// Neither gives it, so the sealed one must match the catalogue of the identity service for
    /// this region (for any if none is given).
    Catalogue {
        region: Option<String>,
    },
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    #[error(
        "the target has no address: its region is unknown, and endpoint or auth_url is missing"
    )]
    Unresolved,
    #[error("the target has no endpoint: its region is unknown, and endpoint is missing")]
    NoEndpoint,
    #[error("target.{field} is not a valid address: {why}")]
    Address { field: &'static str, why: BadUrl },
}

impl Target {
    /// Resolves explicit addresses first, then those of the region.
    pub fn resolve(config: &TargetConfig) -> Result<Self, TargetError> {
        Self::resolve_or(config, None)
    }

    /// `catalogued` is the endpoint if neither an address nor a known region gives one.
    pub fn resolve_or(
        config: &TargetConfig,
        catalogued: Option<&str>,
    ) -> Result<Self, TargetError> {
        let [region_endpoint, region_auth_url] = config
            .region
            .as_deref()
            .and_then(addresses)
            .map_or([None, None], |known| known.map(Some));
        let auth_url = config.auth_url.clone().or(region_auth_url);
        let auth_url = auth_url.ok_or(TargetError::Unresolved)?;
        let endpoint = config.endpoint.clone().or(region_endpoint);
        let endpoint = endpoint
            .or_else(|| catalogued.map(str::to_owned))
            .ok_or(TargetError::NoEndpoint)?;
        let address = |field| move |why| TargetError::Address { field, why };
        let endpoint = service_url(&endpoint).map_err(address("endpoint"))?;
        let project_id = config.project_id.clone();
        let endpoint = bare_endpoint(endpoint.as_str(), &project_id);
        let endpoint = endpoint
            .ok_or(address("endpoint")(BadUrl::Path))?
            .to_owned();
        Ok(Self {
            scope: Scope {
                endpoint,
                project_id,
            },
            auth_url: auth_address(&auth_url).map_err(address("auth_url"))?,
        })
    }

    pub fn check_hosts(&self, trusted: &[String]) -> Result<(), Failure> {
        check_host(&self.scope.endpoint, trusted)?;
        check_host(&self.auth_url, trusted)
    }
}

/// Normalizes an address of the identity service: no slash at the end, and `/v3` if it has no path.
pub fn auth_address(text: &str) -> Result<String, BadUrl> {
    let url = service_url(text)?;
    let version = if url.path() == "/" { "v3" } else { "" };
    Ok(format!("{url}{version}").trim_end_matches('/').to_owned())
}

/// Domains of the clouds that offer the service. Hosts below them are named
/// `<service>.<region>.<domain>`. Source: Open Telekom Cloud "Regions and
/// Endpoints"; region list of the official Huawei Cloud SDK.
const CLOUD_DOMAINS: [&str; 4] = [
    "otc.t-systems.com",
    "sc.otc.t-systems.com",
    "myhuaweicloud.com",
    "myhuaweicloud.eu",
];

/// The regions whose addresses follow from their name, next to those of Open Telekom Cloud (region
/// list of the official Huawei Cloud SDK). Other names are refused: a typing error would be sealed
/// into the manifest.
const HUAWEI_REGIONS: &str = "\
    ae-ad-1 af-north-1 af-south-1 ap-southeast-1 ap-southeast-2 ap-southeast-3 \
    ap-southeast-4 ap-southeast-5 cn-east-2 cn-east-3 cn-east-4 cn-east-5 cn-north-1 \
    cn-north-2 cn-north-4 cn-north-9 cn-north-11 cn-north-12 cn-south-1 cn-south-2 \
    cn-south-4 cn-southwest-2 cn-southwest-3 eu-west-0 eu-west-101 la-north-2 \
    la-south-2 me-east-1 my-kualalumpur-1 na-mexico-1 ru-moscow-1 ru-northwest-2 \
    sa-brazil-1 tr-west-1";

const SERVICES: [&str; 3] = ["drs", "iam", "iam-pub"];

/// Returns the addresses of a region's DRS and identity service. Source: OTC "Regions and
/// Endpoints"; SDK region list.
pub fn addresses(region: &str) -> Option<[String; 2]> {
    let (domain, iam) = match region {
        "eu-de" | "eu-nl" => ("otc.t-systems.com", "iam"),
        "eu-ch2" => ("sc.otc.t-systems.com", "iam-pub"),
        "eu-west-101" => ("myhuaweicloud.eu", "iam"),
        known if HUAWEI_REGIONS.split(' ').any(|region| region == known) => {
            ("myhuaweicloud.com", "iam")
        }
        _ => return None,
    };
    Some([
        format!("https://drs.{region}.{domain}"),
        format!("https://{iam}.{region}.{domain}/v3"),
    ])
}

pub fn is_cloud_host(host: &str) -> bool {
    let mut parts = host.splitn(3, '.');
    let (service, region, domain) = (parts.next(), parts.next(), parts.next());
    service.is_some_and(|service| SERVICES.contains(&service))
        && region.is_some_and(|region| !region.is_empty())
        && domain.is_some_and(|domain| CLOUD_DOMAINS.contains(&domain))
}

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadUrl {
    #[error("it is not a URL with a host")]
    Malformed,
    #[error("it must start with https://")]
    Scheme,
    #[error("http is allowed only for a literal loopback address")]
    Insecure,
    #[error("it must not contain a user, a password, a query or a fragment")]
    MoreThanAddress,
    #[error("its path must be empty, /v3, or /v3 and the id of its project")]
    Path,
}

/// Parses the address of a service: https (http only to a literal loopback address), without user,
/// query and fragment.
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

pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

pub fn is_here(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_loopback(&url))
}

fn untrusted(host: &str) -> Failure {
    Failure::new(
        "drspass::target::untrusted",
        format!("{host} is not a host of a known cloud"),
        "Nothing was sent. If the host is right, pass --trust-host HOST or set DRSPASS_TRUSTED_HOSTS; drspass.yaml cannot.",
    )
    .class(ErrorClass::Sealed)
}

/// # Errors
///
/// If `url` is neither in a known cloud, nor a literal loopback address, nor a host in `trusted`.
pub fn check_host(url: &str, trusted: &[String]) -> Result<(), Failure> {
    let url = Url::parse(url).map_err(|_| untrusted("an unreadable address"))?;
    let host = url.host_str().unwrap_or_default();
    // A known name with another port is another program, so the user must name it.
    let is_known = is_cloud_host(host) && url.port().is_none();
    let is_named = trusted.iter().any(|name| name.eq_ignore_ascii_case(host));
    match is_known || is_named || is_loopback(&url) {
        true => Ok(()),
        false => Err(untrusted(host)),
    }
}

/// Checks an endpoint from the catalogue of the identity service. One on this machine is accepted
/// only from an identity service on this machine: no other may choose a port here.
pub fn check_catalogued(endpoint: &str, auth_url: &str, trusted: &[String]) -> Result<(), Failure> {
    if is_here(endpoint) && !is_here(auth_url) {
        return Err(untrusted("a loopback address named by the catalogue"));
    }
    check_host(endpoint, trusted)
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
            assert!(target.check_hosts(&[]).is_ok());
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
        assert!(target.check_hosts(&["DRS.example.com".to_owned()]).is_ok());
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
