//! What people see on a screen and what a runner of a pipeline reads in a log: where a
//! plan belongs, how lines fit, and that no foreign word is a command.

mod drawn;
mod listed;
mod proposed;

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::around::through;
use crate::support::schema::{assert_closed, assert_fits, schema};
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{J1, J2, Lab, Run};

/// A root folder `production` with two endpoints of a shared credential, and its name
/// for a place.
fn production() -> (Lab, String) {
    let mut lab = Lab::new();
    lab.plant(&["canary-shared", "canary-own"]);
    lab.manifest(&format!(
        "  {J1}:\n    name: orders\n    source: {{ credential: orders-db }}\n    \
         destination: {{ password: 'canary-own' }}\n  {J2}:\n    name: a-job-whose-name-is-rather-long-for-a-line\n    \
         source: {{ credential: orders-db }}\ncredentials:\n  orders-db: {{ password: 'canary-shared' }}\n"
    ))
    .exits(0);
    fs::create_dir(lab.path("production")).unwrap();
    for name in ["drspass.yaml", "passwords.index.yaml", "passwords.yaml.age"] {
        fs::rename(lab.path(name), lab.path("production").join(name)).unwrap();
    }
    let url = lab.sim.url();
    let host = url.strip_prefix("http://").unwrap();
    let place = format!("project {} at {host}", lab.sim.project_id());
    (lab, place)
}

/// A command in the folder `production`.
fn there(lab: &Lab, args: &[&str]) -> Command {
    let mut command = lab.command(&[&["-C", "production"], args].concat());
    command.env("DRSPASS_IDENTITY", "../key.txt");
    command
}

