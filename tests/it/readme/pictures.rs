//! The pictures of the README and of `docs/`: what the program prints on a terminal, ports,
//! ids and dates aside. After a change of its output, this draws them anew:
//! `DRSPASS_PICTURES=draw tests/run --test it readme::pictures`

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use drspass::sim::{EndPointType, Fault, FaultKind, MessageKey, Rejection};

use super::{readme, root};
use crate::support::around::through;
use crate::support::terminal::Terminal;
use crate::support::{J1, J2, J3, Lab, picture};

/// The environment directory of the pictures: short enough for a title in one line.
const ENVIRONMENT: &str = "prod";

fn folder() -> PathBuf {
    root().join("docs/pictures")
}

/// Three jobs, of which two use one account. All was applied; then the password of the
/// account was changed, and an endpoint was added.
fn rotated() -> Lab {
    let lab = Lab::new();
    lab.manifest(&format!(
        "  {J1}:\n    name: orders-cdc\n    source: {{ credential: orders-db }}\n    \
         destination: {{ password: 'made-up Orders #2' }}\n  {J2}:\n    name: shop-cdc\n    \
         source: {{ credential: orders-db }}\n  {J3}:\n    name: billing\n    \
         destination: {{ password: 'made-up Billing #3' }}\n\
         credentials: {{ orders-db: {{ password: 'made-up Orders #1' }} }}\n"
    ))
    .exits(0);
    lab.apply(&[]).exits(0);
    lab.run(&["set", "@orders-db", "--generate"]).exits(0);
    lab.run(&["set", "billing/source", "--add", "--generate"])
        .exits(0);
    fs::create_dir(lab.path(ENVIRONMENT)).unwrap();
    for name in [
        "drspass.yaml",
        "passwords.index.yaml",
        "passwords.yaml.age",
        "drspass.state.json",
    ] {
        fs::rename(lab.path(name), lab.path(ENVIRONMENT).join(name)).unwrap();
    }
    lab
}

/// A command typed on a terminal of eighty columns, and what is shown below it. The question
/// is answered with yes.
fn shown(lab: &Lab, args: &[&str], code: i32) -> String {
    let mut command = lab.command(args);
    command
        .current_dir(lab.path(ENVIRONMENT))
        .env("DRSPASS_IDENTITY", "../key.txt")
        .env("TERM", "xterm-256color");
    let script = format!(
        "stty echo rows 40 cols {}; exec \"$0\" \"$@\"",
        picture::COLUMNS
    );
    let command = through("/bin/sh", &["-c", &script], &command);
    let mut terminal = Terminal::start(command);
    if args == ["apply"] {
        terminal.sees("to continue: ");
        terminal.types("yes\n");
    }
    let text = lab.ended(terminal).exits(code).stdout;
    let url = lab.sim.url();
    let text = text.replace(&url["http://".len()..], "127.0.0.1:18080");
    let request = format!("request {}", "x".repeat(32));
    let text = with_fixed(&text, &request, "request 3d234e89d6ca6ec65bd42d52adf3f05f");
    let text = with_fixed(&text, "last set xxxx-xx-xx", "last set 2026-11-25");
    format!("\u{1b}[1m$ drspass {}\u{1b}[0m\r\n{text}", args.join(" "))
}

/// A text with each place of this shape, in which `x` is a hexadecimal digit, replaced.
fn with_fixed(text: &str, shape: &str, fixed: &str) -> String {
    let (start, _) = shape.split_once('x').unwrap();
    let mut parts = text.split(start);
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = shape.len() - start.len();
        let fits = part.get(..digits).is_some_and(|part| {
            let mut both = part.bytes().zip(shape[start.len()..].bytes());
            both.all(|(is, shape)| is == shape || shape == b'x' && is.is_ascii_hexdigit())
        });
        match fits {
            true => whole = whole + fixed + &part[digits..],
            false => whole = whole + start + part,
        }
    }
    whole
}

fn is_to_be_drawn() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "the environment asks for new pictures"
    )]
    let asked = std::env::var("DRSPASS_PICTURES");
    asked.is_ok_and(|asked| asked == "draw")
}

#[test]
fn the_pictures_show_what_the_program_prints() {
    let lab = rotated();
    let plan = shown(&lab, &["plan"], 0);
    let rejection = Rejection {
        job: J2.to_owned(),
        endpoint: EndPointType::Source,
        code: "DRS.M00304".to_owned(),
        message: "The task status does not allow this operation.".to_owned(),
        message_key: MessageKey::default(),
    };
    lab.sim
        .inject(Fault::next(FaultKind::RejectEntry(rejection)));
    let apply = shown(&lab, &["apply"], 3);
    let rerun = shown(&lab, &["apply"], 0);
    assert!(plan.contains("2 to change") && rerun.contains("1 applied, 0 refused"));
    assert!(apply.contains("2 applied, 1 refused"), "{apply}");

    let pictures = [("plan", plan), ("apply", apply), ("rerun", rerun)];
    let mut names = BTreeSet::new();
    for (name, written) in pictures {
        let name = format!("{name}.svg");
        let drawn = picture::of_terminal(&written);
        let path = folder().join(&name);
        if is_to_be_drawn() {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, &drawn).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == drawn,
            "docs/pictures/{name} is not what the program prints. Look at it, then draw it \
             anew: DRSPASS_PICTURES=draw tests/run --test it readme::pictures\n{written}"
        );
        names.insert(name);
    }
    let files = fs::read_dir(folder()).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), names);
}

#[test]
fn the_readme_shows_every_picture_and_says_what_is_on_it() {
    let readme = readme();
    for file in fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let (before, _) = readme
            .split_once(&format!("](docs/pictures/{name})"))
            .expect(&name);
        let alt = before.rsplit_once("![").unwrap().1;
        assert!(alt.len() > 60 && !alt.contains(']'), "{name}: {alt}");
        let picture = fs::read_to_string(folder().join(&name)).unwrap();
        for foreign in [
            "<script",
            "<image",
            "<foreignObject",
            "href",
            "@import",
            "url(",
        ] {
            assert!(!picture.contains(foreign), "{name}: {foreign}");
        }
        assert_eq!(picture.matches("http").count(), 1, "its own kind alone");
    }
}
