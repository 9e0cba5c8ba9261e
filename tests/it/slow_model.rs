//! Random sequences of edits, plans, applies, faults, kills and ledger commands,
//! against a small model of what the service really holds.
//!
//! After every step: what a plan does not list is exactly what the service
//! holds, unless the user declared it. FaultTrigger faults stop, everything converges.
//! `DRSPASS_MODEL_SEQUENCES` and `DRSPASS_RANDOM_KILLS` set how many are tried,
//! `DRSPASS_MODEL_SEED` where they begin; a failure names its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use drspass::sim::{
    CannedAnswer, EndPointType, Fault, FaultKind, FaultTrigger, MessageKey, Rejection, Which,
};

use jiff::Timestamp;

use crate::support::around::started_up_to;
use crate::support::branch;
use crate::support::{J1, J2, J3, J9, Lab, Run};

type Key = (&'static str, &'static str);

const KEYS: [Key; 6] = [
    (J1, "source"),
    (J1, "destination"),
    (J2, "source"),
    (J2, "destination"),
    (J3, "source"),
    (J3, "destination"),
];

/// A small generator whose whole state is one number, so that a seed tells all.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % sides
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

struct Model {
    lab: Lab,
    dice: Dice,
    wanted: BTreeMap<Key, String>,
    /// Entries whose value the user declared since they were last sent.
    declared: BTreeSet<Key>,
    /// What the service was first seen to hold of what is wanted, and when.
    held: BTreeMap<Key, (String, Timestamp)>,
    /// Entries of which the state may have lost since when they are set.
    forgotten: BTreeSet<Key>,
    edits: usize,
    steps: Vec<String>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self::of(seed, Lab::new())
    }

    fn on_branch(seed: u64) -> Self {
        Self::of(seed, Lab::on_branch())
    }

    fn of(seed: u64, lab: Lab) -> Self {
        lab.configure("apply: { batch_size: 2, parallelism: 2, retry: { max_elapsed: 100ms } }");
        let mut model = Self {
            lab,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            wanted: BTreeMap::new(),
            declared: BTreeSet::new(),
            held: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            edits: 0,
            steps: Vec::new(),
        };
        for key in KEYS {
            model.wanted.insert(key, "canary-0".to_owned());
        }
        model.seal();
        model
    }

    fn seal(&mut self) {
        let mut jobs = String::new();
        for job in [J1, J2, J3] {
            jobs.push_str(&format!("  {job}:\n"));
            let mut is_empty = true;
            for ((_, endpoint), password) in self.wanted.iter().filter(|((j, _), _)| *j == job) {
                jobs.push_str(&format!("    {endpoint}: {{ password: '{password}' }}\n"));
                is_empty = false;
            }
            if is_empty {
                jobs = jobs.trim_end_matches('\n').to_owned() + " {}\n";
            }
        }
        self.lab.manifest(&jobs).exits(0);
    }

    fn step(&mut self) {
        if self.lab.origin.is_some() && self.dice.roll(8) == 0 {
            self.put_back();
        }
        match self.dice.roll(12) {
            0..=3 => self.edit(),
            4 | 5 => self.apply(None),
            6 | 7 => {
                let fault = self.fault();
                self.apply(Some(fault));
            }
            8 | 9 => self.killed_apply(),
            10 => self.forget_or_declare(),
            _ => self.distrust(),
        }
        self.check();
        self.check_ages();
    }

    fn edit(&mut self) {
        self.edits += 1;
        let key = self.dice.pick(&KEYS);
        // Now and then an entry leaves the manifest, or comes back to an old value.
        match self.dice.roll(6) {
            0 => {
                self.wanted.remove(&key);
            }
            1 => {
                self.wanted.insert(key, "canary-0".to_owned());
            }
            _ => {
                self.wanted.insert(key, format!("canary-{}", self.edits));
            }
        }
        self.steps.push(format!("edit {key:?}"));
        self.seal();
    }

    fn fault(&mut self) -> Fault {
        let (job, endpoint) = self.dice.pick(&KEYS);
        let side = if endpoint == "source" {
            EndPointType::Source
        } else {
            EndPointType::Destination
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
        let status = |http, code: &str| {
            FaultKind::Status(CannedAnswer {
                http,
                code: code.to_owned(),
                ..CannedAnswer::default()
            })
        };
        let kind = match self.dice.roll(16) {
            0 => reject("DRS.M00304"),
            1 => reject("DRS.KE0002"),
            2 => FaultKind::CloseBefore,
            3 => FaultKind::CloseAfter,
            4 => FaultKind::Truncated,
            5 => FaultKind::DropResults(which),
            6 => FaultKind::DoubleResults {
                conflicting: true,
                which,
            },
            7 => FaultKind::ForeignResults { id: J9.to_owned() },
            8 => FaultKind::OddStatus {
                status: "maybe".to_owned(),
                which,
            },
            9 => FaultKind::Html {
                http: 502,
                act_first: true,
            },
            10 => FaultKind::NotJson,
            11 => status(400, "DRS.M00201"),
            12 => status(401, "APIGW.0301"),
            13 => FaultKind::Busy,
            14 => FaultKind::SuccessWithCode(which),
            _ => FaultKind::Shuffled,
        };
        let on = match self.dice.roll(4) {
            0 => FaultTrigger::Always,
            1 => FaultTrigger::Every(2),
            _ => FaultTrigger::Next,
        };
        // Every fault is over after a while.
        Fault::on(on, kind).times(1 + u32::try_from(self.dice.roll(3)).unwrap())
    }

    fn apply(&mut self, fault: Option<Fault>) {
        self.steps.push(format!("apply with {fault:?}"));
        if let Some(fault) = fault {
            self.lab.sim.inject(fault);
        }
        let before = self.lab.sent().len();
        let run = self.lab.apply(&[]);
        self.note_sent(before);
        assert!(
            [0, 1, 3, 4].contains(&run.code.unwrap_or(-1)),
            "{:?}\n{}",
            run.code,
            run.all()
        );
        self.check_sum(&run);
    }

    /// The last line adds up, and its numbers are those of the exit code.
    fn check_sum(&self, run: &Run) {
        let Some(line) = run
            .stdout
            .lines()
            .last()
            .filter(|l| l.starts_with("Result:"))
        else {
            return;
        };
        let numbers: Vec<usize> = line
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse().ok())
            .collect();
        let [applied, refused, blocked, not_sent, in_doubt, total] = numbers[..] else {
            panic!("{line}");
        };
        assert_eq!(
            applied + refused + blocked + not_sent + in_doubt,
            total,
            "{line}"
        );
        let code = match (in_doubt, applied) {
            (1.., _) => 4,
            (0, applied) if applied == total => 0,
            (0, 0) => 1,
            _ => 3,
        };
        assert_eq!(run.code, Some(code), "{line}");
    }

    fn note_sent(&mut self, before: usize) {
        for (job, endpoint) in self.lab.sent()[before..].concat() {
            self.declared.retain(|(j, e)| *j != job || *e != endpoint);
        }
    }

    fn killed_apply(&mut self) {
        let places = [
            ("replace.before_rename", 3),
            ("replace.after_rename", 3),
            ("apply.before_first_send", 1),
            ("journal.before_append", 2),
            ("journal.after_append", 2),
            ("apply.before_fold", 1),
            ("journal.before_removal", 2),
        ];
        let pushes = [("place.before_push", 2), ("place.after_push", 2)];
        let (place, passes) = match self.lab.origin {
            Some(_) => self.dice.pick(&[&pushes[..], &places[2..6]].concat()),
            None => self.dice.pick(&places),
        };
        let pass = 1 + self.dice.roll(passes);
        self.steps.push(format!("kill at {place}:{pass}"));
        let before = self.lab.sent().len();
        let command = self.lab.command(&["apply", "--auto-approve"]);
        // An apply that has little to do may end before it reaches the place.
        let (mut child, _) = started_up_to(command, place, pass, &self.lab.path("reached"));
        child.kill().unwrap();
        child.wait().unwrap();
        self.note_sent(before);
        if self.lab.origin.is_some() && self.dice.roll(2) == 0 {
            self.lose_the_machine();
        }
    }

    /// Nothing that lasts on the machine is left, and another one goes on.
    fn lose_the_machine(&mut self) {
        let _ = fs::remove_dir_all(self.lab.path(".git/drspass"));
        let holder = self.lab.state()["body"]["holder"].clone();
        let Some(id) = holder["id"].as_str() else {
            return;
        };
        if self.dice.roll(4) > 0 {
            self.steps
                .push("lose the machine, release the lock".to_owned());
            self.lab.run(&["lock", "release", id]).exits(0);
            return;
        }
        self.steps
            .push("lose the machine, wait for the lease".to_owned());
        let before = self.lab.sent().len();
        let apply = ["apply", "--auto-approve", "--lock-timeout", "60s"];
        let mut command = self.lab.command(&apply);
        command.env("DRSPASS_TEST_LEASE", "1");
        let run = self.lab.run_command(command);
        self.note_sent(before);
        let is_expected = [0, 1, 3, 4].contains(&run.code.unwrap_or(-1));
        assert!(
            is_expected && run.stderr.contains("took over"),
            "{}",
            run.all()
        );
    }

    /// Somebody pushes an older state, which this clone has seen the end of.
    fn put_back(&mut self) {
        self.steps.push("put an older state back".to_owned());
        self.lab.run(&["plan"]).exits(0);
        let tip = self.lab.tip();
        let name = format!("refs/heads/{}", branch::NAME);
        let older = format!("{tip}~1");
        let parents = self.lab.in_origin(&["rev-list", "--count", &tip]);
        if parents.trim() == "1" {
            return;
        }
        self.lab.in_origin(&["update-ref", &name, &older]);
        for args in [&["plan"][..], &["apply", "--auto-approve"]] {
            let run = self.lab.run(args);
            // A state of a former lineage knows nothing of the present one.
            assert_eq!(run.code, Some(1), "{}", run.all());
        }
        self.lab.in_origin(&["update-ref", &name, &tip]);
    }

    fn forget_or_declare(&mut self) {
        let (job, endpoint) = self.dice.pick(&KEYS);
        let address = format!("{job}/{endpoint}");
        if self.dice.roll(2) == 0 {
            self.steps.push(format!("state rm {address}"));
            let run = self.lab.run(&["state", "rm", &address]);
            if run.code == Some(0) {
                self.declared.remove(&(job, endpoint));
                self.forgotten.insert((job, endpoint));
            }
            assert!(matches!(run.code, Some(0 | 1)), "{}", run.all());
        } else {
            self.steps.push(format!("state adopt {address}"));
            let run = self.lab.run(&["state", "adopt", &address, "--yes"]);
            if run.code == Some(0) {
                self.declared.insert((job, endpoint));
            }
            assert!(matches!(run.code, Some(0 | 1)), "{}", run.all());
        }
    }

    fn distrust(&mut self) {
        self.steps.push("state distrust".to_owned());
        self.lab.run(&["state", "distrust"]).exits(0);
        self.declared.clear();
    }

    /// A password is never called younger than it is. One that comes back may be: an attempt with
    /// another one hides its former attempt.
    #[expect(
        clippy::disallowed_methods,
        reason = "the time is compared with the program's"
    )]
    fn check_ages(&mut self) {
        if self.lab.origin.is_none() && !self.lab.exists("drspass.state.json") {
            return;
        }
        let now = Timestamp::now();
        for (key @ (job, endpoint), password) in &self.wanted {
            let is_held = self.lab.sim.holds(job, endpoint, password);
            let known = self.lab.entry(job, endpoint);
            if known["last_outcome"]["class"] == "wrong_password" {
                self.forgotten.insert(*key);
            }
            if !is_held || password == "canary-0" || self.forgotten.contains(key) {
                continue;
            }
            let held = self.held.get(key).filter(|(held, _)| held == password);
            let first = held.map_or(now, |(_, first)| *first);
            self.held.insert(*key, (password.clone(), first));
            let is_sure = known["pending"].is_null() && known["last_outcome"].is_null();
            if let Some(since) = known["applied"]["value_since"].as_str().filter(|_| is_sure) {
                let since: Timestamp = since.parse().unwrap();
                assert!(since <= first, "{job}/{endpoint}: {since}, but {first}");
            }
        }
    }

    /// The invariant.
    fn check(&self) {
        let run = self.lab.run(&["plan"]).exits(0);
        for (key, password) in &self.wanted {
            let (job, endpoint) = key;
            let is_listed = run
                .stdout
                .lines()
                .any(|line| line.starts_with("  ") && line.contains(&format!("{job}/{endpoint} ")));
            assert!(
                is_listed
                    || self.declared.contains(key)
                    || self.lab.sim.holds(job, endpoint, password),
                "{job}/{endpoint} is called in sync and is not\n{}",
                run.all()
            );
        }
    }

    /// Without faults, everything wanted is set and nothing is left to do.
    fn converge(&mut self) {
        self.steps.push("converge".to_owned());
        // Faults that wait for a request of their own are used up first; what is
        // held for a wrong password is asked for.
        for _ in 0..12 {
            let before = self.lab.sent().len();
            let run = self.lab.apply(&["--resend", "*"]);
            self.note_sent(before);
            self.check_ages();
            if run.code == Some(0) {
                break;
            }
        }
        self.lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        for ((job, endpoint), password) in &self.wanted {
            assert!(
                self.lab.sim.holds(job, endpoint, password),
                "{job}/{endpoint} did not converge"
            );
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment sets how long the test may take"
)]
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

