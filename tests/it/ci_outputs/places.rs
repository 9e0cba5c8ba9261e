//! Where outputs may go: nowhere that drspass or another output needs.

use std::fs;

use crate::support::{J1, Lab};

#[test]
fn no_output_takes_a_path_that_drspass_keeps_for_itself() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab.run(&["plan", "--markdown", "plan.md"]).exits(0);
    let page = lab.read("plan.md");
    // An empty file is no hindrance elsewhere.
    lab.write("drspass.state.json.lock", "");
    fs::create_dir(lab.path("sub")).unwrap();
    let state = "drspass.state.json";
    let of_state = [
        "",
        ".lock",
        ".journal",
        ".journal.backup",
        ".backup",
        ".tmp",
    ];
    let mut places: Vec<String> = of_state.map(|end| format!("{state}{end}")).into();
    places.extend([
        format!("sub/../{state}.lock"),
        lab.path("drspass.state.json.tmp").display().to_string(),
        "./drspass.yaml".to_owned(),
        "passwords.yaml.age".to_owned(),
        "passwords.yaml.age.tmp".to_owned(),
    ]);
    let refuses = |args: &[&str], place: &str| {
        let run = lab.run(args).exits(1).says(place);
        run.says("drspass uses this name for its own files");
        assert_eq!(lab.read("plan.md"), page, "{place}");
        assert!(lab.exists("drspass.state.json.lock"), "{place}");
    };
    for place in &places {
        refuses(&["plan", "--markdown", "plan.md", "--out", place], place);
        refuses(&["plan", "--markdown", place], place);
        let both = ["plan", "--markdown", "plan.md", "--gitlab-report", place];
        refuses(&both, place);
        refuses(&["apply", "--auto-approve", "--markdown", place], place);
    }
    assert!(!lab.exists("drspass.state.json") && !lab.exists("drspass.state.json.tmp"));
    // Another place of the state is known, too, and a drspass.yaml that is not usable
    // gives none of them away.
    let moved = [
        "--state",
        "sub/s.json",
        "plan",
        "--markdown",
        "sub/s.json.lock",
    ];
    refuses(&moved, "sub/s.json.lock");
    lab.configure("apply: { batch_size: 0 }");
    refuses(&["plan", "--markdown", &places[1]], &places[1]);
    assert_eq!(lab.sim.connections(), 0);
}

#[test]
fn two_outputs_never_go_to_one_place() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    fs::create_dir(lab.path("sub")).unwrap();
    for other in ["a.md", "./a.md", "sub/../a.md"] {
        for pair in [
            ["--markdown", "a.md", "--gitlab-report", other],
            ["--markdown", "a.md", "--out", other],
            ["--gitlab-report", "a.md", "--out", other],
        ] {
            lab.run(&[&["plan"][..], &pair].concat())
                .exits(1)
                .says("another output goes to the same file");
            assert!(!lab.exists("a.md"), "{pair:?}");
        }
    }
    lab.run(&["plan", "--markdown", "a.md", "--out", "sub/a.md"])
        .exits(0);
}
