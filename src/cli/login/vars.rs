//! The variables of a login, named as by OpenStack clients and both Terraform providers.

use std::collections::BTreeSet;

use super::clouds::NamedEntry;
use super::error::LoginError;
use super::parts::{
    LoginMethod, LoginNames, LoginPart, LoginParts, OTHER_LOGIN, PartKind, and, domain,
};
use crate::api::auth::Domain;
use crate::cli::env::Env;

/// The `OS_` family (Terraform provider for Open Telekom Cloud, OpenStack clients,
/// gophercloud).
pub static OS: LoginNames = LoginNames {
    token: &["OS_TOKEN", "OS_AUTH_TOKEN", "OS_TOKEN_ID"],
    access: &["OS_ACCESS_KEY", "OS_ACCESS_KEY_ID", "OS_AK"],
    secret: &["OS_SECRET_KEY", "OS_ACCESS_KEY_SECRET", "OS_SK"],
    security_token: &["OS_SECURITY_TOKEN", "OS_AKSK_SECURITY_TOKEN", "OS_ST"],
    user_id: &["OS_USER_ID", "OS_USERID"],
    user_name: &["OS_USERNAME"],
    password: &["OS_PASSWORD"],
    passcode: &["OS_PASSCODE"],
    user_domain: &[
        &["OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME"],
        &["OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME"],
        &["OS_DOMAIN_ID", "OS_DOMAIN_NAME"],
        &[
            "OS_DEFAULT_DOMAIN_ID",
            "OS_DEFAULT_DOMAIN",
            "OS_DEFAULT_DOMAIN_NAME",
        ],
    ],
    project_domain: &[
        &["OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME"],
        &["OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME"],
        &["OS_DOMAIN_ID", "OS_DOMAIN_NAME"],
        &[
            "OS_DEFAULT_DOMAIN_ID",
            "OS_DEFAULT_DOMAIN",
            "OS_DEFAULT_DOMAIN_NAME",
        ],
    ],
    project_id: &["OS_PROJECT_ID", "OS_TENANT_ID"],
    project_name: &["OS_PROJECT_NAME", "OS_TENANT_NAME"],
};

/// The `HW_` family with its fallbacks (Terraform provider for Huawei Cloud).
pub static HW: LoginNames = LoginNames {
    token: &["HW_AUTH_TOKEN", "OS_AUTH_TOKEN"],
    access: &["HW_ACCESS_KEY", "OS_ACCESS_KEY"],
    secret: &["HW_SECRET_KEY", "OS_SECRET_KEY"],
    // No fallback there: a temporary key's token fits one key only.
    security_token: &["HW_SECURITY_TOKEN"],
    user_id: &["HW_USER_ID", "OS_USER_ID"],
    user_name: &["HW_USER_NAME", "OS_USERNAME"],
    password: &["HW_USER_PASSWORD", "OS_PASSWORD"],
    passcode: &["OS_PASSCODE"],
    user_domain: &[
        &["HW_DOMAIN_ID", "HW_DOMAIN_NAME"],
        &["OS_DOMAIN_ID", "OS_DOMAIN_NAME"],
        &["OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME"],
        &["OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME"],
    ],
    project_domain: &[
        &["HW_DOMAIN_ID", "HW_DOMAIN_NAME"],
        &["OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME"],
        &["OS_DOMAIN_ID", "OS_DOMAIN_NAME"],
        &["OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME"],
    ],
    project_id: &["HW_PROJECT_ID", "OS_PROJECT_ID"],
    project_name: &["HW_PROJECT_NAME", "OS_PROJECT_NAME"],
};

pub const PROJECT_IDS: &[&str] = &["OS_PROJECT_ID", "OS_TENANT_ID", "HW_PROJECT_ID"];
pub const AUTH_URLS: &[&str] = &["OS_AUTH_URL", "HW_AUTH_URL"];
pub const REGIONS: &[&str] = &[
    "OS_REGION_NAME",
    "OS_REGION",
    "OS_REGION_ID",
    "HW_REGION_NAME",
];
pub const CA: &[&str] = &["OS_CACERT", "OS_CA_CERT"];

const APPLICATION: &[&str] = &[
    "OS_APPLICATION_CREDENTIAL_ID",
    "OS_APPLICATION_CREDENTIAL_NAME",
    "OS_APPLICATION_CREDENTIAL_SECRET",
];
const AUTH_TYPE: &str = "OS_AUTH_TYPE";

fn of_login() -> BTreeSet<&'static str> {
    let families = OS.all().chain(HW.all());
    families
        .chain(APPLICATION.iter().copied())
        .chain([AUTH_TYPE])
        .collect()
}

/// The note about variables that are set and empty.
pub fn empty(env: &Env) -> Option<String> {
    let others = [AUTH_URLS, REGIONS, CA, &["OS_CLOUD"]].concat();
    let mut names = of_login();
    names.extend(others.iter().filter(|name| !PROJECT_IDS.contains(name)));
    names.retain(|name| env.exact(name) == Some(Ok("")));
    let names = Vec::from_iter(names);
    let (are, count) = if names.len() == 1 {
        ("is", "counts")
    } else {
        ("are", "count")
    };
    (!names.is_empty()).then(|| format!("{} {are} empty and {count} as not set", and(&names)))
}

