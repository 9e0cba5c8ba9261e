//! `drspass sim` as users start it, in a process of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Seek as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A child process that does not outlive its test, whatever becomes of that.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to be done about it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running simulator, ended with this value, and what it told its user.
pub(crate) struct Served {
    running: Running,
    /// What it has to tell after its start.
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: File,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) project: String,
    admin: String,
    /// The call that it shows, as it is pasted into a shell.
    pub(crate) shown: String,
}

impl Served {
    /// Starts one with a scenario.
    pub(crate) fn start(scenario: &Path) -> Self {
        let stderr = tempfile::tempfile().expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_drspass"))
            .args(["-vvv", "sim", "--port", "0", "--scenario"])
            .arg(scenario)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone().expect("a file"))
            .spawn();
        let mut running = Running(child.expect("the binary starts"));
        let stdout = running.0.stdout.take().expect("a pipe");
        let mut stdout = BufReader::new(stdout).lines();
        let mut said = Vec::new();
        let mut value = |start: &str| {
            let mut lines = stdout.by_ref().map_while(Result::ok);
            let line = lines.find_map(|line| {
                said.push(line.clone());
                Some(line.trim().strip_prefix(start)?.to_owned())
            });
            line.unwrap_or_else(|| panic!("it says no {start:?}"))
        };
        let url = value("A simulated DRS service listens at ");
        let token = value("export OS_TOKEN=");
        let project = value("drspass init -i key.txt --project-id ");
        let project = project.trim_end_matches(" \\").to_owned();
        let admin = value("admin token: ");
        let lines = said.iter().skip_while(|line| !line.starts_with("ADMIN="));
        let lines = lines.take_while(|line| !line.is_empty());
        let shown = lines.map(|line| format!("{line}\n")).collect();
        Self {
            running,
            stdout,
            stderr,
            url,
            token,
            project,
            admin,
            shown,
        }
    }

    /// Waits until its standard error contains this.
    pub(crate) fn wait_for(&self, text: &str) {
        super::wait_until(text, || {
            // Where it writes next must not move.
            let mut said = vec![0; 1 << 16];
            let length = self.stderr.read_at(&mut said, 0).expect("a file");
            String::from_utf8_lossy(&said[..length]).contains(text)
        });
    }

    /// Ends it. Returns all that it told since its start.
    pub(crate) fn told(mut self) -> String {
        self.running.0.kill().expect("it runs");
        let stdout = self.stdout.by_ref().map(|line| line.expect("text") + "\n");
        let mut told: String = stdout.collect();
        self.stderr.rewind().expect("a file");
        self.stderr.read_to_string(&mut told).expect("text");
        told
    }

    /// Whether it holds this password.
    pub(crate) fn holds(&self, job: &str, endpoint: &str, password: &str) -> bool {
        let asked = json!({"job": job, "endpoint": endpoint, "password": password});
        self.ask("POST", "/sim/holds", &asked)["holds"] == true
    }

    /// Calls the simulator itself.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let host = self.url.strip_prefix("http://").expect("an address");
        let body = body.to_string();
        let mut stream = TcpStream::connect(host).expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Sim-Admin: {}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.admin,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    }
}
