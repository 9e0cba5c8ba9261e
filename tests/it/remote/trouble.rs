//! Pushes that are cut off, lost, refused or without an answer.

use std::sync::atomic::Ordering::SeqCst;

use super::*;
use crate::support::backend::kill_push;

/// Where the first push of a second state is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The server has nothing yet.
    Before,
    /// It has all, and goes on only once the same push came again and went through.
    HookAndLate,
    /// The same, but goes on while that one is on its way.
    HookAndEarly,
    /// The branch has the new state, and nobody was told.
    Landed,
    /// The answer is out.
    Answered,
}

impl Moment {
    /// Lets a first push wait there, by hooks of the server or a program in the place of git.
    fn arrange(self, yard: &Yard) -> Remote {
        let at = |name: &str| yard.path(name).display().to_string();
        let (reached, go, landed) = (at("reached"), at("go"), at("landed"));
        let until = |file: &str| format!("until [ -e '{file}' ]; do sleep 0.02; done");
        let wait = format!("mkdir '{reached}' 2>&- && {{ {}; exit 0; }}", until(&go));
        let hook = |name: &str, script: &str| {
            put_program(&yard.path("srv/infra.git/hooks").join(name), script);
        };
        let mut access = yard.access();
        match self {
            Self::Before => {
                let script = format!(
                    "case \"$*\" in *' push --porcelain '*) {wait};; esac; PATH={PROGRAMS} exec git \"$@\""
                );
                put_program(&yard.path("programs/git"), &script);
                let vars = [
                    ("PATH", format!("{}:{PROGRAMS}", at("programs"))),
                    ("HOME", at("home")),
                    ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
                ];
                let vars = vars.map(|(name, value)| (name.into(), value.into()));
                access.env = GitAccess::of(vars, yard.path("temporary"), false).env;
            }
            Self::HookAndLate => {
                hook("pre-receive", &format!("{wait}; exit 0"));
                hook("post-receive", &format!(": >'{go}'"));
            }
            Self::HookAndEarly => {
                let second = format!(": >'{go}'; {}", until(&landed));
                hook("pre-receive", &format!("{wait}; {second}"));
                hook("post-receive", &format!(": >'{landed}'"));
            }
            Self::Landed => hook(
                "reference-transaction",
                &format!("[ \"$1\" = committed ] || exit 0; {wait}; exit 0"),
            ),
            Self::Answered => hook("post-receive", &format!("{wait}; exit 0")),
        }
        let place = place("origin", "drspass-state/x");
        Remote::find(&yard.path("clone"), &place, &access).unwrap()
    }
}

#[test]
fn a_push_that_is_killed_at_any_moment_arrives_once() {
    use Moment::{Answered, Before, HookAndEarly, HookAndLate, Landed};
    let on_disk = [Before, HookAndLate, Landed, Answered];
    let behind_http = [Before, HookAndLate, HookAndEarly, Landed, Answered];
    let on_disk = on_disk.map(|moment| (Transport::Disk, moment));
    let behind_http = behind_http.map(|moment| (Transport::Http, moment));
    for (transport, moment) in on_disk.into_iter().chain(behind_http) {
        let yard = Yard::new(transport);
        let first = created(&yard.remote(), "one");
        let remote = moment.arrange(&yard);
        let killer = kill_push(&yard.origin, &yard.path("reached"));
        let second = done(remote.push(b"two", Some(&first), "two", at()));
        killer.join().unwrap();
        fs::write(yard.path("go"), "").unwrap();
        assert_eq!(fetched(&yard.remote()), second, "{transport:?} {moment:?}");
        let count = yard.server(&["rev-list", "--count", "drspass-state/x"]);
        assert_eq!(count, "2", "{transport:?} {moment:?}");
    }
}

#[test]
fn an_answer_that_is_lost_is_looked_for() {
    let yard = Yard::new(Transport::Http);
    let remote = yard.remote();
    let first = created(&remote, "one");
    yard.server.unanswered.store(1, SeqCst);
    let second = done(remote.push(b"two", Some(&first), "two", at()));
    assert_eq!(fetched(&yard.remote()), second);
    assert_eq!(
        yard.server(&["rev-list", "--count", "drspass-state/x"]),
        "2"
    );
}

/// A remote that does not wait long, its first state, and what became of the second one, which
/// the server took in silence or never saw.
fn in_doubt(yard: &Yard, is_taken: bool) -> (Remote, Tip) {
    let mut access = yard.access();
    access.limits.settle = Duration::from_millis(200);
    let remote = Remote::find(
        &yard.path("clone"),
        &place("origin", "drspass-state/x"),
        &access,
    );
    let remote = remote.unwrap();
    let first = created(&remote, "one");
    yard.server.unanswered.store(usize::from(is_taken), SeqCst);
    yard.server.falls_silent.store(is_taken, SeqCst);
    yard.server.is_mute.store(!is_taken, SeqCst);
    let Pushed::Unknown(failure) = remote.push(b"two", Some(&first), "two", at()) else {
        panic!()
    };
    assert_told(&failure, &["drspass::place::unknown", "cannot find out"]);
    yard.server.falls_silent.store(false, SeqCst);
    (remote, first)
}

#[test]
fn nobody_knows_what_became_of_a_push_until_the_server_answers_again() {
    for is_taken in [true, false] {
        let yard = Yard::new(Transport::Http);
        let (remote, first) = in_doubt(&yard, is_taken);
        // Still silent: now nobody knows either, and nothing more was pushed.
        let pushed = remote.push(b"three", Some(&first), "three", at());
        assert!(matches!(pushed, Pushed::Unknown(_)), "{pushed:?}");
        yard.server.is_mute.store(false, SeqCst);
        let third = done(remote.push(b"three", Some(&first), "three", at()));
        assert_eq!(fetched(&yard.remote()), third);
        let count = if is_taken { "3" } else { "2" };
        assert_eq!(
            yard.server(&["rev-list", "--count", "drspass-state/x"]),
            count
        );
    }
}

