use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::record::Outcome;
use crate::registry::testing::{Temp, at, key, record, soon};
use crate::registry::{Declaration, Registry, RunFilter};

fn remember(registry: &mut Registry, seconds: u64) -> Result<u64, RegistryError> {
    let run = record("backup", seconds, Outcome::Success);
    registry
        .remember(&run, &Declaration::default(), at(seconds))
        .map(|remembered| remembered.group.state.counts.total())
}

fn history(registry: &mut Registry) -> usize {
    registry.runs(&RunFilter { limit: 1000, ..RunFilter::default() }).unwrap().len()
}

/// The names of files in the state directory, the times in them replaced.
fn files(temp: &Temp) -> Vec<String> {
    let names = fs::read_dir(temp.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .map(|name| match name.split_once(".corrupt-") {
            Some((stem, rest)) => format!("{stem}.corrupt-TIME{}", &rest["20260101T000000Z".len()..]),
            None => name,
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_files_are_for_their_owner_alone() {
    let temp = Temp::new();
    remember(&mut temp.registry(), 0).unwrap();
    for name in files(&temp) {
        let mode = fs::metadata(temp.dir.path().join(&name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn the_settings_are_those_that_durability_rests_on() {
    let temp = Temp::new();
    let registry = temp.registry();
    let get = |pragma: &str| -> rusqlite::types::Value {
        let connection = registry.store.connection();
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(get("journal_mode"), "wal".to_owned().into());
    assert_eq!(get("synchronous"), 2.into());
    assert_eq!(get("user_version"), schema::VERSION.into());
}

#[test]
fn the_log_stays_short_however_many_come_one_by_one() {
    let temp = Temp::new();
    let mut emptied = 0;
    for number in 0..100 {
        remember(&mut temp.registry(), number).unwrap();
        let length = fs::metadata(with_suffix(&temp.dir.database(), "-wal")).unwrap().len();
        emptied += usize::from(length == 0);
        assert!(length <= LONGEST_LOG, "{length} after {number} runs");
    }
    assert!((1..20).contains(&emptied), "{emptied} times in 100 runs");
    assert_eq!(history(&mut temp.registry()), 100);
}

#[test]
fn a_check_names_what_is_wrong_inside_a_readable_file() {
    let temp = Temp::new();
    remember(&mut temp.registry(), 0).unwrap();
    assert_eq!(temp.registry().damage(), Ok(vec![]));

    // A value that its column forbids, as a stray write would leave it: forbid it only afterwards.
    let change = |statements: &str| Connection::open(temp.dir.database()).unwrap().execute_batch(statements).unwrap();
    let redefine = |from: &str, to: &str| {
        change(&format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}') WHERE name = 'outputs'"
        ));
    };
    redefine("tail BLOB NOT NULL", "tail BLOB");
    change("INSERT INTO outputs (run, group_id, tail) VALUES (7, 1, NULL)");
    redefine("tail BLOB", "tail BLOB NOT NULL");
    assert_eq!(temp.registry().damage(), Ok(vec!["NULL value in outputs.tail".to_owned()]));
}

/// Every way in which a file can be no registry, made out of one that holds a run.
#[test]
fn a_damaged_file_is_set_aside_whole_and_a_new_one_begun() {
    let cut = |length: usize| move |bytes: &mut Vec<u8>| bytes.truncate(length);
    let check = |name: &str, damage: &dyn Fn(&mut Vec<u8>)| {
        let temp = Temp::new();
        remember(&mut temp.registry(), 0).unwrap();
        // Without its log, so that the damage is not repaired from there.
        let path = temp.dir.database();
        Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();

        let (mut registry, mut warnings) = Registry::open(&temp.dir, soon()).unwrap();
        assert_eq!(remember(&mut registry, 100), Ok(1), "{name}");
        warnings.extend(registry.take_warnings());
        assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
        assert!(warnings[0].to_string().contains("set aside as"), "{name}: {warnings:?}");
        let aside: Vec<_> = fs::read_dir(temp.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().contains("registry.db.corrupt-"))
            .filter(|path| !path.to_str().unwrap().ends_with("-wal") && !path.to_str().unwrap().ends_with("-shm"))
            .collect();
        assert_eq!(aside.len(), 1, "{name}: {aside:?}");
        assert_eq!(fs::read(&aside[0]).unwrap(), bytes, "{name}: nothing is lost");
        assert_eq!(history(&mut temp.registry()), 1, "{name}");
    };
    check("noise", &|bytes| bytes.fill(0xa5));
    check("zeros", &|bytes| bytes.fill(0));
    check("a line of text", &|bytes| *bytes = b"# this is a log file, not a database\n".to_vec());
    check("cut in the header", &cut(40));
    check("cut after the header", &cut(100));
    check("cut after the first page", &cut(4096));
    check("the first page damaged behind the header", &|bytes| bytes[100..4096].fill(0xff));
    check("all pages but the first damaged", &|bytes| bytes[4096..].fill(0x5a));
}

#[test]
fn an_empty_file_becomes_a_registry() {
    let temp = Temp::new();
    fs::write(temp.dir.database(), "").unwrap();
    assert_eq!(remember(&mut temp.registry(), 0), Ok(1));
    assert!(!files(&temp).iter().any(|name| name.contains("corrupt")));
}

#[test]
fn the_database_of_something_else_is_set_aside() {
    let temp = Temp::new();
    Connection::open(temp.dir.database()).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let (mut registry, warnings) = Registry::open(&temp.dir, soon()).unwrap();
    assert!(warnings[0].to_string().contains("a database of something else"), "{warnings:?}");
    assert_eq!(remember(&mut registry, 0), Ok(1));
    assert!(files(&temp).contains(&"registry.db.corrupt-TIME".to_owned()));
}

#[test]
fn the_log_goes_with_the_database_it_belongs_to() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    remember(&mut registry, 0).unwrap();
    // A log that holds every page would be all that is needed; this one holds only those of the second run.
    registry.store.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    remember(&mut registry, 1).unwrap();
    drop(registry);
    fs::write(temp.dir.database(), [0xa5; 8192]).unwrap();
    let (mut registry, _) = Registry::open(&temp.dir, soon()).unwrap();
    assert_eq!(history(&mut registry), 0);
    let names = files(&temp);
    for suffix in ["", "-wal", "-shm"] {
        assert!(names.contains(&format!("registry.db.corrupt-TIME{suffix}")), "{names:?}");
    }
}

#[test]
fn damage_that_shows_later_does_not_stop_a_run() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    remember(&mut registry, 0).unwrap();
    let connection = registry.store.connection();
    connection
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'runs';
             PRAGMA writable_schema = OFF;",
        )
        .unwrap();
    drop(registry);
    let (mut registry, warnings) = Registry::open(&temp.dir, soon()).unwrap();
    let mut all = warnings;
    assert_eq!(remember(&mut registry, 1), Ok(1));
    all.extend(registry.take_warnings());
    assert_eq!(all.len(), 1, "{all:?}");
}

#[test]
fn many_that_find_the_same_damage_begin_one_new_file() {
    let temp = Temp::new();
    fs::write(temp.dir.database(), vec![0xa5; 8192]).unwrap();
    let warnings: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..40)
            .map(|number| {
                let dir = &temp.dir;
                scope.spawn(move || {
                    let (mut registry, warnings) = Registry::open(dir, soon()).unwrap();
                    remember(&mut registry, number).unwrap();
                    warnings.len() + registry.take_warnings().len()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(warnings, 1);
    assert_eq!(history(&mut temp.registry()), 40);
    let group = temp.registry().group(&key("backup")).unwrap().unwrap().group;
    assert_eq!(group.state.counts.total(), 40);
}

#[test]
fn a_file_that_is_taken_away_does_not_take_runs_with_it() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    remember(&mut registry, 0).unwrap();
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        fs::rename(temp.dir.path().join(name), temp.dir.path().join(format!("away-{name}"))).unwrap();
    }
    assert_eq!(remember(&mut registry, 1), Ok(1), "it went to the new file");
    assert_eq!(history(&mut temp.registry()), 1);
}

#[test]
fn a_newer_file_is_left_alone() {
    let temp = Temp::new();
    drop(temp.registry());
    let newer = schema::VERSION + 1;
    Connection::open(temp.dir.database()).unwrap().execute_batch(&format!("PRAGMA user_version = {newer}")).unwrap();
    let before = fs::read(temp.dir.database()).unwrap();
    let error = Registry::open(&temp.dir, soon()).unwrap_err();
    let path = temp.dir.database();
    assert_eq!(error, RegistryError::Newer { path: path.clone(), found: newer, known: newer - 1 });
    assert_eq!(fs::read(path).unwrap(), before);
}

#[test]
fn another_process_is_waited_for_until_the_deadline() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let other = temp.registry();
    other.store.connection().execute_batch("BEGIN IMMEDIATE").unwrap();
    registry.set_deadline(Instant::now());
    assert_eq!(remember(&mut registry, 0), Err(RegistryError::Busy(temp.dir.database())));
    registry.set_deadline(soon());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| remember(&mut registry, 0));
        // Whether or not it waits already, it can only succeed after this.
        other.store.connection().execute_batch("COMMIT").unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(1));
    });
}

