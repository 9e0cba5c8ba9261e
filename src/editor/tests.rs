use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn env(vars: &[(&str, &str)]) -> ChildEnv {
    ChildEnv::of(vars.iter().map(|(name, value)| (name.into(), value.into())))
}

/// A folder with programs of these names.
fn programs(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn words(editor: &Editor) -> Vec<String> {
    let words = editor.words.iter();
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_setting_is_split_as_a_shell_would_and_may_be_a_path_with_blanks() {
    let folder = programs(&["stub", "with blanks/my editor"]);
    let path = folder.path().to_str().unwrap();
    let find = |value: &str| Editor::find(&env(&[("PATH", path), ("EDITOR", value)]));
    let editor = find("stub --wait 'a b' \"c d\" e\\ f $HOME `x` *").unwrap();
    assert_eq!(
        words(&editor),
        ["--wait", "a b", "c d", "e f", "$HOME", "`x`", "*"]
    );
    let blanks = format!("{path}/with blanks/my editor");
    assert_eq!(find(&blanks).unwrap().program, Path::new(&blanks));
    let editor = find(&format!("'{blanks}' -w")).unwrap();
    assert_eq!(
        (editor.program.as_path(), words(&editor)),
        (Path::new(&blanks), vec!["-w".to_owned()])
    );
    let error = find("stub 'a").unwrap_err();
    assert_eq!(error.to_string(), "EDITOR has a quote that is not closed");
    for missing in ["missing", "missing -w", "/missing/editor", "''"] {
        let error = find(missing).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("cannot find the editor '"),
            "{missing}: {error}"
        );
    }
}

#[test]
fn empty_settings_are_not_set_and_the_usual_editors_come_last() {
    let folder = programs(&["stub", "nano"]);
    let path = folder.path().to_str().unwrap();
    let name = |vars: &[(&str, &str)]| {
        let vars = [vars, &[("PATH", path)]].concat();
        Editor::find(&env(&vars)).unwrap().name()
    };
    assert_eq!(name(&[("VISUAL", "stub"), ("EDITOR", "missing")]), "stub");
    assert_eq!(name(&[("VISUAL", ""), ("EDITOR", "stub")]), "stub");
    assert_eq!(name(&[("VISUAL", " "), ("EDITOR", "")]), "nano");
    let other = programs(&["vi", "nano"]);
    let path = other.path().to_str().unwrap();
    assert_eq!(Editor::find(&env(&[("PATH", path)])).unwrap().name(), "vi");
    let none = Editor::find(&env(&[("PATH", "/missing")]));
    let error = none.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot find an editor: VISUAL and EDITOR"),
        "{error}"
    );
}

#[test]
fn editors_are_known_by_their_names() {
    for (name, kind) in [
        ("vim", Some(EditorKind::Vim)),
        ("vim.tiny", Some(EditorKind::Vim)),
        ("vim.basic", Some(EditorKind::Vim)),
        ("nvim", Some(EditorKind::Vim)),
        ("gvim", Some(EditorKind::Gvim)),
        ("nano", Some(EditorKind::Nano)),
        ("emacs-nox", Some(EditorKind::Emacs)),
        ("emacsclient", None),
        ("vi", None),
        ("vimdiff", None),
        ("nanoc", None),
        ("code", None),
    ] {
        assert_eq!(kind_of_name(name), kind, "{name}");
    }
}

#[test]
fn what_an_editor_is_told_stands_before_the_end_of_options() {
    let folder = programs(&["vim", "nano"]);
    let path = folder.path().to_str().unwrap();
    let arguments = |value: &str| {
        let editor = Editor::find(&env(&[("PATH", path), ("EDITOR", value)])).unwrap();
        let arguments = editor.arguments(None);
        arguments
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(arguments("nano -w"), ["-w", "--restricted"]);
    assert_eq!(arguments("nano -w --"), ["-w", "--restricted", "--"]);
    let vim = arguments("vim -u x");
    assert_eq!(vim[..5], ["-u", "x", "-n", "-i", "NONE"]);
    // Vim takes ten commands, those of the user among them.
    assert!(vim.iter().filter(|word| *word == "-c").count() <= 5);
}