#[test]
fn the_same_state_pushed_again_is_found_where_it_arrived() {
    let yard = Yard::new(Transport::Http);
    let (remote, first) = in_doubt(&yard, true);
    yard.server.is_mute.store(false, SeqCst);
    let arrived = yard.server(&["rev-parse", "drspass-state/x"]);
    let second = done(remote.push(b"two", Some(&first), "two", at()));
    assert_eq!((second.commit, second.state), (arrived, b"two".to_vec()));
}

#[test]
fn someone_else_who_wrote_during_the_silence_is_seen() {
    for is_taken in [true, false] {
        let yard = Yard::new(Transport::Http);
        let (remote, first) = in_doubt(&yard, is_taken);
        yard.server.is_mute.store(false, SeqCst);
        let other = yard.remote();
        let read = fetched(&other);
        let theirs = done(other.push(b"theirs", Some(&read), "theirs", at()));
        let pushed = remote.push(b"three", Some(&first), "three", at());
        assert!(matches!(pushed, Pushed::Changed), "{pushed:?}");
        assert_eq!(fetched(&other), theirs);
    }
}

#[test]
fn a_state_in_doubt_counts_until_the_next_one_arrived() {
    let yard = Yard::new(Transport::Http);
    let (remote, first) = in_doubt(&yard, true);
    yard.server.is_mute.store(false, SeqCst);
    let in_doubt = yard.server(&["rev-parse", "drspass-state/x"]);
    let third = done(remote.push(b"three", Some(&first), "three", at()));
    // Someone puts the branch back to what was once pushed from here.
    yard.server(&["update-ref", "refs/heads/drspass-state/x", &in_doubt]);
    let pushed = remote.push(b"four", Some(&third), "four", at());
    assert!(matches!(pushed, Pushed::Changed), "{pushed:?}");
}

#[test]
fn the_refusal_of_a_server_is_named_and_can_be_overcome() {
    // On disk, the hooks of the hostile machine are the server's own.
    let hostile = Yard::hostile(Transport::Http).0;
    for yard in [
        Yard::new(Transport::Disk),
        Yard::new(Transport::Http),
        hostile,
    ] {
        let remote = yard.remote();
        let first = created(&remote, "one");
        let hook = yard.path("srv/infra.git/hooks/pre-receive");
        let script = "echo 'not here: \u{1b}[2J::set-output' >&2; exit 1";
        put_program(&hook, script);
        let failure = not_done(remote.push(b"two", Some(&first), "two", at()));
        let words = [
            "drspass::place::refused",
            "git:origin/drspass-state/x",
            "hook declined",
            "not here",
        ];
        assert_told(&failure, &words);
        let text = told(&failure);
        assert!(
            !text.contains('\u{1b}') && !text.contains("::set"),
            "{text:?}"
        );
        assert_eq!(fetched(&remote), first);
        fs::remove_file(&hook).unwrap();
        let second = done(remote.push(b"two", Some(&first), "two", at()));
        assert_eq!(fetched(&remote), second);
    }
}

#[test]
fn a_connection_that_breaks_is_no_refusal() {
    let yard = Yard::new(Transport::Disk);
    let remote = yard.remote();
    let first = created(&remote, "one");
    let once = format!(
        "mkdir '{}' && kill -9 $PPID; exit 0",
        yard.path("once").display()
    );
    put_program(&yard.path("srv/infra.git/hooks/pre-receive"), &once);
    let second = done(remote.push(b"two", Some(&first), "two", at()));
    assert!(yard.path("once").exists());
    assert_eq!(fetched(&remote), second);
}

#[test]
fn a_lock_of_another_writer_is_waited_for() {
    let yard = Yard::new(Transport::Disk);
    let remote = yard.remote();
    let first = created(&remote, "one");
    let lock = yard.path("srv/infra.git/refs/heads/drspass-state/x.lock");
    fs::write(&lock, "").unwrap();
    let hook = yard.path("srv/infra.git/hooks/pre-receive");
    // The second try finds it gone.
    let script = format!(
        "mkdir '{}' || rm -f '{}'",
        yard.path("tried").display(),
        lock.display()
    );
    put_program(&hook, &script);
    let second = done(remote.push(b"two", Some(&first), "two", at()));
    assert_eq!(fetched(&remote), second);
    assert!(yard.path("tried").exists());
}

#[test]
fn a_repository_that_is_gone_or_silent_is_an_error() {
    let yard = Yard::new(Transport::Http);
    let remote = yard.remote();
    created(&remote, "one");
    yard.server.is_mute.store(true, SeqCst);
    let words = [
        "drspass::place::fetch",
        "cannot read git:origin/drspass-state/x",
        "Nothing was sent",
    ];
    assert_told(&remote.fetch(PATIENCE).unwrap_err(), &words);
    assert_told(&remote.tip(PATIENCE).unwrap_err(), &words);
    yard.server.is_mute.store(false, SeqCst);
    assert!(remote.fetch(PATIENCE).unwrap().is_some());
    let failure = remote.fetch(Duration::ZERO).unwrap_err();
    assert_told(&failure, &["took too long"]);
    fs::rename(yard.path("srv/infra.git"), yard.path("srv/gone.git")).unwrap();
    assert_told(&remote.fetch(PATIENCE).unwrap_err(), &words);
}
