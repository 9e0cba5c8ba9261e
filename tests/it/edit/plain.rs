//! Edits without a terminal: an editor that is a script needs none.

use std::fs;

use super::Desk;
use crate::support::around::with_mask;
use crate::support::{J1, mode};

#[test]
fn what_the_editor_saves_is_the_manifest_and_nothing_is_left() {
    let desk = Desk::new("saved");
    let before = desk.text();
    let run = desk.edit(&desk.changer()).exits(0).says("drspass plan");
    assert_eq!(
        run.stdout,
        "edited passwords.yaml.age and passwords.index.yaml, revision 3\n"
    );
    let expected = before
        .replace(&desk.old, &desk.new)
        .replace("revision: 2", "revision: 3");
    assert_eq!(desk.text(), expected);
    desk.lab.apply(&[]).exits(0);
    assert!(desk.lab.sim.holds(J1, "source", &desk.new));
}

#[test]
fn nobody_else_can_look_at_the_text_whatever_the_mask() {
    for mask in ["000", "022", "077"] {
        let desk = Desk::new(&format!("mask{mask}"));
        let script = "folder=$(dirname \"$text\")\n\
            stat -c '%a %n' \"$folder\" \"$text\" > $here/seen\n\
            cp \"$text\" \"$folder/copy~\"; : > \"$folder/new\"\n\
            stat -c '%a %n' \"$folder\"/copy~ \"$folder\"/new >> $here/seen\n";
        let editor = desk.stub("looker", &format!("{script}{}", desk.change()));
        let command = with_mask(mask, &desk.command(&editor));
        desk.lab.run_command(command).exits(0);
        desk.assert_no_trace();
        let seen = fs::read_to_string(desk.stubs.path().join("seen")).unwrap();
        let modes: Vec<&str> = seen
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(modes, ["700", "600", "600", "600"], "{seen}");
        let folder = desk.runtime.path().join("drspass-edit-");
        let folder = folder.to_str().unwrap();
        assert!(seen.lines().all(|line| line.contains(folder)), "{seen}");
        assert!(
            seen.lines().nth(1).unwrap().ends_with("/passwords.yaml"),
            "{seen}"
        );
        assert_eq!(mode(&desk.lab.path("passwords.yaml.age")), 0o600);
    }
}

#[test]
fn a_text_that_was_not_changed_changes_no_byte_of_the_manifest() {
    let desk = Desk::new("unchanged");
    let (before, path) = (desk.manifest(), desk.lab.path("passwords.yaml.age"));
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let rewrite = desk.stub(
        "rewrites",
        "cp \"$text\" \"$text.n\"; mv \"$text.n\" \"$text\"\n",
    );
    for editor in ["true", &rewrite] {
        let run = desk.edit(editor).exits(0).says("no changes");
        assert!(
            run.stderr.contains("add its option to wait"),
            "{}",
            run.stderr
        );
        assert_eq!(desk.manifest(), before);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
    }
}

#[test]
fn what_an_editor_writes_beside_the_text_goes_with_it() {
    let desk = Desk::new("litter");
    let litter = "cd \"$(dirname \"$text\")\"\n\
        for name in .passwords.yaml.swp passwords.yaml~ '#passwords.yaml#' passwords.yaml.un~; do\n\
        cp \"$text\" \"$name\"; done\n\
        mkdir -p deep/er; cp \"$text\" deep/er/copy; chmod 400 deep/er/copy\n\
        cp \"$text\" \"$TMPDIR/temporary\"; cp \"$text\" \"$TEMP/t2\"; cp \"$text\" \"$TMP/t3\"\n\
        cp \"$text\" \"$(mktemp)\"; ln -s \"$here\" link; mkfifo pipe\n";
    let editor = desk.stub("litter", &format!("{litter}{}", desk.change()));
    desk.edit(&editor).exits(0);
    desk.assert_changed();
    let failing = desk.stub("litter-fails", &format!("{litter}exit 1\n"));
    desk.edit(&failing).exits(1);
    assert!(
        desk.stubs.path().join("litter").exists(),
        "links are not followed"
    );
}

#[test]
fn an_editor_is_words_or_a_path_with_blanks() {
    let desk = Desk::new("words");
    let script = format!("printf '%s\\n' \"$@\" > $here/arguments\n{}", desk.change());
    let stub = desk.stub("with blanks/my editor", &script);
    let arguments = || fs::read_to_string(desk.stubs.path().join("arguments")).unwrap();
    desk.edit(&stub).exits(0);
    assert_eq!(arguments().lines().count(), 1);
    desk.edit(&format!("'{stub}' --wait 'a b' $HOME '*' ';' \"`\""))
        .exits(0)
        .says("no changes");
    let arguments = arguments();
    let lines: Vec<&str> = arguments.lines().collect();
    assert_eq!(lines[..6], ["--wait", "a b", "$HOME", "*", ";", "`"]);
    assert_eq!(lines.len(), 7);

    let before = desk.manifest();
    desk.edit("missing --wait")
        .exits(1)
        .says("cannot find the editor 'missing' from EDITOR");
    desk.edit(&format!("{stub} 'a"))
        .exits(1)
        .says("a quote that is not closed");
    assert_eq!(desk.manifest(), before);
}

