//! Logins from variables.

use super::*;

#[test]
fn every_name_of_a_token_is_taken() {
    for name in ["OS_TOKEN", "OS_AUTH_TOKEN", "OS_TOKEN_ID", "HW_AUTH_TOKEN"] {
        let login = Machine::new().var(name, "canary-t\r\n").login();
        assert_eq!(
            (token(&login), login.source.as_str()),
            ("canary-t\r\n", name)
        );
        assert_eq!(login.project_source, None);
    }
    let login = Machine::with_vars(&["HW_AUTH_TOKEN=canary-h", "OS_AUTH_TOKEN=canary-o"]).login();
    assert_eq!(token(&login), "canary-o");
}

#[test]
fn the_method_order_is_token_then_access_key_then_password() {
    let all = [
        "HW_AUTH_TOKEN=canary-t",
        "OS_ACCESS_KEY=canary-a",
        "OS_SECRET_KEY=canary-s",
        "OS_USERNAME=u",
        "OS_PASSWORD=canary-p",
        "OS_USER_DOMAIN_NAME=d",
    ];
    for (skip, source) in [
        (0, "HW_AUTH_TOKEN"),
        (1, "OS_ACCESS_KEY and OS_SECRET_KEY"),
        (3, "OS_USERNAME and OS_PASSWORD"),
    ] {
        assert_eq!(Machine::with_vars(&all[skip..]).source(), source);
    }
}

#[test]
fn access_keys_go_by_many_names() {
    for (vars, expected) in [
        (&["OS_ACCESS_KEY=a", "OS_SECRET_KEY=s"][..], "a s - -"),
        (
            &[
                "OS_ACCESS_KEY_ID=a",
                "OS_ACCESS_KEY_SECRET=s",
                "OS_AKSK_SECURITY_TOKEN=x",
            ],
            "a s x -",
        ),
        (&["OS_AK=a", "OS_SK=s", "OS_ST=x"], "a s x -"),
        (
            &["HW_ACCESS_KEY=a", "HW_SECRET_KEY=s", "HW_SECURITY_TOKEN=x"],
            "a s x -",
        ),
        // The table of the provider lets each half fall back.
        (&["HW_ACCESS_KEY=a", "OS_SECRET_KEY=s"], "a s - -"),
        // OS comes before HW.
        (
            &[
                "HW_ACCESS_KEY=h",
                "HW_SECRET_KEY=h",
                "OS_ACCESS_KEY=a",
                "OS_SECRET_KEY=s",
            ],
            "a s - -",
        ),
        // Another program's key is none of ours.
        (
            &[
                "AWS_ACCESS_KEY_ID=w",
                "AWS_SECRET_ACCESS_KEY=w",
                "OS_AK=a",
                "OS_SK=s",
            ],
            "a s - -",
        ),
        // Only a project that is given by name alone must be looked up.
        (&["OS_AK=a", "OS_SK=s", "OS_PROJECT_NAME=p"], "a s - p"),
        (
            &[
                "OS_AK=a",
                "OS_SK=s",
                "OS_PROJECT_NAME=p",
                "OS_DOMAIN_NAME=d",
            ],
            "a s - p@d",
        ),
        (
            &[
                "OS_AK=a",
                "OS_SK=s",
                "OS_PROJECT_NAME=p",
                "OS_TENANT_ID=054ba152d480d55b2f5dc0069e7ddef0",
            ],
            "a s - -",
        ),
    ] {
        assert_eq!(
            access_key(&Machine::with_vars(vars).login()),
            expected,
            "{vars:?}"
        );
    }
    Machine::with_vars(&["AWS_ACCESS_KEY_ID=w", "AWS_SECRET_ACCESS_KEY=w"])
        .refuses(&["no login found"]);
}

