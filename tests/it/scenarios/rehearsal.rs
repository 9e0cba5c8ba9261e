//! A simulator as users start it, and a root folder that is sealed for it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use drspass::sim::Config;
use serde_json::{Value, json};

use crate::support::{Lab, Run};

/// A child process that does not outlive its test, whatever becomes of that.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to be done about it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) struct Rehearsal {
    pub(super) lab: Lab,
    _sim: Running,
    url: String,
    token: String,
    admin: String,
}

impl Rehearsal {
    /// Starts `drspass sim` with a scenario of the repository.
    pub(super) fn of(scenario: &str) -> Self {
        let file = format!(
            "{}/examples/scenarios/{scenario}",
            env!("CARGO_MANIFEST_DIR")
        );
        let mut child = Command::new(env!("CARGO_BIN_EXE_drspass"))
            .args(["sim", "--port", "0", "--scenario", &file])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        let sim = Running(child);
        let mut value = |start: &str| {
            let mut lines = told.by_ref().map_while(Result::ok);
            let line = lines.find_map(|line| Some(line.trim().strip_prefix(start)?.to_owned()));
            line.unwrap_or_else(|| panic!("it says no {start:?}"))
        };
        let url = value("A simulated DRS service listens at ");
        let token = value("export OS_TOKEN=");
        let project = value("drspass init -i key.txt --project-id ");
        let project = project.trim_end_matches(" \\").to_owned();
        let admin = value("admin token: ");
        // A usual root folder, made anew for the other simulator.
        let mut lab = Lab::with_config(Config::default());
        for name in ["drspass.yaml", "passwords.yaml.age"] {
            fs::remove_file(lab.path(name)).unwrap();
        }
        lab.plant(&[&token, "canary-1", "canary-2"]);
        let auth_url = format!("{url}/v3");
        lab.run(&[
            "init",
            "-i",
            "key.txt",
            "--project-id",
            &project,
            "--endpoint",
            &url,
            "--auth-url",
            &auth_url,
        ])
        .exits(0);
        Self {
            lab,
            _sim: sim,
            url,
            token,
            admin,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A command with the token that the simulator told.
    pub(super) fn run(&self, args: &[&str]) -> Run {
        self.run_as(args, &[("OS_TOKEN", &self.token)])
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
        let asked = json!({"job": job, "endpoint": endpoint, "password": password});
        self.ask("POST", "/sim/holds", &asked)["holds"] == true
    }

    /// Method and end of the path of every request to the service so far.
    pub(super) fn requests(&self) -> Vec<String> {
        let told = self.ask("GET", "/sim/requests", &Value::Null);
        let requests = told["requests"].as_array().unwrap().iter();
        let word = |request: &Value| {
            let path = request["path"].as_str().unwrap();
            let path = path.split('?').next().unwrap_or_default();
            let end = path.rsplit('/').next().unwrap_or_default();
            format!("{} {end}", request["method"].as_str().unwrap())
        };
        requests.map(word).collect()
    }

    /// How many of those requests there were.
    pub(super) fn count(&self, request: &str) -> usize {
        let requests = self.requests();
        requests.iter().filter(|seen| *seen == request).count()
    }

    /// Calls the simulator itself.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let host = self.url.strip_prefix("http://").unwrap();
        let body = body.to_string();
        let mut stream = TcpStream::connect(host).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Sim-Admin: {}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.admin,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    }
}
