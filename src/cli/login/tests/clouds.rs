//! What an entry of clouds.yaml says.

use super::*;

/// A machine with one entry, named `x`, of these keys.
fn entry(keys: &str) -> Machine {
    Machine::with_clouds(&format!("clouds: {{x: {{{keys}}}}}"))
}

#[test]
fn an_entry_logs_in_with_a_password() {
    let sealed = format!("#{A}");
    let id = format!("project_id: '{A}'");
    for (keys, expected) in [
        (
            format!("auth: {{username: u, password: p, user_domain_name: d, {id}}}"),
            format!("u@d p {sealed}"),
        ),
        // O16: two domains, each in its place.
        (
            "auth: {username: u, password: p, user_domain_name: people, project_name: lab, \
             project_domain_name: machines}"
                .to_owned(),
            "u@people p lab@machines".to_owned(),
        ),
        // One serves for both.
        (
            "auth: {username: u, password: p, user_domain_name: people, project_name: lab}"
                .to_owned(),
            "u@people p lab@people".to_owned(),
        ),
        (
            "auth: {username: u, password: p, project_domain_id: m, project_name: lab}".to_owned(),
            "u@#m p lab@#m".to_owned(),
        ),
        (
            "auth: {username: u, password: p, domain_name: d, tenant_name: lab}".to_owned(),
            "u@d p lab@d".to_owned(),
        ),
        (
            "auth: {username: u, password: p, default_domain: d, project_name: a/b ü}".to_owned(),
            "u@#d p a/b ü@#d".to_owned(),
        ),
        (
            "auth: {username: u, password: p, default_domain_name: d, project_name: lab}"
                .to_owned(),
            "u@d p lab@d".to_owned(),
        ),
        (
            "auth: {username: u, password: p, default_domain_id: d, project_name: lab}".to_owned(),
            "u@#d p lab@#d".to_owned(),
        ),
        // An entry without a project is asked for the sealed one.
        (
            "auth: {username: u, password: p, domain_name: d}".to_owned(),
            format!("u@d p {sealed}"),
        ),
        (
            format!("auth: {{user_id: i, password: p, tenant_id: '{A}'}}"),
            format!("#i p {sealed}"),
        ),
        // Keys outside of `auth` win, whichever of the two names they have.
        (
            format!(
                "username: u, tenant_id: '{A}', auth: {{username: v, password: p, \
                 domain_id: d, project_id: '{B}'}}"
            ),
            format!("u@#d p {sealed}"),
        ),
        // Empty and null are not there.
        (
            format!(
                "username: '', password: ~, auth: {{username: u, password: p, domain_id: d, {id}}}"
            ),
            format!("u@#d p {sealed}"),
        ),
        (
            format!("auth_type: v3totp, auth: {{user_id: i, password: p, passcode: '0123', {id}}}"),
            format!("#i p+0123 {sealed}"),
        ),
    ] {
        assert_eq!(password(&entry(&keys).login()), expected, "{keys}");
    }
}

#[test]
fn an_entry_logs_in_with_a_token_or_an_access_key() {
    for keys in [
        "token: t",
        "auth_token: t",
        "auth: {token: t}",
        "auth: {auth_token: t}",
    ] {
        let machine = entry(keys);
        assert_eq!(token(&machine.login()), "t", "{keys}");
        assert_eq!(
            machine.source(),
            "entry x of home/.config/openstack/clouds.yaml"
        );
    }
    for (keys, expected) in [
        ("access_key: a, secret_key: s", "a s - -"),
        ("ak: a, sk: s, security_token: x", "a s x -"),
        ("auth: {access_key: a, secret_key: s}", "a s - -"),
        ("auth: {ak: a, sk: s, security_token: x}", "a s x -"),
        ("ak: a, auth: {ak: b, sk: s}", "a s - -"),
        (
            "ak: a, sk: s, auth: {project_name: lab, domain_name: d}",
            "a s - lab@d",
        ),
        // Without a type, an access key comes before a password.
        (
            "ak: a, sk: s, auth: {username: u, password: p, domain_name: d}",
            "a s - -",
        ),
    ] {
        assert_eq!(access_key(&entry(keys).login()), expected, "{keys}");
    }
}

