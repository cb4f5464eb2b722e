//! The Prometheus server that scrapes the gateways, and the Alertmanagers it sends to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::{clock, list};
use crate::config;
use crate::doctor::prometheus_api::{Health, LoadedRule, QueryError, ScrapeTarget};
use crate::doctor::{Area, Finding, OwnGroup, Place};
use crate::generate::{GATEWAY_JOB, GATEWAY_LABEL, rules};
use crate::grouping::GroupingKey;
use crate::sinks::pushgateway::{Outage, Readiness};
use crate::text::{count, one_line};

/// The labels of one series.
pub type SeriesLabels = BTreeMap<String, String>;

/// Everything that was seen of one server. What was not asked, because an earlier answer made it pointless, is `None`.
#[derive(Clone, Debug)]
pub struct ObservedPrometheus {
    /// Its URL, without credentials.
    pub url: String,
    /// Whether somebody answers, and this host's time when he did.
    pub readiness: Result<(Readiness, SystemTime), Outage>,
    /// Its version.
    pub version: Option<Result<String, QueryError>>,
    /// What it scrapes.
    pub targets: Option<Result<Vec<ScrapeTarget>, QueryError>>,
    /// Its configuration.
    pub configuration: Option<Result<String, QueryError>>,
    /// The rules that it evaluates.
    pub rules: Option<Result<Vec<LoadedRule>, QueryError>>,
    /// The series `push_time_seconds` of the jobs of this host, also where `job` became `exported_job`.
    pub series: Option<Result<Vec<SeriesLabels>, QueryError>>,
    /// The Alertmanagers that it knows.
    pub alertmanagers: Option<Result<Vec<ObservedAlertmanager>, QueryError>>,
    /// The gateways that it should scrape.
    pub gateways: Vec<String>,
    /// The groups of this host that arrived at those.
    pub own: Vec<OwnGroup>,
}

/// An Alertmanager that Prometheus knows.
#[derive(Clone, Debug)]
pub struct ObservedAlertmanager {
    /// Where alerts are sent to, without credentials.
    pub url: String,
    /// How often Prometheus failed to send since it was started; none where it does not say.
    pub failures: Option<f64>,
    /// Why it does not answer this host.
    pub answers: Result<(), String>,
}

/// What is to be said of Prometheus and its Alertmanagers, in the order of the chain.
pub fn findings(prometheus: &ObservedPrometheus) -> Vec<Finding> {
    let place = Place::at(Area::Prometheus, &prometheus.url);
    let mut found = Vec::new();
    match &prometheus.readiness {
        Err(outage) => {
            found.push(unreachable(&place, &outage.reason));
            return found;
        }
        Ok((readiness, then)) => found.extend(readiness.date.map(|date| clock(&place, date, *then))),
    }
    match &prometheus.version {
        None => return found,
        Some(Err(error)) => {
            found.push(unanswered(&place, error));
            return found;
        }
        Some(Ok(version)) => found.insert(0, place.fine("reachable", format!("Prometheus {version}"))),
    }
    let mut asked = |check: &'static str, answer: Result<Vec<Finding>, &QueryError>| match answer {
        Ok(findings) => found.extend(findings),
        Err(error) => found.push(place.warning(
            check,
            format!("does not say: {error}"),
            "let this host read its API (/api/v1), or run doctor where that is possible",
        )),
    };
    if let Some(targets) = &prometheus.targets {
        asked("scrapes-gateway", targets.as_ref().map(|targets| scraping(&place, prometheus, targets)));
    }
    if let Some(series) = &prometheus.series {
        asked("groups-visible", series.as_ref().map(|series| visible(&place, prometheus, series)));
    }
    if let Some(rules) = &prometheus.rules {
        asked("rules", rules.as_ref().map(|rules| loaded(&place, rules)));
    }
    if let Some(alertmanagers) = &prometheus.alertmanagers {
        asked("alertmanager", alertmanagers.as_ref().map(|alertmanagers| receivers(alertmanagers)));
    }
    found
}

fn unreachable(place: &Place, reason: &str) -> Finding {
    place.broken(
        "reachable",
        format!("does not answer: {reason}"),
        "see that it runs, and that --prometheus names it as this host reaches it",
    )
}

