//! Settings of the connection from variables and logins: certificates and a proxy are used,
//! addresses are not.
//!
//! The HTTP library ignores a proxy that it cannot parse and connects directly, so every
//! unclear one is refused. Only its host is shown: the rest may contain a password.

use std::io;
use std::path::{Path, PathBuf};

use url::Url;

use super::LoginContext;
use super::clouds::CloudsEntry;
use super::error;
use super::fields::{FieldKind, may_be_secret, name_flaw};
use super::vars;
use crate::cli::env::Env;
use crate::core::target::auth_address;
use crate::core::yaml::{plain_text, wrong_encoding};
use crate::ops::error::Failure;
use crate::sys::files;

const MAX_CA_BYTES: u64 = 8 << 20;

pub fn read_ca(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = files::read_limited(path, MAX_CA_BYTES)?;
    match wrong_encoding(&bytes) {
        Some(what) => Err(io::Error::other(what)),
        None => Ok(plain_text(&bytes).map_or(bytes.clone(), |text| text.as_bytes().to_vec())),
    }
}

/// The setting that names them, and their PEM text.
type Certificates = (String, Vec<u8>);

pub fn ca_of_variables(place: &LoginContext<'_>) -> Result<Option<Certificates>, Failure> {
    for name in vars::CA {
        if let Some(text) = vars::text(place.env, name)? {
            return certificates(name, text, |path| Some(place.folder.join(path))).map(Some);
        }
    }
    Ok(None)
}

pub fn ca_of_entry(entry: &CloudsEntry, env: &Env) -> Result<Option<Certificates>, Failure> {
    let Some(part) = entry.look("cacert", FieldKind::Certificates)? else {
        return Ok(None);
    };
    let place = format!("{} of {}", part.name, entry.label);
    // A relative path could lead into the work tree.
    let resolve = |path: &Path| match path.strip_prefix("~") {
        Ok(rest) => env.home().map(|home| home.join(rest)),
        Err(_) => path.is_absolute().then(|| path.to_owned()),
    };
    certificates(&place, &part.into_text(), resolve).map(Some)
}

fn certificates(
    place: &str,
    text: &str,
    resolve: impl Fn(&Path) -> Option<PathBuf>,
) -> Result<Certificates, Failure> {
    if text.contains("-----BEGIN") {
        return Ok((place.to_owned(), text.as_bytes().to_owned()));
    }
    if let Some((what, help)) = name_flaw(text) {
        return Err(error::value(place, what, help));
    }
    let path = resolve(Path::new(text)).ok_or_else(|| {
        error::value(
            place,
            "is not an absolute path",
            "Begin it with / or ~/, so that it does not depend on the current directory.",
        )
    })?;
    match read_ca(&path) {
        Ok(bytes) => Ok((format!("{place}, {}", path.display()), bytes)),
        Err(_) if may_be_secret(text) => Err(error::value(
            place,
            "names an unreadable file; the name is not repeated, as it may be a secret",
            "Set it to the path of a certificate file, or to PEM text.",
        )),
        Err(source) => Err(error::unreadable("the certificates", &path, &source)),
    }
}

type Fits = fn(&str, &str) -> bool;

pub fn unused_variables(place: &LoginContext<'_>) -> Vec<String> {
    let urls = vars::AUTH_URLS
        .iter()
        .map(|name| (name, is_same_url as Fits));
    let regions = vars::REGIONS
        .iter()
        .map(|name| (name, is_region_of as Fits));
    let unused = |(name, fits): (&&str, Fits)| unused(name, &place.env.var(name)?, fits, place);
    urls.chain(regions).filter_map(unused).collect()
}

pub fn unused_keys(entry: &CloudsEntry, place: &LoginContext<'_>) -> Vec<String> {
    let keys = [
        ("auth_url", is_same_url as Fits),
        ("region_name", is_region_of),
    ];
    let unused = |(key, fits)| {
        let text = entry.values(key).flatten().find(|text| !text.is_empty())?;
        unused(&format!("{key} of {}", entry.label), text, fits, place)
    };
    keys.into_iter().filter_map(unused).collect()
}

fn unused(what: &str, text: &str, fits: Fits, place: &LoginContext<'_>) -> Option<String> {
    (!fits(text, place.auth_url))
        .then(|| format!("{what} differs from drspass.yaml and is not used"))
}

