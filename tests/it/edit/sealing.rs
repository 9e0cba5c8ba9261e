//! Sealing after the editor: with a plugin that is there before the editing and fails
//! after it, no work is lost without a word.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use rexpect::process::Signal;

use super::Desk;
use crate::support::terminal::Terminal;
use crate::support::wait_until;

const PLUGIN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/age/age-plugin-stub"
);
const RECIPIENT: &str = "age1stub1d4skgefdw4cqphmwgx";
const QUESTION: &str = "Press Enter to edit your text again";

/// A desk whose manifest is sealed to a recipient of a plugin as well, which stands in
/// the folder of the stubs.
fn desk(name: &str) -> Desk {
    let desk = Desk::new(name);
    symlink(PLUGIN, desk.stubs.path().join("age-plugin-stub")).unwrap();
    let own = desk.lab.recipient_of("key.txt");
    desk.lab.list_recipients(&[&own, RECIPIENT]);
    let mut command = desk.lab.command(&["rekey", "--yes"]);
    with_plugin(&desk, &mut command);
    desk.lab.run_command(command).exits(0);
    desk
}

fn with_plugin(desk: &Desk, command: &mut Command) {
    let stubs = desk.stubs.path().display();
    command.env("PATH", format!("{stubs}:/usr/bin:/bin"));
}

fn command(desk: &Desk, editor: &str) -> Command {
    let mut command = desk.command(editor);
    with_plugin(desk, &mut command);
    command
}

#[test]
fn what_could_not_be_sealed_is_found_out_before_the_editor_comes() {
    let desk = desk("seal-before");
    let editor = desk.stub("editor", "touch \"$here/came\"\n");
    fs::remove_file(desk.stubs.path().join("age-plugin-stub")).unwrap();
    let run = desk.lab.run_command(command(&desk, &editor)).exits(1);
    run.says("age-plugin-stub");
    assert!(!desk.stubs.path().join("came").exists());
}

#[test]
fn a_text_that_cannot_be_sealed_is_told_to_be_gone_where_nobody_can_be_asked() {
    let desk = desk("seal-alone");
    let before = desk.manifest();
    let editor = desk.stub(
        "editor",
        &format!("{}rm \"$here/age-plugin-stub\"\n", desk.change()),
    );
    let run = desk.lab.run_command(command(&desk, &editor)).exits(1);
    run.says("the edited text cannot be encrypted; nothing was saved")
        .says("age-plugin-stub")
        .says("the edited text is gone");
    assert_eq!(desk.manifest(), before);
    desk.assert_no_trace();
}

#[test]
fn a_text_that_cannot_be_sealed_can_be_tried_again_as_it_was_left() {
    let desk = desk("seal-again");
    // The plugin is away after the first editing and back after the second.
    let editor = desk.stub(
        "editor",
        &format!(
            "if [ -e \"$here/away\" ]; then mv \"$here/away\" \"$here/age-plugin-stub\"\n\
             else {}mv \"$here/age-plugin-stub\" \"$here/away\"\nfi\n",
            desk.change()
        ),
    );
    let mut pty = Terminal::start(command(&desk, &editor));
    pty.sees("age-plugin-stub");
    pty.sees(QUESTION);
    pty.types("\n");
    pty.sees("edited passwords.yaml.age");
    pty.exits(0);
    desk.assert_no_trace();
    desk.assert_changed();
}

#[test]
fn a_question_of_a_plugin_while_it_is_sealed_can_be_broken_off() {
    let desk = desk("seal-question");
    let before = desk.manifest();
    symlink(PLUGIN, desk.stubs.path().join("age-plugin-stub-pin")).unwrap();
    let asks = "exec \"$here/age-plugin-stub-pin\" \"$@\"\n";
    desk.stub("asks", asks);
    let editor = desk.stub(
        "editor",
        &format!(
            "{}rm \"$here/age-plugin-stub\"\ncp \"$here/asks\" \"$here/age-plugin-stub\"\n",
            desk.change()
        ),
    );
    let (shown, hidden) = ("\"Name of the token\": ", "\"PIN of the token\": ");
    for (question, signal, code, said) in [
        (shown, Some(Signal::SIGTERM), 143, "terminated by a signal"),
        (shown, Some(Signal::SIGINT), 130, "interrupted"),
        (shown, None, 130, "interrupted"),
        (hidden, Some(Signal::SIGTERM), 143, "terminated by a signal"),
        (hidden, Some(Signal::SIGINT), 130, "interrupted"),
        (hidden, None, 130, "interrupted"),
    ] {
        let plugin = desk.stubs.path().join("age-plugin-stub");
        let _ = fs::remove_file(&plugin);
        symlink(PLUGIN, &plugin).unwrap();
        let mut pty = Terminal::start(command(&desk, &editor));
        pty.sees(shown);
        if question == hidden {
            pty.types("token-7\n");
            pty.sees(hidden);
        }
        match signal {
            Some(signal) => pty.signal(signal),
            None => pty.control('c'),
        }
        pty.sees(&format!("the edit was {said}; nothing was saved"));
        pty.exits(code);
        assert_eq!(desk.manifest(), before);
        desk.assert_no_trace();
    }
}

#[test]
fn a_signal_while_it_is_sealed_saves_nothing() {
    let desk = desk("seal-signal");
    let before = desk.manifest();
    let editor = desk.stub(
        "editor",
        &format!(
            "{}rm \"$here/age-plugin-stub\"\ncp \"$here/slow\" \"$here/age-plugin-stub\"\n",
            desk.change()
        ),
    );
    desk.stub(
        "slow",
        &format!(
            "touch \"$here/sealing\"\nwhile [ ! -e \"$here/go\" ]; do sleep 0.05; done\n\
             exec '{PLUGIN}' \"$@\"\n"
        ),
    );
    let mut pty = Terminal::start(command(&desk, &editor));
    wait_until("the sealing", || desk.stubs.path().join("sealing").exists());
    pty.signal(Signal::SIGTERM);
    fs::write(desk.stubs.path().join("go"), "").unwrap();
    pty.sees("the edit was terminated by a signal; nothing was saved");
    pty.exits(143);
    assert_eq!(desk.manifest(), before);
    desk.assert_no_trace();
}
