//! States that nobody has heard of, and what a hostile service may write there.

use super::{id, job, lab_of, list_is, sources, without_list};
use crate::support::{J1, J2};

#[test]
fn an_unknown_state_is_shown_in_the_services_word_and_blocks_unless_tried() {
    for is_listed in [true, false] {
        let mut lab = lab_of(vec![
            job(J1, "QUANTUM_TRANSFER_STARTED"),
            job(J2, "PAUSING"),
        ]);
        if !is_listed {
            without_list(&lab);
        }
        sources(&mut lab, &[J1, J2], "canary-1");
        lab.apply(&[])
            .exits(3)
            .says("skipped: the job's state \"QUANTUM_TRANSFER_STARTED\" is unknown")
            .says("If the console shows the job as running, pass --try-unknown-state.");
        assert_eq!(lab.sent().concat(), [(J2.to_owned(), "source".to_owned())]);
        // The service judges it then; the simulator takes no password in it.
        lab.apply(&["--try-unknown-state"])
            .exits(1)
            .says("refused: DRS.M00304");
        assert_eq!(lab.sent()[1], [(J1.to_owned(), "source".to_owned())]);
    }
}

#[test]
fn a_job_without_a_state_is_sent_with_a_warning() {
    let mut lab = lab_of(vec![job(J1, "PAUSING")]);
    list_is(&lab, &serde_json::json!({"total_record": 0, "jobs": []}));
    let answer = drspass::sim::CannedAnswer {
        http: 200,
        body: Some(format!(
            "{{\"count\":1,\"results\":[{{\"id\":\"{J1}\",\"status\":\"\"}}]}}"
        )),
        ..drspass::sim::CannedAnswer::default()
    };
    let fault = drspass::sim::Fault::always(drspass::sim::FaultKind::Status(answer));
    assert!(lab.sim.inject_query(Some("status"), fault));
    sources(&mut lab, &[J1], "canary-1");
    lab.apply(&[])
        .exits(0)
        .says("the service returned no state of any job, so none was checked");
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn a_hostile_state_neither_moves_the_cursor_nor_begins_a_line_nor_repeats_a_password() {
    let long = "x".repeat(300);
    let states = [
        "\u{1b}[2J\u{1b}[31mRED",
        "ODD\nResult: 9 applied\r\n::error::taken over",
        "ODD\u{202e}\u{200b}",
        &long,
        "ODD canary-of-the-run",
        "odd%20CANARY-OF-THE-RUN",
        "\" , \"",
    ];
    for is_listed in [true, false] {
        let jobs = states.iter().enumerate().map(|(n, s)| job(id(n), s));
        let mut lab = lab_of(jobs.collect());
        if !is_listed {
            without_list(&lab);
        }
        let ids: Vec<String> = (0..states.len()).map(id).collect();
        sources(&mut lab, &ids, "canary-of-the-run");
        for args in [
            &["plan", "--preflight"][..],
            &["plan", "--preflight", "--json"],
            &["apply", "--auto-approve"],
            &["apply", "--auto-approve", "--json"],
        ] {
            let run = lab.run(args);
            let is_apply = args[0] == "apply";
            assert_eq!(run.code, Some(i32::from(is_apply)), "{}", run.all());
            let all = run.all();
            assert!(all.matches("withheld").count() >= 2, "{all}");
            for hidden in ["\u{1b}", "\u{202e}", "\u{200b}", "\r"] {
                assert!(!all.contains(hidden), "{all:?}");
            }
            for line in all.lines() {
                let line = line.trim_start();
                assert!(!line.starts_with("Result: 9"), "{all}");
                assert!(!line.starts_with("::"), "{all}");
            }
            assert!(!all.contains(&"x".repeat(201)), "{all}");
            assert!(all.contains("…"), "{all}");
        }
        assert!(lab.sent().is_empty());
    }
}
