//! The login of a run: flags, then variables, then clouds.yaml with secure.yaml.
//!
//! A source that gives only a part ends the search. A login never chooses the target: its
//! project must be the sealed one, and its addresses are not used.

mod clouds;
mod document;
mod error;
mod outside;
mod parts;
mod trust;
mod vars;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::Args;

use self::clouds::{CloudsEntry, NamedEntry};
pub use self::error::LoginError;
use self::outside::WorkTree;
use self::parts::{LoginMethod, LoginPart, LoginParts, PartKind, and};
pub use self::trust::{proxy, read_ca};
use super::env::Env;
use crate::api::auth::{Credentials, ProjectName};
use crate::core::config::is_project_id;
use crate::core::secret::Secret;
use crate::core::yaml::plain_text;
use crate::sys::wiped;

/// The machine's own clouds (OpenStack SDK).
const SYSTEM: &str = "/etc/openstack";
/// The longest tokens have tens of kilobytes, since they list a catalogue.
const MAX_TOKEN_BYTES: usize = 64 << 10;

#[derive(Debug, Default, Args)]
pub struct LoginFlags {
    /// Log in with this entry of clouds.yaml, whatever variables say
    #[arg(long, value_name = "NAME")]
    pub cloud: Option<String>,
    /// Log in with the token in this file; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "cloud")]
    pub token_file: Option<PathBuf>,
}

/// What is known before the login.
#[derive(Debug)]
pub struct LoginContext<'a> {
    /// The root folder, whose work tree holds no login.
    pub folder: &'a Path,
    pub project_id: &'a str,
    pub auth_url: &'a str,
    /// The entry that drspass.yaml names.
    pub credentials_from: Option<&'a str>,
}

#[derive(Debug)]
pub struct FoundLogin {
    pub credentials: Credentials,
    /// In words, without a value.
    pub source: String,
    /// If not drspass.yaml alone.
    pub project_source: Option<String>,
    /// What names the certificates, and their PEM text.
    pub ca: Option<(String, Vec<u8>)>,
    pub notes: Vec<String>,
}

/// Finds the login of the first source that gives one; nothing is sent. Variables may fill
/// in password and passcode of an entry that the user named.
pub fn find(
    flags: &LoginFlags,
    env: &Env,
    place: &LoginContext<'_>,
) -> Result<FoundLogin, LoginError> {
    find_below(Path::new(SYSTEM), flags, env, place)
}

fn find_below(
    system: &Path,
    flags: &LoginFlags,
    env: &Env,
    place: &LoginContext<'_>,
) -> Result<FoundLogin, LoginError> {
    vars::refuse_unsafe(env)?;
    check_project(env, place.project_id)?;
    let tree = WorkTree::around(place.folder, env)?;
    let named = |named_by, name, by_user| NamedEntry {
        name,
        named_by,
        by_user,
    };
    let by_user = match (&flags.cloud, vars::text(env, "OS_CLOUD")?) {
        (Some(name), _) => Some(named("--cloud", name, true)),
        (None, Some(name)) => Some(named("OS_CLOUD", name, true)),
        (None, None) => None,
    };
    let mut login = if let Some(path) = &flags.token_file {
        from_token_file(path, &tree, place)?
    } else if by_user.is_some() {
        from_clouds(system, by_user, env, &tree, place)?
    } else if let Some(login) = from_variables(env, place)? {
        login
    } else {
        let by_file = place
            .credentials_from
            .map(|name| named("credentials_from of drspass.yaml", name, false));
        from_clouds(system, by_file, env, &tree, place)?
    };
    if let Some(ca) = trust::ca_of_variables(env, place)? {
        login.ca = Some(ca);
    }
    login.notes.extend(trust::unused_variables(env, place));
    Ok(login)
}

/// Refuses a variable that cannot hold the id of a project: `/` or `?` would change an
/// address.
pub fn check_project_form(env: &Env) -> Result<(), LoginError> {
    for name in vars::PROJECT_IDS {
        if env
            .exact(name)
            .is_some_and(|text| !text.is_ok_and(is_project_id))
        {
            return Err(match env.exact(name) {
                Some(Ok("")) => LoginError::empty(name),
                _ => LoginError::ProjectForm {
                    place: (*name).to_owned(),
                },
            });
        }
    }
    Ok(())
}

/// Refuses a variable that names another project.
pub fn check_project(env: &Env, project_id: &str) -> Result<(), LoginError> {
    check_project_form(env)?;
    for name in vars::PROJECT_IDS {
        if let Some(Ok(found)) = env.exact(name) {
            same_project((*name).to_owned(), found, project_id)?;
        }
    }
    Ok(())
}

pub fn empty(env: &Env) -> Option<String> {
    vars::empty(env)
}

/// The region that a variable names, for `init`.
pub fn region(env: &Env) -> Result<Option<String>, LoginError> {
    for name in vars::REGIONS {
        if let Some(region) = vars::text(env, name)? {
            // Regions have the letters that ids of projects have.
            if is_project_id(region) {
                return Ok(Some(region.to_owned()));
            }
            return Err(LoginError::value(
                *name,
                "is not a region",
                "Write one like eu-de.",
            ));
        }
    }
    Ok(None)
}

