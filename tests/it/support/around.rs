//! Commands inside other programs, and commands that are looked at while they run.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Lab, Run, wait_until};

/// Another program in the folder and with the environment of a command.
pub(crate) fn beside(command: &Command, program: &str) -> Command {
    let mut other = Command::new(program);
    if let Some(folder) = command.get_current_dir() {
        other.current_dir(folder);
    }
    let vars = command.get_envs();
    other
        .env_clear()
        .envs(vars.filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    other
}

/// A command that another program starts, which is told it after its own arguments.
pub(crate) fn through<S: AsRef<OsStr>>(program: &str, args: &[S], command: &Command) -> Command {
    let mut other = beside(command, program);
    other
        .args(args)
        .arg(command.get_program())
        .args(command.get_args());
    other
}

/// A command in a session of its own, which has no terminal even if the tests have one.
pub(crate) fn without_terminal(command: &Command) -> Command {
    through("setsid", &["--wait"], command)
}

/// A command that makes files with this mask.
pub(crate) fn with_mask(mask: &str, command: &Command) -> Command {
    let script = format!("umask {mask}; exec \"$0\" \"$@\"");
    through("sh", &["-c", &script], command)
}

/// Starts a command that stops when it reaches a place for the pass-th time, and waits
/// until it stands there, or has ended without coming there. Tells which.
pub(crate) fn started_up_to(
    mut command: Command,
    place: &str,
    pass: usize,
    reached: &Path,
) -> (Child, Stands) {
    let stop_at = format!("{place}:{pass}:{}", reached.display());
    let mut child = command
        .env("DRSPASS_TEST_STOP_AT", stop_at)
        .spawn()
        .expect("the binary starts");
    let mut stands = Stands::No;
    wait_until(place, || {
        if reached.exists() {
            stands = Stands::There;
        }
        stands == Stands::There || child.try_wait().expect("a child").is_some()
    });
    if stands == Stands::There {
        fs::remove_file(reached).expect("the mark goes");
    }
    (child, stands)
}

/// Whether a command came to the place where it was to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    There,
    No,
}

/// A command whose messages can be waited for while it runs.
pub(crate) struct Watched {
    child: Child,
    /// What it writes, outside of any root folder.
    streams: TempDir,
}

impl Watched {
    pub(crate) fn start(mut command: Command) -> Self {
        let streams = TempDir::new().expect("a folder");
        let file = |name| File::create(streams.path().join(name)).expect("a file");
        let child = command
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("it starts");
        Self { child, streams }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard error holds this.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        wait_until(text, || {
            String::from_utf8_lossy(&self.read("stderr")).contains(text)
        });
    }

    /// Waits for the end, and checks that nothing was leaked.
    #[track_caller]
    pub(crate) fn ended(mut self, lab: &Lab) -> Run {
        let status = self.child.wait().expect("it ends");
        lab.checked(status.code(), &self.read("stdout"), &self.read("stderr"))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.streams.path().join(name)).expect("a file")
    }
}
