//! What makes a login, whichever source gives it: what belongs together, and what is
//! missing.

use std::borrow::Cow;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::LoginError;
use crate::api::auth::{AccessKey, Credentials, Domain, IamUser, PasswordLogin, ProjectName};
use crate::core::redact::{is_key_like, is_too_long_for_a_path};
use crate::core::secret::Secret;

/// Names that give one domain: by name those that end in `_name`, by id the others.
pub type DomainNames = &'static [&'static str];

/// What is wrong with a value, without the value, and what to do.
pub type Flaw = (Cow<'static, str>, &'static str);

/// The names of one source, first choice first.
pub struct LoginNames {
    pub token: &'static [&'static str],
    pub access: &'static [&'static str],
    pub secret: &'static [&'static str],
    pub security_token: &'static [&'static str],
    pub user_id: &'static [&'static str],
    pub user_name: &'static [&'static str],
    pub password: &'static [&'static str],
    pub passcode: &'static [&'static str],
    pub user_domain: &'static [DomainNames],
    pub project_domain: &'static [DomainNames],
    pub project_id: &'static [&'static str],
    pub project_name: &'static [&'static str],
}

/// A value and the name that gave it. Without `Debug`, since it may be a secret.
pub struct LoginPart {
    pub name: &'static str,
    text: Zeroizing<String>,
}

impl LoginNames {
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        let lists = [
            self.token,
            self.access,
            self.secret,
            self.security_token,
            self.user_id,
            self.user_name,
            self.password,
            self.passcode,
            self.project_id,
            self.project_name,
        ];
        let domains = self.user_domain.iter().chain(self.project_domain);
        lists.into_iter().chain(domains.copied()).flatten().copied()
    }
}

impl LoginPart {
    pub fn new(name: &'static str, text: &str) -> Self {
        Self {
            name,
            text: Zeroizing::new(text.to_owned()),
        }
    }

    pub fn text_of(&self) -> String {
        self.text.as_str().to_owned()
    }

    pub fn into_text(mut self) -> String {
        std::mem::take(&mut *self.text)
    }

