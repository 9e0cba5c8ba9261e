//! Where the identities of a run come from, and reading them.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::age_file::{AskPassphrase, Identities, Plugins};
use crate::ops::OpError;
use crate::sys::files;

pub const MAX_IDENTITY_BYTES: u64 = 1 << 20;

/// Where identities come from. The first source that is given is the only one
/// that is opened.
pub enum IdentitySource {
    Files(Vec<PathBuf>),
    /// The text of a key itself, from the environment.
    Text(Zeroizing<String>),
    /// A variable that is set and empty.
    Empty(&'static str),
    /// The file that is looked at when nothing is named, if there is one.
    Default(Option<PathBuf>),
}

pub struct Unlock<'a> {
    pub source: &'a IdentitySource,
    pub ask: AskPassphrase<'a>,
    /// Whether and how plugins are started, to open it and to seal it again.
    pub plugins: Plugins<'a>,
}

/// Opens the source of identities; its files are seen from `folder`.
pub fn opened(folder: &Path, source: &IdentitySource) -> Result<Identities, OpError> {
    let mut identities = Identities::default();
    walk(folder, source, files::read_limited, &mut identities).collect::<Result<(), _>>()?;
    Ok(identities)
}

/// What can be used of a source at once: nothing but regular files is opened, so that no
/// pipe or device is waited for.
pub fn usable(folder: &Path, source: &IdentitySource) -> Identities {
    let mut identities = Identities::default();
    let each = walk(folder, source, files::read_regular_limited, &mut identities);
    // Where one of them goes wrong, the others are still of use.
    each.for_each(|_| ());
    identities
}

/// Adds one after the other what a source holds, and tells of each whether that went well.
fn walk(
    folder: &Path,
    source: &IdentitySource,
    read: fn(&Path, u64) -> io::Result<Vec<u8>>,
    identities: &mut Identities,
) -> impl Iterator<Item = Result<(), OpError>> {
    given(source).into_iter().map(move |given| match given? {
        GivenIdentity::File(path) => {
            let text = read(&folder.join(path), MAX_IDENTITY_BYTES).map_err(OpError::read(path))?;
            identities
                .add(&Zeroizing::new(text), &path.display().to_string())
                .map_err(OpError::Identity)
        }
        GivenIdentity::Text(text) => identities
            .add(text.as_bytes(), "DRSPASS_IDENTITY_KEY")
            .map_err(OpError::Identity),
    })
}

enum GivenIdentity<'a> {
    File(&'a Path),
    Text(&'a str),
}

/// The places that a source names, or why it names none.
fn given(source: &IdentitySource) -> Vec<Result<GivenIdentity<'_>, OpError>> {
    match source {
        IdentitySource::Files(paths) => paths
            .iter()
            .map(|path| Ok(GivenIdentity::File(path)))
            .collect(),
        IdentitySource::Text(text) => vec![Ok(GivenIdentity::Text(text))],
        IdentitySource::Empty(name) => vec![Err(OpError::unfit(
            format!("{name} is empty"),
            "Nothing was sent. Give it a value, or unset it.",
        ))],
        IdentitySource::Default(Some(path)) if path.exists() => vec![Ok(GivenIdentity::File(path))],
        IdentitySource::Default(path) => vec![Err(OpError::NoIdentity {
            default: path.as_ref().map_or_else(
                || "the default place, which needs HOME".to_owned(),
                |path| path.display().to_string(),
            ),
        })],
    }
}
