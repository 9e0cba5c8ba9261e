//! Random sequences of edits, plans that are saved, applies of those in any order,
//! other applies, faults, kills and ledger commands, against a model of what each
//! saved plan may do.
//!
//! A saved plan is either refused with 5 and sends nothing, or sends only its own
//! unfinished entries with the values that it was made for. And after every step, the
//! state claims no value that the service does not hold.
//! `DRSPASS_SAVED_SEQUENCES` sets how many are tried, `DRSPASS_MODEL_SEED` where they
//! begin; a failure names its seed.

mod oracle;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use drspass::core::fingerprint::FingerprintKey;
use drspass::sim::{
    EndPointType, Fault, FaultKind, FaultTrigger, JobSpec, MessageKey, Rejection, SimConfig, Which,
};

use crate::saved::{JOURNAL, STATE, key, save_as};
use crate::slow_model::{Dice, Named, in_parallel, setting};
use crate::slow_saved_kill::recorded;
use crate::support::around::started_up_to;
use crate::support::{J1, J2, J3, Lab};

type Key = (&'static str, &'static str);

const KEYS: [Key; 4] = [
    (J1, "source"),
    (J1, "destination"),
    (J2, "source"),
    (J3, "source"),
];

/// Every plan has one of these names; a new one replaces an older one.
const PLANS: [&str; 4] = ["plan-0.json", "plan-1.json", "plan-2.json", "plan-3.json"];

/// Few values, so that one often comes back.
const VALUES: [&str; 4] = ["canary-a", "canary-b", "canary-c", "canary-d"];

/// How often saved plans did what, so that a run that proves nothing is noticed.
#[derive(Default)]
struct Tally {
    refused: AtomicUsize,
    sent: AtomicUsize,
    resumed: AtomicUsize,
}

struct Model<'a> {
    lab: Lab,
    key: FingerprintKey,
    dice: Dice,
    wanted: BTreeMap<Key, &'static str>,
    /// What each saved plan was made for: the entries that it sends, with their values.
    plans: BTreeMap<&'static str, BTreeMap<Key, &'static str>>,
    steps: Vec<String>,
    tally: &'a Tally,
}

impl<'a> Model<'a> {
    fn new(seed: u64, tally: &'a Tally) -> Self {
        let mut lab = Lab::with_config(SimConfig {
            jobs: [J1, J2, J3].map(JobSpec::new).to_vec(),
            ..SimConfig::default()
        });
        lab.configure(
            "apply: { batch_size: 2, parallelism: 2, retry: { max_elapsed: \
             100ms } }",
        );
        lab.plant(&VALUES);
        let wanted: BTreeMap<Key, &str> = KEYS.into_iter().zip(VALUES).collect();
        seal(&lab, &wanted);
        Self {
            key: key(&lab),
            lab,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            wanted,
            plans: BTreeMap::new(),
            steps: Vec::new(),
            tally,
        }
    }

    fn step(&mut self) {
        match self.dice.roll(16) {
            0 | 1 => self.edit(),
            2..=5 => self.save(),
            6..=11 => self.apply_saved(),
            12 => self.apply_anew(),
            13 => self.forget_or_declare(),
            14 => self.killed(),
            _ => self.distrust_or_comment(),
        }
        self.check();
    }

    fn edit(&mut self) {
        let key = self.dice.pick(&KEYS);
        if self.dice.roll(6) == 0 {
            self.wanted.remove(&key);
        } else {
            let value = self.dice.pick(&VALUES);
            self.wanted.insert(key, value);
        }
        self.steps.push(format!("edit {key:?}"));
        seal(&self.lab, &self.wanted);
    }

