//! The index next to the manifest: written after it, and compared with it before anything is
//! sent.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::manifest::digest_of;
use super::{Opened, Root};
use crate::core::config::index_path;
use crate::core::index::{self, IndexHead, first_difference};
use crate::core::manifest::{Manifest, Sealed};
use crate::core::problem::Problem;
use crate::core::state::ManifestDigest;
use crate::ops::OpError;
use crate::ops::error::{ErrorClass, Failure};
use crate::sys::{files, testpoint};

/// How long to wait for another process that writes the manifest.
const TURN_TRIES: u32 = 100;
const TURN_PAUSE: Duration = Duration::from_millis(50);

impl Root {
    pub fn index_name(&self) -> PathBuf {
        index_path(self.manifest_name())
    }

    /// Returns the files that a new manifest was written to, and its revision.
    pub fn written(&self, sealed: &Sealed) -> String {
        let name = self.manifest_name().display();
        let revision = sealed.revision;
        match sealed.index {
            true => format!(
                "{name} and {}, revision {revision}",
                self.index_name().display()
            ),
            false => format!("{name}, revision {revision}"),
        }
    }

    /// Writes the index of a manifest that was just written, whose file is `file`, unless the
    /// manifest is sealed without one.
    pub fn renew_index(
        &self,
        manifest: &Manifest,
        sealed: &Sealed,
        file: &[u8],
    ) -> Result<(), OpError> {
        if !sealed.index {
            return Ok(());
        }
        let digest = digest_of(file);
        let text = index::render(manifest, sealed, &digest);
        // The process that replaced this manifest writes the index of the new one.
        self.put_index(&digest, &text).map(drop).map_err(|source| {
            Failure::new(
                "drspass::index::unwritten",
                format!(
                    "{} is written, but its index {} could not be",
                    self.manifest_name().display(),
                    self.index_name().display()
                ),
                "The manifest has the change. Fix the cause, then run 'drspass index --write' before you commit.",
            )
            .because(source)
            .into()
        })
    }

    /// Writes the index of the manifest that was opened.
    pub fn write_index(&self, opened: &Opened) -> Result<(), OpError> {
        if !opened.sealed.index {
            let help = "Nothing was written. A new root directory gets an index unless 'drspass init' is run with --no-index.";
            return Err(OpError::unfit(
                "the manifest is sealed without an index",
                help,
            ));
        }
        let text = index::render(&opened.manifest, &opened.sealed, &opened.digest);
        let put = self.put_index(&opened.digest, &text);
        if put.map_err(OpError::write(self.index_name()))? {
            return Ok(());
        }
        Err(OpError::unfit(
            "another process changed the manifest while this command was running",
            "Nothing was written. Run the command again.",
        ))
    }

    /// Returns whether the manifest is still the one with this digest, so that it was written.
    fn put_index(&self, digest: &ManifestDigest, text: &str) -> io::Result<bool> {
        testpoint::reach("index.before_replace");
        testpoint::may_fail("index")?;
        let manifest = self.manifest_path();
        let mut tries = 0;
        let _turn = loop {
            let is_busy = |error: &io::Error| {
                let kinds = [io::ErrorKind::ResourceBusy, io::ErrorKind::WouldBlock];
                kinds.contains(&error.kind())
            };
            match files::take_turn(&manifest) {
                Err(error) if is_busy(&error) && tries < TURN_TRIES => {
                    tries += 1;
                    thread::sleep(TURN_PAUSE);
                }
                turn => break turn?,
            }
        };
        let there = self.manifest_bytes().map_err(io::Error::other)?;
        let is_same = digest_of(&there) == *digest;
        if is_same {
            files::replace_own(&self.resolve(&self.index_name()), text.as_bytes())?;
        }
        Ok(is_same)
    }

    /// Refuses an index that is not exactly that of the manifest. `class` decides the exit code.
    pub fn check_index(&self, opened: &Opened, class: ErrorClass) -> Result<(), OpError> {
        let path = self.resolve(&self.index_name());
        let text = match opened.sealed.index {
            true => index::render(&opened.manifest, &opened.sealed, &opened.digest),
            false if path.symlink_metadata().is_err() => return Ok(()),
            false => String::new(),
        };
        let read = files::read_unlinked_limited(&path, text.len() as u64);
        let why = match read {
            _ if !opened.sealed.index => Some("the manifest is sealed without one".to_owned()),
            Ok(found) => {
                first_difference(text.as_bytes(), &found).map(|line| format!("line {line} differs"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some("it is missing".to_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Some("it is too long".to_owned())
            }
            Err(error) => Some(format!("it is unreadable: {error}")),
        };
        let Some(why) = why else {
            return Ok(());
        };
        Err(Failure::new(
            "drspass::index::mismatch",
            format!(
                "the index that was reviewed does not belong to this manifest: {}: {why}",
                self.index_name().display()
            ),
            "Nothing was sent. Check who changed manifest and index. If the manifest is right, run 'drspass index --write', and have the change of the index reviewed and committed.",
        )
        .class(class)
        .into())
    }

    /// Returns a warning if the index names another manifest. Reads its first lines only.
    pub fn warn_of_index(&self, sealed: &Sealed, digest: &ManifestDigest) -> Option<Problem> {
        if !sealed.index {
            return None;
        }
        let start = IndexHead::of(sealed, digest).start();
        let opened = files::open_unlinked(&self.resolve(&self.index_name()));
        let found = opened.and_then(|file| {
            let mut found = Vec::with_capacity(start.len());
            file.take(start.len() as u64).read_to_end(&mut found)?;
            Ok(found)
        });
        let what = match found {
            Ok(found) if found == start.as_bytes() => return None,
            Ok(_) => "belongs to another version of the manifest",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "is missing",
            Err(_) => "is unreadable",
        };
        let what = format!("its index {} {what}", self.index_name().display());
        let help = "Run 'drspass index --write', and commit both files together.";
        Some(Problem::warning("", None, what, help))
    }
}