#[test]
fn passwords_go_with_a_user_a_domain_and_a_project() {
    let sealed = format!("#{A}");
    let id = format!("OS_PROJECT_ID={A}");
    for (vars, expected, project_source) in [
        (
            &["OS_USER_DOMAIN_NAME=d"][..],
            format!("u@d p {sealed}"),
            None,
        ),
        (
            &["OS_PROJECT_DOMAIN_NAME=d"],
            format!("u@d p {sealed}"),
            None,
        ),
        (&["OS_DOMAIN_NAME=d"], format!("u@d p {sealed}"), None),
        // As in openstackclient, this one is an id.
        (&["OS_DEFAULT_DOMAIN=d"], format!("u@#d p {sealed}"), None),
        (
            &["OS_DEFAULT_DOMAIN_NAME=d"],
            format!("u@d p {sealed}"),
            None,
        ),
        (&["OS_USER_DOMAIN_ID=d"], format!("u@#d p {sealed}"), None),
        (&["OS_DOMAIN_ID=d"], format!("u@#d p {sealed}"), None),
        (
            &["OS_USER_DOMAIN_NAME=n", "OS_DOMAIN_ID=i"],
            format!("u@n p {sealed}"),
            None,
        ),
        // A user's id is unique by itself.
        (&["OS_USER_ID=i"], format!("#i p {sealed}"), None),
        (
            &["OS_USERID=i", "OS_PASSCODE=7"],
            format!("#i p+7 {sealed}"),
            None,
        ),
        (
            &["OS_DOMAIN_NAME=d", id.as_str()],
            format!("u@d p {sealed}"),
            Some("OS_PROJECT_ID"),
        ),
        (
            &["OS_DOMAIN_NAME=d", "OS_PROJECT_NAME=lab", id.as_str()],
            format!("u@d p {sealed}"),
            Some("OS_PROJECT_ID"),
        ),
        (
            &[
                "OS_USER_DOMAIN_NAME=people",
                "OS_PROJECT_NAME=a/b %?&",
                "OS_PROJECT_DOMAIN_NAME=m",
            ],
            "u@people p a/b %?&@m".to_owned(),
            Some("OS_PROJECT_NAME"),
        ),
        // One domain serves for both.
        (
            &["OS_USER_DOMAIN_NAME=people", "OS_TENANT_NAME=lab"],
            "u@people p lab@people".to_owned(),
            Some("OS_TENANT_NAME"),
        ),
        (
            &["OS_PROJECT_DOMAIN_ID=m", "OS_PROJECT_NAME=lab"],
            "u@#m p lab@#m".to_owned(),
            Some("OS_PROJECT_NAME"),
        ),
    ] {
        let mut all = vec!["OS_USERNAME=u", "OS_PASSWORD=p"];
        all.extend(vars);
        let login = Machine::with_vars(&all).login();
        assert_eq!(password(&login), expected, "{vars:?}");
        assert_eq!(login.project_source.as_deref(), project_source, "{vars:?}");
    }
}

#[test]
fn the_other_family_falls_back_to_the_first() {
    let sealed = format!("#{A}");
    for (vars, expected, source) in [
        (
            &["HW_USER_NAME=u", "HW_USER_PASSWORD=p", "HW_DOMAIN_NAME=d"][..],
            format!("u@d p {sealed}"),
            "HW_USER_NAME and HW_USER_PASSWORD",
        ),
        (
            &[
                "HW_USER_NAME=u",
                "HW_USER_PASSWORD=p",
                "OS_USER_DOMAIN_NAME=d",
            ],
            format!("u@d p {sealed}"),
            "HW_USER_NAME and HW_USER_PASSWORD",
        ),
        (
            &["OS_USERNAME=u", "HW_USER_PASSWORD=p", "OS_DOMAIN_ID=d"],
            format!("u@#d p {sealed}"),
            "OS_USERNAME and HW_USER_PASSWORD",
        ),
        (
            &["OS_USERNAME=u", "OS_PASSWORD=p", "HW_DOMAIN_NAME=d"],
            format!("u@d p {sealed}"),
            "OS_USERNAME and OS_PASSWORD",
        ),
        (
            &[
                "HW_USER_ID=i",
                "HW_USER_PASSWORD=p",
                "HW_PROJECT_NAME=lab",
                "HW_DOMAIN_ID=d",
            ],
            "#i p lab@#d".to_owned(),
            "HW_USER_ID and HW_USER_PASSWORD",
        ),
    ] {
        let login = Machine::with_vars(vars).login();
        assert_eq!(password(&login), expected, "{vars:?}");
        assert_eq!(login.source, source);
    }
}

