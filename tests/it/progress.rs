//! How far a long run is: a bar on a terminal, lines in a log, and nothing of a short run.
//!
//! Seconds are a thousandth of a second here, and what is looked at is held until it was seen.

use std::fs;
use std::process::Command;

use drspass::sim::{EndPointType, Fault, FaultKind, Rejection};
use rexpect::process::Signal;
use serde_json::Value;

use crate::aftercare;
use crate::preflight::asked;
use crate::support::around::{Watched, through};
use crate::support::terminal::Terminal;
use crate::support::{J1, J2, J3, LOCKED, LOCKED_PUBLIC, Lab, PASSPHRASE, make_pipe, wait_until};

const HOLD: FaultKind = FaultKind::Hold { act_first: false };

/// Three entries, one request each; the second is refused and the third is not answered yet.
fn held() -> Lab {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[J1, J2, J3].map(|job| (job, "source", "canary-1")));
    lab.sim
        .inject(Fault::always(FaultKind::RejectEntry(Rejection {
            job: J2.to_owned(),
            endpoint: EndPointType::Source,
            code: "DRS.M00304".to_owned(),
            message: String::new(),
            message_key: Default::default(),
        })));
    lab.sim.inject(Fault::nth(3, HOLD));
    lab
}

fn quick(lab: &Lab, args: &[&str]) -> Command {
    let mut command = lab.command(args);
    command.env("DRSPASS_TEST_SECOND", "1").env("TERM", "xterm");
    command
}

const APPLY: [&str; 2] = ["apply", "--auto-approve"];
const COUNTS: &str = "2 of 3 entries: 1 applied, 1 refused; ";

/// What is on a terminal after this was written to it.
fn on_screen(written: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let (mut column, mut chars) = (0, written.chars());
    while let Some(c) = chars.next() {
        let line = lines.last_mut().unwrap();
        match c {
            '\r' => column = 0,
            '\n' => lines.push(Vec::new()),
            '\u{1b}' => {
                let sequence: String = chars.by_ref().take_while(|c| !c.is_alphabetic()).collect();
                match sequence.as_str() {
                    "[2" => line.clear(),
                    colour => assert!(colour.starts_with('['), "{colour}"),
                }
            }
            c => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    let lines = lines.into_iter().map(String::from_iter);
    lines
        .map(|line: String| line.trim_end().to_owned())
        .collect()
}

/// How often the thread that draws had its turn.
fn turns(process: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten();
    let read = |task: fs::DirEntry| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        (name.trim() == "progress").then(|| count.trim().parse::<u64>().unwrap())
    };
    tasks.filter_map(|task| read(task.unwrap())).sum()
}

#[track_caller]
fn wait_for_turns(process: u32) {
    let before = turns(process);
    wait_until("the thread that draws", || turns(process) >= before + 5);
}

/// Runs a command on a terminal, which gets nothing but lines though there is time for more.
#[track_caller]
fn assert_plain(lab: &Lab, command: &Command) {
    let script = "echo \"process $$\"; exec \"$0\" \"$@\"";
    let mut terminal = Terminal::start(through("sh", &["-c", script], command));
    let process = terminal.line("process ").trim().parse().unwrap();
    lab.await_puts(3);
    wait_for_turns(process);
    lab.sim.release();
    let shown = lab.ended(terminal).exits(3).stdout.replace("\r\n", "\n");
    assert!(!shown.contains(['\u{1b}', '\r']), "{shown:?}");
    assert!(!shown.contains("elapsed"), "{shown}");
}

#[test]
fn a_long_apply_shows_a_bar_with_its_counts_and_takes_it_away() {
    let lab = held();
    let mut terminal = Terminal::start(quick(&lab, &APPLY));
    terminal.sees("=> ");
    terminal.sees(COUNTS);
    terminal.sees(" elapsed, about ");
    terminal.sees(" left");
    lab.await_puts(3);
    lab.sim.release();
    let run = lab.ended(terminal).exits(3);
    let screen = on_screen(&run.stdout);
    assert!(!screen.concat().contains("elapsed"), "{screen:#?}");
    let first = format!("Plan for project {} at ", lab.sim.project_id());
    assert!(screen[0].starts_with(&first), "{screen:#?}");
    let result = "Result: 2 applied, 1 refused, 0 skipped, 0 not sent, 0 unknown; 3 in all.";
    assert_eq!(screen[screen.len() - 2..], [result, ""]);
    assert_eq!(screen.iter().filter(|line| *line == result).count(), 1);
}

#[test]
fn a_terminal_that_only_adds_lines_gets_no_bar() {
    for term in ["dumb", ""] {
        let lab = held();
        let mut command = quick(&lab, &APPLY);
        command.env("TERM", term);
        assert_plain(&lab, &command);
    }
}

#[test]
fn a_short_run_shows_no_progress() {
    let lab = held();
    let mut command = lab.command(&APPLY);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    assert_plain(&lab, &command);
    let lab = held();
    let run = Watched::start(lab.command(&APPLY));
    lab.await_puts(3);
    wait_for_turns(run.id());
    lab.sim.release();
    assert_eq!(run.ended(&lab).exits(3).stderr, "");
}

#[test]
fn a_log_gets_whole_lines_and_the_result_is_the_same() {
    for json in [&[][..], &["--json"]] {
        let lab = held();
        let run = Watched::start(quick(&lab, &[&APPLY, json].concat()));
        run.says(COUNTS);
        lab.await_puts(3);
        lab.sim.release();
        let run = run.ended(&lab).exits(3);
        for line in run.stderr.lines() {
            let is_whole = line.matches("; ").count() == 1 && line.contains(" elapsed");
            assert!(is_whole && !line.contains(['\r', '\u{1b}']), "{line}");
        }
        assert!(!run.stdout.contains("elapsed"), "{}", run.stdout);
        let last = run.stdout.lines().last().unwrap();
        if json.is_empty() {
            assert!(last.ends_with("; 3 in all."), "{last}");
        } else {
            let lines = run.stdout.lines();
            lines.for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap()));
        }
    }
}

