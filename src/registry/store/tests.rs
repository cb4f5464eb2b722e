use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::record::{AttemptRecord, Outcome};
use crate::registry::testing::{Temp, at, key, record, soon, start};
use crate::registry::{Declaration, Registry, Retention, RunFilter};

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
    assert_eq!(get("user_version"), schema::current_version().into());
}

/// How many frames the log has, as SQLite counts them for whoever opens the database alone.
fn frames(temp: &Temp) -> i64 {
    let connection = Connection::open(temp.dir.database()).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap()
}

#[test]
fn the_log_stays_short_however_many_come_one_by_one() {
    let temp = Temp::new();
    let log = with_suffix(&temp.dir.database(), "-wal");
    let (mut emptied, mut laid_out) = (0, 0);
    for number in 0..100 {
        remember(&mut temp.registry(), number).unwrap();
        let frames = frames(&temp);
        emptied += usize::from(frames == 0);
        assert!(frames <= (LONGEST_LOG / FRAME) as i64, "{frames} after {number} runs");
        // From the first time that it is emptied it does not grow any more.
        let length = fs::metadata(&log).unwrap().len();
        assert!(laid_out == 0 || length == laid_out, "{length} after {laid_out}");
        laid_out = if emptied > 0 { ROOM_IN_LOG as u64 } else { 0 };
    }
    assert!((1..20).contains(&emptied), "{emptied} times in 100 runs");
    assert_eq!(history(&mut temp.registry()), 100);
}

#[test]
fn nothing_is_laid_out_over_the_frames_of_others() {
    let temp = Temp::new();
    let registry = temp.registry();
    let mut other = temp.registry();
    registry.store.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    remember(&mut other, 0).unwrap();
    registry.store.lay_out_log().unwrap();
    drop((registry, other));
    assert_eq!(history(&mut temp.registry()), 1);
}

#[test]
fn nothing_is_laid_out_for_a_database_that_took_the_place_of_ours() {
    let temp = Temp::new();
    let registry = temp.registry();
    for suffix in ["-wal", "-shm", ""] {
        fs::remove_file(with_suffix(&temp.dir.database(), suffix)).unwrap();
    }
    let other = temp.registry();
    other.store.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    registry.store.lay_out_log().unwrap();
    assert_eq!(fs::metadata(with_suffix(&temp.dir.database(), "-wal")).unwrap().len(), 0);
    other.store.lay_out_log().unwrap();
    assert_eq!(fs::metadata(with_suffix(&temp.dir.database(), "-wal")).unwrap().len(), ROOM_IN_LOG as u64);
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
fn the_log_is_emptied_before_the_end_of_a_run_has_to() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let mut run = 0;
    while !registry.store.log_reaches(LONGEST_LOG / 2) {
        let before = frames(&temp);
        registry.empty_log_early();
        assert_eq!(frames(&temp), before, "a short log is left alone");
        remember(&mut registry, run).unwrap();
        run += 1;
    }
    registry.empty_log_early();
    assert_eq!(frames(&temp), 0);
    assert_eq!(history(&mut temp.registry()), usize::try_from(run).unwrap());
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
    let newer = schema::current_version() + 1;
    Connection::open(temp.dir.database()).unwrap().execute_batch(&format!("PRAGMA user_version = {newer}")).unwrap();
    let before = fs::read(temp.dir.database()).unwrap();
    let error = Registry::open(&temp.dir, soon()).unwrap_err();
    let path = temp.dir.database();
    assert_eq!(error, RegistryError::Newer { path: path.clone(), found: newer, known: newer - 1 });
    assert_eq!(fs::read(path).unwrap(), before);
}

