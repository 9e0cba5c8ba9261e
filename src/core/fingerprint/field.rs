//! The fields of an entry, each with a fingerprint of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A field of an entry that has a fingerprint of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Field {
    /// The database password.
    #[serde(rename = "password")]
    Password,
    /// The kerberos configuration file.
    #[serde(rename = "kerberos.krb5_conf_file")]
    Krb5ConfFile,
    /// The keytab.
    #[serde(rename = "kerberos.key_tab_file")]
    KeyTabFile,
    /// The kerberos domain.
    #[serde(rename = "kerberos.domain_name")]
    DomainName,
    /// The kerberos user.
    #[serde(rename = "kerberos.user_principal")]
    UserPrincipal,
}

impl Field {
    /// The kerberos fields, in the order in which they are sent.
    pub const KERBEROS: [Self; 4] = [
        Self::Krb5ConfFile,
        Self::KeyTabFile,
        Self::DomainName,
        Self::UserPrincipal,
    ];

    /// The name in fingerprints, state and plans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Krb5ConfFile => "kerberos.krb5_conf_file",
            Self::KeyTabFile => "kerberos.key_tab_file",
            Self::DomainName => "kerberos.domain_name",
            Self::UserPrincipal => "kerberos.user_principal",
        }
    }

    /// Whether its value is the content of a file, which nobody can type.
    pub const fn is_file(self) -> bool {
        matches!(self, Self::Krb5ConfFile | Self::KeyTabFile)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