fn unanswered(place: &Place, error: &QueryError) -> Finding {
    match error {
        QueryError::Silent(reason) => unreachable(place, reason),
        QueryError::Unauthorised(_) => place.broken(
            "authorised",
            error.to_string(),
            "put them into the URL: --prometheus http://USER:PASSWORD@HOST",
        ),
        QueryError::Refused(_) => place.broken(
            "prometheus",
            format!("this is no Prometheus: {error}"),
            "give --prometheus the server's URL, with the path under which a proxy serves it",
        ),
    }
}

/// The address of a target as that of a gateway, without credentials.
fn gateway_of(target: &ScrapeTarget) -> Option<String> {
    let url = target.url.split_once('?').map_or(target.url.as_str(), |(url, _)| url);
    normal(url.strip_suffix("/metrics").unwrap_or(url))
}

/// The one spelling in which addresses are compared.
fn normal(url: &str) -> Option<String> {
    config::Gateway::parse(url).ok().map(|gateway| gateway.url().to_owned())
}

fn scraping(place: &Place, prometheus: &ObservedPrometheus, targets: &[ScrapeTarget]) -> Vec<Finding> {
    let mut found = Vec::new();
    let jobs = prometheus.configuration.as_ref().and_then(|yaml| yaml.as_ref().ok()).map(|yaml| honoring_jobs(yaml));
    for gateway in &prometheus.gateways {
        let url = normal(gateway);
        let mut carriers = targets.iter().filter(|target| gateway_of(target) == url).peekable();
        if carriers.peek().is_none() {
            let near = targets.iter().filter(|target| target.labels.get("job").is_some_and(|job| job == GATEWAY_JOB));
            let near: BTreeSet<String> = near.filter_map(gateway_of).collect();
            let what = if near.is_empty() {
                format!("does not scrape {gateway}")
            } else {
                format!("does not scrape {gateway} by that address; of job {GATEWAY_JOB} it scrapes {}", list(near))
            };
            found.push(place.broken(
                "scrapes-gateway",
                what,
                "add it under scrape_configs as \"jobmon generate scrape-config\" writes it, and reload Prometheus",
            ));
        }
        for target in carriers {
            found.push(health(place, gateway, target));
            found.extend(labelling(place, prometheus, target));
            let pool = &target.pool;
            found.extend(match jobs.as_ref().and_then(|jobs| jobs.get(pool)) {
                Some(true) => Some(place.fine("honor-labels", format!("scrape job {pool} has honor_labels on"))),
                Some(false) => Some(place.broken(
                    "honor-labels",
                    format!("scrape job {pool} has no honor_labels: job and instance of every group are lost"),
                    format!("add \"honor_labels: true\" to the scrape job {pool}, and reload Prometheus"),
                )),
                None => None,
            });
        }
    }
    found
}

fn health(place: &Place, gateway: &str, target: &ScrapeTarget) -> Finding {
    const CHECK: &str = "scrapes-gateway";
    match target.health {
        Health::Good => place.fine(CHECK, format!("scrapes {gateway} (scrape job {})", target.pool)),
        Health::Unknown => place.warning(
            CHECK,
            format!("has not scraped {gateway} yet (scrape job {})", target.pool),
            "wait for the scrape interval and ask again",
        ),
        Health::Bad => place.broken(
            CHECK,
            format!("cannot scrape {gateway}: {}", one_line(&target.last_error)),
            "if the gateway is fine above, look at what lies between: credentials, TLS, firewall of Prometheus",
        ),
    }
}

/// Whether the rules recognise the target.
fn labelling(place: &Place, prometheus: &ObservedPrometheus, target: &ScrapeTarget) -> Option<Finding> {
    const CHECK: &str = "target-labels";
    let job = target.labels.get("job").map_or("", String::as_str);
    if job != GATEWAY_JOB {
        return Some(place.warning(
            CHECK,
            format!("the target's job is {job:?}: rules about gateways look for {GATEWAY_JOB:?}"),
            format!("name the scrape job {GATEWAY_JOB}, or set the target label job by relabelling"),
        ));
    }
    let lacks_label = prometheus.gateways.len() > 1 && !target.labels.contains_key(GATEWAY_LABEL);
    lacks_label.then(|| {
        place.warning(
            CHECK,
            format!("the target has no label {GATEWAY_LABEL}: copies of a group on two gateways get mixed up"),
            "add the relabelling that \"jobmon generate scrape-config\" writes",
        )
    })
}

