//! The proxy that variables name.
//!
//! The connection ignores one that it cannot read and goes out directly, so whatever is not
//! surely understood is refused. Only its host is shown: the rest may hold a password.

use url::Url;

use super::error::LoginError;
use crate::cli::env::Env;

/// In the order of the connection: both spellings count as one variable.
const VARIABLES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

pub fn of_variables(env: &Env) -> Result<Option<String>, LoginError> {
    for spellings in VARIABLES {
        let set = spellings
            .into_iter()
            .find_map(|name| Some((name, env.exact(name)?)));
        match set {
            None | Some((_, Ok(""))) => {}
            Some((name, given)) => {
                let host = given.ok().and_then(host);
                let host = host.ok_or_else(|| LoginError::value(
                    name,
                    "names no proxy that can be used",
                    "Write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with special characters of user and password percent-encoded; or take it out of the environment.",
                ))?;
                return Ok(Some(host));
            }
        }
    }
    Ok(None)
}

fn host(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let is_known = matches!(scheme, "http" | "https");
    let rest = if text.contains("://") {
        rest.strip_suffix('/').unwrap_or(rest)
    } else {
        rest
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
    fn only_the_host_of_a_proxy_is_told() {
        for proxy in [
            "http://ops:p%40ss@proxy.example:3128",
            "http://ops:p%40ss@proxy.example:3128/",
            "https://ops@proxy.example:3128",
            "ops:pw@proxy.example:3128",
            "proxy.example:3128",
        ] {
            assert_eq!(
                host(proxy).as_deref(),
                Some("proxy.example:3128"),
                "{proxy}"
            );
        }
        assert_eq!(host("http://[::1]:1").as_deref(), Some("[::1]:1"));
    }

    #[test]
    fn the_variable_that_the_connection_looks_at_is_the_one_that_counts() {
        let env = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .fold(Env::empty(), |env, (name, value)| env.with_var(name, value))
        };
        let found = |pairs: &[(&str, &str)]| of_variables(&env(pairs)).ok().flatten();
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
        assert!(of_variables(&env(&[all])).is_err());
        assert_eq!(found(&[("HTTP_PROXY", "nonsense ")]), None);
    }
}
