//! Where the identities of a run come from, and reading them.

use std::io;
use std::path::{Path, PathBuf};
use std::slice;

use zeroize::Zeroizing;

use crate::age_file::{AskPassphrase, Identities, Plugins};
use crate::ops::OpError;
use crate::sys::files;

pub const MAX_IDENTITY_BYTES: u64 = 1 << 20;

/// The sources of identities. Only the first one given is opened.
pub enum IdentitySource {
    Files(Vec<PathBuf>),
    Text(Zeroizing<String>),
    /// A variable that is set and empty.
    Empty(&'static str),
    /// The default file, if it exists.
    Default(Option<PathBuf>),
}

pub struct Unlock<'a> {
    pub source: &'a IdentitySource,
    pub ask: AskPassphrase<'a>,
    pub plugins: Plugins<'a>,
}

/// Opens the source of identities; paths are relative to `folder`.
pub fn opened(folder: &Path, source: &IdentitySource) -> Result<Identities, OpError> {
    let mut identities = Identities::default();
    for path in given(source, &mut identities)? {
        add(folder, path, files::read_limited, &mut identities)?;
    }
    Ok(identities)
}

/// Returns the identities that need no prompt: it opens regular files only, so it never waits
/// for a pipe or device.
pub fn usable(folder: &Path, source: &IdentitySource) -> Identities {
    let mut identities = Identities::default();
    for path in given(source, &mut identities).unwrap_or_default() {
        // Where one of them goes wrong, the others are still of use.
        let _ = add(folder, path, files::read_regular_limited, &mut identities);
    }
    identities
}

fn add(
    folder: &Path,
    path: &Path,
    read: fn(&Path, u64) -> io::Result<Vec<u8>>,
    identities: &mut Identities,
) -> Result<(), OpError> {
    let text = read(&folder.join(path), MAX_IDENTITY_BYTES).map_err(OpError::read(path))?;
    let added = identities.add(&Zeroizing::new(text), &path.display().to_string());
    added.map_err(OpError::Identity)
}

/// Returns the files of a source, or why there are none; adds a key given directly.
fn given<'a>(
    source: &'a IdentitySource,
    identities: &mut Identities,
) -> Result<&'a [PathBuf], OpError> {
    match source {
        IdentitySource::Files(paths) => Ok(paths),
        IdentitySource::Text(text) => {
            let added = identities.add(text.as_bytes(), "DRSPASS_IDENTITY_KEY");
            added.map(|()| &[][..]).map_err(OpError::Identity)
        }
        IdentitySource::Empty(name) => Err(OpError::empty(name)),
        IdentitySource::Default(Some(path)) if path.exists() => Ok(slice::from_ref(path)),
        IdentitySource::Default(path) => Err(OpError::NoIdentity {
            default: path.as_ref().map_or_else(
                || "the default place, which needs HOME".to_owned(),
                |path| path.display().to_string(),
            ),
        }),
    }
}