#[test]
fn auth_type_picks_the_method() {
    let all = |auth_type: &str| {
        entry(&format!(
            "auth_type: {auth_type}, token: t, ak: a, sk: s, \
             auth: {{user_id: u, password: p, project_name: lab}}"
        ))
        .login()
    };
    for name in ["token", "v3token"] {
        assert_eq!(token(&all(name)), "t");
    }
    assert_eq!(access_key(&all("aksk")), "a s - lab");
    for name in ["password", "v3password"] {
        assert_eq!(password(&all(name)), "#u p lab");
    }
    entry("auth_type: canary, token: t")
        .refuses(&["auth_type of entry x", "is not a supported kind"]);
    entry("auth_type: v3applicationcredential, token: t").refuses(&["auth_type"]);
    entry("auth_type: password, token: canary").refuses(&[
        "incomplete",
        "auth_type",
        "but not username, password and user_domain_name",
    ]);
    entry("auth_type: v3totp, auth: {user_id: u, password: canary}")
        .refuses(&["incomplete", "but not passcode"]);
}

#[test]
fn an_incomplete_entry_is_refused_by_its_keys() {
    for (keys, given, missing) in [
        ("ak: canary", "ak in entry x of", "but not secret_key"),
        (
            "auth: {secret_key: canary}",
            "secret_key in",
            "but not access_key",
        ),
        (
            "security_token: canary",
            "security_token in",
            "but not access_key and secret_key",
        ),
        (
            "ak: canary, auth: {user_id: u, password: canary, project_name: p}",
            "ak in",
            "but not secret_key",
        ),
        (
            "auth: {username: u, project_name: p}",
            "username in",
            "but not password",
        ),
        (
            "auth: {username: u, password: canary, project_name: p}",
            "username and password in",
            "but not user_domain_name or user_domain_id",
        ),
        (
            "auth: {username: u, password: canary, passcode: canary, domain_name: d, project_name: p}",
            "username, password and passcode in",
            "but not user_id",
        ),
    ] {
        entry(keys).refuses(&["incomplete", given, missing]);
    }
    entry("profile: otc").refuses(&["entry x of", "has no login"]);
    for key in ["application_credential_id", "application_credential_secret"] {
        entry(&format!("auth: {{{key}: canary}}")).refuses(&[
            &format!("{key} of entry x"),
            "application credential",
            "not supported",
        ]);
    }
    let bare = "auth: {username: u, password: canary, domain_name: d}";
    let login = entry(bare).var("OS_TENANT_NAME", "lab").login();
    assert_eq!(password(&login), "u@d canary lab@d");
}

#[test]
fn a_variable_names_the_project_before_the_entry() {
    let keys = format!("auth: {{user_id: u, password: canary, project_id: {B}}}");
    // O18.
    entry(&keys).refuses(&["project_id of entry x of", A, B]);
    entry(&keys)
        .var("OS_PROJECT_ID", B)
        .refuses(&["OS_PROJECT_ID", A, B]);
    let login = entry(&keys).var("OS_PROJECT_ID", A).login();
    assert_eq!(password(&login), format!("#u canary #{A}"));
    assert_eq!(login.project_source.as_deref(), Some("OS_PROJECT_ID"));

    let login = entry(&keys)
        .var("OS_PROJECT_NAME", "lab")
        .var("OS_PROJECT_DOMAIN_NAME", "m")
        .login();
    assert_eq!(password(&login), "#u canary lab@m");
    assert_eq!(login.project_source.as_deref(), Some("OS_PROJECT_NAME"));

    let machine = entry(&keys.replace(B, A));
    let source = machine.login().project_source.expect("a source");
    assert_eq!(
        machine.short(&source),
        "project_id of entry x of home/.config/openstack/clouds.yaml"
    );

    // Whatever the method is.
    for keys in [
        format!("token: t, project_id: {B}"),
        format!("ak: a, sk: s, tenant_id: {B}"),
    ] {
        entry(&keys).refuses(&[A, B]);
    }
    for bad in ["a/b", "..", "a?b"] {
        entry(&format!("token: t, project_id: '{bad}'"))
            .refuses(&["project id from project_id of entry x"]);
    }
    entry("token: t, project_id: '  '").refuses(&["project_id of entry x", "is blank"]);
}

#[test]
fn an_entry_that_weakens_the_connection_is_refused() {
    for value in [
        "false",
        "False",
        "no",
        "off",
        "n",
        "0",
        "'no'",
        "\"False\"",
        "'0'",
        "maybe",
        "[]",
        "2",
    ] {
        for keys in [
            format!("token: canary, verify: {value}"),
            format!("token: canary, auth: {{verify: {value}}}"),
        ] {
            entry(&keys).refuses(&["verify of entry x", "line 1, column", "--ca-file"]);
        }
    }
    for value in ["true", "True", "yes", "'true'", "1", "on", "", "''", "~"] {
        entry(&format!("token: t, verify: {value}")).login();
    }
    for value in ["true", "1", "'yes'", "maybe"] {
        entry(&format!("token: t, insecure: {value}")).refuses(&["insecure of entry x"]);
    }
    entry("token: t, insecure: false").login();
    for key in ["cert", "key"] {
        entry(&format!("token: t, {key}: canary.pem"))
            .refuses(&[&format!("{key} of entry x"), "not supported"]);
        entry(&format!("token: t, auth: {{{key}: canary.pem}}")).refuses(&[key, "not supported"]);
        entry(&format!("token: t, {key}: ''")).login();
    }
}

