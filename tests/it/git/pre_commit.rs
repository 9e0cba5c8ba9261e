//! Hooks that keep plain text out of commits, without a key.

use std::fs;
use std::path::Path;

use super::{commit, git, git_command, program, repository, rotate};
use crate::support::{J1, Lab, Run};

#[derive(serde::Deserialize)]
struct Hook {
    id: String,
    entry: String,
    language: String,
    pass_filenames: bool,
    always_run: bool,
}

fn hook() -> Hook {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".pre-commit-hooks.yaml");
    let hooks: Vec<Hook> = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(hooks.len(), 1);
    hooks.into_iter().next().unwrap()
}

/// Runs the hook as pre-commit does: its entry, then its arguments, no shell, from the
/// top of the work tree, and without any key.
fn run(lab: &Lab, args: &[&str]) -> Run {
    let entry = hook().entry;
    let mut words = entry.split(' ');
    let mut command = program(lab, words.next().unwrap());
    command
        .args(words)
        .args(args)
        .env_remove("DRSPASS_IDENTITY");
    lab.run_command(command)
}

/// A plain manifest, which `plain` finds in every output.
fn plain() -> String {
    format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'made-up-plain' }}\n")
}

#[test]
fn the_hook_that_is_shipped_passes_what_is_encrypted_and_nothing_else() {
    let shipped = hook();
    assert_eq!(shipped.id, "drspass-validate");
    assert_eq!(shipped.language, "system");
    assert!(shipped.always_run && !shipped.pass_filenames);
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    let good = lab.read("passwords.yaml.age");
    fs::create_dir_all(lab.path("envs/production")).unwrap();
    for name in ["drspass.yaml", "passwords.yaml.age"] {
        fs::copy(lab.path(name), lab.path(&format!("envs/production/{name}"))).unwrap();
    }
    run(&lab, &[]).exits(0);
    run(&lab, &["-C", "envs/production"]).exits(0);
    run(&lab, &["-C", "envs/nowhere"]).exits(1);
    for (content, what) in [
        (plain(), "not encrypted"),
        (
            good.replacen('\n', "\n<<<<<<< ours\n", 1),
            "unresolved merge",
        ),
        (good[..good.len() / 2].to_owned(), "damaged"),
        (format!("{good}made-up-plain\n"), "damaged"),
        (String::new(), "not encrypted"),
    ] {
        for folder in [".", "envs/production"] {
            lab.write(&format!("{folder}/passwords.yaml.age"), &content);
            let run = run(&lab, &["-C", folder]).exits(1).says(what);
            assert!(!run.all().contains("made-up-plain"), "{}", run.all());
            lab.write(&format!("{folder}/passwords.yaml.age"), &good);
        }
    }
    fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    run(&lab, &[]).exits(1);
}

fn add_hook(lab: &Lab) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/git-hooks/pre-commit");
    fs::copy(sample, lab.path(".git/hooks/pre-commit")).unwrap();
}

const COMMIT: [&str; 5] = ["commit", "--quiet", "--allow-empty", "--message", "x"];

#[test]
fn a_plain_hook_of_git_finds_decrypted_copies_however_they_are_written() {
    let lab = repository();
    add_hook(&lab);
    let key = format!("{}=", "Ab/+".repeat(11).split_at(43).0);
    let escaped = key.replace('/', "\\/");
    // Names of folders that mean something in a pattern.
    let odd = ["tmp", "x[p", "x\\(", "a b"];
    for name in odd {
        fs::create_dir_all(lab.path(&format!(".git/{name}"))).unwrap();
    }
    let try_commit = |temporary: &str| {
        let mut command = git_command(&lab, &COMMIT);
        command.env("TMPDIR", lab.path(&format!(".git/{temporary}")));
        lab.run_command(command)
    };
    for (number, line) in [
        format!("sealed:\n  fingerprint_key: \"{key}\"\n"),
        format!("sealed:\n  fingerprint_key: {key}\n"),
        format!("sealed:\r\n    fingerprint_key:  '{key}'\r\n"),
        format!("sealed: {{revision: 1, fingerprint_key: '{key}'}}\n"),
        format!("{{\"sealed\":{{\"fingerprint_key\":\"{escaped}\"}}}}"),
        format!("{{\n  \"fingerprint_key\" : \"{key}\"}}"),
        format!("fingerprint_key = \"{key}\"\n"),
        format!("\0fingerprint_key: {key}\n"),
    ]
    .into_iter()
    .enumerate()
    {
        lab.write("a b.txt", format!("{line}\nmade-up-plain\n"));
        git(&lab, &["add", "a b.txt"]).exits(0);
        let run = try_commit(odd[number % odd.len()]).exits(1);
        let run = run.says("a b.txt").says("a decrypted manifest");
        assert!(!run.all().contains("made-up-plain"), "{}", run.all());
    }
    // Some programs have git take every path as it is written.
    git(&lab, &[&["--literal-pathspecs"], &COMMIT[..]].concat())
        .exits(1)
        .says("a decrypted manifest");
    lab.write("a b.txt", "fingerprint_key: \"<base64 of 32 bytes>\"\n");
    git(&lab, &["add", "a b.txt"]).exits(0);
    for temporary in odd {
        try_commit(temporary).exits(0);
    }
    // A search that fails has found nothing, and proves nothing.
    lab.write("a b.txt", "something else\n");
    git(&lab, &["add", "a b.txt"]).exits(0);
    git(&lab, &[&["-c", "grep.threads=none"], &COMMIT[..]].concat())
        .exits(1)
        .says("cannot be searched");
    try_commit("missing").exits(1);
}