/// Refuses an entry of another cloud if drspass.yaml names it, since its login would go to
/// the sealed identity service.
pub fn check_cloud(entry: &CloudsEntry, place: &LoginContext<'_>) -> Result<(), Failure> {
    let refused = |key| {
        Err(Failure::new(
            "drspass::login::other_cloud",
            format!(
                "{key} of {} is not the sealed identity service",
                entry.label
            ),
            "Nothing was sent. credentials_from in drspass.yaml can only name an entry with the sealed auth_url, or without one. To use this entry anyway, pass it with --cloud or OS_CLOUD.",
        ))
    };
    let is_sealed = |url: Option<&str>| url.is_some_and(|url| is_same_url(url, place.auth_url));
    if !entry.values("auth_url").all(is_sealed) {
        return refused("auth_url");
    }
    // Known profiles (OpenStack SDK, vendor data).
    let is_sealed = |profile: Option<&str>| {
        let domain = match profile {
            Some("otc") => ".otc.t-systems.com",
            Some("otc-swiss") => ".sc.otc.t-systems.com",
            _ => return false,
        };
        Url::parse(place.auth_url)
            .is_ok_and(|url| url.domain().is_some_and(|host| host.ends_with(domain)))
    };
    let has_no_url = entry.values("auth_url").next().is_none();
    if has_no_url && !entry.values("profile").all(is_sealed) {
        return refused("profile");
    }
    Ok(())
}

fn is_same_url(url: &str, sealed: &str) -> bool {
    auth_address(url).is_ok_and(|url| url == sealed)
}

/// Returns whether the host of an address contains a region, or is an IP address as in a
/// rehearsal.
fn is_region_of(region: &str, url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        url.domain()
            .is_none_or(|host| host.split('.').any(|label| label == region))
    })
}

/// In the order of the HTTP library: both spellings are one variable.
const PROXY_VARIABLES: [[&str; 2]; 2] =
    [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

pub fn proxy(env: &Env) -> Result<Option<String>, Failure> {
    for spellings in PROXY_VARIABLES {
        let mut names = spellings.into_iter();
        let set = names.find_map(|name| Some((name, env.exact(name)?)));
        let Some((name, given)) = set.filter(|(_, given)| *given != Ok("")) else {
            continue;
        };
        let host = given.ok().and_then(proxy_host).ok_or_else(|| {
            let help = "Set it to http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with special characters in user and password percent-encoded; or unset it.";
            error::value(name, "is not a valid proxy", help)
        });
        return host.map(Some);
    }
    Ok(None)
}

fn proxy_host(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let is_known = matches!(scheme, "http" | "https");
    let rest = match rest.strip_suffix('/') {
        Some(short) if text.contains("://") => short,
        _ => rest,
    };
    let (login, host) = rest.split_once('@').unwrap_or(("", rest));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(&byte);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    let is_written_well = !host.is_empty() && login.bytes().all(is_plain) && host.bytes().all(fits);
    let is_address = Url::parse(&format!("http://{host}/")).is_ok_and(|url| url.has_host());
    (is_known && is_written_well && is_address).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_a_proxy_is_shown() {
        for proxy in [
            "http://ops:p%40ss@proxy.example:3128",
            "http://ops:p%40ss@proxy.example:3128/",
            "https://ops@proxy.example:3128",
            "ops:pw@proxy.example:3128",
            "proxy.example:3128",
        ] {
            assert_eq!(
                proxy_host(proxy).as_deref(),
                Some("proxy.example:3128"),
                "{proxy}"
            );
        }
        assert_eq!(proxy_host("http://[::1]:1").as_deref(), Some("[::1]:1"));
    }

    #[test]
    fn the_variable_that_the_connection_looks_at_is_the_one_that_counts() {
        let env = |pairs: &[(&str, &str)]| {
            pairs.iter().fold(Env::default(), |env, (name, value)| {
                env.with_var(name, value)
            })
        };
        let found = |pairs: &[(&str, &str)]| proxy(&env(pairs)).ok().flatten();
        let (https, all) = (("HTTPS_PROXY", "a:1"), ("ALL_PROXY", "socks5://b:1"));
        assert_eq!(found(&[https, all]).as_deref(), Some("a:1"));
        assert_eq!(
            found(&[("https_proxy", "c:1"), https]).as_deref(),
            Some("a:1")
        );
        assert_eq!(
            found(&[("HTTPS_PROXY", ""), ("all_proxy", "d:1")]).as_deref(),
            Some("d:1")
        );
        assert!(proxy(&env(&[all])).is_err());
        assert_eq!(found(&[("HTTP_PROXY", "nonsense ")]), None);
    }
}
