//! The fields of a login: their names in each source, the methods they belong to, and which
//! are missing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::api::auth::{AccessKey, Credentials, Domain, IamName, PasswordLogin};
use crate::core::redact::{is_key_like, is_too_long_for_a_path};
use crate::core::secret::Secret;
use crate::ops::error::Failure;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoginField {
    Token,
    AccessKey,
    SecretKey,
    SecurityToken,
    UserId,
    UserName,
    Password,
    Passcode,
    UserDomain,
    ProjectDomain,
    ProjectId,
    ProjectName,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LoginSource {
    /// `OS_` variables.
    Os,
    /// `HW_` variables; each falls back to an `OS_` variable.
    Hw,
    Clouds,
}

/// The names of each field (rows in the order of [`LoginField`]) in each source (separated
/// by `/`, in the order of [`LoginSource`]), first choice first. `|` ends a group, which is
/// searched everywhere in the source before the next one. A domain is given by name if the
/// name of the field ends in `_name`, else by id.
///
/// The names are those of the Terraform providers for Open Telekom Cloud and Huawei Cloud,
/// of the OpenStack SDK and gophercloud, and of clouds.yaml extensions for access keys. A
/// security token has no fallback, since it belongs to one access key.
const NAMES: [&str; 12] = [
    "OS_TOKEN OS_AUTH_TOKEN OS_TOKEN_ID / HW_AUTH_TOKEN OS_AUTH_TOKEN / token auth_token",
    "OS_ACCESS_KEY OS_ACCESS_KEY_ID OS_AK / HW_ACCESS_KEY OS_ACCESS_KEY / access_key ak",
    "OS_SECRET_KEY OS_ACCESS_KEY_SECRET OS_SK / HW_SECRET_KEY OS_SECRET_KEY / secret_key sk",
    "OS_SECURITY_TOKEN OS_AKSK_SECURITY_TOKEN OS_ST / HW_SECURITY_TOKEN / security_token",
    "OS_USER_ID OS_USERID / HW_USER_ID OS_USER_ID / user_id",
    "OS_USERNAME / HW_USER_NAME OS_USERNAME / username user_name",
    "OS_PASSWORD / HW_USER_PASSWORD OS_PASSWORD / password",
    "OS_PASSCODE / OS_PASSCODE / passcode",
    "OS_USER_DOMAIN_ID OS_USER_DOMAIN_NAME|OS_PROJECT_DOMAIN_ID OS_PROJECT_DOMAIN_NAME|\
     OS_DOMAIN_ID OS_DOMAIN_NAME|OS_DEFAULT_DOMAIN_ID OS_DEFAULT_DOMAIN OS_DEFAULT_DOMAIN_NAME / \
     HW_DOMAIN_ID HW_DOMAIN_NAME|OS_DOMAIN_ID OS_DOMAIN_NAME|\
     OS_USER_DOMAIN_ID OS_USER_DOMAIN_NAME|OS_PROJECT_DOMAIN_ID OS_PROJECT_DOMAIN_NAME / \
     user_domain_id user_domain_name|project_domain_id project_domain_name|\
     domain_id domain_name|default_domain_id default_domain default_domain_name",
    "OS_PROJECT_DOMAIN_ID OS_PROJECT_DOMAIN_NAME|OS_USER_DOMAIN_ID OS_USER_DOMAIN_NAME|\
     OS_DOMAIN_ID OS_DOMAIN_NAME|OS_DEFAULT_DOMAIN_ID OS_DEFAULT_DOMAIN OS_DEFAULT_DOMAIN_NAME / \
     HW_DOMAIN_ID HW_DOMAIN_NAME|OS_PROJECT_DOMAIN_ID OS_PROJECT_DOMAIN_NAME|\
     OS_DOMAIN_ID OS_DOMAIN_NAME|OS_USER_DOMAIN_ID OS_USER_DOMAIN_NAME / \
     project_domain_id project_domain_name|user_domain_id user_domain_name|\
     domain_id domain_name|default_domain_id default_domain default_domain_name",
    "OS_PROJECT_ID OS_TENANT_ID / HW_PROJECT_ID OS_PROJECT_ID / project_id tenant_id",
    "OS_PROJECT_NAME OS_TENANT_NAME / HW_PROJECT_NAME OS_PROJECT_NAME / project_name tenant_name",
];

fn groups(row: &'static str, source: LoginSource) -> impl Iterator<Item = &'static str> {
    let names = row.split(" / ").nth(source as usize);
    names.unwrap_or_default().split('|')
}

impl LoginField {
    const ALL: [Self; 12] = [
        Self::Token,
        Self::AccessKey,
        Self::SecretKey,
        Self::SecurityToken,
        Self::UserId,
        Self::UserName,
        Self::Password,
        Self::Passcode,
        Self::UserDomain,
        Self::ProjectDomain,
        Self::ProjectId,
        Self::ProjectName,
    ];

    const fn kind(self) -> FieldKind {
        match self {
            Self::Token => FieldKind::Token,
            Self::AccessKey | Self::SecretKey | Self::SecurityToken | Self::Passcode => {
                FieldKind::Key
            }
            Self::Password => FieldKind::Password,
            _ => FieldKind::Name,
        }
    }

    fn groups(self, source: LoginSource) -> impl Iterator<Item = &'static str> {
        groups(NAMES[self as usize], source)
    }

    pub fn read(self, source: LoginSource, look: Look<'_>) -> Result<Option<LoginPart>, Failure> {
        for names in self.groups(source) {
            if let Some(part) = look(names, self.kind())? {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }
}

pub fn names(source: LoginSource) -> impl Iterator<Item = &'static str> {
    let groups = NAMES.iter().flat_map(move |row| groups(row, source));
    groups.flat_map(|names| names.split(' '))
}

/// Returns the keys whose values other users must not read.
pub fn secret_keys() -> Vec<&'static str> {
    let fields = [
        LoginField::Token,
        LoginField::SecretKey,
        LoginField::SecurityToken,
        LoginField::Password,
        LoginField::Passcode,
    ];
    let groups = fields
        .iter()
        .flat_map(|field| field.groups(LoginSource::Clouds));
    groups.flat_map(|names| names.split(' ')).collect()
}

/// What is invalid about a value, without the value, and how to fix it.
pub type Flaw = (Cow<'static, str>, &'static str);

#[derive(Clone, Copy)]
pub enum FieldKind {
    Password,
    /// May end in a line break.
    Token,
    /// Part of an access key, or a one-time code.
    Key,
    Name,
    Certificates,
}

impl FieldKind {
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
    const HELP: &str = "Remove it: it would be sent as part of the password.";
    if text.ends_with(['\n', '\r']) {
        return Some(("ends with a line break".into(), HELP));
    }
    let has_mark = text.starts_with('\u{feff}');
    has_mark.then_some(("starts with a byte order mark".into(), HELP))
}

/// Finds traces of copying too much: a few refused keys or tokens lock the account.
fn key_flaw(text: &str) -> Option<Flaw> {
    const HELP: &str =
        "Store only the value, on one line, without quotation marks or a name before it.";
    let found = text
        .char_indices()
        .zip(1..)
        .find_map(|((at, c), position)| {
            let is_padding = || text[at..].bytes().all(|byte| byte == b'=');
            let what = match c {
                '\u{feff}' => "a byte order mark",
                c if c.is_control() => "a control character",
                c if !c.is_ascii_graphic() => "a space or a non-ASCII character",
                '"' | '\'' | '`' => "a quotation mark",
                ':' => "a colon, as after a header name,",
                '=' if !is_padding() => "an equals sign, as after a variable name,",
                '$' | '{' | '}' | '<' | '>' | '\\' | ',' | ';' => {
                    "a character that tokens and keys never contain"
                }
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

pub fn name_flaw(text: &str) -> Option<Flaw> {
    if text.trim().is_empty() {
        return Some(("is blank".into(), "Set a value, or remove it."));
    }
    text.chars().any(char::is_control).then_some((
        "contains a control character, such as a line break".into(),
        "Write it on one line.",
    ))
}

/// Returns whether an unknown name may be a secret.
pub fn may_be_secret(name: &str) -> bool {
    is_key_like(name) || is_too_long_for_a_path(name)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LoginMethod {
    Token,
    AccessKey,
    Password,
}

pub const OTHER_LOGIN: &str = "Log in with a token, a user and a password, or an access key.";

impl LoginMethod {
    /// The order of the Terraform provider of Open Telekom Cloud.
    pub const ORDER: [Self; 3] = [Self::Token, Self::AccessKey, Self::Password];

    /// Returns the method of an `auth_type`, and whether it needs a second factor.
    pub fn of_type(auth_type: &str) -> Result<(Self, bool), Flaw> {
        match auth_type {
            "token" | "v3token" => Ok((Self::Token, false)),
            "aksk" | "v3aksk" => Ok((Self::AccessKey, false)),
            "password" | "v3password" => Ok((Self::Password, false)),
            "v3totp" | "v3multifactor" => Ok((Self::Password, true)),
            "v3applicationcredential" => Err((
                "is v3applicationcredential, which is not supported".into(),
                OTHER_LOGIN,
            )),
            _ => Err((
                "is not a supported kind of login".into(),
                "Set it to token, password, v3totp or aksk, or remove it.",
            )),
        }
    }

    /// Returns the fields of this method alone. A domain is not one: many machines set it for
    /// other programs.
    fn fields(self) -> &'static [LoginField] {
        match self {
            Self::Token => &LoginField::ALL[..1],
            Self::AccessKey => &LoginField::ALL[1..4],
            Self::Password => &LoginField::ALL[4..8],
        }
    }
}

/// A value and its name. Without `Debug`, since it may be a secret.
pub struct LoginPart {
    pub name: &'static str,
    text: Zeroizing<String>,
}

impl LoginPart {
    pub fn new(name: &'static str, text: &str) -> Self {
        Self {
            name,
            text: Zeroizing::new(text.to_owned()),
        }
    }

    pub fn into_text(mut self) -> String {
        std::mem::take(&mut *self.text)
    }

    pub fn into_domain(self) -> Domain {
        if self.name.to_ascii_lowercase().ends_with("_name") {
            Domain::Name(self.into_text())
        } else {
            Domain::Id(self.into_text())
        }
    }
}

/// Returns the first value of these names, which are separated by spaces.
pub type Look<'a> = &'a dyn Fn(&'static str, FieldKind) -> Result<Option<LoginPart>, Failure>;

pub struct LoginParts {
    source: LoginSource,
    pub needs_passcode: bool,
    parts: BTreeMap<LoginField, LoginPart>,
}

impl LoginParts {
    pub fn read(source: LoginSource, look: Look<'_>) -> Result<Self, Failure> {
        let mut read = Self {
            source,
            needs_passcode: false,
            parts: BTreeMap::new(),
        };
        read.add(&LoginField::ALL, source, look)?;
        Ok(read)
    }

    /// Adds password and passcode for a user, and returns their names.
    pub fn fill(
        &mut self,
        source: LoginSource,
        look: Look<'_>,
    ) -> Result<Vec<&'static str>, Failure> {
        if !self.has(LoginField::UserId) && !self.has(LoginField::UserName) {
            return Ok(Vec::new());
        }
        self.add(&[LoginField::Password, LoginField::Passcode], source, look)
    }

    fn add(
        &mut self,
        fields: &[LoginField],
        source: LoginSource,
        look: Look<'_>,
    ) -> Result<Vec<&'static str>, Failure> {
        let mut added = Vec::new();
        for field in fields {
            if !self.has(*field)
                && let Some(part) = field.read(source, look)?
            {
                added.push(part.name);
                self.parts.insert(*field, part);
            }
        }
        Ok(added)
    }

    fn has(&self, field: LoginField) -> bool {
        self.parts.contains_key(&field)
    }

    pub fn name(&self, field: LoginField) -> Option<&'static str> {
        self.parts.get(&field).map(|part| part.name)
    }

    pub fn take(&mut self, field: LoginField) -> Option<LoginPart> {
        self.parts.remove(&field)
    }

    /// Returns the names of the fields that only this method has.
    pub fn given(&self, method: LoginMethod) -> Vec<&'static str> {
        let fields = method.fields().iter();
        fields.filter_map(|field| self.name(*field)).collect()
    }

    /// Returns the first name of each field that a method still needs.
    pub fn missing(&self, method: LoginMethod) -> Vec<String> {
        use LoginField::{
            AccessKey, Passcode, Password, SecretKey, Token, UserDomain, UserId, UserName,
        };
        // A one-time code is only taken with a user's id (OTC IAM api-ref, Obtaining a
        // User Token Through Password and Virtual MFA).
        let by_id = self.has(UserId) || self.has(Passcode);
        let needed: &[LoginField] = match (method, by_id, self.needs_passcode) {
            (LoginMethod::Token, ..) => &[Token],
            (LoginMethod::AccessKey, ..) => &[AccessKey, SecretKey],
            (LoginMethod::Password, true, false) => &[UserId, Password],
            (LoginMethod::Password, true, true) => &[UserId, Password, Passcode],
            (LoginMethod::Password, false, false) => &[UserName, Password, UserDomain],
            (LoginMethod::Password, false, true) => &[UserName, Password, Passcode, UserDomain],
        };
        let missing = needed.iter().filter(|field| !self.has(**field));
        let called = missing.filter_map(|field| {
            let names = field.groups(self.source).next()?;
            Some(match names.split_once(' ') {
                Some((id, name)) if *field == UserDomain => format!("{name} or {id}"),
                Some((name, _)) => name.to_owned(),
                None => names.to_owned(),
            })
        });
        called.collect()
    }

    /// Returns the error about missing fields. `named` choose the method; `place` is where
    /// the fields come from.
    pub fn incomplete(&self, method: LoginMethod, named: &[&str], place: &str) -> Failure {
        let given = and(&[named, &self.given(method)].concat());
        let missing = and(&self.missing(method));
        Failure::new(
            "drspass::login::incomplete",
            format!("the login is incomplete: {given} in {place}, but not {missing}"),
            "Nothing was sent. No other login is tried in place of an incomplete one: add the missing part, or remove the others.",
        )
    }

    pub fn called(&self, method: LoginMethod) -> String {
        let mut given = self.given(method);
        if method == LoginMethod::Password && self.has(LoginField::UserId) {
            given.retain(|given| self.name(LoginField::UserName) != Some(given));
        }
        and(&given)
    }

    pub fn into_credentials(
        mut self,
        method: LoginMethod,
        place: &str,
        project: IamName,
    ) -> Result<Credentials, Failure> {
        // Created first, since the parts are moved below.
        let incomplete = self.incomplete(method, &[], place);
        let is_complete = self.missing(method).is_empty();
        let made = self.credentials(method, project);
        made.filter(|_| is_complete).ok_or(incomplete)
    }

    fn credentials(&mut self, method: LoginMethod, project: IamName) -> Option<Credentials> {
        let user = self.user();
        // Moved, not copied: the secret wipes the same buffer.
        let mut secret = |field| self.take(field).map(|part| Secret::new(part.into_text()));
        Some(match method {
            LoginMethod::Token => Credentials::Token(secret(LoginField::Token)?),
            LoginMethod::AccessKey => Credentials::AccessKey(AccessKey {
                access: secret(LoginField::AccessKey)?,
                secret: secret(LoginField::SecretKey)?,
                security_token: secret(LoginField::SecurityToken),
                project: Some(project).filter(|name| matches!(name, IamName::Named(..))),
            }),
            LoginMethod::Password => Credentials::Password(PasswordLogin {
                user: user?,
                password: Arc::new(secret(LoginField::Password)?),
                passcode: secret(LoginField::Passcode).map(Arc::new),
                project,
            }),
        })
    }

    fn user(&mut self) -> Option<IamName> {
        if let Some(id) = self.take(LoginField::UserId) {
            return Some(IamName::Id(id.into_text()));
        }
        let name = self.take(LoginField::UserName)?.into_text();
        let domain = self.take(LoginField::UserDomain)?.into_domain();
        Some(IamName::Named(name, Some(domain)))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_row_in_the_table() {
        for (at, (field, row)) in LoginField::ALL.iter().zip(NAMES).enumerate() {
            assert_eq!(*field as usize, at);
            assert_eq!(row.split(" / ").count(), 3, "{row}");
        }
    }
}
