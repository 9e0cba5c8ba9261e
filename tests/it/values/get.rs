//! `get`: one password, exactly, and never by accident where it stays to be read.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use super::Desk;
use crate::support::terminal::Terminal;
use crate::support::{J1, J2};

const SHARED: &str = " canary-shared ü'\"$ ";

fn desk() -> Desk {
    let document = format!(
        "version: 1\ncredentials:\n  db: {{ password: \" canary-shared ü'\\\"$ \" }}\n  spare: {{ password: \
         \"canary-spare\" }}\njobs:\n  {J1}:\n    name: orders\n    source: {{ credential: db }}\n    destination: \
         {{ credential: db }}\n  {J2}:\n    source: {{ password: \"canary-own\" }}\n    destination: {{ credential: db }}\n"
    );
    Desk::new(&document, &["canary-shared", "canary-spare", "canary-own"])
}

/// `get`, whose output is not searched for what it must contain.
fn get(desk: &Desk, args: &[&str]) -> Command {
    desk.lab.command(&[&["get"], args].concat())
}

fn output(desk: &Desk, args: &[&str]) -> Output {
    get(desk, args).output().unwrap()
}

#[test]
fn one_password_is_written_exactly_to_a_pipe_and_to_a_file() {
    let desk = desk();
    for (address, password) in [
        ("@db", SHARED),
        ("@spare", "canary-spare"),
        ("orders/source", SHARED),
        (&format!("{J2}/source"), "canary-own"),
        // One password at both endpoints.
        ("orders", SHARED),
        ("orders/*", SHARED),
    ] {
        let found = output(&desk, &[address]);
        assert_eq!(found.status.code(), Some(0), "{address}: {found:?}");
        assert_eq!(found.stdout, password.as_bytes(), "{address}");
        assert_eq!(found.stderr, b"", "{address}");
    }
    let path = desk.outside.path().join("password");
    let mut command = get(&desk, &["@db"]);
    command.stdout(File::create(&path).unwrap());
    assert!(command.status().unwrap().success());
    assert_eq!(fs::read(&path).unwrap(), SHARED.as_bytes());
    desk.assert_clean();
}

#[test]
fn an_address_of_two_passwords_or_of_none_writes_none() {
    let desk = desk();
    for address in ["@*", J2, "*", "*/source"] {
        desk.run(&["get", address])
            .exits(64)
            .says("the address matches more than one password");
    }
    let wrong = "orders/sorce: an endpoint is 'source' or 'destination'";
    for (address, why) in [
        ("@canary-own", "matches no entry"),
        ("canary-own", "matches no entry"),
        ("orders/sorce", wrong),
        ("@", "matches no entry"),
    ] {
        let run = desk.run(&["get", address]).exits(1).says(why);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_terminal_or_the_log_of_a_job_gets_a_password_only_on_request() {
    let desk = desk();
    let refused = "without --show";
    let mut in_ci = get(&desk, &["@spare"]);
    in_ci.env("CI", "true");
    desk.lab.run_command(in_ci).exits(64).says(refused);
    let screen = desk.lab.ended(Terminal::start(get(&desk, &["@spare"])));
    screen.exits(64).says(refused);

    let mut in_ci = get(&desk, &["@spare", "--show"]);
    in_ci.env("CI", "true");
    assert_eq!(in_ci.output().unwrap().stdout, b"canary-spare");
    let mut screen = Terminal::start(get(&desk, &["@spare", "--show"]));
    screen.sees("canary-spare");
    screen.exits(0);
}

#[test]
fn a_full_disk_is_a_failure_and_a_reader_that_left_is_none() {
    let desk = desk();
    let mut full = get(&desk, &["@db"]);
    full.stdout(File::create("/dev/full").unwrap());
    desk.lab
        .wait(full.stderr(Stdio::piped()).spawn().unwrap())
        .exits(1)
        .says("cannot write the result");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut closed = get(&desk, &["@db"]);
    assert!(closed.stdout(writer).status().unwrap().success());
}

#[test]
fn the_generated_password_is_the_one_that_its_note_shows() {
    let desk = desk();
    desk.run(&["set", "@spare", "--generate"])
        .exits(0)
        .says("it was not printed. To read it: drspass get --show @spare");
    let found = output(&desk, &["--show", "@spare"]);
    assert_eq!(found.stdout.len(), 32);
    desk.lab.write("p", &found.stdout);
    let same = desk.run(&["set", "@spare", "--from-file", "p"]).exits(0);
    assert!(
        same.stdout.starts_with("unchanged: @spare"),
        "{}",
        same.stdout
    );
}
