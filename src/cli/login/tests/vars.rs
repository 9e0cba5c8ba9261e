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
        .refuses(&["there is no login"]);
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
        (&["OS_DEFAULT_DOMAIN=d"], format!("u@d p {sealed}"), None),
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
            .var("OS_CLOUD", "x")
            .refuses(&["incomplete", given, missing]);
    }
    // A method that comes first is complete by itself.
    assert_eq!(
        Machine::with_vars(&["OS_TOKEN=t", "OS_ACCESS_KEY=a", "OS_USERNAME=u"]).source(),
        "OS_TOKEN"
    );
    // A domain, a project or an address alone is no login.
    Machine::with_vars(&["OS_DOMAIN_NAME=d", "OS_PROJECT_NAME=p", "OS_AUTH_URL=x"])
        .refuses(&["there is no login"]);
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
    let login = Machine::with_vars(&["OS_USER_ID=u", "OS_PASSWORD= a\tb\n"]).login();
    assert_eq!(password(&login), format!("#u  a\tb\n #{A}"));

    for name in ["OS_PASSWORD", "OS_TOKEN", "OS_USERNAME", "HW_SECRET_KEY"] {
        let mut machine = Machine::with_vars(&["OS_USER_ID=u"]);
        let raw = std::os::unix::ffi::OsStringExt::from_vec(b"canary\xff".to_vec());
        machine.env = machine.env.with_raw_var(name, raw);
        machine.refuses(&[name, "UTF-8"]);
    }
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
    clouds("ca.pem").refuses(&["cacert of entry x", "not given in full"]);
}
