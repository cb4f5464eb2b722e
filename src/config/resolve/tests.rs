use super::*;
use crate::cli::Flags;
use crate::config::layer::{flags_layer, variables_layer};
use crate::config::{MASK, file, show};
use proptest::prelude::*;
use std::os::unix::ffi::OsStringExt;

/// What is written where; each test fills in what it is about.
#[derive(Default)]
struct Written<'a> {
    files: &'a [(&'a str, &'a str)],
    variables: &'a [(&'a str, &'a str)],
    flags: &'a [(&'a str, &'a [&'a str])],
}

fn facts() -> Facts {
    Facts {
        host_name: "host".into(),
        command: Some("/opt/backup.sh".into()),
        home: Some("/home/u".into()),
        working_directory: Some("/cwd".into()),
        ..Facts::default()
    }
}

fn resolved_for(purpose: Purpose, written: &Written, facts: &Facts) -> Result<Config, UsageError> {
    let mut warnings = Vec::new();
    let mut layers = Layers::default();
    let variables = written.variables.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value)));
    layers.add(variables_layer(variables, &mut warnings));
    let flags = written.flags.iter().map(|(id, values)| (*id, values.iter().map(OsString::from).collect()));
    layers.add(flags_layer(&Flags::new(flags, 0)));
    let name = job_name(&layers, facts, purpose, &mut Vec::new())?.map(|(name, _)| name);
    for (path, text) in written.files {
        let entries = file::parse(path, text, &mut warnings).unwrap_or_default().into_iter();
        let name = name.as_ref().map(LabelValue::as_str);
        layers.add(entries.filter(|entry| entry.section().is_none() || entry.section() == name));
    }
    resolve(&layers, facts, purpose, warnings)
}

fn resolved_with(written: &Written, facts: &Facts) -> Result<Config, UsageError> {
    resolved_for(Purpose::Command, written, facts)
}

fn resolved(written: &Written) -> Config {
    resolved_with(written, &facts()).unwrap()
}