#[test]
fn a_lock_held_by_another_process_is_busy_not_broken() {
    let temp = Temp::new();
    let _lock = temp.dir.lock_database_file(soon()).unwrap();
    assert_eq!(Registry::open(&temp.dir, Instant::now()).unwrap_err(), RegistryError::Busy(temp.dir.database()));
}

#[test]
fn a_full_disk_changes_nothing_and_says_so() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    remember(&mut registry, 0).unwrap();
    let connection = registry.store.connection();
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    let mut run = record("backup", 1, Outcome::Failure);
    run.output_tail = Some(vec![b'x'; 1 << 20]);
    let full = registry.remember(&run, &Declaration::default(), at(1)).unwrap_err();
    assert_eq!(full, RegistryError::Full(temp.dir.database()));
    drop(registry);
    let mut registry = temp.registry();
    assert_eq!(history(&mut registry), 1);
    let remembered = registry.remember(&run, &Declaration::default(), at(1)).unwrap();
    assert_eq!(remembered.group.state.counts.total(), 2, "and works again when there is space");
}

#[test]
fn a_directory_in_the_place_of_the_file_is_an_error() {
    let temp = Temp::new();
    fs::create_dir(temp.dir.database()).unwrap();
    let error = Registry::open(&temp.dir, soon()).unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable(_)), "{error:?}");
    assert!(temp.dir.database().is_dir());
}

#[test]
fn a_second_damage_in_one_second_gets_a_name_of_its_own() {
    let temp = Temp::new();
    let path = temp.dir.database();
    let now = at(0);
    let first = free_name(&path, now);
    assert!(first.to_str().unwrap().ends_with("registry.db.corrupt-20260921T141320Z"), "{first:?}");
    fs::write(&first, "").unwrap();
    assert!(free_name(&path, now).to_str().unwrap().ends_with("Z-1"));
    assert!(free_name(&path, SystemTime::UNIX_EPOCH - Duration::from_secs(5)).to_str().unwrap().contains("19700101"));
}