#[test]
fn a_plain_hook_of_git_looks_at_what_is_committed_and_not_at_the_work_tree() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    commit(&lab, "First");
    let good = lab.read("passwords.yaml.age");
    add_hook(&lab);
    let try_commit = || git(&lab, &COMMIT);
    try_commit().exits(0);
    lab.write("passwords.yaml.age", plain());
    git(&lab, &["add", "passwords.yaml.age"]).exits(0);
    // The work tree is good again, and what is about to be committed is not.
    lab.write("passwords.yaml.age", &good);
    let head = git(&lab, &["rev-parse", "HEAD"]).stdout;
    let run = try_commit().exits(1).says("not encrypted");
    assert!(!run.all().contains("made-up-plain"), "{}", run.all());
    assert_eq!(git(&lab, &["rev-parse", "HEAD"]).stdout, head);
    git(&lab, &["add", "passwords.yaml.age"]).exits(0);
    // Plain text that is not committed does not matter.
    lab.write("passwords.yaml.age", plain());
    try_commit().exits(0);
    // A second root folder below is looked at as well.
    lab.write("passwords.yaml.age", &good);
    fs::create_dir_all(lab.path("envs/a b")).unwrap();
    fs::copy(lab.path("drspass.yaml"), lab.path("envs/a b/drspass.yaml")).unwrap();
    lab.write("envs/a b/passwords.yaml.age", plain());
    git(&lab, &["add", "--all"]).exits(0);
    try_commit()
        .exits(1)
        .says("not encrypted")
        .says("the root directory envs/a b/.");
    lab.write("envs/a b/passwords.yaml.age", &good);
    git(&lab, &["add", "--all"]).exits(0);
    try_commit().exits(0);
}

#[test]
fn a_plain_hook_of_git_reads_what_the_commit_changes_and_fetches_nothing() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    let good = lab.read("passwords.yaml.age");
    for folder in ["envs/production", "envs/staging", "other"] {
        fs::create_dir_all(lab.path(folder)).unwrap();
        for number in 0..20 {
            lab.write(&format!("{folder}/{number}.txt"), format!("{number}\n"));
        }
    }
    // A second root folder whose manifest is no concern of this clone.
    for name in ["drspass.yaml", "passwords.yaml.age"] {
        for folder in ["envs/production", "envs/staging"] {
            fs::copy(lab.path(name), lab.path(&format!("{folder}/{name}"))).unwrap();
        }
    }
    commit(&lab, "First");
    let origin = lab.path(".git/origin");
    let origin = origin.to_str().unwrap();
    git(&lab, &["clone", "--quiet", "--bare", ".", origin]).exits(0);
    git(
        &lab,
        &["-C", origin, "config", "uploadpack.allowFilter", "true"],
    )
    .exits(0);
    let url = format!("file://{origin}");
    let clone = lab.path(".git/clone");
    let clone = clone.to_str().unwrap();
    let args = [
        "clone",
        "--quiet",
        "--filter=blob:none",
        "--sparse",
        &url,
        clone,
    ];
    git(&lab, &args).exits(0);
    git(
        &lab,
        &["-C", clone, "sparse-checkout", "set", "envs/production"],
    )
    .exits(0);
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/git-hooks/pre-commit");
    fs::copy(sample, format!("{clone}/.git/hooks/pre-commit")).unwrap();
    // From here on there is nothing to fetch from.
    fs::rename(origin, format!("{origin}.away")).unwrap();

    let manifest = format!("{clone}/envs/production/passwords.yaml.age");
    rotate(&mut lab, "canary-new");
    let rotated = lab.read("passwords.yaml.age");
    assert_ne!(rotated, good);
    let in_clone = |args: &[&str]| git(&lab, &[&["-C", clone], args].concat());
    let try_commit = |content: &str| {
        fs::write(&manifest, content).unwrap();
        in_clone(&["add", "envs/production"]).exits(0);
        in_clone(&COMMIT)
    };
    try_commit(&rotated).exits(0);
    try_commit(&plain()).exits(1).says("not encrypted");
    try_commit(&rotated).exits(0);
    // A change of drspass.yaml alone is judged with the manifest that is there.
    let config = format!("{clone}/envs/production/drspass.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}# A comment.\n")).unwrap();
    in_clone(&["add", "envs/production"]).exits(0);
    in_clone(&COMMIT).exits(0);
    in_clone(&["rm", "--quiet", "envs/production/passwords.yaml.age"]).exits(0);
    in_clone(&COMMIT).exits(1);
}
