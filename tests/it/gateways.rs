//! Several gateways: where a group goes, who stands in, and that one live copy of it is left whatever happened.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jobmon::config::Spread;
use jobmon::delivery::spread;
use jobmon::generate::{rules, scrape};

use crate::delivery_support::{Host, holders, labels, runs, value};
use crate::harness::client::key;
use crate::harness::faults::{Behaviour, Faults};
use crate::harness::{Nginx, PATIENCE, Prometheus, Pushgateway, eventually};

fn gateways(count: usize) -> (Vec<Pushgateway>, Vec<String>) {
    let gateways: Vec<Pushgateway> = (0..count).map(|_| Pushgateway::start()).collect();
    let urls = gateways.iter().map(Pushgateway::url).collect();
    (gateways, urls)
}

fn by_ref(urls: &[String]) -> Vec<&str> {
    urls.iter().map(String::as_str).collect()
}

/// Which gateways hold each group: exactly one each, or the test fails.
fn homes(gateways: &[Pushgateway], names: &[String]) -> BTreeMap<String, usize> {
    let gateways: Vec<&Pushgateway> = gateways.iter().collect();
    let home = |name: &String| {
        let holders = holders(&gateways, name);
        assert_eq!(holders.len(), 1, "{name} is at {holders:?}");
        (name.clone(), holders[0])
    };
    names.iter().map(home).collect()
}

/// What a Prometheus with the generated configuration records of a job, from the first sample to the last.
struct Picture<'a> {
    prometheus: &'a Prometheus,
    name: &'static str,
    seen: Mutex<Vec<f64>>,
}

impl Picture<'_> {
    fn look(&self) -> Option<f64> {
        let query = format!("script:result:newest{{script_name=\"{}\"}}", self.name);
        let series = self.prometheus.query(&query);
        assert!(series.len() <= 1, "two states of one group at the same time: {series:?}");
        let value = series.first()?.1;
        let mut seen = self.seen.lock().unwrap();
        if seen.last() != Some(&value) {
            seen.push(value);
        }
        Some(value)
    }

    fn wait_for(&self, value: f64) {
        eventually(PATIENCE, &format!("{} to be {value}", self.name), || (self.look()? == value).then_some(()));
    }
}

/// "Failover and return with three gateways, one scraped picture by a real Prometheus in between: never two values for
/// one series that the shipped rules would flap on."
#[test]
fn failover_and_return_are_one_picture_to_prometheus() {
    let host = Host::new();
    let files: Vec<String> = (0..3)
        .map(|index| format!("--persistence.file={}", host.sandbox.path(format!("gateway{index}")).display()))
        .collect();
    // What comes back after a kill is what was saved a moment before: the worst case.
    let start = |file: &String| Pushgateway::start_with(&[file, "--persistence.interval=100ms"]);
    let mut gateways: Vec<Pushgateway> = files.iter().map(start).collect();
    let urls: Vec<String> = gateways.iter().map(Pushgateway::url).collect();
    let urls = by_ref(&urls);
    let rules = host.sandbox.write("rules.yml", rules::render(&rules::RuleOptions::default()));
    let options = scrape::ScrapeOptions {
        gateways: urls.iter().map(|url| scrape::ScrapeTarget::new(url).unwrap()).collect(),
        // Also the time for a scrape: where one fails, the older copy is all that Prometheus knows. One second was not
        // always enough beside all other tests on two processors.
        interval: Duration::from_secs(3),
        rule_files: vec![rules.display().to_string()],
        ..scrape::ScrapeOptions::default()
    };
    let prometheus = Prometheus::start(&scrape::render(&options));

    let pictures =
        ["hash", "first"].map(|spread| Picture { prometheus: &prometheus, name: spread, seen: Mutex::default() });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                for picture in &pictures {
                    picture.look();
                }
                thread::yield_now();
            }
        });
        for picture in &pictures {
            let spread = picture.name;
            let run = |command: &'static str| host.run(&urls, spread, &["--spread", spread], &[command]);
            run("true").run();
            let home = homes(&gateways, &[spread.to_owned()])[spread];
            picture.wait_for(1.0);
            wait_until_saved(&host, home, spread);

            gateways[home].kill();
            run("false").code(1).run();
            picture.wait_for(0.0);

            // Home comes back with the state of before: two copies, of which the older one must not be seen.
            gateways[home].restart();
            assert_eq!(value(&gateways[home], spread, "script_result"), Some(1.0));
            let both = format!("script_result{{script_name=\"{spread}\"}}");
            eventually(PATIENCE, "both copies to be scraped", || (prometheus.query(&both).len() == 2).then_some(()));
            picture.wait_for(0.0);
            host.flush().run();
            assert_eq!(homes(&gateways, &[spread.to_owned()])[spread], home);
            assert_eq!(value(&gateways[home], spread, "script_result"), Some(0.0));

            run("true").run();
            picture.wait_for(1.0);
            assert_eq!(homes(&gateways, &[spread.to_owned()])[spread], home);
        }
        is_over.store(true, Ordering::SeqCst);
        watch.join().unwrap();
    });
    for picture in &pictures {
        assert_eq!(*picture.seen.lock().unwrap(), [1.0, 0.0, 1.0], "{}", picture.name);
    }
}

