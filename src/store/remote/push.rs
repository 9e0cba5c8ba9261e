//! Replacing the state of a branch, and finding out whether that took effect.

use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::runner::GitUse;
use super::{Pushed, Remote, STATE, Tip, TreeEntry, left, line};
use crate::core::failure::Failure;
use crate::sys::git::{ChildEnd, ChildOutput};

/// How often a state is put on a tip on which someone else changes other files.
const ROUNDS: usize = 8;

/// How long another writer's lock may look like a refusal of the server.
const LOCK_PAUSE: Duration = Duration::from_secs(1);

/// How often the server must say no.
const REFUSALS: usize = 3;

/// What became of the push of one commit.
enum Sent {
    Landed,
    /// The server's own answer, and its reason.
    No(ChildOutput, String),
    /// git ended by itself, without an answer.
    Failed(ChildOutput),
    Lost(Failure),
}

/// Where the branch is, as the server last said.
enum Seen {
    Landed,
    Before,
    Moved,
    Nothing,
}

enum Settled {
    Landed,
    Moved,
    Refused(Failure),
    Unknown(Failure),
}

/// What the branch has now, for a state that is to be put there.
enum BranchLook {
    Onto(Option<String>),
    Landed(String),
    Changed,
}

/// Where the commit to push is; nothing else is there.
const OUT: &str = "refs/out/";

impl Remote {
    /// Replaces the state on top of the tip that was read, or creates the branch.
    pub fn push(&self, state: &[u8], onto: Option<&Tip>, message: &str, at: Timestamp) -> Pushed {
        self.replace(state, onto, message, at)
            .unwrap_or_else(Pushed::Refused)
    }

    fn replace(
        &self,
        state: &[u8],
        onto: Option<&Tip>,
        message: &str,
        at: Timestamp,
    ) -> Result<Pushed, Failure> {
        if onto.is_none() && self.doubted().is_empty() {
            self.check_new()?;
        }
        let mut base = onto.map(|tip| tip.commit.clone());
        let is_here = base.as_ref().is_none_or(|commit| self.tree(commit).is_ok());
        let mut is_seen = is_here && self.doubted().is_empty();
        for round in 0..=ROUNDS {
            if !is_seen {
                let look = match self.look(state, onto) {
                    // It may have arrived in between.
                    Err(why) if round > 0 => return Ok(self.doubt(state, self.unseen(why))),
                    // An earlier one may.
                    Err(why) if !self.doubted().is_empty() => {
                        return Ok(Pushed::Unknown(self.unseen(why)));
                    }
                    look => look?,
                };
                base = match look {
                    BranchLook::Onto(commit) => commit,
                    BranchLook::Landed(commit) => return Ok(self.done(state, commit)),
                    BranchLook::Changed => break,
                };
            }
            is_seen = false;
            if round == ROUNDS {
                break;
            }
            let commit = self.commit(state, base.as_deref(), message, at)?;
            match self.settled(&commit, base.as_deref()) {
                Settled::Landed => return Ok(self.done(state, commit)),
                Settled::Refused(why) => return Ok(Pushed::Refused(why)),
                Settled::Unknown(why) => return Ok(self.doubt(state, why)),
                Settled::Moved => {}
            }
        }
        Ok(Pushed::Changed)
    }

    fn doubted(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, state: &[u8], commit: String) -> Pushed {
        self.doubted().clear();
        Pushed::Done(Tip {
            commit,
            state: state.to_vec(),
        })
    }

    fn doubt(&self, state: &[u8], why: Failure) -> Pushed {
        self.doubted().push(state.to_vec());
        Pushed::Unknown(why)
    }

    /// Refuses to make the first branch of a repository, which becomes its default one.
    fn check_new(&self) -> Result<(), Failure> {
        let limit = self.limits.command;
        self.check_default(GitUse::Read, limit)?;
        if self
            .listed(GitUse::Read, &["--heads", "--", &self.address.url], limit)?
            .is_empty()
        {
            return Err(Failure::new(
                "drspass::place::empty",
                format!("{}: the repository has no branch yet", self.place),
                "Nothing was sent or changed. The first branch becomes the default one, which the state must not be: push another branch first.",
            ));
        }
        Ok(())
    }

