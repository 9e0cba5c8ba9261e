//! Edits on a terminal, with the editors that people have.

use super::Desk;
use crate::support::around::beside;
use crate::support::terminal::Terminal;
use crate::support::{J1, PASSPHRASE, send_signal, wait_until};

const QUESTION: &str = "Press Enter to edit your text again";

#[test]
fn a_script_on_a_terminal_changes_the_manifest() {
    let desk = Desk::new("pty");
    let mut pty = desk.on_terminal(&desk.changer());
    pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 3");
    pty.exits(0);
    desk.assert_no_trace();
    desk.assert_changed();
}

/// Types a change into vim, in its command line.
fn change_in_vim(desk: &Desk, pty: &mut Terminal) {
    pty.sees("version: 1");
    pty.types(&format!(":%s/{}/{}/\r", desk.old, desk.new));
}

#[test]
fn vim_changes_the_manifest() {
    for vim in ["vim", "vim.tiny", "vi"] {
        let desk = Desk::new(&format!("typed-{vim}"));
        let mut pty = desk.on_terminal(vim);
        pty.sees("version: 1");
        // Vim is not ended by Ctrl-C, and neither is drspass.
        pty.control('c');
        pty.sees(":qa");
        pty.types(&format!(":%s/{}/{}/\r:wq\r", desk.old, desk.new));
        pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 3");
        let rest = pty.exits(0);
        assert!(!rest.contains("note:"), "{rest}");
        desk.assert_no_trace();
        desk.assert_changed();
    }
}

#[test]
fn nano_changes_the_manifest() {
    let desk = Desk::new("nano");
    let mut pty = desk.on_terminal("nano");
    pty.sees("lines ]");
    pty.control('c');
    pty.sees("line ");
    pty.control('\\');
    pty.sees("Search (to replace)");
    pty.types(&format!("{}\r", desk.old));
    pty.sees("Replace with");
    pty.types(&format!("{}\r", desk.new));
    pty.sees("this instance?");
    pty.types("y");
    pty.control('o');
    pty.types("\r");
    pty.control('x');
    pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 3");
    pty.exits(0);
    desk.assert_no_trace();
    desk.assert_changed();
}

#[test]
fn a_mistake_is_shown_and_mended_in_the_text_as_it_was_left() {
    let desk = Desk::new("mended");
    // The first round breaks the text, the second finds it broken and mends it.
    let script = format!(
        "if grep -q BROKEN \"$text\"; then sed -i \"s/BROKEN/'/\" \"$text\"; else\n{}sed -i \"s/{}'/{}BROKEN/\" \"$text\"\nfi\n",
        desk.change(),
        desk.new,
        desk.new
    );
    let mut pty = desk.on_terminal(&desk.stub("breaks", &script));
    pty.sees("error: the edited text: line ");
    pty.sees(QUESTION);
    pty.types("what?\n");
    pty.sees(QUESTION);
    pty.types("\n");
    pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 3");
    pty.exits(0);
    desk.assert_no_trace();
    desk.assert_changed();
}

#[test]
fn a_mistake_in_vim_is_mended_in_vim() {
    let desk = Desk::new("vim-mended");
    let mut pty = desk.on_terminal("vim");
    change_in_vim(&desk, &mut pty);
    pty.types(&format!(":%s/{}'/{}/\r:wq\r", desk.new, desk.new));
    pty.sees("error: the edited text: line ");
    pty.sees(QUESTION);
    pty.types("\n");
    pty.sees("version: 1");
    pty.types(&format!(":%s/{}/{}'/\r:wq\r", desk.new, desk.new));
    pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 3");
    pty.exits(0);
    desk.assert_no_trace();
    desk.assert_changed();
}

#[test]
fn a_text_with_a_mistake_is_given_up_only_on_request() {
    let desk = Desk::new("given-up");
    let before = desk.manifest();
    let editor = desk.stub(
        "breaks",
        &format!("{}echo \"'\" >> \"$text\"\n", desk.change()),
    );
    for (answer, code, said) in [
        (
            "discard\n",
            1,
            "the edited text was discarded; nothing was saved",
        ),
        (
            "\u{4}",
            1,
            "the edited text was discarded; nothing was saved",
        ),
        (
            "\u{1c}",
            143,
            "the edit was terminated by a signal; nothing was saved",
        ),
    ] {
        let mut pty = desk.on_terminal(&editor);
        pty.sees(QUESTION);
        assert_eq!(desk.folders().len(), 1);
        pty.types(answer);
        pty.sees(said);
        pty.exits(code);
        desk.assert_no_trace();
        assert_eq!(desk.manifest(), before);
    }
}

