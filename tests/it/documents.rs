//! Bytes and values of manifests through the real binary: what is refused, with
//! place and help and without a word of the text; what is warned of; and that
//! everything that is accepted is sent exactly as written.

use crate::support::{J1, J2, Lab, Run};

/// A manifest whose only password is written as `value`.
fn with_value(value: &str) -> String {
    format!("version: 1\njobs:\n  {J1}:\n    source:\n      password: {value}\n")
}

/// `encrypt` refuses the document, and so does `validate` once somebody sealed
/// it by other means.
#[track_caller]
fn refused(lab: &Lab, document: impl AsRef<[u8]>, texts: &[&str]) -> Run {
    let before = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    let run = lab.document(document).exits(1);
    let said = run.all().split_whitespace().collect::<Vec<_>>().join(" ");
    for text in texts {
        assert!(said.contains(text), "{text:?} is not in\n{}", run.all());
    }
    assert_eq!(
        std::fs::read(lab.path("passwords.yaml.age")).unwrap(),
        before,
        "nothing is written"
    );
    run
}

#[test]
fn a_plain_scalar_is_no_secret_whatever_it_looks_like() {
    let mut lab = Lab::new();
    lab.plant(&["0417523", "canary-hunter2", "canary-blue #42 door"]);
    for value in [
        "0417523",
        "no",
        "On",
        "y",
        "~",
        "null",
        "True",
        "",
        "canary-hunter2",
        "canary-blue #42 door",
        "1e400",
        "12:30",
        "2024-01-01",
        ".inf",
        "canary-blue#42",
    ] {
        refused(
            &lab,
            with_value(value),
            &["line 5, column", &format!("jobs.{J1}.source.password")],
        );
    }
    refused(&lab, with_value("0417523"), &["Quote it"]);
}

#[test]
fn quoted_values_are_sent_letter_for_letter() {
    let long = "canary".repeat(1000);
    let values: Vec<(String, String)> = [
        ("'0417523'", "0417523"),
        ("'no'", "no"),
        ("\"~\"", "~"),
        ("'$HOME-canary'", "$HOME-canary"),
        ("'${X:-canary}'", "${X:-canary}"),
        ("'%41%25-canary'", "%41%25-canary"),
        ("'{{ canary }}'", "{{ canary }}"),
        ("'canary-back\\slash'", "canary-back\\slash"),
        ("\"canary'\\\"quotes\"", "canary'\"quotes"),
        ("'</canary-script>'", "</canary-script>"),
        ("'-canary-tr0ub4-x'", "-canary-tr0ub4-x"),
        ("\" canary pine tree  \"", " canary pine tree  "),
        ("\"canary-caf\\u00e9\"", "canary-caf\u{e9}"),
        ("\"canary-cafe\\u0301\"", "canary-cafe\u{301}"),
        ("\"canary\\u200Bb\\u00A0\"", "canary\u{200b}b\u{a0}"),
        ("\"canary-bell\\u0007\"", "canary-bell\u{7}"),
        ("\"canary-two\\nlines\"", "canary-two\nlines"),
        (
            "|-\n        canary block # no comment",
            "canary block # no comment",
        ),
        (
            ">-\n        canary-folded\n        text",
            "canary-folded text",
        ),
    ]
    .into_iter()
    .map(|(yaml, value)| (yaml.to_owned(), value.to_owned()))
    .chain([
        (format!("'{long}x'"), format!("{long}x")),
        (format!("'{long}y'"), format!("{long}y")),
    ])
    .collect();
    let mut lab = Lab::new();
    for (_, value) in values.iter().filter(|(_, value)| value.contains("canary")) {
        lab.plant(&[value]);
    }
    for (yaml, value) in values {
        lab.document(with_value(&yaml)).exits(0);
        lab.run(&["plan", "--detailed-exitcode"]).exits(2);
        lab.apply(&[]).exits(0);
        assert!(lab.sim.holds(J1, "source", &value), "{yaml}");
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        let requests = lab.sim.requests();
        let last = requests.last().unwrap();
        let body: serde_json::Value = serde_json::from_slice(last.body().unwrap()).unwrap();
        let entry = body["jobs"][0].as_object().unwrap();
        assert_eq!(entry["db_password"], value);
        let mut names: Vec<&str> = entry.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["db_password", "end_point_type", "job_id"]);
        assert_eq!(last.header("content-type"), Some("application/json"));
        assert_eq!(last.header("x-language"), Some("en-us"));
        assert!(last.header("x-auth-token").is_some());
    }
}