    fn save(&mut self) {
        let name = self.dice.pick(&PLANS);
        let (job, endpoint) = self.dice.pick(&KEYS);
        let address = format!("{job}/{endpoint}");
        let mut more: &[&str] = match self.dice.roll(6) {
            0 => &["--only", &address],
            1 => &["--resend", &address],
            _ => &[],
        };
        if !self.wanted.contains_key(&(job, endpoint)) {
            more = &[];
        }
        self.steps.push(format!("plan --out {name} {more:?}"));
        let said = save_as(&self.lab, name, more);
        let sent = said["entries"].as_array().unwrap().iter();
        let sent = sent.filter(|entry| entry["action"] == "create" || entry["action"] == "update");
        let sent = sent.map(|entry| {
            let is_it =
                |(job, endpoint): &&Key| entry["job_id"] == *job && entry["endpoint"] == *endpoint;
            let key = *KEYS.iter().find(is_it).unwrap();
            (key, self.wanted[&key])
        });
        self.plans.insert(name, sent.collect());
    }

    fn apply_saved(&mut self) {
        let names: Vec<&'static str> = self.plans.keys().copied().collect();
        if names.is_empty() {
            return;
        }
        let name = self.dice.pick(&names);
        self.apply_this(name);
    }

    fn apply_this(&mut self, name: &'static str) {
        if self.dice.roll(2) == 0 {
            let fault = self.fault();
            self.steps.push(format!("fault {fault:?}"));
            self.lab.sim.inject(fault);
        }
        self.steps.push(format!("apply {name}"));
        let mut finished = recorded(&self.lab, name);
        finished.extend(self.met_as_wrong(name));
        let puts = self.puts().len();
        let connections = self.lab.sim.connections();
        let has_journal = self.lab.exists(JOURNAL);
        let state = std::fs::read(self.lab.path(STATE)).ok();
        let run = self.lab.run(&["apply", name]);
        let sent = self.puts()[puts..].concat();
        if run.code == Some(5) {
            self.tally.refused.fetch_add(1, Ordering::Relaxed);
            assert_eq!(self.lab.sim.connections(), connections, "{}", run.all());
            // A journal is folded in before the plan is judged.
            let now = std::fs::read(self.lab.path(STATE)).ok();
            assert!(has_journal || now == state, "{}", run.all());
        }
        assert!(
            matches!(run.code, Some(0 | 1 | 3 | 4 | 5)),
            "{:?}\n{}",
            run.code,
            run.all()
        );
        if !sent.is_empty() {
            self.tally.sent.fetch_add(1, Ordering::Relaxed);
            let is_resumed = usize::from(!finished.is_empty());
            self.tally.resumed.fetch_add(is_resumed, Ordering::Relaxed);
        }
        self.may_send(name, &finished, &sent, &run);
        // What is incomplete is often gone on with at once.
        if !sent.is_empty() && run.code != Some(0) && self.dice.roll(3) > 0 {
            self.apply_this(name);
        }
    }

    fn fault(&mut self) -> Fault {
        let (job, endpoint) = self.dice.pick(&KEYS);
        let side = match endpoint {
            "source" => EndPointType::Source,
            _ => EndPointType::Destination,
        };
        let which = Which::entry(job, side);
        let reject = |code: &str| {
            FaultKind::RejectEntry(Rejection {
                job: job.to_owned(),
                endpoint: side,
                code: code.to_owned(),
                message: "no".to_owned(),
                message_key: MessageKey::ErrorMsg,
            })
        };
        let kind = match self.dice.roll(7) {
            0 => reject("DRS.M00304"),
            1 => reject("DRS.KE0002"),
            2 => FaultKind::CloseBefore,
            3 => FaultKind::CloseAfter,
            4 => FaultKind::DropResults(which),
            5 => FaultKind::Busy,
            _ => FaultKind::NotJson,
        };
        Fault::on(FaultTrigger::Always, kind).times(1 + u32::try_from(self.dice.roll(3)).unwrap())
    }

    fn apply_anew(&mut self) {
        if self.dice.roll(2) == 0 {
            let fault = self.fault();
            self.lab.sim.inject(fault);
        }
        self.steps.push("apply".to_owned());
        let run = self.lab.apply(&[]);
        assert!(matches!(run.code, Some(0 | 1 | 3 | 4)), "{}", run.all());
    }

