//! Edits that fail: the manifest stays as it was, and no text is lost in silence.

use std::fs;

use super::Desk;
use crate::support::{J1, J2};

#[test]
fn an_editor_that_fails_saves_nothing() {
    let desk = Desk::new("fails");
    let before = desk.manifest();
    for (end, said) in [
        ("exit 1", "the editor exited with code 1; nothing was saved"),
        (
            "exit 42",
            "the editor exited with code 42; nothing was saved",
        ),
        (
            "kill -9 $$",
            "the editor was terminated by signal 9; nothing was saved",
        ),
        (
            "kill -15 $$",
            "the editor was terminated by signal 15; nothing was saved",
        ),
        ("rm \"$text\"", "cannot read the edited text"),
        (
            "rm \"$text\"; ln -s /dev/zero \"$text\"",
            "cannot read the edited text",
        ),
        (
            "rm \"$text\"; mkfifo \"$text\"",
            "cannot read the edited text",
        ),
    ] {
        let editor = desk.stub("fails", &format!("{}{end}\n", desk.change()));
        desk.edit(&editor).exits(1).says(said);
        assert_eq!(desk.manifest(), before, "{end}");
    }
}

#[test]
fn a_text_that_is_no_manifest_is_refused_with_every_place_and_no_text() {
    let desk = Desk::new("invalid");
    let before = desk.manifest();
    let problem = |script: &str| {
        let editor = desk.stub("breaks", &format!("{}{script}", desk.change()));
        let run = desk.edit(&editor).exits(1).says("nothing was saved");
        assert_eq!(desk.manifest(), before);
        assert!(
            run.stderr.contains("code: drspass::edit::invalid"),
            "{}",
            run.stderr
        );
        run.stderr
    };
    let unclosed = problem(&format!(
        "sed -i \"s/{}'/{}/\" \"$text\"\n",
        desk.new, desk.new
    ));
    assert!(
        unclosed.contains("line ") && unclosed.contains("column "),
        "{unclosed}"
    );
    let both = problem(&format!(
        "printf '  {J2}:\\n    source: {{ password: 0417 }}\\n    sauce: 1\\n' >> \"$text\"\n"
    ));
    assert!(
        both.contains("Quote it") && both.contains("2 problems"),
        "{both}"
    );
    assert!(!both.contains("0417") && !both.contains("sauce"), "{both}");
    problem(": > \"$text\"\n");
    problem("printf '\\377\\376' > \"$text\"\n");
    problem("printf '\\0' >> \"$text\"\n");
    problem("head -c 67108900 /dev/zero | tr '\\0' '#' >> \"$text\"\n");
    problem(&format!(
        "printf '{{version: 1, jobs: {{{J1}: {{source: {{password: \"x\"}}}}}}}}' > \"$text\"\n"
    ));
}

#[test]
fn what_the_tool_keeps_is_not_changed_by_hand() {
    let desk = Desk::new("sealed");
    let before = desk.manifest();
    for (change, path) in [
        ("s/revision: 2/revision: 9/", "sealed.revision"),
        ("s/project_id: \"/&0/", "sealed.project_id"),
        ("s/index: true/index: false/", "sealed.index"),
        ("s/file: \"/&x/", "sealed.state"),
        ("s/written: \"20/written: \"21/", "sealed.written"),
        // Another first letter, whichever it has.
        (
            "s/_key: \"A/_key: \"B/; t; s/_key: \"./_key: \"A/",
            "sealed",
        ),
        ("s/127.0.0.1/127.0.0.2/", "sealed.endpoint"),
        ("/- \"age1/d", "sealed"),
        (
            "/^sealed:/,/written:/d",
            "sealed: is written by drspass and was removed",
        ),
    ] {
        let editor = desk.stub(
            "seals",
            &format!("{}sed -i '{change}' \"$text\"\n", desk.change()),
        );
        let run = desk.edit(&editor).exits(1).says("nothing was saved");
        assert!(run.stderr.contains(path), "{change}: {}", run.stderr);
        assert_eq!(desk.manifest(), before, "{change}");
    }
    // Quotes and comments there are nobody's.
    let editor = desk.stub(
        "quotes",
        "sed -i \"s/^sealed:.*/sealed: # mine/; /project_id/s/\\\"/'/g\" \"$text\"\n",
    );
    desk.edit(&editor).exits(0);
}

#[test]
fn an_edit_that_is_kept_is_not_for_readers_who_were_removed_meanwhile() {
    kept_without_the_removed("removed-reader", "");
    // Nor where drspass.yaml itself is in the middle of a merge by then.
    kept_without_the_removed("removed-merge", "echo '<<<<<<< ours' >> drspass.yaml\n");
}

