#![expect(clippy::disallowed_methods, reason = "a test starts itself in a process of its own, and waits for it")]

use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use super::*;
use crate::record::Outcome;
use crate::registry::testing::{Temp, key, record, start};

fn files(temp: &Temp) -> Vec<String> {
    let names = fs::read_dir(temp.dir.runs()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// A run of a process that is gone, whose id was made by nobody alive.
fn start_of_the_dead(name: &str, seconds: u64) -> RunStart {
    let id = new_run_id();
    let rest = id.as_str().split_once('-').unwrap().1;
    RunStart { run_id: RunId::new(format!("ffffffffffff-{rest}")), ..start(name, seconds) }
}

/// Long after every file of a test was written.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

#[test]
fn a_run_in_progress_is_counted_and_nothing_else() {
    let temp = Temp::new();
    assert_eq!(running_of(&temp.dir, &key("a"), later()).len(), 0, "before there is a journal");
    assert!(leftovers(&temp.dir, None, later()).runs.is_empty());

    let (one, two, other) = (start("a", 1), start("a", 2), start("b", 3));
    let entries: Vec<_> = [&one, &two, &other].map(|run| Entry::begin(&temp.dir, run).unwrap()).into();
    assert_eq!(running_of(&temp.dir, &key("a"), later()).len(), 2);
    assert_eq!(running(&temp.dir, later()), [one.clone(), two, other]);
    assert!(leftovers(&temp.dir, None, later()).runs.is_empty());

    entries[0].write_result(&record("a", 1, Outcome::Success)).unwrap();
    assert_eq!(running_of(&temp.dir, &key("a"), later()).len(), 1, "a run that has ended is not in progress");
    assert!(leftovers(&temp.dir, None, later()).runs.is_empty(), "its own jobmon is at it");
    for entry in entries {
        entry.discard().unwrap();
    }
    assert_eq!(files(&temp), Vec::<String>::new());
}

#[test]
fn the_file_is_for_its_owner_alone_and_four_kibibytes_are_allocated() {
    let temp = Temp::new();
    let entry = Entry::begin(&temp.dir, &start("a", 1)).unwrap();
    let metadata = entry.file.metadata().unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.len()), (0o600, 4096));
    entry.finish(&record("a", 1, Outcome::Failure)).unwrap();
    assert_eq!(entry.file.metadata().unwrap().len(), 4096, "the result fits into them");
}

#[test]
fn a_vanished_run_is_lost_at_the_moment_it_was_last_seen() {
    let temp = Temp::new();
    let run = start_of_the_dead("a", 100);
    let entry = Entry::begin(&temp.dir, &run).unwrap();
    entry.heartbeat(run.facts.started_at + Duration::from_secs(42)).unwrap();
    assert!(leftovers(&temp.dir, None, later()).runs.is_empty(), "the file is still held");
    drop(entry);

    let found = leftovers(&temp.dir, None, later()).runs;
    let [leftover] = &found[..] else { panic!("{found:?}") };
    let lost = leftover.record();
    assert_eq!((lost.facts.outcome, lost.facts.exit_code, &lost.run_id), (Outcome::Lost, 255, &run.run_id));
    assert_eq!(lost.facts.ended_at, run.facts.started_at + Duration::from_secs(42));
    assert_eq!(lost.facts.duration, Duration::from_secs(42));
    assert_eq!(leftover.declaration(), &run.declaration);
    assert_eq!(running_of(&temp.dir, &key("a"), later()).len(), 0);
    assert_eq!(files(&temp).len(), 1, "finding a run does not remove it");
}

#[test]
fn a_lost_run_never_lasted_less_than_nothing() {
    let temp = Temp::new();
    let run = start_of_the_dead("a", 100);
    let entry = Entry::begin(&temp.dir, &run).unwrap();
    entry.heartbeat(run.facts.started_at - Duration::from_secs(9)).unwrap();
    drop(entry);
    let lost = leftovers(&temp.dir, None, later()).runs.remove(0).record;
    assert_eq!((lost.facts.ended_at, lost.facts.duration), (run.facts.started_at, Duration::ZERO));
}

#[test]
fn a_process_that_lives_without_its_lock_has_not_vanished() {
    let temp = Temp::new();
    drop(Entry::begin(&temp.dir, &start("a", 1)).unwrap());
    assert!(leftovers(&temp.dir, None, later()).runs.is_empty());
    assert_eq!(running_of(&temp.dir, &key("a"), later()).len(), 1);
}

#[test]
fn a_result_left_behind_is_found_with_its_terms() {
    let temp = Temp::new();
    let run = start("a", 1);
    let entry = Entry::begin(&temp.dir, &run).unwrap();
    let mut finished = RunRecord { run_id: run.run_id.clone(), ..record("a", 1, Outcome::Timeout) };
    finished.output_tail = Some(vec![0xff; 20_000]);
    entry.finish(&finished).unwrap();
    drop(entry);
    let found = leftovers(&temp.dir, None, later()).runs.remove(0);
    assert_eq!((found.record(), found.declaration()), (&finished, &run.declaration));
}

#[test]
fn of_several_results_the_last_one_counts() {
    let temp = Temp::new();
    let entry = Entry::begin(&temp.dir, &start("a", 1)).unwrap();
    let mut long = record("a", 1, Outcome::Failure);
    long.output_tail = Some(vec![b'x'; 9_000]);
    entry.write_result(&long).unwrap();
    entry.write_result(&record("a", 1, Outcome::Success)).unwrap();
    drop(entry);
    assert_eq!(leftovers(&temp.dir, None, later()).runs[0].record().facts.outcome, Outcome::Success);
}

