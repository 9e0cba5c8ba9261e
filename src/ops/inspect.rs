//! `validate`, `show` and `recipients`: read a manifest without changing anything.

use std::io;
use std::path::{Path, PathBuf};

use super::OpError;
use super::git::Git;
use super::root::{CONFIG_FILE, MAX_INDEX_BYTES, Root, Unlock, UserRules, digest_of, parse_sealed};
use crate::age_file::{AgeError, header};
use crate::core::config::{self, index_path};
use crate::core::index::{self, IndexHead};
use crate::core::manifest::Sealing;
use crate::core::problem::Problem;
use crate::core::recipients::{RecipientsReport, compare};
use crate::core::report::{ManifestEntry, ManifestReport, ManifestSeal};
use crate::sys::children::ChildEnv;
use crate::sys::files;

/// How to check the index without a key.
pub struct IndexCheck<'a> {
    pub is_required: bool,
    /// The commit to compare with.
    pub base: Option<&'a str>,
    pub children: &'a ChildEnv,
}

/// Checks without a key the configuration, that the manifest is encrypted, and the index. Returns
/// notes on the index, `None` if there is none.
pub fn validate_encrypted(
    root: &Root,
    rules: &UserRules,
    check: &IndexCheck<'_>,
) -> Result<Option<Vec<Problem>>, OpError> {
    let file = root.manifest_bytes()?;
    let stanzas = header::recipients(&file).map_err(OpError::age(root.manifest_name()))?;
    let target = root.target(rules)?;
    let name = root.index_name();
    let bytes = match files::read_unlinked_limited(&root.resolve(&name), MAX_INDEX_BYTES) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(OpError::read(&name)(source)),
    };
    if bytes.is_none() && check.base.is_none() && !check.is_required {
        return Ok(None);
    }
    let git = Git::at(root.resolve(Path::new("")), check.children)?;
    let before = match (check.base, &git) {
        (None, _) => None,
        (Some(commit), Some(git)) => git.file_of(commit, &index_at(git, commit, &name)?)?,
        (Some(_), None) => {
            let help = "Run it in a clone of the repository, without --base elsewhere.";
            return Err(OpError::unfit("--base needs a git work tree", help));
        }
    };
    let refused = |problems| Err(OpError::document(&name, problems));
    let Some(bytes) = bytes else {
        if before.is_none() && !check.is_required {
            return Ok(None);
        }
        let help = "Someone who can read the manifest writes it with 'drspass index --write'; commit it with the manifest. A manifest made with 'init --no-index' has none: leave out --require-index.";
        return refused(vec![Problem::error("", None, "does not exist", help)]);
    };
    let head = match index::parse(&bytes) {
        Ok(head) => head,
        Err(line) => {
            let what = format!("line {line} differs from what drspass writes");
            let help = "Do not edit it: 'drspass index --write' writes it again.";
            return refused(vec![Problem::error("", None, what, help)]);
        }
    };
    let mut problems = head.misfits(&digest_of(&file), &stanzas, &root.config, &target);
    if let Some(git) = &git {
        // git knows a file behind a link under its own name.
        let folder = files::folder_of(&root.resolve(&name)).canonicalize();
        let folder = folder.map_err(OpError::read(&name))?;
        let own_name = folder.join(name.file_name().unwrap_or_default());
        problems.extend(hidden(&git.attributes(&own_name)?));
    }
    let mut notes = Vec::new();
    if let Some(before) = before {
        compare_with_base((&head, &bytes), &before, &mut problems, &mut notes);
    }
    if problems.is_empty() {
        Ok(Some(notes))
    } else {
        refused(problems)
    }
}

/// Returns the attributes with which git or a web page would not show the index as it is.
fn hidden(attributes: &[(String, String)]) -> impl Iterator<Item = Problem> {
    const NAMES: [&str; 6] = [
        "binary",
        "diff",
        "encoding",
        "filter",
        "ident",
        "working-tree-encoding",
    ];
    let hides = |(name, value): &&(String, String)| {
        let is_ours = name == "filter" && value == "unset";
        let is_of_forge = name.starts_with("linguist-") || name.starts_with("gitlab-");
        !is_ours && (is_of_forge || NAMES.contains(&name.as_str()))
    };
    attributes.iter().filter(hides).map(|(name, _)| {
        let what = format!("has the git attribute {name}, which can hide its changes");
        let help =
            "Remove it from .gitattributes; 'git check-attr --all FILE' shows all that apply.";
        Problem::error("", None, what, help)
    })
}

