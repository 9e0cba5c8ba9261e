//! Saved plans (design section 5): what is refused sends nothing and leaves the
//! state as it was; what is applied is exactly what was planned.

/// The name of a change.
mod change;
/// Copies of one root folder.
mod clones;
/// The file itself: what is taken for a plan, and how it is written.
mod files;
/// What a plan says of entries that are not to be sent, and limits.
mod gates;
/// A plan that goes on where it was left.
mod resume;
/// Who made it, for whom, and for how long.
mod seal;
/// No secret stands in a plan.
mod secrets;
/// The state that it was compared with.
mod state;
/// The manifest that it was made of.
mod wanted;

use std::path::Path;

use drspass::core::fingerprint::FingerprintKey;
use drspass::core::saved::SavedPlan;
use drspass::core::secret::Secret;
use drspass::store::plan_file::PlanFile;
use serde_json::Value;

use crate::support::{J1, J2, Lab, Run};

pub(crate) const PLAN: &str = "plan.json";
pub(crate) const STATE: &str = "drspass.state.json";
pub(crate) const JOURNAL: &str = "drspass.state.json.journal";

/// When a plan that [`expire`] writes could be applied for the last time.
const LONG_AGO: &str = "2026-01-02T03:04:05Z";

/// Two entries that were applied, of which J1/source has a new value, and a plan for
/// it.
fn planned() -> Lab {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-3"), (J2, "source", "canary-2")]);
    save(&lab);
    lab
}

/// Two entries that were never sent, and a plan for both.
fn planned_first() -> Lab {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    save(&lab);
    assert!(!lab.exists(STATE));
    lab
}

/// Saves the plan as it is now, and gives back what the command says of it.
#[track_caller]
pub(crate) fn save(lab: &Lab) -> Value {
    save_as(lab, PLAN, &[])
}

/// As [`save`], in a file of another name or with more arguments.
#[track_caller]
pub(crate) fn save_as(lab: &Lab, name: &str, more: &[&str]) -> Value {
    let args = [&["plan", "--json", "--out", name], more].concat();
    let run = lab.run(&args).exits(0);
    serde_json::from_str(&run.stdout).unwrap()
}

/// Applies the saved plan.
pub(crate) fn apply(lab: &Lab) -> Run {
    lab.run(&["apply", PLAN])
}

/// Everything that a refusal may not touch.
#[derive(PartialEq, Eq)]
pub(crate) struct Untouched {
    requests: usize,
    connections: usize,
    files: Vec<Option<Vec<u8>>>,
}

impl Untouched {
    pub(crate) fn of(lab: &Lab) -> Self {
        let files = [STATE, JOURNAL, "drspass.state.json.backup"];
        Self {
            requests: lab.sim.requests().len(),
            connections: lab.sim.connections(),
            files: files.map(|name| std::fs::read(lab.path(name)).ok()).into(),
        }
    }

    #[track_caller]
    pub(crate) fn assert(&self, lab: &Lab) {
        let now = Self::of(lab);
        assert_eq!(now.requests, self.requests, "a request was sent");
        assert_eq!(now.connections, self.connections, "a connection was made");
        assert!(now.files == self.files, "the state was changed");
    }
}

/// A command is refused with this code and these words; nobody was connected to, and
/// the state is as it was.
#[track_caller]
fn refused(lab: &Lab, args: &[&str], code: i32, words: &str) -> Run {
    let before = Untouched::of(lab);
    let run = lab.run(args).exits(code).says(words);
    before.assert(lab);
    run
}

/// The key that only readers of the manifest have.
pub(crate) fn key(lab: &Lab) -> FingerprintKey {
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let line = plain
        .lines()
        .find_map(|line| line.trim().strip_prefix("fingerprint_key: "))
        .unwrap();
    let text = line.trim_matches('"').to_owned();
    FingerprintKey::from_base64(&Secret::new(text)).unwrap()
}

/// The plan that a file holds.
fn content(path: &Path) -> SavedPlan {
    PlanFile::read(path).unwrap().plan
}

/// Writes the saved plan anew, changed, as a holder of `key` can.
fn rewrite(lab: &Lab, key: &FingerprintKey, change: impl FnOnce(&mut SavedPlan)) {
    let mut plan = content(&lab.path(PLAN));
    change(&mut plan);
    let file = PlanFile::new(plan, &key.plan_mac());
    file.write(&lab.path(PLAN)).unwrap();
}

/// Lets the time of the saved plan be over.
fn expire(lab: &Lab) {
    rewrite(lab, &key(lab), |plan| {
        plan.expires = LONG_AGO.parse().unwrap();
    });
}
