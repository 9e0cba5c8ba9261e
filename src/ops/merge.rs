//! `merge`: joins the two sides of the manifest that git could not merge, which it keeps in its own
//! index, and writes the result in their place. Nothing is written before the user agreed.

use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::OpError;
use super::error::{ErrorClass, Failure};
use super::git::Git;
use super::rewrite::{self, next_revision};
use super::root::{CONFIG_FILE, Root, Unlock, UserRules, parse_sealed};
use crate::age_file::Passphrases;
use crate::authoring;
use crate::core::manifest::{Manifest, Sealed};
use crate::core::merge::{MergeLine, Merged, Verdict, Version, Versions};
use crate::core::place::Place;
use crate::core::problem::Problem;
use crate::store::branch::PlaceAccess;
use crate::sys::children::ChildEnv;
use crate::sys::files;

pub struct MergeOptions<'a> {
    /// The addresses of each flag.
    pub named: [&'a [String]; 2],
    pub now: fn() -> Timestamp,
}

/// What people decide about.
pub struct MergeReport {
    pub names: [String; 2],
    /// With the time of each.
    pub revisions: [(u64, Timestamp); 2],
    /// The revision of the common version, `None` if there is none that can be trusted and opened.
    pub base: Option<u64>,
    /// Why nothing of a side is taken unnamed.
    pub doubts: [Option<&'static str>; 2],
    /// Whether all of HEAD's history was searched for former passwords.
    pub has_history: bool,
    pub lines: Vec<MergeLine>,
}

impl MergeReport {
    pub fn conflicts(&self) -> usize {
        let is_one = |line: &&MergeLine| matches!(line.verdict, Verdict::Conflict { .. });
        self.lines.iter().filter(is_one).count()
    }
}

pub enum MergeEnd {
    /// Nothing was written.
    Conflicts(MergeReport),
    /// An address of each flag names the same.
    Contradiction,
    Written {
        /// The files, and the revision.
        written: String,
        has_index: bool,
    },
}

pub type ApproveMerge<'a> = &'a mut dyn FnMut(&MergeReport, &[Problem]) -> Result<(), OpError>;

/// One version of the manifest.
struct OpenedVersion {
    plain: Zeroizing<Vec<u8>>,
    manifest: Manifest,
    sealed: Sealed,
    warnings: Vec<Problem>,
}

impl OpenedVersion {
    fn version(&self) -> Version<'_> {
        Version {
            manifest: &self.manifest,
            sealed: &self.sealed,
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.plain).expect("the text of a manifest that was read")
    }
}

/// Returns the root directory as HEAD has it, since drspass.yaml may have marks, and its git.
pub fn locate(
    folder: &Path,
    state: Option<&Place>,
    access: &PlaceAccess,
    children: &ChildEnv,
) -> Result<(Root, Git), OpError> {
    let git = Git::at(folder.to_owned(), children)?.ok_or_else(|| {
        let help = "Run it in the work tree in which git stopped.";
        OpError::unfit("this directory is not in a git work tree", help)
    })?;
    // A side may have moved the directory.
    let root = match git.file_of("HEAD", Path::new(CONFIG_FILE)) {
        Ok(Some(bytes)) => Root::configured(folder, &bytes, state, access)?,
        _ => Root::locate(folder, state, access)?,
    };
    Ok((root, git))
}

/// Merges the manifest. `approve` sees what will be written, and the warnings about it.
pub fn merge(
    (root, git): (&Root, &Git),
    unlock: &Unlock<'_>,
    rules: &UserRules,
    options: &MergeOptions<'_>,
    approve: ApproveMerge<'_>,
) -> Result<MergeEnd, OpError> {
    let name = root.manifest_name();
    let (before, versions) = unmerged(root, git)?;
    let (base, ours, theirs) = match versions {
        [base, Some(ours), Some(theirs)] => (base, ours, theirs),
        versions => return Err(nothing_to_merge(name, versions == [None, None, None])),
    };
    rewrite::check_replaceable(root)?;
    let known = Passphrases::default();
    let ask = |origin: &str| known.ask_once(origin, unlock.ask);
    let unlock = Unlock {
        ask: &ask,
        ..*unlock
    };
    let open = |file: &[u8]| -> Result<OpenedVersion, OpError> {
        let plain = root.decrypt_file(file, &unlock)?;
        let (manifest, sealed, warnings) = parse_sealed(&plain, name)?;
        Ok(OpenedVersion {
            plain,
            manifest,
            sealed,
            warnings,
        })
    };
    let sides = [open(&ours)?, open(&theirs)?];
    let base = match base.map(|file| open(&file)) {
        Some(Err(error)) if matches!(error.class(), ErrorClass::Ended(_)) => return Err(error),
        base => base.and_then(Result::ok),
    };
    let versions = Versions {
        base: base.as_ref().map(OpenedVersion::version),
        sides: sides.each_ref().map(OpenedVersion::version),
    };
    let mut merged = versions.merge(&rules.expect_key_ids, options.named)?;
    if merged.is_contradictory {
        return Ok(MergeEnd::Contradiction);
    }
    if !merged.unmatched.is_empty() {
        return Err(OpError::unmatched(merged.unmatched));
    }
    let base = base.as_ref().filter(|_| merged.has_base);
    let mut lines = std::mem::take(&mut merged.lines);
    let has_history = find_back(root, git, &mut lines).is_ok() && !git.is_shallow();
    let report = MergeReport {
        names: git.sides(),
        revisions: sides
            .each_ref()
            .map(|side| (side.sealed.revision, side.sealed.written)),
        base: base.map(|base| base.sealed.revision),
        doubts: merged.doubts,
        has_history,
        lines,
    };
    if report.conflicts() > 0 {
        return Ok(MergeEnd::Conflicts(report));
    }
    // A merge asks no repository.
    let (highest, former) = match root.store.branch() {
        Some(_) => (0, merged.sealed.former.clone()),
        None => (
            root.state_facts(&merged.sealed, rules)?.highest,
            root.former_left(&merged.sealed),
        ),
    };
    let sealed = Sealed {
        revision: next_revision(merged.sealed.revision.max(highest))?,
        written: (options.now)(),
        former,
        ..merged.sealed.clone()
    };
    let is_lost = match before.as_deref().map(|file| (file, open(file))) {
        Some((_, Ok(there))) => {
            there.sealed.revision > sealed.revision || merged.lacks_values_of(&there.manifest)
        }
        Some((file, Err(_))) => !files::has_conflict_marks(file),
        None => false,
    };
    if is_lost {
        let what = format!("{} was changed after git stopped", name.display());
        let help = "Nothing was written. Run 'git add' if that is the result; to merge anew, run 'git checkout --merge' on the file first.";
        return Err(OpError::unfit(what, help));
    }
    let (file, manifest, warnings) = joined(root, &unlock, (base, &sides), &merged, &sealed)?;
    approve(&report, &warnings)?;
    rewrite::replace(root, before.as_deref(), &file)?;
    root.renew_index(&manifest, &sealed, &file)?;
    Ok(MergeEnd::Written {
        written: root.written(&sealed),
        has_index: sealed.index,
    })
}

