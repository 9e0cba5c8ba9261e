//! The README and the pages of `docs/`: their commands parse, those of a real project and of a
//! rotation are typed against a simulator, and the reference names what the program knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::{CommandFactory as _, Parser as _};
use drspass::cli::cmd::Cli;
use drspass::cli::exit;
use drspass::sim::{EndpointSpec, JobSpec, SimConfig, Simulator, scenario};
use serde_json::Value;
use tempfile::TempDir;

use super::{Typed, blocks, page, readme, root, typed};
use crate::error_codes::CODES;
use crate::support::wait_until;

const ORDERS: &str = "25df459d-a37c-41b9-bc2b-8c00ba32jb52";
const BILLING: &str = "6513270e-269e-0d37-f2a7-4de452e6jbb4";
const PROJECT: &str = "--region eu-de --project-id ";

/// The README and every page of `docs/`.
fn pages() -> Vec<(String, String)> {
    let names = fs::read_dir(root().join("docs")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name.ends_with(".md"));
    let mut pages: Vec<_> = names.map(|name| (name.clone(), page(&name))).collect();
    pages.push(("README.md".to_owned(), readme()));
    pages
}

/// A line of a shell without its comment, which begins behind two spaces or at the start.
fn bare(line: &str) -> &str {
    if line.starts_with('#') {
        return "";
    }
    line.split("  #").next().unwrap().trim_end()
}

/// The commands of all blocks of a page that are typed into a shell, lines that continue
/// joined.
fn lines(page: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut continues = false;
    for (language, lines) in blocks(page) {
        if language == "console" {
            commands.extend(
                typed(&lines)
                    .into_iter()
                    .map(|Typed { command, .. }| command),
            );
        }
        for line in lines.into_iter().filter(|_| language == "sh").map(bare) {
            let (part, more) = match line.strip_suffix('\\') {
                Some(part) => (part, true),
                None => (line, false),
            };
            match commands.last_mut() {
                Some(last) if continues => last.push_str(part.trim_start()),
                _ if part.is_empty() => {}
                _ => commands.push(part.to_owned()),
            }
            continues = more;
        }
    }
    commands
}

/// The words of each run of drspass in a line.
fn runs(line: &str) -> Vec<Vec<String>> {
    let words = shell_words::split(line).expect(line);
    let commands = words.split(|word| ["&&", "|", ";"].contains(&word.as_str()));
    let commands = commands.map(|words| {
        let is_set = |word: &&String| word.starts_with(char::is_uppercase) && word.contains('=');
        words.iter().skip_while(is_set).cloned().collect()
    });
    let is_ours = |words: &Vec<String>| words.first().is_some_and(|word| word == "drspass");
    commands.filter(is_ours).collect()
}

#[test]
fn every_command_that_a_page_shows_is_one() {
    let mut count = 0;
    for (name, page) in pages() {
        for (language, lines) in blocks(&page) {
            // Nothing that is typed is in a block that is not looked at.
            assert!(
                ["sh", "console", "csv", "yaml", "text"].contains(&language),
                "{name}: {language}"
            );
            let is_other = language != "sh";
            assert!(
                !(is_other && lines.iter().any(|line| line.starts_with("drspass "))),
                "{name}"
            );
        }
        let prose: Vec<&str> = page.split("```").step_by(2).collect();
        let prose = prose.join(" ");
        let inline = prose.split('`').skip(1).step_by(2);
        let inline = inline.map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
        let inline = inline.filter(|code| code.starts_with("drspass ") && !code.contains('|'));
        for line in lines(&page).into_iter().chain(inline) {
            let line = line.replace("$PLAN_ID", &"0".repeat(64));
            for words in runs(&line.replace("OLDKEYID", &"0".repeat(32))) {
                count += 1;
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{name}: {line}: {error}");
                }
            }
        }
    }
    assert!(count >= 80, "{count} commands");
}

#[test]
fn a_page_links_only_to_what_is_there() {
    for (name, page) in pages() {
        for link in page.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let from = if name == "README.md" { "." } else { "docs" };
            assert!(root().join(from).join(link).exists(), "{name}: {link}");
        }
    }
}

