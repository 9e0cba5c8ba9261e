//! What a login says about the service: certificates are used, addresses are not.

use std::io;
use std::path::{Path, PathBuf};

use url::Url;

use super::LoginContext;
use super::clouds::CloudsEntry;
use super::error::LoginError;
use super::parts;
use super::vars;
use crate::cli::env::Env;
use crate::core::target::auth_address;
use crate::core::yaml::{plain_text, wrong_encoding};
use crate::sys::files;

const MAX_CA_BYTES: u64 = 8 << 20;

pub fn read_ca(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = files::read_limited(path, MAX_CA_BYTES)?;
    match wrong_encoding(&bytes) {
        Some(what) => Err(io::Error::other(what)),
        None => Ok(plain_text(&bytes).map_or(bytes.clone(), |text| text.as_bytes().to_vec())),
    }
}

/// What names them, and their PEM text.
type Certificates = (String, Vec<u8>);

pub fn ca_of_variables(
    env: &Env,
    place: &LoginContext<'_>,
) -> Result<Option<Certificates>, LoginError> {
    for name in vars::CA {
        if let Some(text) = vars::text(env, name)? {
            return certificates(name, text, |path| Some(place.folder.join(path))).map(Some);
        }
    }
    Ok(None)
}

pub fn ca_of_entry(entry: &CloudsEntry, env: &Env) -> Result<Option<Certificates>, LoginError> {
    let Some(part) = entry.ca()? else {
        return Ok(None);
    };
    let place = format!("{} of {}", part.name, entry.label);
    // Relative to the folder that a run starts in, it would be a file of the work
    // tree, or none.
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
) -> Result<Certificates, LoginError> {
    if text.contains("-----BEGIN") {
        return Ok((place.to_owned(), text.as_bytes().to_owned()));
    }
    if let Some((what, help)) = parts::name_flaw(text) {
        return Err(LoginError::value(place, what, help));
    }
    let path = resolve(Path::new(text)).ok_or_else(|| {
        LoginError::value(
            place,
            "is a path that is not given in full",
            "Begin it with / or ~/, since what it leads to would depend on where drspass is started.",
        )
    })?;
    match read_ca(&path) {
        Ok(bytes) => Ok((format!("{place}, {}", path.display()), bytes)),
        Err(_) if parts::may_be_secret(text) => Err(LoginError::value(
            place,
            "names a file that cannot be read; the name is not repeated, as it may be a secret",
            "Give the path of a file with certificates, or their PEM text.",
        )),
        Err(source) => Err(LoginError::Read {
            what: "the certificates",
            path,
            source,
        }),
    }
}

pub fn unused_variables(env: &Env, place: &LoginContext<'_>) -> Vec<String> {
    let urls = vars::AUTH_URLS.iter().filter(|name| {
        env.var(name)
            .is_some_and(|url| !is_same_url(&url, place.auth_url))
    });
    let regions = vars::REGIONS.iter().filter(|name| {
        env.var(name)
            .is_some_and(|region| !is_region_of(&region, place.auth_url))
    });
    urls.chain(regions).map(|name| unused(name)).collect()
}

pub fn unused_keys(entry: &CloudsEntry, place: &LoginContext<'_>) -> Vec<String> {
    let url = entry
        .target("auth_url")
        .filter(|url| !is_same_url(url, place.auth_url))
        .map(|_| "auth_url");
    let region = entry
        .target("region_name")
        .filter(|region| !is_region_of(region, place.auth_url))
        .map(|_| "region_name");
    url.into_iter()
        .chain(region)
        .map(|key| unused(&format!("{key} of {}", entry.label)))
        .collect()
}

fn unused(what: &str) -> String {
    format!("{what} differs and is not used: the target of drspass.yaml counts")
}

/// Refuses an entry of another cloud that drspass.yaml names, since its login would go to
/// the sealed identity service.
pub fn check_cloud(entry: &CloudsEntry, place: &LoginContext<'_>) -> Result<(), LoginError> {
    let refused = |key| {
        Err(LoginError::OtherCloud {
            key,
            entry: entry.label.clone(),
        })
    };
    let urls = entry.values("auth_url");
    if urls
        .iter()
        .any(|url| !url.is_some_and(|url| is_same_url(url, place.auth_url)))
    {
        return refused("auth_url");
    }
    // The addresses of these profiles (OpenStack SDK, vendor data) are known.
    let is_sealed = |profile: &Option<&str>| {
        let domain = match profile {
            Some("otc") => ".otc.t-systems.com",
            Some("otc-swiss") => ".sc.otc.t-systems.com",
            _ => return false,
        };
        Url::parse(place.auth_url)
            .is_ok_and(|url| url.domain().is_some_and(|host| host.ends_with(domain)))
    };
    if urls.is_empty() && !entry.values("profile").iter().all(is_sealed) {
        return refused("profile");
    }
    Ok(())
}

fn is_same_url(url: &str, sealed: &str) -> bool {
    auth_address(url).is_ok_and(|url| url == sealed)
}

/// Whether the host of an address names a region, or is without names as in a rehearsal.
fn is_region_of(region: &str, url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        url.domain()
            .is_none_or(|host| host.split('.').any(|label| label == region))
    })
}
