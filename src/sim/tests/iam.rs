//! Logins, tokens, projects and the catalogue.

use serde_json::json;

use super::super::{CatalogSpec, Fault, FaultKind, ProjectSpec, UserSpec};
use super::*;

const PASSWORD: &str = "canary-login";
const TOKENS: &str = "POST /v3/auth/tokens";

fn user(passcode: Option<&str>) -> UserSpec {
    UserSpec {
        name: "ci".to_owned(),
        id: "user-1".to_owned(),
        password: PASSWORD.to_owned(),
        domain: "acme".to_owned(),
        domain_id: "domain-1".to_owned(),
        passcode: passcode.map(ToOwned::to_owned),
    }
}

fn iam(change: impl FnOnce(&mut SimConfig)) -> Simulator {
    let mut config = SimConfig {
        users: vec![user(None)],
        other_projects: vec![ProjectSpec {
            id: "project-2".to_owned(),
            name: "eu-de_two".to_owned(),
        }],
        ..config()
    };
    change(&mut config);
    Simulator::start(config).unwrap()
}

fn with_scope(password: &str, scope: Value) -> Value {
    let user = json!({"name": "ci", "password": password, "domain": {"name": "acme"}});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    json!({"auth": {"identity": identity, "scope": scope}})
}

fn by_name(password: &str) -> Value {
    with_scope(password, json!({"project": {"name": "eu-de"}}))
}

fn log_in(sim: &Simulator, body: &Value) -> Seen {
    let headers = [("Content-Type", "application/json;charset=utf8")];
    send(sim, TOKENS, &headers, &body.to_string()).unwrap()
}

fn token(seen: &Seen) -> String {
    assert_eq!(seen.status, 201, "{}", seen.head);
    seen.header("x-subject-token").unwrap().to_owned()
}

fn iam_code(seen: &Seen) -> (u16, String) {
    let code = seen.json()["error"]["code"].as_str().unwrap().to_owned();
    (seen.status, code)
}

fn get(sim: &Simulator, path: &str, token: &str) -> Seen {
    send(sim, &format!("GET {path}"), &[("X-Auth-Token", token)], "").unwrap()
}

/// What the query of states says to a token.
fn status_with(sim: &Simulator, project: &str, token: &str) -> Seen {
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Auth-Token", token),
    ];
    let request = format!("POST /v3/{project}/jobs/batch-status");
    send(sim, &request, &headers, &json!({"jobs": [JOB]}).to_string()).unwrap()
}

#[test]
fn a_login_gives_a_token_that_works() {
    let sim = iam(|_| ());
    let seen = log_in(&sim, &by_name(PASSWORD));
    let token = token(&seen);
    let told = &seen.json()["token"];
    assert_eq!(told["project"]["id"], sim.project_id());
    assert_eq!(told["user"]["domain"]["name"], "acme");
    let time = |field: &str| told[field].as_str().unwrap().parse::<jiff::Timestamp>();
    let life = time("expires_at").unwrap() - time("issued_at").unwrap();
    assert_eq!(life.as_hours(), 24);
    assert_eq!(status_with(&sim, sim.project_id(), &token).status, 200);
    assert_eq!(sim.issued_tokens(), [token]);
    assert_eq!((sim.logins(), sim.login_attempts()), (1, 1));
    let recorded = &sim.requests()[0];
    assert_eq!((recorded.method(), recorded.entries().len()), ("POST", 0));
}

#[test]
fn a_token_is_for_one_project() {
    let sim = iam(|_| ());
    let other = json!({"project": {"id": "project-2"}});
    let foreign = token(&log_in(&sim, &with_scope(PASSWORD, other)));
    let refused = status_with(&sim, sim.project_id(), &foreign);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "DRS.M00261")
    );
    // Its own project has no jobs.
    let empty = status_with(&sim, "project-2", &foreign);
    assert_eq!(empty.results()[0].3, "DRS.M00289");
    let domain = json!({"domain": {"name": "acme"}});
    for scope in [json!(null), domain] {
        let seen = log_in(&sim, &with_scope(PASSWORD, scope));
        assert!(seen.json()["token"]["project"].is_null());
        let refused = status_with(&sim, sim.project_id(), &token(&seen));
        assert_eq!(refused.code(), "DRS.M00261");
    }
}

#[test]
fn scopes_name_projects_that_are_there() {
    let sim = iam(|_| ());
    let project = sim.project_id().to_owned();
    for scope in [
        json!({"project": {"id": project}, "domain": {"name": "acme"}}),
        json!({"project": {"name": "eu-de", "domain": {"name": "acme"}}}),
        json!({"project": {"name": "eu-de", "domain": {"id": "domain-1"}}}),
    ] {
        let seen = log_in(&sim, &with_scope(PASSWORD, scope));
        assert_eq!(seen.json()["token"]["project"]["id"], project);
    }
    for scope in [
        json!({"project": {"name": "nowhere"}}),
        json!({"project": {"name": "eu-de", "domain": {"name": "other"}}}),
        json!({"domain": {"name": "other"}}),
    ] {
        let seen = log_in(&sim, &with_scope(PASSWORD, scope));
        assert_eq!(iam_code(&seen), (401, "IAM.0001".to_owned()));
    }
}