/// The groups as versions 1 to 3 had them.
const GROUPS_AS_COLUMNS: &str = "CREATE TEMP VIEW groups_as_columns AS SELECT id, key, state ->> 'labels' AS labels, seq, \
    state ->> 'command' AS command, state ->> '$.counts[0]' AS success, state ->> '$.counts[1]' AS failure, \
    state ->> '$.counts[2]' AS timeout, state ->> '$.counts[3]' AS lost, state ->> '$.counts[4]' AS skipped, \
    state ->> 'duration_total' AS duration_total, state ->> 'last_start' AS last_start, \
    state ->> 'last_success' AS last_success, state ->> 'last_failure' AS last_failure, \
    state ->> 'consecutive_failures' AS consecutive_failures, state ->> 'past_known' AS past_known, \
    state ->> 'expected' AS expected, state ->> 'registered' AS registered, state ->> 'route' AS route, retired, \
    state ->> '$.last_run.started' AS run_started, state ->> '$.last_run.ended' AS run_ended, \
    state ->> '$.last_run.duration' AS run_duration, state ->> '$.last_run.outcome' AS run_outcome, \
    state ->> '$.last_run.exit_code' AS run_exit_code, state ->> '$.last_run.signal' AS run_signal, \
    state ->> '$.last_run.cpu_user' AS run_cpu_user, state ->> '$.last_run.cpu_system' AS run_cpu_system, \
    state ->> '$.last_run.max_resident' AS run_max_resident, state ->> 'metrics_pushed' AS metrics_pushed, \
    state ->> 'metrics_of_run' AS metrics_of_run FROM now.groups";

/// Replaces the database by one of an older version that holds the same rows, as far as its tables have columns for them.
fn turn_back(temp: &Temp, version: usize) {
    let (path, old) = (temp.dir.database(), temp.dir.path().join("old.db"));
    let connection = Connection::open(&old).unwrap();
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    schema::migrate(&connection, &schema::MIGRATIONS[..version]).unwrap();
    connection.execute("ATTACH ?1 AS now", [path.to_str().unwrap()]).unwrap();
    let list = |query: &str| -> Vec<String> {
        let mut statement = connection.prepare(query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    connection.execute_batch(GROUPS_AS_COLUMNS).unwrap();
    for table in list("SELECT name FROM sqlite_schema WHERE type = 'table'") {
        let source = if table == "groups" { "groups_as_columns" } else { &format!("now.{table}") };
        let columns = list(&format!("SELECT name FROM pragma_table_info('{table}')")).join(", ");
        let copy = format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {source}");
        let rows = connection.execute(&copy, []).unwrap();
        assert!(rows > 0, "a table without rows proves nothing: {table}");
    }
    drop(connection);
    // Whoever closes a database last takes its log away, unless told otherwise.
    assert_eq!(fs::metadata(with_suffix(&path, "-wal")).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::rename(old, path).unwrap();
}

#[test]
fn a_file_of_each_older_version_is_migrated_with_all_it_holds() {
    for version in 1..schema::MIGRATIONS.len() {
        let temp = Temp::new();
        let mut registry = temp.registry();
        let declaration = start("backup", 0).declaration;
        let mut failed = record("backup", 0, Outcome::Failure);
        failed.output_tail = Some(b"tail".to_vec());
        let attempt = AttemptRecord { started_at: at(0), duration: Duration::from_secs(1), exit_code: 1 };
        failed.attempts = vec![attempt.clone(), attempt];
        registry.remember(&failed, &declaration, at(10)).unwrap();
        registry.remember(&record("backup", 20, Outcome::Success), &declaration, at(30)).unwrap();
        registry.remember(&record("other", 40, Outcome::Timeout), &declaration, at(50)).unwrap();
        registry.gateway_seen("http://127.0.0.1:9091", "2026-09-21T14:13:20Z", at(50)).unwrap();
        registry.retain(&Retention::default(), at(50), soon()).unwrap();
        let everything = |registry: &mut Registry| {
            let runs = registry.runs(&RunFilter { limit: 1000, ..RunFilter::default() }).unwrap();
            let outputs: Vec<_> = runs.iter().map(|run| registry.output(&run.record.run_id).unwrap()).collect();
            (registry.groups().unwrap(), runs, outputs, registry.gateways().unwrap())
        };
        let before = everything(&mut registry);
        drop(registry);
        turn_back(&temp, version);

        // Whoever comes first migrates it, and the others find it migrated.
        thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| everything(&mut temp.registry()))).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), before, "version {version}");
            }
        });
        assert_eq!(remember(&mut temp.registry(), 60), Ok(3), "version {version}");
        assert!(!files(&temp).iter().any(|name| name.contains("corrupt")), "version {version}");
    }
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