    fn look(&self, state: &[u8], onto: Option<&Tip>) -> Result<BranchLook, Failure> {
        let Some(commit) = self.fetched(GitUse::Write, self.limits.command)? else {
            return Ok(match onto {
                None => BranchLook::Onto(None),
                Some(_) => BranchLook::Changed,
            });
        };
        let Some(found) = self.state_of(&self.tree(&commit)?)? else {
            return Ok(BranchLook::Changed);
        };
        let is_mine = onto.is_some_and(|tip| tip.state == found) || self.doubted().contains(&found);
        Ok(match is_mine {
            _ if found == state => BranchLook::Landed(commit),
            true => BranchLook::Onto(Some(commit)),
            false => BranchLook::Changed,
        })
    }

    /// Makes the commit that replaces the state and keeps every other file.
    fn commit(
        &self,
        state: &[u8],
        base: Option<&str>,
        message: &str,
        at: Timestamp,
    ) -> Result<String, Failure> {
        let blob = self
            .git
            .fed(&["hash-object", "-w", "--stdin"], state.to_vec(), &[])?;
        let mut tree = format!("100644 blob {}\t{STATE}\0", line(&blob)).into_bytes();
        for entry in base.map_or_else(|| Ok(Vec::new()), |base| self.tree(base))? {
            if entry.name != STATE.as_bytes() {
                let TreeEntry { mode, kind, id, .. } = &entry;
                tree.extend(format!("{mode} {kind} {id}\t").into_bytes());
                tree.extend(&entry.name);
                tree.push(0);
            }
        }
        let tree = line(&self.git.fed(&["mktree", "-z"], tree, &[])?);
        let date = format!("{} +0000", at.as_second());
        let vars = [
            ("GIT_AUTHOR_NAME", "drspass"),
            ("GIT_AUTHOR_EMAIL", "drspass@localhost"),
            ("GIT_AUTHOR_DATE", &date),
            ("GIT_COMMITTER_NAME", "drspass"),
            ("GIT_COMMITTER_EMAIL", "drspass@localhost"),
            ("GIT_COMMITTER_DATE", &date),
        ];
        let parent = base.map_or_else(Vec::new, |base| vec!["-p", base]);
        let args = [&["commit-tree", &tree][..], &parent].concat();
        // Pipelines leave such commits alone.
        let message = format!("{message}\n\n[skip ci]\n").into_bytes();
        Ok(line(&self.git.fed(&args, message, &vars)?))
    }

    /// Pushes a commit until it is known whether it arrived.
    fn settled(&self, commit: &str, base: Option<&str>) -> Settled {
        let (mut is_lost, mut refusals) = (false, 0);
        let mut until = None;
        // No question outlasts the time for all of them.
        let limit = |until: Option<Instant>| {
            let left = until.map_or(self.limits.command, left);
            left.min(self.limits.command)
        };
        loop {
            let sent = self.send(commit, base, limit(until));
            let (why, pause) = match (sent, self.seen(commit, base, limit(until))) {
                (Sent::Landed, _) | (_, Seen::Landed) => return Settled::Landed,
                (_, Seen::Moved) => return Settled::Moved,
                (Sent::No(output, reason), Seen::Before) if !is_lost => {
                    refusals += 1;
                    if refusals == REFUSALS {
                        return Settled::Refused(self.refused(&output, &reason));
                    }
                    (self.unknown(&output), self.limits.pause.min(LOCK_PAUSE))
                }
                (Sent::No(output, _), _) => (self.unknown(&output), self.limits.pause),
                (Sent::Failed(output), Seen::Before)
                    if !is_lost && self.is_closed(commit, base, limit(until)) =>
                {
                    return Settled::Refused(self.refused(&output, ""));
                }
                (Sent::Failed(output), _) => {
                    is_lost = true;
                    (self.unknown(&output), self.limits.pause)
                }
                (Sent::Lost(why), _) => {
                    is_lost = true;
                    (why, self.limits.pause)
                }
            };
            let until = *until.get_or_insert_with(|| Instant::now() + self.limits.settle);
            loop {
                if Instant::now() + pause > until {
                    return Settled::Unknown(why);
                }
                thread::sleep(pause);
                match self.seen(commit, base, limit(Some(until))) {
                    Seen::Landed => return Settled::Landed,
                    Seen::Moved => return Settled::Moved,
                    Seen::Before => break,
                    Seen::Nothing => {}
                }
            }
        }
    }

