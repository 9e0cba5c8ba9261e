//! One entry of clouds.yaml, with secure.yaml merged over it.
//!
//! Files of the work tree or the current directory are not read, since a writer could choose
//! the login there. Only the login is taken from an entry; the target is in drspass.yaml.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::LoginContext;
use super::document::{self, CloudsNode, CloudsValue};
use super::error;
use super::fields::{
    FieldKind, Flaw, LoginMethod, LoginPart, LoginParts, LoginSource, OTHER_LOGIN, may_be_secret,
    name_flaw, secret_keys,
};
use super::outside::{self, WorkTree};
use crate::ops::error::Failure;

/// Names of the files, first choice first (OpenStack SDK).
const CLOUDS: &[&str] = &["clouds.yaml", "clouds.yml", "clouds.json"];
const SECURE: &[&str] = &["secure.yaml", "secure.yml", "secure.json"];
const MAX_BYTES: usize = 1 << 20;

/// Boolean words of YAML 1.1 and of OpenStack clients.
const YES: &[&str] = &["true", "yes", "on", "y", "t", "1"];
const NO: &[&str] = &["false", "no", "off", "n", "f", "0"];

const NAMES_OF_ENTRIES: &str = "The entries are below `clouds:` in that file.";

#[derive(Clone, Copy)]
pub struct NamedEntry<'a> {
    pub name: &'a str,
    /// The option, variable or file that names it.
    pub named_by: &'static str,
    /// `false` for a file of the work tree, which a writer may have changed.
    pub by_user: bool,
}

impl NamedEntry<'_> {
    fn place(&self) -> String {
        format!("the entry name from {}", self.named_by)
    }
}

fn find_files(place: &LoginContext<'_>) -> Vec<PathBuf> {
    let folders = place.env.config_folders().into_iter();
    let mut folders: Vec<PathBuf> = folders.map(|folder| folder.join("openstack")).collect();
    folders.push(place.system.to_owned());
    let named = |variable| Some(place.folder.join(place.env.path_var(variable)?));
    let clouds = named("OS_CLIENT_CONFIG_FILE").or_else(|| outside::first_of(&folders, CLOUDS));
    if let Some(parent) = clouds.as_deref().and_then(Path::parent) {
        folders.insert(0, parent.to_owned());
    }
    let secure = named("OS_CLIENT_SECURE_FILE").or_else(|| outside::first_of(&folders, SECURE));
    clouds.into_iter().chain(secure).collect()
}

fn names_of_entries(root: &CloudsNode) -> Result<BTreeSet<String>, Failure> {
    let help = "Put the entries below `clouds:`, each with its keys indented below its name.";
    root.map("the document is not a map", help)?;
    let Some(clouds) = root.get("clouds") else {
        return Ok(BTreeSet::new());
    };
    let map = clouds.map("`clouds` is not a map of entries", help)?;
    Ok(map.keys().cloned().collect())
}

/// Returns the named entry, or the only one; `None` if none is named and none exists.
pub fn find(
    wanted: Option<NamedEntry<'_>>,
    tree: &WorkTree,
    place: &LoginContext<'_>,
) -> Result<Option<CloudsEntry>, Failure> {
    if let Some(wanted) = wanted
        && let Some((what, help)) = name_flaw(wanted.name)
    {
        return Err(error::value(wanted.place(), what, help));
    }
    let paths = find_files(place);
    let Some(main) = paths.first() else {
        return wanted.map_or(Ok(None), |wanted| Err(no_file(wanted)));
    };
    let mut all: Option<CloudsNode> = None;
    let mut entries = Vec::new();
    let mut notes = Vec::new();
    for path in &paths {
        let (bytes, note) = tree.read("the file", path, MAX_BYTES)?;
        let Some(root) = document::parse(path, &bytes)? else {
            continue;
        };
        let names = names_of_entries(&root)?;
        entries.extend(names.into_iter().map(|name| (name, path)));
        notes.extend(note.filter(|_| root.holds(&secret_keys())));
        match &mut all {
            Some(all) => all.merge(root),
            None => all = Some(root),
        }
    }
    let name = match wanted {
        Some(wanted) => wanted.name.to_owned(),
        None => {
            let names: BTreeSet<&String> = entries.iter().map(|(name, _)| name).collect();
            match (names.first(), names.len()) {
                (None, _) => return Ok(None),
                (Some(only), 1) => (*only).clone(),
                _ => return Err(several_entries(main)),
            }
        }
    };
    let node = all.and_then(|all| all.get("clouds")?.get(&name).cloned());
    let Some(node) = node else {
        // The only entry may have no keys.
        return wanted.map_or(Ok(None), |wanted| Err(no_entry(wanted, main)));
    };
    let help = "Indent the keys below its name.";
    node.map("the entry is not a map", help)?;
    if let Some(auth) = node.get("auth") {
        auth.map("`auth` is not a map", help)?;
    }
    // A name with a line break would split the message.
    let shown = match name_flaw(&name) {
        None => format!("entry {name}"),
        Some(_) => "the only entry".to_owned(),
    };
    let files = entries.iter().filter(|(entry, _)| *entry == name);
    let files: Vec<&Path> = files.map(|(_, path)| path.as_path()).collect();
    Ok(Some(CloudsEntry {
        label: format!("{shown} of {}", in_words(&files)),
        notes,
        name: shown,
        node,
    }))
}

fn in_words(files: &[&Path]) -> String {
    let first = files.first().unwrap_or(&Path::new("clouds.yaml")).display();
    let Some(second) = files.get(1) else {
        return first.to_string();
    };
    let short = second.file_name();
    let short = short.filter(|_| second.parent() == files[0].parent());
    format!("{first} and {}", short.map_or(*second, Path::new).display())
}

