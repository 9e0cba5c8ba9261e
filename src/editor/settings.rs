//! What editors are told so that they keep no copy of the text elsewhere.
//!
//! What a user sets counts until it would keep a copy: ours is said after it, and for
//! editors that run what was set later (autocommands, hooks) once more at that time.
//! What a setting writes by a command of its own (`:wundo`, `:mksession`) is not undone.

use super::Kind;

/// Options of vim before the user's settings are read: no swap file, and neither
/// reading nor writing a viminfo (or shada) file.
const VIM_FIRST: [&str; 5] = [
    "-n",
    "-i",
    "NONE",
    "--cmd",
    "set nobackup nowritebackup noswapfile",
];

/// Settings of vim after the user's, which may switch on what was off. Each stands
/// alone, since some builds lack some of them; whatever is written in spite of all
/// goes beside the text.
const VIM_LAST: &str = "silent! set eventignore= | \
    silent! set updatecount=0 | silent! set noswapfile | \
    silent! set nobackup | silent! set nowritebackup | silent! set patchmode= | \
    silent! set noundofile | silent! set viminfo= | silent! set viminfofile=NONE | \
    silent! set directory=. | silent! set backupdir=. | silent! set undodir=.";

/// When vim is about to write something.
const VIM_WRITES: &str = "BufWritePre,FileWritePre,FileAppendPre,VimLeavePre";

/// What happens before that, while somebody edits.
const VIM_EDITS: &str = "CmdlineEnter,InsertEnter,TextChanged,CursorMoved";

/// Functions of emacs and of packages that keep a copy of a text, of what was deleted
/// from it, or of what was undone: each does nothing, whatever switches it on.
const EMACS: &str = "(progn (setq make-backup-files nil backup-directory-alist nil \
    auto-save-default nil auto-save-file-name-transforms nil create-lockfiles nil \
    undo-tree-auto-save-history nil) \
    (when (fboundp 'savehist-mode) (savehist-mode -1)) \
    (when (fboundp 'advice-add) \
    (dolist (keeps '(backup-buffer auto-save-mode desktop-save savehist-save \
    undo-tree-save-history undo-fu-session-save undohist-save-1)) \
    (advice-add keeps :override #'ignore))))";

/// The words that an editor gets beside those of the user.
pub(super) fn words(kind: Kind) -> Vec<String> {
    let mut words = Vec::new();
    match kind {
        Kind::Vim | Kind::Gvim => {
            if kind == Kind::Gvim {
                words.push("-f".to_owned());
            }
            words.extend(VIM_FIRST.map(str::to_owned));
            for command in vim_commands() {
                words.extend(["-c".to_owned(), command]);
            }
        }
        // It neither reads nor writes any file but the one it is given: no backup,
        // no history of what was searched and replaced. Settings still count.
        Kind::Nano => words.push("--restricted".to_owned()),
        Kind::Emacs => words.extend(["--eval".to_owned(), EMACS.to_owned()]),
        Kind::Other => {}
    }
    words
}

/// Commands of vim after the user's settings. Autocommands run in the order in which
/// they were defined, so ours at a write are defined again whenever the user's may
/// have defined others since: they come last at every write. A write without
/// autocommands finds what was set before it.
fn vim_commands() -> [String; 4] {
    let at_writes = format!("silent! autocmd! drspass {VIM_WRITES} * {VIM_LAST}");
    [
        format!("{VIM_LAST} | augroup drspass | augroup END"),
        at_writes.clone(),
        format!("silent! autocmd drspass VimEnter * {VIM_LAST} | {at_writes}"),
        format!("silent! autocmd drspass {VIM_EDITS} * {VIM_LAST} | {at_writes}"),
    ]
}
