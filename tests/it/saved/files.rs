//! The file itself: what is taken for a plan, and how it is written.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{PLAN, STATE, apply, key, planned, refused, save, save_as};
use crate::support::{J1, J2, Lab, make_pipe, mode};

#[test]
fn a_file_that_is_no_plan_is_refused_with_one_sentence_and_without_its_content() {
    let lab = planned();
    let plan = lab.read(PLAN);
    let newer = plan.replace("drspass.plan/1", "drspass.plan/2");
    let half = &plan[..plan.len() / 2];
    let listed = format!("[{plan}]");
    let spaced = format!(" {plan}");
    let twice = format!("{plan}{plan}");
    let padded = plan.replacen("\"body\":{", "\"body\":{\"more\":1,", 1);
    let manifest = lab.read("passwords.yaml.age");
    let state = lab.read(STATE);
    for (content, words) in [
        (manifest.as_str(), "it is an encrypted file, not a plan"),
        ("", "it is empty"),
        (" \n", "it is empty"),
        (half, "it is incomplete or damaged"),
        (&newer, "its format is not drspass.plan/1"),
        (&state, "its format is not drspass.plan/1"),
        (&listed, "it is incomplete or damaged"),
        ("[]", "it is incomplete or damaged"),
        ("null", "it is incomplete or damaged"),
        ("canary-note: 1\n", "it is incomplete or damaged"),
        ("\u{0}\u{1}canary-note", "it is incomplete or damaged"),
        (&spaced, "it was altered"),
        (&twice, "it is incomplete or damaged"),
        (&padded, "it was altered"),
    ] {
        lab.write("no-plan", content);
        let run = refused(&lab, &["apply", "no-plan"], 5, words);
        assert!(!run.all().contains("canary-note"), "{}", run.all());
        assert!(!run.all().contains(J1), "{}", run.all());
    }
    // The manifest by its own name, too.
    refused(
        &lab,
        &["apply", "passwords.yaml.age"],
        5,
        "passwords.yaml.age",
    );
    // And the plan is still good.
    apply(&lab).exits(0);
}

#[test]
fn a_plan_that_cannot_be_read_is_a_trouble_of_files() {
    let lab = planned();
    std::fs::create_dir(lab.path("folder")).unwrap();
    symlink(PLAN, lab.path("link")).unwrap();
    make_pipe(&lab.path("pipe"));
    refused(&lab, &["apply", "pipe"], 1, "not a regular file");
    refused(&lab, &["apply", "folder"], 1, "folder");
    refused(&lab, &["apply", "missing"], 1, "missing");
    refused(&lab, &["apply", "link"], 1, "it is a link");
    refused(&lab, &["apply", "--", "-p"], 1, "-p");
    refused(&lab, &["apply", "-p"], 64, "unknown option -p (argument 2)");
}

#[test]
fn a_plan_with_an_altered_id_content_or_code_is_refused() {
    let lab = planned();
    let plan = lab.read(PLAN);
    let parsed: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let id = parsed["id"].as_str().unwrap();
    let hmac = parsed["hmac"].as_str().unwrap();
    let other = |text: &str| -> String {
        let first = if text.starts_with('0') { "1" } else { "0" };
        format!("{first}{}", &text[1..])
    };
    let address = format!("\"address\":\"{J1}/source\"");
    let moved = format!("\"address\":\"{J2}/source\"");
    for (from, to) in [
        (id, other(id)),
        (&address, moved),
        ("\"update\"", "\"create\"".to_owned()),
        ("\"serial\":", "\"serial\":1".to_owned()),
    ] {
        let altered = plan.replacen(from, &to, 1);
        assert_ne!(altered, plan, "{from}");
        lab.write(PLAN, altered);
        refused(&lab, &["apply", PLAN], 5, "it was altered");
    }
    let shouted = format!("A{}", &hmac[1..]);
    for code in [other(hmac), String::new(), shouted] {
        lab.write(PLAN, plan.replace(hmac, &code));
        refused(&lab, &["apply", PLAN], 5, "made with another key");
    }
}

#[test]
fn an_older_plan_is_replaced_and_the_new_file_is_private() {
    let mut lab = planned();
    assert_eq!(mode(&lab.path(PLAN)), 0o600);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(lab.path(PLAN), open).unwrap();
    let older = lab.read(PLAN);
    lab.passwords(&[(J1, "source", "canary-4")]);
    let said = save(&lab);
    assert_ne!(lab.read(PLAN), older);
    assert!(
        lab.read(PLAN)
            .contains(said["saved"]["plan_id"].as_str().unwrap())
    );
    assert_eq!(mode(&lab.path(PLAN)), 0o600);
    apply(&lab).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-4"));
}