#[test]
fn what_yaml_would_change_must_be_quoted() {
    for value in [
        "1234",
        "0123",
        "1_000",
        "1.5",
        "1e3",
        "0x1F",
        "true",
        "yes",
        "off",
        "2024-01-01",
        "12:30",
        ".inf",
        "1e999",
        "-7",
    ] {
        for key in ["password", "username", "user_domain_name", "project_name"] {
            let others: String = ["password", "username", "user_domain_name", "project_name"]
                .iter()
                .filter(|other| **other != key)
                .map(|other| format!("      {other}: canary\n"))
                .collect();
            let text = format!("clouds:\n  x:\n    auth:\n      {key}: {value}\n{others}");
            let machine = Machine::with_clouds(&text);
            machine.refuses(&[
                &format!("{key} of entry x (home/.config/openstack/clouds.yaml, line 4, column "),
                "Quote it",
            ]);
            assert!(
                !machine.error().contains(value) || value == "1.5",
                "{}",
                machine.error()
            );
            let quoted = text.replace(&format!(": {value}\n"), &format!(": '{value}'\n"));
            Machine::with_clouds(&quoted).login();
        }
    }
    for value in ["[canary]", "{canary: canary}"] {
        entry(&format!("token: {value}")).refuses(&["token of entry x", "is not a string"]);
    }
    for header in ["|-", ">-", "|2-", ">-  # canary", "&a |-", "|-\n"] {
        let keys = format!("    user_id: u\n    password: {header}\n      12:30\n");
        let machine = Machine::with_clouds(&format!("clouds:\n  x:\n{keys}"));
        let login = password(&machine.login());
        let words: Vec<&str> = login.split_whitespace().collect();
        assert_eq!(words[..2], ["#u", "12:30"], "{header}");
    }
    for header in ["", "# canary |", "\n      # canary |-", "&a"] {
        let text = format!("clouds:\n  x:\n    token: {header}\n      0x1F\n");
        Machine::with_clouds(&text).refuses(&["token of entry x", "Quote it"]);
    }
    let alias = "t: &t 0x1F\nq: &q '0x1F'\nclouds: {x: {token: *t}, y: {token: *q}}";
    Machine::with_clouds(alias)
        .cloud("x")
        .refuses(&["token of entry x", "line 3", "Quote it"]);
    assert_eq!(
        token(&Machine::with_clouds(alias).cloud("y").login()),
        "0x1F"
    );
    for name in ["username", "user_domain_name", "project_name"] {
        for bad in ["\"a\\ncanary\"", "\"\\u0007canary\"", "'  '"] {
            entry(&format!("auth: {{password: p, {name}: {bad}}}"))
                .refuses(&[&format!("{name} of entry x")]);
        }
    }
}

#[test]
fn merge_keys_anchors_and_unknown_keys_are_taken() {
    let text = "
defaults: &defaults
  region_name: eu-de
  interface: public
  unknown: [1, 2, {a: b}]
  auth: &auth
    user_domain_name: d
    project_name: lab
public-clouds: {}
clouds:
  a:
    <<: *defaults
    auth: {<<: *auth, username: u, password: canary}
  b: {<<: *defaults, token: canary-b}
";
    let machine = Machine::with_clouds(text);
    assert_eq!(password(&machine.cloud("a").login()), "u@d canary lab@d");
    assert_eq!(
        token(&Machine::with_clouds(text).cloud("b").login()),
        "canary-b"
    );
}

