//! What a manifest holds, with a tag in place of each value: what a diff shows.

use crate::core::fingerprint::tag::Tag;
use crate::core::fingerprint::{Field, KeyId};
use crate::core::redact::ForeignText;

/// A manifest without its values and comments. Whoever can encrypt to its readers may
/// have written it, so every text of its free parts was cleaned.
pub struct Outline {
    /// Counts the writes.
    pub revision: u64,
    /// The name of its key.
    pub key_id: KeyId,
    /// The service, the project and the identity service that it is sealed for.
    pub target: [ForeignText; 3],
    /// To whom it is encrypted, shortened.
    pub recipients: Vec<ForeignText>,
    /// Its credentials by name.
    pub credentials: Vec<(String, Tag)>,
    /// Its jobs, in its order.
    pub jobs: Vec<OutlinedJob>,
}

/// One job.
pub struct OutlinedJob {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// What its endpoints shall have.
    pub values: Vec<OutlinedValue>,
}

/// One value of one endpoint.
pub struct OutlinedValue {
    /// The entry's label.
    pub label: String,
    /// What stands there.
    pub value: Outlined,
}

/// How a value is shown.
pub enum Outlined {
    /// It stands in the entry itself.
    Own(Field, Tag),
    /// It is the password of this credential, whose tag is shown there.
    Shared(String),
}

/// Why nothing of a file is shown. It holds nothing of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Veiled {
    /// It cannot be read, is no regular file, or is too long.
    Unreadable,
    /// It is not encrypted.
    Plain,
    /// It holds the marks of an unresolved merge.
    Conflict,
    /// It is no whole age file that is encrypted to recipients.
    Damaged,
    /// No identity that is at hand without asking opens it.
    NoIdentity,
    /// An identity would have to be asked for or run: a passphrase or a plugin.
    Locked,
    /// It was opened, and is no valid sealed manifest.
    Invalid,
}
