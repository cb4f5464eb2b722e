//! "A storm: 500 runs of 50 groups while gateways die and return at random; afterwards, `jobmon flush`, and the sum of
//! `script_runs_total` over the gateways equals the number of runs to the unit, with one copy of every group."

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::delivery_support::{Host, Random, census, runs};
use crate::harness::Pushgateway;

const RUNS: usize = 500;
const GROUPS: usize = 50;
const AT_ONCE: usize = 8;

#[test]
fn every_run_is_counted_once_whatever_the_gateways_go_through() {
    let seed = 20_261_123;
    let host = Host::new();
    // One comes back with what it saved a while ago, deleted groups included, the others empty.
    let file = format!("--persistence.file={}", host.sandbox.path("gateway.data").display());
    let keeps = Pushgateway::start_with(&[&file, "--persistence.interval=300ms"]);
    let mut gateways = [keeps, Pushgateway::start(), Pushgateway::start()];
    let urls: Vec<String> = gateways.iter().map(Pushgateway::url).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let deaths = thread::scope(|scope| {
        let chaos = scope.spawn(|| {
            let mut random = Random::new(seed);
            let mut is_alive = [true; 3];
            let mut deaths = 0;
            while !is_over.load(Ordering::SeqCst) {
                random.pause(Duration::from_millis(200));
                let index = random.below(3) as usize;
                if is_alive[index] {
                    gateways[index].kill();
                    deaths += 1;
                } else {
                    gateways[index].restart();
                }
                is_alive[index] = !is_alive[index];
            }
            for index in (0..3).filter(|index| !is_alive[*index]) {
                gateways[index].restart();
            }
            deaths
        });
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    while let number @ 0..RUNS = next.fetch_add(1, Ordering::SeqCst) {
                        let name = format!("job{}", number % GROUPS);
                        host.run(&urls, &name, &["--push-timeout", "3s"], &["true"]).any_stderr().run();
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        chaos.join().unwrap()
    });
    let ran = begun.elapsed();
    let owed = host.owed().len();
    host.flush_until_nothing_is_owed();
    eprintln!("{RUNS} runs in {ran:?}, {deaths} deaths, {owed} debts, flushed after {:?}", begun.elapsed());

    assert!(deaths > 0, "a calm is no storm");
    assert_eq!(host.history().len(), RUNS);
    let gateways: Vec<&Pushgateway> = gateways.iter().collect();
    let (copies, counted) = census(&gateways);
    let one_each: BTreeMap<String, usize> = (0..GROUPS).map(|group| (format!("job{group}"), 1)).collect();
    assert_eq!(copies, one_each);
    assert_eq!(counted, RUNS as f64);
}

#[test]
fn many_runs_of_one_group_at_once_are_all_counted() {
    const AT_ONCE: usize = 200;
    let host = Host::new();
    let gateway = Pushgateway::start();
    let url = gateway.url();
    let started: Vec<_> = (0..AT_ONCE)
        .map(|_| host.run(&[&url], "job", &["--push-timeout", "50s"], &["true"]).any_stderr().spawn())
        .collect();
    for running in started {
        running.wait();
    }
    host.flush_until_nothing_is_owed();
    assert_eq!(runs(&gateway, "job")["success"], AT_ONCE as f64);
    assert_eq!(host.history().len(), AT_ONCE);
}
