//! The login of a run: from options, then variables, then clouds.yaml with secure.yaml.
//!
//! An incomplete source ends the search. A login never chooses the target: its project must
//! be the sealed one, and its addresses are not used.

mod clouds;
mod document;
mod error;
mod fields;
mod outside;
mod trust;
mod vars;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::Args;

use self::clouds::NamedEntry;
use self::fields::{FieldKind, LoginField, LoginMethod, LoginPart, LoginParts, LoginSource, and};
use self::outside::WorkTree;
pub use self::trust::{proxy, read_ca};
pub use self::vars::empty;
use super::env::Env;
use crate::api::auth::{Credentials, IamName};
use crate::core::config::is_project_id;
use crate::core::secret::Secret;
use crate::core::yaml::plain_text;
use crate::ops::error::Failure;
use crate::sys::wiped;

/// Directory of the clouds of a machine (OpenStack SDK).
pub const SYSTEM: &str = "/etc/openstack";
/// Tokens that contain a service catalogue have tens of kilobytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Login")]
pub struct LoginFlags {
    /// Log in with this entry of clouds.yaml, instead of variables
    #[arg(long, value_name = "NAME")]
    pub cloud: Option<String>,
    /// Log in with the token in this file; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "cloud")]
    pub token_file: Option<PathBuf>,
}

/// What is known before the login.
pub struct LoginContext<'a> {
    pub env: &'a Env,
    /// The last directory that is searched for clouds.yaml.
    pub system: &'a Path,
    /// The root directory. Logins in its work tree are refused.
    pub folder: &'a Path,
    pub project_id: &'a str,
    pub auth_url: &'a str,
    /// The entry named in drspass.yaml.
    pub credentials_from: Option<&'a str>,
}

#[derive(Debug)]
pub struct FoundLogin {
    pub credentials: Credentials,
    /// In words, without values.
    pub source: String,
    /// `None` if only drspass.yaml names the project.
    pub project_source: Option<String>,
    /// The setting that names the certificates, and their PEM text.
    pub ca: Option<(String, Vec<u8>)>,
    pub notes: Vec<String>,
}

/// Returns the login of the first source that has one; nothing is sent. Variables may add
/// password and passcode to an entry that the user named.
pub fn find(flags: &LoginFlags, place: &LoginContext<'_>) -> Result<FoundLogin, Failure> {
    let env = place.env;
    vars::refuse_unsafe(env)?;
    check_project(env, place.project_id)?;
    let tree = WorkTree::around(place.folder, env)?;
    let by_variable = vars::text(env, "OS_CLOUD")?.map(|name| ("OS_CLOUD", name));
    let by_flag = flags.cloud.as_deref().map(|name| ("--cloud", name));
    let by_user = by_flag.or(by_variable);
    let mut login = if let Some(path) = &flags.token_file {
        from_token_file(path, &tree, place)?
    } else if let Some((named_by, name)) = by_user {
        let named = NamedEntry {
            name,
            named_by,
            by_user: true,
        };
        from_clouds(Some(named), &tree, place)?
    } else if let Some(login) = from_variables(place)? {
        login
    } else {
        let named = place.credentials_from.map(|name| NamedEntry {
            name,
            named_by: "credentials_from of drspass.yaml",
            by_user: false,
        });
        from_clouds(named, &tree, place)?
    };
    if let Some(ca) = trust::ca_of_variables(place)? {
        login.ca = Some(ca);
    }
    login.notes.extend(trust::unused_variables(place));
    Ok(login)
}