#[test]
fn a_plan_a_saved_plan_and_the_question_say_where_it_goes() {
    let (lab, place) = production();
    let title = format!("Plan for {place} (production)");
    let run = lab
        .run_command(there(&lab, &["plan", "--out", "p.json"]))
        .exits(0);
    assert_eq!(run.stdout.lines().next(), Some(title.as_str()));
    let last = "3 to set, 0 to change, 0 to send again; 0 in sync. Apply needs 2 requests.";
    assert_eq!(run.stdout.lines().last(), Some(last));
    let run = run.says(
        "Saved the plan to p.json. To apply exactly this plan: drspass -C production apply p.json",
    );
    assert!(
        run.stdout.contains("never set, via @orders-db\n"),
        "{}",
        run.stdout
    );
    assert_eq!(run.stdout.matches("via @").count(), 2);
    let shown = lab.run(&["show", "production/p.json"]).exits(0).stdout;
    assert_eq!(shown.lines().next(), Some(title.as_str()));
    assert_eq!(shown.matches(", via @orders-db\n").count(), 2);
    let manifest = lab.run_command(there(&lab, &["show"])).exits(0).stdout;
    assert!(manifest.contains(" (production)\n"), "{manifest}");

    let mut terminal = Terminal::start(there(&lab, &["apply"]));
    let before = terminal.sees(APPROVAL);
    let question = format!("Send 3 passwords to {place}? ");
    let before = before.replace("\r\n ", "");
    assert!(before.ends_with(&question), "{before}");
    terminal.types("yes\n");
    lab.ended(terminal).exits(0);

    let plan = lab
        .run_command(there(&lab, &["plan", "--json", "--resend", "*"]))
        .exits(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_fits(&schema("plan-output"), &plan);
    assert_eq!(plan["environment"], "production");
    assert_eq!(plan["project_id"], lab.sim.project_id());
    assert_eq!(plan["entries"][0]["credential"], "orders-db");
    assert_eq!(plan["entries"][1]["credential"], Value::Null);
}

#[test]
fn the_counts_of_a_long_plan_are_on_the_screen_at_its_start_and_its_end() {
    let lab = Lab::new();
    let jobs: Vec<String> = (10..40)
        .map(|n| format!("  {n}df459d-a37c-41b9-bc2b-8c00ba32jb52:\n    source: {{ password: 'canary-{n}' }}\n"))
        .collect();
    lab.manifest(&jobs.concat()).exits(0);
    let plan = lab.plan();
    let counts = "30 to set, 0 to change, 0 to send again; 0 in sync. Apply needs 3 requests.";
    assert_eq!(plan.lines().nth(1), Some(counts));
    assert_eq!(plan.lines().last(), Some(counts));
    assert_eq!(plan.matches(counts).count(), 2);
}

#[test]
fn summaries_of_two_environments_are_never_taken_for_each_other() {
    let (lab, place) = production();
    for folder in ["eu/production", "us/production", "st --> aging"] {
        fs::create_dir_all(lab.path(folder)).unwrap();
        for name in ["drspass.yaml", "passwords.index.yaml", "passwords.yaml.age"] {
            fs::copy(
                lab.path("production").join(name),
                lab.path(folder).join(name),
            )
            .unwrap();
        }
    }
    fs::create_dir(lab.path(".git")).unwrap();
    let markdown = |folder: &str, args: &[&str]| {
        let all = [&["-C", folder], args, &["--markdown", "-"]].concat();
        let mut command = lab.command(&all);
        command.env("DRSPASS_IDENTITY", lab.path("key.txt"));
        lab.run_command(command).stdout
    };
    let page = markdown("eu/production", &["plan"]);
    let mut lines = page.lines();
    assert_eq!(lines.next(), Some("<!-- drspass:plan:eu/production -->"));
    let mut next = || {
        let line = lines.next().unwrap().replace("<code>", "");
        line.replace("</code>", "").replace("&#58;", ":")
    };
    assert_eq!(next(), "## production: 3 to set");
    assert_eq!(next(), "");
    assert!(next().starts_with(&format!("P{}: ", &place[1..])), "{page}");
    let failed = markdown("eu/production", &["plan", "--only", "nothing"]);
    assert_eq!(failed.lines().next(), page.lines().next());
    let first = |folder| {
        markdown(folder, &["plan"])
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        first("us/production"),
        "<!-- drspass:plan:us/production -->"
    );
    assert_eq!(
        first("st --> aging"),
        "<!-- drspass:plan:st%20-%2D%3E%20aging -->"
    );
}

/// Runs a command on a terminal of so many columns. What was shown, line by line.
#[track_caller]
fn on_a_terminal(lab: &Lab, command: &Command, columns: u16, term: &str) -> Vec<String> {
    shown_on(lab, command, columns, term, 0)
}

/// As [`on_a_terminal`], for any exit code.
#[track_caller]
fn shown_on(lab: &Lab, command: &Command, columns: u16, term: &str, code: i32) -> Vec<String> {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("stty rows 24 cols {columns} && exec \"$@\""))
        .arg("sh")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.env("TERM", term).env("PATH", "/usr/bin:/bin");
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    let run = lab.ended(Terminal::start(shell)).exits(code);
    // Each byte was taken for a character.
    let bytes = run.stdout.chars().map(|c| u8::try_from(c).expect("a byte"));
    let shown = String::from_utf8(bytes.collect()).expect("a text");
    let shown = shown.replace("\r\n", "\n");
    shown.lines().map(str::to_owned).collect()
}

#[test]
fn lines_fit_the_terminal_and_words_stay_in_their_column() {
    let (lab, _) = production();
    lab.run_command(there(&lab, &["apply", "--auto-approve"]))
        .exits(0);
    for columns in [50, 80] {
        for args in [
            &["plan", "--resend", "*"][..],
            &["show"],
            &["apply", "--auto-approve", "--resend", "*"],
        ] {
            let lines = on_a_terminal(&lab, &there(&lab, args), columns, "dumb");
            for line in &lines {
                // A mark and a label stay together.
                let is_one_word = line.trim().split(' ').count() <= 2;
                let fits = line.chars().count() <= usize::from(columns);
                assert!(
                    fits || is_one_word,
                    "{args:?} {columns}\n{}",
                    lines.join("\n")
                );
            }
        }
    }
    let lines = on_a_terminal(&lab, &there(&lab, &["plan", "--resend", "*"]), 80, "dumb");
    let at = lines
        .iter()
        .position(|line| line.contains("orders/source"))
        .unwrap();
    let column = lines[at].find("to be sent").unwrap();
    assert!(lines[at + 1].starts_with(&" ".repeat(column)), "{lines:#?}");
    assert_ne!(lines[at + 1].chars().nth(column), Some(' '));
}