fn from_token_file(
    path: &Path,
    tree: &WorkTree,
    place: &LoginContext<'_>,
) -> Result<FoundLogin, LoginError> {
    const WHAT: &str = "the token file";
    const FROM_STDIN: &str = "the token from standard input";
    let is_stdin = path == Path::new("-");
    let (bytes, note) = if is_stdin {
        let bytes = wiped::read(std::io::stdin(), MAX_TOKEN_BYTES as u64).map_err(|source| {
            LoginError::Read {
                what: WHAT,
                path: path.to_owned(),
                source,
            }
        })?;
        (bytes, None)
    } else {
        let file = tree.read(WHAT, &place.folder.join(path), MAX_TOKEN_BYTES)?;
        (file.bytes, file.note)
    };
    let text = plain_text(&bytes).map_err(|what| LoginError::Document {
        path: path.to_owned(),
        at: None,
        what,
        help: "Store the token alone, as plain text.",
    })?;
    if let Some((what, help)) = PartKind::Token.flaw(text) {
        let place = if is_stdin {
            FROM_STDIN.to_owned()
        } else {
            format!("{WHAT} {}", path.display())
        };
        return Err(LoginError::value(place, what, help));
    }
    Ok(FoundLogin {
        credentials: Credentials::Token(Secret::new(text.to_owned())),
        source: if is_stdin {
            FROM_STDIN.to_owned()
        } else {
            format!("{WHAT} (--token-file)")
        },
        project_source: None,
        ca: None,
        notes: note.into_iter().collect(),
    })
}

fn from_variables(env: &Env, place: &LoginContext<'_>) -> Result<Option<FoundLogin>, LoginError> {
    let Some((mut parts, method)) = vars::choose(env)? else {
        return Ok(None);
    };
    let (project, project_source) = project_of_variables(&mut parts, env, place);
    Ok(Some(FoundLogin {
        source: parts.called(method),
        credentials: parts.into_credentials(method, vars::PLACE, project)?,
        // A token has its project, whatever else is named.
        project_source: project_source.filter(|_| method != LoginMethod::Token),
        ca: None,
        notes: Vec::new(),
    }))
}

fn from_clouds(
    system: &Path,
    wanted: Option<NamedEntry<'_>>,
    env: &Env,
    tree: &WorkTree,
    place: &LoginContext<'_>,
) -> Result<FoundLogin, LoginError> {
    let entry =
        clouds::find(env, tree, place.folder, system, wanted)?.ok_or(LoginError::Missing)?;
    entry.refuse_unsafe()?;
    let mut parts = entry.parts()?;
    let mut notes = entry.notes.clone();
    let mut filled = Vec::new();
    let mut others = Some(env);
    match wanted {
        Some(wanted) if wanted.by_user => {
            filled = parts.fill(&vars::OS, &|names, kind| vars::look(env, names, kind))?;
            notes.extend(vars::ignored(env, &filled, &wanted));
            others = None;
        }
        Some(_) => trust::check_cloud(&entry, place)?,
        None => {}
    }
    let method = entry.method(&mut parts)?;
    let (project, project_source) = project_of_entry(&entry, &mut parts, others, place)?
        .map_or_else(
            || (sealed_project(place), None),
            |(project, source)| (project, Some(source)),
        );
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

fn same_project(place: String, found: &str, wanted: &str) -> Result<(), LoginError> {
    if found == wanted {
        return Ok(());
    }
    Err(LoginError::OtherProject {
        place,
        found: found.to_owned(),
        wanted: wanted.to_owned(),
    })
}

/// The project of a login from variables, and the variable that names it: an id before a
/// name.
fn project_of_variables(
    parts: &mut LoginParts,
    env: &Env,
    place: &LoginContext<'_>,
) -> (ProjectName, Option<String>) {
    match (vars::project_id(env), parts.project_name.take()) {
        (Some(name), _) => (sealed_project(place), Some(name.to_owned())),
        (None, Some(part)) => {
            let source = part.name.to_owned();
            let project = ProjectName::Named {
                name: part.into_text(),
                domain: parts.project_domain(),
            };
            (project, Some(source))
        }
        (None, None) => (sealed_project(place), None),
    }
}

/// The same for clouds.yaml. Variables count before an entry that no user named.
fn project_of_entry(
    entry: &CloudsEntry,
    parts: &mut LoginParts,
    env: Option<&Env>,
    place: &LoginContext<'_>,
) -> Result<Option<(ProjectName, String)>, LoginError> {
    if let Some(name) = env.and_then(vars::project_id) {
        return Ok(Some((sealed_project(place), name.to_owned())));
    }
    if let Some((part, domain)) = env.map_or(Ok(None), vars::project_name)? {
        let project = ProjectName::Named {
            name: part.text_of(),
            domain: domain.or_else(|| parts.project_domain()),
        };
        return Ok(Some((project, part.name.to_owned())));
    }
    let source = |part: &LoginPart| format!("{} of {}", part.name, entry.label);
    if let Some(part) = parts.project_id.take() {
        let source = source(&part);
        let found = part.into_text();
        if !is_project_id(&found) {
            return Err(LoginError::ProjectForm { place: source });
        }
        same_project(source.clone(), &found, place.project_id)?;
        return Ok(Some((sealed_project(place), source)));
    }
    Ok(parts.project_name.take().map(|part| {
        let source = source(&part);
        let project = ProjectName::Named {
            name: part.into_text(),
            domain: parts.project_domain(),
        };
        (project, source)
    }))
}

fn sealed_project(place: &LoginContext<'_>) -> ProjectName {
    ProjectName::Id(place.project_id.to_owned())
}
