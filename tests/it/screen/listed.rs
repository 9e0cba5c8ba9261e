//! The jobs of a project, with the long names and addresses of real databases.

use drspass::sim::{EndpointSpec, JobSpec};

use super::on_a_terminal;
use crate::preflight::{job, lab_of, sources};
use crate::support::{J1, J2};

#[test]
fn long_names_and_hosts_of_jobs_break_between_words_and_lose_nothing() {
    let host = format!("{}.rds.internal.example.com", "orders-primary-".repeat(2));
    let nodes = "192.0.2.10:27017,192.0.2.11:27017,192.0.2.12:27017";
    let database = |ip: &str| {
        Some(EndpointSpec {
            ip: Some(ip.to_owned()),
            user: Some("replication_of_orders_and_billing".to_owned()),
            db_type: Some("gaussdbv5-kafka".to_owned()),
            ..EndpointSpec::default()
        })
    };
    let named = |id, name: &str| JobSpec {
        name: name.to_owned(),
        source: database(&host),
        destination: database(nodes),
        ..job(id, "INCRE_TRANSFER_FAILED")
    };
    let mut lab = lab_of(vec![
        named(
            J1,
            "Orders of all shops of the northern regions, to the warehouse (nightly)",
        ),
        named(J2, &"orders-of-the-north-".repeat(3)),
    ]);
    sources(&mut lab, &[J1], "canary-1");
    let piped = lab.run(&["jobs"]).exits(0).stdout;
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for known in [&host, nodes] {
        assert_eq!(piped.matches(known).count(), 2, "{piped}");
    }
    let command = lab.command(&["jobs"]);
    for columns in [80, 100] {
        let shown = on_a_terminal(&lab, &command, columns, "xterm");
        for line in &shown {
            assert!(line.chars().count() <= columns.into(), "{line}");
        }
        assert_eq!(words(&shown.join("\n")), words(&piped));
        if columns == 80 {
            insta::assert_snapshot!("jobs_on_eighty_columns", shown.join("\n"));
        }
    }
}
