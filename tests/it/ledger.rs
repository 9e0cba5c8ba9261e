//! The ledger commands: what they show, what they change, and that they leave
//! the state as it was when they refuse.

use drspass::sim::{EndPointType, Fault, FaultKind};

use crate::looped::refuse;
use crate::support::{J1, J2, J9, Lab};

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab
}

#[test]
fn forgetting_an_entry_makes_it_never_set_and_keeps_the_rest() {
    let lab = lab();
    let kept = lab.entry(J2, "source");
    lab.run(&["state", "rm", J1])
        .exits(0)
        .says("1 entry forgotten");
    assert_eq!(lab.entry(J2, "source"), kept);
    assert!(lab.plan().contains(&format!("+ {J1}/source")));
    assert!(
        lab.read("drspass.state.json.backup").contains(J1),
        "the backup has it"
    );
}

#[test]
fn forgetting_what_is_not_there_changes_nothing() {
    let lab = lab();
    let state = lab.read("drspass.state.json");
    for args in [
        &["state", "rm", J9][..],
        &["state", "rm", J1, J9],
        &["state", "show", J9],
    ] {
        lab.run(args).exits(1).says("matches no entry");
        assert_eq!(lab.read("drspass.state.json"), state);
    }
    lab.run(&["state", "rm"]).exits(64);
    lab.run(&["state", "rm", "--unlisted", J1]).exits(64);
}

#[test]
fn unlisted_entries_are_forgotten_on_request_only() {
    let lab = lab();
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-1' }}\n"
    ))
    .exits(0);
    lab.apply(&[]).exits(0);
    assert!(lab.entry(J2, "source").is_object());
    lab.run(&["state", "rm", "--unlisted"]).exits(0).says(J2);
    assert!(lab.entry(J2, "source").is_null());
    assert!(lab.entry(J1, "source").is_object());
    lab.run(&["state", "rm", "--unlisted"])
        .exits(0)
        .says("0 entries forgotten");
}

#[test]
fn adopted_entries_are_in_sync_and_say_so() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.run(&["state", "adopt", J1]).exits(7);
    assert!(!lab.exists("drspass.state.json"));
    lab.run(&["state", "adopt", J1, "--yes"])
        .exits(0)
        .says("1 entry adopted");
    lab.run(&["state", "list"]).exits(0).says("adopted 20");
    lab.run(&["plan"])
        .exits(0)
        .says("1 to set")
        .says("1 in sync");
    assert_eq!(lab.sim.connections(), 0);
    lab.passwords(&[(J1, "source", "canary-new")]);
    lab.run(&["plan"])
        .exits(0)
        .says("password changed (adopted 20");
    lab.run(&["state", "adopt", J9, "--yes"])
        .exits(1)
        .says("matches no entry");
}

