//! `drspass demo`: the whole loop, run as a newcomer runs it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::support::{Run, heed_signals, make_pipe, send_signal};

/// A machine with its own place for temporary files, and secrets that are none of the
/// demo's business.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        heed_signals();
        let machine = Self {
            dir: TempDir::new().unwrap(),
        };
        fs::create_dir(machine.temporary()).unwrap();
        machine
    }

    fn temporary(&self) -> PathBuf {
        self.dir.path().join("tmp")
    }

    fn demo(&self, path: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drspass"));
        command
            .arg("demo")
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.temporary())
            .env("OS_PASSWORD", "canary-password")
            .env("OS_USERNAME", "canary-user")
            .env("DRSPASS_IDENTITY_KEY", "canary-key")
            .env("DRSPASS_STATE", "canary-state")
            .env("DRSPASS_MAX_CHANGES", "0")
            .env("EDITOR", "canary-editor")
            .env("http_proxy", "http://canary:canary@192.0.2.1:1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Waits for the end of a demo, which must have left nothing and told no secret.
    fn ended(&self, child: Child) -> Run {
        let output = child.wait_with_output().unwrap();
        let run = Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        for folder in [self.temporary(), self.dir.path().to_owned()] {
            let left = fs::read_dir(folder).unwrap();
            let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
            let is_ours = |name: &_| ["tmp", "bin", "gate"].iter().any(|ours| name == ours);
            assert!(left.iter().all(is_ours), "{left:?}\n{}", run.all());
        }
        run.says_not("canary").says_not("AGE-SECRET-KEY")
    }
}

const PATH: &str = "/usr/bin:/bin";

#[test]
fn the_demo_walks_the_whole_loop_and_leaves_nothing() {
    let machine = Machine::new();
    let run = machine
        .ended(machine.demo(PATH).spawn().unwrap())
        .exits(0)
        .says_not("error");
    assert_eq!(run.stderr, "");
    let mut rest = run.stdout.as_str();
    for shown in [
        "a simulated service at http://127.0.0.1:",
        "$ drspass init --project-id ",
        "wrote passwords.yaml.age",
        "$ drspass edit\n",
        "edited passwords.yaml.age and passwords.index.yaml, revision 2",
        "$ drspass set orders-cdc/destination --add --generate\n",
        "revision 3",
        "$ drspass plan\n",
        "3 to set, 0 to change, 0 to send again; 0 in sync.",
        "$ drspass apply --auto-approve\n",
        "Result: 3 applied, 0 refused",
        "$ drspass set @orders-db --generate\n",
        "used by 2 endpoints",
        "$ drspass plan\n",
        "via @orders-db",
        "0 to set, 2 to change",
        "$ drspass apply --auto-approve\n",
        "! billing/source      refused: DRS.M00304",
        "Result: 1 applied, 1 refused",
        "code was 3",
        "$ drspass apply --auto-approve\n",
        "Apply: 1 entry, 1 request.",
        "Result: 1 applied, 0 refused",
        "$ drspass plan --detailed-exitcode\n",
        "3 in sync. Nothing to send.",
        "its directory is removed",
    ] {
        let (_, after) = rest
            .split_once(shown)
            .unwrap_or_else(|| panic!("{shown:?} is not in its place:\n{}", run.stdout));
        rest = after;
    }
    // Both lead a newcomer to the same next step, with and without the repository.
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once("## Try it").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    for step in ["Next, type ", "docs/tutorial.md"] {
        assert!(rest.contains(step), "{rest}");
        assert!(section.contains(step), "{section}");
    }
    // What is typed in the editor is shown there and nowhere else.
    assert_eq!(run.stdout.matches("made-up password").count(), 1);
}

#[test]
fn a_reader_that_leaves_stops_no_demo() {
    let machine = Machine::new();
    let mut child = machine.demo(PATH).spawn().unwrap();
    drop(child.stdout.take());
    machine.ended(child).exits(0);
}

#[test]
fn a_demo_that_fails_says_where_and_leaves_nothing() {
    let machine = Machine::new();
    let nowhere = machine.dir.path().join("bin");
    let child = machine.demo(nowhere.to_str().unwrap()).spawn().unwrap();
    machine
        .ended(child)
        .exits(1)
        .says("cannot find the editor 'sh'")
        .says("cannot finish the demo: 'drspass edit' ended with 1")
        .says("Nothing was sent to a real service.")
        .says_not("$ drspass set");
    let mut command = machine.demo(PATH);
    command.env("TMPDIR", nowhere);
    machine
        .ended(command.spawn().unwrap())
        .exits(1)
        .says("cannot write");
}

/// Programs among which the first one that the editor starts waits at a pipe.
fn held_programs(folder: &Path) -> (String, PathBuf) {
    let (bin, gate) = (folder.join("bin"), folder.join("gate"));
    fs::create_dir(&bin).unwrap();
    make_pipe(&gate);
    let script = format!("#!/bin/sh\ncat {}\nexit 1\n", gate.display());
    fs::write(bin.join("sed"), script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bin.join("sed"), mode).unwrap();
    (format!("{}:{PATH}", bin.display()), gate)
}

#[test]
fn an_interrupted_demo_ends_its_command_and_leaves_nothing() {
    for (signal, to_all, code) in [
        (Signal::INT, true, 130),
        (Signal::INT, false, 130),
        (Signal::TERM, false, 143),
        (Signal::HUP, false, 143),
    ] {
        let machine = Machine::new();
        let (path, gate) = held_programs(machine.dir.path());
        let child = machine.demo(&path).process_group(0).spawn().unwrap();
        // It opens when the editor is there.
        let held = fs::File::options().write(true).open(gate).unwrap();
        if to_all {
            let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            kill_process_group(group, signal).unwrap();
        } else {
            send_signal(child.id(), signal);
            drop(held);
        }
        machine
            .ended(child)
            .exits(code)
            .says("the demo was interrupted")
            .says_not("$ drspass set");
    }
}
