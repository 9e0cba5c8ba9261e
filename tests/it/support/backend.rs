//! Repositories behind `git http-backend`, at an address of this machine.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal};

use super::wait_until;

/// Where tests find git.
pub(crate) const PROGRAMS: &str = "/usr/local/bin:/usr/bin:/bin";

/// A server for the repositories of a directory, which stops with the value.
pub(crate) struct Backend {
    address: String,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    root: PathBuf,
    /// What each request must have as its `Authorization`, unless `is_readable`.
    authorization: String,
    /// Whether reading needs no login.
    pub(crate) is_readable: AtomicBool,
    /// Whether nobody gets an answer any more.
    pub(crate) is_mute: AtomicBool,
    /// How many pushes from now on take effect without an answer.
    pub(crate) unanswered: AtomicUsize,
    /// Whether it falls silent with such a push.
    pub(crate) falls_silent: AtomicBool,
    /// Whether a refusal repeats the login.
    pub(crate) is_chatty: AtomicBool,
    /// First lines of requests.
    pub(crate) requests: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl std::ops::Deref for Backend {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // It looks again when somebody comes.
        drop(TcpStream::connect(&self.address));
    }
}

impl Backend {
    pub(crate) fn start(root: &Path, authorization: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            authorization: authorization.to_owned(),
            is_readable: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
            unanswered: AtomicUsize::new(0),
            falls_silent: AtomicBool::new(false),
            is_chatty: AtomicBool::new(false),
            requests: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let served = Arc::clone(&served);
                // Who leaves in the middle is no failure of the server.
                std::thread::spawn(move || stream.and_then(|stream| served.serve(stream)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let words: Vec<&str> = lines
            .first()
            .map_or_else(Vec::new, |it| it.split(' ').collect());
        let target = words.get(1).copied().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        let mut request = Self {
            method: words.first().copied().unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        };
        if request.header("expect") == "100-continue" {
            (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if request.header("transfer-encoding") == "chunked" {
            loop {
                let mut size = String::new();
                reader.read_line(&mut size)?;
                let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
                reader.by_ref().take(size).read_to_end(&mut request.body)?;
                reader.read_line(&mut String::new())?;
                if size == 0 {
                    break;
                }
            }
        } else {
            let length = request.header("content-length").parse().unwrap_or(0);
            reader.take(length).read_to_end(&mut request.body)?;
        }
        Ok(request)
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let request = Request::read(&stream)?;
        if self.is_mute.load(Ordering::SeqCst) {
            return Ok(());
        }
        let line = format!("{} {}?{}", request.method, request.path, request.query);
        self.requests.lock().unwrap().push(line);
        let is_push =
            request.path.ends_with("receive-pack") || request.query.ends_with("receive-pack");
        let is_open = self.is_readable.load(Ordering::SeqCst) && !is_push;
        let authorization = request.header("authorization");
        if !is_open && authorization != self.authorization {
            return write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        if self.is_chatty.load(Ordering::SeqCst) {
            let body = format!("forbidden for {authorization}");
            return write!(
                stream,
                "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
        let is_unanswered = request.method == "POST"
            && is_push
            && self
                .unanswered
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
        let answer = self.answer(&request)?;
        if is_unanswered {
            self.is_mute
                .store(self.falls_silent.load(Ordering::SeqCst), Ordering::SeqCst);
            return Ok(());
        }
        stream.write_all(&answer)
    }

    /// Runs the backend (RFC 3875) to its end, whoever still listens.
    fn answer(&self, request: &Request) -> std::io::Result<Vec<u8>> {
        let mut backend = Command::new("git")
            .arg("http-backend")
            .env_clear()
            .env("PATH", PROGRAMS)
            .env("HOME", &self.root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REMOTE_USER", "somebody")
            .env("REQUEST_METHOD", &request.method)
            .env("PATH_INFO", &request.path)
            .env("QUERY_STRING", &request.query)
            .env("CONTENT_TYPE", request.header("content-type"))
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
            .env("GIT_PROTOCOL", request.header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdin = backend.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(&request.body));
            backend.wait_with_output()
        })?;
        let end = output
            .stdout
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        let (head, body) = output.stdout.split_at(end.map_or(0, |end| end + 4));
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines().filter(|line| !line.is_empty());
        let status = lines.clone().find_map(|line| line.strip_prefix("Status: "));
        let mut answer = format!("HTTP/1.1 {}\r\n", status.unwrap_or("200 OK"));
        for line in lines.by_ref().filter(|line| !line.starts_with("Status: ")) {
            answer += line;
            answer += "\r\n";
        }
        answer += &format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Ok([answer.as_bytes(), body].concat())
    }
}

/// Puts a program in place. Another process writes it: one that this process just starts could
/// hold the file open, which then does not run.
pub(crate) fn put_program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let script = format!("#!/bin/sh\n{script}\n");
    let mut stdin = writer.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    assert!(writer.wait().unwrap().success());
}

/// Kills the push to a repository, with all that it started, once it has made a file.
pub(crate) fn kill_push(origin: &str, reached: &Path) -> JoinHandle<()> {
    let (origin, reached) = (origin.to_owned(), reached.to_owned());
    std::thread::spawn(move || {
        wait_until("a push", || reached.exists());
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let found = pids.into_iter().find(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(" push --porcelain") && line.contains(&origin)
        });
        let pid = found.and_then(Pid::from_raw).unwrap();
        rustix::process::kill_process_group(pid, Signal::KILL).unwrap();
    })
}
