//! A plugin that misbehaves in each way that there is a bound or a word for. It is
//! `tests/data/age/age-plugin-stub`, which acts by the name under which it is started.

use std::cell::RefCell;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use age::Identity as _;
use age_core::format::grease_the_joint;
use tempfile::TempDir;

use super::*;

const STUB: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/age/age-plugin-stub"
);
const RECIPIENT: &str = "age1stub1d4skgefdw4cqphmwgx";

const SILENT: Talk<'static> = Talk {
    tell: &|_, _| {},
    choose: &|_, _| Err(NoPassphrase::Nobody),
    ask: &|_, _| Err(NoPassphrase::Nobody),
    ask_secret: &|_, _| Err(NoPassphrase::Nobody),
};

/// A folder that holds the stub under a name, as PATH.
fn installed(name: &str) -> (TempDir, ChildEnv) {
    let folder = TempDir::new().expect("a folder");
    let program = folder.path().join(format!("age-plugin-{name}"));
    symlink(STUB, program).expect("a link");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let env = ChildEnv::of([("PATH".into(), path.into())]);
    (folder, env)
}

fn identity_line(name: &str) -> Zeroizing<String> {
    let identity = age::plugin::Identity::default_for_plugin(name).expect("a name");
    Zeroizing::new(identity.to_string())
}

/// The stanza that the stub makes of a key of zeros.
fn stanza() -> Stanza {
    Stanza {
        tag: "stub".to_owned(),
        args: vec!["one".to_owned()],
        body: (1..=16).collect(),
    }
}

fn identity<'a>(
    name: &'a str,
    lines: &'a [Zeroizing<String>],
    plugins: Plugins<'a>,
) -> Identity<'a> {
    Identity {
        name,
        lines,
        plugins,
    }
}

fn recipient<'a>(name: &str, plugins: Plugins<'a>) -> Recipient<'a> {
    Recipient {
        name: name.to_owned(),
        text: RECIPIENT.to_owned(),
        plugins,
    }
}

/// What comes of asking the stub for the key of that stanza.
fn unwrap(name: &str, talk: &Talk<'_>) -> Result<Option<FileKey>, AgeError> {
    let (_folder, env) = installed(name);
    let plugins = Plugins::Allowed { env: &env, talk };
    let lines = [identity_line(name)];
    identity(name, &lines, plugins).unwrap(&[grease_the_joint(), stanza()])
}

#[track_caller]
fn fault(name: &str) -> PluginFault {
    match unwrap(name, &SILENT) {
        Err(AgeError::Plugin { program, fault }) => {
            assert_eq!(program, format!("age-plugin-{name}"));
            fault
        }
        Err(other) => panic!("{name}: {other}"),
        Ok(_) => panic!("{name} did not fail"),
    }
}

#[test]
fn a_key_comes_back_whatever_unknown_words_are_spoken_between() {
    for name in ["stub", "stub-odd", "stub-orphan"] {
        let key = unwrap(name, &SILENT).expect("no fault").expect("a key");
        assert_eq!(key.expose_secret(), &[0; 16], "{name}");
    }
    assert!(unwrap("stub-mute", &SILENT).expect("no fault").is_none());
    // A key of another length is none.
    assert!(unwrap("stub-short", &SILENT).expect("no fault").is_none());
}

#[test]
fn a_plugin_that_lingers_after_its_work_is_ended() {
    let (_folder, env) = installed("stub-lingers");
    let plugins = Plugins::Allowed {
        env: &env,
        talk: &SILENT,
    };
    let lines = [identity_line("stub-lingers")];
    let key = identity("stub-lingers", &lines, plugins).unwrap(&[stanza()]);
    assert!(key.expect("no fault").is_some());
}

#[test]
fn a_plugin_that_breaks_off_or_says_too_much_is_stopped() {
    assert!(matches!(fault("stub-die"), PluginFault::Ended));
    assert!(matches!(fault("stub-long"), PluginFault::Endless));
    assert!(matches!(fault("stub-chatter"), PluginFault::Endless));
    assert!(matches!(fault("stub-garble"), PluginFault::Garbled));
    assert!(matches!(fault("stub-base"), PluginFault::Garbled));
}

/// A conversation of little patience, and the id of its process.
fn started<'a>(folder: &Path, name: &str, env: &ChildEnv, talk: &'a Talk<'a>) -> Conversation<'a> {
    let path = folder.join(format!("age-plugin-{name}"));
    let process = Process::start(&path, "--age-plugin=identity-v1", env).expect("it starts");
    Conversation {
        program: format!("age-plugin-{name}"),
        process,
        talk,
        patience: Duration::from_secs(1),
        said_bytes: 0,
        secrets: Vec::new(),
        reasons: Vec::new(),
        unanswered: None,
    }
}

#[test]
fn a_plugin_that_says_or_reads_nothing_does_not_hold_up_the_run() {
    for name in ["stub-silent", "stub-deaf"] {
        let (folder, env) = installed(name);
        let mut talk = started(folder.path(), name, &env, &SILENT);
        // More than fits into a pipe that nobody reads.
        for _ in 0..64 {
            talk.send("recipient-stanza", &["0", "x"], &[7; 4096]);
        }
        talk.send("done", &[], b"");
        let ended = talk.listen(&mut |_| UNSUPPORTED);
        assert!(
            matches!(
                ended,
                Err(AgeError::Plugin {
                    fault: PluginFault::Silent { seconds: 1 },
                    ..
                })
            ),
            "{name}"
        );
        let pid = talk.process.child.id();
        drop(talk);
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{name} runs");
    }
}