#[test]
fn ctrl_c_loses_a_text_only_when_it_is_pressed_twice() {
    let desk = Desk::new("twice");
    let before = desk.manifest();
    let mends = format!(
        "if grep -q BROKEN \"$text\"; then sed -i '/BROKEN/d' \"$text\"; else\n{}echo 'BROKEN: 1' >> \"$text\"\nfi\n",
        desk.change()
    );
    let editor = desk.stub("mends", &mends);
    let last = "\r\nPress Ctrl-C again to drop your text, or Enter to edit it again: ";
    let mut pty = desk.on_terminal(&editor);
    pty.sees(QUESTION);
    pty.control('c');
    pty.sees(last);
    pty.control('c');
    let before_it = pty.sees("error");
    assert!(before_it.starts_with("\r\n"), "{before_it:?}");
    pty.sees("the edit was interrupted; nothing was saved");
    pty.exits(130);
    desk.assert_no_trace();
    assert_eq!(desk.manifest(), before);
    // Anything in between keeps it.
    let mut pty = desk.on_terminal(&editor);
    for answer in ["what?\n", "\n"] {
        pty.sees(QUESTION);
        pty.control('c');
        pty.sees(last);
        pty.types(answer);
    }
    pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 3");
    pty.exits(0);
    desk.assert_no_trace();
    desk.assert_changed();
}

#[test]
fn what_was_typed_into_an_editor_that_did_not_read_it_answers_nothing() {
    let desk = Desk::new("ahead");
    let script = format!(
        "if grep -q BROKEN \"$text\"; then sed -i '/BROKEN/d' \"$text\"; else\n{}echo 'BROKEN: 1' >> \"$text\"\n\
         stty echo; echo ready; while ! [ -e $here/go ]; do sleep 0.05; done\nfi\n",
        desk.change()
    );
    let mut pty = desk.on_terminal(&desk.stub("waits", &script));
    pty.sees("ready");
    pty.types("discard\n");
    pty.sees("discard");
    std::fs::write(desk.stubs.path().join("go"), "").unwrap();
    pty.sees(QUESTION);
    pty.types("\n");
    pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 3");
    pty.exits(0);
    desk.assert_changed();
}

#[test]
fn an_editor_that_fails_on_a_terminal_saves_nothing() {
    let desk = Desk::new("pty-fails");
    let before = desk.manifest();
    let mut pty = desk.on_terminal("vim");
    change_in_vim(&desk, &mut pty);
    pty.types(":w\r:cq\r");
    pty.sees("the editor exited with code 1; nothing was saved");
    pty.exits(1);
    let dies = desk.stub("dies", &format!("{}kill -9 $$\n", desk.change()));
    let mut pty = desk.on_terminal(&dies);
    pty.sees("the editor was terminated by signal 9; nothing was saved");
    pty.exits(1);
    desk.assert_no_trace();
    assert_eq!(desk.manifest(), before);
}

#[test]
fn ctrl_c_ends_an_editor_that_does_not_mind() {
    let desk = Desk::new("ctrl-c");
    let before = desk.manifest();
    let editor = desk.stub(
        "sleeps",
        &format!("{}echo ready\nexec sleep 1000\n", desk.change()),
    );
    let mut pty = desk.on_terminal(&editor);
    pty.sees("ready");
    pty.control('c');
    pty.sees("the edit was interrupted; nothing was saved");
    pty.exits(130);
    desk.assert_no_trace();
    assert_eq!(desk.manifest(), before);
}

#[test]
fn a_signal_to_drspass_ends_vim_and_nano() {
    use rexpect::process::Signal;
    let desk = Desk::new("pty-signals");
    let before = desk.manifest();
    for editor in ["vim", "nano"] {
        for (signal, code) in [
            (Signal::SIGINT, 130),
            (Signal::SIGTERM, 143),
            (Signal::SIGHUP, 143),
        ] {
            let mut pty = desk.on_terminal(editor);
            pty.sees(if editor == "nano" {
                "lines ]"
            } else {
                "version: 1"
            });
            pty.types("ox");
            pty.signal(signal);
            pty.sees("nothing was saved");
            pty.exits(code);
            desk.assert_no_trace();
            assert_eq!(desk.manifest(), before);
        }
    }
}

/// A shell on the terminal, whose prompt is `ready> `.
fn shell(desk: &Desk) -> Terminal {
    let inner = desk.command("vim");
    let mut command = beside(&inner, "bash");
    command
        .args(["--norc", "--noprofile", "--noediting", "-i"])
        .env("PS1", "ready> ")
        .env("drspass", inner.get_program());
    let mut pty = Terminal::start(command);
    pty.sees("ready> ");
    pty
}