/// Which scrape jobs of a configuration have `honor_labels` on. Prometheus writes each key on a line of its own.
fn honoring_jobs(yaml: &str) -> BTreeMap<String, bool> {
    let mut jobs = BTreeMap::new();
    let mut current: Option<(usize, String)> = None;
    for line in yaml.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(name) = text.strip_prefix("- job_name: ") {
            let name = name.trim().trim_matches(['"', '\'']).to_owned();
            jobs.insert(name.clone(), false);
            current = Some((indent + 2, name));
        } else if let Some((depth, name)) = &current
            && indent == *depth
            && text.trim_end() == "honor_labels: true"
        {
            jobs.insert(name.clone(), true);
        }
    }
    jobs
}

/// Whether the groups that arrived at the gateways can be found, under the labels that they have.
fn visible(place: &Place, prometheus: &ObservedPrometheus, series: &[SeriesLabels]) -> Vec<Finding> {
    const CHECK: &str = "groups-visible";
    let (mut seen, mut renamed, mut missing, mut waiting) = (0, Vec::new(), Vec::new(), 0);
    for group in prometheus.own.iter().filter(|own| own.delivered) {
        if series.iter().any(|labels| shows(labels, &group.key, "")) {
            seen += 1;
        } else if series.iter().any(|labels| shows(labels, &group.key, "exported_")) {
            renamed.push(&group.key);
        } else if is_awaited(prometheus, group) {
            waiting += 1;
        } else {
            missing.push(&group.key);
        }
    }
    let mut found = Vec::new();
    if !renamed.is_empty() {
        found.push(place.broken(
            CHECK,
            format!(
                "shows {} of this host as exported_job, exported_instance: {}",
                count(renamed.len(), "group"),
                list(renamed)
            ),
            "set honor_labels: true in the scrape job of the gateways, and reload Prometheus",
        ));
    }
    if !missing.is_empty() {
        found.push(place.broken(
            CHECK,
            format!("does not show {} of this host: {}", count(missing.len(), "group"), list(missing)),
            "see that it scrapes the gateway that holds them, and that no relabelling drops or renames them",
        ));
    }
    if seen > 0 {
        found.push(place.fine(CHECK, format!("shows {} of this host under the right labels", count(seen, "group"))));
    }
    if waiting > 0 {
        found.push(place.fine(CHECK, format!("{} not scraped since the last push", count(waiting, "group"))));
    }
    found
}

/// Whether a series has all labels of the group; those that a target has too may be renamed with `prefix`.
fn shows(labels: &SeriesLabels, key: &GroupingKey, prefix: &str) -> bool {
    let has = |name: &str, value: &str| {
        labels.get(name).is_some_and(|shown| shown == value)
            || (!prefix.is_empty() && labels.get(&format!("{prefix}{name}")).is_some_and(|shown| shown == value))
    };
    key.all_labels().into_iter().all(|(name, value)| has(name, value))
}

/// Whether the gateway was not scraped since the group arrived there.
fn is_awaited(prometheus: &ObservedPrometheus, group: &OwnGroup) -> bool {
    let Some(settled_at) = group.settled_at else { return false };
    let Some(Ok(targets)) = &prometheus.targets else { return false };
    let url = normal(&group.gateway);
    let mut carriers = targets.iter().filter(|target| gateway_of(target) == url).peekable();
    carriers.peek().is_some() && carriers.all(|target| target.last_scrape.is_none_or(|last| last <= settled_at))
}