    /// Kills an apply, of a saved plan if there is one.
    fn killed(&mut self) {
        let (place, pass) = self.dice.pick(&[
            ("apply.before_first_send", 1),
            ("journal.after_append", 1),
            ("journal.before_append", 2),
            ("apply.before_fold", 1),
            ("replace.after_rename", 2),
            ("journal.before_removal", 1),
        ]);
        let mut args = vec!["apply", "--auto-approve"];
        let names: Vec<&'static str> = self.plans.keys().copied().collect();
        let name = (!names.is_empty()).then(|| self.dice.pick(&names));
        args.extend(name);
        self.steps
            .push(format!("{args:?} killed at {place}:{pass}"));
        let finished = name.map(|name| recorded(&self.lab, name));
        let puts = self.puts().len();
        let command = self.lab.command(&args);
        let (mut child, _) = started_up_to(command, place, pass, &self.lab.path("reached"));
        child.kill().unwrap();
        let run = self.lab.wait(child);
        if let (Some(name), Some(finished)) = (name, finished) {
            let sent = self.puts()[puts..].concat();
            self.may_send(name, &finished, &sent, &run);
        }
    }

    fn forget_or_declare(&mut self) {
        let (job, endpoint) = self.dice.pick(&KEYS);
        let address = format!("{job}/{endpoint}");
        let args: &[&str] = match self.dice.roll(2) {
            0 => &["state", "rm", &address],
            _ => &["state", "adopt", &address, "--yes"],
        };
        self.steps.push(format!("{args:?}"));
        let run = self.lab.run(args);
        assert!(matches!(run.code, Some(0 | 1)), "{}", run.all());
    }

    fn distrust_or_comment(&mut self) {
        if self.dice.roll(3) == 0 {
            self.steps.push("state distrust".to_owned());
            self.lab.run(&["state", "distrust"]).exits(0);
        } else {
            self.steps.push("a new revision of the same".to_owned());
            seal(&self.lab, &self.wanted);
        }
    }

    /// Without faults, one plan after the other leads to what is wanted.
    fn converge(&mut self) {
        self.steps.push("converge".to_owned());
        seal(&self.lab, &self.wanted);
        if self.wanted.is_empty() {
            return;
        }
        // What waits to go wrong is used up first; the same plan goes on meanwhile, and
        // only what it holds as a wrong password takes another one.
        for _ in 0..12 {
            save_as(&self.lab, "last.json", &["--resend", "*"]);
            let run = self.lab.run(&["apply", "last.json"]);
            if run.code == Some(0) || self.lab.run(&["apply", "last.json"]).code == Some(0) {
                break;
            }
        }
        self.lab.run(&["apply", "last.json"]).exits(5);
        self.lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        for ((job, endpoint), value) in &self.wanted {
            assert!(
                self.lab.sim.holds(job, endpoint, value),
                "{job}/{endpoint} did not converge"
            );
        }
    }
}

fn seal(lab: &Lab, wanted: &BTreeMap<Key, &'static str>) {
    let mut jobs = String::new();
    for job in [J1, J2, J3] {
        let endpoints = wanted.iter().filter(|((of, _), _)| *of == job);
        let lines: Vec<String> = endpoints
            .map(|((_, endpoint), value)| format!("    {endpoint}: {{ password: '{value}' }}\n"))
            .collect();
        if lines.is_empty() {
            jobs.push_str(&format!("  {job}: {{}}\n"));
        } else {
            jobs.push_str(&format!("  {job}:\n{}", lines.concat()));
        }
    }
    lab.manifest(&jobs).exits(0);
}

#[test]
fn a_saved_plan_sends_its_own_unfinished_entries_or_nothing() {
    let count = setting("DRSPASS_SAVED_SEQUENCES", 20);
    let tally = Tally::default();
    in_parallel(count, |seed| {
        let steps = Mutex::new(Vec::new());
        let _named = Named(seed, &steps);
        let mut model = Model::new(seed, &tally);
        for _ in 0..14 {
            model.step();
            *steps.lock().unwrap() = model.steps.clone();
        }
        model.converge();
    });
    let [refused, sent, resumed] =
        [&tally.refused, &tally.sent, &tally.resumed].map(|number| number.load(Ordering::Relaxed));
    let line = format!(
        "{count} sequences: saved plans sent {sent} times, {resumed} of them going on, and were \
         refused {refused} times\n"
    );
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    assert!(refused > 0 && sent > 0, "{line}");
}
