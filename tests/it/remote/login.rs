//! Logins: those of the clone, of an address and of the environment, and where none is seen.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use drspass::core::secret::Secret;
use drspass::store::remote::GitLogin;

use super::*;

/// One whose clone has no login.
fn without_login() -> Yard {
    let yard = Yard::new(Transport::Http);
    let header = format!("http.{}.extraheader", yard.server.url(""));
    yard.git("clone", &["config", "--unset-all", &header]);
    yard
}

fn login(password: &str) -> Option<GitLogin> {
    Some(GitLogin {
        username: "somebody".to_owned(),
        password: Secret::new(password.to_owned()),
    })
}

fn with_login(yard: &Yard, login: Option<GitLogin>) -> Remote {
    let access = GitAccess {
        login,
        ..yard.access()
    };
    Remote::find(
        &yard.path("clone"),
        &place("origin", "drspass-state/x"),
        &access,
    )
    .unwrap()
}

/// Works with a remote, and looks into the arguments of every process meanwhile.
fn works(yard: &Yard, remote: &Remote) {
    put_program(&yard.path("srv/infra.git/hooks/pre-receive"), "sleep 0.2");
    let (is_over, is_seen) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).into_owned();
                    let is_shown = line.contains(PASSWORD) || line.contains(&AUTHORIZATION[6..]);
                    assert!(!is_shown, "{line}");
                    if line.contains("push\0--porcelain") && line.contains(&yard.server.url("")) {
                        is_seen.store(true, SeqCst);
                    }
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        let first = created(remote, "one");
        let second = done(remote.push(b"two", Some(&first), "two", at()));
        assert_eq!(fetched(remote), second);
        is_over.store(true, SeqCst);
    });
    assert!(is_seen.load(SeqCst));
}

#[test]
fn the_login_of_the_clone_counts_wherever_it_is_kept() {
    let yard = Yard::new(Transport::Http);
    works(&yard, &yard.remote());

    // As actions/checkout keeps it.
    let yard = without_login();
    let included = yard.path("home/included");
    fs::write(&included, yard.header()).unwrap();
    let condition = format!(
        "includeIf.gitdir:{}.path",
        yard.path("clone/.git").display()
    );
    yard.git(
        "clone",
        &["config", &condition, &included.display().to_string()],
    );
    works(&yard, &with_login(&yard, login("canary-wrong")));

    // In the settings of a user, for clones below a directory.
    let yard = without_login();
    fs::write(yard.path("home/included"), yard.header()).unwrap();
    let condition = format!(
        "[includeIf \"gitdir:{}/\"]\n\tpath = included\n",
        yard.dir.path().display()
    );
    fs::write(yard.path("home/.gitconfig"), condition).unwrap();
    works(&yard, &yard.remote());

    let yard = without_login();
    let helper = format!("!f() {{ echo username=somebody; echo password={PASSWORD}; }}; f");
    yard.git("clone", &["config", "credential.helper", &helper]);
    works_without_arguments(&yard, &with_login(&yard, login("canary-wrong")));
}

#[test]
fn a_program_of_the_clone_is_found_from_its_top() {
    let yard = without_login();
    let script = format!("echo username=somebody; echo password={PASSWORD}");
    put_program(&yard.path("clone/login"), &script);
    yard.git("clone", &["config", "credential.helper", "!./login"]);
    fs::create_dir(yard.path("clone/root")).unwrap();
    let place = place("origin", "drspass-state/x");
    let remote = Remote::find(&yard.path("clone/root"), &place, &yard.access()).unwrap();
    works_without_arguments(&yard, &remote);
}

/// As [`works`], where the user's own helper shows its password to the shell.
fn works_without_arguments(yard: &Yard, remote: &Remote) {
    let first = created(remote, "one");
    let second = done(remote.push(b"two", Some(&first), "two", at()));
    assert_eq!(fetched(&yard.remote()), second);
}

#[test]
fn a_login_in_the_address_is_no_argument_of_git() {
    let yard = without_login();
    let start = format!("http://somebody:{}@", PASSWORD.replace('-', "%2d"));
    let url = yard.origin.replace("http://", &start);
    yard.git("clone", &["remote", "set-url", "origin", &url]);
    let remote = with_login(&yard, login("canary-wrong"));
    assert!(
        !remote.repository().contains('@'),
        "{}",
        remote.repository()
    );
    works(&yard, &remote);
}

#[test]
fn a_login_in_the_address_counts_before_a_helper_as_with_git_itself() {
    let yard = without_login();
    let url = yard
        .origin
        .replace("http://", &format!("http://somebody:{PASSWORD}@"));
    let config = yard.path("clone/.git/config");
    let settings = fs::read_to_string(&config).unwrap();
    let settings = settings.replace(&yard.origin, &url);
    let helper = "[credential]\n\thelper = \"!f() { echo password=canary-wrong; }; f\"\n";
    fs::write(config, settings + helper).unwrap();
    works(&yard, &yard.remote());
}

