//! What editors would write elsewhere, told so by the settings of a user.

use std::fs;

use super::Desk;

/// Settings of vim that keep whatever can be kept, below the home.
const VIMRC: &str = "\
set nocompatible
set swapfile updatecount=1 directory=~/swap//
set backup writebackup backupdir=~/backup
set undofile undodir=~/undo
set viminfo='100,<1000,s1000,h,n~/viminfo
autocmd BufReadPost * setlocal swapfile undofile
autocmd BufReadPost * set backup viminfo='100,<1000,n~/viminfo2
";

/// The same by autocommands that run late, or are defined late.
const LATE_VIMRC: &str = "\
set nocompatible
autocmd VimEnter * set swapfile updatecount=1 directory=~/swap//
autocmd VimEnter * set undofile undodir=~/undo backup writebackup backupdir=~/backup
autocmd BufWritePre * setlocal undofile undodir=~/undo
autocmd BufWritePre * set backup writebackup backupdir=~/backup patchmode=.orig
autocmd VimLeavePre * set viminfo='100,<1000,s1000,h,n~/viminfo viminfofile=~/viminfo2
autocmd VimEnter * autocmd BufWritePre * set undofile undodir=~/undo
autocmd TextChanged * autocmd BufWritePre * set undofile undodir=~/undo backup backupdir=~/backup
autocmd TextChanged * autocmd VimLeavePre * set viminfo='100,<1000,h viminfofile=~/viminfo3
autocmd TextChanged * set undofile undodir=~/undo backup backupdir=~/backup
autocmd VimEnter * set eventignore=BufWritePre,VimLeavePre
";

#[test]
fn settings_of_vim_leave_nothing_of_the_text() {
    for (vim, end, vimrc) in [
        ("vim", ":wq\r", VIMRC),
        ("vim.tiny", ":wq\r", VIMRC),
        ("vim", ":cq\r", VIMRC),
        ("vim", ":w\r:q\r", VIMRC),
        ("vim -c 'set undofile'", ":wq\r", VIMRC),
        ("vim", ":w\r:q\r", LATE_VIMRC),
        ("vim", "ZZ", LATE_VIMRC),
        ("vim", ":noautocmd wq\r", LATE_VIMRC),
        ("vim.tiny", ":wq\r", LATE_VIMRC),
    ] {
        let desk = Desk::new("vimrc");
        for folder in ["swap", "backup", "undo"] {
            fs::create_dir(desk.home.path().join(folder)).unwrap();
        }
        fs::write(desk.home.path().join(".vimrc"), vimrc).unwrap();
        let mut pty = desk.on_terminal(vim);
        pty.sees("version: 1");
        // What is yanked, searched for and typed would be in viminfo.
        pty.types(&format!(
            ":%s/{}/{}/\r/{}\rggyGGp:undo\r:let x = '{}'\r{end}",
            desk.old, desk.new, desk.new, desk.new
        ));
        pty.exits(i32::from(end.starts_with(":cq")));
        desk.assert_no_trace();
        for folder in ["swap", "backup", "undo"] {
            let entries = fs::read_dir(desk.home.path().join(folder)).unwrap();
            assert_eq!(entries.count(), 0, "{vim}: {folder}");
        }
    }
}

#[test]
fn settings_of_nano_leave_nothing_of_the_text() {
    for old_home in [false, true] {
        let desk = Desk::new("nanorc");
        let home = desk.home.path();
        fs::create_dir(home.join("backups")).unwrap();
        if old_home {
            fs::create_dir(home.join(".nano")).unwrap();
        }
        let rc = format!(
            "set backup\nset backupdir \"{}/backups\"\nset historylog\nset positionlog\nset locking\n",
            home.display()
        );
        fs::write(home.join(".nanorc"), rc).unwrap();
        let mut pty = desk.on_terminal("nano");
        pty.sees("lines ]");
        pty.control('w');
        pty.sees("Search");
        pty.types(&format!("{}\r", desk.old));
        pty.control('\\');
        pty.sees("to replace");
        pty.types(&format!("{}\r", desk.old));
        pty.sees("Replace with");
        pty.types(&format!("{}\r", desk.new));
        pty.sees("this instance?");
        pty.types("a");
        pty.control('o');
        pty.types("\r");
        pty.control('x');
        pty.sees("edited passwords.yaml.age");
        pty.exits(0);
        desk.assert_no_trace();
        desk.assert_changed();
        assert_eq!(fs::read_dir(home.join("backups")).unwrap().count(), 0);
    }
}

/// What editors are told that are not on every machine: that they heed it is theirs.
#[test]
fn neovim_and_emacs_are_told_to_leave_nothing_of_the_text() {
    let functions = "backup-buffer auto-save-mode desktop-save savehist-save";
    for (name, told) in [
        (
            "nvim",
            &[
                "-n -i NONE --cmd set nobackup nowritebackup noswapfile ",
                "silent! set noundofile ",
                "silent! set nobackup ",
                "silent! set noswapfile ",
            ][..],
        ),
        (
            "emacs",
            &[
                "--eval (progn (setq make-backup-files nil ",
                "auto-save-default nil ",
                "create-lockfiles nil ",
                "undo-tree-auto-save-history nil",
                functions,
            ],
        ),
    ] {
        let desk = Desk::new(name);
        let script = format!("printf '%s\\n' \"$*\" > \"$here/args\"\n{}", desk.change());
        let run = desk.edit(&desk.stub(name, &script)).exits(0);
        run.says_not("drspass cannot switch off");
        let args = fs::read_to_string(desk.stubs.path().join("args")).unwrap();
        for part in told {
            assert!(args.contains(part), "{name} is not told {part:?}: {args}");
        }
        desk.assert_changed();
    }
}