#[test]
fn values_that_look_wrong_are_warned_of_by_place_and_code_point() {
    let lab = Lab::new();
    for (value, text) in [
        ("\" canary-pine  \"", "warning"),
        ("\"canary\\u200Bx\"", "U+200B"),
        ("\"canary-caf\\u00e9\"", "warning"),
        ("\"canary\\u0007x\"", "U+0007"),
    ] {
        lab.document(with_value(value)).exits(0).says(text);
        let run = lab.run(&["validate"]).exits(0).says(text);
        assert!(run.stderr.contains(&format!("jobs.{J1}.source.password")));
        assert!(!run.all().contains("canary"), "{}", run.all());
    }
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    let lab = Lab::new();
    for (value, text) in [
        ("\"ab\\0cd\"", "NUL"),
        ("|\n        canary-line", "|-"),
        ("'********'", "placeholder"),
        ("'CHANGEME'", "placeholder"),
        ("''", "empty"),
        (&format!("'{}'", "x".repeat(3 << 20)), "128 KiB"),
    ] {
        let run = refused(&lab, with_value(value), &[text]);
        assert!(!run.all().contains("canary"));
    }
}

#[test]
fn keys_and_ids_that_another_reader_would_change_are_refused() {
    let lab = Lab::new();
    for id in ["72904e81", "1e400", "123", "yes", "1.5"] {
        let document =
            format!("version: 1\njobs:\n  {id}:\n    source: {{ password: 'canary-x' }}\n");
        refused(&lab, document, &["line 3, column 3", "Quote it"]);
    }
    lab.document("version: 1\njobs:\n  \"72904e81\":\n    source: { password: 'canary-x' }\n")
        .exits(0);
}

#[test]
fn what_stands_twice_is_refused_with_both_lines() {
    let lab = Lab::new();
    let source = |password| format!("    source: {{ password: '{password}' }}\n");
    let twice = format!(
        "version: 1\njobs:\n  {J1}:\n{}{}",
        source("canary-a"),
        source("canary-b")
    );
    let run = refused(&lab, twice, &["line 5", "line 4"]);
    assert!(!run.all().contains("canary"));
    let jobs = format!(
        "version: 1\njobs:\n  {J1}:\n{}  {J1}:\n{}",
        source("canary-a"),
        source("canary-b")
    );
    refused(&lab, jobs, &["line 5", "line 3"]);
    let blank = format!("version: 1\njobs:\n  \"{J1} \":\n{}", source("canary-a"));
    refused(&lab, blank, &["line 3"]);
    let upper = J1.to_uppercase();
    let cased = format!(
        "version: 1\njobs:\n  {J1}:\n{}  {upper}:\n{}",
        source("canary-a"),
        source("canary-b")
    );
    lab.document(cased).exits(0).says("warning");
}

#[test]
fn yaml_that_means_more_than_it_shows_is_refused() {
    let mut lab = Lab::new();
    lab.plant(&["canary-anchor"]);
    let merge = format!(
        "version: 1\ndefaults: &canary-anchor {{password: \"abc\"}}\njobs:\n  {J1}:\n    source:\n      <<: *canary-anchor\n"
    );
    refused(&lab, merge, &["line 6"]);
    let bomb: String = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let list = vec![format!("*a{}", n - 1); 9].join(",");
        format!("{text}a{n}: &a{n} [{list}]\n")
    });
    refused(&lab, bomb, &["line 1"]);
    let second = format!("{}---\njobs:\n  {J2}: {{}}\n", with_value("'canary-x'"));
    refused(&lab, second, &["line 6", "second document"]);
    refused(&lab, "---\n---\n", &[]);
    refused(&lab, "[".repeat(20_000), &["nested too deeply"]);
    refused(&lab, "{a: ".repeat(5_000), &["nested too deeply"]);
    refused(&lab, with_value("!!str 'canary-x'"), &["line 5"]);
    let marked = format!(
        "%YAML 1.2\n---\n{}...\n# the end\n",
        with_value("'canary-x'")
    );
    lab.document(marked).exits(0);
}

