//! Files that somebody who cannot read the manifest can put in place: links,
//! pipes, and a state made up to steer a terminal.

use crate::support::{J1, Lab, make_pipe};

#[test]
fn a_link_cannot_lead_a_write_out_of_the_folder() {
    let mut lab = Lab::with_a_change();
    let outside = tempfile::TempDir::new().unwrap();
    let precious = outside.path().join("precious");
    std::fs::copy(lab.path("passwords.yaml.age"), &precious).unwrap();
    let before = std::fs::read(&precious).unwrap();
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    std::os::unix::fs::symlink(&precious, lab.path("passwords.yaml.age")).unwrap();
    lab.plant(&["canary-x"]);
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-x' }}\n"
    ))
    .exits(1)
    .says("is outside the directory");
    lab.run(&["plan"]).exits(1);
    assert_eq!(std::fs::read(&precious).unwrap(), before);
    // A link inside the folder is followed and stays one.
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    std::fs::rename(&precious, lab.path("real.age")).unwrap();
    std::os::unix::fs::symlink("real.age", lab.path("passwords.yaml.age")).unwrap();
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-x' }}\n"
    ))
    .exits(0);
    assert!(lab.path("passwords.yaml.age").is_symlink());
    for name in ["drspass.yaml", ".gitignore"] {
        std::fs::create_dir(lab.path("sub")).unwrap();
        std::fs::rename(lab.path(name), lab.path("moved")).unwrap();
        std::os::unix::fs::symlink("../moved", lab.path(&format!("sub/{name}"))).unwrap();
        lab.run(&[
            "-C",
            "sub",
            "init",
            "--region",
            "eu-de",
            "--project-id",
            "p",
        ])
        .exits(1);
        std::fs::rename(lab.path("moved"), lab.path(name)).unwrap();
        std::fs::remove_dir_all(lab.path("sub")).unwrap();
    }
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
    let lab = Lab::with_a_change();
    lab.write("other.yaml", "version: 1\njobs: {}\n");
    for name in [
        "drspass.state.json",
        "drspass.state.json.journal",
        "drspass.state.json.lock",
        "passwords.yaml.age",
        "drspass.yaml",
    ] {
        let aside = lab.path("aside");
        let _ = std::fs::rename(lab.path(name), &aside);
        make_pipe(&lab.path(name));
        for command in [
            &["plan"][..],
            &["apply", "--auto-approve"],
            &["state", "list"],
            &["encrypt", "other.yaml"],
        ] {
            let output = lab.command(command).output().unwrap();
            assert!(output.status.code().is_some());
        }
        lab.apply(&[]).exits(1).says("not a regular file");
        std::fs::remove_file(lab.path(name)).unwrap();
        let _ = std::fs::rename(&aside, lab.path(name));
    }
}

#[test]
fn a_state_cannot_steer_a_terminal() {
    let lab = Lab::with_a_change();
    let state = lab.read("drspass.state.json");
    for (from, to) in [
        (lab.sim.project_id(), "\\u001b[2Jgone"),
        ("\"lineage\":\"", "\"lineage\":\"\\n\\u001b[2J"),
        ("\"key_id\":\"", "\"key_id\":\"\\u001b[2J"),
    ] {
        let steering = state.replacen(from, to, 1);
        assert_ne!(steering, state);
        lab.write("drspass.state.json", steering);
        for command in [&["plan"][..], &["state", "list"], &["state", "distrust"]] {
            let run = lab.run(command);
            assert!(!run.all().contains('\u{1b}'), "{}", run.all());
            if command[0] == "state" && command[1] == "distrust" {
                run.exits(0);
            }
        }
        lab.write("drspass.state.json", &state);
    }
}

#[test]
fn guards_that_are_no_text_are_refused_and_not_ignored() {
    use std::os::unix::ffi::OsStrExt as _;
    let lab = Lab::with_a_change();
    let junk = std::ffi::OsStr::from_bytes(b"0\xff");
    for name in ["DRSPASS_EXPECT_KEY_ID", "DRSPASS_MAX_CHANGES"] {
        let mut command = lab.command(&["apply", "--auto-approve"]);
        command.env(name, junk);
        lab.run_command(command).exits(1);
    }
}
