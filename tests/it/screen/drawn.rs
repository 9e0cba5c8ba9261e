//! Problems of drspass.yaml on a terminal: drawn with their lines, and no line with a secret.

use super::shown_on;
use crate::support::{J1, Lab};

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// A drspass.yaml with problems of many kinds, some of them on lines with secrets.
fn faulty() -> String {
    format!(
        "version: 1
manifst: passwords.yaml.age
state: canaryQx7
recipients:
  - {RECIPIENT}
  - {RECIPIENT} # canaryQx7
  - AGE-SECRET-KEY-1CANARYQX7
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA canaryQx7@host
target: {{ region: eu-de, project_id: 054ba152d480d55b2f5dc0069e7ddef0, region: canaryQx7 }}
apply:
  batch_size: 101
  request_timeout: 60 # not BIDIreversed
  retry: 5m
canaryQx7: x
limits: {{ max_changes: canaryQx7, max_changed_share: 101% }}
"
    )
    .replace("BIDI", "\u{202e}")
}

#[test]
fn problems_of_drspass_yaml_are_drawn_with_their_lines_on_a_terminal() {
    let lab = Lab::new();
    lab.write("drspass.yaml", faulty());
    let plan = lab.command(&["plan"]);
    let shown = shown_on(&lab, &plan, 80, "xterm", 1).join("\n");
    let in_pipe = lab.run(&["plan"]).exits(1).stderr;
    for (text, name) in [(&shown, "on a terminal"), (&in_pipe, "in a pipe")] {
        assert!(!text.to_lowercase().contains("canaryqx7"), "{name}\n{text}");
        assert!(!text.contains("reversed"), "{name}\n{text}");
    }
    let mut plain = lab.command(&["plan"]);
    plain.env("NO_COLOR", "1");
    let plain = shown_on(&lab, &plain, 80, "xterm", 1).join("\n");
    insta::assert_snapshot!("problems", plain);
    assert!(!plain.contains('\u{1b}') && shown.contains("\u{1b}[31m×\u{1b}[0m"));
    let mut colours = shown.clone();
    for code in ["31", "36", "0"] {
        colours = colours.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(colours, plain);
    assert_eq!(
        plain.matches("╭─[drspass.yaml:").count() + plain.matches("  error: line ").count(),
        in_pipe.matches("  error: line ").count(),
        "all at once\n{plain}"
    );

    let odd = faulty().replace("101", "101 # \u{1b}[31m\u{9b}31m \u{202e}");
    let never = lab.command(&["--color", "never", "plan"]);
    lab.write("drspass.yaml", odd);
    let shown = shown_on(&lab, &never, 80, "xterm", 1).join("\n");
    assert!(shown.contains("11 │   batch_size: 101…"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown}");
    lab.write("drspass.yaml", faulty());
    assert_eq!(shown_on(&lab, &never, 80, "xterm", 1).join("\n"), plain);
    for columns in [20, 40, 100] {
        let lines = shown_on(&lab, &never, columns, "xterm", 1);
        let is_drawn = lines.iter().any(|line| line.contains('╭'));
        assert_eq!(is_drawn, columns > 20, "{columns}\n{}", lines.join("\n"));
        let drawn = |line: &&String| line.contains(['│', '·', '╭', '╰']);
        for line in lines.iter().filter(drawn) {
            assert!(line.chars().count() <= usize::from(columns), "{line}");
        }
    }
}

#[test]
fn problems_are_one_line_each_in_a_pipe_in_ci_and_on_a_dumb_terminal() {
    let lab = Lab::new();
    lab.write("drspass.yaml", faulty());
    let in_pipe = lab.run(&["--color", "always", "plan"]).exits(1).stderr;
    assert!(!in_pipe.contains('╭'), "{in_pipe}");
    assert!(in_pipe.contains("  error: line 2, column 1: unknown key\n"));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let in_pipe = lab.run(&["plan"]).exits(1).stderr;
    let plan = lab.command(&["plan"]);
    let dumb = shown_on(&lab, &plan, 80, "dumb", 1).join("\n");
    assert_eq!(words(&dumb), words(&in_pipe));
    let mut plan = lab.command(&["--color", "never", "plan"]);
    plan.env("CI", "true");
    let in_ci = shown_on(&lab, &plan, 80, "xterm", 1).join("\n");
    assert_eq!(words(&in_ci), words(&in_pipe));
}

#[test]
fn a_warning_of_drspass_yaml_is_drawn_and_a_problem_of_the_manifest_is_not() {
    let mut lab = Lab::new();
    let config = lab.read("drspass.yaml");
    let recipient = lab.recipient_of("key.txt");
    lab.write(
        "drspass.yaml",
        format!(
            "version: 1\nrecipients: [{recipient}]\ntarget:\n  region: eu-de\n  project_id: p\n  \
             endpoint: https://drs.eu-de.otc.t-systems.com/v3\n"
        ),
    );
    let validate = lab.command(&["validate"]);
    let shown = shown_on(&lab, &validate, 80, "xterm", 1).join("\n");
    assert!(
        !shown.contains('╭'),
        "the error alone, of the seal\n{shown}"
    );
    // The index names the target that was sealed.
    std::fs::remove_file(lab.path("passwords.index.yaml")).unwrap();
    let check = lab.command(&["validate", "--require-encrypted"]);
    let shown = shown_on(&lab, &check, 80, "xterm", 0).join("\n");
    assert!(shown.contains("⚠"), "{shown}");
    assert!(
        shown.contains("6 │   endpoint: https://drs.eu-de.otc.t-systems.com/v3\n"),
        "{shown}"
    );

    lab.write("drspass.yaml", config);
    lab.plant(&["canaryQx7"]);
    lab.write(
        "plain.yaml",
        format!("version: 1\njobs:\n  {J1}:\n    sorce: {{ password: canaryQx7 }}\n"),
    );
    let encrypt = lab.command(&["encrypt", "plain.yaml"]);
    let shown = shown_on(&lab, &encrypt, 80, "xterm", 1).join("\n");
    assert!(shown.contains("unknown") && !shown.contains('╭'), "{shown}");
    assert!(!shown.contains("sorce"), "{shown}");
}
