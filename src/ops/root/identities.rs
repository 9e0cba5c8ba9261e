//! Where the identities of a run come from, and reading them.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::age_file::{AskPassphrase, Identities, Plugins};
use crate::files;
use crate::ops::OpError;

/// An identity file holds a few keys.
pub(in crate::ops) const MAX_IDENTITY_BYTES: u64 = 1 << 20;

/// Where identities come from. The first source that is given is the only one
/// that is opened.
pub enum IdentitySource {
    /// Files named by the user.
    Files(Vec<PathBuf>),
    /// The text of a key itself, from the environment.
    Text(Zeroizing<String>),
    /// The file that is looked at when nothing is named, if there is one.
    Default(Option<PathBuf>),
}

/// How to open a manifest.
pub struct Unlock<'a> {
    /// The identities.
    pub source: &'a IdentitySource,
    /// How to ask for the passphrase of one.
    pub ask: AskPassphrase<'a>,
    /// Whether and how plugins are started, to open it and to seal it again.
    pub plugins: Plugins<'a>,
}

/// Opens the source of identities; its files are seen from `folder`.
/// Fails if there is none, or one of them holds no identity that can be used.
pub(super) fn opened(folder: &Path, source: &IdentitySource) -> Result<Identities, OpError> {
    let mut identities = Identities::default();
    let mut add_file = |path: &Path| -> Result<(), OpError> {
        let text =
            files::read_limited(&folder.join(path), MAX_IDENTITY_BYTES).map_err(|source| {
                OpError::Read {
                    path: path.to_owned(),
                    source,
                }
            })?;
        identities
            .add(&Zeroizing::new(text), &path.display().to_string())
            .map_err(OpError::Identity)
    };
    match source {
        IdentitySource::Files(paths) => paths.iter().try_for_each(|path| add_file(path))?,
        IdentitySource::Text(text) => identities
            .add(text.as_bytes(), "DRSPASS_IDENTITY_KEY")
            .map_err(OpError::Identity)?,
        IdentitySource::Default(Some(path)) if path.exists() => add_file(path)?,
        IdentitySource::Default(path) => {
            return Err(OpError::NoIdentity {
                default: path.as_ref().map_or_else(
                    || "the default place, which needs HOME".to_owned(),
                    |path| path.display().to_string(),
                ),
            });
        }
    }
    Ok(identities)
}
