//! What a user gives to log in with, as plain data.
//!
//! It refuses to say where it came from, and to hold a secret in anything but a
//! [`Secret`].

use crate::core::secret::Secret;

/// What the user gave to log in with.
#[derive(Debug)]
pub enum Credentials {
    /// A token that was fetched elsewhere. It cannot be renewed.
    Token(Secret),
    /// A user of the identity service and a password.
    Password(PasswordLogin),
    /// An access key, which signs each request.
    AccessKey(AccessKey),
}

impl Credentials {
    /// The project that an access key was given for, where it was: whether its name
    /// belongs to the sealed id is to be asked.
    pub(in crate::api) fn project_name(&self) -> Option<ProjectName> {
        match self {
            Self::AccessKey(key) => key.project.clone(),
            Self::Token(_) | Self::Password(_) => None,
        }
    }
}

/// A login with a password (OTC IAM api-ref, Obtaining a User Token).
#[derive(Debug)]
pub struct PasswordLogin {
    /// Who logs in.
    pub user: IamUser,
    /// The user's password.
    pub password: Secret,
    /// The one-time code of a second factor; it needs a user that is named by id.
    pub passcode: Option<Secret>,
    /// The project that the token is asked for.
    pub project: ProjectName,
}

/// A user of the identity service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IamUser {
    /// By id, which is unique by itself.
    Id(String),
    /// By name, which is unique in a domain.
    Named {
        /// The name.
        name: String,
        /// The domain (account) of the user.
        domain: Domain,
    },
}

/// A domain, which the clouds call account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// The project that a login is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectName {
    /// By id.
    Id(String),
    /// By name. Which id it has is only known after the login.
    Named {
        /// The name.
        name: String,
        /// The domain of the project, which may be another than the user's.
        domain: Option<Domain>,
    },
}

/// An access key (OTC and Huawei Cloud call it AK/SK).
#[derive(Debug)]
pub struct AccessKey {
    /// The key's id. It is no secret by itself, and shown nowhere all the same.
    pub access: Secret,
    /// What requests are signed with.
    pub secret: Secret,
    /// What goes with a temporary key.
    pub security_token: Option<Secret>,
    /// The name of the project, where only that was given: its id must turn out
    /// to be the sealed one.
    pub project: Option<ProjectName>,
}
