//! Which repository a remote of a clone means, and where what lasts is kept.

use std::net::TcpListener;
use std::os::unix::fs::symlink;

use super::*;

#[track_caller]
fn refused(yard: &Yard, remote: &str, words: &[&str]) {
    let failure = match yard.find(&place(remote, "x")) {
        Ok(found) => panic!("{}", found.repository()),
        Err(failure) => failure,
    };
    assert_told(&failure, &[&["Nothing was sent"], words].concat());
}

#[test]
fn ssh_and_https_of_one_repository_are_one_and_nothing_is_connected() {
    let yard = Yard::new(Transport::Disk);
    for address in [
        "https://github.com/acme/infra.git",
        "https://token:canary@GITHUB.com/acme/infra",
        "git@github.com:acme/infra.git",
        "ssh://git@github.com:22/acme/infra",
    ] {
        yard.git("clone", &["remote", "set-url", "origin", address]);
        let remote = yard.remote();
        assert_eq!(remote.repository(), "github.com/acme/infra");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    for address in [
        format!("http://{host}/x.git"),
        format!("ssh://{host}/x"),
        format!("git://{host}/x"),
    ] {
        yard.git("clone", &["remote", "set-url", "origin", &address]);
        assert_eq!(yard.remote().repository(), format!("{host}/x"));
        assert!(yard.remote().is_upstream());
    }
    assert!(listener.accept().is_err(), "a connection was made");
}

#[test]
fn the_push_address_counts_after_all_settings() {
    let yard = Yard::new(Transport::Disk);
    let repository = |yard: &Yard| yard.remote().repository().to_owned();
    yard.git(
        "clone",
        &[
            "remote",
            "set-url",
            "origin",
            "https://mirror.example.com/a/b",
        ],
    );
    yard.git(
        "clone",
        &[
            "remote",
            "set-url",
            "--push",
            "origin",
            "git@git.example.com:a/b.git",
        ],
    );
    assert_eq!(repository(&yard), "git.example.com/a/b");
    yard.git("clone", &["config", "--unset", "remote.origin.pushurl"]);
    yard.git(
        "clone",
        &[
            "config",
            "url.ssh://git@git.example.com/.pushInsteadOf",
            "https://mirror.example.com/",
        ],
    );
    assert_eq!(repository(&yard), "git.example.com/a/b");
    yard.git(
        "clone",
        &[
            "config",
            "url.https://other.example.com/.insteadOf",
            "ssh://git@git.example.com/",
        ],
    );
    assert_eq!(repository(&yard), "git.example.com/a/b");
}

#[test]
fn a_mirror_for_reading_is_never_read() {
    let yard = Yard::new(Transport::Disk);
    let remote = yard.remote();
    let first = created(&remote, "one");
    // An older state is in the mirror, from which people clone.
    yard.git(
        "srv",
        &["clone", "--quiet", "--mirror", "infra.git", "mirror.git"],
    );
    let second = done(remote.push(b"two", Some(&first), "two", at()));
    let start = format!("{}/", yard.path("srv").display());
    let mirror = format!("{start}mirror.git");
    yard.git(
        "clone",
        &["config", &format!("url.{start}.pushInsteadOf"), "team:"],
    );
    yard.git(
        "clone",
        &[
            "config",
            &format!("url.{mirror}.insteadOf"),
            "team:infra.git",
        ],
    );
    yard.git("clone", &["remote", "set-url", "origin", "team:infra.git"]);
    assert_eq!(
        yard.git("clone", &["ls-remote", "--get-url", "origin"]),
        mirror
    );
    // The user's settings lead the real address to the mirror as well.
    let settings = format!("[url \"{mirror}\"]\n\tinsteadOf = {start}infra\n");
    fs::write(yard.path("home/.gitconfig"), settings).unwrap();
    assert_eq!(fetched(&yard.remote()), second);
    let settings = format!("[url \"{mirror}\"]\n\tinsteadOf = {start}infra.git\n");
    fs::write(yard.path("home/.gitconfig"), settings).unwrap();
    refused(
        &yard,
        "origin",
        &[
            "drspass::place::address",
            "git rewrites the push address of remote origin",
        ],
    );
    let settings = format!("[url \"{mirror}\"]\n\tpushInsteadOf = {start}infra.git\n");
    fs::write(yard.path("home/.gitconfig"), settings).unwrap();
    refused(&yard, "origin", &["drspass::place::address", "insteadOf"]);
}

#[test]
fn a_remote_is_one_of_the_clone_with_one_push_address() {
    let yard = Yard::new(Transport::Disk);
    refused(
        &yard,
        "upstream",
        &[
            "drspass::place::remote",
            "no remote upstream",
            "git remote add upstream",
        ],
    );
    let settings = "[remote \"upstream\"]\n\turl = https://example.com/a/b\n";
    fs::write(yard.path("home/.gitconfig"), settings).unwrap();
    refused(&yard, "upstream", &["drspass::place::remote"]);
    yard.git(
        "clone",
        &[
            "remote",
            "set-url",
            "--add",
            "--push",
            "origin",
            "https://example.com/a/b",
        ],
    );
    yard.git(
        "clone",
        &[
            "remote",
            "set-url",
            "--add",
            "--push",
            "origin",
            "https://example.com/c/d",
        ],
    );
    refused(
        &yard,
        "origin",
        &["drspass::place::remote", "2 push addresses"],
    );
    for address in [
        "ext::sh -c 'touch trace'",
        "-oProxyCommand=x@host:path",
        "ftp://example.com/a",
        "ssh://git:canary-git-password@example.com/a",
        "https://example.com",
        "../missing",
    ] {
        yard.git("clone", &["config", "remote.odd.url", address]);
        refused(&yard, "odd", &["drspass::place::address", "remote odd"]);
    }
}

#[test]
fn a_path_is_taken_from_the_top_of_the_clone() {
    let yard = Yard::new(Transport::Disk);
    let expected = yard.path("srv/infra").canonicalize();
    assert!(expected.is_err(), "it is a name, not a file");
    let srv = yard.path("srv").canonicalize().unwrap();
    fs::create_dir_all(yard.path("clone/envs/prod")).unwrap();
    for address in ["../srv/infra.git", "../srv/infra"] {
        yard.git("clone", &["remote", "set-url", "origin", address]);
        let remote = Remote::find(
            &yard.path("clone/envs/prod"),
            &place("origin", "x"),
            &yard.access(),
        );
        let remote = remote.unwrap();
        assert_eq!(remote.repository(), srv.join("infra").display().to_string());
        assert!(remote.fetch(PATIENCE).unwrap().is_none());
    }
}

#[test]
fn the_repository_that_people_push_to_is_recognised() {
    let yard = Yard::new(Transport::Disk);
    let is_upstream = |remote: &str| yard.find(&place(remote, "x")).unwrap().is_upstream();
    yard.git(
        "clone",
        &["remote", "add", "fork", "https://example.com/me/infra"],
    );
    yard.git(
        "clone",
        &["remote", "add", "same", &format!("file://{}", yard.origin)],
    );
    assert!(is_upstream("origin") && is_upstream("same") && !is_upstream("fork"));
    yard.git("clone", &["config", "branch.main.remote", "fork"]);
    yard.git("clone", &["config", "branch.main.merge", "refs/heads/main"]);
    assert!(!is_upstream("origin") && is_upstream("fork"));
    yard.git("clone", &["checkout", "--quiet", "--detach"]);
    assert!(is_upstream("origin") && !is_upstream("fork"));
}

#[test]
fn each_root_directory_has_a_place_of_its_own_in_the_clone() {
    let yard = Yard::new(Transport::Disk);
    for name in ["clone/a", "clone/b"] {
        fs::create_dir(yard.path(name)).unwrap();
        fs::write(yard.path(name).join("file"), "").unwrap();
    }
    yard.git("clone", &["add", "."]);
    yard.git("clone", &["commit", "--quiet", "--message=roots"]);
    yard.git("clone", &["worktree", "add", "--quiet", "../linked"]);
    let local = |name: &str| {
        let remote = Remote::find(&yard.path(name), &place("origin", "x"), &yard.access()).unwrap();
        remote.local().to_owned()
    };
    let below = yard
        .path("clone/.git")
        .canonicalize()
        .unwrap()
        .join("drspass");
    let places = ["clone", "clone/a", "clone/b"].map(local);
    for place in &places {
        assert_eq!(place.parent(), Some(&*below));
        assert_eq!(place.file_name().unwrap().len(), 16);
    }
    assert!(places[0] != places[1] && places[1] != places[2] && places[0] != places[2]);
    assert_eq!(["linked", "linked/a", "linked/b"].map(local), places);
    assert!(!below.exists(), "it is only named");
}

#[test]
fn a_link_in_the_way_of_what_lasts_is_not_followed() {
    let yard = Yard::new(Transport::Disk);
    let local = yard.remote().local().to_owned();
    let place = local.parent().unwrap();
    fs::create_dir(yard.path("elsewhere")).unwrap();
    let words = ["drspass::place::folder", "it is not a directory"];
    symlink(yard.path("elsewhere"), place).unwrap();
    refused(&yard, "origin", &words);
    fs::remove_file(place).unwrap();
    fs::write(place, "").unwrap();
    refused(&yard, "origin", &words);
    fs::remove_file(place).unwrap();
    fs::create_dir(place).unwrap();
    symlink(yard.path("missing"), &local).unwrap();
    refused(&yard, "origin", &words);
    fs::remove_file(&local).unwrap();
    fs::create_dir(&local).unwrap();
    assert_eq!(yard.remote().local(), local);
}

#[test]
fn a_repository_that_a_commit_brought_along_is_not_opened() {
    let yard = Yard::new(Transport::Disk);
    let trace = yard.path("trace");
    let root = yard.path("clone/root");
    yard.git("clone", &["init", "--quiet", "--bare", "root"]);
    let monitor = format!("touch '{}'", trace.display());
    for setting in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.hooksPath",
        "credential.helper",
    ] {
        yard.git("clone/root", &["config", setting, &monitor]);
    }
    yard.git(
        "clone/root",
        &["config", "remote.origin.url", "https://evil.example.com/x"],
    );
    let find = || Remote::find(&root, &place("origin", "x"), &yard.access());
    assert_told(&find().err().unwrap(), &["drspass::place::clone"]);
    yard.git("clone/root", &["config", "core.worktree", "."]);
    yard.git("clone/root", &["config", "core.bare", "false"]);
    assert_told(&find().err().unwrap(), &["drspass::place::clone"]);
    assert!(!trace.exists());
}