fn said(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = resolved(&Written::default());
    assert_eq!(config.grouping_key.to_string(), r#"{job="script_monitor",instance="host",script_name="backup"}"#);
    assert_eq!(config.push_timeout, Duration::from_secs(5));
    assert_eq!(config.limits.kill_after, Some(Duration::from_secs(10)));
    assert_eq!((config.limits.signal, config.limits.timeout, &config.limits.lock), (libc::SIGTERM, None, &None));
    assert_eq!(config.result_codes, ResultCodes { success: vec![0], warning: vec![] });
    assert_eq!(config.storage.state_dir, Some("/home/u/.local/state/jobmon".into()));
    assert_eq!(config.gateways, []);
    assert_eq!(said(&config), [""; 0]);
}

#[test]
fn the_stronger_layer_wins() {
    let check = |written: &Written, expected: u64, origin: &str| {
        let config = resolved(written);
        assert_eq!(config.limits.timeout, Some(Duration::from_secs(expected)));
        assert_eq!(config.origin(Setting::Timeout).to_string(), origin);
    };
    let system = ("/etc", "timeout = \"1s\"\n[jobs.backup]\ntimeout = \"4s\"");
    let system_top = ("/etc", "timeout = \"1s\"");
    let user = ("/user", "\ntimeout = \"2s\"");
    let explicit = ("/explicit", "timeout = \"3s\"\n[jobs.backup]\ntimeout = \"5s\"\n[jobs.other]\ntimeout = \"9s\"");
    check(&Written { files: &[system_top], ..Written::default() }, 1, "/etc:1");
    check(&Written { files: &[system_top, user], ..Written::default() }, 2, "/user:2");
    // A section beats the top level of every file, and a section of a stronger file beats one of a weaker file.
    check(&Written { files: &[system, user], ..Written::default() }, 4, "/etc:3 [jobs.backup]");
    check(&Written { files: &[system, user, explicit], ..Written::default() }, 5, "/explicit:3 [jobs.backup]");
    let variables = &[("JOBMON_TIMEOUT", "6s")];
    check(&Written { files: &[explicit], variables, ..Written::default() }, 6, "JOBMON_TIMEOUT");
    check(&Written { files: &[explicit], variables, flags: &[("timeout", &["7s"])] }, 7, "--timeout");
}

#[test]
fn what_means_nothing_is_said_and_the_next_weaker_value_counts() {
    let config = resolved(&Written {
        files: &[(
            "/etc",
            "timeout = 30\npush-timeout = \"2s\"\nretries = -1\ngateways = [\"ftp://gw\", \"http://ok\"]",
        )],
        variables: &[("JOBMON_PUSH_TIMEOUT", "soon"), ("JOBMON_QUIET", "maybe")],
        ..Written::default()
    });
    assert_eq!(config.push_timeout, Duration::from_secs(2));
    assert_eq!((config.limits.timeout, config.limits.retries, config.output.quiet), (None, 0, false));
    assert_eq!(config.gateways.iter().map(Gateway::url).collect::<Vec<_>>(), ["http://ok"]);
    assert_eq!(
        said(&config),
        [
            "/etc:4: gateways = \"ftp://gw\": an address starts with http:// or https://; ignored",
            "JOBMON_PUSH_TIMEOUT=\"soon\": not a duration such as 90s, 15m or 2h 30m; ignored",
            "/etc:1: timeout = 30: a duration is a text with a unit, such as \"30s\"; ignored",
            "/etc:3: retries = -1: not a whole number from 0 to 1000; ignored",
            "JOBMON_QUIET=\"maybe\": not true or false; ignored",
        ]
    );
}

#[test]
fn what_means_nothing_on_the_command_line_is_bad_usage() {
    let check = |id: &str, values: &[&str], expected: &str| {
        let error = resolved_with(&Written { flags: &[(id, values)], ..Written::default() }, &facts()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("timeout", &["-5s"], "--timeout \"-5s\": a duration cannot be negative");
    check("timeout", &["500y"], "--timeout \"500y\": longer than a hundred years");
    check("heartbeat", &["0s"], "--heartbeat \"0s\": zero: write \"off\" for none");
    check("signal", &["SIGFOO"], "--signal \"SIGFOO\": not a signal such as TERM, RTMIN+1 or 15");
    check("lock_exit_code", &["256"], "--lock-exit-code \"256\": not an exit code: a number from 0 to 255");
    check("warning_codes", &["1,x"], "--warning-codes \"1,x\": \"x\" is not a code from 0 to 255");
    check("success_codes", &["0,x"], "--success-codes \"0,x\": \"x\" is not a code from 0 to 255");
    check("label", &["job=x"], "--label \"job=x\": label name \"job\" is taken: use --job");
    check("label", &["mode=x"], "--label \"mode=x\": label name \"mode\" is taken by jobmon's own metrics");
    check(
        "label",
        &["pushgateway=x"],
        "--label \"pushgateway=x\": label name \"pushgateway\" is taken: Prometheus names the gateway by it",
    );
    check("gateway", &["ftp://gw"], "--gateway \"ftp://gw\": an address starts with http:// or https://");
    check(
        "gateway",
        &["htp://u:secret@gw"],
        &format!("--gateway \"{MASK}@gw\": an address starts with http:// or https://"),
    );
    check("scope", &["all"], "--scope \"all\": not \"host\" or \"service\"");
    check("tail", &["2G"], "--tail \"2G\": more than 64M is more than the history should hold");
    check("header", &["X"], &format!("--header {MASK}: not of the form \"NAME: VALUE\""));
}

#[test]
fn an_empty_value_counts_as_not_given() {
    // One line that is wrong for each setting, so that a value that was not given at all is seen by its origin.
    let files: &[(&str, &str)] = &[(
        "/etc",
        "name = \"\"\ntimeout = \"\"\ngateways = [\"\", \"http://file\"]\nlabels = { branch = \"main\", team = \"\" }\n\
         headers = { X-A = \"a\", X-B = \"\" }\nsuccess-codes = [\"\"]",
    )];
    let variables: &[(&str, &str)] =
        &[("JOBMON_LABELS", "branch=, x=1"), ("JOBMON_GATEWAY", " ,"), ("JOBMON_TIMEOUT", "")];
    let flags: &[(&str, &[&str])] = &[
        ("name", &[""]),
        ("label", &["branch=", ""]),
        ("gateway", &[""]),
        ("timeout", &[""]),
        ("quiet", &[""]),
        ("insecure", &[""]),
        ("heartbeat", &[""]),
        ("ca_file", &[""]),
        ("header", &["X-C:", "X-D: ", "@"]),
        ("lock", &[""]),
    ];
    let config = resolved(&Written { files, variables, flags });
    assert_eq!(
        said(&config),
        [
            "/etc:1: \"name\" cannot stand in a file: it selects the section [jobs.NAME]: write --name on the command line"
        ]
    );
    let labels: Vec<_> = config.grouping_key.labels().collect();
    assert_eq!(labels, [("branch", "main"), ("instance", "host"), ("script_name", "backup"), ("x", "1")]);
    assert_eq!(config.gateways.iter().map(Gateway::url).collect::<Vec<_>>(), ["http://file"]);
    assert_eq!(config.connection.headers, [Header::Inline("X-A".into(), Secret::new("a"))]);
    assert_eq!((config.limits.timeout, config.output.quiet, config.connection.insecure), (None, false, false));
    assert_eq!((config.expectations.amounts, &config.connection.ca_file), (Amounts::default(), &None));
    // Of a lock, only the key was not given.
    assert_eq!(config.limits.lock, Some(Lock::Group));
    let none = resolved(&Written {
        files: &[("/etc", "gateways = [\"http://file\"]\n[jobs.backup]\ngateways = []")],
        ..Written::default()
    });
    assert_eq!(none.gateways, []);
}

#[test]
fn what_only_monitoring_needs_never_stops_a_job() {
    let wrong: &[(Setting, &[&str])] = &[
        (Setting::Scope, &["all"]),
        (Setting::Labels, &["nothing", "job=x"]),
        (Setting::Gateways, &["ftp://gw", "http://u:secret@gw:x"]),
        (Setting::Spread, &["everywhere"]),
        (Setting::PushTimeout, &["soon"]),
        (Setting::Headers, &["X", "Authorization: Bearer secret"]),
        (Setting::Insecure, &["maybe"]),
        (Setting::NoPush, &["maybe"]),
        (Setting::Expected(Expectation::HeartbeatInterval), &["0s"]),
        (Setting::Expected(Expectation::Ttl), &["-5s"]),
        (Setting::Ephemeral, &["maybe"]),
        (Setting::JobMetrics, &["maybe"]),
        (Setting::Expected(Expectation::MaxDuration), &["long"]),
        (Setting::Expected(Expectation::ExpectedInterval), &["day"]),
        (Setting::Expected(Expectation::Grace), &["some"]),
        (Setting::Timeout, &["-5s"]),
        (Setting::Signal, &["SIGFOO"]),
        (Setting::KillAfter, &["x"]),
        (Setting::LockWait, &["x"]),
        (Setting::LockExitCode, &["256"]),
        (Setting::Retries, &["-1"]),
        (Setting::RetryDelay, &["x"]),
        (Setting::Splay, &["x"]),
        (Setting::SuccessCodes, &["x"]),
        (Setting::Tail, &["2G"]),
        (Setting::Quiet, &["maybe"]),
    ];
    for (setting, values) in wrong {
        let id = setting.spec().flag_id().unwrap();
        let written = Written { flags: &[(&id, values)], ..Written::default() };
        let error = resolved_for(Purpose::Command, &written, &facts()).map(|config| said(&config));
        match (resolved_for(Purpose::Job, &written, &facts()), error) {
            (Err(error), _) => assert!(setting.restrains_the_job(), "{setting:?}: {error}"),
            (Ok(config), Err(error)) => {
                assert!(!setting.restrains_the_job(), "{setting:?}");
                let said = said(&config);
                assert_eq!(said.len(), values.len(), "{setting:?}: {said:?}");
                assert_eq!(said[0], format!("{error}; ignored"));
                assert!(said.iter().all(|line| !line.contains("secret")), "{said:?}");
                assert_eq!(config.origin(*setting).is_flag(), matches!(setting, Setting::Gateways | Setting::Headers));
            }
            (Ok(_), Ok(said)) => panic!("{setting:?} {values:?}: {said:?}"),
        }
    }
}

#[test]
fn a_confidential_header_is_refused_where_everybody_can_read_it() {
    let flags: &[(&str, &[&str])] = &[("header", &["authorization: Bearer x"])];
    let error = resolved_with(&Written { flags, ..Written::default() }, &facts()).unwrap_err();
    assert!(error.to_string().contains("--header @FILE") && !error.to_string().contains("Bearer x"), "{error}");
    let config = resolved(&Written { variables: &[("JOBMON_HEADERS", "Authorization: x")], ..Written::default() });
    assert_eq!(config.connection.headers, [Header::Inline("Authorization".into(), Secret::new("x"))]);
}

#[test]
fn labels_of_all_layers_are_combined() {
    let config = resolved(&Written {
        files: &[("/etc", "[labels]\nteam = \"ops\"\nsite = \"a\"\nshard = 3\n[jobs.backup.labels]\nsite = \"b\"")],
        variables: &[("JOBMON_LABELS", "env=test,team=db")],
        flags: &[("label", &["env=live", "x=1", "x=2"])],
    });
    let labels: Vec<_> = config.grouping_key.labels().collect();
    assert_eq!(
        labels,
        [
            ("env", "live"),
            ("instance", "host"),
            ("script_name", "backup"),
            ("shard", "3"),
            ("site", "b"),
            ("team", "db"),
            ("x", "2"),
        ]
    );
    assert_eq!(config.label_origin("site").to_string(), "/etc:6 [jobs.backup]");
    assert_eq!(config.label_origin("team").to_string(), "JOBMON_LABELS");
    assert_eq!(config.label_origin("env").to_string(), "--label");
}

#[test]
fn the_name_comes_from_the_command() {
    let check = |command: &[u8], expected: &str, warnings: usize| {
        let facts = Facts { command: Some(OsString::from_vec(command.to_vec())), ..facts() };
        let config = resolved_with(&Written::default(), &facts).unwrap();
        assert_eq!(config.grouping_key.script_name(), expected);
        assert_eq!(config.warnings.len(), warnings, "{:?}", config.warnings);
    };
    check(b"/path/to/backup.sh", "backup", 0);
    check(b"backup.tar.gz", "backup.tar", 0);
    check(b"./.hidden", ".hidden", 0);
    check(b"/opt/two words.py", "two words", 0);
    check(b"/", "/", 0);
    check(b"..", "..", 0);
    check(b"", "unnamed", 0);
    check(b"/opt/caf\xe9.sh", "caf\u{fffd}", 1);
}

#[test]
fn a_label_from_the_machine_is_converted_and_said() {
    let check = |host_name: &[u8], expected: Option<&str>, warning: &[&str]| {
        let facts = Facts { host_name: OsString::from_vec(host_name.to_vec()), ..facts() };
        let config = resolved_with(&Written::default(), &facts).unwrap();
        assert_eq!(config.grouping_key.get("instance"), expected);
        assert_eq!(said(&config), warning);
    };
    check(b"host", Some("host"), &[]);
    check(
        b"m\xfcller",
        Some("m\u{fffd}ller"),
        &["the host name is not valid UTF-8: the label instance is \"m\u{fffd}ller\""],
    );
    check(b"", None, &["this host has no name: the label instance is left out; set it with --instance"]);
}

#[test]
fn a_job_of_a_service_has_no_instance() {
    let service: (&str, &[&str]) = ("scope", &["service"]);
    let config = resolved(&Written { files: &[("/etc", "instance = \"x\"")], flags: &[service], ..Written::default() });
    assert_eq!(config.grouping_key.get("instance"), None);
    let both: &[(&str, &[&str])] = &[service, ("instance", &["x"])];
    let error = resolved_with(&Written { flags: both, ..Written::default() }, &facts()).unwrap_err();
    assert!(error.to_string().contains("--scope service"), "{error}");
}

#[test]
fn the_state_directory() {
    let check = |facts: Facts, written: Written, expected: Option<&str>, origin: &str| {
        let config = resolved_with(&written, &facts).unwrap();
        assert_eq!(config.storage.state_dir, expected.map(PathBuf::from));
        assert_eq!(config.origin(Setting::StateDir).to_string(), origin);
        assert_eq!(config.warnings.len(), usize::from(expected.is_none()), "{:?}", config.warnings);
    };
    let none = Written::default;
    let flags: &[(&str, &[&str])] = &[("state_dir", &["rel"])];
    check(facts(), Written { flags, ..none() }, Some("/cwd/rel"), "--state-dir");
    check(
        facts(),
        Written { variables: &[("JOBMON_STATE_DIR", "~/s")], ..none() },
        Some("/home/u/s"),
        "JOBMON_STATE_DIR",
    );
    let systemd = Facts { state_directory: Some("/var/lib/a:/var/lib/b".into()), is_root: true, ..facts() };
    check(systemd, none(), Some("/var/lib/a"), "$STATE_DIRECTORY");
    check(Facts { is_root: true, ..facts() }, none(), Some("/var/lib/jobmon"), "default");
    check(Facts { xdg_state_home: Some("/x".into()), ..facts() }, none(), Some("/x/jobmon"), "$XDG_STATE_HOME");
    check(
        Facts { xdg_state_home: Some("rel".into()), ..facts() },
        none(),
        Some("/home/u/.local/state/jobmon"),
        "default",
    );
    check(Facts { home: None, ..facts() }, none(), None, "default");
}

#[test]
fn duplicate_gateways_are_one() {
    let gateways: &[&str] = &["http://A:9091", "http://a:9091/", "http://u:p@a:9091", "http://b"];
    let config = resolved(&Written { flags: &[("gateway", gateways)], ..Written::default() });
    assert_eq!(config.gateways.iter().map(Gateway::url).collect::<Vec<_>>(), ["http://a:9091", "http://b"]);
}

#[test]
fn of_several_ways_to_authenticate_the_stronger_layer_wins() {
    let value = |text: &str| SecretSource::Value(Secret::new(text));
    let check = |files: &str, variables: &[(&str, &str)], expected: Option<Auth>, warnings: usize| {
        let config = resolved(&Written { files: &[("/etc", files)], variables, ..Written::default() });
        assert_eq!(config.connection.auth, expected, "{files} {variables:?}");
        assert_eq!(config.warnings.len(), warnings, "{:?}", config.warnings);
    };
    let basic = |password| Some(Auth::Basic { user: "u".into(), password });
    let user = "basic-auth-user = \"u\"\n";
    check(user, &[("JOBMON_BASIC_AUTH_PASSWORD", "p")], basic(value("p")), 0);
    check(&format!("{user}basic-auth-password-file = \"/f\""), &[], basic(SecretSource::File("/f".into())), 0);
    check(
        &format!("{user}basic-auth-password-file = \"/f\""),
        &[("JOBMON_BASIC_AUTH_PASSWORD", "p")],
        basic(value("p")),
        0,
    );
    check(
        &format!("{user}basic-auth-password = \"p\""),
        &[("JOBMON_BASIC_AUTH_PASSWORD_FILE", "/f")],
        basic(SecretSource::File("/f".into())),
        0,
    );
    check(user, &[], basic(value("")), 1);
    check("basic-auth-password = \"p\"", &[], None, 1);
    check("bearer-token = \"t\"", &[], Some(Auth::Bearer(value("t"))), 0);
    check(
        &format!("{user}basic-auth-password = \"p\""),
        &[("JOBMON_BEARER_TOKEN", "t")],
        Some(Auth::Bearer(value("t"))),
        0,
    );
    check(
        "bearer-token = \"t\"",
        &[("JOBMON_BASIC_AUTH_USER", "u"), ("JOBMON_BASIC_AUTH_PASSWORD", "p")],
        basic(value("p")),
        0,
    );
    check(&format!("{user}basic-auth-password = \"p\"\nbearer-token = \"t\""), &[], Some(Auth::Bearer(value("t"))), 1);
}

#[test]
fn secret_variables_are_named_for_removal() {
    let config = resolved(&Written::default());
    for name in ["JOBMON_BASIC_AUTH_PASSWORD", "JOBMON_BEARER_TOKEN", "JOBMON_HEADERS", "JOBMON_HEADER"] {
        assert!(config.secret_variables.contains(&name), "{name}");
    }
    assert!(!config.secret_variables.contains(&"JOBMON_GATEWAY"));
    let config = resolved(&Written { variables: &[("JOBMON_GATEWAY", "http://u:p@a")], ..Written::default() });
    assert!(config.secret_variables.contains(&"JOBMON_GATEWAY"));
}

#[test]
fn no_secret_is_shown() {
    let config = resolved(&Written {
        files: &[(
            "/etc",
            "basic-auth-user = \"u\"\nbasic-auth-password = \"hunter2\"\n[headers]\nX-Key = \"hunter2\"",
        )],
        variables: &[("JOBMON_GATEWAY", "http://u:hunter2@a http://hunter2:x@b:bad")],
        ..Written::default()
    });
    let shown = format!("{config:?} {:?}", show(&config));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains(MASK));
}

#[test]
fn to_say_how_long_to_wait_for_the_lock_is_to_want_it() {
    let check = |files: &str, lock: Option<Lock>, wait: u64| {
        let config = resolved(&Written { files: &[("/etc", files)], ..Written::default() });
        assert_eq!((config.limits.lock, config.limits.lock_wait), (lock, Duration::from_secs(wait)));
    };
    check("", None, 0);
    check("lock = true", Some(Lock::Group), 0);
    check("lock-wait = \"5s\"", Some(Lock::Group), 5);
    check("lock = \"disk\"\nlock-wait = \"5s\"", Some(Lock::Named("disk".into())), 5);
    check("lock = false\nlock-wait = \"5s\"", None, 5);
}

#[test]
fn off_takes_back_what_a_weaker_layer_says() {
    let config = resolved(&Written {
        files: &[(
            "/etc",
            "timeout = \"1h\"\nkill-after = \"1s\"\ntail = \"1M\"\nhistory-max-age = \"off\"\nquiet = true",
        )],
        flags: &[("timeout", &["off"]), ("kill_after", &["off"]), ("tail", &["0"]), ("quiet", &["false"])],
        ..Written::default()
    });
    assert_eq!((config.limits.timeout, config.limits.kill_after), (None, None));
    assert_eq!((config.output.tail, config.output.quiet), (None, false));
    assert_eq!(config.storage.history_max_age, None);
    assert_eq!(said(&config), [""; 0]);
}

/// Entries of one setting in random layers, with values that say where they stand.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let origin = prop_oneof![
        Just(Origin::File { path: "/etc".into(), line: 1, job: None }),
        Just(Origin::File { path: "/etc".into(), line: 2, job: Some("backup".into()) }),
        Just(Origin::Variable("JOBMON_JOB")),
        Just(Origin::Flag("--job".into())),
    ];
    let entry = (origin, "[a-z]{1,4}").prop_map(|(origin, text)| Entry {
        setting: Setting::Job,
        raw: Raw::Text(text.into()),
        origin,
    });
    proptest::collection::vec(entry, 0..6)
}

