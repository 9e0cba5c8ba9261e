//! The README, its pictures and the pages of `docs/`. The tutorial is typed as it is written,
//! against a simulator with the scenario that it names; only the port, the folder and the
//! answer at the terminal differ.

mod docs;
mod pictures;

use std::path::Path;
use std::process::Command;

use drspass::sim::{Simulator, scenario};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).expect(name)
}

/// A command as typed, and the lines shown below it.
struct Typed {
    command: String,
    shown: Vec<String>,
}

/// The blocks between code fences of a section, each with its language.
fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => open = Some((language, Vec::new())),
            (None, Some((language, mut lines))) => {
                lines.push(line);
                open = Some((language, lines));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a code block is not closed");
    blocks
}

/// The commands of a block, continuation lines joined.
fn typed(lines: &[&str]) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    let mut continues = false;
    for line in lines {
        if continues {
            let last = all.last_mut().unwrap();
            continues = line.ends_with('\\');
            last.command
                .push_str(line.trim_start().trim_end_matches('\\'));
        } else if let Some(command) = line.strip_prefix("$ ") {
            continues = command.ends_with('\\');
            all.push(Typed {
                command: command.trim_end_matches('\\').to_owned(),
                shown: Vec::new(),
            });
        } else if let Some(last) = all.last_mut() {
            last.shown.push((*line).to_owned());
        }
    }
    all
}

/// Text with everything that differs each time replaced: ids of 32 digits, dates.
fn steady(line: &str) -> String {
    line.split(' ')
        .map(|word| {
            let is_id = word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
            let bare = word.trim_matches(['(', ')']);
            let is_date = bare.len() == 10 && bare.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            if is_id {
                "<id>"
            } else if is_date {
                "<date>"
            } else if word.starts_with("http://127.0.0.1:") {
                "<address>"
            } else {
                word
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_tutorial_works_as_it_is_written() {
    let tutorial = page("tutorial.md");
    let scenario_file = "examples/scenarios/one-refused.yaml";
    assert!(tutorial.contains(&format!(
        "drspass sim --port 18080 --scenario {scenario_file}"
    )));
    let scenario = std::fs::read_to_string(root().join(scenario_file)).unwrap();
    let sim = Simulator::start(scenario::parse(&scenario).unwrap()).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_drspass"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());

    // What a shell keeps between two lines: folder, variables, last exit code.
    let mut place = std::path::PathBuf::new();
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut code = 0;
    let mut commands = 0;
    for (language, lines) in blocks(&tutorial) {
        if language == "yaml" {
            // The manifest is opened and filled in, as the text says.
            assert!(tutorial.contains("`drspass edit`"));
            assert!(tutorial.contains("its last line, `jobs: {}`"));
            let filled = place.join("filled.yaml");
            std::fs::write(&filled, lines.join("\n") + "\n").unwrap();
            let editor = "sh -c 'sed -i \"/^jobs: {}$/d\" \"$1\"; cat filled.yaml >> \"$1\"' -";
            let status = Command::new(binary)
                .arg("edit")
                .current_dir(&place)
                .env_clear()
                .env("PATH", &path)
                .env("EDITOR", editor)
                .env("TMPDIR", folder.path())
                .envs(variables.iter().map(|(name, value)| (name, value)))
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .status()
                .unwrap();
            assert!(status.success());
            std::fs::remove_file(filled).unwrap();
            continue;
        }
        for Typed { command, shown } in typed(&lines) {
            if command.starts_with("drspass sim ") {
                continue;
            }
            if command == "echo $?" {
                assert_eq!(shown, [code.to_string()]);
                continue;
            }
            if let Some(assignments) = command.strip_prefix("export ") {
                variables.extend(assignments.split(' ').map(|assignment| {
                    let (name, value) = assignment.split_once('=').unwrap();
                    let here = place.to_str().unwrap();
                    (name.to_owned(), value.replace("$PWD", here))
                }));
                continue;
            }
            if command == "cd \"$(mktemp -d)\" && mkdir production && cd production" {
                place = folder.path().join("production");
                std::fs::create_dir(&place).unwrap();
                continue;
            }
            commands += 1;
            let mut line = command.replace("http://127.0.0.1:18080", &sim.url());
            if command == "drspass apply" {
                // There is no terminal to type the word on.
                assert!(shown.iter().any(|line| line.ends_with(": yes")));
                line.push_str(" --auto-approve");
            }
            let output = Command::new("sh")
                .args(["-c", &line])
                .current_dir(&place)
                .env_clear()
                .env("PATH", &path)
                .envs(variables.iter().map(|(name, value)| (name, value)))
                .output()
                .unwrap();
            code = output.status.code().unwrap();
            let text = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            let text = text.replace(&sim.url()["http://".len()..], "127.0.0.1:18080");
            let said: Vec<String> = text.lines().map(steady).collect();
            let expected: Vec<String> = shown
                .iter()
                .filter(|line| !line.ends_with(": yes"))
                .map(|line| steady(line))
                .collect();
            let mut rest = said.iter();
            for line in &expected {
                assert!(
                    rest.any(|said| said == line),
                    "{command}\nexpected {line:?} in\n{text}"
                );
            }
            let notes = said
                .iter()
                .filter(|line| !expected.contains(line))
                .filter(|line| !line.starts_with("note: there is no state"));
            assert_eq!(notes.count(), 0, "{command} says more:\n{text}");
        }
    }
    assert!(commands >= 7, "{commands} commands were typed");
    let holds = |password| {
        let job = "6513270e-269e-0d37-f2a7-4de452e6jbb4";
        sim.holds(job, "source", password)
    };
    assert!(!holds("made-up Billing #3"), "it rotated");
}

#[test]
fn the_pages_say_what_drspass_does_not_protect_against() {
    for (name, sentence) in [
        (
            "security.md",
            "**Anyone who sets the environment of a run** can choose a proxy and the certificates that are trusted",
        ),
        (
            "security.md",
            "Jobs of a change request have no key for that reason",
        ),
        (
            "security.md",
            "those inside the HTTP, TLS, YAML and age libraries are not",
        ),
        (
            "pipelines.md",
            "Anyone who can edit a pipeline that has the key can read every password",
        ),
        (
            "pipelines.md",
            "**Jobs with the key** run only on the protected branch or in a reviewed environment",
        ),
    ] {
        let text = page(name);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(sentence), "{name}: {sentence}");
    }
    assert!(readme().contains("](docs/security.md) what drspass does not protect against"));
}

#[test]
fn what_the_readme_says_of_trying_it_is_what_ci_runs() {
    let readme = readme();
    let section = readme.split("\n## Try it\n").nth(1).unwrap();
    let (_, lines) = blocks(section).swap_remove(0);
    assert_eq!(lines, ["cargo run -- demo", "tests/run"]);
    // CI runs the demo with the program that the tests built, which `cargo run` would build anew.
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let runs = |end: &str| {
        ci.lines()
            .any(|line| line.split(" 2>&1").next().unwrap().ends_with(end))
    };
    assert!(runs("/debug/drspass\" demo") && runs("tests/run"));
}