#[test]
fn a_clone_and_a_git_of_today_are_needed() {
    let yard = Yard::new(Transport::Disk);
    let place = place("origin", "x");
    let outside = Remote::find(&yard.path("srv"), &place, &yard.access())
        .err()
        .unwrap();
    assert_told(
        &outside,
        &[
            "drspass::place::clone",
            "not a git repository",
            "Nothing was sent",
        ],
    );
    let missing = Remote::find(&yard.path("nowhere"), &place, &yard.access())
        .err()
        .unwrap();
    assert_told(&missing, &["drspass::place::clone", "No such file"]);

    let with_path = |path: &str| {
        let vars = [
            ("PATH".into(), path.into()),
            ("HOME".into(), yard.path("home").into()),
        ];
        let access = GitAccess::of(vars, yard.path("temporary"), false);
        Remote::find(&yard.path("clone"), &place, &access)
    };
    assert_told(
        &with_path("/nowhere").err().unwrap(),
        &["drspass::git::missing", "Install git"],
    );
    let programs = yard.path("programs");
    put_program(&programs.join("git"), "echo git version 2.30.9");
    let old = with_path(&programs.display().to_string()).err().unwrap();
    assert_told(
        &old,
        &[
            "drspass::place::git",
            "git 2.30.9 is too old",
            "2.31 or newer",
        ],
    );
}

#[test]
fn a_clone_of_another_owner_is_refused_in_words_of_git() {
    let yard = Yard::new(Transport::Disk);
    // As in the job of a container, whose files belong to another user.
    let script = format!("GIT_TEST_ASSUME_DIFFERENT_OWNER=1 PATH={PROGRAMS} exec git \"$@\"");
    put_program(&yard.path("programs/git"), &script);
    let mut access = yard.access();
    let path = [("PATH".into(), yard.path("programs").into())];
    access.env = GitAccess::of(path, yard.path("temporary"), false).env;
    let failure = Remote::find(&yard.path("clone"), &place("origin", "x"), &access)
        .err()
        .unwrap();
    assert_told(&failure, &["drspass::place::clone", "dubious ownership"]);
}