#[test]
fn a_question_breaks_between_words_at_the_width_of_the_terminal() {
    let (lab, place) = production();
    let script = "stty cols 80; exec \"$0\" \"$@\"";
    let command = through("sh", &["-c", script], &there(&lab, &["apply"]));
    let mut terminal = Terminal::start(command);
    let before = terminal.sees("to continue: ");
    let asked = format!("\r\nSend 3 passwords to {place}?\r\n  Type 'yes' ");
    assert!(before.ends_with(&asked), "{before:?}");
    terminal.types("no\n");
    lab.ended(terminal).exits(7);
}

#[test]
fn a_terminal_that_only_adds_lines_gets_nothing_else() {
    let (lab, _) = production();
    let args = ["apply", "--auto-approve"];
    let plain = on_a_terminal(&lab, &there(&lab, &args), 80, "dumb").join("\n");
    assert!(!plain.contains(['\u{1b}', '\r']), "{plain:?}");
    let args = ["apply", "--auto-approve", "--resend", "*"];
    let coloured = on_a_terminal(&lab, &there(&lab, &args), 80, "xterm").join("\n");
    assert!(coloured.contains('\u{1b}'), "{coloured:?}");
}

#[test]
fn what_a_login_a_lock_and_a_manifest_are_is_told_as_json() {
    let (lab, _) = production();
    let told = |args: &[&str], name: &str| {
        let run = lab.run_command(there(&lab, args)).exits(0);
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_fits(&schema(name), &document);
        assert_closed(&schema(name), &document);
        document
    };
    let login = told(&["whoami", "--json"], "whoami-output");
    assert_eq!(login["project_id"], lab.sim.project_id());
    let shown = told(&["show", "--json"], "show-output");
    assert_eq!(shown["entries"][0]["credential"], "orders-db");
    assert_eq!(shown["sealed"]["project_id"], lab.sim.project_id());
    assert_eq!(
        told(&["lock", "show", "--json"], "lock-output")["held"],
        false
    );
    let path = lab.path("production/drspass.state.json.lock");
    let holder =
        r###"{"pid":1,"host":"##[x]\u001b[2J","command":"apply","since":"2026-11-29T14:03:22Z"}"###;
    fs::write(&path, holder).unwrap();
    let file = fs::File::open(&path).unwrap();
    file.lock().unwrap();
    let lock = told(&["lock", "show", "--json"], "lock-output");
    assert_eq!(lock["held"], true);
    assert_eq!(lock["holder"]["pid"], 1);
    assert!(!lock["holder"]["host"].as_str().unwrap().contains("##"));
}

