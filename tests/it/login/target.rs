//! The target as it is written, found and sealed: addresses in every spelling that other
//! tools print, and regions of a catalogue.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use super::*;

/// An identity service that knows this catalogue, and answers nothing else.
fn identity_service(endpoints: &[(&str, &str)]) -> String {
    let listed: Vec<_> = endpoints
        .iter()
        .map(|(region, url)| {
            serde_json::json!({"interface": "public", "region": region, "url": url})
        })
        .collect();
    let catalogue = serde_json::json!({"catalog": [{"type": "drs", "endpoints": listed}]});
    let body = catalogue.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map(Result::unwrap).find(String::is_empty);
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    url
}

/// `init` in a folder of its own below that of `lab`.
fn init(lab: &Lab, args: &[&str], vars: &[(&str, &str)]) -> Run {
    let _ = fs::remove_dir_all(lab.path("new"));
    fs::create_dir(lab.path("new")).unwrap();
    let key = lab.path("key.txt");
    let init = ["-C", "new", "-i", key.to_str().unwrap(), "init"];
    let mut command = lab.command(&[&init[..], args].concat());
    command.envs(vars.iter().copied());
    lab.run_command(command)
}

#[test]
fn a_catalogue_of_several_regions_is_not_guessed_from() {
    const NL: &str = "http://127.0.0.2:9";
    const DE: &str = "http://127.0.0.3:9";
    let lab = lab();
    let url = identity_service(&[
        ("eu-nl", &format!("{NL}/v3/p1")),
        ("eu-de", &format!("{DE}/v3/p1")),
    ]);
    let args = ["--project-id", "p1", "--auth-url", &url];
    init(&lab, &args, &[])
        .exits(1)
        .says(&format!(
            r#"several DRS endpoints: region "eu-nl" at "{NL}", region "eu-de" at "{DE}""#
        ))
        .says("--region or OS_REGION_NAME");
    assert!(!lab.exists("new/drspass.yaml"));
    for (more, region, endpoint) in [
        (&[][..], "eu-nl", NL),
        (&[], "eu-de", DE),
        (&["--region", "eu-nl"], "eu-de", NL),
    ] {
        init(&lab, &[&args, more].concat(), &[("OS_REGION_NAME", region)])
            .exits(0)
            .says("project: p1")
            .says(&format!("endpoint: {endpoint}"))
            .says(&format!("identity service: {url}/v3"));
        assert!(lab.read("new/drspass.yaml").contains(endpoint));
    }
    init(&lab, &args, &[("OS_REGION_NAME", "eu-ch2")])
        .exits(1)
        .says("has no DRS endpoint for this region");
    init(&lab, &args, &[("OS_REGION_NAME", "eu/de")])
        .exits(1)
        .says("OS_REGION_NAME is not a valid region");
    // One address in several regions is no question.
    let url = identity_service(&[("eu-nl", NL), ("eu-de", NL)]);
    init(&lab, &["--project-id", "p1", "--auth-url", &url], &[])
        .exits(0)
        .says(&format!("endpoint: {NL}"));
}

#[test]
fn a_region_of_a_variable_gives_the_addresses_of_a_known_cloud() {
    let lab = lab();
    init(
        &lab,
        &["--project-id", "p1"],
        &[("OS_REGION_NAME", "eu-nl")],
    )
    .exits(0)
    .says("endpoint: https://drs.eu-nl.otc.t-systems.com")
    .says("identity service: https://iam.eu-nl.otc.t-systems.com/v3");
    assert!(lab.read("new/drspass.yaml").contains("region: \"eu-nl\""));
}

#[test]
fn an_endpoint_is_sealed_without_version_and_project_and_an_identity_service_with_one() {
    let lab = lab();
    let project = lab.sim.project_id();
    let url = lab.sim.url();
    for tail in [
        "",
        "/",
        "/v3",
        "/v3/",
        &format!("/v3/{project}"),
        &format!("/v3/{project}/"),
    ] {
        let endpoint = format!("{url}{tail}");
        let args = [
            "--project-id",
            project,
            "--endpoint",
            &endpoint,
            "--auth-url",
            &url,
        ];
        let made = init(&lab, &args, &[]).exits(0).says(&format!(
            "endpoint: {url} identity service: {url}/v3 key id:"
        ));
        let is_noted = made
            .stderr
            .contains("the version or project at the end of --endpoint");
        assert_eq!(is_noted, tail.contains("v3"), "{tail}");
        let config = lab.read("new/drspass.yaml");
        assert!(
            config.contains(&format!("endpoint: \"{url}\"\n")),
            "{config}"
        );
        assert!(
            config.contains(&format!("auth_url: \"{url}/v3\"\n")),
            "{config}"
        );
    }
    for tail in ["/x", "/v2", "/v3/other", "/v3/v3"] {
        let endpoint = format!("{url}{tail}");
        let args = [
            "--project-id",
            project,
            "--endpoint",
            &endpoint,
            "--auth-url",
            &url,
        ];
        init(&lab, &args, &[])
            .exits(1)
            .says("its path must be empty, /v3, or /v3 and the id");
        assert!(!lab.exists("new/drspass.yaml"));
    }
}

#[test]
fn an_endpoint_of_drspass_yaml_may_end_in_the_version_and_the_project() {
    let lab = lab();
    let config = lab.read("drspass.yaml");
    let url = lab.sim.url();
    let written = |tail: &str| {
        let from = format!("endpoint: \"{url}\"");
        config.replace(&from, &format!("endpoint: \"{url}{tail}\""))
    };
    let auth_url = format!("auth_url: \"{url}/v3\"");
    for tail in ["/v3", &format!("/v3/{}", lab.sim.project_id())] {
        let bare = written(tail).replace(&auth_url, &format!("auth_url: \"{url}\""));
        lab.write("drspass.yaml", bare);
        lab.run(&["plan"])
            .exits(0)
            .says("target.endpoint: ends with the version or the project, which is ignored");
    }
    lab.apply(&[]).exits(0);
    let paths: Vec<_> = asked(&lab).into_iter().map(|(_, path)| path).collect();
    let path = format!("/v3/{}/jobs/batch-modify-pwd", lab.sim.project_id());
    assert_eq!(paths.last(), Some(&path));
    lab.write("drspass.yaml", written("/drs"));
    for args in [&["validate"][..], &["plan"], &["rekey", "--yes"]] {
        lab.run(args)
            .exits(1)
            .says("target.endpoint: has a path")
            .says("line ");
    }
}