    fn into_secret(self) -> Secret {
        // Moved, not copied: the secret wipes the same buffer.
        Secret::new(self.into_text())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    Password,
    /// May end in a line break.
    Token,
    /// A part of an access key, or a one-time code.
    Key,
    Name,
    Certificates,
}

impl PartKind {
    pub fn flaw(self, text: &str) -> Option<Flaw> {
        match self {
            Self::Password => password_flaw(text),
            Self::Token => {
                let end = text
                    .strip_suffix("\r\n")
                    .or_else(|| text.strip_suffix('\n'));
                key_flaw(end.unwrap_or(text))
            }
            Self::Key => key_flaw(text),
            Self::Name => name_flaw(text),
            Self::Certificates => None,
        }
    }
}

fn password_flaw(text: &str) -> Option<Flaw> {
    let what = if text.ends_with(['\n', '\r']) {
        "ends in a line break"
    } else if text.starts_with('\u{feff}') {
        "begins with a byte order mark"
    } else {
        return None;
    };
    Some((
        what.into(),
        "Remove it: it would be sent as a part of the password.",
    ))
}

/// What comes of copying too much: a few refused keys or tokens lock the account.
fn key_flaw(text: &str) -> Option<Flaw> {
    const HELP: &str =
        "Store it alone and on one line, without quotation marks or a name before it.";
    let found = text
        .char_indices()
        .zip(1..)
        .find_map(|((at, c), position)| {
            let is_padding = || text[at..].bytes().all(|byte| byte == b'=');
            let what = match c {
                '\u{feff}' => "a byte order mark",
                c if c.is_control() => "a control character",
                c if !c.is_ascii_graphic() => "a blank or a character outside ASCII",
                '"' | '\'' | '`' => "a quotation mark",
                ':' => "a colon, as after the name of a header,",
                '=' if !is_padding() => "an equals sign, as after the name of a variable,",
                '$' | '{' | '}' | '<' | '>' | '\\' | ',' | ';' => "a character of no token or key",
                _ => return None,
            };
            Some(format!("contains {what} at position {position}"))
        });
    let what = match found {
        None if text.is_empty() => "is empty".into(),
        found => found?.into(),
    };
    Some((what, HELP))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMethod {
    Token,
    AccessKey,
    Password,
}

impl LoginMethod {
    /// The order of the Terraform provider of Open Telekom Cloud.
    pub const ORDER: [Self; 3] = [Self::Token, Self::AccessKey, Self::Password];

    /// The method that an `auth_type` names, and whether it needs a second factor.
    pub fn of_type(auth_type: &str) -> Result<(Self, bool), Flaw> {
        match auth_type {
            "token" | "v3token" => Ok((Self::Token, false)),
            "aksk" | "v3aksk" => Ok((Self::AccessKey, false)),
            "password" | "v3password" => Ok((Self::Password, false)),
            "v3totp" | "v3multifactor" => Ok((Self::Password, true)),
            "v3applicationcredential" => Err((
                "is v3applicationcredential, and application credentials are not supported".into(),
                OTHER_LOGIN,
            )),
            _ => Err((
                "is not a kind of login that drspass knows, or supports".into(),
                "Write token, password, v3totp or aksk, or leave it out.",
            )),
        }
    }
}

pub const OTHER_LOGIN: &str = "Log in with a token, a user and a password, or an access key.";

/// Gives the first value of these names.
pub type Look<'a> =
    &'a dyn Fn(&'static [&'static str], PartKind) -> Result<Option<LoginPart>, LoginError>;

/// What one source gives.
pub struct LoginParts {
    names: &'static LoginNames,
    pub needs_passcode: bool,
    token: Option<LoginPart>,
    access: Option<LoginPart>,
    secret: Option<LoginPart>,
    security_token: Option<LoginPart>,
    user_id: Option<LoginPart>,
    user_name: Option<LoginPart>,
    password: Option<LoginPart>,
    passcode: Option<LoginPart>,
    user_domain: Option<(&'static str, Domain)>,
    project_domain: Option<(&'static str, Domain)>,
    pub project_id: Option<LoginPart>,
    pub project_name: Option<LoginPart>,
}

impl LoginParts {
    pub fn read(names: &'static LoginNames, look: Look<'_>) -> Result<Self, LoginError> {
        Ok(Self {
            names,
            needs_passcode: false,
            token: look(names.token, PartKind::Token)?,
            access: look(names.access, PartKind::Key)?,
            secret: look(names.secret, PartKind::Key)?,
            security_token: look(names.security_token, PartKind::Key)?,
            user_id: look(names.user_id, PartKind::Name)?,
            user_name: look(names.user_name, PartKind::Name)?,
            password: look(names.password, PartKind::Password)?,
            passcode: look(names.passcode, PartKind::Key)?,
            user_domain: domain(names.user_domain, look)?,
            project_domain: domain(names.project_domain, look)?,
            project_id: look(names.project_id, PartKind::Name)?,
            project_name: look(names.project_name, PartKind::Name)?,
        })
    }

    /// Adds password and passcode, and returns the names that gave them.
    pub fn fill(
        &mut self,
        names: &'static LoginNames,
        look: Look<'_>,
    ) -> Result<Vec<&'static str>, LoginError> {
        let mut filled = Vec::new();
        if self.user_id.is_none() && self.user_name.is_none() {
            return Ok(filled);
        }
        for (part, names, kind) in [
            (&mut self.password, names.password, PartKind::Password),
            (&mut self.passcode, names.passcode, PartKind::Key),
        ] {
            if part.is_none() {
                *part = look(names, kind)?;
                filled.extend(part.as_ref().map(|part| part.name));
            }
        }
        Ok(filled)
    }

    /// The names of the parts of a method. A domain alone is not one: many machines set it for
    /// other programs.
    pub fn given(&self, method: LoginMethod) -> Vec<&'static str> {
        let parts: &[&Option<LoginPart>] = match method {
            LoginMethod::Token => &[&self.token],
            LoginMethod::AccessKey => &[&self.access, &self.secret, &self.security_token],
            LoginMethod::Password => &[
                &self.user_id,
                &self.user_name,
                &self.password,
                &self.passcode,
            ],
        };
        parts
            .iter()
            .copied()
            .flatten()
            .map(|part| part.name)
            .collect()
    }

    pub fn user_domain_name(&self) -> Option<&'static str> {
        self.user_domain.as_ref().map(|(name, _)| *name)
    }

    pub fn project_domain(&self) -> Option<Domain> {
        self.project_domain
            .as_ref()
            .map(|(_, domain)| domain.clone())
    }

    /// What a method still needs, by the first name that would give it.
    pub fn missing(&self, method: LoginMethod) -> Vec<String> {
        let names = self.names;
        let mut missing = Vec::new();
        let mut need = |part: &Option<LoginPart>, names: &[&str]| {
            if part.is_none() {
                missing.extend(names.first().map(|name| (*name).to_owned()));
            }
        };
        match method {
            LoginMethod::Token => need(&self.token, names.token),
            LoginMethod::AccessKey => {
                need(&self.access, names.access);
                need(&self.secret, names.secret);
            }
            LoginMethod::Password => {
                // A one-time code is only taken with a user's id (OTC IAM api-ref,
                // Obtaining a User Token Through Password and Virtual MFA).
                if self.passcode.is_some() {
                    need(&self.user_id, names.user_id);
                } else if self.user_id.is_none() {
                    need(&self.user_name, names.user_name);
                }
                need(&self.password, names.password);
                if self.needs_passcode {
                    need(&self.passcode, names.passcode);
                }
                if self.user_id.is_none()
                    && self.passcode.is_none()
                    && self.user_domain.is_none()
                    && let Some([id, name]) = names.user_domain.first()
                {
                    missing.push(format!("{name} or {id}"));
                }
            }
        }
        missing
    }

    pub fn incomplete(&self, method: LoginMethod, place: &str) -> LoginError {
        LoginError::Incomplete {
            given: and(&self.given(method)),
            place: place.to_owned(),
            missing: and(&self.missing(method)),
        }
    }

    /// The names that make a complete login.
    pub fn called(&self, method: LoginMethod) -> String {
        let mut given = self.given(method);
        if let (LoginMethod::Password, Some(_), Some(name)) =
            (method, &self.user_id, &self.user_name)
        {
            given.retain(|given| *given != name.name);
        }
        and(&given)
    }

    /// `place` is where the parts come from, for messages.
    pub fn into_credentials(
        self,
        method: LoginMethod,
        place: &str,
        project: ProjectName,
    ) -> Result<Credentials, LoginError> {
        // Made beforehand, since the parts are taken apart below.
        let incomplete = self.incomplete(method, place);
        if !self.missing(method).is_empty() {
            return Err(incomplete);
        }
        let secret_of = |part: Option<LoginPart>| part.map(LoginPart::into_secret);
        let made = match method {
            LoginMethod::Token => secret_of(self.token).map(Credentials::Token),
            LoginMethod::AccessKey => {
                secret_of(self.access)
                    .zip(secret_of(self.secret))
                    .map(|(access, secret)| {
                        Credentials::AccessKey(AccessKey {
                            access,
                            secret,
                            security_token: secret_of(self.security_token),
                            project: match project {
                                ProjectName::Id(_) => None,
                                ProjectName::Named { .. } => Some(project),
                            },
                        })
                    })
            }
            LoginMethod::Password => user(self.user_id, self.user_name, self.user_domain)
                .zip(secret_of(self.password))
                .map(|(user, password)| {
                    Credentials::Password(PasswordLogin {
                        user,
                        password: Arc::new(password),
                        passcode: secret_of(self.passcode).map(Arc::new),
                        project,
                    })
                }),
        };
        made.ok_or(incomplete)
    }
}

fn user(
    id: Option<LoginPart>,
    name: Option<LoginPart>,
    domain: Option<(&'static str, Domain)>,
) -> Option<IamUser> {
    if let Some(id) = id {
        return Some(IamUser::Id(id.into_text()));
    }
    let (name, (_, domain)) = name.zip(domain)?;
    Some(IamUser::Named {
        name: name.into_text(),
        domain,
    })
}

pub fn domain(
    names: &'static [DomainNames],
    look: Look<'_>,
) -> Result<Option<(&'static str, Domain)>, LoginError> {
    for both in names.iter().copied() {
        if let Some(part) = look(both, PartKind::Name)? {
            let name = part.name;
            let make = if name.to_ascii_lowercase().ends_with("_name") {
                Domain::Name
            } else {
                Domain::Id
            };
            return Ok(Some((name, make(part.into_text()))));
        }
    }
    Ok(None)
}

/// Whether a name that was not found may be a secret.
pub fn may_be_secret(name: &str) -> bool {
    is_key_like(name) || is_too_long_for_a_path(name)
}

pub fn name_flaw(text: &str) -> Option<Flaw> {
    if text.trim().is_empty() {
        return Some(("is blank".into(), "Give a value, or leave it out."));
    }
    text.chars().any(char::is_control).then_some((
        "contains a control character, such as a line break".into(),
        "Write it on one line.",
    ))
}

pub fn and(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}