/// The note about variables that do not count beside the entry; `used` fill it in.
pub fn ignored(env: &Env, used: &[&str], wanted: &NamedEntry<'_>) -> Option<String> {
    let mut names = of_login();
    names.retain(|name| !used.contains(name) && env.exact(name).is_some_and(|text| text != Ok("")));
    let names = Vec::from_iter(names);
    let are = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| {
        format!(
            "{} {are} set but not used: {} names the entry of clouds.yaml that is the login",
            and(&names),
            wanted.named_by
        )
    })
}

pub const PLACE: &str = "the environment";

pub fn text<'e>(env: &'e Env, name: &'static str) -> Result<Option<&'e str>, LoginError> {
    match env.exact(name) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(LoginError::value(
            name,
            "is not UTF-8 text",
            "Set it in a UTF-8 locale, or take it out of the environment.",
        )),
    }
}

fn parts(env: &Env, names: &'static LoginNames) -> Result<LoginParts, LoginError> {
    LoginParts::read(names, &|names, kind| look(env, names, kind))
}

pub fn look(
    env: &Env,
    names: &'static [&'static str],
    kind: PartKind,
) -> Result<Option<LoginPart>, LoginError> {
    for name in names {
        let Some(text) = text(env, name)? else {
            continue;
        };
        if let Some((what, help)) = kind.flaw(text) {
            return Err(LoginError::value(*name, what, help));
        }
        return Ok(Some(LoginPart::new(name, text)));
    }
    Ok(None)
}

pub fn project_id(env: &Env) -> Option<&'static str> {
    PROJECT_IDS
        .iter()
        .copied()
        .find(|name| env.exact(name).is_some())
}

/// The project by name and its domain, for a login from elsewhere.
pub fn project_name(env: &Env) -> Result<Option<(LoginPart, Option<Domain>)>, LoginError> {
    for names in [&OS, &HW] {
        if let Some(name) = look(env, names.project_name, PartKind::Name)? {
            let domain = domain(names.project_domain, &|names, kind| look(env, names, kind))?;
            return Ok(Some((name, domain.map(|(_, domain)| domain))));
        }
    }
    Ok(None)
}

/// The login of the variables: by method first, then by family. A part of one is refused,
/// since another login than the intended one would be used.
pub fn choose(env: &Env) -> Result<Option<(LoginParts, LoginMethod)>, LoginError> {
    let mut os = parts(env, &OS)?;
    let mut hw = parts(env, &HW)?;
    if let Some(part) = look(env, APPLICATION, PartKind::Name)? {
        let what = "gives an application credential, which is not supported";
        return Err(LoginError::value(part.name, what, OTHER_LOGIN));
    }
    let mut methods = LoginMethod::ORDER.to_vec();
    if let Some(auth_type) = text(env, AUTH_TYPE)? {
        let (method, needs_passcode) = LoginMethod::of_type(auth_type)
            .map_err(|(what, help)| LoginError::value(AUTH_TYPE, what, help))?;
        methods = vec![method];
        os.needs_passcode = needs_passcode;
        hw.needs_passcode = needs_passcode;
    }
    for method in methods {
        let (os_given, hw_given) = (os.given(method), hw.given(method));
        if os_given.is_empty() && hw_given.is_empty() {
            continue;
        }
        if os.missing(method).is_empty() {
            return Ok(Some((os, method)));
        }
        let is_own = |name: &&str| name.starts_with("HW_");
        let has_own = hw_given.iter().any(is_own)
            || (method == LoginMethod::Password
                && hw.user_domain_name().is_some_and(|name| is_own(&name)));
        if !has_own {
            return Err(os.incomplete(method, PLACE));
        }
        if !hw.missing(method).is_empty() {
            return Err(hw.incomplete(method, PLACE));
        }
        // Half of another login stands beside this one: which of them is meant?
        if os_given.iter().any(|name| !hw_given.contains(name)) {
            return Err(os.incomplete(method, PLACE));
        }
        return Ok(Some((hw, method)));
    }
    Ok(None)
}

/// Refuses variables that weaken the connection.
pub fn refuse_unsafe(env: &Env) -> Result<(), LoginError> {
    for name in ["OS_INSECURE", "HW_INSECURE"] {
        let is_off = |text: &str| {
            ["0", "false", "no"]
                .iter()
                .any(|off| off.eq_ignore_ascii_case(text))
        };
        if text(env, name)?.is_some_and(|text| !is_off(text)) {
            return Err(LoginError::Insecure {
                place: name.to_owned(),
            });
        }
    }
    for name in ["OS_CERT", "OS_KEY"] {
        if text(env, name)?.is_some() {
            return Err(LoginError::ClientCertificate {
                place: name.to_owned(),
            });
        }
    }
    Ok(())
}