#[test]
fn odd_bytes_are_told_by_name() {
    let lab = Lab::new();
    let good = with_value("'canary-x'");
    lab.document(format!("\u{feff}{good}")).exits(0);
    refused(
        &lab,
        format!("\u{feff}\u{feff}{good}"),
        &["byte order mark"],
    );
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(good.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    refused(&lab, utf16, &["UTF-16", "UTF-8"]);
    refused(
        &lab,
        [good.as_bytes(), b"# \xff\xfe\n"].concat(),
        &["UTF-8"],
    );
    let tabbed = format!("version: 1\njobs:\n  {J1}:\n    source:\n\t  password: 'canary-x'\n");
    let run = refused(&lab, tabbed, &["tab", "line 5, column 1"]);
    assert!(!run.all().contains("canary"));
    lab.document(good.replace('\n', "\r\n")).exits(0);
}

#[test]
fn empty_is_no_order_to_forget() {
    let lab = Lab::new();
    for nothing in ["", "\n", "# only a comment\n", "---\n"] {
        refused(&lab, nothing, &[]);
    }
    lab.document("version: 1\njobs: {}\n").exits(0);
    lab.document("version: 1\njobs: []\n").exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn damaged_text_is_told_by_place_and_never_quoted() {
    let mut lab = Lab::new();
    lab.plant(&["canary-secret", "canary"]);
    for damaged in [
        with_value("'canary-secret"),
        with_value("\"canary-secret\n      more: x"),
        with_value("*canary-secret"),
        with_value("&canary-secret"),
        with_value("!canary-secret x"),
        format!("version: 1\njobs:\n  {J1}:\n    source:\n    password: 'canary-secret'\n"),
        format!("version: 1\njobs:\n  {J1}:\n    source:\n      canary-secret: 'x'\n"),
        "version: 1\njobs:\n  canary-secret: {}\n  'canary secret': {}\n".to_owned(),
        "version: 1\ncanary-secret: 1\njobs: {}\n".to_owned(),
        "canary-secret\n".to_owned(),
        "- canary-secret\n".to_owned(),
    ] {
        // A job id of any shape is accepted with a warning, so not all fail; but
        // none may quote the text, which every run is searched for.
        let run = lab.document(&damaged);
        assert!(
            run.code == Some(1) || run.stderr.contains("warning"),
            "{damaged}\n{}",
            run.all()
        );
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let lab = Lab::new();
    let document = format!(
        "version: 1\njobs:\n  {J1}:\n    source: {{ password: 1 }}\n    destination: {{ pasword: 'x' }}\n  {J2}:\n    \
         name: 'not a name'\n    source: {{ credential: missing }}\n"
    );
    let run = refused(&lab, document, &["4 problems", "password"]);
    for line in ["line 4", "line 5", "line 7", "line 8"] {
        assert!(run.all().contains(line), "{line}\n{}", run.all());
    }
}

#[test]
fn a_keytab_is_base64_and_goes_out_as_written() {
    let lab = Lab::new();
    let kerberos = |keytab: &str| {
        format!(
            "version: 1\njobs:\n  {J1}:\n    destination:\n      password: 'canary-x'\n      kerberos:\n        \
             key_tab_file: {keytab}\n        krb5_conf_file: |\n          [libdefaults]\n"
        )
    };
    for bad in ["'not base64!'", "\"\\u0005\\u0002\"", "BQIAAP8="] {
        refused(&lab, kerberos(bad), &["key_tab_file"]);
    }
    lab.document(kerberos("'BQIAAP8='")).exits(0);
    lab.apply(&[]).exits(0);
    let body = lab.last_body();
    assert_eq!(body["jobs"][0]["kerberos"]["key_tab_file"], "BQIAAP8=");
    assert_eq!(
        body["jobs"][0]["kerberos"]["krb5_conf_file"],
        "[libdefaults]\n"
    );
}

#[test]
fn a_keytab_may_be_folded_over_lines_and_goes_out_without_them() {
    let lab = Lab::new();
    let kerberos = |keytab: &str| {
        lab.document(format!(
            "version: 1\njobs:\n  {J1}:\n    destination:\n      password: 'canary-x'\n      kerberos:\n        \
             key_tab_file: {keytab}\n"
        ))
        .exits(0)
    };
    kerberos("|\n          BQIA\n          AP8=");
    lab.apply(&[]).exits(0);
    let body = lab.last_body();
    assert_eq!(body["jobs"][0]["kerberos"]["key_tab_file"], "BQIAAP8=");
    // However it is folded, it is the same value.
    for same in [
        "|-\n          BQIA\n          AP8=",
        "|+\n          BQIAAP8=\n\n\n",
        ">\n          BQIA\n          AP8=",
        "\"BQIA\\r\\nAP8=\\r\\n\"",
        "'BQIA AP8='",
        "'BQIAAP8='",
    ] {
        kerberos(same);
        lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
    kerberos("'BQIAAP8A'");
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(2)
        .says("kerberos.key_tab_file changed");
}

#[test]
fn an_encrypted_file_is_not_sealed_twice_and_plain_text_is_not_taken_for_sealed() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-x")]);
    std::fs::copy(lab.path("passwords.yaml.age"), lab.path("copy.age")).unwrap();
    lab.run(&["encrypt", "copy.age"])
        .exits(1)
        .says("is already encrypted");
    let crlf = lab.read("passwords.yaml.age").replace('\n', "\r\n");
    lab.write("passwords.yaml.age", crlf);
    lab.run(&["validate"]).exits(0);
    lab.write("passwords.yaml.age", with_value("'canary-plain-text'"));
    for args in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["validate"],
        &["validate", "--require-encrypted"],
        &["show"],
    ] {
        let output = lab.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            text.contains("not encrypted") && !text.contains("canary"),
            "{text}"
        );
    }
    let mut command = lab.command(&["validate", "--require-encrypted"]);
    command.env_remove("DRSPASS_IDENTITY");
    std::fs::copy(lab.path("copy.age"), lab.path("passwords.yaml.age")).unwrap();
    lab.run_command(command).exits(0);
    // The check that needs no key sees what was cut or appended.
    let whole = lab.read("passwords.yaml.age");
    for damaged in [
        format!("{whole}jobs: {{}}\n"),
        format!("{whole}{whole}"),
        whole[..whole.len() / 2].to_owned(),
    ] {
        lab.write("passwords.yaml.age", damaged);
        lab.run(&["validate", "--require-encrypted"])
            .exits(1)
            .says("damaged");
    }
}

#[test]
fn configuration_problems_are_told_at_once_with_suggestions() {
    let lab = Lab::new();
    let config = lab.read("drspass.yaml");
    lab.write(
        "drspass.yaml",
        format!("{config}\napply: {{ paralelism: 4, batch_size: 0 }}\nlimit: {{}}\n"),
    );
    lab.run(&["plan"])
        .exits(1)
        .says("3 problems")
        .says("parallelism")
        .says("limits");
    for project in ["''", "'  '", "'a/b'", "'..'", "'a?b'"] {
        let line = config
            .lines()
            .find(|line| line.contains("project_id"))
            .unwrap();
        lab.write(
            "drspass.yaml",
            config.replace(line, &format!("  project_id: {project}")),
        );
        for command in ["validate", "plan"] {
            lab.run(&[command]).exits(1).says("project_id");
        }
        lab.apply(&[]).exits(1).says("project_id");
    }
    for path in ["'../x'", "'/etc/x'", "''"] {
        lab.write("drspass.yaml", format!("{config}\nstate: {path}\n"));
        lab.run(&["plan"]).exits(1);
    }
    assert_eq!(lab.sim.connections(), 0);
}

#[test]
fn a_dash_is_standard_output_and_never_a_file() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let output = lab.command(&["decrypt", "-o", "-"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), plain);
    assert!(output.status.success() && !lab.exists("-"));
}

#[test]
fn whoever_seals_a_file_is_told_to_remove_it() {
    let lab = Lab::new();
    lab.write("plain.yaml", "version: 1\njobs: {}\n");
    lab.run(&["encrypt", "plain.yaml"])
        .exits(0)
        .says("plain.yaml contains passwords in plain text: remove it");
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    lab.write("passwords.yaml.age", plain);
    let run = lab.run(&["encrypt", "passwords.yaml.age"]).exits(0);
    assert!(!run.all().contains("Remove"), "{}", run.all());
}
