//! One entry of clouds.yaml: the names of its keys, how it logs in, and what it may
//! not say.
//!
//! It takes nothing of an entry but the login: the target is that of drspass.yaml.

use super::clouds::Files;
use super::document::{Node, Value, Word};
use super::error::LoginError;
use super::parts::{Flaw, Kind, Method, Names, OTHER_LOGIN, Part, Parts, and};

/// The keys of an entry (OpenStack SDK, gophercloud, and extensions for Open Telekom
/// Cloud).
static KEYS: Names = Names {
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
pub struct Entry {
    /// With its files, for messages.
    pub label: String,
    /// That others may read a file with a secret.
    pub notes: Vec<String>,
    /// Without its files.
    pub name: String,
    pub node: Node,
    pub files: Files,
}

impl Entry {
    /// Where keys may be: outside of `auth` first.
    fn levels(&self) -> impl Iterator<Item = &Node> {
        [Some(&self.node), self.node.get("auth")]
            .into_iter()
            .flatten()
    }

    fn place(&self, key: &str, node: &Node) -> String {
        let path = self.files.of(node.origin).display();
        format!("{key} of {} ({path}, {})", self.name, node.at)
    }

    fn look(&self, names: &'static [&'static str], kind: Kind) -> Result<Option<Part>, LoginError> {
        for level in self.levels() {
            for name in names {
                let Some(node) = level.get(name) else {
                    continue;
                };
                let refused =
                    |(what, help): Flaw| Err(LoginError::value(self.place(name, node), what, help));
                match &node.value {
                    Value::Text(text) if text.is_empty() => {}
                    Value::Text(text) => {
                        return match kind.flaw(text) {
                            Some(flaw) => refused(flaw),
                            None => Ok(Some(Part::new(name, text))),
                        };
                    }
                    Value::NotText(_) => {
                        return refused((
                            "is no text, since readers of YAML take it for a number, a date or a boolean".into(),
                            "Quote it.",
                        ));
                    }
                    Value::Null | Value::List | Value::Map(_) => {
                        return refused(("is no text".into(), "Write one text after the colon."));
                    }
                }
            }
        }
        Ok(None)
    }

    pub fn parts(&self) -> Result<Parts, LoginError> {
        Parts::read(&KEYS, &|names, kind| self.look(names, kind))
    }

    pub fn ca(&self) -> Result<Option<Part>, LoginError> {
        self.look(&["cacert"], Kind::Certificates)
    }

    /// What the entry says about the target.
    pub fn target(&self, key: &'static str) -> Option<&str> {
        self.levels()
            .find_map(|level| match &level.get(key)?.value {
                Value::Text(text) if !text.is_empty() => Some(text.as_str()),
                _ => None,
            })
    }

    /// The texts of a key at each of its places; `None` for what is not a text.
    pub fn values(&self, key: &str) -> Vec<Option<&str>> {
        let nodes = self.levels().filter_map(|level| level.get(key));
        nodes
            .map(|node| match &node.value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    pub fn refuse_unsafe(&self) -> Result<(), LoginError> {
        for level in self.levels() {
            for (key, harmless) in [("verify", Word::Yes), ("insecure", Word::No)] {
                let Some(node) = level.get(key) else {
                    continue;
                };
                let word = match &node.value {
                    Value::Text(text) if text.is_empty() => continue,
                    Value::Text(text) => Word::of(text),
                    Value::NotText(word) => *word,
                    _ => Word::Other,
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
                    && !matches!(&node.value, Value::Text(text) if text.is_empty())
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
    pub fn method(&self, parts: &mut Parts) -> Result<Method, LoginError> {
        let Some(part) = self.look(&["auth_type"], Kind::Name)? else {
            let given = Method::ORDER
                .into_iter()
                .find(|method| !parts.given(*method).is_empty());
            return match (given, self.look(APPLICATION, Kind::Name)?) {
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
            Method::of_type(&part.into_text()).map_err(|(what, help)| {
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
