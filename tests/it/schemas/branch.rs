//! What a state on a branch brings into documents.

use super::{
    CONFIG, TARGET, assert_closed, assert_fits, is_config, is_manifest, json, schema, sealed,
};
use crate::support::branch::NAME;
use crate::support::{J1, Lab};

#[test]
fn the_documents_of_a_state_on_a_branch_fit() {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let fits = |name: &str, text: &str| {
        let document = serde_json::from_str(text).unwrap();
        assert_fits(&schema(name), &document);
        assert_closed(&schema(name), &document);
        document
    };
    let state = || {
        fits(
            "state",
            &lab.in_origin(&["show", &format!("{NAME}:drspass.state.json")]),
        )
    };
    let mut apply = lab.command(&["apply", "--auto-approve"]);
    apply
        .env("DRSPASS_WHO", "reviewer")
        .env("CI_JOB_URL", "https://git.example/jobs/1");
    lab.run_command(apply).exits(0);
    state();
    lab.run(&["state", "distrust"]).exits(0);
    assert!(state()["body"]["follows"][0].is_string());
    lab.killed_at("apply.before_first_send", 1, &["apply", "--auto-approve"]);
    let held = state();
    let shown = lab.run(&["lock", "show", "--json"]).exits(0).stdout;
    let shown: serde_json::Value = fits("lock-output", &shown);
    assert_eq!(shown["holder"]["id"], held["body"]["holder"]["id"]);
    let index = lab.read("passwords.index.yaml");
    assert!(index.contains("state: git:/"));
    assert_fits(&schema("index"), &json(&index));
}

#[test]
fn the_documents_of_a_state_that_is_being_moved_fit() {
    let mut lab = Lab::on_branch();
    lab.passwords(&[(J1, "source", "canary-1")]);
    for (place, file) in [("git:origin/moved", "moved"), ("moved.json", "")] {
        lab.run(&["state", "move", place]).exits(0);
        let state = match file {
            "" => lab.read(place),
            branch => lab.in_origin(&["show", &format!("{branch}:drspass.state.json")]),
        };
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        assert_eq!(state["body"]["copied"]["untouched"], true);
        assert_fits(&schema("state"), &state);
        let plain = json(&lab.run(&["decrypt"]).exits(0).stdout);
        assert!(plain["sealed"]["moved_from"]["serial"].is_u64());
        assert_fits(&schema("manifest"), &plain);
        lab.run(&["state", "move", "--done"]).exits(0);
        if !file.is_empty() {
            let former = lab.state();
            assert!(former["body"]["moved_to"].is_string());
            assert_fits(&schema("state"), &former);
        }
    }
    // From a file as well.
    lab.run(&["state", "move", "git:origin/last"]).exits(0);
    let plain = json(&lab.run(&["decrypt"]).exits(0).stdout);
    assert_eq!(plain["sealed"]["moved_from"]["file"], "moved.json");
    assert_fits(&schema("manifest"), &plain);
}

#[test]
fn a_branch_in_drspass_yaml_is_one_that_git_takes() {
    let schema = schema("config");
    let check = |line: &str| {
        let text = format!("{CONFIG}{TARGET}{line}\n");
        let expected = is_config(&text);
        assert_eq!(schema.is_valid(&json(&text)), expected, "{text}");
        usize::from(expected)
    };
    let lines = [
        "state: git:origin/drspass-state/production",
        "state: git:o.r_g-1/a.json",
        "state: git:a.json",
        "state: git:origin",
        "state: git:origin/",
        "state: git:/x",
        "state: git:-x/y",
        "state: git:o/HEAD",
        "state: git:o/HEAD/x",
        "state: git:o/-x",
        "state: git:o/a-",
        "state: git:o/x.lock",
        "state: git:o/x.lock/y",
        "state: git:o/a:b",
        "state: git:o/a..b",
        "state: git:o/.x",
        "state: git:o/a/.x",
        "state: git:o/x.",
        "state: git:o/x/",
        "state: git:o//x",
        "state: \"git:o/x y\"",
    ];
    let taken: usize = lines.into_iter().map(check).sum();
    assert_eq!(taken, 4);
    let name = |count| format!("state: git:o/{}", "x".repeat(count));
    assert_eq!((check(&name(200)), check(&name(201))), (1, 0));
}

#[test]
fn a_sealed_place_is_a_file_or_a_branch_and_a_former_one_has_a_serial() {
    let schema = schema("manifest");
    let check = |change: (&str, &str)| {
        let text = sealed(change);
        let expected = is_manifest(&text);
        assert_eq!(schema.is_valid(&json(&text)), expected, "{text}");
        usize::from(expected)
    };
    let changes = [
        ("  state: {", "  moved_from: { file: b.json }\n  state: {"),
        (
            "  state: {",
            "  moved_from: { file: b.json, lineage: 'l', serial: 1 }\n  state: {",
        ),
        (
            "  state: {",
            "  moved_from: { repository: /srv/x, branch: x, lineage: 'l', serial: 1 }\n  state: {",
        ),
        (
            "{ file: a.json }",
            "{ file: a.json, lineage: 'l', serial: 1 }",
        ),
        ("  state: {", "  moved_from: b.json\n  state: {"),
        (
            "{ file: a.json }",
            "{ repository: git.example/acme/infra, branch: x/y, lineage: 'l', serial: 1 }",
        ),
        (
            "{ file: a.json }",
            "{ repository: /srv/git/infra, branch: x, lineage: 'l', serial: 0 }",
        ),
        (
            "{ file: a.json }",
            "{ repository: git.example/acme/infra, branch: x/y, lineage: 'l' }",
        ),
        (
            "{ file: a.json }",
            "{ file: a.json, repository: git.example/acme/infra, branch: x, lineage: 'l', serial: 1 }",
        ),
        (
            "{ file: a.json }",
            "{ repository: git.example/acme/infra, branch: x.lock, lineage: 'l', serial: 1 }",
        ),
        (
            "{ file: a.json }",
            "{ repository: git.example/acme/infra, branch: x, lineage: '', serial: 1 }",
        ),
        (
            "{ file: a.json }",
            "{ repository: git.example/acme/infra, branch: x, lineage: 'l', serial: -1 }",
        ),
    ];
    let taken: usize = changes.into_iter().map(check).sum();
    assert_eq!(taken, 4);
    for repository in [
        "git.example:2222/x",
        "git.example:22/x",
        "Git.example/x",
        "git.example/x.git",
        "git.example/x/",
        "git.example//x",
        "git.example",
        "me@git.example/x",
        "-x/y",
        "ext::sh -c x",
        "/srv/x.git",
        "/srv/x/",
        "/",
        "x/y",
    ] {
        let place = format!("{{ repository: '{repository}', branch: x, lineage: 'l', serial: 1 }}");
        let is_one = ["git.example:2222/x", "x/y"].contains(&repository);
        let taken = check(("{ file: a.json }", &place));
        assert_eq!(taken == 1, is_one, "{repository}");
    }
}