fn loaded(place: &Place, loaded: &[LoadedRule]) -> Vec<Finding> {
    let alerts: BTreeSet<&str> = loaded.iter().filter(|rule| rule.alerts).map(|rule| rule.name.as_str()).collect();
    // One alert has two names, of which either will do.
    let names = rules::alert_names(&rules::RuleOptions::default());
    let legacy = rules::alert_names(&rules::RuleOptions { legacy_names: true, ..rules::RuleOptions::default() });
    let pairs = names.iter().zip(&legacy);
    let missing: Vec<&String> = pairs
        .filter(|(name, legacy)| !alerts.contains(name.as_str()) && !alerts.contains(legacy.as_str()))
        .map(|(name, _)| name)
        .collect();
    const CHECK: &str = "rules-loaded";
    let next = "jobmon generate rules > jobmon.rules.yml, name it under rule_files, and reload Prometheus";
    let mut found = Vec::new();
    found.push(if missing.is_empty() {
        place.fine(CHECK, format!("all {} alerts of \"jobmon generate rules\" are loaded", names.len()))
    } else if missing.len() < names.len() {
        place.warning(CHECK, format!("{} of jobmon not loaded: {}", count(missing.len(), "alert"), list(missing)), next)
    } else if loaded.iter().any(|rule| rule.alerts && rule.query.contains("script_")) {
        place.warning(CHECK, "has alerts on jobs, but none of \"jobmon generate rules\"", next)
    } else {
        place.broken(CHECK, "has no alerts on jobs: nobody is told of a failure", next)
    });
    for rule in loaded.iter().filter(|rule| rule.health == Health::Bad && concerns_jobs(rule, &names)) {
        found.push(place.broken(
            "rules-healthy",
            format!("rule {} cannot be evaluated: {}", rule.name, one_line(&rule.last_error)),
            "generate the rules anew, and look for two groups that show the same series",
        ));
    }
    let firing = loaded.iter().filter(|rule| rule.firing > 0 && concerns_jobs(rule, &names));
    let firing: Vec<String> = firing.map(|rule| format!("{} ({})", rule.name, rule.firing)).collect();
    found.push(match firing.as_slice() {
        [] => place.fine("alerts-firing", "no alert on jobs or gateways fires"),
        firing => {
            place.fine("alerts-firing", format!("firing: {}; see {}/alerts", firing.join(", "), place_url(place)))
        }
    });
    found
}

fn place_url(place: &Place) -> &str {
    place.subject.as_deref().unwrap_or_default()
}

/// Whether a rule is about jobs or gateways, and not about something else that this server watches.
fn concerns_jobs(rule: &LoadedRule, names: &[String]) -> bool {
    names.contains(&rule.name)
        || ["script_", "push_time_seconds", "push_failure_time_seconds", "pushgateway_"]
            .iter()
            .any(|metric| rule.query.contains(metric))
}

fn receivers(alertmanagers: &[ObservedAlertmanager]) -> Vec<Finding> {
    const CHECK: &str = "known";
    if alertmanagers.is_empty() {
        return vec![Place::of(Area::Alertmanager).broken(
            CHECK,
            "Prometheus knows no Alertmanager: alerts fire and reach nobody",
            "name one under \"alerting:\"; \"jobmon generate alertmanager\" writes a configuration for it",
        )];
    }
    alertmanagers.iter().map(receiver).collect()
}