    fn seen(&self, commit: &str, base: Option<&str>, limit: Duration) -> Seen {
        match self.tip_as(GitUse::Write, limit) {
            Ok(Some(tip)) if tip == commit => Seen::Landed,
            Ok(tip) if tip.as_deref() == base => Seen::Before,
            Ok(_) => Seen::Moved,
            Err(_) => Seen::Nothing,
        }
    }

    /// Returns whether git cannot even begin a push, for want of a login or the permission.
    fn is_closed(&self, commit: &str, base: Option<&str>, limit: Duration) -> bool {
        let output = self.pushed(&["--dry-run"], commit, base, limit);
        output.is_ok_and(|output| {
            output.end == ChildEnd::Failed && self.status(&output.stdout).is_none()
        })
    }

    fn pushed(
        &self,
        options: &[&str],
        commit: &str,
        base: Option<&str>,
        limit: Duration,
    ) -> Result<ChildOutput, Failure> {
        // Without it, a branch that was put back would be pushed on. It forces nothing, since what
        // it expects is the parent.
        let base = base.unwrap_or_default();
        let lease = format!("--force-with-lease={}:{base}", self.reference);
        // Of a single name, git also takes one that only ends in it, such as a tag's; of a pattern not.
        let own = format!("{OUT}{}", self.place.branch);
        self.git.asked(&["update-ref", &own, commit])?;
        let refs = format!("{OUT}*:refs/heads/*");
        let args = ["push", "--porcelain", "--no-verify", "--no-signed", &lease];
        let to = ["--", &self.address.url, &refs];
        let args = [&args[..], options, &to].concat();
        self.git.run(GitUse::Write, &args, limit)
    }

    /// Returns the flag and the summary of our branch (git-push, "Output").
    fn status(&self, stdout: &[u8]) -> Option<(char, String)> {
        let text = String::from_utf8_lossy(stdout);
        let mut lines = text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, '\t');
            let (flag, refs, summary) = (parts.next()?, parts.next()?, parts.next()?);
            let (_, to) = refs.split_once(':')?;
            let is_ours = to == self.reference;
            is_ours.then(|| Some((flag.chars().next()?, summary.to_owned())))?
        });
        lines.next()
    }

    fn send(&self, commit: &str, base: Option<&str>, limit: Duration) -> Sent {
        let output = match self.pushed(&[], commit, base, limit) {
            Ok(output) => output,
            Err(why) => return Sent::Lost(self.unseen(why)),
        };
        match (self.status(&output.stdout), output.end) {
            (Some((' ' | '*' | '=', _)), _) => Sent::Landed,
            (Some((_, summary)), _) if summary.starts_with("[remote rejected]") => {
                Sent::No(output, summary)
            }
            (None, ChildEnd::Failed) => Sent::Failed(output),
            _ => Sent::Lost(self.unknown(&output)),
        }
    }

    fn refused(&self, output: &ChildOutput, summary: &str) -> Failure {
        let reason = summary.trim_start_matches("[remote rejected]").trim();
        let reason = self.git.logins.text(reason.trim_matches(['(', ')']));
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Failure::new(
            "drspass::place::refused",
            format!("cannot change {}{reason}{}", self.place, self.why(output)),
            "Nothing was sent. Allow this login to push to the branch, without force; git must not have to ask for it: use a credential helper, or DRSPASS_STATE_USERNAME and DRSPASS_STATE_PASSWORD.",
        )
    }

    fn unknown(&self, output: &ChildOutput) -> Failure {
        self.doubtful(&self.why(output))
    }

    fn unseen(&self, why: Failure) -> Failure {
        self.doubtful("").because(why)
    }

    fn doubtful(&self, why: &str) -> Failure {
        Failure::new(
            "drspass::place::unknown",
            format!("cannot find out whether {} was changed{why}", self.place),
            "Check the network, and look at the branch before you run the same command again.",
        )
    }
}