/// `after` is what the editor does when the reader was removed.
fn kept_without_the_removed(name: &str, after: &str) {
    let desk = Desk::new(name);
    let program = env!("CARGO_BIN_EXE_drspass");
    let (gone, public) = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    fs::write(desk.stubs.path().join("gone.txt"), gone.as_bytes()).unwrap();
    let without = desk.lab.read("drspass.yaml");
    let own = desk.lab.recipient_of("key.txt");
    desk.lab.list_recipients(&[&own, &public]);
    desk.lab.run(&["rekey", "--yes"]).exits(0);
    fs::write(desk.stubs.path().join("without.yaml"), without).unwrap();
    let editor = desk.stub(
        "slow",
        &format!(
            "{}cp \"$here/without.yaml\" drspass.yaml\n\
             DRSPASS_IDENTITY=key.txt '{program}' rekey --yes || exit 3\n{after}",
            desk.change()
        ),
    );
    desk.edit(&editor)
        .exits(1)
        .says("The edited text is in passwords.yaml.age.edited-1, encrypted.");
    let opens = |identity: &std::path::Path| {
        let output = std::process::Command::new("age")
            .arg("-d")
            .arg("-i")
            .arg(identity)
            .arg(desk.lab.path("passwords.yaml.age.edited-1"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).contains(&desk.new)
    };
    assert!(opens(&desk.lab.path("key.txt")));
    assert!(!opens(&desk.stubs.path().join("gone.txt")));
}

#[test]
fn a_manifest_that_somebody_else_changed_is_kept_and_so_is_the_edit() {
    let desk = Desk::new("overtaken");
    let other = "canary-somebody-else";
    let document = format!("version: 1\njobs:\n  {J2}:\n    source: {{ password: '{other}' }}\n");
    fs::write(desk.stubs.path().join("other.yaml"), document).unwrap();
    let program = env!("CARGO_BIN_EXE_drspass");
    let editor = desk.stub(
        "slow",
        &format!(
            "{}DRSPASS_IDENTITY=key.txt '{program}' encrypt $here/other.yaml || exit 3\n",
            desk.change()
        ),
    );
    let run = desk
        .edit(&editor)
        .exits(1)
        .says("another process changed the manifest")
        .says("The edited text is in passwords.yaml.age.edited-1, encrypted.");
    assert!(run.stdout.starts_with("") && !run.stdout.contains("edited"));
    let text = desk.text();
    assert!(text.contains(other) && !text.contains(&desk.new));
    let kept = desk.lab.path("passwords.yaml.age.edited-1");
    assert_eq!(crate::support::mode(&kept), 0o600);
    // The command that was named shows it.
    let run = run.says("drspass decrypt passwords.yaml.age.edited-1");
    assert!(run.stdout.is_empty(), "{}", run.stdout);
    let shown = desk.lab.run(&["decrypt", "passwords.yaml.age.edited-1"]);
    assert!(shown.exits(0).stdout.contains(&desk.new));

    // The next one takes the next number.
    let change = format!("sed -i 's/{other}/{}/' \"$text\"\n", desk.new);
    fs::write(
        desk.stubs.path().join("other.yaml"),
        desk.text().replace(other, "canary-third"),
    )
    .unwrap();
    let editor = desk.stub(
        "slow",
        &format!(
            "{change}DRSPASS_IDENTITY=key.txt '{program}' encrypt $here/other.yaml || exit 3\n"
        ),
    );
    desk.edit(&editor)
        .exits(1)
        .says("passwords.yaml.age.edited-2");
}

#[test]
fn a_manifest_that_is_gone_is_not_made_anew_and_the_edit_is_kept() {
    let desk = Desk::new("gone");
    let editor = desk.stub(
        "removes",
        &format!("{}rm passwords.yaml.age\n", desk.change()),
    );
    desk.edit(&editor)
        .exits(1)
        .says("passwords.yaml.age.edited-1");
    assert!(!desk.lab.exists("passwords.yaml.age"));
}

#[test]
fn whoever_may_not_change_the_manifest_gets_no_editor() {
    let desk = Desk::new("refused");
    let before = desk.manifest();
    let editor = desk.stub("starts", "touch $here/started\n");
    let lab = &desk.lab;
    let foreign = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    lab.write("other.txt", foreign.0.as_bytes());
    let mut command = desk.command(&editor);
    command.env("DRSPASS_IDENTITY", "other.txt");
    lab.run_command(command)
        .exits(1)
        .says("no identity matches");
    lab.configure("limits: { max_changes: 5 }");
    let config = lab.read("drspass.yaml");
    lab.write(
        "drspass.yaml",
        config.replace(
            "recipients:\n",
            &format!("recipients:\n  - {}\n", foreign.1),
        ),
    );
    desk.edit(&editor).exits(7).says("recipients changed");
    lab.write("drspass.yaml", config.replace("max_changes", "max_chances"));
    desk.edit(&editor).exits(1);
    lab.write("drspass.yaml", &config);
    lab.write("passwords.yaml.age", "version: 1\njobs: {}\n");
    desk.edit(&editor)
        .exits(1)
        .says("the manifest is not encrypted");
    lab.write("passwords.yaml.age", &before);
    assert!(!desk.stubs.path().join("started").exists());
    assert_eq!(desk.manifest(), before);
}

#[test]
fn without_a_place_in_memory_the_text_is_on_disk_and_that_is_said() {
    let desk = Desk::new("disk");
    let blanks = desk.temporary.path().join("with blanks");
    fs::create_dir(&blanks).unwrap();
    let editor = desk.stub(
        "counts",
        &format!("echo $# \"$text\" > $here/seen\n{}", desk.change()),
    );
    let mut command = desk.command(&editor);
    command.env("TMPDIR", &blanks).env(
        "DRSPASS_TEST_FAIL_AT",
        "private.memory:1,private.memory:2,private.memory:3",
    );
    let run = desk.lab.run_command(command);
    desk.assert_no_trace();
    assert!(
        run.stderr.contains("the plain text is on"),
        "{}",
        run.stderr
    );
    let seen = fs::read_to_string(desk.stubs.path().join("seen")).unwrap();
    assert!(
        seen.starts_with(&format!("1 {}", blanks.display())),
        "{seen}"
    );
    desk.assert_changed();

    let mut command = desk.command(&editor);
    command.env("TMPDIR", desk.home.path().join("missing")).env(
        "DRSPASS_TEST_FAIL_AT",
        "private.memory:1,private.memory:2,private.memory:3",
    );
    desk.lab
        .run_command(command)
        .exits(1)
        .says("cannot create a private directory");
}