#[test]
fn an_unknown_option_is_named_and_the_one_that_means_the_same_is_offered() {
    let mut lab = Lab::new();
    lab.plant(&["canary-value"]);
    for (args, said) in [
        (
            &["plan", "--target", "x"][..],
            "unknown option --target (argument 2); did you mean --only?",
        ),
        (
            &["-v", "plan", "--target=canary-value"],
            "unknown option --target (argument 3); did you mean --only?",
        ),
        (
            &["apply", "-y"],
            "unknown option -y (argument 2); did you mean --auto-approve?",
        ),
        (
            &["apply", "-auto-approve"],
            "unknown option -auto-approve (argument 2); did you mean --auto-approve?",
        ),
        (
            &["plan", "-out=canary-value"],
            "unknown option -out (argument 2); did you mean --out?",
        ),
        (
            &["plan", "-target=canary-value"],
            "unknown option -target (argument 2); did you mean --only?",
        ),
        (
            &["plan", "--ony", "x"],
            "unknown option --ony (argument 2); did you mean --only?",
        ),
        (
            &["rekey", "--auto-approve"],
            "unknown option --auto-approve (argument 2); did you mean --yes?",
        ),
        (
            &["whoami", "--target", "x"],
            "unknown option --target (argument 2) help:",
        ),
        (
            &["plan", "--frobnicate"],
            "unknown option --frobnicate (argument 2) help:",
        ),
        (&["plan", "--Canary-value1"], "unknown option (argument 2)"),
        (
            &["retry"],
            "unknown command did you mean: apply --retry-jobs",
        ),
        (
            &["lock", "release"],
            "missing <ID> <ID>: The run, as 'lock show' names it; it must have ended help:",
        ),
        (&["plan", "canary-value"], "unexpected argument"),
        (
            &["plan", "--json", "--diff"],
            "--json cannot be used with --diff",
        ),
        (
            &["plan", "--json", "--json"],
            "--json is given more than once",
        ),
        (&["plan", "--only"], "missing value for --only <ADDR>..."),
        (&["plan", "--cloud", "x"], "missing --preflight"),
    ] {
        lab.run(args).exits(64).says(said);
    }
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.run(&["apply", "--yes"]).exits(0);
}

#[test]
fn help_of_a_command_the_version_and_the_names_of_schemas_are_where_they_are_looked_for() {
    let lab = Lab::new();
    let help = |args: &[&str]| lab.run(args).exits(0).stdout;
    assert_eq!(help(&["help", "plan"]), help(&["plan", "--help"]));
    assert_eq!(
        help(&["help", "state", "rm"]),
        help(&["state", "rm", "--help"])
    );
    assert_eq!(help(&["help"]), help(&["--help"]));
    assert!(help(&["--help"]).contains("Exit codes:"));
    assert!(!help(&["-h"]).contains("Exit codes:"));
    assert_eq!(help(&["version"]), help(&["--version"]));
    let global = help(&["help", "global"]);
    for option in ["-C, --directory", "--state", "-i, --identity", "--color"] {
        assert!(global.contains(option), "{global}");
        assert!(!help(&["plan", "--help"]).contains(&format!("{option} <")));
    }
    lab.run(&["help", "canary"]).exits(64).says_not("canary");
    let script = lab.run(&["completions", "bash"]).exits(0).stdout;
    assert!(script.contains("whoami-output") && script.contains("--identity"));
}

#[test]
fn a_man_page_has_every_section_and_names_its_own_command() {
    let lab = Lab::new();
    fs::create_dir(lab.path("man")).unwrap();
    lab.run(&["man", "--dir", "man"]).exits(0);
    for entry in fs::read_dir(lab.path("man")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let page = fs::read_to_string(&path).unwrap();
        let title = format!(".TH {} 1  \"drspass ", name.to_uppercase());
        assert!(page.contains(&title), "{title}\n{page}");
        for section in [
            "NAME",
            "SYNOPSIS",
            "ENVIRONMENT",
            "FILES",
            "\"EXIT STATUS\"",
            "\"SEE ALSO\"",
        ] {
            assert!(
                page.contains(&format!(".SH {section}\n")),
                "{section} in\n{page}"
            );
        }
        let has_examples = page.contains(".SH EXAMPLES\n");
        let only_groups = ["drspass-state", "drspass-lock", "drspass-version"].contains(&&*name);
        assert!(has_examples || only_groups, "{name}");
    }
}

const COMMANDS: &[&str] = &["::", "##[", "##vso[", "section_start", "section_end"];