/// Waits until a gateway's persistence file holds the group.
fn wait_until_saved(host: &Host, gateway: usize, name: &str) {
    let file = host.sandbox.path(format!("gateway{gateway}"));
    eventually(PATIENCE, "the gateway to save the group", || {
        let saved = std::fs::read(&file).ok()?;
        saved.windows(name.len()).any(|window| window == name.as_bytes()).then_some(())
    });
}

#[test]
fn each_gateway_gets_every_group_with_spread_all() {
    let host = Host::new();
    let (mut gateways, urls) = gateways(3);
    let urls = by_ref(&urls);
    let run = || host.run(&urls, "job", &["--spread", "all"], &["true"]);
    run().run();
    gateways[1].kill();
    run().run();
    assert_eq!(host.owed(), [format!("push {}", urls[1])]);
    gateways[1].restart();
    host.flush().run();
    for gateway in &gateways {
        assert_eq!(runs(gateway, "job")["success"], 2.0);
    }
}

#[test]
fn a_group_is_in_one_place_at_a_time_with_spread_random() {
    let host = Host::new();
    let (gateways, urls) = gateways(3);
    let urls = by_ref(&urls);
    let mut seen = [false; 3];
    // That twenty draws of three leave one out has odds of one in a thousand; more are drawn then.
    for number in 1.. {
        host.run(&urls, "job", &["--spread", "random"], &["true"]).run();
        let home = homes(&gateways, &["job".to_owned()])["job"];
        assert_eq!(runs(&gateways[home], "job")["success"], f64::from(number));
        seen[home] = true;
        if seen == [true; 3] {
            break;
        }
        assert!(number < 200, "{seen:?}");
    }
    assert_eq!(host.owed(), Vec::<String>::new());
}

/// "adding or removing one moves 1/N of the groups"
#[test]
fn a_change_of_gateways_moves_what_it_must_and_leaves_no_copies() {
    let host = Host::new();
    let (gateways, urls) = gateways(3);
    let urls = by_ref(&urls);
    let names: Vec<String> = (0..24).map(|number| format!("job{number}")).collect();
    let run_all = |urls: &[&str]| names.iter().for_each(|name| drop(host.run(urls, name, &[], &["true"]).run()));

    let expected = |urls: &[&str]| -> BTreeMap<String, usize> {
        let home = |name: &String| {
            let key = key("script_monitor", &labels(name)[1..]);
            let home = spread::order(Spread::Hash, urls, &key, 0)[0].to_owned();
            (name.clone(), urls.iter().position(|url| *url == home).unwrap())
        };
        names.iter().map(home).collect()
    };

    // That a change moves 1/N of them, to and from the gateway that changes, is a property of that order.
    for urls in [&urls[..2], &urls[..], &urls[..2]] {
        run_all(urls);
        assert_eq!(homes(&gateways, &names), expected(urls));
    }
    let home = expected(&urls[..2]);
    assert!(names.iter().all(|name| runs(&gateways[home[name]], name)["success"] == 3.0));
    assert_eq!(host.owed(), Vec::<String>::new());
}

