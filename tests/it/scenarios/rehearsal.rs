//! A simulator as users start it, and a root folder that is sealed for it.

use std::fs;
use std::path::Path;

use drspass::sim::SimConfig;
use serde_json::Value;

use crate::support::served::Served;
use crate::support::{Lab, Run};

pub(super) struct Rehearsal {
    pub(super) lab: Lab,
    sim: Served,
}

impl Rehearsal {
    /// Starts `drspass sim` with a scenario of the repository.
    pub(super) fn of(scenario: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios");
        let sim = Served::start(&folder.join(scenario));
        // A usual root folder, made anew for the other simulator.
        let mut lab = Lab::with_config(SimConfig::default());
        for name in ["drspass.yaml", "passwords.index.yaml", "passwords.yaml.age"] {
            fs::remove_file(lab.path(name)).unwrap();
        }
        lab.plant(&[&sim.token, "canary-1", "canary-2"]);
        let auth_url = format!("{}/v3", sim.url);
        lab.run(&[
            "init",
            "-i",
            "key.txt",
            "--project-id",
            &sim.project,
            "--endpoint",
            &sim.url,
            "--auth-url",
            &auth_url,
        ])
        .exits(0);
        Self { lab, sim }
    }

    /// The call that it shows, as it is pasted into a shell.
    pub(super) fn shown(&self) -> &str {
        &self.sim.shown
    }

    pub(super) fn url(&self) -> &str {
        &self.sim.url
    }

    /// A command with the token that the simulator told.
    pub(super) fn run(&self, args: &[&str]) -> Run {
        self.run_as(args, &[("OS_TOKEN", &self.sim.token)])
    }

    /// A command with another login.
    pub(super) fn run_as(&self, args: &[&str], login: &[(&str, &str)]) -> Run {
        let mut command = self.lab.command(args);
        command.env_remove("OS_TOKEN");
        command.envs(login.iter().copied());
        self.lab.run_command(command)
    }

    pub(super) fn apply(&self, more: &[&str]) -> Run {
        self.run(&[&["apply", "--auto-approve"], more].concat())
    }

    /// Whether the simulator holds this password.
    pub(super) fn holds(&self, job: &str, endpoint: &str, password: &str) -> bool {
        self.sim.holds(job, endpoint, password)
    }

    /// Method and end of the path of every request to the service so far.
    pub(super) fn requests(&self) -> Vec<String> {
        let told = self.sim.ask("GET", "/sim/requests", &Value::Null);
        let requests = told["requests"].as_array().unwrap().iter();
        let word = |request: &Value| {
            let path = request["path"].as_str().unwrap();
            let path = path.split('?').next().unwrap_or_default();
            let end = path.rsplit('/').next().unwrap_or_default();
            format!("{} {end}", request["method"].as_str().unwrap())
        };
        requests.map(word).collect()
    }

    /// Asks for something that is not there, with secrets wherever a request can have them.
    pub(super) fn ask_for_nothing(&self) {
        let body = serde_json::json!({"password": "canary-1"});
        self.sim.ask("GET", "/v3/nothing?canary-2=canary-1", &body);
    }

    /// Calls the simulator itself.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.sim.ask(method, path, body)
    }

    /// Ends the simulator once it has said `end`. Returns all that it told since its start.
    pub(super) fn told(self, end: &str) -> String {
        self.sim.wait_for(end);
        self.sim.told()
    }

    /// How many of those requests there were.
    pub(super) fn count(&self, request: &str) -> usize {
        let requests = self.requests();
        requests.iter().filter(|seen| *seen == request).count()
    }
}