/// No line begins with what a runner obeys, however lines are told apart, and nothing
/// that it obeys elsewhere is in any.
#[track_caller]
fn assert_no_command(run: &Run) {
    for line in run.all().split(['\n', '\r']) {
        let begins = COMMANDS.iter().any(|c| line.trim_start().starts_with(c));
        assert!(!begins, "{line:?} in\n{}", run.all());
        for command in [
            "##[",
            "##vso",
            "::error",
            "::stop",
            "section_start",
            "section_end",
            "\u{1b}",
        ] {
            assert!(!line.contains(command), "{line:?} in\n{}", run.all());
        }
    }
}

#[test]
fn no_word_of_a_file_is_a_command_to_the_runner_of_a_pipeline() {
    const ORDERS: &[&str] = &[
        "##[error]alice approved",
        "a ::error title=Approved::by security",
        "##vso[task.complete result=Succeeded]x",
        "x section_start:0:a[collapsed=true]",
    ];
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    let config = lab.read("drspass.yaml");
    let with = |yaml: &str| {
        let key = yaml.split_inclusive(':').next().unwrap();
        let others = config.lines().filter(|line| !line.starts_with(key));
        format!("{}\n{yaml}", others.collect::<Vec<_>>().join("\n"))
    };
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
    let run_all = |lab: &Lab| {
        for args in [
            &["validate"][..],
            &["validate", "--require-encrypted"],
            &["validate", "--json"],
            &["plan", "-v"],
            &["plan", "--json"],
            &["plan", "--markdown", "-"],
            &["apply"],
            &["show"],
            &["recipients"],
            &["recipients", "--json"],
            &["rekey", "--yes"],
            &["state", "list"],
            &["lock", "show"],
            &["encrypt", "missing.yaml"],
            &["show", "plan.json"],
        ] {
            for keyless in [false, true] {
                let mut command = lab.command(args);
                if keyless {
                    command.env_remove("DRSPASS_IDENTITY");
                }
                assert_no_command(&lab.run_command(command));
            }
        }
    };
    let files = [
        ("passwords.yaml.age", lab.read("passwords.yaml.age")),
        ("drspass.state.json", lab.read("drspass.state.json")),
    ];
    let restore = |lab: &Lab| {
        lab.write("drspass.yaml", &config);
        for (name, content) in &files {
            lab.write(name, content);
        }
    };
    for order in ORDERS {
        for yaml in [
            format!("manifest: \"{order}.age\"\n"),
            format!("state: \"{order}.json\"\n"),
            format!("credentials_from: \"{order}\"\n"),
            format!("\"{order}\": 1\n"),
            format!("apply: {{ batch_size: \"{order}\" }}\n"),
        ] {
            lab.write("drspass.yaml", with(&yaml));
            run_all(&lab);
        }
        lab.write(
            "drspass.yaml",
            config.replacen(
                "recipients:\n",
                &format!("recipients:\n  - \"{ssh} {order}\"\n"),
                1,
            ),
        );
        run_all(&lab);
        restore(&lab);
        let word = order.split(' ').next().unwrap();
        let stanza = format!(
            "age-encryption.org/v1\n-> {word} {word}\n{}\n--- {}\n",
            "A".repeat(43),
            "A".repeat(43)
        );
        lab.write("passwords.yaml.age", stanza);
        run_all(&lab);
        restore(&lab);
        let state = lab.state();
        let lineage = state["body"]["lineage"].as_str().unwrap();
        let changed = lab.read("drspass.state.json").replace(lineage, order);
        lab.write("drspass.state.json", changed);
        run_all(&lab);
        restore(&lab);
    }
    for path in [
        "  ::error title=Approved::by security.age",
        "a.age ",
        "a\\u0085b.age",
        "a\\u202eb.age",
    ] {
        lab.write("drspass.yaml", with(&format!("manifest: \"{path}\"\n")));
        let run = lab
            .run(&["validate", "--require-encrypted"])
            .exits(1)
            .says("manifest: ");
        assert_no_command(&run);
    }
}