/// Refuses a variable that is not a project id: `/` or `?` would change an address.
pub fn check_project_form(env: &Env) -> Result<(), Failure> {
    for name in vars::PROJECT_IDS {
        match env.exact(name) {
            Some(Ok("")) => {
                let help = "Set it, or unset it.";
                return Err(error::value(name, "is empty", help));
            }
            Some(text) if !text.is_ok_and(is_project_id) => {
                return Err(error::project_form(name));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a variable that names another project.
pub fn check_project(env: &Env, project_id: &str) -> Result<(), Failure> {
    check_project_form(env)?;
    for name in vars::PROJECT_IDS {
        if let Some(Ok(found)) = env.exact(name) {
            same_project(name, found, project_id)?;
        }
    }
    Ok(())
}

/// Returns the region in a variable, for `init`.
pub fn region(env: &Env) -> Result<Option<String>, Failure> {
    for name in vars::REGIONS {
        if let Some(region) = vars::text(env, name)? {
            // Regions and project ids have the same characters.
            if is_project_id(region) {
                return Ok(Some(region.to_owned()));
            }
            let help = "Set it to a region such as eu-de.";
            return Err(error::value(*name, "is not a valid region", help));
        }
    }
    Ok(None)
}

fn from_token_file(
    path: &Path,
    tree: &WorkTree,
    place: &LoginContext<'_>,
) -> Result<FoundLogin, Failure> {
    const WHAT: &str = "the token file";
    const FROM_STDIN: &str = "the token from standard input";
    let ((bytes, note), called, source) = if path == Path::new("-") {
        let bytes = wiped::read(std::io::stdin(), MAX_TOKEN_BYTES as u64)
            .map_err(|source| error::unreadable(WHAT, path, &source))?;
        ((bytes, None), FROM_STDIN.to_owned(), FROM_STDIN.to_owned())
    } else {
        let read = tree.read(WHAT, &place.folder.join(path), MAX_TOKEN_BYTES)?;
        let called = format!("{WHAT} {}", path.display());
        (read, called, format!("{WHAT} (--token-file)"))
    };
    let text = plain_text(&bytes).map_err(|what| {
        error::document(
            path,
            None,
            what,
            "Store only the token in it, as plain text.",
        )
    })?;
    if let Some((what, help)) = FieldKind::Token.flaw(text) {
        return Err(error::value(called, what, help));
    }
    Ok(FoundLogin {
        credentials: Credentials::Token(Secret::new(text.to_owned())),
        source,
        project_source: None,
        ca: None,
        notes: note.into_iter().collect(),
    })
}

fn from_variables(place: &LoginContext<'_>) -> Result<Option<FoundLogin>, Failure> {
    let Some((mut parts, method)) = vars::choose(place.env)? else {
        return Ok(None);
    };
    let (project, project_source) = project(&mut parts, Some(place.env), None, place)?;
    Ok(Some(FoundLogin {
        source: parts.called(method),
        credentials: parts.into_credentials(method, vars::PLACE, project)?,
        // A token has its own project.
        project_source: project_source.filter(|_| method != LoginMethod::Token),
        ca: None,
        notes: Vec::new(),
    }))
}

fn from_clouds(
    wanted: Option<NamedEntry<'_>>,
    tree: &WorkTree,
    place: &LoginContext<'_>,
) -> Result<FoundLogin, Failure> {
    let env = place.env;
    let entry = clouds::find(wanted, tree, place)?.ok_or_else(no_login)?;
    entry.refuse_unsafe()?;
    let mut parts = entry.parts()?;
    let mut notes = entry.notes.clone();
    let mut filled = Vec::new();
    let mut others = Some(env);
    match wanted {
        Some(wanted) if wanted.by_user => {
            filled = parts.fill(LoginSource::Os, &|names, kind| vars::look(env, names, kind))?;
            notes.extend(vars::ignored(env, &filled, &wanted));
            others = None;
        }
        Some(_) => trust::check_cloud(&entry, place)?,
        None => {}
    }
    let method = entry.method(&mut parts)?;
    let (project, project_source) = project(&mut parts, others, Some(&entry.label), place)?;
    let ca = trust::ca_of_entry(&entry, env)?;
    notes.extend(trust::unused_keys(&entry, place));
    let source = [&[entry.label.as_str()], filled.as_slice()].concat();
    Ok(FoundLogin {
        credentials: parts.into_credentials(method, &entry.label, project)?,
        source: and(&source),
        project_source: project_source.filter(|_| method != LoginMethod::Token),
        ca,
        notes,
    })
}

fn no_login() -> Failure {
    Failure::new(
        "drspass::login::missing",
        "no login found",
        "Nothing was sent. Set OS_TOKEN; or OS_USERNAME, OS_PASSWORD and OS_USER_DOMAIN_NAME; or OS_ACCESS_KEY and OS_SECRET_KEY; or name an entry of clouds.yaml with --cloud, OS_CLOUD or credentials_from in drspass.yaml; or pass --token-file FILE.",
    )
}

fn same_project(place: &str, found: &str, wanted: &str) -> Result<(), Failure> {
    if found == wanted {
        return Ok(());
    }
    Err(Failure::new(
        "drspass::login::other_project",
        format!("{place} is {found}, but the project of drspass.yaml is {wanted}"),
        "Nothing was sent. Use a login for the project of drspass.yaml, or the root directory of the other project.",
    ))
}

/// Returns the project of a login and its source, unless only drspass.yaml names it: an id
/// in variables, then a name there next to parts from elsewhere, then id and name in the
/// parts. `label` is the entry of the parts.
fn project(
    parts: &mut LoginParts,
    env: Option<&Env>,
    label: Option<&str>,
    place: &LoginContext<'_>,
) -> Result<(IamName, Option<String>), Failure> {
    let sealed = || IamName::Id(place.project_id.to_owned());
    if let Some(name) = env.and_then(vars::project_id) {
        return Ok((sealed(), Some(name.to_owned())));
    }
    let of_label = |part: &LoginPart| match label {
        Some(label) => format!("{} of {label}", part.name),
        None => part.name.to_owned(),
    };
    let (part, source, domain) = match env.filter(|_| label.is_some()).map(vars::project_name) {
        Some(Ok(Some((part, domain)))) => {
            let source = part.name.to_owned();
            (part, source, domain)
        }
        Some(Err(refused)) => return Err(refused),
        Some(Ok(None)) | None => {
            if let Some(part) = parts.take(LoginField::ProjectId) {
                let source = of_label(&part);
                let found = part.into_text();
                if !is_project_id(&found) {
                    return Err(error::project_form(&source));
                }
                same_project(&source, &found, place.project_id)?;
                return Ok((sealed(), Some(source)));
            }
            let Some(part) = parts.take(LoginField::ProjectName) else {
                return Ok((sealed(), None));
            };
            let source = of_label(&part);
            (part, source, None)
        }
    };
    let domain = domain.or_else(|| parts.take(LoginField::ProjectDomain));
    let project = IamName::Named(part.into_text(), domain.map(LoginPart::into_domain));
    Ok((project, Some(source)))
}