#[test]
fn the_user_names_an_entry_and_variables_fill_in_what_it_lacks() {
    let clouds = "clouds: {x: {auth: {user_id: u, project_name: lab}}, y: {token: canary-y}}";
    for named in [
        Machine::with_clouds(clouds).cloud("x"),
        Machine::with_clouds(clouds).var("OS_CLOUD", "x"),
    ] {
        named.refuses(&["incomplete", "user_id in entry x", "but not password"]);
        let machine = named.var("OS_PASSWORD", "canary-p");
        assert_eq!(password(&machine.login()), "#u canary-p lab");
        assert_eq!(
            machine.source(),
            "entry x of home/.config/openstack/clouds.yaml and OS_PASSWORD"
        );
        assert_eq!(machine.login().notes, [""; 0]);
        let machine = machine.var("OS_PASSCODE", "123456");
        assert_eq!(password(&machine.login()), "#u canary-p+123456 lab");
        // Nothing else is taken from them.
        let machine = machine
            .var("OS_USERNAME", "other")
            .var("OS_TOKEN", "canary-t")
            .var("OS_PROJECT_NAME", "other");
        assert_eq!(password(&machine.login()), "#u canary-p+123456 lab");
        let notes = machine.login().notes.concat();
        assert!(
            notes.starts_with("OS_PROJECT_NAME, OS_TOKEN and OS_USERNAME are set but not used: "),
            "{notes}"
        );
    }
    // An entry that has one of its own, or needs none, is not filled in.
    let machine = Machine::with_clouds(clouds)
        .cloud("y")
        .var("OS_PASSWORD", "canary-p");
    assert_eq!(token(&machine.login()), "canary-y");
    let notes = machine.login().notes.concat();
    assert!(
        notes.starts_with("OS_PASSWORD is set but not used: --cloud"),
        "{notes}"
    );
}

#[test]
fn an_entry_that_a_file_names_is_of_the_sealed_cloud_and_is_not_filled_in() {
    let machine = |keys: &str| {
        let mut machine = Machine::with_clouds(&format!("clouds: {{x: {{{keys}}}, y: {{}}}}"));
        machine.credentials_from = Some("x");
        machine
    };
    for same in [
        "token: canary",
        "token: canary, auth: {auth_url: 'https://iam.eu-de.otc.t-systems.com'}",
        "token: canary, auth_url: 'https://IAM.eu-de.otc.t-systems.com:443/v3/'",
        "token: canary, profile: otc",
    ] {
        machine(same).login();
    }
    for other in [
        "token: canary, auth: {auth_url: 'https://iam.example.org/v3'}",
        "token: canary, auth_url: 'https://iam.eu-nl.otc.t-systems.com/v3'",
        "token: canary, auth_url: canary",
        "token: canary, auth_url: [canary]",
        "auth_url: 'https://iam.eu-de.otc.t-systems.com/v3', \
         auth: {token: canary, auth_url: 'https://iam.example.org/v3'}",
        "token: canary, profile: vexxhost",
        "token: canary, profile: otc-swiss",
    ] {
        machine(other).refuses(&["of entry x of", "sealed identity service", "--cloud"]);
        // The user may name it.
        assert_eq!(token(&machine(other).cloud("x").login()), "canary");
    }
    // Nor is it filled in: variables are a login of their own, which comes first.
    machine("auth: {user_id: u}")
        .var("OS_PASSWORD", "canary")
        .refuses(&["incomplete", "OS_PASSWORD in the environment"]);
}

#[test]
fn a_tag_is_refused_with_file_and_line() {
    for (text, line) in [
        ("clouds:\n  x:\n    password: !secret canary\n", 3),
        ("clouds:\n  x:\n    password: !ENV \"${CANARY}\"\n", 3),
        (
            "clouds:\n  x:\n    password: !vault |\n      canary\n      canary\n",
            3,
        ),
        ("clouds:\n  x: !include canary.yaml\n", 2),
        ("clouds: !canary\n  x: {token: t}\n", 1),
        ("clouds:\n  x:\n    token: !!str canary\n", 3),
        ("clouds:\n  x:\n    token: !\n", 3),
        ("clouds: {x: {token: t, more: [a, !b c]}}\n", 1),
        (
            "# !canary\nother: 'a!b'\nclouds: {x: {token: &a !c t}}\n",
            3,
        ),
    ] {
        let words = ["tags are not supported", &format!("line {line}, column")];
        let clouds = "home/.config/openstack/clouds.yaml is invalid";
        Machine::with_clouds(text).refuses(&[&words[..], &[clouds]].concat());
        let secure = "home/.config/openstack/secure.yaml is invalid";
        Machine::with_clouds("clouds: {x: {user_id: u}}")
            .file("home/.config/openstack/secure.yaml", text)
            .refuses(&[&words[..], &[secure]].concat());
    }
    let text = "clouds: {x: {auth: {user_id: u, password: 'canary-!secret'}}} # !x\n";
    let login = Machine::with_clouds(text).login();
    assert!(password(&login).contains("canary-!secret"));
}

