use super::*;

fn places() -> (tempfile::TempDir, Places) {
    let folder = tempfile::tempdir().unwrap();
    let places = Places {
        runtime: None,
        temporary: folder.path().to_owned(),
    };
    (folder, places)
}

fn in_temporary(places: &Places) -> Private {
    Private::create_in(
        &places.temporary,
        Medium::OnDisk,
        "text.yaml",
        b"canary-text",
    )
    .unwrap()
}

#[test]
fn nobody_else_can_look_into_the_folder_and_it_goes_whole() {
    let (_guard, places) = places();
    let mut private = in_temporary(&places);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&private.folder), 0o700);
    assert_eq!(mode(&private.text), 0o600);
    let folder = private.folder.to_owned();
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::write(folder.join("a/b/text~"), "canary-text").unwrap();
    let outside = places.temporary.join("outside");
    fs::write(&outside, "stays").unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("link")).unwrap();
    std::os::unix::fs::symlink(&places.temporary, folder.join("a/link")).unwrap();
    fs::hard_link(&outside, folder.join("hard")).unwrap();
    private.remove().unwrap();
    assert!(!folder.exists());
    assert_eq!(fs::read(&outside).unwrap(), b"stays");
}

/// The name of a private directory, with so much of its random part.
fn named(part: &str) -> String {
    format!("{PREFIX}{part:x<0$}", files::RANDOM_PART)
}

#[test]
fn a_leftover_is_swept_and_a_living_folder_is_not() {
    let (_guard, places) = places();
    let living = in_temporary(&places);
    let mut left = in_temporary(&places);
    left.is_there = false;
    let path = left.folder.to_owned();
    drop(left);
    let empty = places.temporary.join(named("empty"));
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o700)).unwrap();
    let mut swept: Vec<PathBuf> = sweep_folder(&places.temporary)
        .into_iter()
        .map(|(path, removed)| {
            removed.unwrap();
            path
        })
        .collect();
    swept.sort();
    let mut expected = [path, empty];
    expected.sort();
    assert_eq!(swept, expected);
    assert!(living.text.exists());
    assert!(sweep_folder(&places.temporary).is_empty());
}

#[test]
fn what_is_not_surely_ours_is_not_swept() {
    let (_guard, places) = places();
    let precious = places.temporary.join("precious");
    let make = |name: &str, mode: u32| {
        let path = places.temporary.join(named(name));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "stays").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    make("withoutlock", 0o700);
    let open = make("open", 0o755);
    fs::write(open.join(LOCK), LOCK_TEXT).unwrap();
    let other = make("other", 0o700);
    fs::write(other.join(LOCK), "another program\n").unwrap();
    let linked = make("linked", 0o700);
    fs::write(&precious, LOCK_TEXT).unwrap();
    std::os::unix::fs::symlink(&precious, linked.join(LOCK)).unwrap();
    let target = places.temporary.join("target");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(target.join(LOCK), LOCK_TEXT).unwrap();
    std::os::unix::fs::symlink(&target, places.temporary.join(named("link"))).unwrap();
    fs::write(places.temporary.join(named("file")), "stays").unwrap();
    let misleading = make("red\n\u{1b}[31m", 0o700);
    fs::write(misleading.join(LOCK), LOCK_TEXT).unwrap();
    assert!(sweep_folder(&places.temporary).is_empty());
    for name in ["withoutlock", "open", "other", "linked"] {
        let file = places.temporary.join(named(name)).join("file");
        assert_eq!(fs::read(file).unwrap(), b"stays", "{name}");
    }
    assert!(target.join(LOCK).exists());
    assert!(misleading.join(LOCK).exists());
}

#[test]
fn a_folder_goes_whatever_rights_an_editor_took() {
    let (_guard, places) = places();
    let mut private = in_temporary(&places);
    let inner = private.folder.join("a").join("b");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("copy"), "text").unwrap();
    for (folder, mode) in [
        (inner.as_path(), 0o000),
        (inner.parent().unwrap(), 0o500),
        (&private.folder, 0o500),
    ] {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }
    private.remove().unwrap();
    assert!(!private.folder.exists());
}

#[test]
fn a_folder_that_an_editor_removed_is_gone_and_one_that_it_moved_is_not() {
    let (_guard, places) = places();
    let mut private = in_temporary(&places);
    fs::remove_dir_all(&private.folder).unwrap();
    private.remove().unwrap();
    let mut private = in_temporary(&places);
    let moved = places.temporary.join("moved");
    fs::rename(&private.folder, &moved).unwrap();
    let error = private.remove().unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("cannot remove "), "{error}");
}

#[test]
fn holes_of_a_file_are_not_filled_and_its_bytes_are_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swap");
    fs::write(&path, "canary-start").unwrap();
    let other = folder.path().join("swap-as-it-is-removed");
    fs::hard_link(&path, &other).unwrap();
    overwrite(&path, 12).unwrap();
    assert_eq!(fs::read(&other).unwrap(), [0; 12]);
    // More than any disk has.
    let file = files::create_private(&folder.path().join("holes")).unwrap();
    file.set_len(1 << 42).unwrap();
    remove_entry(&folder.path().join("holes")).unwrap();
    assert!(file.metadata().unwrap().blocks() < 1000);
}

#[test]
fn a_folder_that_is_not_empty_after_all_is_still_known_as_a_leftover() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("drspass-edit-0123456789abcdef");
    fs::create_dir(&folder).expect("made");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("set");
    fs::write(folder.join(LOCK), LOCK_TEXT).expect("written");
    // An editor wrote it after everything else was removed.
    fs::write(folder.join("text"), "canary-late").expect("written");
    remove_empty(&folder).expect_err("it is not empty");
    assert!(folder.join(LOCK).exists());
    let found = sweep_folder(place.path());
    assert!(found.iter().all(|(_, removed)| removed.is_ok()));
    assert_eq!(found.len(), 1);
    assert!(!folder.exists());
}
