//! What a branch promises: read, created, replaced by one of many, and never by accident.

use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use super::*;

#[test]
fn a_state_is_created_replaced_and_read() {
    everywhere(|yard| {
        let remote = yard.remote();
        assert!(remote.fetch(PATIENCE).unwrap().is_none());
        assert!(remote.tip(PATIENCE).unwrap().is_none());
        let first = created(&remote, "one");
        assert_eq!(fetched(&remote), first);
        assert_eq!(fetched(&yard.remote()), first);
        assert_eq!(remote.tip(PATIENCE).unwrap(), Some(first.commit.clone()));
        let second = done(remote.push(b"two", Some(&first), "second state", at()));
        let third = done(remote.push(b"three", Some(&second), "third\u{fc}", at()));
        assert_eq!(fetched(&yard.remote()), third);
        assert_eq!(third.state, b"three");
        let log = ["log", "--format=%an %ae %cn %at %ct %B", "drspass-state/x"];
        let person = "drspass drspass@localhost drspass 1800000000 1800000000";
        let of = |title: &str| format!("{person} {title}\n\n[skip ci]");
        let expected = ["third\u{fc}", "second state", "first state"].map(of);
        assert_eq!(yard.server(&log), expected.join("\n\n"));
        let tree = yard.server(&["ls-tree", "-r", "drspass-state/x"]);
        assert!(
            tree.starts_with("100644 blob ") && tree.ends_with(STATE),
            "{tree}"
        );
        assert_eq!(
            yard.server(&["branch", "--format=%(refname)"])
                .lines()
                .count(),
            2
        );
        assert_eq!(yard.server(&["tag"]), "");
    });
}

#[test]
fn a_state_of_many_bytes_of_any_kind_comes_back_as_it_was() {
    for transport in [Transport::Disk, Transport::Http] {
        let yard = Yard::new(transport);
        let state: Vec<u8> = (0..4_000_000_u32)
            .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let tip = done(yard.remote().push(&state, None, "large", at()));
        assert!(fetched(&yard.remote()) == tip && tip.state == state);
    }
}

#[test]
fn only_what_was_read_is_replaced() {
    everywhere(|yard| {
        let (one, other) = (yard.remote(), yard.remote());
        let first = created(&one, "one");
        let changed = |pushed: Pushed| matches!(pushed, Pushed::Changed);
        assert!(changed(other.push(b"x", None, "appeared", at())));
        let read = fetched(&other);
        let second = done(one.push(b"two", Some(&first), "two", at()));
        assert!(changed(other.push(b"x", Some(&read), "stale", at())));
        assert_eq!(fetched(&other), second);

        // Put back by one commit, which a plain push would go on from.
        yard.server(&["update-ref", "refs/heads/drspass-state/x", &first.commit]);
        assert!(changed(one.push(b"three", Some(&second), "three", at())));
        assert_eq!(fetched(&other), first);

        yard.server(&["update-ref", "-d", "refs/heads/drspass-state/x"]);
        assert!(changed(one.push(b"three", Some(&second), "three", at())));
        assert!(changed(other.push(b"three", Some(&first), "three", at())));
        assert!(other.fetch(PATIENCE).unwrap().is_none());
    });
}