#[test]
fn anything_else_at_that_place_is_left_alone() {
    let lab = planned();
    let manifest = lab.read("passwords.yaml.age");
    let newer = lab.read(PLAN).replace("drspass.plan/1", "drspass.plan/2");
    lab.write("precious", "precious");
    lab.write("empty", "");
    lab.write("newer", &newer);
    std::fs::create_dir(lab.path("folder")).unwrap();
    symlink("precious", lab.path("link")).unwrap();
    symlink(PLAN, lab.path("link-to-plan")).unwrap();
    symlink("nothing", lab.path("link-to-nothing")).unwrap();
    let plan = lab.read(PLAN);
    make_pipe(&lab.path("pipe"));
    for name in [
        "pipe",
        "precious",
        "empty",
        "newer",
        "folder",
        "link",
        "link-to-plan",
        "link-to-nothing",
        "passwords.yaml.age",
        "drspass.yaml",
        STATE,
        "key.txt",
        "no-folder/plan",
    ] {
        refused(&lab, &["plan", "--out", name], 1, name);
    }
    assert_eq!(lab.read("precious"), "precious");
    assert_eq!(lab.read("empty"), "");
    assert_eq!(lab.read("newer"), newer);
    assert_eq!(lab.read(PLAN), plan);
    assert_eq!(lab.read("passwords.yaml.age"), manifest);
    assert!(lab.path("folder").is_dir());
    assert!(!lab.exists("nothing"));
    for name in ["link", "link-to-plan", "link-to-nothing"] {
        assert!(lab.path(name).is_symlink(), "{name}");
    }
}

#[test]
fn a_file_beside_the_plan_is_left_alone() {
    let lab = planned();
    lab.write("plan.json.tmp", "precious");
    save(&lab);
    assert_eq!(lab.read("plan.json.tmp"), "precious");
    let names: Vec<String> = std::fs::read_dir(lab.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let plans = names.iter().filter(|name| name.contains("plan"));
    assert_eq!(plans.count(), 2, "nothing else is left: {names:?}");
}

#[test]
fn a_plan_is_named_as_seen_from_the_root_folder() {
    let lab = planned();
    let parent = lab.dir.path().parent().unwrap().to_owned();
    let folder = lab.dir.path().display().to_string();
    let from_outside = |args: &[&str]| {
        let mut command = lab.command(&[&["-C", &folder, "-i", "key.txt"], args].concat());
        command.current_dir(&parent);
        lab.run_command(command)
    };
    from_outside(&["plan", "--out", "outside.json"]).exits(0);
    assert!(lab.exists("outside.json"));
    from_outside(&["show", "outside.json"]).exits(0);
    from_outside(&["apply", "outside.json"]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-3"));
}

#[test]
fn a_plan_that_fails_writes_no_file_and_keeps_the_older_one() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.apply(&[]).exits(0);
    lab.passwords(&[(J1, "source", "canary-2")]);
    save_as(&lab, "older.json", &[]);
    let older = lab.read("older.json");
    let state = lab.read(STATE);
    let fails = |code: i32, args: &[&str]| {
        for name in ["new.json", "older.json"] {
            let all = [&["plan", "--out", name], args].concat();
            lab.run(&all).exits(code);
        }
        assert!(!lab.exists("new.json"), "{args:?}");
        assert_eq!(lab.read("older.json"), older, "{args:?}");
    };
    fails(1, &["--only", "nothing"]);
    fails(1, &["--expect-key-id", &"0".repeat(32)]);
    fails(1, &["-i", "missing"]);
    fails(64, &["--expires-in", "0s"]);
    fails(64, &["--expires-in", "31d"]);
    fails(64, &["--expires-in", "1"]);
    lab.write(STATE, state.replace("\"sent\"", "\"adopted\""));
    fails(1, &[]);
    lab.write(STATE, &state);
    let mut command = lab.command(&["plan", "--out", "new.json", "--preflight"]);
    command.env("OS_TOKEN", "canary-no-token-of-this-service");
    lab.run_command(command).exits(1);
    assert!(!lab.exists("new.json"));
}

#[test]
fn show_needs_neither_key_nor_root_and_says_that_nothing_is_proved() {
    let lab = planned();
    let saved = lab.run(&["plan", "--out", PLAN]).exits(0).stdout;
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::copy(lab.path(PLAN), folder.path().join(PLAN)).unwrap();
    let show = |args: &[&str]| {
        let mut command = lab.command(args);
        command
            .current_dir(folder.path())
            .env_remove("DRSPASS_IDENTITY")
            .env_remove("OS_TOKEN");
        lab.run_command(command)
    };
    let run = show(&["show", PLAN]).exits(0);
    for line in saved.lines().filter(|line| !line.starts_with("note:")) {
        assert!(run.stdout.contains(line), "{line}\n{}", run.stdout);
    }
    show(&["show", "--json", PLAN]).exits(0).says("\"saved\"");
    let altered = lab.read(PLAN).replacen("update", "create", 1);
    std::fs::write(folder.path().join(PLAN), altered).unwrap();
    show(&["show", PLAN]).exits(5).says("it was altered");
    // Whoever made it may have made all of it, and show says so.
    lab.write(PLAN, lab.read(PLAN));
    let stranger = drspass::core::fingerprint::FingerprintKey::new([7; 32]);
    super::rewrite(&lab, &stranger, |_| {});
    lab.run(&["show", PLAN]).exits(0).says("note:");
    super::rewrite(&lab, &key(&lab), |_| {});
    apply(&lab).exits(0);
}