fn receiver(alertmanager: &ObservedAlertmanager) -> Finding {
    const CHECK: &str = "reached";
    let place = Place::at(Area::Alertmanager, &alertmanager.url);
    let failures = alertmanager.failures.unwrap_or_default();
    let times = if failures == 1.0 { "once".to_owned() } else { format!("{failures} times") };
    let next = "see that it runs and that Prometheus may connect (/etc/prometheus, section \"alerting\")";
    match &alertmanager.answers {
        Ok(()) if failures == 0.0 => place.fine(CHECK, "known to Prometheus, and answers"),
        Ok(()) => place.warning(
            CHECK,
            format!("answers, but Prometheus failed to send to it {times} since its start"),
            "if that number grows (prometheus_notifications_errors_total), look at the log of Prometheus",
        ),
        Err(reason) if failures > 0.0 => {
            place.broken(CHECK, format!("Prometheus failed to send to it {times}; from here: {reason}"), next)
        }
        Err(reason) => place.warning(CHECK, format!("does not answer this host: {reason}"), next),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::Severity::{self, Broken, Warning};
    use crate::grouping::{LabelName, LabelValue};

    const CONFIG: &str = "global:\n  scrape_interval: 1m\nscrape_configs:\n\
        - job_name: pushgateway\n  honor_labels: true\n  honor_timestamps: true\n\
        - job_name: 'other one'\n  honor_timestamps: true\n  static_configs:\n  - targets:\n    - a:1\n";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
    }

    fn labels(labels: &[(&str, &str)]) -> SeriesLabels {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn own() -> OwnGroup {
        let label = (LabelName::new("instance").unwrap(), LabelValue::new("h").unwrap());
        let key = GroupingKey::new(LabelValue::new("j").unwrap(), [label]);
        OwnGroup { key, gateway: "http://gw:9091".into(), delivered: true, settled_at: Some(at(0)) }
    }

    fn target() -> ScrapeTarget {
        ScrapeTarget {
            pool: "pushgateway".into(),
            url: "http://gw:9091/metrics".into(),
            labels: labels(&[("job", "pushgateway"), ("instance", "gw:9091")]),
            health: Health::Good,
            last_error: String::new(),
            last_scrape: Some(at(10)),
        }
    }

    fn all_rules() -> Vec<LoadedRule> {
        let names = rules::alert_names(&rules::RuleOptions { legacy_names: true, ..rules::RuleOptions::default() });
        names
            .into_iter()
            .map(|name| LoadedRule { name, alerts: true, health: Health::Good, ..LoadedRule::default() })
            .collect()
    }

    fn good() -> ObservedPrometheus {
        let alertmanager = ObservedAlertmanager { url: "http://am".into(), failures: Some(0.0), answers: Ok(()) };
        ObservedPrometheus {
            url: "http://p:9090".into(),
            readiness: Ok((Readiness { status: 200, date: Some(at(0)), words: String::new() }, at(0))),
            version: Some(Ok("2.42.0".into())),
            targets: Some(Ok(vec![target()])),
            configuration: Some(Ok(CONFIG.into())),
            rules: Some(Ok(all_rules())),
            series: Some(Ok(vec![labels(&[("job", "j"), ("instance", "h"), ("pushgateway", "gw:9091")])])),
            alertmanagers: Some(Ok(vec![alertmanager])),
            gateways: vec!["http://gw:9091".into()],
            own: vec![own()],
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut ObservedPrometheus), expected: &[(&str, Severity, &str)]) {
        let mut prometheus = good();
        change(&mut prometheus);
        crate::doctor::checks::tests::check(&findings(&prometheus), expected);
    }

    fn with_target(change: impl FnOnce(&mut ScrapeTarget)) -> impl FnOnce(&mut ObservedPrometheus) {
        move |prometheus| change(&mut prometheus.targets.as_mut().unwrap().as_mut().unwrap()[0])
    }

    #[test]
    fn the_way_to_prometheus_has_its_causes() {
        check(|_| {}, &[]);
        let outage = Outage::time("connection refused");
        check(|it| it.readiness = Err(outage), &[("reachable", Broken, "connection refused")]);
        let late = |it: &mut ObservedPrometheus| it.readiness.as_mut().unwrap().1 = at(60);
        check(late, &[("clock", Warning, "1m00s behind")]);
        let version = |error| move |it: &mut ObservedPrometheus| it.version = Some(Err(error));
        check(version(QueryError::Unauthorised(401)), &[("authorised", Broken, "USER:PASSWORD")]);
        check(version(QueryError::Refused("404".into())), &[("prometheus", Broken, "this is no Prometheus: 404")]);
        let no_targets = |it: &mut ObservedPrometheus| it.targets = Some(Err(QueryError::Unauthorised(403)));
        check(no_targets, &[("scrapes-gateway", Warning, "does not say: 403")]);
    }

    #[test]
    fn scraping_has_its_causes() {
        let none = |it: &mut ObservedPrometheus| it.targets = Some(Ok(Vec::new()));
        check(none, &[("scrapes-gateway", Broken, "does not scrape http://gw:9091 /")]);
        let elsewhere = with_target(|target| target.url = "http://x:1/metrics".into());
        check(elsewhere, &[("scrapes-gateway", Broken, "by that address; of job pushgateway it scrapes http://x:1 /")]);
        let down = with_target(|target| {
            target.health = Health::Bad;
            target.last_error = "server returned HTTP status 500".into();
        });
        check(down, &[("scrapes-gateway", Broken, "status 500")]);
        let new = with_target(|target| target.health = Health::Unknown);
        check(new, &[("scrapes-gateway", Warning, "not scraped")]);
        let pool = with_target(|target| target.pool = "other one".into());
        check(pool, &[("honor-labels", Broken, "other one has no honor_labels")]);
        let job = with_target(|target| _ = target.labels.insert("job".into(), "push".into()));
        check(job, &[("target-labels", Warning, "\"push\"")]);
        let two = |it: &mut ObservedPrometheus| it.gateways.push("http://gw:9091/".into());
        let expected = ("target-labels", Warning, "no label pushgateway");
        check(two, &[expected, expected]);
    }

    #[test]
    fn a_configuration_tells_which_jobs_honor_labels() {
        let expected = BTreeMap::from([("pushgateway".to_owned(), true), ("other one".to_owned(), false)]);
        assert_eq!(honoring_jobs(CONFIG), expected);
        assert_eq!(honoring_jobs("honor_labels: true\n"), BTreeMap::new());
    }

    #[test]
    fn visibility_has_its_causes() {
        let shows = |series: Vec<SeriesLabels>| move |it: &mut ObservedPrometheus| it.series = Some(Ok(series));
        check(shows(Vec::new()), &[("groups-visible", Broken, "does not show 1 group of this host: {job=\"j\"")]);
        let other = labels(&[("job", "j"), ("instance", "x")]);
        check(shows(vec![other]), &[("groups-visible", Broken, "does not show")]);
        let exported =
            labels(&[("exported_job", "j"), ("exported_instance", "h"), ("job", "pushgateway"), ("instance", "gw")]);
        check(shows(vec![exported]), &[("groups-visible", Broken, "honor_labels: true")]);
        let early = |it: &mut ObservedPrometheus| {
            it.series = Some(Ok(Vec::new()));
            it.own[0].settled_at = Some(at(11));
        };
        check(early, &[]);
    }

    #[test]
    fn rules_have_their_causes() {
        let with = |rules: Vec<LoadedRule>| move |it: &mut ObservedPrometheus| it.rules = Some(Ok(rules));
        check(with(Vec::new()), &[("rules-loaded", Broken, "nobody is told")]);
        let own =
            LoadedRule { name: "A".into(), alerts: true, query: "script_result == 0".into(), ..LoadedRule::default() };
        check(with(vec![own]), &[("rules-loaded", Warning, "none of \"jobmon generate rules\"")]);
        check(with(all_rules().split_off(1)), &[("rules-loaded", Warning, "1 alert of jobmon not loaded")]);
        let mut sick = all_rules();
        (sick[0].health, sick[0].last_error) = (Health::Bad, "many-to-many matching".into());
        check(with(sick), &[("rules-healthy", Broken, "many-to-many matching")]);
        let foreign = LoadedRule { name: "X".into(), health: Health::Bad, query: "up".into(), ..LoadedRule::default() };
        check(with(all_rules().into_iter().chain([foreign]).collect()), &[]);
        let mut it = good();
        let Some(Ok(rules)) = &mut it.rules else { panic!("a good server has rules") };
        rules[0].firing = 2;
        let expected = format!("firing: {} (2); see http://p:9090/alerts", rules[0].name);
        assert!(findings(&it).iter().any(|finding| finding.what == expected), "{expected}");
    }

    #[test]
    fn alertmanagers_have_their_causes() {
        let with = |failures, answers: Result<(), String>| {
            let alertmanager = ObservedAlertmanager { url: "http://am".into(), failures, answers };
            move |it: &mut ObservedPrometheus| it.alertmanagers = Some(Ok(vec![alertmanager]))
        };
        check(|it| it.alertmanagers = Some(Ok(Vec::new())), &[("known", Broken, "knows no Alertmanager")]);
        check(with(None, Ok(())), &[]);
        check(with(Some(1.0), Ok(())), &[("reached", Warning, "once")]);
        check(with(Some(0.0), Err("connection refused".into())), &[("reached", Warning, "connection refused")]);
        check(with(Some(3.0), Err("connection refused".into())), &[("reached", Broken, "3 times")]);
    }
}