#[test]
fn what_cannot_be_read_is_set_aside_once_nobody_can_be_writing_it() {
    let temp = Temp::new();
    temp.dir.create_dir(&temp.dir.runs()).unwrap();
    let whole = format::start(&start_of_the_dead("a", 1)).0;
    let write = |name: &str, bytes: &[u8]| fs::write(temp.dir.runs().join(name), bytes).unwrap();
    write("0-dead-1-1-empty.run", b"");
    write("0-dead-1-1-cut.run", &whole[..700]);
    write("0-dead-1-1-noise.run", &[0xfe; 4096]);
    write("0-dead-1-1-zeros.run", &[0; 4096]);
    write("0-dead-1-1-newer.run", b"{\"v\":99}\n\n");
    write("unrelated.txt", b"");

    let just_now = leftovers(&temp.dir, None, SystemTime::now());
    assert!(just_now.runs.is_empty() && just_now.warnings.is_empty(), "they may be just being written");
    let found = leftovers(&temp.dir, None, later());
    assert!(found.runs.is_empty());
    assert_eq!(found.warnings.len(), 3, "{:?}", found.warnings);
    let mut left = files(&temp);
    left.sort();
    let expected =
        ["0-dead-1-1-cut.corrupt", "0-dead-1-1-newer.run", "0-dead-1-1-noise.corrupt", "0-dead-1-1-zeros.corrupt"];
    assert_eq!(left, [&expected[..], &["unrelated.txt"]].concat());
    assert_eq!(fs::read(temp.dir.runs().join(expected[0])).unwrap(), &whole[..700], "nothing is lost");
    assert!(leftovers(&temp.dir, None, later()).warnings.is_empty(), "they are set aside once");
}

#[test]
fn a_symbolic_link_is_never_followed() {
    let temp = Temp::new();
    temp.dir.create_dir(&temp.dir.runs()).unwrap();
    let victim = temp.dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let run = start("a", 1);
    symlink(&victim, temp.dir.runs().join(file_name(&run))).unwrap();
    assert!(Entry::begin(&temp.dir, &run).is_err());
    let found = leftovers(&temp.dir, None, later());
    assert!(found.runs.is_empty() && found.warnings.is_empty());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_limited_search_gets_to_every_file_in_the_end() {
    let temp = Temp::new();
    for second in 0..20 {
        drop(Entry::begin(&temp.dir, &start_of_the_dead("a", second)).unwrap());
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !files(&temp).is_empty() {
        assert!(std::time::Instant::now() < deadline, "left: {:?}", files(&temp));
        let found = leftovers(&temp.dir, Some(3), later()).runs;
        assert!(!found.is_empty() && found.len() <= 3);
        for leftover in found {
            leftover.discard().unwrap();
        }
    }
}

#[test]
fn without_a_directory_to_write_to_there_is_an_error_and_no_panic() {
    let temp = Temp::new();
    fs::write(temp.dir.runs(), "in the way").unwrap();
    assert!(Entry::begin(&temp.dir, &start("a", 1)).is_err());
    assert!(leftovers(&temp.dir, None, later()).runs.is_empty());
    assert_eq!(running_of(&temp.dir, &key("a"), later()).len(), 0);
}

/// Runs the test `name` of this binary in a process of its own, with the state directory in `JOBMON_TEST_STATE`.
fn in_a_process_of_its_own(name: &str, temp: &Temp, through: &str) -> std::process::Output {
    let binary = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{through} exec \"$0\" --exact --nocapture {name}")])
        .arg(binary)
        .env("JOBMON_TEST_STATE", temp.dir.path())
        .output()
        .unwrap()
}

fn state_of_the_parent() -> Option<StateDir> {
    let path = std::env::var_os("JOBMON_TEST_STATE")?;
    Some(StateDir::open(Path::new(&path)).unwrap().0)
}

#[test]
fn a_killed_process_leaves_a_lost_run() {
    const NAME: &str = "registry::journal::tests::a_killed_process_leaves_a_lost_run";
    if let Some(dir) = state_of_the_parent() {
        let _entry = Entry::begin(&dir, &start("killed", 7)).unwrap();
        let pid = std::process::id().to_string();
        Command::new("kill").args(["-9", &pid]).status().unwrap();
        unreachable!("killed");
    }
    let temp = Temp::new();
    let output = in_a_process_of_its_own(NAME, &temp, "");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
    let found = leftovers(&temp.dir, None, SystemTime::now()).runs;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].record().facts.outcome, &found[0].record().grouping_key), (Outcome::Lost, &key("killed")));
}

/// `ulimit -f` lets a file grow to 4 KiB and no further, as a full disk would.
#[test]
fn a_result_is_written_in_place_when_nothing_more_fits_on_the_disk() {
    const NAME: &str = "registry::journal::tests::a_result_is_written_in_place_when_nothing_more_fits_on_the_disk";
    if let Some(dir) = state_of_the_parent() {
        let entry = Entry::begin(&dir, &start("full", 7)).unwrap();
        let mut result = record("full", 7, Outcome::Failure);
        result.output_tail = Some(vec![b'x'; 50_000]);
        entry.finish(&result).unwrap();
        return;
    }
    let temp = Temp::new();
    // In blocks of 512 bytes; SIGXFSZ ignored, so that writing fails instead.
    let output = in_a_process_of_its_own(NAME, &temp, "trap '' XFSZ; ulimit -f 8;");
    assert!(output.status.success(), "{output:?}");
    let found = leftovers(&temp.dir, None, SystemTime::now()).runs;
    let record = found[0].record();
    assert_eq!((record.facts.outcome, &record.output_tail), (Outcome::Failure, &None));
}
