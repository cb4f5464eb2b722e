use super::*;

#[test]
fn a_file_is_replaced_with_its_rights_and_a_new_time() {
    // Beside this program: a directory for temporary files may be memory, without attributes of users.
    let program = std::env::current_exe().unwrap();
    let directory = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let path = directory.path().join("jobs");
    fs::write(&path, "old\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let file = File::open(&path).unwrap();
    rustix::fs::fsetxattr(&file, "user.note", b"kept", rustix::fs::XattrFlags::empty()).unwrap();
    let before = fs::metadata(&path).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("jobs", &link).unwrap();

    replace(&Origin::File(link.clone()), b"old\n", b"new\n").unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new\n");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert!(after.mtime() > before.mtime(), "a daemon compares whole seconds");
    let mut value = [0; 9];
    let length = rustix::fs::getxattr(&path, "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"kept");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside it");
}

#[test]
fn a_plan_that_grew_old_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs");
    fs::write(&path, "edited\n").unwrap();
    let error = replace(&Origin::File(path.clone()), b"old\n", b"new\n").unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        format!("{}: was changed since the plan was made; nothing was changed", path.display())
    );
    assert_eq!(fs::read(&path).unwrap(), b"edited\n");
}

#[test]
fn what_is_no_plain_file_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [&pipe, directory.path()] {
        let error = read(&Origin::File(path.into())).unwrap_err();
        assert_eq!(format!("{error:#}"), format!("{}: not a plain file", path.display()));
    }
}

#[test]
fn a_leftover_of_a_killed_jobmon_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs");
    fs::write(&path, "old\n").unwrap();
    fs::write(directory.path().join(".jobs.jobmon"), "half").unwrap();
    replace(&Origin::File(path.clone()), b"old\n", b"new\n").unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn two_at_once_are_one_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let lock = EditLock::take(directory.path()).unwrap();
    let expected = "another jobmon is changing crontabs: try again when it is done";
    assert_eq!(EditLock::take(directory.path()).unwrap_err().to_string(), expected);
    drop(lock);
    EditLock::take(directory.path()).unwrap();
}

#[test]
fn backups_are_kept_for_a_while_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let backups = Backups::new(directory.path());
    assert!(backups.all().is_empty());
    let (file, user) = (Origin::File("/etc/cron.d/jobs".into()), Origin::User("alice".to_owned()));
    backups.save(&user, b"hers", "wrap").unwrap();
    for number in 0..25 {
        backups.save(&file, format!("{number}").as_bytes(), "wrap").unwrap();
    }
    let all = backups.all();
    assert_eq!((all.len(), &all[0].origin, all[0].text().unwrap().as_slice()), (21, &file, b"24".as_slice()));
    assert_eq!(all[20].origin, user);
    fs::create_dir(directory.path().join("backups/cron/junk")).unwrap();
    assert_eq!(backups.all().len(), 21);
}