/// Returns the file of the result, read back and found equal, with its content and new warnings.
fn joined(
    root: &Root,
    unlock: &Unlock<'_>,
    (base, sides): (Option<&OpenedVersion>, &[OpenedVersion; 2]),
    merged: &Merged<'_>,
    sealed: &Sealed,
) -> Result<(Vec<u8>, Manifest, Vec<Problem>), OpError> {
    let name = root.manifest_name();
    let texts = sides.each_ref().map(OpenedVersion::text);
    let text = authoring::merged(base.map(OpenedVersion::text), texts, merged).map_err(unfit)?;
    let (text, file) = rewrite::sealed_file(&text, sealed, name, unlock.plugins)?;
    let (manifest, read, mut warnings) = parse_sealed(text.as_bytes(), name)?;
    let is_sealed_so = rewrite::changed_seal(sealed, Some(&read)).is_empty();
    if !is_sealed_so || !merged.fixes(&manifest).is_empty() {
        return Err(unfit(Vec::new()));
    }
    let known = sides.iter().flat_map(|side| &side.warnings);
    let known: HashSet<_> = known.map(|it| (&it.path, &it.what)).collect();
    warnings.retain(|problem| !known.contains(&(&problem.path, &problem.what)));
    warnings.extend(rewrite::second_name(root));
    Ok((file, manifest, warnings))
}

fn nothing_to_merge(name: &Path, is_merged: bool) -> OpError {
    let name = name.display();
    let (what, help) = match is_merged {
        true => (
            format!("git has no unfinished merge of {name}"),
            "Nothing was written. Run it after git stopped with a conflict, and before 'git add'; 'git checkout --merge FILE' brings a conflict back.",
        ),
        false => (
            format!("one side of the merge removed or moved {name}"),
            "Nothing was written. Where it was moved, end this merge ('git merge --abort'), move it on the other side too in a commit of its own, and merge again.",
        ),
    };
    Failure::new("drspass::merge::nothing", what, help).into()
}

/// What the work tree has in the manifest's place, and git's three versions of it.
type Unmerged = (Option<Vec<u8>>, [Option<Vec<u8>>; 3]);

fn unmerged(root: &Root, git: &Git) -> Result<Unmerged, OpError> {
    let path = root.manifest_path();
    let before = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        _ => Some(root.manifest_bytes()?),
    };
    // git has what a link leads to under its own name.
    let file = match path.is_symlink() {
        true => fs::canonicalize(path).map_err(OpError::read(root.manifest_name()))?,
        false => root.manifest_name().to_owned(),
    };
    Ok((before, git.unmerged(&file)?))
}

/// Says of each line whether its values were in HEAD's history of the index before.
fn find_back(root: &Root, git: &Git, lines: &mut [MergeLine]) -> Result<(), OpError> {
    let tags = lines.iter().flat_map(|line| &line.tags);
    let tags: HashSet<&str> = tags.map(String::as_str).collect();
    if tags.is_empty() {
        return Ok(());
    }
    let brought = git.brought(&root.index_name(), &tags)?;
    for line in lines {
        line.back = line
            .tags
            .iter()
            .filter_map(|tag| brought.get(tag))
            .max()
            .copied();
    }
    Ok(())
}

/// The result has problems, or there is no text for it.
fn unfit(problems: Vec<Problem>) -> OpError {
    let what = match problems.as_slice() {
        [] => "cannot combine the layouts of the two sides",
        _ => "the merged manifest is invalid",
    };
    let help = "Nothing was written. Take what is named from one side with --ours ADDR or --theirs ADDR; or finish the merge in git with one side ('git checkout --ours FILE'), and make the other changes with 'drspass set' or 'drspass edit'.";
    Failure::new("drspass::merge::invalid", what, help)
        .listing(problems)
        .into()
}