proptest! {
    #[test]
    fn the_merge_does_not_depend_on_how_layers_are_put_together(a in entries(), b in entries()) {
        let merged = |parts: &[&[Entry]]| {
            let mut layers = Layers::default();
            for part in parts {
                layers.add(part.to_vec());
            }
            let config = resolve(&layers, &facts(), Purpose::Command, Vec::new()).unwrap();
            (config.grouping_key.job().to_owned(), config.origin(Setting::Job).clone())
        };
        let together: Vec<Entry> = a.iter().chain(&b).cloned().collect();
        prop_assert_eq!(merged(&[&a, &b]), merged(&[&together]));
        prop_assert_eq!(merged(&[&a, &[]]), merged(&[&a]));
        let strongest = together.iter().map(|entry| entry.origin.rank()).max();
        let (_, origin) = merged(&[&a, &b]);
        prop_assert_eq!(Some(origin.rank()), strongest.or(Some(0)));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,12}", flag in 0..crate::config::setting::SPECS.len()) {
        let spec = &crate::config::setting::SPECS[flag];
        let mut layers = Layers::default();
        let entry = |origin| Entry { setting: spec.setting, raw: Raw::Text(text.clone().into()), origin };
        layers.add([entry(Origin::Variable("JOBMON_X"))]);
        prop_assert!(resolve(&layers, &facts(), Purpose::Command, Vec::new()).is_ok());
        layers.add([entry(Origin::Flag("--x".into()))]);
        if let Err(error) = resolve(&layers, &facts(), Purpose::Command, Vec::new()) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
