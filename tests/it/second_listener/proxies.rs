//! Proxies: never for this machine, never with a login that is not theirs, and
//! never passed over in silence.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{COMMANDS, Second, by_password, lab};
use crate::support::{J1, Lab, Run, TOKEN};

/// Every variable that names a proxy, in both spellings.
const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

fn behind(command: &mut Command, proxy: &str) {
    for name in PROXIES {
        command.env(name, proxy);
    }
    command.env("NO_PROXY", "").env("no_proxy", "");
}

#[test]
fn nothing_for_this_machine_goes_through_a_proxy() {
    for user in ["", "ops:canary-p%40ss@"] {
        let (mut lab, second) = (lab(), Second::new());
        lab.plant(&["canary-p%40ss", "canary-p@ss"]);
        for args in COMMANDS {
            let mut command = by_password(&lab, args);
            behind(&mut command, &format!("http://{user}{}", second.host()));
            lab.run_command(command).exits(0);
            second.assert_alone("proxy");
        }
        assert!(lab.sim.holds(J1, "source", "canary-1"));
    }
}

/// A root folder below that of `lab` for a service behind a name, which a proxy
/// may be asked for.
struct Far<'a> {
    lab: &'a Lab,
    target: Second,
    identity: String,
}

impl<'a> Far<'a> {
    fn new(lab: &'a Lab) -> Self {
        let far = Self {
            lab,
            target: Second::new(),
            identity: lab.path("key.txt").display().to_string(),
        };
        let port = far.target.0.local_addr().unwrap().port();
        std::fs::create_dir(lab.path("far")).unwrap();
        let endpoint = format!("https://localhost:{port}");
        let auth_url = format!("{endpoint}/v3");
        let project = ["--project-id", "p1", "--endpoint", &endpoint];
        let init = ["init", "--auth-url", &auth_url];
        far.run(&[&init[..], &project].concat(), None).exits(0);
        lab.write(
            "far/plain.yaml",
            format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-far' }}\n"),
        );
        far.run(&["encrypt", "plain.yaml"], None).exits(0);
        std::fs::remove_file(lab.path("far/plain.yaml")).unwrap();
        far
    }

    #[track_caller]
    fn run(&self, args: &[&str], proxy: Option<(&str, &str)>) -> Run {
        let here = [
            "-C",
            "far",
            "-i",
            &self.identity,
            "--trust-host",
            "localhost",
        ];
        let mut command = self.lab.command(&[&here[..], args].concat());
        if let Some((name, value)) = proxy {
            command.env(name, value);
        }
        self.lab.run_command(command)
    }
}

/// A proxy that answers each request for a tunnel with 407, and tells what it
/// was asked.
fn unwilling_proxy() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let asked: Vec<String> = lines
            .map(Result::unwrap)
            .take_while(|line| !line.is_empty())
            .collect();
        stream
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        asked.join("\n")
    });
    (host, thread)
}

#[test]
fn a_proxy_is_told_its_own_login_decoded_and_nothing_else() {
    let mut lab = lab();
    lab.plant(&["canary-p%40ss%3A1", "canary-p@ss:1", "canary-far"]);
    let far = Far::new(&lab);
    let (proxy, thread) = unwilling_proxy();
    far.run(
        &["whoami"],
        Some((
            "HTTPS_PROXY",
            &format!("http://ops:canary-p%40ss%3A1@{proxy}"),
        )),
    )
    .exits(1)
    .says("the proxy requires another login")
    .says(&proxy);
    let asked = thread.join().unwrap();
    let login = STANDARD.encode("ops:canary-p@ss:1");
    assert!(asked.starts_with("CONNECT localhost:"), "{asked}");
    assert!(asked.contains(&format!("Basic {login}")), "{asked}");
    assert!(!asked.contains(TOKEN));
    far.target.assert_alone("the proxy said no");
}

#[test]
fn a_proxy_that_is_none_is_refused_without_showing_it() {
    let mut lab = lab();
    lab.plant(&["canary-pp", "canary-far"]);
    let far = Far::new(&lab);
    for proxy in [
        "http://ops:canary-pp@",
        "http://ops:canary-pp@@127.0.0.1:1",
        "http://ops:canary-pp@ss@127.0.0.1:1",
        "http://ops:canary-pp ss@127.0.0.1:1",
        "http://ops:canary-pp^ss@127.0.0.1:1",
        "http://ops:canary-pp@127.0.0.1:99999999",
        "http://ops:canary-pp@127.0.0.1:1/path",
        "ops:canary-pp@127.0.0.1:1/",
        "http:/ops:canary-pp@127.0.0.1:1",
        "socks5://ops:canary-pp@127.0.0.1:1",
        "htps://ops:canary-pp@127.0.0.1:1",
        "http://",
        "://",
    ] {
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            for args in [&["whoami"][..], &["apply", "--auto-approve"]] {
                far.run(args, Some((name, proxy)))
                    .exits(1)
                    .says(&format!("{name} is not a valid proxy"))
                    .says("Nothing was sent");
            }
        }
        far.target.assert_alone(proxy);
    }
}