#[test]
fn secure_yaml_is_laid_over_clouds_yaml() {
    let clouds =
        "clouds: {x: {auth: {user_id: u, password: canary-old, project_name: lab}}, y: {}}";
    let secure = "clouds: {x: {auth: {password: canary-new}}}";
    let machine = Machine::with_clouds(clouds).cloud("x");
    assert_eq!(password(&machine.login()), "#u canary-old lab");
    let machine = machine.file("home/.config/openstack/secure.yaml", secure);
    assert_eq!(password(&machine.login()), "#u canary-new lab");
    assert_eq!(
        machine.source(),
        "entry x of home/.config/openstack/clouds.yaml and secure.yaml"
    );
    // A place in secure.yaml is told as such.
    machine
        .file(
            "home/.config/openstack/secure.yaml",
            "clouds: {x: {auth: {password: 1234}}}",
        )
        .refuses(&["password of entry x (home/.config/openstack/secure.yaml, line 1, column 31)"]);

    // The second file elsewhere, named or beside a named one.
    let machine = Machine::new()
        .file("mine/c.yaml", clouds)
        .path_var("OS_CLIENT_CONFIG_FILE", "mine/c.yaml")
        .file("other/s.yaml", secure)
        .cloud("x");
    assert_eq!(password(&machine.login()), "#u canary-old lab");
    let machine = machine.file("mine/secure.yml", secure);
    assert_eq!(password(&machine.login()), "#u canary-new lab");
    let machine = machine
        .path_var("OS_CLIENT_SECURE_FILE", "other/s.yaml")
        .file("other/s.yaml", secure.replace("new", "named"));
    assert_eq!(password(&machine.login()), "#u canary-named lab");
    assert_eq!(machine.source(), "entry x of mine/c.yaml and other/s.yaml");

    // Alone, and with sections that are there and empty.
    let alone = Machine::new().file(
        "etc/secure.json",
        r#"{"clouds": {"x": {"token": "canary"}}}"#,
    );
    assert_eq!(token(&alone.login()), "canary");
    assert_eq!(alone.source(), "entry x of etc/secure.json");
    for empty in [
        "",
        "~",
        "clouds:",
        "clouds: {x: }",
        "clouds: {x: {auth: }}",
        "other: {}",
        "# a\n",
    ] {
        let machine = Machine::with_clouds(clouds)
            .file("home/.config/openstack/secure.yaml", empty)
            .cloud("x");
        assert_eq!(password(&machine.login()), "#u canary-old lab", "{empty:?}");
    }
}

#[test]
fn the_named_entry_must_be_there_and_a_lone_one_is_taken() {
    let one = "clouds: {x: {token: t}}";
    assert_eq!(token(&Machine::with_clouds(one).login()), "t");
    Machine::with_clouds(one).cloud("canari").refuses(&[
        "--cloud names the entry canari",
        "clouds.yaml does not contain",
    ]);
    Machine::with_clouds(one)
        .var("OS_CLOUD", "y")
        .refuses(&["OS_CLOUD names the entry y"]);
    let mut machine = Machine::with_clouds(one);
    machine.credentials_from = Some("y");
    machine.refuses(&["credentials_from of drspass.yaml names the entry y"]);

    for name in ["", " ", "a\nb"] {
        Machine::with_clouds(one)
            .cloud(name)
            .refuses(&["from --cloud"]);
    }
    Machine::new()
        .cloud("x")
        .refuses(&["--cloud names an entry", "the file is missing"]);
    Machine::new()
        .var("OS_CLOUD", "x")
        .refuses(&["OS_CLOUD names an entry"]);
    assert_eq!(
        token(&Machine::with_clouds(one).var("OS_CLOUD", "").login()),
        "t"
    );

    for none in ["", "clouds:", "clouds: {}", "other: 1", "clouds: {x: }"] {
        Machine::with_clouds(none).refuses(&["no login found"]);
        Machine::with_clouds(none)
            .cloud("x")
            .refuses(&["does not contain"]);
    }
    for bad in [
        "clouds: [canary]",
        "clouds: canary",
        "[canary]",
        "canary",
        "clouds: {x: canary}",
        "clouds: {x: {auth: canary}}",
        "clouds: {x: [canary]}",
    ] {
        Machine::with_clouds(bad).refuses(&["clouds.yaml is invalid: line 1", "is not a map"]);
    }
    // A name that would break the line is not shown.
    let login = Machine::with_clouds("clouds: {\"a\\nb\": {token: t}}").login();
    assert!(
        login.source.starts_with("the only entry of "),
        "{}",
        login.source
    );
}