#[test]
fn an_edit_can_be_put_aside_and_brought_back_in_a_shell() {
    let desk = Desk::new("aside");
    let mut pty = shell(&desk);
    pty.types("\"$drspass\" edit\n");
    pty.sees("version: 1");
    pty.control('z');
    pty.sees("Stopped");
    pty.sees("ready> ");
    pty.types("fg\n");
    pty.sees("version: 1");
    pty.types(&format!(":%s/{}/{}/\r:wq\r", desk.old, desk.new));
    pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 3");
    pty.sees("ready> ");
    pty.types("exit 5\n");
    pty.exits(5);
    desk.assert_no_trace();
    desk.assert_changed();
}

#[test]
fn the_terminal_is_as_it_was_after_an_editor_that_was_killed() {
    let desk = Desk::new("mended-terminal");
    let raw = desk.stub(
        "raw",
        "trap '' TERM; stty raw -echo; echo $PPID > $here/parent.new; mv $here/parent.new $here/parent; sleep 1000; sleep 1000\n",
    );
    let mut pty = shell(&desk);
    pty.types(&format!(
        "stty echo -ixon; stty -g > $HOME/before; EDITOR={raw} sh -c '\"$drspass\" edit; stty -g > $HOME/after; echo code $?'\n"
    ));
    let parent = desk.stubs.path().join("parent");
    wait_until("the editor", || parent.exists());
    let parent = std::fs::read_to_string(parent).unwrap();
    send_signal(
        parent.trim().parse().unwrap(),
        rustix::process::Signal::TERM,
    );
    pty.sees("nothing was saved");
    pty.sees("code 0");
    pty.types("exit 5\n");
    pty.exits(5);
    let read = |name: &str| std::fs::read_to_string(desk.home.path().join(name)).unwrap();
    assert_eq!(read("before"), read("after"));
    desk.assert_no_trace();
}

#[test]
fn a_passphrase_is_asked_for_before_the_editor_comes() {
    let mut desk = Desk::new("locked");
    desk.lab.make_locked_folder();
    desk.lab.plant(&[PASSPHRASE]);
    let before = desk.lab.read("sub/passwords.yaml.age");
    let script = format!(
        "sed -i \"s/^jobs: .*/jobs: {{ {J1}: {{ source: {{ password: '{}' }} }} }}/\" \"$text\"\n",
        desk.new
    );
    let editor = desk.stub("fills", &script);
    let start = || {
        let mut command = desk.lab.command(&["-C", "sub", "-i", "../locked", "edit"]);
        desk.surround(&mut command, &editor);
        Terminal::start(command)
    };
    let mut pty = start();
    pty.sees("Passphrase for ../locked: ");
    pty.types("wrong\n");
    pty.sees("the passphrase for ../locked is wrong");
    pty.exits(1);
    assert_eq!(desk.lab.read("sub/passwords.yaml.age"), before);
    let mut pty = start();
    pty.sees("Passphrase for ../locked: ");
    pty.types(&format!("{PASSPHRASE}\n"));
    pty.sees("edited passwords.yaml.age and passwords.index.yaml, revision 2");
    pty.exits(0);
    desk.assert_no_trace();
    assert_ne!(desk.lab.read("sub/passwords.yaml.age"), before);
}

#[test]
fn an_editor_comes_back_at_the_line_of_the_first_mistake() {
    let desk = Desk::new("line");
    let plain = desk.text();
    let line = 1 + plain
        .lines()
        .position(|line| line.contains(&desk.old))
        .unwrap();
    let told = format!("error: the edited text: line {line}, ");
    // It takes the quotation marks away, and puts them back when it comes again.
    let script = format!(
        "printf '%s\\n' \"$*\" >> \"$here/args\"\n\
         if [ -e \"$here/came\" ]; then sed -i \"s/{new}/'{new}'/\" \"$text\"; else\n\
         touch \"$here/came\"; sed -i \"s/'{old}'/{new}/\" \"$text\"\nfi\n",
        old = desk.old,
        new = desk.new
    );
    for (name, knows_lines) in [
        ("vim", true),
        ("nano", true),
        ("emacs", true),
        ("ed", false),
    ] {
        desk.lab.manifest(&format!(
            "  {J1}:\n    source: {{ password: '{}' }}\n",
            desk.old
        ));
        for file in ["args", "came"] {
            let _ = std::fs::remove_file(desk.stubs.path().join(file));
        }
        let mut pty = desk.on_terminal(&desk.stub(name, &script));
        pty.sees(&told);
        pty.sees(QUESTION);
        pty.types("\n");
        pty.sees("edited passwords.yaml.age");
        pty.exits(0);
        let args = std::fs::read_to_string(desk.stubs.path().join("args")).unwrap();
        let at = format!("+{line}");
        let comes_at: Vec<bool> = args
            .lines()
            .map(|args| args.split(' ').any(|word| word == at))
            .collect();
        assert_eq!(comes_at, [false, knows_lines], "{name}: {args}");
    }
}