/// "a 400 that names somebody else's group is not our rejection; keep owing, fail over, name the culprit"
#[test]
fn a_poisoned_gateway_is_left_for_another_until_it_is_healed() {
    let host = Host::new();
    let (gateways, urls) = gateways(2);
    let urls = by_ref(&urls);
    let run = |verbosity: &'static str| host.run(&urls, "job", &["--spread", "first", verbosity], &["true"]);
    assert_eq!(gateways[0].put("/metrics/job/bad/name/%FF", "x 1\n"), 400);
    let culprit = r#"disabled for everybody by the group {job="bad",instance="",name="\xff"} (invalid UTF-8)"#;
    run("-v").stderr_contains(culprit).run();
    assert_eq!(value(&gateways[1], "job", "script_result"), Some(1.0));
    assert_eq!(host.owed(), [format!("delete {}", urls[1]), format!("push {}", urls[0])]);
    let error = host.health(urls[0]).unwrap().last_error.unwrap();
    assert_eq!(error, culprit);

    assert_eq!(gateways[0].send("DELETE", "/metrics/job/bad/name/%FF", "").status, 202);
    eventually(PATIENCE, "the gateway to be well", || (gateways[0].scrape().status == 200).then_some(()));
    host.flush().run();
    assert_eq!(homes(&gateways, &["job".to_owned()])["job"], 0);
    assert_eq!(runs(&gateways[0], "job")["success"], 1.0);
}

/// "`--heartbeat D` lets a running job report at an interval"; also to a gateway that came back empty meanwhile.
#[test]
fn a_running_job_reports_itself_and_after_a_restart_all_there_is() {
    let host = Host::new();
    let mut gateway = Pushgateway::start();
    let url = gateway.url();
    host.run(&[&url], "job", &[], &["false"]).code(1).run();
    let job = ["sh", "-c", "while [ ! -e ../go ]; do sleep 0.01; done"];
    let running = host.run(&[&url], "job", &["--heartbeat", "200ms"], &job).spawn();
    let pushed = |gateway: &Pushgateway| value(gateway, "job", "push_time_seconds").unwrap_or(0.0);
    eventually(PATIENCE, "the start", || (value(&gateway, "job", "script_running") == Some(1.0)).then_some(()));
    for beat in 0..3 {
        let before = pushed(&gateway);
        eventually(PATIENCE, &format!("beat {beat}"), || (pushed(&gateway) > before).then_some(()));
    }
    assert_eq!(runs(&gateway, "job")["failure"], 1.0);
    gateway.kill();
    eventually(PATIENCE, "a beat to fail", || host.health(&url)?.last_failure.map(|_| ()));
    gateway.restart();
    eventually(PATIENCE, "a beat after the restart", || (pushed(&gateway) > 0.0).then_some(()));
    assert_eq!(value(&gateway, "job", "script_running"), Some(1.0));
    assert_eq!(runs(&gateway, "job")["failure"], 1.0, "the whole state, not only the beat");
    std::fs::write(host.sandbox.path("go"), "").unwrap();
    running.wait();
    assert_eq!(value(&gateway, "job", "script_running"), Some(0.0));
    assert_eq!(runs(&gateway, "job")["success"], 1.0);
}

