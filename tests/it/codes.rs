//! What each error code of the pages does to an apply, row by row of a table that
//! was typed from them, and the shapes in which errors come.

use drspass::sim::{
    CannedAnswer, EndPointType, Fault, FaultKind, FaultTrigger, MessageKey, Rejection, SimConfig,
};

use crate::support::{Lab, Run};

/// One row of the table, whose head says what the columns mean.
#[derive(Clone)]
struct Row {
    http: u16,
    code: &'static str,
    class: &'static str,
    exit: i32,
    is_repeated: bool,
    is_held: bool,
    advice: Option<&'static str>,
}

impl Row {
    /// The code in the spelling of today's pages.
    fn shown(&self) -> String {
        self.code.replacen("DRS-", "DRS.", 1)
    }
}

fn rows() -> Vec<Row> {
    let table = include_str!("../data/error-codes.tsv");
    let rows = table.lines().filter(|line| !line.is_empty());
    rows.filter(|line| !line.starts_with('#'))
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [http, code, class, exit, puts, held, advice, _note] = cells[..] else {
                panic!("{line}");
            };
            assert!(["once", "repeated"].contains(&puts), "{line}");
            assert!(["yes", "no"].contains(&held), "{line}");
            Row {
                http: http.parse().unwrap(),
                code,
                class,
                exit: exit.parse().unwrap(),
                is_repeated: puts == "repeated",
                is_held: held == "yes",
                advice: (advice != "-").then_some(advice),
            }
        })
        .collect()
}

/// A root folder with an entry for each case, applied once and changed since.
struct Bench {
    lab: Lab,
}

impl Bench {
    fn new(cases: usize) -> Self {
        let mut lab = Lab::with_config(SimConfig {
            accept_any_job: true,
            ..SimConfig::default()
        });
        lab.configure("apply: { batch_size: 100 }");
        lab.plant(&["canary-before", "canary-after"]);
        for password in ["canary-before", "canary-after"] {
            let entry = |case| {
                format!(
                    "  {}:\n    source: {{ password: '{password}' }}\n",
                    job(case)
                )
            };
            lab.manifest(&(0..cases).map(entry).collect::<String>())
                .exits(0);
            if password == "canary-before" {
                lab.apply(&[]).exits(0);
            }
        }
        Self { lab }
    }

    /// Applies the entry of this case alone, while the service answers it like this.
    #[track_caller]
    fn apply(&self, case: usize, kind: FaultKind) -> Run {
        let before = self.applied(case);
        assert!(before.is_object());
        self.lab.sim.inject(about(case, kind));
        let run = self.lab.apply(&["--only", &job(case)]);
        assert_eq!(self.applied(case), before, "{}", run.all());
        assert!(self.lab.sim.holds(&job(case), "source", "canary-before"));
        run
    }

    fn applied(&self, case: usize) -> serde_json::Value {
        self.lab.entry(&job(case), "source")["applied"].clone()
    }

    /// How often the changed entry was sent.
    fn puts(&self, case: usize) -> usize {
        let job = job(case);
        let sent = self.lab.sent();
        let holds = |entries: &&Vec<(String, String)>| entries.iter().any(|(id, _)| *id == job);
        sent.iter().filter(holds).count() - 1
    }

    /// The marks of all entries in the next plan.
    fn marks(&self) -> Vec<char> {
        let plan = self.lab.plan();
        let mark = |line: &str| line.trim_start().chars().next();
        plan.lines()
            .filter(|line| line.contains("-a37c-41b9-"))
            .filter_map(mark)
            .collect()
    }
}

/// A fault of every request that holds the entry of this case.
fn about(case: usize, kind: FaultKind) -> Fault {
    let entry = FaultTrigger::Entry {
        job: job(case),
        endpoint: EndPointType::Source,
    };
    Fault::on(entry, kind)
}

fn job(case: usize) -> String {
    format!("{case:08x}-a37c-41b9-bc2b-8c00ba32jb52")
}

/// Whether the id of a request is shown: 32 hexadecimal digits, which the simulator
/// draws anew for each answer.
fn shows_request_id(run: &Run) -> bool {
    run.stdout.match_indices("request ").any(|(at, word)| {
        let id = run.stdout[at + word.len()..].bytes();
        id.take_while(u8::is_ascii_hexdigit).count() == 32
    })
}

