//! Files, processes and time, as tests ask the system for them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::SignalKind;

use super::PATIENCE;

/// Waits until `done` says so; fails loudly after a long time.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

/// Keeps an address at which nobody listens any more, so that nobody else comes to.
pub(crate) fn unanswered(url: &str) -> tokio::net::TcpSocket {
    let address = url.strip_prefix("http://").unwrap_or(url);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket");
    let address = address.parse().expect("an address");
    // A process that is just being started may hold the former socket a while.
    wait_until("the address to be free", || socket.bind(address).is_ok());
    socket
}

/// Makes a named pipe.
pub(crate) fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

/// Sends a signal to a process that this test started.
pub(crate) fn send_signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("a process id");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("it is there");
}

/// A process that ended but was not waited for is a zombie, which counts as gone.
pub(crate) fn process_is_there(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Whether a process has a signal ignored, and whether it has a handler for it.
pub(crate) fn ignored_and_caught(pid: u32, signal: Signal) -> (bool, bool) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let has = |name: &str| {
        let mut lines = status.lines();
        let mask = lines.find_map(|line| line.strip_prefix(name)).expect(name);
        let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask");
        mask & (1 << (signal.as_raw() - 1)) != 0
    };
    (has("SigIgn:"), has("SigCgt:"))
}

/// Lets signals end the programs that tests start, although whoever started the tests
/// had them ignored, as `nohup` does: what has a handler here is not ignored there.
pub(crate) fn heed_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().build().expect("a runtime");
        let _inside = runtime.enter();
        for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
            if ignored_and_caught(std::process::id(), signal).0 {
                let kind = SignalKind::from_raw(signal.as_raw());
                drop(tokio::signal::unix::signal(kind).expect("a handler"));
            }
        }
    });
}