#[test]
fn malformed_logins_are_told_apart_from_wrong_ones() {
    let sim = iam(|_| ());
    let mut no_method = by_name(PASSWORD);
    no_method["auth"]["identity"]["methods"] = json!(["token"]);
    let mut no_password = by_name(PASSWORD);
    no_password["auth"]["identity"]["password"]["user"]["password"] = json!(null);
    let mut odd_scope = by_name(PASSWORD);
    odd_scope["auth"]["scope"]["project"] = json!({"name": 7});
    for body in [json!([]), no_method, no_password, odd_scope] {
        let seen = log_in(&sim, &body);
        assert_eq!(iam_code(&seen), (400, "IAM.0011".to_owned()), "{body}");
    }
    let body = by_name(PASSWORD).to_string();
    let untyped = send(&sim, TOKENS, &[], &body).unwrap();
    assert_eq!(iam_code(&untyped), (400, "IAM.0011".to_owned()));
    let wrong = log_in(&sim, &by_name("canary-wrong"));
    assert_eq!(iam_code(&wrong), (401, "IAM.0062".to_owned()));
    assert_eq!((sim.logins(), sim.login_attempts()), (0, 6));
}

#[test]
fn users_are_locked_after_five_refusals() {
    let sim = iam(|_| ());
    for _ in 0..5 {
        let seen = log_in(&sim, &by_name("canary-wrong"));
        assert_eq!(iam_code(&seen), (401, "IAM.0062".to_owned()));
    }
    let seen = log_in(&sim, &by_name(PASSWORD));
    assert_eq!(iam_code(&seen), (401, "IAM.0061".to_owned()));
}

#[test]
fn a_second_factor_is_asked_for() {
    let sim = iam(|config| config.users = vec![user(Some("123456"))]);
    let seen = log_in(&sim, &by_name(PASSWORD));
    assert_eq!(iam_code(&seen).0, 401);
    let mut body = by_name(PASSWORD);
    body["auth"]["identity"]["methods"] = json!(["password", "totp"]);
    body["auth"]["identity"]["totp"] = json!({"user": {"id": "user-1", "passcode": "123456"}});
    let seen = log_in(&sim, &body);
    assert_eq!(seen.json()["token"]["methods"], json!(["password", "totp"]));
    body["auth"]["identity"]["totp"]["user"]["id"] = json!("user-2");
    assert_eq!(iam_code(&log_in(&sim, &body)).0, 401);
}

#[test]
fn tokens_end_and_the_fixed_one_does_not() {
    let sim = iam(|_| ());
    let token = token(&log_in(&sim, &by_name(PASSWORD)));
    sim.expire_tokens();
    let seen = status_with(&sim, sim.project_id(), &token);
    assert_eq!((seen.status, seen.code().as_str()), (401, "APIGW.0301"));
    let text = seen.json()["error_msg"].as_str().unwrap().to_owned();
    assert!(text.contains("token expires"), "{text}");
    assert_eq!(status_with(&sim, sim.project_id(), sim.token()).status, 200);
    let short = iam(|config| config.token_life = Duration::ZERO);
    let token = self::token(&log_in(&short, &by_name(PASSWORD)));
    assert_eq!(status_with(&short, short.project_id(), &token).status, 401);
}

#[test]
fn tokens_can_be_looked_at() {
    let sim = iam(|_| ());
    let token = token(&log_in(&sim, &by_name(PASSWORD)));
    let look = |subject: &str| {
        let headers = [("X-Auth-Token", sim.token()), ("X-Subject-Token", subject)];
        send(&sim, "GET /v3/auth/tokens", &headers, "").unwrap()
    };
    let seen = look(&token);
    assert_eq!(seen.status, 200);
    assert_eq!(seen.header("x-subject-token"), Some(token.as_str()));
    assert_eq!(seen.json()["token"]["user"]["name"], "ci");
    assert_eq!(
        look(sim.token()).json()["token"]["project"]["name"],
        "eu-de"
    );
    assert_eq!(iam_code(&look("invented")), (404, "IAM.0004".to_owned()));
    sim.expire_tokens();
    assert_eq!(iam_code(&look(&token)).0, 404);
    let none = send(
        &sim,
        "GET /v3/auth/tokens",
        &[("X-Subject-Token", &token)],
        "",
    );
    assert_eq!(none.unwrap().status, 401);
}