/// Runs `count` cases on as many threads as there are cores.
pub(crate) fn in_parallel(count: u64, case: impl Fn(u64) + Sync) {
    let first = setting("DRSPASS_MODEL_SEED", 1);
    let cores = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    std::thread::scope(|scope| {
        for lane in 0..cores {
            let case = &case;
            scope.spawn(move || {
                for seed in (first..first + count)
                    .skip(usize::try_from(lane).unwrap())
                    .step_by(usize::try_from(cores).unwrap())
                {
                    case(seed);
                }
            });
        }
    });
}

/// Says which seed failed, and how it came to that.
pub(crate) struct Named<'a>(pub(crate) u64, pub(crate) &'a std::sync::Mutex<Vec<String>>);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps = self
                .1
                .lock()
                .map(|steps| steps.join("\n  "))
                .unwrap_or_default();
            let message = format!("seed {} failed after\n  {steps}\n", self.0);
            let _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
        }
    }
}

/// Runs `count` sequences, each on a model of its own.
fn sequences(count: u64, kind: &str, model: fn(u64) -> Model) {
    in_parallel(count, |seed| {
        let steps = std::sync::Mutex::new(Vec::new());
        let _named = Named(seed, &steps);
        let mut model = model(seed);
        for _ in 0..8 {
            model.step();
            *steps.lock().unwrap() = model.steps.clone();
        }
        model.converge();
    });
    let line = format!("{count} {kind} without a wrong claim\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

#[test]
fn no_random_sequence_ends_in_a_wrong_claim_and_all_converge() {
    let count = setting("DRSPASS_MODEL_SEQUENCES", 100);
    sequences(count, "sequences", Model::new);
}

#[test]
fn no_random_sequence_with_a_state_on_a_branch_ends_in_a_wrong_claim() {
    let count = setting("DRSPASS_BRANCH_SEQUENCES", 20);
    sequences(count, "sequences on a branch", Model::on_branch);
}

#[test]
fn a_kill_at_any_moment_leaves_no_wrong_claim() {
    let count = setting("DRSPASS_RANDOM_KILLS", 20);
    in_parallel(count, |seed| {
        let steps = std::sync::Mutex::new(Vec::new());
        let _named = Named(seed, &steps);
        let mut model = Model::new(seed);
        model.apply(None);
        for key in KEYS {
            model.wanted.insert(key, format!("canary-new-{seed}"));
        }
        model.seal();
        let slow = FaultKind::Slow { millis: 2 };
        model.lab.sim.inject(Fault::always(slow));
        let before = model.lab.sent().len();
        let mut child = model
            .lab
            .command(&["apply", "--auto-approve"])
            .spawn()
            .unwrap();
        let micros = model.dice.roll(40_000) as u64;
        std::thread::sleep(Duration::from_micros(micros));
        child.kill().unwrap();
        child.wait().unwrap();
        model.note_sent(before);
        *steps.lock().unwrap() = vec![format!("killed after {micros} microseconds")];
        model.check();
        model.converge();
    });
    let line = format!("{count} kills without a wrong claim\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}
