//! The document of a plan, against its text.

use super::{document, lab_with_everything, text};
use crate::looped::refuse;
use crate::support::{J1, J2, J3, Lab};
use drspass::sim::EndPointType;

#[test]
fn a_plan_of_every_kind_of_entry_fits_its_schema_and_says_what_the_text_says() {
    let lab = lab_with_everything();
    let plan = document(
        &lab.run(&["plan", "--json", "--resend", "orders/source"])
            .exits(0),
        "plan-output",
    );
    let reasons: Vec<(&str, &str, &str)> = plan["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                text(&entry["address"]),
                text(&entry["action"]),
                text(&entry["reason"]),
            )
        })
        .collect();
    let (held, doubt, never) = (
        format!("{J2}/source"),
        format!("{J2}/destination"),
        format!("{J3}/source"),
    );
    assert_eq!(
        reasons,
        [
            ("orders/source", "update", "resend"),
            ("orders/destination", "update", "changed"),
            (&held, "hold", "wrong_password"),
            (&doubt, "update", "in_doubt"),
            (&never, "create", "never_set"),
        ]
    );
    assert_eq!(
        plan["entries"][1]["fields"],
        serde_json::json!([
            { "name": "password", "changed": true, "sensitive": true },
            { "name": "kerberos.domain_name", "changed": false, "sensitive": true },
        ])
    );
    assert_eq!(
        plan["unlisted"],
        serde_json::json!([format!("{J3}/destination")])
    );
    assert_eq!(plan["has_changes"], true);

    let shown = lab
        .run(&["plan", "--resend", "orders/source"])
        .exits(0)
        .stdout;
    let counts = &plan["counts"];
    assert!(
        shown.ends_with(&format!(
            "\n{} to set, {} to change, {} to send again, {} skipped; {} in sync, {} no longer listed. Apply needs {} requests.\n",
            counts["to_set"],
            counts["to_change"],
            counts["to_send_again"],
            counts["held"],
            counts["in_sync"],
            counts["no_longer_listed"],
            plan["requests"],
        )),
        "{shown}"
    );
    for (address, _, _) in reasons {
        assert!(shown.contains(&format!(" {address} ")), "{shown}");
    }
    assert!(shown.contains("skipped: DRS.KE0002"));
    assert_eq!(plan["entries"][2]["code"], "DRS.KE0002");
}

#[test]
fn a_plan_tells_what_is_left_out_declared_or_left_behind_and_every_note() {
    let mut lab = Lab::new();
    lab.configure("limits: { max_changes: 1 }");
    lab.plant(&["canary-1", "canary-2", "canary-domain"]);
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-1', kerberos: {{ domain_name: 'canary-domain' }} }}\n  \
         {J2}:\n    source: {{ password: 'canary-2' }}\n"
    ))
    .exits(0);
    let plan = document(&lab.run(&["plan", "--json"]).exits(0), "plan-output");
    let notes = plan["notes"].to_string();
    assert!(notes.contains("no state at"), "{notes}");
    assert!(notes.contains("apply needs --override-limits 2"), "{notes}");

    lab.run(&["state", "adopt", J1, "--yes"]).exits(0);
    lab.passwords(&[(J1, "source", "canary-1"), (J2, "source", "canary-2")]);
    let lock = std::fs::File::open(lab.path("drspass.state.json.lock")).unwrap();
    lock.lock().unwrap();
    let run = lab.run(&["plan", "--json", "--only", J1]).exits(0);
    let plan = document(&run, "plan-output");
    assert_eq!(plan["counts"]["not_selected"], 1);
    assert_eq!(plan["has_changes"], false);
    let entry = &plan["entries"][0];
    assert_eq!(entry["kerberos_left"], true);
    assert_eq!(entry["action"], "no_op");
    assert_eq!(entry["origin"], "adopted");
    let shown = lab.run(&["plan", "--only", J1]).exits(0).stdout;
    for note in plan["notes"].as_array().unwrap() {
        assert!(
            shown.contains(&format!("note: {}\n", text(note))),
            "{shown}"
        );
    }
    assert_eq!(plan["notes"].as_array().unwrap().len(), 1, "{plan}");
    assert!(shown.contains("kerberos was removed from the manifest"));
    drop(lock);

    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.M00304"));
    lab.apply(&[]).exits(1);
    let plan = document(
        &lab.run(&["plan", "--json", "--detailed-exitcode"]).exits(2),
        "plan-output",
    );
    let refused = &plan["entries"][1];
    assert_eq!(refused["reason"], "last_refused");
    assert_eq!(refused["code"], "DRS.M00304");
}
