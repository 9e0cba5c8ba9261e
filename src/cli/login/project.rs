//! The project of a login, which must be the sealed one.

use super::LoginContext;
use super::clouds::CloudsEntry;
use super::error::LoginError;
use super::parts::{LoginPart, LoginParts};
use super::vars;
use crate::api::auth::ProjectName;
use crate::cli::env::Env;
use crate::core::config::is_project_id;

pub fn same_project(place: String, found: &str, wanted: &str) -> Result<(), LoginError> {
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
pub fn of_variables(
    parts: &mut LoginParts,
    env: &Env,
    place: &LoginContext<'_>,
) -> (ProjectName, Option<String>) {
    match (vars::project_id(env), parts.project_name.take()) {
        (Some(name), _) => (sealed(place), Some(name.to_owned())),
        (None, Some(part)) => {
            let source = part.name.to_owned();
            let project = ProjectName::Named {
                name: part.into_text(),
                domain: parts.project_domain(),
            };
            (project, Some(source))
        }
        (None, None) => (sealed(place), None),
    }
}

/// The same for clouds.yaml. Variables count before an entry that no user named.
pub fn of_entry(
    entry: &CloudsEntry,
    parts: &mut LoginParts,
    env: Option<&Env>,
    place: &LoginContext<'_>,
) -> Result<Option<(ProjectName, String)>, LoginError> {
    if let Some(name) = env.and_then(vars::project_id) {
        return Ok(Some((sealed(place), name.to_owned())));
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
        return Ok(Some((sealed(place), source)));
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

pub fn sealed(place: &LoginContext<'_>) -> ProjectName {
    ProjectName::Id(place.project_id.to_owned())
}
