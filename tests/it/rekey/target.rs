//! A manifest that goes over to another service, project or identity service.

use super::{STATE, key_id, told};
use crate::support::{J1, Lab};

const OTHER: &str = "ffffba152d480d55b2f5dc0069e7ddef";

#[test]
fn another_identity_service_changes_nothing_of_the_state() {
    let lab = Lab::with_a_change();
    lab.apply(&[]).exits(0);
    let (config, state, id) = (lab.read("drspass.yaml"), lab.read(STATE), key_id(&lab));
    let (_, auth_url) = lab.addresses();
    let moved = format!("{auth_url}x/v3");
    lab.write("drspass.yaml", config.replace(&auth_url, &moved));
    lab.run(&["plan"])
        .exits(1)
        .says("the manifest is sealed for")
        .says("or run 'drspass rekey'");
    lab.run(&["rekey", "--yes"])
        .exits(0)
        .says("target.auth_url: ")
        .says(&format!("-> {moved}"));
    assert_eq!((lab.read(STATE), key_id(&lab)), (state, id));
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn another_project_begins_with_nothing_known_and_going_back_with_all_of_it() {
    let lab = Lab::with_a_change();
    lab.apply(&[]).exits(0);
    let (config, state, id) = (lab.read("drspass.yaml"), lab.read(STATE), key_id(&lab));
    lab.write("drspass.yaml", config.replace(lab.sim.project_id(), OTHER));
    let before = told(&lab);
    lab.run(&["rekey"])
        .exits(7)
        .says("target.project_id: ")
        .says("every entry will count as never set");
    assert_eq!(told(&lab), before);
    lab.run(&["rekey", "--yes"]).exits(0);
    assert_ne!(key_id(&lab), id);
    let plan = lab.plan();
    assert!(
        plan.contains(&format!("+ {J1}/source   never set")),
        "{plan}"
    );
    // Nothing was written for the other project, so the state is still that of the former one.
    assert_eq!(lab.read(STATE), state);
    lab.write("drspass.yaml", &config);
    lab.run(&["rekey", "--yes"])
        .exits(0)
        .says("entries in sync stay in sync");
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);

    // Once the state is that of the other project, nothing of the first one is claimed.
    lab.write("drspass.yaml", config.replace(lab.sim.project_id(), OTHER));
    lab.run(&["rekey", "--yes"]).exits(0);
    lab.run(&["state", "adopt", J1, "--yes"]).exits(0);
    assert_eq!(lab.state()["body"]["scope"]["project_id"], OTHER);
    lab.write("drspass.yaml", config);
    lab.run(&["rekey", "--yes"]).exits(0);
    let plan = lab.plan();
    assert!(
        plan.contains(&format!("+ {J1}/source   never set")),
        "{plan}"
    );
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_host_that_is_not_trusted_is_not_sealed() {
    let lab = Lab::with_a_change();
    let (endpoint, _) = lab.addresses();
    let config = lab.read("drspass.yaml");
    lab.write(
        "drspass.yaml",
        config.replace(
            &format!("endpoint: \"{endpoint}\""),
            "endpoint: \"https://drs.example.com\"",
        ),
    );
    let before = told(&lab);
    lab.run(&["rekey", "--yes"])
        .exits(1)
        .says("drs.example.com is not a host of a known cloud");
    assert_eq!(told(&lab), before);
}
