//! One entry of clouds.yaml, with secure.yaml merged over it.
//!
//! Files of the work tree or the current folder are not read: a writer could choose the
//! login. Nothing but the login is taken of an entry; the target is that of drspass.yaml.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::document::{self, BooleanWord, CloudsFile, CloudsNode, CloudsValue};
use super::error::LoginError;
use super::outside::{self, WorkTree};
use super::parts::{
    Flaw, LoginMethod, LoginNames, LoginPart, LoginParts, OTHER_LOGIN, PartKind, and,
    may_be_secret, name_flaw,
};
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
pub struct NamedEntry<'a> {
    pub name: &'a str,
    /// The option, the variable or the file that names it.
    pub named_by: &'static str,
    /// Not the case for a file of the work tree, which a writer may have changed.
    pub by_user: bool,
}

pub struct CloudsFiles {
    clouds: Option<PathBuf>,
    secure: Option<PathBuf>,
}

impl CloudsFiles {
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

    pub fn of(&self, origin: CloudsFile) -> &Path {
        let file = match origin {
            CloudsFile::Clouds => self.clouds.as_deref(),
            CloudsFile::Secure => self.secure.as_deref(),
        };
        file.unwrap_or_else(|| Path::new("clouds.yaml"))
    }

    /// The files that hold an entry, for messages.
    fn called(&self, in_clouds: bool, in_secure: bool) -> String {
        let secure = self.of(CloudsFile::Secure);
        match (in_clouds, in_secure) {
            (_, false) => self.of(CloudsFile::Clouds).display().to_string(),
            (false, true) => secure.display().to_string(),
            (true, true) => {
                let clouds = self.of(CloudsFile::Clouds);
                let short = secure
                    .file_name()
                    .filter(|_| secure.parent() == clouds.parent());
                let secure = short.map_or(secure, Path::new);
                format!("{} and {}", clouds.display(), secure.display())
            }
        }
    }
}

struct LoadedFile {
    root: CloudsNode,
    entries: BTreeSet<String>,
    note: Option<String>,
}