/// Returns the name of the index at a commit, where drspass.yaml may name another manifest.
fn index_at(git: &Git, commit: &str, name: &Path) -> Result<PathBuf, OpError> {
    let config = git.file_of(commit, Path::new(CONFIG_FILE))?;
    let text = config.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let config = text.and_then(|text| config::parse(&text).value);
    Ok(config.map_or_else(
        || name.to_owned(),
        |config| index_path(config.manifest.as_path()),
    ))
}

fn compare_with_base(
    (head, bytes): (&IndexHead, &[u8]),
    base: &[u8],
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Problem>,
) {
    let Ok(before) = index::parse(base) else {
        let what = "the index of --base is invalid, so nothing was compared";
        notes.push(Problem::warning("", None, what, "Renew it on that branch."));
        return;
    };
    if head.digest != before.digest && head.revision <= before.revision {
        let what = format!(
            "is {}, but must be above {}, the revision of --base",
            head.revision, before.revision
        );
        let help = "Merge that branch, or make the change again from its manifest.";
        problems.push(Problem::error("manifest.revision", None, what, help));
    }
    if head.digest == before.digest && bytes != base {
        let what = "differs from that of --base, which belongs to the same manifest";
        let help = "Restore it, or run 'drspass index --write'.";
        problems.push(Problem::error("", None, what, help));
    }
    if head.key_id != before.key_id {
        let what = format!("differs from that of --base, {}", before.key_id);
        let help =
            "Only 'drspass rekey' changes it. Every tag is another one then; ask who ran it.";
        notes.push(Problem::warning("manifest.key_id", None, what, help));
    }
}

pub fn show(root: &Root, unlock: &Unlock<'_>) -> Result<ManifestReport, OpError> {
    let (manifest, _) = root.read(unlock, Sealing::Optional)?;
    Ok(ManifestReport {
        environment: root.environment(),
        seal: manifest.sealed.as_ref().map(|sealed| ManifestSeal {
            scope: sealed.scope.clone(),
            key_id: sealed.fingerprint_key.id(),
            revision: sealed.revision,
            recipients: sealed.recipients.len(),
        }),
        entries: manifest
            .assignments()
            .iter()
            .map(|assignment| ManifestEntry {
                label: assignment.label.clone(),
                key: assignment.key.clone(),
                credential: assignment.credential.as_deref().map(str::to_owned),
                fields: assignment.values().map(|(field, _)| field).collect(),
            })
            .collect(),
    })
}

/// Compares the recipients of drspass.yaml, the sealed ones, and those in the file's header.
/// `unlock` is `None` to look for no identity; if none opens the file, the report says what
/// the header alone shows.
pub fn recipients(
    root: &Root,
    unlock: Option<&Unlock<'_>>,
    rules: &UserRules,
) -> Result<RecipientsReport, OpError> {
    let file = root.manifest_bytes()?;
    let stanzas = header::recipients(&file).map_err(OpError::age(root.manifest_name()))?;
    let sealed = match unlock.map(|unlock| root.decrypt_file(&file, unlock)) {
        None => Err("no identity was asked for"),
        Some(Err(error)) => Err(unopened(error)?),
        Some(Ok(plain)) => {
            let (_, sealed, _) = parse_sealed(&plain, root.manifest_name())?;
            rules.check_key(&sealed.fingerprint_key.id())?;
            Ok(sealed.recipients)
        }
    };
    Ok(compare(
        root.manifest_name().display().to_string(),
        &root.config.recipients,
        sealed.as_deref().map_err(|why| *why),
        &stanzas,
    ))
}

/// Returns why no identity opened the file, unless the file itself is at fault.
fn unopened(error: OpError) -> Result<&'static str, OpError> {
    Ok(match error {
        OpError::NoIdentity { .. } => "no identity was given",
        OpError::NoMatch { .. } => "none of the given identities is a recipient",
        OpError::Identity(AgeError::Locked { .. }) => {
            "the identity is locked, and no terminal is available to ask for its passphrase"
        }
        OpError::Identity(AgeError::Declined { .. }) => {
            "the identity is locked, and no passphrase was typed"
        }
        OpError::Identity(AgeError::NoPlugin { .. }) => {
            "the identity needs a plugin that is not installed"
        }
        OpError::Identity(AgeError::Plugin { .. }) => "the plugin of the identity failed",
        other => return Err(other),
    })
}
