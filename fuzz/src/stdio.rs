//! What a run of the program says, read from its own streams.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use drspass::cli::{self, Env};
use rustix::stdio::{dup2_stderr, dup2_stdout};

static KEPT: Mutex<Option<(OwnedFd, OwnedFd)>> = Mutex::new(None);

/// Runs `drspass` with these words; its exit code, and both streams as text.
pub fn said(words: &[&str], env: &Env) -> (u8, String, String) {
    let file = || tempfile::tempfile().expect("a file");
    let (mut out, mut err) = (file(), file());
    let kept = || rustix::io::dup(io::stdout()).expect("a copy");
    let kept_err = rustix::io::dup(io::stderr()).expect("a copy");
    *KEPT.lock().expect("no panic in between") = Some((kept(), kept_err));
    dup2_stdout(&out).expect("in place");
    dup2_stderr(&err).expect("in place");
    let code = cli::run(["drspass"].iter().chain(words), env);
    give_back();
    let read = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind()
            .and_then(|()| file.read_to_end(&mut bytes))
            .expect("read");
        String::from_utf8(bytes).expect("text")
    };
    (code, read(&mut out), read(&mut err))
}

/// Puts the streams back, if they are away.
pub fn give_back() {
    if let Ok(mut kept) = KEPT.lock()
        && let Some((out, err)) = kept.take()
    {
        let _ = dup2_stdout(&out);
        let _ = dup2_stderr(&err);
    }
}