#[test]
fn projects_are_found_by_name() {
    let sim = iam(|_| ());
    let ids = |query: &str| -> Vec<String> {
        let seen = get(&sim, &format!("/v3/projects{query}"), sim.token());
        let document = seen.json();
        let projects = document["projects"].as_array().unwrap().iter();
        projects
            .map(|project| project["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(""), [sim.project_id(), "project-2"]);
    assert_eq!(ids("?name=eu-de"), [sim.project_id()]);
    assert_eq!(ids("?name=eu-de%5Ftwo"), ["project-2"]);
    assert!(ids("?name=nowhere").is_empty());
    assert_eq!(get(&sim, "/v3/projects", "invented").status, 403);
}

#[test]
fn the_catalogue_tells_of_drs_only_if_it_is_to() {
    let url = |sim: &Simulator| {
        let seen = get(sim, "/v3/auth/catalog", sim.token());
        let document = seen.json();
        let entries = document["catalog"].as_array().unwrap().iter();
        let mut drs = entries.filter(|entry| entry["type"] == "drs");
        drs.next()
            .map(|entry| entry["endpoints"][0]["url"].as_str().unwrap().to_owned())
    };
    assert_eq!(url(&iam(|_| ())), None);
    let own = |project_suffix| {
        iam(|config| {
            config.catalog = CatalogSpec {
                drs_endpoint: Some("self".to_owned()),
                project_suffix,
                ..CatalogSpec::default()
            }
        })
    };
    let sim = own(false);
    assert_eq!(url(&sim), Some(sim.url()));
    let sim = own(true);
    let suffixed = format!("{}/v3/{}", sim.url(), sim.project_id());
    assert_eq!(url(&sim), Some(suffixed));
    let seen = log_in(&sim, &by_name(PASSWORD));
    assert_eq!(seen.json()["token"]["catalog"][2]["type"], "drs");
    let headers = [("Content-Type", "application/json")];
    let request = "POST /v3/auth/tokens?nocatalog=x";
    let body = by_name(PASSWORD).to_string();
    let seen = send(&sim, request, &headers, &body).unwrap();
    assert!(seen.json()["token"]["catalog"].is_null());
}

#[test]
fn the_clock_shows_in_answers_and_tokens() {
    let sim = iam(|config| config.clock_offset_seconds = 400 * 24 * 60 * 60);
    let ahead = sim.shared.now();
    let seen = log_in(&sim, &by_name(PASSWORD));
    let date = seen.header("date").unwrap();
    assert!(date.contains(&ahead.strftime("%Y").to_string()), "{date}");
    let issued = seen.json()["token"]["issued_at"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        issued.parse::<jiff::Timestamp>().unwrap() >= ahead - jiff::SignedDuration::from_secs(1)
    );
}

#[test]
fn logins_meet_faults_of_their_own() {
    let sim = iam(|config| {
        let retry_after = Some(1);
        config.login_faults = vec![Fault::nth(2, FaultKind::Throttled { retry_after })];
    });
    sim.inject(Fault::always(FaultKind::Busy));
    assert_eq!(log_in(&sim, &by_name(PASSWORD)).status, 201);
    assert_eq!(log_in(&sim, &by_name(PASSWORD)).status, 429);
    sim.inject_login(Fault::next(FaultKind::CloseAfter));
    let body = by_name(PASSWORD).to_string();
    let json = [("Content-Type", "application/json")];
    assert!(send(&sim, TOKENS, &json, &body).is_none());
    sim.inject_login(Fault::next(FaultKind::CloseBefore));
    assert!(send(&sim, TOKENS, &json, &body).is_none());
    assert_eq!((sim.logins(), sim.login_attempts()), (2, 4));
    assert_eq!(sim.issued_tokens().len(), 2);
}

#[test]
fn the_versions_of_the_identity_service_are_told_before_a_login() {
    let sim = iam(|_| ());
    let ask = |path: &str| send(&sim, &format!("GET {path}"), &[], "").unwrap();
    let list = ask("/");
    assert_eq!(list.status, 300);
    let listed = list.json()["versions"]["values"][0].clone();
    let href = format!("{}/v3/", sim.url());
    assert_eq!(listed["links"][0]["href"], json!(href));
    assert_eq!(listed["status"], "stable");
    for path in ["/v3", "/v3/"] {
        let shown = ask(path);
        assert_eq!((shown.status, &shown.json()["version"]), (200, &listed));
    }
    assert_eq!(ask("/v2.0").status, 404);
}

#[test]
fn a_token_brings_one_for_another_scope_that_ends_with_it() {
    let sim = iam(|_| ());
    let first = log_in(&sim, &with_scope(PASSWORD, json!(null)));
    let by_token = |id: &str, scope: Value| {
        let identity = json!({"methods": ["token"], "token": {"id": id}});
        log_in(
            &sim,
            &json!({"auth": {"identity": identity, "scope": scope}}),
        )
    };
    let scope = json!({"project": {"id": "project-2"}});
    let second = by_token(&token(&first), scope.clone());
    let (was, is) = (
        first.json()["token"].clone(),
        second.json()["token"].clone(),
    );
    assert_eq!(is["project"]["id"], "project-2");
    assert_eq!(is["methods"], json!(["password", "token"]));
    assert_eq!(is["user"], was["user"]);
    assert_eq!(is["expires_at"], was["expires_at"]);
    assert_ne!(status_with(&sim, "project-2", &token(&second)).status, 403);
    let third = by_token(sim.token(), scope.clone());
    assert_eq!(third.status, 201);
    let unknown = by_token("invented", scope.clone());
    assert_eq!(iam_code(&unknown), (401, "IAM.0067".to_owned()));
    sim.expire_tokens();
    let expired = by_token(&token(&first), scope);
    assert_eq!(iam_code(&expired), (401, "IAM.0066".to_owned()));
}