#[test]
fn a_part_of_a_login_is_never_passed_over() {
    for (vars, given, missing) in [
        (
            &["OS_ACCESS_KEY=canary"][..],
            "OS_ACCESS_KEY in",
            "but not OS_SECRET_KEY",
        ),
        (&["OS_SK=canary"], "OS_SK in", "but not OS_ACCESS_KEY"),
        (
            &["HW_ACCESS_KEY=canary"],
            "HW_ACCESS_KEY in",
            "but not HW_SECRET_KEY",
        ),
        (
            &["OS_SECURITY_TOKEN=canary"],
            "OS_SECURITY_TOKEN in",
            "but not OS_ACCESS_KEY and OS_SECRET_KEY",
        ),
        // Another method that is complete does not make up for it.
        (
            &["OS_ACCESS_KEY=canary", "OS_USER_ID=u", "OS_PASSWORD=canary"],
            "OS_ACCESS_KEY in",
            "but not OS_SECRET_KEY",
        ),
        // Nor does the other family.
        (
            &[
                "OS_ACCESS_KEY=canary",
                "HW_ACCESS_KEY=canary",
                "HW_SECRET_KEY=canary",
            ],
            "OS_ACCESS_KEY in",
            "but not OS_SECRET_KEY",
        ),
        (
            &["OS_USERNAME=u"],
            "OS_USERNAME in",
            "but not OS_PASSWORD and OS_USER_DOMAIN_NAME",
        ),
        (
            &["OS_PASSWORD=canary"],
            "OS_PASSWORD in",
            "but not OS_USERNAME",
        ),
        (
            &["OS_USERNAME=u", "OS_PASSWORD=canary"],
            "OS_USERNAME and OS_PASSWORD in",
            "but not OS_USER_DOMAIN_NAME or OS_USER_DOMAIN_ID",
        ),
        (
            &["HW_USER_NAME=u", "HW_USER_PASSWORD=canary"],
            "HW_USER_NAME and HW_USER_PASSWORD in",
            "but not HW_DOMAIN_NAME or HW_DOMAIN_ID",
        ),
        (
            &[
                "OS_USERNAME=u",
                "OS_PASSWORD=canary",
                "OS_PASSCODE=canary",
                "OS_DOMAIN_NAME=d",
            ],
            "OS_USERNAME, OS_PASSWORD and OS_PASSCODE in",
            "but not OS_USER_ID",
        ),
        (
            &["OS_USER_ID=u", "OS_PASSWORD="],
            "OS_USER_ID in",
            "but not OS_PASSWORD",
        ),
    ] {
        let machine = Machine::with_vars(vars);
        machine.refuses(&["incomplete", given, missing]);
        // Neither does an entry of clouds.yaml.
        machine
            .file(
                "home/.config/openstack/clouds.yaml",
                "clouds: {x: {token: canary}}",
            )
            .refuses(&["incomplete", given, missing]);
    }
    // A method that comes first is complete by itself.
    assert_eq!(
        Machine::with_vars(&["OS_TOKEN=t", "OS_ACCESS_KEY=a", "OS_USERNAME=u"]).source(),
        "OS_TOKEN"
    );
    // A domain, a project or an address alone is no login.
    Machine::with_vars(&["OS_DOMAIN_NAME=d", "OS_PROJECT_NAME=p", "OS_AUTH_URL=x"])
        .refuses(&["no login found"]);
}

