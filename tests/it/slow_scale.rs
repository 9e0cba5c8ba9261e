//! A very large manifest: it works. How fast is what `cargo bench` says.

use std::fmt::Write as _;

use crate::support::Lab;

#[test]
fn a_manifest_of_100_000_entries_can_be_planned() {
    let lab = Lab::new();
    let mut jobs = String::new();
    for job in 0..50_000 {
        let _ = writeln!(jobs, "  {job:08x}-a37c-41b9-bc2b-8c00ba32jb52:");
        for endpoint in ["source", "destination"] {
            let _ = writeln!(jobs, "    {endpoint}:");
            let _ = writeln!(
                jobs,
                "      # rotated with its account, as the runbook of the shard says"
            );
            let _ = writeln!(jobs, "      password: \"canary-{job:032x}-{endpoint}\"");
        }
    }
    lab.manifest(&jobs).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(2).says(
        "100000 to set, 0 to change, 0 to send again; 0 in sync. Apply needs 10000 requests.",
    );
}

#[test]
fn sixty_megabytes_of_comments_are_read_and_more_than_the_limit_is_refused() {
    let lab = Lab::new();
    let comment = "# a line of a comment that says nothing at all, again and again\n";
    let job = "version: 1\njobs:\n  11df459d-a37c-41b9-bc2b-8c00ba32jb51:\n    source: { password: 'canary-x' }\n";
    lab.document(format!(
        "{job}{}",
        comment.repeat((60 << 20) / comment.len())
    ))
    .exits(0);
    lab.run(&["plan"]).exits(0).says("1 to set");
    lab.document(format!(
        "{job}{}",
        comment.repeat((65 << 20) / comment.len())
    ))
    .exits(1)
    .says("plain.yaml");
}