#[track_caller]
fn check(bench: &Bench, case: usize, row: &Row, kind: FaultKind, exit: i32, puts: usize) {
    let Row { http, code, .. } = row;
    let run = bench.apply(case, kind);
    assert_eq!(run.code, Some(exit), "{http} {code}\n{}", run.all());
    let run = run.says(&row.shown()).says("\"turned away\"");
    assert!(shows_request_id(&run), "{http} {code}\n{}", run.all());
    let run = match row.advice {
        Some(words) => run.says(words),
        None => run,
    };
    assert_eq!(bench.puts(case), puts, "{http} {code}\n{}", run.all());
    if row.is_held {
        let only = job(case);
        bench
            .lab
            .apply(&["--only", &only])
            .exits(1)
            .says("1 skipped");
        assert_eq!(bench.puts(case), puts, "{http} {code}");
        bench.lab.run(&["plan", "--only", &only]).says("skipped:");
    }
}

/// Answers each row's entry with the row's code for the whole request.
#[track_caller]
fn check_whole_requests(rows: &[Row]) {
    assert!(!rows.is_empty());
    let bench = Bench::new(rows.len());
    let mut marks = Vec::new();
    for (case, row) in rows.iter().enumerate() {
        let answer = |headers: &[(&str, &str)]| {
            let headers = headers.iter();
            FaultKind::Status(CannedAnswer {
                http: row.http,
                code: row.code.to_owned(),
                message: "turned away".to_owned(),
                headers: headers
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                ..CannedAnswer::default()
            })
        };
        if row.is_repeated {
            // Asked to wait for so long the second time, it gives up.
            let once = about(case, answer(&[("Retry-After", "1")])).times(1);
            bench.lab.sim.inject(once);
            let kind = answer(&[("Retry-After", "3600")]);
            check(&bench, case, row, kind, row.exit, 2);
        } else {
            // A gateway that gave up waiting counts as a lost answer.
            let is_lost = row.exit == 4 && matches!(row.http, 408 | 502..=504);
            let puts = 1 + usize::from(is_lost);
            check(&bench, case, row, answer(&[]), row.exit, puts);
        }
        marks.push(match (row.exit, row.class) {
            (4, _) => '?',
            // A refused caller is told nothing about the entry.
            (_, "A" | "P") => '~',
            _ => '!',
        });
    }
    assert_eq!(bench.marks(), marks);
}

#[test]
fn the_table_names_every_code_in_every_spelling_once() {
    let mut seen = std::collections::BTreeSet::new();
    for row in rows() {
        assert!(
            seen.insert((row.http, row.code)),
            "{} {}",
            row.http,
            row.code
        );
        assert!("RESAPQIC".contains(row.class), "{}", row.code);
        if let Some(number) = row.code.strip_prefix("APIG.") {
            let other = format!("APIGW.{number}");
            assert!(rows().iter().any(|row| row.code == other), "{other}");
        }
    }
}

#[test]
fn half_of_the_codes_of_the_service_end_a_request_as_they_say() {
    let (service, _) = by_origin();
    let (first, _) = service.split_at(service.len() / 2);
    check_whole_requests(first);
}

#[test]
fn the_other_half_of_the_codes_of_the_service_end_a_request_as_they_say() {
    let (service, _) = by_origin();
    let (_, second) = service.split_at(service.len() / 2);
    check_whole_requests(second);
}

#[test]
fn a_request_that_the_gateway_or_the_login_service_refuses_ends_as_its_code_says() {
    check_whole_requests(&by_origin().1);
}

/// The rows with codes of the service, and the others.
fn by_origin() -> (Vec<Row>, Vec<Row>) {
    rows()
        .into_iter()
        .partition(|row| row.code.starts_with("DRS"))
}

#[test]
fn a_code_of_a_failed_entry_refuses_that_entry_alone() {
    let is_about_entry = |row: &Row| matches!(row.class, "E" | "S") && row.code.starts_with("DRS");
    let rows: Vec<Row> = rows().into_iter().filter(is_about_entry).collect();
    let bench = Bench::new(rows.len());
    for (case, row) in rows.iter().enumerate() {
        let kind = FaultKind::RejectEntry(Rejection {
            job: job(case),
            endpoint: EndPointType::Source,
            code: row.code.to_owned(),
            message: "turned away".to_owned(),
            message_key: match case % 2 {
                0 => MessageKey::ErrorMsg,
                _ => MessageKey::ErrorMessage,
            },
        });
        check(&bench, case, row, kind, 1, 1);
    }
    assert!(bench.marks().iter().all(|mark| *mark == '!'));
}