#[test]
fn a_message_is_shown_before_the_wait_that_it_asks_for() {
    let told = RefCell::new(Vec::new());
    let tell =
        |program: &str, text: &ForeignText| told.borrow_mut().push(format!("{program} {text}"));
    let talk = Talk {
        tell: &tell,
        ..SILENT
    };
    let (folder, env) = installed("stub-touch");
    let mut conversation = started(folder.path(), "stub-touch", &env, &talk);
    conversation.send("done", &[], b"");
    assert!(conversation.listen(&mut |_| UNSUPPORTED).is_err());
    assert_eq!(
        *told.borrow(),
        ["age-plugin-stub-touch \"Please touch it.\""]
    );
}

#[test]
fn reasons_are_cleaned_and_withheld_where_they_repeat_a_secret() {
    let PluginFault::Said(text) = fault("stub-fail") else {
        panic!("it gave a reason");
    };
    let shown = text.to_string();
    assert!(shown.starts_with("\"no \\u{1b}[2Jdevice"), "{shown}");
    assert!(!shown.contains("##") && !shown.contains('\u{202e}'));

    let talk = Talk {
        ask_secret: &|_, _| Ok(SecretString::from("canary-pin")),
        ..SILENT
    };
    let error = unwrap("stub-parrot", &talk).err().expect("it fails");
    assert!(!error.to_string().contains("canary"), "{error}");
    assert!(error.to_string().contains("withheld"), "{error}");
}

#[test]
fn what_nobody_can_answer_is_said() {
    assert!(matches!(fault("stub-pin"), PluginFault::Unanswered));
    let asked = RefCell::new(Vec::new());
    let ask = |_: &str, text: &ForeignText| {
        asked.borrow_mut().push(text.to_string());
        Ok("token-7".to_owned())
    };
    let choose = |_: &str, choice: &Choice<'_>| {
        let Choice {
            question, first, ..
        } = choice;
        let no = choice.second.map(ToString::to_string);
        asked
            .borrow_mut()
            .push(format!("{question} {first} {no:?}"));
        Ok(true)
    };
    let talk = Talk {
        tell: &|_, _| {},
        choose: &choose,
        ask: &ask,
        ask_secret: &|_, _| Ok(SecretString::from("canary-pin")),
    };
    assert!(unwrap("stub-pin", &talk).expect("no fault").is_some());
    assert_eq!(asked.borrow()[0], "\"Name of the token\"");
    assert_eq!(
        asked.borrow()[1],
        "\"Ready?\" \"Use it\" Some(\"\\\"Leave it\\\"\")"
    );
}

#[test]
fn a_plugin_that_asks_again_and_again_is_stopped_by_one_interrupt() {
    let asked = RefCell::new(0);
    let talk = Talk {
        ask_secret: &|_, _| {
            *asked.borrow_mut() += 1;
            Err(NoPassphrase::Interrupted)
        },
        ..SILENT
    };
    let ended = unwrap("stub-nag", &talk);
    assert!(matches!(ended, Err(AgeError::Interrupted)));
    assert_eq!(*asked.borrow(), 1);
}

#[test]
fn a_reason_that_repeats_the_key_of_the_file_is_withheld() {
    let (_folder, env) = installed("stub-tell");
    let plugins = Plugins::Allowed {
        env: &env,
        talk: &SILENT,
    };
    let recipient = recipient("stub-tell", plugins);
    let key = FileKey::new(Box::new(*b"canary-file-key!"));
    let error = recipient.wrap(&key).expect_err("it fails");
    assert!(error.to_string().contains("withheld"), "{error}");
}

#[test]
fn no_plugin_is_started_where_none_may_be_or_none_is_found() {
    let lines = [identity_line("stub")];
    let never = identity("stub", &lines, Plugins::Never).unwrap(&[stanza()]);
    assert!(matches!(never, Err(AgeError::PluginNotStarted { .. })));

    let env = ChildEnv::default();
    let plugins = Plugins::Allowed {
        env: &env,
        talk: &SILENT,
    };
    let missing = identity("stub", &lines, plugins).unwrap_stanzas(&[stanza()]);
    let Some(Err(age::DecryptError::Io(error))) = missing else {
        panic!("it is not there");
    };
    let error = error.downcast::<AgeError>().expect("our own error");
    assert!(matches!(error, AgeError::NoPlugin { program } if program == "age-plugin-stub"));
}

#[test]
fn a_recipient_gets_a_stanza_or_nothing_is_sealed() {
    let key = FileKey::new(Box::new([0; 16]));
    let wrap = |name: &str| {
        let (_folder, env) = installed(name);
        let plugins = Plugins::Allowed {
            env: &env,
            talk: &SILENT,
        };
        recipient(name, plugins).wrap(&key)
    };
    let (stanzas, labels) = wrap("stub").expect("a stanza");
    assert_eq!(stanzas, [stanza()]);
    assert!(labels.is_empty());
    let (_, labels) = wrap("stub-labels").expect("a stanza");
    assert!(labels.contains("postquantum"));
    for name in ["stub-mute", "stub-fail", "stub-die"] {
        assert!(wrap(name).is_err(), "{name}");
    }
}