#[test]
fn of_many_that_replace_one_state_one_wins() {
    for transport in [Transport::Disk, Transport::Http] {
        let yard = Yard::new(transport);
        let first = created(&yard.remote(), "one");
        let remotes: Vec<Remote> = (0..16).map(|_| yard.remote()).collect();
        for remote in &remotes {
            assert_eq!(fetched(remote), first);
        }
        let pushed: Vec<Pushed> = thread::scope(|scope| {
            let push = |(number, remote): (usize, &Remote)| {
                remote.push(
                    format!("by {number}").as_bytes(),
                    Some(&first),
                    "race",
                    at(),
                )
            };
            let pushers = remotes.iter().enumerate();
            let pushers: Vec<_> = pushers.map(|one| scope.spawn(move || push(one))).collect();
            let ended = pushers.into_iter().map(|pusher| pusher.join());
            ended.map(Result::unwrap).collect()
        });
        let tip = fetched(&yard.remote());
        let mut winners = 0;
        for pushed in pushed {
            match pushed {
                Pushed::Done(won) => {
                    assert_eq!(won, tip);
                    winners += 1;
                }
                Pushed::Changed => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(winners, 1);
        assert_eq!(
            yard.server(&["rev-list", "--count", "drspass-state/x"]),
            "2"
        );
    }
}

#[test]
fn a_file_that_someone_puts_there_during_a_run_is_kept_and_then_named() {
    everywhere(|yard| {
        let remote = yard.remote();
        let first = created(&remote, "one");
        yard.put("notes/b\u{e4}r.txt", "a note");
        let second = done(remote.push(b"two", Some(&first), "two", at()));
        let third = done(remote.push(b"three", Some(&second), "three", at()));
        let names = yard.server(&["ls-tree", "-r", "-z", "--name-only", "drspass-state/x"]);
        assert_eq!(
            names.trim_end_matches('\0'),
            format!("{STATE}\0notes/b\u{e4}r.txt")
        );
        assert_eq!(
            yard.server(&["show", &format!("drspass-state/x:{STATE}")]),
            "three"
        );
        assert_eq!(yard.server(&["rev-parse", "drspass-state/x"]), third.commit);
        let failure = yard.remote().fetch(PATIENCE).unwrap_err();
        assert_told(
            &failure,
            &[
                "drspass::place::not_state",
                "\"notes\"",
                "Nothing was sent or changed.",
            ],
        );
    });
}

#[test]
fn a_branch_with_anything_but_a_state_is_refused() {
    let yard = Yard::new(Transport::Disk);
    let refused = |branch: &str, words: &[&str]| {
        let remote = yard.find(&place("origin", branch)).unwrap();
        let failure = remote.fetch(PATIENCE).unwrap_err();
        assert_told(
            &failure,
            &[
                &["drspass::place::not_state", "is not a state branch"],
                words,
            ]
            .concat(),
        );
    };
    refused("main", &["the default branch", "git:origin/main"]);
    yard.server(&["branch", "work", "main"]);
    refused("work", &["README"]);
    created(&yard.remote(), "one");
    let blob = yard.server(&["rev-parse", &format!("drspass-state/x:{STATE}")]);
    let tree_of = |mode: &str, name: &str| {
        let line = format!("{mode} blob {blob}\t{name}");
        std::fs::write(yard.path("line"), line).unwrap();
        let output = Command::new("/bin/sh")
            .args(["-c", "git mktree <\"$1\"", "sh"])
            .arg(yard.path("line"))
            .current_dir(yard.path("srv/infra.git"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for (mode, name) in [
        ("100755", STATE),
        ("120000", STATE),
        ("100644", "state.json"),
    ] {
        let commit = yard.server(&["commit-tree", &tree_of(mode, name), "-m", "odd"]);
        yard.server(&["update-ref", "refs/heads/odd", &commit]);
        refused("odd", &[]);
    }
    yard.server(&["branch", "--delete", "--force", "odd"]);
    let empty = yard.server(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let commit = yard.server(&["commit-tree", &empty, "-m", "empty"]);
    yard.server(&["update-ref", "refs/heads/odd", &commit]);
    refused("odd", &[STATE]);
    // Names are compared whole: git takes a name for the end of another.
    yard.server(&["update-ref", "refs/heads/a/odd", &commit]);
    yard.server(&["update-ref", "refs/heads/refs/heads/deep", &commit]);
    let deep = yard.find(&place("origin", "deep")).unwrap();
    assert!(deep.tip(PATIENCE).unwrap().is_none() && deep.fetch(PATIENCE).unwrap().is_none());
}

#[test]
fn the_first_branch_of_a_repository_is_not_a_state() {
    let yard = Yard::new(Transport::Disk);
    yard.server(&["update-ref", "-d", "refs/heads/main"]);
    let remote = yard.find(&place("origin", "main")).unwrap();
    assert!(remote.fetch(PATIENCE).unwrap().is_none());
    let failure = not_done(remote.push(b"x", None, "first", at()));
    assert_told(&failure, &["drspass::place::empty"]);
    assert_eq!(yard.server(&["for-each-ref"]), "");
}

#[test]
fn git_works_in_a_private_directory_outside_of_every_work_tree() {
    let yard = Yard::new(Transport::Disk);
    let remote = yard.remote();
    let own = std::fs::read_dir(yard.path("temporary"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(own.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    drop(remote);
    assert!(!own.path().exists());
    let mut access = yard.access();
    access.temporary = yard.path("clone");
    let before = content_of(&yard.path("clone"));
    let remote = Remote::find(&yard.path("clone"), &place("origin", "x"), &access).unwrap();
    assert!(content_of(&yard.path("clone")) == before);
    drop(remote);
}
