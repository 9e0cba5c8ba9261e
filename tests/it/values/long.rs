//! Large texts of odd shapes. Each is so long that time in the square of its length would
//! be hours, and ends in seconds.

use drspass::authoring::{Change, ManifestText, Taken};
use drspass::core::fingerprint::Field;
use drspass::core::manifest::{Sealing, parse};
use drspass::core::secret::Secret;

/// How many parts of a text there are.
const PARTS: usize = 30_000;

fn parts(part: impl Fn(usize) -> String) -> String {
    (0..PARTS).map(part).collect()
}

#[test]
fn a_long_text_of_any_shape_is_read_in_one_pass() {
    let many = |text: &str| text.repeat(PARTS * 5);
    for jobs in [
        format!("{{{}}}", parts(|n| format!("\ta{n}:\t{{}},"))),
        format!("{{{}}}", parts(|n| format!(" a{n}: {{ name:\tn{n} }},"))),
        format!(
            "{{{}}}",
            parts(|n| format!("a{n}: {{ source: {{ credential: c{n} }} }},"))
        ),
        format!(
            "{{{}}}",
            parts(|n| format!("A{n}:\t{{ source:\t{{ password:\t1 }} }},"))
        ),
        format!("\n{}", parts(|n| format!("  ? a{n}\n  : {{}}\n"))),
        format!("\n{}", parts(|n| format!("  a{n}: |\n    b\n"))),
        format!("[{}]", parts(|n| format!("&a{n}\tb,"))),
        format!("[{}]", many("a:\tb,")),
        format!("{{{}}}", many("\t")),
        format!("{{{}", many("a\n ")),
        format!("\"{}\"", many("\\t\n ")),
        format!("|\n{}", many("    \n")),
        many("a: "),
    ] {
        let checked = parse(&format!("version: 1\njobs: {jobs}\n"), Sealing::Optional);
        assert!(checked.problems.len() <= 2002);
    }
}

#[test]
fn many_values_of_a_manifest_on_one_line_are_set_in_one_pass() {
    let id = |n: usize| format!("{n:08x}-a37c-41b9-bc2b-8c00ba32jb52");
    let empty = parts(|n| format!("\t{}: {{}},", id(n)));
    let filled = parts(|n| format!("{}: {{ source: {{ password: 'canary' }} }},", id(n)));
    let credentials = parts(|n| format!("c{n}: {{ password: 'canary' }},"));
    for (jobs, credentials, address) in [
        (&*empty, "", "/source"),
        (&filled, "", "/destination"),
        ("", &*credentials, ""),
    ] {
        let text = format!("version: 1\ncredentials: {{{credentials}}}\njobs: {{{jobs}}}\n");
        let document = ManifestText::new(&text).unwrap();
        let changes: Vec<Change> = (0..PARTS)
            .map(|n| {
                let address = match address {
                    "" => format!("@c{n}"),
                    endpoint => format!("{}{endpoint}", id(n)),
                };
                let place = document.find(&address, Field::Password, Taken::New);
                let change = Change {
                    place: place.unwrap(),
                    value: Secret::new("canary-new".to_owned()),
                };
                document.effect(&change);
                change
            })
            .collect();
        let made = document.rewrite(&changes).unwrap();
        assert_eq!(made.matches("canary-new").count(), PARTS);
    }
}