impl LoadedFile {
    fn read(origin: CloudsFile, path: Option<&Path>, tree: &WorkTree) -> Result<Self, LoginError> {
        let Some(path) = path else {
            return Ok(Self {
                root: CloudsNode::empty(origin),
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
        if !matches!(root.value, CloudsValue::Map(_) | CloudsValue::Null) {
            return Err(not_a_map(root.at, "the document is not a map of keys"));
        }
        let entries = match root.get("clouds") {
            None => BTreeSet::new(),
            Some(CloudsNode {
                value: CloudsValue::Map(map),
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
    wanted: Option<NamedEntry<'_>>,
) -> Result<Option<CloudsEntry>, LoginError> {
    if let Some(NamedEntry { name, named_by, .. }) = wanted
        && let Some((what, help)) = name_flaw(name)
    {
        let place = format!("the name of an entry from {named_by}");
        return Err(LoginError::value(place, what, help));
    }
    let files = CloudsFiles::find(env, folder, system);
    let Some(main) = files.main() else {
        return match wanted {
            Some(NamedEntry { named_by, .. }) => Err(LoginError::NoClouds { named_by }),
            None => Ok(None),
        };
    };
    let clouds = LoadedFile::read(CloudsFile::Clouds, files.clouds.as_deref(), tree)?;
    let secure = LoadedFile::read(CloudsFile::Secure, files.secure.as_deref(), tree)?;
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
            Some(NamedEntry { name, named_by, .. }) if may_be_secret(name) => {
                Err(LoginError::value(
                    format!("the name of an entry from {named_by}"),
                    "is not in clouds.yaml; the name is not repeated, as it may be a secret",
                    "The names of the entries stand below `clouds:` in that file.",
                ))
            }
            Some(NamedEntry { name, named_by, .. }) => Err(LoginError::NoEntry {
                named_by,
                name: name.to_owned(),
                path: main.to_owned(),
            }),
            // The only entry has no keys.
            None => Ok(None),
        };
    };
    let not_a_map = |what, node: &CloudsNode| LoginError::Document {
        path: files.of(node.origin).to_owned(),
        at: Some(node.at),
        what,
        help: "Indent the keys below it.",
    };
    if !matches!(node.value, CloudsValue::Map(_)) {
        return Err(not_a_map("the entry is not a map of keys", &node));
    }
    if let Some(auth) = node.get("auth")
        && !matches!(auth.value, CloudsValue::Map(_))
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
    Ok(Some(CloudsEntry {
        label: format!("{shown} of {called}"),
        notes,
        name: shown,
        node,
        files,
    }))
}

/// The keys of an entry (OpenStack SDK, gophercloud, and extensions for Open Telekom
/// Cloud).
static KEYS: LoginNames = LoginNames {
    token: &["token", "auth_token"],
    access: &["access_key", "ak"],
    secret: &["secret_key", "sk"],
    security_token: &["security_token"],
    user_id: &["user_id"],
    user_name: &["username", "user_name"],
    password: &["password"],
    passcode: &["passcode"],
    user_domain: &[
        &["user_domain_id", "user_domain_name"],
        &["project_domain_id", "project_domain_name"],
        &["domain_id", "domain_name"],
        &["default_domain_id", "default_domain", "default_domain_name"],
    ],
    project_domain: &[
        &["project_domain_id", "project_domain_name"],
        &["user_domain_id", "user_domain_name"],
        &["domain_id", "domain_name"],
        &["default_domain_id", "default_domain", "default_domain_name"],
    ],
    project_id: &["project_id", "tenant_id"],
    project_name: &["project_name", "tenant_name"],
};

const APPLICATION: &[&str] = &[
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
];

/// An entry, both files merged.
pub struct CloudsEntry {
    /// With its files, for messages.
    pub label: String,
    /// That others may read a file with a secret.
    pub notes: Vec<String>,
    /// Without its files.
    pub name: String,
    pub node: CloudsNode,
    pub files: CloudsFiles,
}

impl CloudsEntry {
    /// Where keys may be: outside of `auth` first.
    fn levels(&self) -> impl Iterator<Item = &CloudsNode> {
        [Some(&self.node), self.node.get("auth")]
            .into_iter()
            .flatten()
    }

    fn place(&self, key: &str, node: &CloudsNode) -> String {
        let path = self.files.of(node.origin).display();
        format!("{key} of {} ({path}, {})", self.name, node.at)
    }

    fn look(
        &self,
        names: &'static [&'static str],
        kind: PartKind,
    ) -> Result<Option<LoginPart>, LoginError> {
        for level in self.levels() {
            for name in names {
                let Some(node) = level.get(name) else {
                    continue;
                };
                let refused =
                    |(what, help): Flaw| Err(LoginError::value(self.place(name, node), what, help));
                match &node.value {
                    CloudsValue::Text(text) if text.is_empty() => {}
                    CloudsValue::Text(text) => {
                        return match kind.flaw(text) {
                            Some(flaw) => refused(flaw),
                            None => Ok(Some(LoginPart::new(name, text))),
                        };
                    }
                    CloudsValue::NotText(_) => {
                        return refused((
                            "is no text, since readers of YAML take it for a number, a date or a boolean".into(),
                            "Quote it.",
                        ));
                    }
                    CloudsValue::Null | CloudsValue::List | CloudsValue::Map(_) => {
                        return refused(("is no text".into(), "Write one text after the colon."));
                    }
                }
            }
        }
        Ok(None)
    }

    pub fn parts(&self) -> Result<LoginParts, LoginError> {
        LoginParts::read(&KEYS, &|names, kind| self.look(names, kind))
    }

    pub fn ca(&self) -> Result<Option<LoginPart>, LoginError> {
        self.look(&["cacert"], PartKind::Certificates)
    }

    /// What the entry says about the target.
    pub fn target(&self, key: &'static str) -> Option<&str> {
        self.levels()
            .find_map(|level| match &level.get(key)?.value {
                CloudsValue::Text(text) if !text.is_empty() => Some(text.as_str()),
                _ => None,
            })
    }

    /// The texts of a key at each of its places; `None` for what is not a text.
    pub fn values(&self, key: &str) -> Vec<Option<&str>> {
        let nodes = self.levels().filter_map(|level| level.get(key));
        nodes
            .map(|node| match &node.value {
                CloudsValue::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    pub fn refuse_unsafe(&self) -> Result<(), LoginError> {
        for level in self.levels() {
            for (key, harmless) in [("verify", BooleanWord::Yes), ("insecure", BooleanWord::No)] {
                let Some(node) = level.get(key) else {
                    continue;
                };
                let word = match &node.value {
                    CloudsValue::Text(text) if text.is_empty() => continue,
                    CloudsValue::Text(text) => BooleanWord::of(text),
                    CloudsValue::NotText(word) => *word,
                    _ => BooleanWord::Other,
                };
                // OpenStack clients take any other word for "do not verify".
                if word != harmless {
                    return Err(LoginError::Insecure {
                        place: self.place(key, node),
                    });
                }
            }
            for key in ["cert", "key"] {
                if let Some(node) = level.get(key)
                    && !matches!(&node.value, CloudsValue::Text(text) if text.is_empty())
                {
                    return Err(LoginError::ClientCertificate {
                        place: self.place(key, node),
                    });
                }
            }
        }
        Ok(())
    }

    /// The method of `auth_type`, or else the one that the keys make.
    pub fn method(&self, parts: &mut LoginParts) -> Result<LoginMethod, LoginError> {
        let Some(part) = self.look(&["auth_type"], PartKind::Name)? else {
            let given = LoginMethod::ORDER
                .into_iter()
                .find(|method| !parts.given(*method).is_empty());
            return match (given, self.look(APPLICATION, PartKind::Name)?) {
                (Some(method), _) => Ok(method),
                (None, Some(part)) => Err(LoginError::value(
                    format!("{} of {}", part.name, self.label),
                    "gives an application credential, which is not supported",
                    OTHER_LOGIN,
                )),
                (None, None) => Err(LoginError::value(
                    &self.label,
                    "holds no login",
                    "Add username, password and user_domain_name, or access_key and secret_key, or token.",
                )),
            };
        };
        let (method, needs_passcode) =
            LoginMethod::of_type(&part.into_text()).map_err(|(what, help)| {
                LoginError::value(format!("auth_type of {}", self.label), what, help)
            })?;
        parts.needs_passcode = needs_passcode;
        let missing = parts.missing(method);
        if missing.is_empty() {
            Ok(method)
        } else {
            Err(LoginError::Incomplete {
                given: and(&[&["auth_type"], parts.given(method).as_slice()].concat()),
                place: self.label.clone(),
                missing: and(&missing),
            })
        }
    }
}
