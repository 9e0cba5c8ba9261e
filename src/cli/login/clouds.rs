//! One entry of clouds.yaml, with secure.yaml merged over it.
//!
//! Files of the work tree or the current folder are not read: a writer could choose the
//! login. Nothing but the login is taken of an entry; the target is that of drspass.yaml.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::document::{self, Node, Origin, Value};
use super::entry::Entry;
use super::error::LoginError;
use super::outside::{self, WorkTree};
use super::parts::{may_be_secret, name_flaw};
use crate::cli::env::Env;

/// Names of the files, first choice first (OpenStack SDK).
const CLOUDS: &[&str] = &["clouds.yaml", "clouds.yml", "clouds.json"];
const SECURE: &[&str] = &["secure.yaml", "secure.yml", "secure.json"];
const MAX_BYTES: usize = 1 << 20;

/// Keys whose values must not be readable for others.
const SECRETS: &[&str] = &[
    "token",
    "auth_token",
    "secret_key",
    "sk",
    "security_token",
    "password",
    "passcode",
];

/// An entry that was named.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub name: &'a str,
    /// The option, the variable or the file that names it.
    pub named_by: &'static str,
    /// Not the case for a file of the work tree, which a writer may have changed.
    pub by_user: bool,
}

pub struct Files {
    clouds: Option<PathBuf>,
    secure: Option<PathBuf>,
}

impl Files {
    fn find(env: &Env, folder: &Path, system: &Path) -> Self {
        let mut folders: Vec<PathBuf> = env
            .config_folders()
            .into_iter()
            .map(|folder| folder.join("openstack"))
            .collect();
        folders.push(system.to_owned());
        let named = |variable| env.path_var(variable).map(|path| folder.join(path));
        let clouds = named("OS_CLIENT_CONFIG_FILE").or_else(|| outside::first_of(&folders, CLOUDS));
        if let Some(beside) = clouds.as_deref().and_then(Path::parent) {
            folders.insert(0, beside.to_owned());
        }
        let secure = named("OS_CLIENT_SECURE_FILE").or_else(|| outside::first_of(&folders, SECURE));
        Self { clouds, secure }
    }

    fn main(&self) -> Option<&Path> {
        self.clouds.as_deref().or(self.secure.as_deref())
    }

    pub fn of(&self, origin: Origin) -> &Path {
        let file = match origin {
            Origin::Clouds => self.clouds.as_deref(),
            Origin::Secure => self.secure.as_deref(),
        };
        file.unwrap_or_else(|| Path::new("clouds.yaml"))
    }

    /// The files that hold an entry, for messages.
    fn called(&self, in_clouds: bool, in_secure: bool) -> String {
        let secure = self.of(Origin::Secure);
        match (in_clouds, in_secure) {
            (_, false) => self.of(Origin::Clouds).display().to_string(),
            (false, true) => secure.display().to_string(),
            (true, true) => {
                let clouds = self.of(Origin::Clouds);
                let short = secure
                    .file_name()
                    .filter(|_| secure.parent() == clouds.parent());
                let secure = short.map_or(secure, Path::new);
                format!("{} and {}", clouds.display(), secure.display())
            }
        }
    }
}

struct Loaded {
    root: Node,
    entries: BTreeSet<String>,
    note: Option<String>,
}

impl Loaded {
    fn read(origin: Origin, path: Option<&Path>, tree: &WorkTree) -> Result<Self, LoginError> {
        let Some(path) = path else {
            return Ok(Self {
                root: Node::empty(origin),
                entries: BTreeSet::new(),
                note: None,
            });
        };
        let file = tree.read("the file", path, MAX_BYTES)?;
        let root = document::parse(origin, path, &file.bytes)?;
        let not_a_map = |at, what| LoginError::Document {
            path: path.to_owned(),
            at: Some(at),
            what,
            help: "Write the entries below `clouds:`, each with its keys indented below its name.",
        };
        if !matches!(root.value, Value::Map(_) | Value::Null) {
            return Err(not_a_map(root.at, "the document is not a map of keys"));
        }
        let entries = match root.get("clouds") {
            None => BTreeSet::new(),
            Some(Node {
                value: Value::Map(map),
                ..
            }) => map.keys().cloned().collect(),
            Some(node) => return Err(not_a_map(node.at, "`clouds` is not a map of entries")),
        };
        let note = file.note.filter(|_| root.holds(SECRETS));
        Ok(Self {
            root,
            entries,
            note,
        })
    }
}

/// The named entry, or the only one; none if none is named and there is none. `system` is
/// the last folder that is searched.
pub fn find(
    env: &Env,
    tree: &WorkTree,
    folder: &Path,
    system: &Path,
    wanted: Option<Wanted<'_>>,
) -> Result<Option<Entry>, LoginError> {
    if let Some(Wanted { name, named_by, .. }) = wanted
        && let Some((what, help)) = name_flaw(name)
    {
        let place = format!("the name of an entry from {named_by}");
        return Err(LoginError::value(place, what, help));
    }
    let files = Files::find(env, folder, system);
    let Some(main) = files.main() else {
        return match wanted {
            Some(Wanted { named_by, .. }) => Err(LoginError::NoClouds { named_by }),
            None => Ok(None),
        };
    };
    let clouds = Loaded::read(Origin::Clouds, files.clouds.as_deref(), tree)?;
    let secure = Loaded::read(Origin::Secure, files.secure.as_deref(), tree)?;
    let name = match wanted {
        Some(wanted) => wanted.name.to_owned(),
        None => {
            let mut names = clouds.entries.union(&secure.entries);
            match (names.next(), names.next()) {
                (None, _) => return Ok(None),
                (Some(only), None) => only.clone(),
                (Some(_), Some(_)) => {
                    return Err(LoginError::SeveralEntries {
                        path: main.to_owned(),
                    });
                }
            }
        }
    };
    let called = files.called(
        clouds.entries.contains(&name),
        secure.entries.contains(&name),
    );
    let node = clouds
        .root
        .merge(secure.root)
        .take("clouds")
        .and_then(|all| all.take(&name));
    let Some(node) = node else {
        return match wanted {
            Some(Wanted { name, named_by, .. }) if may_be_secret(name) => Err(LoginError::value(
                format!("the name of an entry from {named_by}"),
                "is not in clouds.yaml; the name is not repeated, as it may be a secret",
                "The names of the entries stand below `clouds:` in that file.",
            )),
            Some(Wanted { name, named_by, .. }) => Err(LoginError::NoEntry {
                named_by,
                name: name.to_owned(),
                path: main.to_owned(),
            }),
            // The only entry has no keys.
            None => Ok(None),
        };
    };
    let not_a_map = |what, node: &Node| LoginError::Document {
        path: files.of(node.origin).to_owned(),
        at: Some(node.at),
        what,
        help: "Indent the keys below it.",
    };
    if !matches!(node.value, Value::Map(_)) {
        return Err(not_a_map("the entry is not a map of keys", &node));
    }
    if let Some(auth) = node.get("auth")
        && !matches!(auth.value, Value::Map(_))
    {
        return Err(not_a_map("`auth` is not a map of keys", auth));
    }
    // What the file says may not break the line of a message.
    let shown = if name_flaw(&name).is_none() {
        format!("entry {name}")
    } else {
        "the only entry".to_owned()
    };
    let notes = [clouds.note, secure.note].into_iter().flatten().collect();
    Ok(Some(Entry {
        label: format!("{shown} of {called}"),
        notes,
        name: shown,
        node,
        files,
    }))
}
