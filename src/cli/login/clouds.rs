//! One entry of clouds.yaml, with secure.yaml merged over it.
//!
//! Files of the work tree or the current folder are not read: a writer could choose the
//! login. Nothing but the login is taken of an entry; the target is that of drspass.yaml.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::document::{self, BooleanWord, CloudsFile, CloudsNode, CloudsValue};
use super::error;
use super::fields::{
    FieldKind, Flaw, LoginMethod, LoginPart, LoginParts, LoginSource, OTHER_LOGIN, and,
    may_be_secret, name_flaw, secret_keys,
};
use super::outside::{self, WorkTree};
use crate::cli::env::Env;
use crate::ops::error::Failure;

/// Names of the files, first choice first (OpenStack SDK).
const CLOUDS: &[&str] = &["clouds.yaml", "clouds.yml", "clouds.json"];
const SECURE: &[&str] = &["secure.yaml", "secure.yml", "secure.json"];
const MAX_BYTES: usize = 1 << 20;

/// An entry that was named.
#[derive(Clone, Copy)]
pub struct NamedEntry<'a> {
    pub name: &'a str,
    /// The option, the variable or the file that names it.
    pub named_by: &'static str,
    /// Not the case for a file of the work tree, which a writer may have changed.
    pub by_user: bool,
}

impl NamedEntry<'_> {
    fn place(&self) -> String {
        format!("the name of an entry from {}", self.named_by)
    }
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
    fn read(origin: CloudsFile, path: Option<&Path>, tree: &WorkTree) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self {
                root: CloudsNode::empty(origin),
                entries: BTreeSet::new(),
                note: None,
            });
        };
        let file = tree.read("the file", path, MAX_BYTES)?;
        let root = document::parse(origin, path, &file.bytes)?;
        let not_a_map = |at, what| {
            let help =
                "Write the entries below `clouds:`, each with its keys indented below its name.";
            error::document(path, Some(at), what, help)
        };
        if !matches!(root.value, CloudsValue::Map(_) | CloudsValue::Null) {
            return Err(not_a_map(root.at, "the document is not a map of keys"));
        }
        let entries = match root.get("clouds") {
            None => BTreeSet::new(),
            Some(node) => match &node.value {
                CloudsValue::Map(map) => map.keys().cloned().collect(),
                _ => return Err(not_a_map(node.at, "`clouds` is not a map of entries")),
            },
        };
        let note = file.note.filter(|_| root.holds(&secret_keys()));
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
) -> Result<Option<CloudsEntry>, Failure> {
    if let Some(wanted) = wanted
        && let Some((what, help)) = name_flaw(wanted.name)
    {
        return Err(error::value(wanted.place(), what, help));
    }
    let files = CloudsFiles::find(env, folder, system);
    let Some(main) = files.main() else {
        return wanted.map_or(Ok(None), |wanted| Err(no_file(wanted)));
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
                (Some(_), Some(_)) => return Err(several_entries(main)),
            }
        }
    };
    let called = files.called(
        clouds.entries.contains(&name),
        secure.entries.contains(&name),
    );
    let all = clouds.root.merge(secure.root).take("clouds");
    let Some(node) = all.and_then(|all| all.take(&name)) else {
        // The only entry may be without keys.
        return wanted.map_or(Ok(None), |wanted| Err(no_entry(wanted, main)));
    };
    let not_a_map = |what, node: &CloudsNode| {
        let path = files.of(node.origin);
        error::document(path, Some(node.at), what, "Indent the keys below it.")
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
    let shown = match name_flaw(&name) {
        None => format!("entry {name}"),
        Some(_) => "the only entry".to_owned(),
    };
    Ok(Some(CloudsEntry {
        label: format!("{shown} of {called}"),
        notes: [clouds.note, secure.note].into_iter().flatten().collect(),
        name: shown,
        node,
        files,
    }))
}

fn no_file(wanted: NamedEntry<'_>) -> Failure {
    let named_by = wanted.named_by;
    Failure::new(
        "drspass::login::no_clouds",
        format!("{named_by} names an entry of clouds.yaml, but there is no such file"),
        "Nothing was sent. Put clouds.yaml into ~/.config/openstack or /etc/openstack, or name the file with OS_CLIENT_CONFIG_FILE. One in the current folder is not read.",
    )
}

fn several_entries(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(
        "drspass::login::several_entries",
        format!("there is no login: {path} holds several entries and none is named"),
        "Nothing was sent. Name one with --cloud, OS_CLOUD or credentials_from in drspass.yaml.",
    )
}

fn no_entry(wanted: NamedEntry<'_>, path: &Path) -> Failure {
    let NamedEntry { name, named_by, .. } = wanted;
    if may_be_secret(name) {
        return error::value(
            wanted.place(),
            "is not in clouds.yaml; the name is not repeated, as it may be a secret",
            "The names of the entries stand below `clouds:` in that file.",
        );
    }
    let path = path.display();
    Failure::new(
        "drspass::login::no_entry",
        format!("{named_by} names the entry {name}, which {path} does not hold"),
        "Nothing was sent. The names of the entries stand below `clouds:` in that file.",
    )
}

const APPLICATION: &str = "application_credential_id application_credential_name \
     application_credential_secret";

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

    fn look(&self, names: &'static str, kind: FieldKind) -> Result<Option<LoginPart>, Failure> {
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
                        "is no text, since readers of YAML take it for a number, a date or a boolean".into(),
                        "Quote it.",
                    ),
                    CloudsValue::Null | CloudsValue::List | CloudsValue::Map(_) => {
                        ("is no text".into(), "Write one text after the colon.")
                    }
                };
                return Err(error::value(self.place(name, node), what, help));
            }
        }
        Ok(None)
    }

    pub fn parts(&self) -> Result<LoginParts, Failure> {
        LoginParts::read(LoginSource::Clouds, &|names, kind| self.look(names, kind))
    }

    pub fn ca(&self) -> Result<Option<LoginPart>, Failure> {
        self.look("cacert", FieldKind::Certificates)
    }

    /// What the entry says about the target.
    pub fn target(&self, key: &'static str) -> Option<&str> {
        let texts = self.values(key).into_iter().flatten();
        texts.into_iter().find(|text| !text.is_empty())
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

    pub fn refuse_unsafe(&self) -> Result<(), Failure> {
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
                    return Err(error::insecure(&self.place(key, node)));
                }
            }
            for key in ["cert", "key"] {
                if let Some(node) = level.get(key)
                    && !matches!(&node.value, CloudsValue::Text(text) if text.is_empty())
                {
                    return Err(error::client_certificate(&self.place(key, node)));
                }
            }
        }
        Ok(())
    }

    /// The method of `auth_type`, or else the one that the keys make.
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
                    "holds no login",
                    "Add username, password and user_domain_name, or access_key and secret_key, or token.",
                )),
            };
        };
        let (method, needs_passcode) =
            LoginMethod::of_type(&part.into_text()).map_err(|(what, help)| {
                error::value(format!("auth_type of {}", self.label), what, help)
            })?;
        parts.needs_passcode = needs_passcode;
        let missing = parts.missing(method);
        if missing.is_empty() {
            return Ok(method);
        }
        let given = [&["auth_type"], parts.given(method).as_slice()].concat();
        Err(error::incomplete(&and(&given), &self.label, &and(&missing)))
    }
}