#[test]
fn visual_comes_before_editor_and_empty_ones_count_as_unset() {
    let desk = Desk::new("visual");
    let usual = |name: &str| {
        desk.stub(
            &format!("bin/{name}"),
            &format!("echo {name} >> $here/used\n"),
        )
    };
    let (vi, nano) = (usual("vi"), usual("nano"));
    let used = || fs::read_to_string(desk.stubs.path().join("used")).unwrap_or_default();
    let bin = desk.stubs.path().join("bin");
    let run = |visual: &str, editor: &str| {
        let mut command = desk.command(editor);
        command
            .env("VISUAL", visual)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        desk.lab.run_command(command).exits(0);
    };
    run(&nano, "missing");
    assert_eq!(used(), "nano\n");
    run("", &nano);
    assert_eq!(used(), "nano\nnano\n");
    run(" ", "");
    // It was asked whether it is vim before.
    assert_eq!(used(), "nano\nnano\nvi\nvi\n");
    fs::remove_file(vi).unwrap();
    let mut command = desk.command("");
    command.env("PATH", &bin);
    desk.lab.run_command(command);
    assert!(used().ends_with("vi\nnano\n") || used().ends_with("vi\n"));
    let mut command = desk.command("");
    command.env("PATH", desk.home.path());
    desk.lab
        .run_command(command)
        .exits(1)
        .says("vi and nano are not on PATH");
}

#[test]
fn an_editor_gets_no_login_and_no_key() {
    let desk = Desk::new("environment");
    let editor = desk.stub(
        "env",
        "env > $here/env; tr '\\0' '\\n' < /proc/$PPID/cmdline > $here/args\n",
    );
    let mut command = desk.command(&editor);
    command
        .env("DRSPASS_IDENTITY_KEY", "canary-key")
        .env("OS_PASSWORD", "canary-cloud")
        .env("LANG", "C.UTF-8");
    desk.lab.run_command(command).exits(0);
    let env = fs::read_to_string(desk.stubs.path().join("env")).unwrap();
    for absent in [
        "OS_",
        "DRSPASS",
        "canary-key",
        "canary-cloud",
        crate::support::TOKEN,
    ] {
        assert!(!env.contains(absent), "{absent}: {env}");
    }
    for present in ["HOME=", "TERM=vt100", "LANG=C.UTF-8", "PATH="] {
        assert!(env.contains(present), "{present}: {env}");
    }
}

#[test]
fn what_an_editor_prints_is_no_result() {
    let desk = Desk::new("prints");
    let editor = desk.stub("prints", &format!("echo printed\n{}", desk.change()));
    let run = desk.edit(&editor).exits(0);
    assert_eq!(
        run.stdout,
        "edited passwords.yaml.age and passwords.index.yaml, revision 3\n"
    );
    assert!(run.stderr.contains("printed\n"));
}

#[test]
fn a_link_stays_one_and_what_it_leads_to_keeps_its_mode() {
    let desk = Desk::new("link");
    let (link, real) = desk.lab.link_manifest();
    desk.edit(&desk.changer()).exits(0);
    assert!(link.is_symlink());
    assert_eq!(mode(&real), 0o640);
    desk.assert_changed();
    fs::remove_file(&real).unwrap();
    desk.edit(&desk.changer())
        .exits(1)
        .says("cannot read passwords.yaml.age");
    assert!(link.is_symlink() && !real.exists());
}

#[test]
fn line_ends_and_a_byte_order_mark_stay_as_the_editor_left_them() {
    let desk = Desk::new("bytes");
    let old = desk.old.clone();
    let text = format!(
        "version: 1\r\n# a comment\r\njobs:\r\n  {J1}:\r\n    source: {{ password: '{old}' }} # why\r\n"
    );
    desk.lab.document(&text).exits(0);
    let mark = desk.stub("marks", "sed -i '1s/^/\\xef\\xbb\\xbf/' \"$text\"\n");
    desk.edit(&mark).exits(0);
    let before = desk.text();
    assert!(before.starts_with('\u{feff}'));
    desk.edit(&desk.changer()).exits(0);
    let expected = before
        .replace(&desk.old, &desk.new)
        .replace("revision: 4", "revision: 5");
    assert_eq!(desk.text(), expected);
}