#[test]
fn adopting_settles_a_doubt_and_a_refusal() {
    let lab = lab();
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    lab.apply(&["--resend", J1]).exits(1);
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.apply(&["--only", J2, "--resend", J2]).exits(4);
    lab.run(&["state", "adopt", "*", "--yes"]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn showing_an_entry_tells_everything_but_values_and_fingerprints() {
    let lab = lab();
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    lab.apply(&["--resend", J1]).exits(1);
    let text = lab
        .run(&["state", "show", J1])
        .exits(0)
        .says("authenticated")
        .says("last attempt job_state DRS.M00304");
    let json = lab.run(&["state", "show", "--json"]).exits(0);
    for shown in [&text, &json] {
        assert!(!shown.all().contains("v1:"), "{}", shown.all());
    }
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(document["entries"][0]["last_outcome"]["code"], "DRS.M00304");
    assert_eq!(
        document["entries"][0]["applied"]["fields"][0]["sensitive"],
        true
    );
}

#[test]
fn distrust_is_the_way_out_of_a_changed_or_damaged_state() {
    let damages: [fn(&str) -> String; 4] = [
        |state| state.replace("\"sent\"", "\"adopted\""),
        |_| String::new(),
        |state| state[..state.len() / 2].to_owned(),
        |state| format!("<<<<<<< a\n{state}=======\n{state}>>>>>>> b\n"),
    ];
    for damage in damages {
        let lab = lab();
        let damaged = damage(&lab.read("drspass.state.json"));
        lab.write("drspass.state.json", &damaged);
        lab.apply(&[]).exits(1);
        lab.run(&["state", "rm", J1]).exits(1);
        lab.run(&["state", "adopt", J1, "--yes"]).exits(1);
        assert_eq!(
            lab.read("drspass.state.json"),
            damaged,
            "refusals change nothing"
        );
        lab.run(&["state", "distrust"])
            .exits(0)
            .says("2 entries marked to be sent again");
        assert_eq!(lab.read("drspass.state.json.backup"), damaged);
        assert_eq!(lab.plan().matches("  ? ").count(), 2);
        lab.apply(&[]).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn distrust_does_not_send_a_known_wrong_password_again() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.KE0002"));
    lab.apply(&[]).exits(3);
    lab.run(&["state", "distrust"]).exits(0);
    lab.apply(&[])
        .exits(3)
        .says("1 applied, 0 refused, 1 skipped");
    assert!(!lab.sim.holds(J1, "source", "canary-1"));
    lab.apply(&["--resend", J1]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn distrust_drops_a_forged_journal() {
    let lab = lab();
    lab.write("drspass.state.json.journal", "{\"forged\":1}\n");
    lab.apply(&[]).exits(1).says("state distrust");
    lab.run(&["state", "distrust"]).exits(0);
    assert!(!lab.exists("drspass.state.json.journal"));
    lab.apply(&[]).exits(0);
}

#[test]
fn a_state_of_a_newer_format_is_not_even_distrusted() {
    let lab = lab();
    let newer = lab
        .read("drspass.state.json")
        .replace("drspass.state/1", "drspass.state/99");
    lab.write("drspass.state.json", &newer);
    for args in [
        &["state", "distrust"][..],
        &["state", "rm", J1],
        &["state", "adopt", J1, "--yes"],
        &["state", "show"],
        &["state", "list"],
    ] {
        lab.run(args).exits(1).says("does not know");
        assert_eq!(lab.read("drspass.state.json"), newer);
    }
}

#[test]
fn every_change_of_the_ledger_needs_the_lock() {
    let lab = lab();
    let file = std::fs::File::open(lab.path("drspass.state.json.lock")).unwrap();
    file.lock().unwrap();
    for args in [
        &["state", "rm", J1][..],
        &["state", "adopt", J1, "--yes"],
        &["state", "distrust"],
    ] {
        lab.run(args).exits(6);
    }
    lab.run(&["state", "list"]).exits(0);
    lab.run(&["state", "show"]).exits(0);
}

#[test]
fn a_change_of_the_ledger_takes_over_the_journal_of_a_killed_apply() {
    let mut lab = lab();
    lab.passwords(&[
        (J1, "source", "canary-new-1"),
        (J2, "source", "canary-new-2"),
    ]);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    lab.run(&["state", "show"])
        .exits(0)
        .says("an apply was cut off");
    lab.run(&["state", "rm", J2]).exits(0);
    assert!(!lab.exists("drspass.state.json.journal"));
    let plan = lab.plan();
    assert!(
        plan.contains("1 to set, 0 to change, 0 to send again; 1 in sync"),
        "{plan}"
    );
}

#[test]
fn the_masked_diff_shows_which_fields_change_and_nothing_else() {
    let mut lab = lab();
    lab.passwords(&[
        (J1, "source", "canary-new"),
        (J2, "source", "canary-2"),
        (J2, "destination", "canary-3"),
    ]);
    let run = lab.run(&["plan", "--diff"]).exits(0);
    let diff = &run.stdout[run.stdout.find("--- last set").unwrap()..];
    assert!(diff.contains("-  password: (sensitive, set 20"), "{diff}");
    assert!(
        diff.contains("+  password: (sensitive, new value)"),
        "{diff}"
    );
    assert!(diff.contains(&format!("+{J2}/destination:")), "{diff}");
    assert!(!diff.contains(&format!("{J2}/source")), "{diff}");
    lab.apply(&[]).exits(0);
    assert!(!lab.run(&["plan", "--diff"]).exits(0).stdout.contains("---"));
    lab.run(&["plan", "--diff", "--json"]).exits(64);
}

#[test]
fn every_file_that_a_command_leaves_is_private_ignored_and_not_piled_up() {
    let mut lab = lab();
    let left = |lab: &Lab| -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(lab.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("drspass.state"))
            .collect();
        names.sort();
        names
    };
    let mut seen = Vec::new();
    for round in 0..3 {
        lab.passwords(&[
            (J1, "source", &format!("canary-{round}-1")),
            (J2, "source", &format!("canary-{round}-2")),
        ]);
        for args in [
            &["apply", "--auto-approve"][..],
            &["state", "rm", J1],
            &["state", "adopt", J1, "--yes"],
            &["state", "distrust"],
            &["apply", "--auto-approve"],
        ] {
            lab.run(args).exits(0);
        }
        lab.write("drspass.state.json.journal", "{\"forged\":1}\n");
        lab.run(&["state", "distrust"]).exits(0);
        seen.push(left(&lab));
    }
    assert_eq!(
        seen[0],
        [
            "drspass.state.json",
            "drspass.state.json.backup",
            "drspass.state.json.journal.backup",
            "drspass.state.json.lock",
        ]
    );
    assert!(seen.iter().all(|names| *names == seen[0]), "{seen:?}");
    for name in &seen[0] {
        // The last one is the forgery itself, as it was put there.
        if name != "drspass.state.json.journal.backup" {
            assert_eq!(crate::support::mode(&lab.path(name)), 0o600, "{name}");
        }
    }
    let ignored = lab.read(".gitignore");
    for name in &seen[0][1..] {
        assert!(
            ignored.lines().any(|line| {
                let line = line.trim_start_matches('/');
                line == name.as_str()
                    || line
                        .strip_suffix('*')
                        .is_some_and(|start| name.starts_with(start))
            }),
            "{name} is not in\n{ignored}"
        );
    }
}

/// Two jobs with names of their own.
fn named() -> Lab {
    let mut lab = Lab::new();
    lab.plant(&["canary-1", "canary-2"]);
    lab.manifest(&format!(
        "  {J1}:\n    name: orders\n    source: {{ password: 'canary-1' }}\n  \
         {J2}:\n    name: billing\n    source: {{ password: 'canary-2' }}\n"
    ))
    .exits(0);
    lab
}

#[test]
fn a_state_in_a_directory_that_does_not_exist_is_a_wrong_path_for_every_command() {
    let lab = lab();
    let commands: [&[&str]; 10] = [
        &["plan"],
        &["plan", "--out", "plan.json"],
        &["apply", "--auto-approve"],
        &["state", "list"],
        &["state", "show"],
        &["state", "rm", J1],
        &["state", "adopt", "*", "--yes"],
        &["state", "distrust"],
        &["state", "recover", "drspass.state.json"],
        &["lock", "show"],
    ];
    let sent = lab.sent().len();
    for args in commands {
        for state in ["missing/state.json", "/nowhere/at/all/state.json"] {
            let mut command = lab.command(args);
            command.env("DRSPASS_STATE", state);
            let folder = state.rsplit_once('/').unwrap().0;
            lab.run_command(command)
                .exits(1)
                .says(&format!("directory {folder} does not exist"))
                .says("Nothing was sent");
        }
    }
    assert_eq!(lab.sent().len(), sent);
    assert!(!lab.exists("plan.json") && !lab.exists("missing"));
}

#[test]
fn distrusted_entries_are_to_be_sent_again_and_are_not_called_unknown() {
    let lab = lab();
    lab.run(&["state", "distrust"]).exits(0);
    let words = "to be sent again (state distrust, 20";
    for args in [&["plan"][..], &["state", "list"]] {
        let run = lab.run(args).exits(0);
        assert_eq!(run.stdout.matches(words).count(), 2, "{}", run.stdout);
        assert!(!run.stdout.contains("unknown"), "{}", run.stdout);
    }
    let plan = lab.run(&["plan", "--json", "--out", "plan.json"]).exits(0);
    assert!(plan.stdout.contains("\"reason\":\"distrusted\""));
    assert!(
        lab.run(&["show", "plan.json"])
            .exits(0)
            .stdout
            .contains(words)
    );
    // An attempt of which nothing is known is one again.
    lab.killed_at("apply.before_first_send", 1, &["apply", "--auto-approve"]);
    assert_eq!(
        lab.plan()
            .matches("outcome of the last attempt unknown")
            .count(),
        2
    );
}

#[test]
fn what_is_adopted_is_listed_by_name_before_anybody_is_asked() {
    let lab = named();
    let run = lab.run(&["state", "adopt", "*"]).exits(7);
    assert!(
        run.stderr
            .starts_with("  orders/source\n  billing/source\n"),
        "{}",
        run.stderr
    );
    assert!(!lab.exists("drspass.state.json"));
    let run = lab.run(&["state", "adopt", "*", "--yes"]).exits(0);
    assert!(
        run.stdout
            .starts_with("  orders/source\n  billing/source\n"),
        "{}",
        run.stdout
    );
    lab.run(&["state", "rm", "billing"])
        .exits(0)
        .says("billing/source");
    lab.run(&["state", "distrust"])
        .exits(0)
        .says("orders/source");
}

#[test]
fn a_list_after_a_killed_apply_says_what_a_plan_says() {
    let mut lab = lab();
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    lab.passwords(&[
        (J1, "source", "canary-new-1"),
        (J2, "source", "canary-new-2"),
        (J2, "destination", "canary-new-3"),
    ]);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    let list = lab.run(&["state", "list"]).exits(0);
    let marks = |mark: &str| list.stdout.matches(&format!("\n  {mark} ")).count();
    assert_eq!(
        (marks("="), marks("!"), marks("?")),
        (2, 1, 0),
        "{}",
        list.stdout
    );
    let note = "an apply was cut off; the answers it recorded are included";
    list.says(note);
    lab.run(&["plan"]).exits(0).says(note).says("; 2 in sync");
    // What does not continue the state is not counted in, and that is said.
    let journal = lab.read("drspass.state.json.journal");
    let foreign = journal.replace("\"serial\":", "\"serial\":1");
    lab.write("drspass.state.json.journal", foreign);
    lab.run(&["state", "list"])
        .exits(0)
        .says("is not listed here");
}

#[test]
fn a_lost_state_is_told_by_its_backup() {
    let lab = lab();
    lab.apply(&["--resend", "*"]).exits(0);
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    for args in [&["plan"][..], &["state", "list"], &["state", "show"]] {
        lab.run(args)
            .exits(0)
            .says("drspass.state.json.backup exists")
            .says("state distrust");
    }
    std::fs::remove_file(lab.path("drspass.state.json.backup")).unwrap();
    lab.run(&["plan"])
        .exits(0)
        .says("no state at drspass.state.json yet");
}

#[test]
fn line_ends_that_git_changed_are_called_that() {
    let lab = Lab::with_a_change();
    let state = lab.read("drspass.state.json");
    let windows = state.replace('\n', "\r\n");
    lab.write("drspass.state.json", &windows);
    for args in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["state", "show"],
    ] {
        let run = lab.run(args).exits(1).says("only the line ends differ");
        assert!(
            run.all().contains("drspass.state.json -text"),
            "{}",
            run.all()
        );
        assert!(!run.all().contains("outside drspass"), "{}", run.all());
    }
    lab.write(
        "drspass.state.json",
        windows.replace("\"sent\"", "\"adopted\""),
    );
    lab.run(&["plan"])
        .exits(1)
        .says("state was changed outside drspass");
    lab.write("drspass.state.json", state);
    lab.apply(&[]).exits(0);
}