#[test]
fn errors_are_read_in_every_shape() {
    let code = "DRS.M00304";
    let word = "\"turned away\"";
    let shapes = [
        r#"{"error_code":"DRS.M00304","error_msg":"turned away"}"#,
        r#"{"error_code":"DRS.M00304","error_msg":"turned away","request_id":"0123456789abcdef0123456789abcdef","encoded_authorization_message":"x"}"#,
        r#"{"error_code":"DRS.M00304","error_message":"turned away"}"#,
        r#"{"error":{"code":"DRS.M00304","message":"turned away","title":"Bad Request"}}"#,
        r#"{"errorCode":"DRS.M00304","errorMsg":"turned away"}"#,
        r#"{"code":"DRS.M00304","message":"turned away"}"#,
        r#"{"fault":{"error_code":"DRS.M00304","error_msg":"turned away"}}"#,
        r#"{"answer":{"why":{"errorCode":"DRS.M00304","errorMsg":"turned away"}}}"#,
        r#"{"x":null,"y":[1],"badRequest":{"code":"DRS.M00304","message":"turned away"}}"#,
    ];
    let statuses = [400, 422, 200];
    let bench = Bench::new(shapes.len() * statuses.len());
    for (case, (shape, http)) in pairs(&shapes, &statuses).enumerate() {
        let run = bench.apply(case, whole(http, shape));
        assert_eq!(run.code, Some(1), "{http} {shape}\n{}", run.all());
        let run = run.says(code).says(word).says("or resume it");
        assert!(shows_request_id(&run), "{http} {shape}\n{}", run.all());
        assert_eq!(bench.puts(case), 1, "{http} {shape}");
    }
}

#[test]
fn results_are_read_in_every_shape() {
    let shapes = [
        r#""status":"failed","error_code":"DRS.M00304","error_msg":"turned away""#,
        r#""status":"failed","error_code":"DRS.M00304","error_message":"turned away""#,
        r#""status":"failed","errorCode":"DRS.M00304","errorMsg":"turned away""#,
        r#""status":"failed","error_code":"DRS-M00304","error_msg":"turned away","more":[1]"#,
    ];
    let statuses = [200, 202, 400, 422];
    let bench = Bench::new(shapes.len() * statuses.len());
    for (case, (shape, http)) in pairs(&shapes, &statuses).enumerate() {
        let body = format!(
            r#"{{"count":1,"results":[{{"id":"{}","end_point_type":"so",{shape}}}]}}"#,
            job(case)
        );
        let run = bench.apply(case, whole(http, &body));
        assert_eq!(run.code, Some(1), "{http} {shape}\n{}", run.all());
        let run = run.says("DRS.M00304").says("turned away");
        let run = run.says("or resume it");
        assert!(shows_request_id(&run), "{http} {shape}\n{}", run.all());
        assert_eq!(bench.puts(case), 1, "{http} {shape}");
    }
}

#[test]
fn what_is_no_json_is_judged_by_its_status_and_shown_in_one_short_line() {
    let page = format!(
        "<html><title>turned away</title>{}</html>",
        "<p>more</p>".repeat(500)
    );
    let cases = [
        (400, page.as_str(), 1, "HTTP-400"),
        (403, &page, 1, "HTTP-403"),
        (404, &page, 1, "HTTP-404"),
        (500, &page, 4, "500"),
        (502, &page, 4, "502"),
        (200, &page, 4, "200"),
        (400, "turned away, in plain words", 1, "HTTP-400"),
        (400, "", 1, "HTTP-400"),
        (400, "{}", 1, "HTTP-400"),
        (500, "", 4, "500"),
        (200, "", 4, "200"),
        // Damaged on the way, so that it may have listed successes.
        (400, r#"{"results":[{"id""#, 4, "400"),
    ];
    let bench = Bench::new(cases.len());
    for (case, (http, body, exit, code)) in cases.into_iter().enumerate() {
        let run = bench.apply(case, whole(http, body));
        assert_eq!(run.code, Some(exit), "{http} {body}\n{}", run.all());
        let run = run.says(code);
        let puts = 1 + usize::from(http == 502);
        assert_eq!(bench.puts(case), puts, "{http} {body}");
        assert!(shows_request_id(&run), "{http} {body}\n{}", run.all());
        assert!(!run.all().contains('<'), "{}", run.all());
        assert!(run.all().lines().all(|line| line.len() < 400));
    }
}

fn pairs<'a>(
    shapes: &'a [&'a str],
    statuses: &'a [u16],
) -> impl Iterator<Item = (&'a str, u16)> + 'a {
    shapes
        .iter()
        .flat_map(move |shape| statuses.iter().map(move |http| (*shape, *http)))
}

fn whole(http: u16, body: &str) -> FaultKind {
    FaultKind::Status(CannedAnswer {
        http,
        body: Some(body.to_owned()),
        ..CannedAnswer::default()
    })
}