#[test]
fn a_page_is_short_and_says_who_does_what() {
    // Words of translated sentences: passive without an actor, or a clause for a noun.
    let watched = [
        " told ",
        " tells ",
        " stands ",
        " shall ",
        "somebody",
        "nobody",
        "whoever",
        " beside ",
        "at hand",
        "meanwhile",
        " mend",
        "is no ",
        "are no ",
        "what is ",
        "so much",
    ];
    for (name, page) in pages() {
        let plain = page.to_lowercase().replace('\n', " ");
        for word in watched {
            assert!(!plain.contains(word), "{name}: {word}");
        }
        let prose: Vec<&str> = page.split("\n```").step_by(2).collect();
        for paragraph in prose.join("\n").split("\n\n") {
            let is_list = paragraph
                .trim_start()
                .starts_with(['|', '-', '1', '#', '!']);
            let lines = paragraph.trim().lines().count();
            assert!(is_list || lines <= 5, "{name}: {lines} lines: {paragraph}");
        }
    }
}

/// A repository in which the commands of a page are typed, one after the other.
struct Walk {
    sim: Simulator,
    home: TempDir,
}

impl Walk {
    fn new() -> Self {
        let endpoint = |ip: &str, password: &str| {
            Some(EndpointSpec {
                db_type: Some("mysql".to_owned()),
                port: Some(3306),
                ip: Some(ip.to_owned()),
                user: Some("drs".to_owned()),
                real_password: Some(password.to_owned()),
                ..EndpointSpec::default()
            })
        };
        let job = |id: &str, name: &str| JobSpec {
            name: name.to_owned(),
            source: endpoint("192.0.2.10", "made-up Orders #1"),
            ..JobSpec::new(id)
        };
        let sim = Simulator::start(SimConfig {
            token: Some("rehearsal-token".to_owned()),
            jobs: vec![
                JobSpec {
                    destination: endpoint("192.0.2.20", "made-up Orders #2"),
                    ..job(ORDERS, "orders-cdc")
                },
                JobSpec {
                    source: endpoint("192.0.2.30", "made-up Billing #3"),
                    destination: endpoint("192.0.2.10", "made-up Orders #1"),
                    ..job(BILLING, "billing")
                },
            ],
            ..SimConfig::default()
        });
        let walk = Self {
            sim: sim.unwrap(),
            home: TempDir::new().unwrap(),
        };
        fs::create_dir(walk.path("")).unwrap();
        walk.types(
            "git init --quiet && git config user.name n && git config user.email n@localhost",
        );
        walk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("repository").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What a shell of one's own keeps between two lines, its folder and variables, is in a
    /// file here.
    fn run(&self, line: &str) -> Output {
        let binary = Path::new(env!("CARGO_BIN_EXE_drspass")).parent().unwrap();
        let script = format!(
            "set -e; if [ -e \"$HOME/kept\" ]; then . \"$HOME/kept\"; cd \"$PWD_KEPT\"; fi\n{line}\n\
             PWD_KEPT=$PWD; export PWD_KEPT; export -p >\"$HOME/kept\""
        );
        Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", binary.display()))
            .env("HOME", self.home.path())
            .env("OS_TOKEN", "rehearsal-token")
            .output()
            .unwrap()
    }

    fn types(&self, line: &str) -> String {
        let output = self.run(line);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(output.status.success(), "{line}\n{text}");
        text
    }

    /// Types a page's line. There is no terminal to say yes on, and the region is that of
    /// the simulator.
    fn walks(&self, line: &str) -> String {
        let url = self.sim.url();
        let home = self.home.path().to_str().unwrap();
        let mut line = line.replace("/dev/shm", home);
        if let Some((command, id)) = line.split_once(PROJECT) {
            assert_eq!(id.len(), 32, "{line}");
            let id = self.sim.project_id();
            line = format!("{command}--endpoint {url} --auth-url {url}/v3 --project-id {id}");
        }
        if line.starts_with("drspass apply") {
            line.push_str(" --auto-approve");
        }
        self.types(&line)
    }

    fn holds(&self, job: &str, endpoint: &str, password: &str) -> bool {
        self.sim.holds(job, endpoint, password)
    }
}

#[test]
fn a_real_project_is_set_up_as_the_page_says() {
    let page = page("start.md");
    let walk = Walk::new();
    let (_, csv) = blocks(&page)
        .into_iter()
        .find(|(language, _)| *language == "csv")
        .unwrap();
    assert_eq!(page.matches(PROJECT).count(), 2);
    let (_, shown) = blocks(&page)
        .into_iter()
        .find(|(language, _)| *language == "text")
        .unwrap();
    let mut plans = Vec::new();
    let mut passwords = PathBuf::new();
    for line in lines(&page) {
        if line.starts_with("drspass import") && !line.ends_with("--write") {
            // Only the passwords are to be filled in, in any order of the lines.
            passwords = walk.types("printf %s \"$LIST\"").into();
            assert!(passwords.starts_with(walk.home.path()));
            let draft = fs::read_to_string(&passwords).unwrap();
            let addresses = |line: &str| line.split_once(',').unwrap().0.to_owned();
            let drafted: BTreeSet<String> = draft.lines().map(addresses).collect();
            assert_eq!(drafted, csv.iter().map(|line| addresses(line)).collect());
            fs::write(&passwords, csv.join("\n") + "\n").unwrap();
            let listed = walk.types("drspass decrypt");
            assert_eq!(shown.len(), 6);
            let is_there = |line: &&str| listed.lines().any(|listed| listed == *line);
            assert!(shown.iter().all(is_there), "{shown:?} is not in\n{listed}");
        }
        let shown = walk.walks(&line);
        if line.starts_with("drspass plan") {
            plans.push(shown);
        }
    }
    assert!(plans[0].contains("4 to set") && plans[1].contains("4 in sync"));
    assert!(walk.holds(ORDERS, "source", "made-up Orders #1"));
    assert!(walk.holds(ORDERS, "destination", "made-up Orders #2"));
    assert!(walk.holds(BILLING, "source", "made-up Billing #3"));
    assert!(walk.holds(BILLING, "destination", "made-up Orders #1"));
    assert!(!passwords.exists());
    let kept = walk.types("cd ../production && git ls-files && git status --porcelain .");
    let kept: Vec<&str> = kept.lines().collect();
    assert_eq!(kept.len(), 6, "{kept:?}");
    assert!(kept.contains(&"drspass.state.json"), "{kept:?}");
}

#[test]
fn a_real_project_is_used_as_the_readme_says() {
    let readme = readme();
    let section = readme.split("## Use it with a real project").nth(1);
    let section = section.unwrap().split("\n## ").next().unwrap();
    let walk = Walk::new();
    walk.write("old.txt", "made-up Orders #1\n");
    walk.write("new.txt", "made-up Orders #4\n");
    let mut plans = Vec::new();
    for line in lines(section) {
        let shown = match line.as_str() {
            // One shared credential and its endpoints, with its password filled in.
            "drspass edit" => walk.types(
                "EDITOR=\"sed -i -E -e 's/^# credentials:/credentials:/' \
                 -e '/^#.*drs-192.0.2.10\\\"/{s/^# //;s/[.]{3}/made-up Orders #1/}' \
                 -e '/drs-192.0.2.10/s/# (source|destination):/\\1:/'\" drspass edit",
            ),
            "drspass set @drs-192.0.2.10" => {
                walk.types(&format!("{line} --from-file ../../new.txt"))
            }
            "drspass apply --retry-jobs" => {
                for (job, endpoint) in [(ORDERS, "source"), (BILLING, "destination")] {
                    assert!(walk.holds(job, endpoint, "made-up Orders #1"));
                    assert!(
                        walk.sim
                            .set_real_password(job, endpoint, "made-up Orders #4")
                    );
                }
                walk.walks(&line)
            }
            _ => walk.walks(&line),
        };
        if line.starts_with("drspass plan") {
            plans.push(shown);
        }
    }
    assert!(plans[0].contains("2 to set") && plans[1].contains("2 to change"));
    assert!(walk.holds(ORDERS, "source", "made-up Orders #4"));
    assert!(walk.holds(BILLING, "destination", "made-up Orders #4"));
    let kept = walk.types("git ls-files && git status --porcelain .");
    assert_eq!(kept.lines().count(), 6, "{kept}");
}

#[test]
fn passwords_are_rotated_as_the_page_says() {
    let page = page("rotate.md");
    let walk = Walk::new();
    walk.types("mkdir production && cd production && export DRSPASS_IDENTITY=key.txt");
    walk.walks(&format!(
        "drspass init -i key.txt {PROJECT}{}",
        "0".repeat(32)
    ));
    let jobs = format!(
        "credentials: {{ orders-db: {{ password: 'made-up Orders #1' }} }}\njobs:\n  \
         {ORDERS}: {{ name: orders-cdc, source: {{ credential: orders-db }} }}\n  {BILLING}:\n    \
         name: billing\n    source: {{ password: 'made-up Billing #3' }}\n    \
         destination: {{ credential: orders-db }}\n"
    );
    walk.write("jobs.yaml", &jobs);
    walk.types("(drspass decrypt | grep -v '^jobs:'; cat ../jobs.yaml) >../plain.yaml");
    walk.types("drspass encrypt ../plain.yaml");
    walk.walks("drspass apply");
    walk.write("../new-billing.txt", "made-up Billing #4\n");
    walk.write("../new-orders.txt", "made-up Orders #5\n");
    let mut databases = 0;
    for line in lines(&page) {
        // The database is changed while the old password is still that of DRS.
        if let Some(host) = line.strip_prefix("mysql -h ") {
            databases += 1;
            let all = [
                (ORDERS, "source", "made-up Orders #5"),
                (BILLING, "destination", "made-up Orders #5"),
                (BILLING, "source", "made-up Billing #4"),
            ];
            let of_host = |(_, _, password): &&(&str, &str, &str)| {
                password.contains("Billing") == host.starts_with("192.0.2.30")
            };
            for (job, endpoint, password) in all.iter().filter(of_host) {
                assert!(!walk.holds(job, endpoint, password));
                assert!(walk.sim.set_real_password(job, endpoint, password));
            }
            continue;
        }
        walk.walks(&line);
    }
    assert_eq!(databases, 2);
    assert!(walk.holds(ORDERS, "source", "made-up Orders #5"));
    assert!(walk.holds(BILLING, "destination", "made-up Orders #5"));
    assert!(walk.holds(BILLING, "source", "made-up Billing #4"));
    assert!(!walk.path("../new-orders.txt").exists());
}

#[test]
fn two_environments_are_rehearsed_as_the_tutorial_says() {
    let page = page("tutorial.md");
    let (_, part) = page.split_once("## Two environments").unwrap();
    let walk = Walk::new();
    let jobs: Vec<String> = (10..15)
        .map(|number| format!("{number}df459d-a37c-41b9-bc2b-8c00ba32jb{number}"))
        .collect();
    let (mut sims, mut shown) = (Vec::new(), String::new());
    for mut line in lines(part) {
        if let Some(options) = line.strip_prefix("drspass sim --port ") {
            let (port, file) = options.split_once(" --scenario ").unwrap();
            let file = fs::read_to_string(root().join(file)).unwrap();
            let sim = Simulator::start(scenario::parse(&file).unwrap()).unwrap();
            sims.push((format!("http://127.0.0.1:{port}"), sim));
            continue;
        }
        let (_, production) = &sims[0];
        if line.starts_with("sleep ") {
            let is_failed = |job: &String| production.status(job).unwrap().ends_with("_FAILED");
            wait_until("the jobs to fail", || jobs.iter().all(is_failed));
            continue;
        }
        for (address, sim) in &sims {
            line = line.replace(address, &sim.url());
        }
        line = line.replace("=TOKEN", &format!("={}", production.admin_token()));
        line = line.replace("cd \"$(mktemp -d)\" && ", "");
        if line.contains(" apply") {
            line.push_str(" --auto-approve");
        }
        if production.holds(&jobs[0], "source", "made-up Wrong #6") {
            line.push_str(" || [ $? = 3 ]");
        }
        shown += &walk.types(&line);
    }
    assert!(shown.contains("24 applied") && shown.contains("8 applied"));
    assert!(shown.contains("1 failed again, 0 unknown, 4 not retried"));
    assert!(shown.contains("have failed: orders, order-items, invoices, payments, refunds;"));
    assert_eq!(shown.matches("retried, runs again").count(), 5, "{shown}");
    let is_set = |job| sims[0].1.holds(job, "source", "made-up Wrong #6");
    assert!(jobs.iter().all(|job| is_set(job)));
}

/// A source without its tests and comments.
fn code_of(path: &Path) -> String {
    let code = fs::read_to_string(path).unwrap();
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The variables that the command line reads: all names of their shape in its sources.
fn variables_of(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("tests") || path.ends_with("tests.rs") {
            continue;
        }
        if path.is_dir() {
            variables_of(&path, found);
            continue;
        }
        let code = code_of(&path);
        let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        found.extend(words.filter(|word| is_variable(word)).map(str::to_owned));
    }
}

/// Names of a page: what is between bars, ticks, commas and blanks.
fn names(page: &str) -> BTreeSet<&str> {
    page.split(|c: char| !(c.is_ascii_alphanumeric() || "_.:".contains(c)))
        .map(|name| name.trim_end_matches(['.', ':']))
        .collect()
}

#[test]
fn every_error_code_has_a_row_in_troubleshooting() {
    let page = page("troubleshooting.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    let rows = rows.join("\n");
    let named = names(&rows);
    for code in CODES {
        assert!(named.contains(code), "{code}");
    }
    let known = named.iter().filter(|name| name.starts_with("drspass::"));
    for code in known {
        assert!(CODES.contains(code), "{code} is not one");
    }
    let mut count = 0;
    let code = code_of(&root().join("src/api/codes.rs"));
    for word in code.split([' ', '"', '\n', ',']) {
        let is_number = word.len() == 5 && word.bytes().all(|b| b.is_ascii_digit());
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
        let code = match word.split_once('.') {
            Some(("DRS" | "IAM" | "APIG", number)) if number.len() > 3 && is_plain(number) => {
                word.to_owned()
            }
            None if is_number => format!("DRS.M{word}"),
            _ => continue,
        };
        count += 1;
        assert!(named.contains(code.as_str()), "{code}");
    }
    assert!(count > 80, "{count}");
}

#[test]
fn the_reference_names_every_command_variable_setting_exit_code_and_field_of_a_scenario() {
    let page = page("reference.md");
    let named = names(&page);

    let mut variables = BTreeSet::new();
    variables_of(&root().join("src/cli"), &mut variables);
    assert!(variables.len() > 60, "{variables:?}");
    for name in &variables {
        assert!(named.contains(name.as_str()), "{name}");
    }
    for name in [
        "VISUAL", "EDITOR", "PATH", "HOME", "TMPDIR", "NO_COLOR", "TERM",
    ] {
        assert!(named.contains(name), "{name}");
    }
    let listed = named.iter().filter(|name| is_variable(name));
    for name in listed {
        let is_of_library = *name == "NO_PROXY";
        assert!(
            is_of_library || variables.contains(*name),
            "{name} is read nowhere"
        );
    }

    for (code, _) in exit::TABLE {
        assert!(page.contains(&format!("\n| {code} | ")), "exit code {code}");
    }

    let schema = fs::read_to_string(root().join("schemas/config.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut settings = Vec::new();
    add_settings("", &schema["properties"], &mut settings);
    assert!(settings.contains(&"apply.retry.max_elapsed".to_owned()));
    for setting in settings {
        assert!(page.contains(&format!("\n| `{setting}` | ")), "{setting}");
    }

    let commands = page.split("## Commands").nth(1).unwrap();
    let commands = names(commands.split("\n## ").next().unwrap());
    for command in Cli::command().get_subcommands() {
        assert!(commands.contains(command.get_name()), "{command}");
    }

    // A field or word that it does not know makes the reader list those that it knows.
    for unknown in [
        "x: 1",
        "jobs: [{ id: a, x: 1 }]",
        "jobs: [{ id: a, source: { x: 1 } }]",
        "users: [{ x: 1 }]",
        "access_keys: [{ x: 1 }]",
        "catalog: { x: 1 }",
        "faults: [{ kind: x }]",
        "faults: [{ on: x, kind: busy }]",
        "faults: [{ x: 1 }]",
        "query_faults: [{ call: x, kind: busy }]",
    ] {
        let error = scenario::parse(unknown).err().unwrap().to_string();
        let known = error.split("known here: ").nth(1).expect(unknown);
        for name in known.split(", ") {
            assert!(named.contains(name), "{unknown}: {name}");
        }
    }
}

fn is_variable(word: &str) -> bool {
    let starts = [
        "DRSPASS_", "OS_", "HW_", "GITHUB_", "XDG_", "HTTPS_", "ALL_", "NO_PROXY",
    ];
    let is_plain = |b: u8| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit();
    let is_one = starts.iter().any(|start| word.starts_with(start));
    // Those of tests are read by debug builds only.
    is_one && !word.ends_with('_') && word.bytes().all(is_plain) && !word.contains("_TEST_")
}

fn add_settings(start: &str, properties: &Value, settings: &mut Vec<String>) {
    for (name, value) in properties.as_object().unwrap() {
        let name = format!("{start}{name}");
        match value.get("properties") {
            Some(below) => add_settings(&format!("{name}."), below, settings),
            None => settings.push(name),
        }
    }
}