/// A copy that nobody looks at is not kept alive: it would outlive the newer one.
#[test]
fn a_heartbeat_goes_to_the_replica_that_is_seen() {
    let host = Host::new();
    let (mut gateways, urls) = gateways(2);
    let urls = by_ref(&urls);
    gateways[0].kill();
    let job = ["sh", "-c", "while [ ! -e ../go ]; do sleep 0.01; done"];
    let running = host.run(&urls, "job", &["--spread", "first", "--heartbeat", "200ms"], &job).spawn();
    let pushed = |gateway: &Pushgateway| value(gateway, "job", "push_time_seconds").unwrap_or(0.0);
    eventually(PATIENCE, "the start, at the second gateway", || (pushed(&gateways[1]) > 0.0).then_some(()));
    let before = pushed(&gateways[1]);
    eventually(PATIENCE, "a beat at the second gateway", || (pushed(&gateways[1]) > before).then_some(()));
    gateways[0].restart();
    eventually(PATIENCE, "home to have it, and nobody else", || {
        (pushed(&gateways[0]) > 0.0 && gateways[1].group(&labels("job")).is_none()).then_some(())
    });
    std::fs::write(host.sandbox.path("go"), "").unwrap();
    running.wait();
    assert_eq!(homes(&gateways, &["job".to_owned()])["job"], 0);
    assert_eq!(host.owed(), Vec::<String>::new());
}

/// "duplicate gateways are one; a gateway URL with a path (reverse proxy prefix) works"
#[test]
fn spellings_of_one_gateway_are_one_and_a_path_is_part_of_it() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    let proxy = Nginx::in_front_of(&gateway.url()).prefix("/push").start();
    let url = format!("{}/push", proxy.url());
    let spellings = [format!("{url}/"), url.replace("http:", "HTTP:"), url.clone()];
    host.run(&by_ref(&spellings), "job", &["--spread", "all"], &["true"]).run();
    assert_eq!(runs(&gateway, "job")["success"], 1.0);
    let groups = host.registry().groups().unwrap();
    let sinks: Vec<String> = groups[0].replicas.iter().map(|replica| replica.sink.to_string()).collect();
    assert_eq!(sinks, [url]);
}

/// The same where only the gateway itself can tell: what is deleted by one of its names is gone by the other.
#[test]
fn a_gateway_by_another_name_keeps_its_groups() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    let proxy = Nginx::in_front_of(&gateway.url()).prefix("/push").start();
    let names = [gateway.url(), gateway.url().replace("127.0.0.1", "localhost"), format!("{}/push", proxy.url())];
    let mut count = 0.0;
    let mut run = |names: &[&str], spread: &str| {
        host.run(names, "job", &["--spread", spread], &["true"]).run();
        count += 1.0;
        assert_eq!(runs(&gateway, "job").get("success"), Some(&count), "{names:?} {spread}");
        assert_eq!(host.owed(), Vec::<String>::new(), "{names:?} {spread}");
    };
    for name in names.iter().chain(&names) {
        run(&[name], "first");
    }
    for spread in Spread::ALL {
        run(&by_ref(&names), spread.as_str());
        run(&[&names[2], &names[0]], spread.as_str());
    }
}

/// A copy that a failover left behind is all that scrapes see while home does not answer.
#[test]
fn a_stale_replica_waits_until_its_home_answers() {
    let host = Host::new();
    let file = format!("--persistence.file={}", host.sandbox.path("gateway").display());
    let mut gateways = [Pushgateway::start(), Pushgateway::start_with(&[&file])];
    let urls = gateways.each_ref().map(Pushgateway::url);
    let urls = by_ref(&urls);
    let run = || host.run(&urls, "job", &["--spread", "first"], &["true"]).run();
    run();
    gateways[0].kill();
    run();
    gateways[1].stop();
    gateways[0].restart();
    host.flush().code(1).any_stderr().run();
    assert_eq!(runs(&gateways[0], "job")["success"], 2.0);
    assert_eq!(host.owed(), [format!("delete {}", urls[1])]);

    gateways[0].kill();
    gateways[1].restart();
    let reason = format!("still to be deleted at {}: {} has to answer first: connection refused", urls[1], urls[0]);
    host.flush().code(1).stderr_contains(&reason).run();
    assert!(value(&gateways[1], "job", "script_result").is_some());

    gateways[0].restart();
    host.flush().run();
    assert_eq!(homes(&gateways, &["job".to_owned()])["job"], 0);
    assert_eq!(runs(&gateways[0], "job")["success"], 2.0);
}