#[test]
fn a_login_of_the_environment_counts_where_the_clone_has_none() {
    let yard = without_login();
    works(&yard, &with_login(&yard, login(PASSWORD)));
    // One for another host is none.
    let yard = without_login();
    yard.git(
        "clone",
        &[
            "config",
            "http.https://example.com/.extraheader",
            "Authorization: basic x",
        ],
    );
    works(&yard, &with_login(&yard, login(PASSWORD)));
    let yard = Yard::new(Transport::Http);
    works(&yard, &with_login(&yard, login("canary-wrong")));
}

#[test]
fn no_login_and_a_wrong_one_are_refused_at_once() {
    for login in [None, login("canary-wrong")] {
        let yard = without_login();
        let remote = with_login(&yard, login);
        let failure = remote.fetch(PATIENCE).unwrap_err();
        assert_told(&failure, &["drspass::place::fetch"]);
        assert!(!told(&failure).contains("canary-wrong"));
    }
}

#[test]
fn whoever_may_only_read_is_told_so() {
    let yard = without_login();
    yard.server.is_readable.store(true, SeqCst);
    let writer = with_login(&yard, login(PASSWORD));
    let first = created(&writer, "one");
    let reader = with_login(&yard, None);
    assert_eq!(fetched(&reader), first);
    let failure = not_done(reader.push(b"two", Some(&first), "two", at()));
    assert_told(
        &failure,
        &["drspass::place::refused", "DRSPASS_STATE_USERNAME"],
    );
    assert_eq!(fetched(&reader), first);
}

#[test]
fn a_server_that_repeats_the_login_is_not_quoted() {
    let yard = Yard::new(Transport::Http);
    let remote = yard.remote();
    yard.server.is_chatty.store(true, SeqCst);
    let failure = remote.fetch(PATIENCE).unwrap_err();
    assert_told(&failure, &["withheld"]);
}

#[test]
fn git_gets_no_variable_of_drspass_and_no_key_of_the_terminal_when_it_pushes() {
    let yard = Yard::new(Transport::Disk);
    let (names, group) = (yard.path("names"), yard.path("group"));
    // A local repository's hooks are children of our git.
    let (names, group) = (names.display(), group.display());
    let script = format!("env >>'{names}'; cut -d ' ' -f 5 </proc/self/stat >'{group}'");
    put_program(&yard.path("srv/infra.git/hooks/pre-receive"), &script);
    created(&yard.remote(), "one");
    let names = fs::read_to_string(yard.path("names")).unwrap();
    assert!(
        names.contains("HOME=") && !names.contains("canary"),
        "{names}"
    );
    assert!(!names.contains("DRSPASS_"), "{names}");
    // Ctrl-C goes to the group of the terminal.
    let group = fs::read_to_string(yard.path("group")).unwrap();
    let ours = rustix::process::getpgrp().as_raw_nonzero().to_string();
    assert_ne!(group.trim(), ours);
}

/// A remote behind an ssh that writes down what it is told.
fn behind_ssh(yard: &Yard, is_terminal: bool) -> Remote {
    let script = format!(
        "echo \"$*\" >>'{}'\nfor last; do :; done\neval \"$last\"",
        yard.path("said").display()
    );
    put_program(&yard.path("bin/ssh"), &script);
    let url = format!("ssh://git@git.example.com{}", yard.origin);
    yard.git("clone", &["remote", "set-url", "origin", &url]);
    let ssh = format!("{} -i key", yard.path("bin/ssh").display());
    yard.git("clone", &["config", "core.sshCommand", &ssh]);
    let access = GitAccess {
        is_terminal,
        ..yard.access()
    };
    let place = place("origin", "drspass-state/x");
    Remote::find(&yard.path("clone"), &place, &access).unwrap()
}

/// For each connection so far, whether ssh was to ask nothing.
fn quiet_connections(yard: &Yard) -> Vec<bool> {
    let said = fs::read_to_string(yard.path("said")).unwrap();
    assert!(said.lines().all(|it| it.starts_with("-i key")), "{said}");
    let quiet = said.lines().map(|it| it.contains("-oBatchMode=yes"));
    quiet.collect()
}

#[test]
fn ssh_asks_once_at_most_and_never_without_a_terminal() {
    for is_terminal in [true, false] {
        let yard = Yard::new(Transport::Disk);
        let remote = behind_ssh(&yard, is_terminal);
        let first = created(&remote, "one");
        done(remote.push(b"two", Some(&first), "two", at()));
        let quiet = quiet_connections(&yard);
        assert_eq!(quiet[0], !is_terminal);
        assert!(quiet.len() > 3 && quiet[1..].iter().all(|it| *it));
    }
}

#[test]
fn a_brief_question_over_ssh_asks_for_nothing_on_a_terminal_either() {
    let yard = Yard::new(Transport::Disk);
    let first = created(&yard.remote(), "one");
    let remote = behind_ssh(&yard, true);
    assert_eq!(remote.fetch_unasked(PATIENCE).unwrap(), Some(first));
    let quiet = quiet_connections(&yard);
    assert!(!quiet.is_empty() && quiet.iter().all(|it| *it));
}