#[test]
fn names_must_be_readable_and_secrets_are_taken_as_they_are() {
    for name in [
        "OS_USERNAME",
        "OS_USER_ID",
        "OS_USER_DOMAIN_NAME",
        "OS_DOMAIN_ID",
        "OS_PROJECT_NAME",
        "OS_TENANT_NAME",
        "HW_USER_NAME",
        "HW_DOMAIN_NAME",
        "HW_PROJECT_NAME",
    ] {
        let machine =
            || Machine::with_vars(&["OS_USERNAME=u", "OS_PASSWORD=p", "OS_USER_DOMAIN_NAME=d"]);
        for bad in ["canary\n", "a\u{7}canary", "a\u{85}", "  ", "\t"] {
            machine().var(name, bad).refuses(&[name]);
        }
    }
    let login = Machine::with_vars(&["OS_USER_ID=u", "OS_PASSWORD= 'a\tb\nc' "]).login();
    assert_eq!(password(&login), format!("#u  'a\tb\nc'  #{A}"));

    for name in ["OS_PASSWORD", "OS_TOKEN", "OS_USERNAME", "HW_SECRET_KEY"] {
        let mut machine = Machine::with_vars(&["OS_USER_ID=u"]);
        let raw: std::ffi::OsString =
            std::os::unix::ffi::OsStringExt::from_vec(b"canary\xff".to_vec());
        machine.env = machine.env.with_var(name, raw);
        machine.refuses(&[name, "UTF-8"]);
    }
}

#[test]
fn what_no_token_or_key_can_be_is_refused_by_its_variable() {
    let quoted = ["\"canary\"", "'canary'", "canary\"", "`canary`"];
    let named = [
        "X-Auth-Token:canary",
        "OS_TOKEN=canary",
        "a:canary",
        "Bearer canary",
    ];
    let dirty = [
        "\u{feff}canary",
        "canary canary",
        " canary",
        "canary\tx",
        "can\u{e4}ry-canary",
    ];
    let foreign = [
        "${CANARY}-canary",
        "{\"token\":\"canary\"}",
        "<canary>",
        "canary,",
    ];
    let ends = ["canary\n\n", "canary\r", "\ncanary", "canary\u{1}"];
    for bad in [&quoted[..], &named, &dirty, &foreign, &ends].concat() {
        for (name, others) in [
            ("OS_TOKEN", &[][..]),
            ("OS_AUTH_TOKEN", &[]),
            ("HW_AUTH_TOKEN", &[]),
            ("OS_ACCESS_KEY", &["OS_SECRET_KEY=canary"]),
            ("OS_SECRET_KEY", &["OS_ACCESS_KEY=canary"]),
            ("HW_SECRET_KEY", &["HW_ACCESS_KEY=canary"]),
            ("OS_SECURITY_TOKEN", &["OS_AK=canary", "OS_SK=canary"]),
            ("OS_PASSCODE", &["OS_USER_ID=u", "OS_PASSWORD=canary"]),
        ] {
            let machine = Machine::with_vars(others).var(name, bad);
            machine.refuses(&[&format!("{name} contains "), "at position"]);
        }
    }
    // One line end is dropped after a token, and after nothing else.
    Machine::with_vars(&["OS_SK=canary"])
        .var("OS_AK", "canary\n")
        .refuses(&["OS_AK contains a control character at position 7"]);
    for bad in ["canary\n", "canary\r\n", "canary\r", "\u{feff}canary"] {
        for name in ["OS_PASSWORD", "HW_USER_PASSWORD"] {
            let machine = Machine::with_vars(&["OS_USER_ID=u"]).var(name, bad);
            machine.refuses(&[name, "sent as part of the password"]);
        }
    }
    for good in ["canary", "gAAAAA-_canary==", "a/b+c.d~e%", "canary="] {
        Machine::with_vars(&[]).var("OS_TOKEN", good).login();
    }
}

