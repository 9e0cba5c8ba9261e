//! Files that are damaged, made to do harm, or not what they seem.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn refused(text: impl AsRef<[u8]>, words: &[&str]) {
    let machine = Machine::new().file("home/.config/openstack/clouds.yaml", text);
    machine.refuses(words);
    machine.refuses(&["clouds.yaml"]);
}

#[test]
fn what_is_no_yaml_is_refused_with_its_place_only() {
    refused("clouds:\n  x:\n\ttoken: canary\n", &["line 3", "YAML"]);
    refused("clouds: {x: {token: 'canary}}", &["YAML"]);
    refused("clouds: {x: {token: canary}", &["YAML"]);
    refused(
        "clouds:\n  x: {token: canary-1}\n  x: {token: canary-2}\n",
        &["line 3", "a duplicate key"],
    );
    refused(
        "clouds:\n  x:\n    token: canary-1\n    token: canary-2\n",
        &["line 4", "a duplicate key"],
    );
    refused(
        "clouds: {x: {token: canary}}\n---\nclouds: {}\n",
        &["line 3", "second document"],
    );
    refused("clouds: {x: {token: *canary}}", &["YAML"]);
    refused("clouds: {x: {[canary]: canary, token: t}}", &["YAML"]);
    refused("clouds: {x: {<<: canary, token: t}}", &["YAML"]);
    refused(b"clouds: {x: {token: canary\xff}}", &["UTF-8"]);
    refused(b"\xff\xfec\0l\0o\0u\0d\0s\0:\0", &["UTF-8"]);
    refused(
        "clouds: {x: {token: t}}\n\0canary: [",
        &["line 2, column 1", "NUL"],
    );
    refused("clouds: {x: {token: \"\\q canary\"}}", &["YAML"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let machine = Machine::with_clouds("\u{feff}clouds:\r\n  x:\r\n    token: canary\r\n");
    assert_eq!(token(&machine.login()), "canary");
    let json = "{\n\t\"clouds\": {\n\t\t\"x\": {\"token\": \"canary\"}\n\t}\n}\n";
    assert_eq!(token(&Machine::with_clouds(json).login()), "canary");
}

#[test]
fn what_grows_without_bounds_is_refused() {
    let mut bomb = "a0: &a0 [canary, canary]\n".to_owned();
    for level in 1..40 {
        let below = level - 1;
        bomb += &format!("a{level}: &a{level} [*a{below}, *a{below}, *a{below}, *a{below}]\n");
    }
    refused(bomb + "clouds: {x: {token: t}}\n", &["aliases"]);

    // Few nodes, but a long text that is repeated.
    let long = "canary".repeat(80_000);
    let names: String = (0..9_000).map(|n| format!("  k{n}: *a\n")).collect();
    refused(format!("a: &a {long}\nclouds:\n{names}"), &["aliases"]);

    refused(format!("clouds: {}", "[".repeat(20_000)), &["clouds.yaml"]);
    refused(
        format!("clouds: {}", "{a: ".repeat(20_000)),
        &["clouds.yaml"],
    );
    let deep: String = (0..500).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    refused(deep, &["clouds.yaml"]);
    refused("a: &a {b: *a}\nclouds: {x: {token: t}}\n", &["clouds.yaml"]);

    refused(vec![b'#'; (1 << 20) + 1], &["cannot read", "too large"]);
    let machine = Machine::with_clouds(&format!(
        "clouds: {{x: {{token: t}}}}\n{}",
        "#".repeat((1 << 20) - 25)
    ));
    assert_eq!(token(&machine.login()), "t");
}

/// Ways to damage a file that holds a secret at every place where one can stand.
fn damaged() -> impl Strategy<Value = String> {
    let lines = [
        "clouds:",
        "  x:",
        "    auth:",
        "      username: canary-user",
        "      password: canary-password",
        "      passcode: 'canary-passcode'",
        "      token: \"canary-token\"",
        "      user_domain_name: canary-domain",
        "      project_id: canary/project",
        "    ak: canary-ak",
        "    sk: canary-sk",
        "    auth_type: canary-type",
        "    verify: canary",
        "    cert: canary",
        "    cacert: \"canary\\n\"",
        "    security_token: &canary canary-st",
        "  y: *canary",
        "canary: {<<: canary}",
        "canary-alone",
        "\tcanary: canary",
        "--- canary",
        "? [canary]",
        "!!int canary",
        "%canary",
        "password: !!binary canary",
        "- canary",
    ];
    proptest::collection::vec((0..lines.len(), 0..8_usize, any::<bool>()), 1..30).prop_map(
        move |picked| {
            let mut text = String::new();
            for (line, indent, own) in picked {
                if own {
                    text += lines[line];
                } else {
                    text += &" ".repeat(indent);
                    text += lines[line].trim_start_matches(' ');
                }
                text.push('\n');
            }
            text
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_error_tells_a_planted_value(
        clouds in damaged(),
        secure in damaged(),
        cut in 0..200_usize,
        named in any::<bool>(),
    ) {
        let cut: String = secure.chars().take(cut).collect();
        let machine = Machine::with_clouds(&clouds)
            .file("home/.config/openstack/secure.yaml", cut);
        let machine = if named { machine.cloud("x") } else { machine };
        match machine.find() {
            Err(error) => {
                let told = told(&error);
                prop_assert!(!told.contains("canary"), "{told}");
            }
            Ok(login) => {
                let told = format!("{} {:?} {:?}", login.source, login.project_source, login.notes);
                prop_assert!(!told.contains("canary"), "{told}");
            }
        }
    }

    #[test]
    fn no_error_tells_a_planted_variable(
        picked in proptest::collection::vec(
            (
                proptest::sample::select(&[
                    "OS_TOKEN", "OS_TOKEN_ID", "OS_ACCESS_KEY", "OS_SK", "OS_ST", "OS_USERNAME",
                    "OS_USER_ID", "OS_PASSWORD", "OS_PASSCODE", "OS_DOMAIN_NAME", "OS_INSECURE",
                    "OS_PROJECT_NAME", "OS_AUTH_URL", "OS_REGION", "HW_ACCESS_KEY",
                    "HW_SECRET_KEY", "HW_USER_NAME", "HW_USER_PASSWORD", "HW_DOMAIN_ID",
                    "OS_CERT", "OS_PROJECT_ID",
                ][..]),
                proptest::sample::select(&["canary", "canary/", "canary\n", " canary\u{1}"][..]),
            ),
            0..8,
        ),
    ) {
        let machine = picked
            .into_iter()
            .fold(Machine::new(), |machine, (name, value)| {
                // An id of the right form is told, since it is no secret.
                let value = if name == "OS_PROJECT_ID" { "canary/" } else { value };
                machine.var(name, value)
            });
        let told = match machine.find() {
            Err(error) => told(&error),
            Ok(login) => format!("{} {:?} {:?}", login.source, login.project_source, login.notes),
        };
        prop_assert!(!told.contains("canary"), "{told}");
    }
}