fn no_file(wanted: NamedEntry<'_>) -> Failure {
    let named_by = wanted.named_by;
    Failure::new(
        "drspass::login::no_clouds",
        format!("{named_by} names an entry of clouds.yaml, but the file is missing"),
        "Nothing was sent. Put clouds.yaml into ~/.config/openstack or /etc/openstack, or set OS_CLIENT_CONFIG_FILE to its path. A file in the current directory is not read.",
    )
}

fn several_entries(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(
        "drspass::login::several_entries",
        format!("no login found: {path} has several entries and none is named"),
        "Nothing was sent. Name an entry with --cloud, OS_CLOUD or credentials_from in drspass.yaml.",
    )
}

fn no_entry(wanted: NamedEntry<'_>, path: &Path) -> Failure {
    let NamedEntry { name, named_by, .. } = wanted;
    if may_be_secret(name) {
        let what = "is not in clouds.yaml; the name is not repeated, as it may be a secret";
        return error::value(wanted.place(), what, NAMES_OF_ENTRIES);
    }
    let path = path.display();
    Failure::new(
        "drspass::login::no_entry",
        format!("{named_by} names the entry {name}, which {path} does not contain"),
        format!("Nothing was sent. {NAMES_OF_ENTRIES}"),
    )
}

const APPLICATION: &str = "application_credential_id application_credential_name \
     application_credential_secret";

/// An entry, both files merged.
pub struct CloudsEntry {
    /// With the names of its files, for messages.
    pub label: String,
    /// About files with a secret that other users can read.
    pub notes: Vec<String>,
    /// Without the names of its files.
    name: String,
    node: CloudsNode,
}

impl CloudsEntry {
    /// Returns the maps with keys, `auth` last.
    fn levels(&self) -> impl Iterator<Item = &CloudsNode> {
        let levels = [Some(&self.node), self.node.get("auth")];
        levels.into_iter().flatten()
    }

    fn place(&self, key: &str, node: &CloudsNode) -> String {
        format!(
            "{key} of {} ({}, {})",
            self.name,
            node.path.display(),
            node.at
        )
    }

    pub fn look(&self, names: &'static str, kind: FieldKind) -> Result<Option<LoginPart>, Failure> {
        for level in self.levels() {
            for name in names.split(' ') {
                let Some(node) = level.get(name) else {
                    continue;
                };
                let (what, help): Flaw = match &node.value {
                    CloudsValue::Text(text) if text.is_empty() => continue,
                    CloudsValue::Text(text) => match kind.flaw(text) {
                        Some(flaw) => flaw,
                        None => return Ok(Some(LoginPart::new(name, text))),
                    },
                    CloudsValue::NotText(_) => (
                        "is not a string: YAML reads it as a number, a date or a boolean".into(),
                        "Quote it.",
                    ),
                    _ => (
                        "is not a string".into(),
                        "Write one string after the colon.",
                    ),
                };
                return Err(error::value(self.place(name, node), what, help));
            }
        }
        Ok(None)
    }

    pub fn parts(&self) -> Result<LoginParts, Failure> {
        LoginParts::read(LoginSource::Clouds, &|names, kind| self.look(names, kind))
    }

    /// Returns each string of a key; `None` for a value that is not a string.
    pub fn values(&self, key: &str) -> impl Iterator<Item = Option<&str>> {
        let nodes = self.levels().filter_map(move |level| level.get(key));
        nodes.map(|node| match &node.value {
            CloudsValue::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    pub fn refuse_unsafe(&self) -> Result<(), Failure> {
        let is_empty =
            |node: &CloudsNode| matches!(&node.value, CloudsValue::Text(text) if text.is_empty());
        for level in self.levels() {
            for (key, harmless) in [("verify", YES), ("insecure", NO)] {
                let is_harmless = |node: &&CloudsNode| match &node.value {
                    CloudsValue::Text(text) | CloudsValue::NotText(text) => {
                        harmless.iter().any(|word| word.eq_ignore_ascii_case(text))
                    }
                    _ => false,
                };
                // OpenStack clients take any other word as "do not verify".
                if let Some(node) = level.get(key)
                    && !is_empty(node)
                    && !is_harmless(&node)
                {
                    return Err(error::insecure(&self.place(key, node)));
                }
            }
            for key in ["cert", "key"] {
                if let Some(node) = level.get(key)
                    && !is_empty(node)
                {
                    return Err(error::client_certificate(&self.place(key, node)));
                }
            }
        }
        Ok(())
    }

    /// Returns the method of `auth_type`, or else of the keys.
    pub fn method(&self, parts: &mut LoginParts) -> Result<LoginMethod, Failure> {
        let Some(part) = self.look("auth_type", FieldKind::Name)? else {
            let mut methods = LoginMethod::ORDER.into_iter();
            let given = methods.find(|method| !parts.given(*method).is_empty());
            return match (given, self.look(APPLICATION, FieldKind::Name)?) {
                (Some(method), _) => Ok(method),
                (None, Some(part)) => Err(error::value(
                    format!("{} of {}", part.name, self.label),
                    "gives an application credential, which is not supported",
                    OTHER_LOGIN,
                )),
                (None, None) => Err(error::value(
                    &self.label,
                    "has no login",
                    "Add username, password and user_domain_name, or access_key and secret_key, or token.",
                )),
            };
        };
        let (method, needs_passcode) =
            LoginMethod::of_type(&part.into_text()).map_err(|(what, help)| {
                error::value(format!("auth_type of {}", self.label), what, help)
            })?;
        parts.needs_passcode = needs_passcode;
        match parts.missing(method).is_empty() {
            true => Ok(method),
            false => Err(parts.incomplete(method, &["auth_type"], &self.label)),
        }
    }
}
