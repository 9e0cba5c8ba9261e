//! What a saved plan may send, and what a state may claim.

use std::collections::BTreeSet;

use drspass::core::fingerprint::Field;
use drspass::core::secret::Secret;
use drspass::core::state::{State, ValueOrigin};
use serde_json::Value;

use super::{KEYS, Key, Model, VALUES};
use crate::saved::STATE;
use crate::support::Run;

impl Model<'_> {
    /// The entries whose value this plan sent and the service called wrong: sending
    /// them again locks the account.
    pub(super) fn met_as_wrong(&self, name: &str) -> BTreeSet<(String, String)> {
        let Ok(state) = std::fs::read_to_string(self.lab.path(STATE)) else {
            return BTreeSet::new();
        };
        let state: Value = serde_json::from_str(&state).unwrap();
        let plan: Value = serde_json::from_str(&self.lab.read(name)).unwrap();
        let entries = plan["body"]["entries"].as_array().unwrap().iter();
        let keys = entries.filter_map(|entry| {
            let key = entry["key"].as_str().unwrap();
            let last = &state["body"]["entries"][key]["last_outcome"];
            let is_met = last["class"] == "wrong_password" && last["attempted"] == entry["wanted"];
            let (job, endpoint) = key.split_once('/').unwrap();
            is_met.then(|| (job.to_owned(), endpoint.to_owned()))
        });
        keys.collect()
    }

    /// Whether the plan of this name may have sent this.
    #[track_caller]
    pub(super) fn may_send(
        &self,
        name: &str,
        finished: &BTreeSet<(String, String)>,
        sent: &[(String, String, String)],
        run: &Run,
    ) {
        let own = &self.plans[name];
        for (job, endpoint, password) in sent {
            let is_it = |key: &&Key| key.0 == job && key.1 == endpoint;
            let key = KEYS.iter().find(is_it).unwrap();
            assert_eq!(
                own.get(key).copied(),
                Some(password.as_str()),
                "{key:?} is not of {name}\n{}",
                run.all()
            );
            assert_eq!(
                self.wanted.get(key).copied(),
                Some(password.as_str()),
                "{key:?} is wanted otherwise now\n{}",
                run.all()
            );
            assert!(
                !finished.contains(&(job.clone(), endpoint.clone())),
                "{key:?} was finished by {name} before\n{}",
                run.all()
            );
        }
        if run.code == Some(5) {
            assert!(sent.is_empty(), "{}", run.all());
        }
    }

    /// Every password request so far: job, endpoint and password of its entries.
    pub(super) fn puts(&self) -> Vec<Vec<(String, String, String)>> {
        let requests = self.lab.sim.requests();
        let puts = requests.iter().filter(|request| request.method() == "PUT");
        let bodies = puts.map(|request| {
            let body: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
            let jobs = body["jobs"].as_array().unwrap().iter();
            jobs.map(|job| {
                let text = |name: &str| job[name].as_str().unwrap().to_owned();
                let endpoint = match text("end_point_type").as_str() {
                    "so" => "source",
                    _ => "destination",
                };
                (text("job_id"), endpoint.to_owned(), text("db_password"))
            })
            .collect()
        });
        bodies.collect()
    }

    /// The state claims no value that the service does not hold, and neither does a
    /// plan that calls an entry in sync.
    pub(super) fn check(&self) {
        let plan = self.lab.run(&["plan", "--json"]).exits(0);
        let Ok(text) = std::fs::read_to_string(self.lab.path(STATE)) else {
            return;
        };
        let document: Value = serde_json::from_str(&text).unwrap();
        let state: State = serde_json::from_value(document["body"].clone()).unwrap();
        let prints = self.key.fingerprinter(&state.scope);
        for (entry, known) in &state.entries {
            let Some(applied) = &known.applied else {
                continue;
            };
            let is_sure = known.pending.is_none() && known.last_outcome.is_none();
            if !is_sure || applied.origin == ValueOrigin::Adopted {
                continue;
            }
            let is_it = |value: &&&str| {
                let secret = Secret::new((**value).to_owned());
                prints.matches(&applied.prints.password, entry, Field::Password, &secret)
            };
            let value = VALUES.iter().find(is_it).unwrap();
            assert!(
                self.lab
                    .sim
                    .holds(entry.job.as_str(), entry.endpoint.as_str(), value),
                "{entry} is claimed to be {value} and is not"
            );
        }
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let listed = plan["entries"].as_array().unwrap();
        for ((job, endpoint), value) in &self.wanted {
            let entry = format!("{job}/{endpoint}").parse().unwrap();
            let known = state.entries.get(&entry);
            let applied = known.and_then(|known| known.applied.as_ref());
            let is_listed = listed
                .iter()
                .any(|line| line["job_id"] == *job && line["endpoint"] == *endpoint);
            assert!(
                is_listed
                    || applied.is_some_and(|applied| applied.origin == ValueOrigin::Adopted)
                    || self.lab.sim.holds(job, endpoint, value),
                "{entry} is called in sync and is not"
            );
        }
    }
}
