//! The variables of a login, with the names of OpenStack clients and both Terraform
//! providers.

use std::collections::BTreeSet;

use super::clouds::NamedEntry;
use super::error;
use super::fields::{
    FieldKind, LoginField, LoginMethod, LoginPart, LoginParts, LoginSource, Look, OTHER_LOGIN, and,
    names,
};
use crate::cli::env::Env;
use crate::ops::error::Failure;

pub const PROJECT_IDS: &[&str] = &["OS_PROJECT_ID", "OS_TENANT_ID", "HW_PROJECT_ID"];
pub const AUTH_URLS: &[&str] = &["OS_AUTH_URL", "HW_AUTH_URL"];
pub const REGIONS: &[&str] = &[
    "OS_REGION_NAME",
    "OS_REGION",
    "OS_REGION_ID",
    "HW_REGION_NAME",
];
pub const CA: &[&str] = &["OS_CACERT", "OS_CA_CERT"];

const APPLICATION: &str = "OS_APPLICATION_CREDENTIAL_ID OS_APPLICATION_CREDENTIAL_NAME \
     OS_APPLICATION_CREDENTIAL_SECRET";
const AUTH_TYPE: &str = "OS_AUTH_TYPE";

fn of_login() -> BTreeSet<&'static str> {
    let fields = names(LoginSource::Os).chain(names(LoginSource::Hw));
    let others = APPLICATION.split(' ').chain([AUTH_TYPE]);
    fields.chain(others).collect()
}

/// Returns the note about variables that are set to the empty string.
pub fn empty(env: &Env) -> Option<String> {
    let others = [AUTH_URLS, REGIONS, CA, &["OS_CLOUD"]].concat();
    let all = of_login().into_iter().chain(others);
    let names: BTreeSet<&str> = all.filter(|name| env.is_empty(name)).collect();
    let names = names_with_verb(&Vec::from_iter(names))?;
    Some(format!("{names} empty and treated as not set"))
}

fn names_with_verb(names: &[&str]) -> Option<String> {
    let verb = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| format!("{} {verb}", and(names)))
}

/// Returns the note about variables that are ignored next to an entry; `used` complete it.
pub fn ignored(env: &Env, used: &[&str], wanted: &NamedEntry<'_>) -> Option<String> {
    let mut names = Vec::from_iter(of_login());
    names.retain(|name| !used.contains(name) && env.exact(name).is_some_and(|text| text != Ok("")));
    let (names, named_by) = (names_with_verb(&names)?, wanted.named_by);
    Some(format!(
        "{names} set but not used: {named_by} names an entry of clouds.yaml as the login"
    ))
}

pub const PLACE: &str = "the environment";

pub fn text<'e>(env: &'e Env, name: &'static str) -> Result<Option<&'e str>, Failure> {
    match env.exact(name) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(error::value(
            name,
            "is not valid UTF-8",
            "Set it in a UTF-8 locale, or unset it.",
        )),
    }
}

pub fn look(env: &Env, names: &'static str, kind: FieldKind) -> Result<Option<LoginPart>, Failure> {
    for name in names.split(' ') {
        let Some(text) = text(env, name)? else {
            continue;
        };
        return match kind.flaw(text) {
            Some((what, help)) => Err(error::value(name, what, help)),
            None => Ok(Some(LoginPart::new(name, text))),
        };
    }
    Ok(None)
}

pub fn project_id(env: &Env) -> Option<&'static str> {
    PROJECT_IDS
        .iter()
        .copied()
        .find(|name| env.exact(name).is_some())
}

pub fn project_name(env: &Env) -> Result<Option<(LoginPart, Option<LoginPart>)>, Failure> {
    let look: Look<'_> = &|names, kind| look(env, names, kind);
    for source in [LoginSource::Os, LoginSource::Hw] {
        if let Some(name) = LoginField::ProjectName.read(source, look)? {
            return Ok(Some((name, LoginField::ProjectDomain.read(source, look)?)));
        }
    }
    Ok(None)
}

/// Returns the login of the variables: by method first, then by family. An incomplete one is
/// refused, since another login than the intended one would be used.
pub fn choose(env: &Env) -> Result<Option<(LoginParts, LoginMethod)>, Failure> {
    let look: Look<'_> = &|names, kind| look(env, names, kind);
    let mut os = LoginParts::read(LoginSource::Os, look)?;
    let mut hw = LoginParts::read(LoginSource::Hw, look)?;
    if let Some(part) = look(APPLICATION, FieldKind::Name)? {
        let what = "gives an application credential, which is not supported";
        return Err(error::value(part.name, what, OTHER_LOGIN));
    }
    let mut methods = LoginMethod::ORDER.to_vec();
    if let Some(auth_type) = text(env, AUTH_TYPE)? {
        let (method, needs_passcode) = LoginMethod::of_type(auth_type)
            .map_err(|(what, help)| error::value(AUTH_TYPE, what, help))?;
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
        let domain = hw.name(LoginField::UserDomain);
        let domain = domain.filter(|_| method == LoginMethod::Password);
        let mut names = hw_given.iter().copied().chain(domain);
        if !names.any(|name| name.starts_with("HW_")) {
            return Err(os.incomplete(method, &[], PLACE));
        }
        if !hw.missing(method).is_empty() {
            return Err(hw.incomplete(method, &[], PLACE));
        }
        // Next to half of another login, it is unclear which one is meant.
        if os_given.iter().any(|name| !hw_given.contains(name)) {
            return Err(os.incomplete(method, &[], PLACE));
        }
        return Ok(Some((hw, method)));
    }
    Ok(None)
}

/// Refuses variables that weaken the connection.
pub fn refuse_unsafe(env: &Env) -> Result<(), Failure> {
    for name in ["OS_INSECURE", "HW_INSECURE"] {
        let is_off = |text: &str| {
            ["0", "false", "no"]
                .iter()
                .any(|off| off.eq_ignore_ascii_case(text))
        };
        if text(env, name)?.is_some_and(|text| !is_off(text)) {
            return Err(error::insecure(name));
        }
    }
    for name in ["OS_CERT", "OS_KEY"] {
        if text(env, name)?.is_some() {
            return Err(error::client_certificate(name));
        }
    }
    Ok(())
}