#[test]
fn a_signal_takes_the_bar_away_and_keeps_its_code() {
    let lab = held();
    let mut terminal = Terminal::start(quick(&lab, &APPLY));
    terminal.sees(COUNTS);
    lab.await_puts(3);
    terminal.signal(Signal::SIGINT);
    terminal.sees("Stopping: nothing more is sent");
    lab.sim.release();
    let run = lab.ended(terminal).exits(130);
    let screen = on_screen(&run.stdout);
    assert!(!screen.concat().contains("elapsed"), "{screen:#?}");
    assert!(
        screen.iter().any(|line| line.starts_with("Stopping: ")),
        "{screen:#?}"
    );
}

#[test]
fn a_closed_or_full_standard_error_changes_nothing() {
    for closed in ["2>&-", "2>/dev/full"] {
        let lab = held();
        let script = format!("exec \"$0\" \"$@\" {closed}");
        let run = Watched::start(through("sh", &["-c", &script], &quick(&lab, &APPLY)));
        lab.await_puts(3);
        wait_for_turns(run.id());
        lab.sim.release();
        run.ended(&lab).exits(3).says("2 applied, 1 refused");
    }
}

#[test]
fn queries_of_jobs_show_how_far_they_are() {
    for (args, call, path, said) in [
        (
            &["plan", "--preflight"][..],
            "list",
            "jobs",
            "0 of 3 job states read; ",
        ),
        (&["jobs"], "list", "jobs", "listing jobs; "),
        (
            &["jobs", "--json"],
            "detail",
            "batch-detail",
            "0 of 3 jobs read; ",
        ),
    ] {
        let lab = held();
        let plain = lab.run(args).exits(0);
        assert!(lab.sim.inject_query(Some(call), Fault::next(HOLD)));
        let before = asked(&lab, path);
        let run = Watched::start(quick(&lab, args));
        run.says(said);
        wait_until("the query", || asked(&lab, path) > before);
        lab.sim.release();
        assert_eq!(run.ended(&lab).exits(0).stdout, plain.stdout);
    }
}

#[test]
fn retried_jobs_are_counted_while_they_are_watched() {
    let lab = aftercare::lab_of(
        &[(J1, "START_JOB_FAILED"), (J2, "FULL_TRANSFER_FAILED")],
        aftercare::NEVER,
    );
    let run = Watched::start(quick(&lab, &["apply", "--auto-approve", "--retry-jobs"]));
    run.says("0 of 2 retried jobs; ");
    lab.sim.set_status(J1, "INCRE_TRANSFER_STARTED");
    run.says("1 of 2 retried jobs: 1 running; ");
    lab.sim.set_status(J2, "INCRE_TRANSFER_STARTED");
    run.ended(&lab).exits(0).says("retried, runs again");
}

#[test]
fn a_manifest_that_takes_long_is_spoken_of_but_never_in_a_question() {
    let lab = held();
    make_pipe(&lab.path("slow.txt"));
    let mut command = quick(&lab, &["validate"]);
    command.env("DRSPASS_IDENTITY", "slow.txt");
    let run = Watched::start(command);
    run.says("working on the manifest; ");
    fs::write(lab.path("slow.txt"), lab.read("key.txt")).unwrap();
    run.ended(&lab).exits(0);

    let recipient = format!("recipients:\n  - {}", LOCKED_PUBLIC.trim());
    let config = lab.read("drspass.yaml").replace("recipients:", &recipient);
    lab.write("drspass.yaml", config);
    lab.run(&["rekey", "--yes"]).exits(0);
    make_pipe(&lab.path("locked"));
    let mut command = quick(&lab, &["validate"]);
    command.env("DRSPASS_IDENTITY", "locked");
    let mut terminal = Terminal::start(command);
    terminal.sees("working on the manifest; ");
    fs::write(lab.path("locked"), LOCKED).unwrap();
    let before = terminal.sees("Passphrase for locked: ");
    assert!(before.ends_with("\r\u{1b}[2K"), "{before:?}");
    terminal.types(&format!("{PASSPHRASE}\n"));
    let screen = on_screen(&lab.ended(terminal).exits(0).stdout);
    assert!(!screen.concat().contains("elapsed"), "{screen:#?}");
    assert_eq!(screen[0], "Passphrase for locked:");
}