/// A gateway may have lost what it was given before anybody has noticed.
#[test]
fn a_stale_replica_goes_only_if_home_still_has_what_it_was_given() {
    let host = Host::new();
    let file = format!("--persistence.file={}", host.sandbox.path("gateway").display());
    let mut gateways = [Pushgateway::start(), Pushgateway::start_with(&[&file])];
    let urls = gateways.each_ref().map(Pushgateway::url);
    let run = || host.run(&by_ref(&urls), "job", &["--spread", "first"], &["true"]).run();
    run();
    gateways[0].kill();
    run();
    gateways[1].stop();
    gateways[0].restart();
    host.flush().code(1).any_stderr().run();
    gateways[0].restart();
    gateways[1].restart();
    assert_eq!(homes(&gateways, &["job".to_owned()])["job"], 1, "home came back empty");

    // Whoever pays the debt has nothing else to do with these gateways.
    let elsewhere = Pushgateway::start();
    eventually(PATIENCE, "the stale replica to go, after the backoff", || {
        host.run(&[&elsewhere.url()], "other", &[], &["true"]).run();
        let holders = holders(&gateways.each_ref(), "job");
        assert!(!holders.is_empty(), "nobody has the group");
        (holders == [0]).then_some(())
    });
    assert_eq!(runs(&gateways[0], "job")["success"], 2.0);
}

/// A deletion that is carried out late must not take away what was pushed meanwhile.
#[test]
fn a_deletion_that_was_given_up_is_remembered() {
    let host = Host::new();
    let gateways = [Pushgateway::start(), Pushgateway::start()];
    host.run(&[&gateways[1].url()], "job", &[], &["true"]).run();
    let hangs = Faults::start(Behaviour::HangAfterRequest);
    let by_method = format!(
        "location /metrics/job {{ if ($request_method = DELETE) {{ proxy_pass {}; }} proxy_pass {}; }}",
        hangs.url(),
        gateways[0].url()
    );
    let proxy = Nginx::in_front_of(&gateways[0].url()).directive(&by_method).start();
    for name in ["job", "cleared"] {
        host.run(&[&proxy.url()], name, &[], &["true"]).run();
    }
    host.run(&[&gateways[1].url()], "job", &["--push-timeout", "500ms"], &["true"]).run();
    assert_eq!(hangs.requests()[0].method, "DELETE");
    assert_eq!(host.owed(), [format!("delete {}", proxy.url())]);
    let is_remembered = |name: &str| {
        let mut groups = host.registry().groups().unwrap().into_iter();
        let group = groups.find(|group| group.group.key.script_name() == name).unwrap();
        group
            .replicas
            .iter()
            .any(|replica| replica.sink.gateway_url() == Some(proxy.url().as_str()) && replica.abandoned)
    };
    assert!(is_remembered("job"));

    let arguments = ["clear", "--yes", "--push-timeout", "500ms", "--gateway", &proxy.url(), "--name", "cleared"];
    host.sandbox.jobmon(arguments).code(1).any_stdout().stderr_contains("no complete answer").run();
    assert!(is_remembered("cleared"));
}

#[test]
fn a_directory_by_another_name_keeps_its_files() {
    let host = Host::new();
    let directory = host.sandbox.path("textfiles");
    let link = host.sandbox.path("link");
    std::fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink(&directory, &link).unwrap();
    for path in [&directory, &link, &directory] {
        host.run(&[], "job", &["--textfile-dir", path.to_str().unwrap()], &["true"]).run();
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        assert_eq!(host.owed(), Vec::<String>::new());
    }
    let other = host.sandbox.path("other");
    std::fs::create_dir(&other).unwrap();
    host.run(&[], "job", &["--textfile-dir", other.to_str().unwrap()], &["true"]).run();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}