#[test]
fn a_kind_of_login_that_is_not_supported_is_named() {
    for name in ["ID", "NAME", "SECRET"] {
        let name = format!("OS_APPLICATION_CREDENTIAL_{name}");
        let machine = Machine::new().var(&name, "canary");
        machine.refuses(&[&name, "application credential", "not supported"]);
    }
    let all = ["OS_TOKEN=t", "OS_USER_ID=u", "OS_PASSWORD=canary"];
    let typed = |auth_type| Machine::with_vars(&all).var("OS_AUTH_TYPE", auth_type);
    typed("v3applicationcredential").refuses(&[
        "OS_AUTH_TYPE is v3applicationcredential",
        "v3applicationcredential, which is not supported",
    ]);
    typed("v3oidcpassword").refuses(&["OS_AUTH_TYPE is not a supported kind of login"]);
    // Where it is one, it picks the method, as that of an entry does.
    assert_eq!(typed("v3token").source(), "OS_TOKEN");
    assert_eq!(typed("password").source(), "OS_USER_ID and OS_PASSWORD");
    typed("v3totp").refuses(&["incomplete", "but not OS_PASSCODE"]);
    // An entry that the user names wins over all of them.
    let login = Machine::with_clouds("clouds: {x: {token: canary-x}}")
        .cloud("x")
        .var("OS_AUTH_TYPE", "v3oidcpassword")
        .login();
    assert_eq!(token(&login), "canary-x");
    assert!(
        login
            .notes
            .concat()
            .starts_with("OS_AUTH_TYPE is set but not used: --cloud")
    );
}

#[test]
fn a_variable_that_is_set_and_empty_is_said_to_be() {
    let said = |vars: &[&str]| empty(&Machine::with_vars(vars).env);
    assert_eq!(said(&["OS_TOKEN=t"]), None);
    for name in [
        "OS_TOKEN",
        "OS_CLOUD",
        "OS_PASSWORD",
        "HW_SECRET_KEY",
        "OS_USER_DOMAIN_NAME",
        "OS_PROJECT_NAME",
        "OS_REGION_NAME",
        "OS_AUTH_URL",
        "OS_CACERT",
        "OS_AUTH_TYPE",
    ] {
        let told = format!("{name} is empty and treated as not set");
        assert_eq!(said(&[&format!("{name}=")]), Some(told));
    }
    let both = said(&["OS_TOKEN=", "OS_PASSWORD="]);
    let told = "OS_PASSWORD and OS_TOKEN are empty and treated as not set";
    assert_eq!(both.as_deref(), Some(told));
}

#[test]
fn certificates_come_as_a_path_or_as_text() {
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let ca = |machine: Machine| {
        let login = machine.login();
        let (place, bytes) = login.ca.expect("certificates");
        assert_eq!(bytes, pem.as_bytes());
        machine.short(&place)
    };
    let machine = || Machine::with_vars(&["OS_TOKEN=canary"]).file("ca.pem", pem);
    assert_eq!(ca(machine().var("OS_CACERT", pem)), "OS_CACERT");
    assert_eq!(
        ca(machine().path_var("OS_CACERT", "ca.pem")),
        "OS_CACERT, ca.pem"
    );
    assert_eq!(
        ca(machine().path_var("OS_CA_CERT", "ca.pem")),
        "OS_CA_CERT, ca.pem"
    );
    // As seen from the root folder.
    assert_eq!(
        ca(machine().var("OS_CACERT", "../../ca.pem")),
        "OS_CACERT, repo/prod/../../ca.pem"
    );
    assert!(machine().login().ca.is_none());
    machine()
        .path_var("OS_CACERT", "none.pem")
        .refuses(&["certificates", "none.pem"]);
    machine()
        .var("OS_CACERT", "canary\ncanary")
        .refuses(&["OS_CACERT"]);

    // A variable comes before an entry.
    let clouds = |cacert: &str| {
        Machine::with_clouds(&format!("clouds: {{x: {{token: t, cacert: {cacert}}}}}"))
            .file("ca.pem", pem)
            .file("home/ca.pem", pem)
    };
    assert_eq!(
        ca(clouds("nowhere")
            .file(
                "home/.config/openstack/clouds.yaml",
                "clouds: {x: {token: t}}"
            )
            .path_var("OS_CACERT", "ca.pem")),
        "OS_CACERT, ca.pem"
    );
    assert_eq!(
        ca(clouds("~/ca.pem")),
        "cacert of entry x of home/.config/openstack/clouds.yaml, home/ca.pem"
    );
    clouds("ca.pem").refuses(&["cacert of entry x", "is not an absolute path"]);
}
