//! One gateway as this host sees it.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::{clock, complaint, list};
use crate::doctor::{Area, Finding, OwnGroup, Place, Severity};
use crate::grouping::GroupingKey;
use crate::janitor::group::RemoteGroup;
use crate::sinks::pushgateway::{ComplaintKind, GatewayStatus, Outage, RawKey, ReadError, Readiness};
use crate::text::count;

/// More samples than this make every push by anybody slow: a push takes time in proportion to all of them.
const MANY_SAMPLES: u64 = 100_000;

/// Everything that was seen of one gateway. What was not asked, because an earlier answer made it pointless, is `None`.
#[derive(Clone, Debug)]
pub struct ObservedGateway {
    /// Its URL, without credentials.
    pub url: String,
    /// Why it cannot even be asked: a file that cannot be read, a header that cannot be sent.
    pub setup: Result<(), String>,
    /// What is questionable about its secrets.
    pub warnings: Vec<String>,
    /// Whether somebody answers, and this host's time when he did.
    pub readiness: Option<Result<(Readiness, SystemTime), Outage>>,
    /// Whether it is a Pushgateway, and how it is set up.
    pub status: Option<Result<GatewayStatus, ReadError>>,
    /// Whether it has shown by refusing a push that it is a Pushgateway; asked where nobody may read its status.
    pub proof: Option<Result<(), Outage>>,
    /// The start times of several answers over connections of their own.
    pub start_times: BTreeSet<String>,
    /// The start time that this host knew it by.
    pub known_start_time: Option<String>,
    /// Whether it can be scraped, and so pushed to.
    pub scrape: Option<Result<(), ReadError>>,
    /// What it holds.
    pub held: Option<Result<HeldGroups, String>>,
    /// The groups of this host that are or should be there.
    pub own: Vec<OwnGroup>,
}

/// What a gateway holds.
#[derive(Clone, Debug, Default)]
pub struct HeldGroups {
    /// How many groups.
    pub groups: usize,
    /// How many samples.
    pub samples: u64,
    /// The groups that disable it.
    pub poison: Vec<RemoteGroup>,
    /// The groups whose last push was refused, ghosts included.
    pub refused: Vec<RawKey>,
    /// Groups of this host of which it knows the name only, because every push to them was refused.
    pub own_ghosts: Vec<GroupingKey>,
    /// Groups of this host that it holds.
    pub own: BTreeSet<RawKey>,
}

impl ObservedGateway {
    /// Whether several gateways answer under this URL.
    pub fn is_several(&self) -> bool {
        self.start_times.len() > 1
    }

    /// Whether it was started anew since this host last asked it; none where that cannot be known.
    pub fn was_restarted(&self) -> bool {
        let Some(Ok(status)) = &self.status else { return false };
        !self.is_several() && self.known_start_time.as_ref().is_some_and(|known| *known != status.start_time)
    }
}

/// What is to be said of a gateway, in the order in which one thing rests on another.
pub fn findings(gateway: &ObservedGateway) -> Vec<Finding> {
    let place = Place::at(Area::Gateway, &gateway.url);
    let mut found: Vec<Finding> = gateway.warnings.iter().map(|warning| complaint(&place, warning)).collect();
    if let Err(reason) = &gateway.setup {
        found.push(place.broken(
            "secrets",
            reason,
            "fix that file or setting; \"jobmon config\" says where it is named",
        ));
        return found;
    }
    let Some(readiness) = &gateway.readiness else { return found };
    let only_takes_pushes = matches!(gateway.proof, Some(Ok(())));
    let first = match readiness {
        Err(outage) => reachable(&place, Err(&outage.reason)),
        Ok(_) if only_takes_pushes => reachable(&place, Ok(())),
        Ok((readiness, _)) if matches!(readiness.status, 401 | 403 | 407) => unauthorised(&place, readiness.status),
        Ok((readiness, _)) => reachable(&place, answers(readiness).as_deref().map_or(Ok(()), Err)),
    };
    let goes_on = first.severity == Severity::Fine;
    found.push(first);
    if let Ok((readiness, then)) = readiness
        && let Some(date) = readiness.date
    {
        found.push(clock(&place, date, *then));
    }
    if !goes_on {
        return found;
    }
    if only_takes_pushes {
        found.push(place.fine("pushgateway", "takes pushes as a Pushgateway does"));
        found.push(place.warning(
            "samples",
            "lets this host push and not read",
            "let this host read /metrics and /api/v1 there: without, a new group's past is not known, and nothing can be cleared",
        ));
        return found;
    }
    match &gateway.status {
        Some(Ok(status)) => found.extend(setup(&place, gateway, status)),
        Some(Err(error)) => found.push(place.broken(
            "pushgateway",
            format!(
                "does not answer as a Pushgateway (1.2 or later) does: {}",
                match &gateway.proof {
                    Some(Err(outage)) => &outage.reason as &dyn std::fmt::Display,
                    _ => error,
                }
            ),
            "name the gateway's own URL, with the path under which a proxy serves it",
        )),
        None => {}
    }
    match &gateway.scrape {
        Some(Ok(())) => found.push(place.fine("accepts-pushes", "can be scraped, so it takes pushes")),
        Some(Err(ReadError::Poisoned(poison))) => {
            let poisonous = gateway.held.as_ref().and_then(|held| held.as_ref().ok()).map(|held| &held.poison);
            let culprits = poisonous.map(|groups| list(groups.iter().map(|group| &group.key))).unwrap_or_default();
            let is_conflict = poison.complaints.iter().any(|complaint| complaint.kind == ComplaintKind::TypeConflict);
            let next = match culprits.as_str() {
                "" if is_conflict => {
                    "clear one side of the conflict: \"jobmon list\" shows who pushes such metrics".into()
                }
                "" => "find the group with \"jobmon list\" and clear it".into(),
                culprits => format!("\"jobmon doctor --fix\" or \"jobmon clear --poisoned\" deletes {culprits}"),
            };
            found.push(place.broken("accepts-pushes", format!("takes no pushes and no scrapes: {poison}"), next));
        }
        Some(Err(ReadError::Unavailable(outage))) => found.push(place.broken(
            "accepts-pushes",
            format!("cannot be scraped: {outage}"),
            "see its log; pushes are taken only while a scrape works",
        )),
        None => {}
    }
    match &gateway.held {
        Some(Ok(held)) => found.extend(contents(&place, gateway, held)),
        Some(Err(reason)) => found.push(place.warning(
            "samples",
            format!("what it holds cannot be read: {reason}"),
            "let this host read /api/v1/metrics there: \"jobmon clear\" and --fix need it",
        )),
        None => {}
    }
    found
}

/// Why the answer to the first question is no good; none if it is.
fn answers(readiness: &Readiness) -> Option<String> {
    match readiness.status {
        500 => Some(format!("answers 500 with {}", readiness.words)),
        502..=504 => Some(format!("the proxy in front of it answers {}: nobody behind it does", readiness.status)),
        _ => None,
    }
}

fn reachable(place: &Place, answer: Result<(), &str>) -> Finding {
    match answer {
        Ok(()) => place.fine("reachable", "answers"),
        Err(reason) => place.broken(
            "reachable",
            format!("does not answer as it should: {reason}"),
            "see that it runs and that this host may connect; results wait in the registry meanwhile",
        ),
    }
}

fn unauthorised(place: &Place, status: u16) -> Finding {
    let what = format!("{status}: it wants other credentials");
    place.broken(
        "authorised",
        what,
        "check user and password, or the token: \"jobmon config\" says where they are from",
    )
}

/// How it is set up.
fn setup(place: &Place, gateway: &ObservedGateway, status: &GatewayStatus) -> Vec<Finding> {
    let mut found = vec![place.fine("pushgateway", format!("Pushgateway {}", status.version))];
    if gateway.is_several() {
        found.push(place.broken(
            "load-balancer",
            format!("{} gateways answer in turn: groups land on any of them, and stay", gateway.start_times.len()),
            "name each gateway by its own URL (-g A -g B): jobmon spreads the groups over them itself",
        ));
    }
    if gateway.was_restarted() {
        found.push(place.warning(
            "restarted",
            format!("was restarted since this host last asked it (at {})", status.start_time),
            "\"jobmon flush\" or \"jobmon doctor --fix\" sends again what it may have forgotten",
        ));
    }
    found.push(match status.checks_pushes() {
        true => place.fine("consistency-check", "checks pushes before it takes them"),
        false => place.warning(
            "consistency-check",
            "does not check pushes (--push.disable-consistency-check): a bad one breaks every scrape",
            "start it without that flag, unless it holds too much for checking",
        ),
    });
    found.push(match status.is_persistent() {
        true => place.fine("persistence", "keeps its groups over a restart"),
        false => place.warning(
            "persistence",
            "keeps nothing over a restart: until each job runs again or is flushed, its alerts are silent",
            "start it with --persistence.file=FILE on a disk that stays",
        ),
    });
    found
}

fn contents(place: &Place, gateway: &ObservedGateway, held: &HeldGroups) -> Vec<Finding> {
    let mut found = Vec::new();
    let holds = format!("{} in {}", count(held.samples as usize, "sample"), count(held.groups, "group"));
    found.push(if held.samples > MANY_SAMPLES {
        place.warning(
            "samples",
            format!("holds {holds}: every push takes time in proportion to all of them"),
            "clear what is not needed (\"jobmon clear --older-than 14d --dry-run\"), or add a gateway",
        )
    } else {
        place.fine("samples", format!("holds {holds}"))
    });
    // A gateway that refuses everybody has refused the last push to every group: nothing to be said of each.
    if !matches!(gateway.scrape, Some(Err(ReadError::Poisoned(_)))) {
        found.extend(refusals(place, gateway, held));
    }
    let is_missing = |own: &&OwnGroup| own.delivered && !held.own.contains(&RawKey::from(&own.key));
    let missing: Vec<&OwnGroup> = gateway.own.iter().filter(is_missing).collect();
    if !(missing.is_empty() || gateway.is_several() || gateway.was_restarted()) {
        let names = list(missing.iter().map(|own| &own.key));
        found.push(place.warning(
            "groups-present",
            format!("does not hold {} of this host that arrived there: {names}", count(missing.len(), "group")),
            "find out who deleted them; the next run of each brings it back",
        ));
    } else if gateway.own.iter().any(|own| own.delivered) && missing.is_empty() {
        found.push(place.fine("groups-present", format!("holds {} of this host", count(held.own.len(), "group"))));
    }
    found
}

fn refusals(place: &Place, gateway: &ObservedGateway, held: &HeldGroups) -> Vec<Finding> {
    let mut found = Vec::new();
    if !held.own_ghosts.is_empty() {
        found.push(place.warning(
            "ghosts",
            format!("holds empty groups of this host, left by refused pushes: {}", list(&held.own_ghosts)),
            "\"jobmon doctor --fix\" deletes them",
        ));
    }
    let mine = |key: &&RawKey| gateway.own.iter().any(|own| RawKey::from(&own.key) == **key);
    let ghosts: Vec<RawKey> = held.own_ghosts.iter().map(RawKey::from).collect();
    let (own, others): (Vec<&RawKey>, Vec<&RawKey>) =
        held.refused.iter().filter(|key| !ghosts.contains(key)).partition(mine);
    if !own.is_empty() {
        found.push(place.warning(
            "push-failures",
            format!("refused the last push to {} of this host: {}", count(own.len(), "group"), list(own)),
            "\"jobmon flush -v\" tries again and says why",
        ));
    }
    if !others.is_empty() {
        found.push(place.warning(
            "push-failures",
            format!("refused the last push to {} of others: {}", count(others.len(), "group"), list(others)),
            "tell who pushes them; \"jobmon clear --ghost\" removes those that never held anything",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::doctor::Severity::{Broken, Warning};
    use crate::grouping::LabelValue;
    use crate::sinks::pushgateway::{Complaint, Poison};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
    }

    fn status(flags: &[(&str, &str)]) -> GatewayStatus {
        let all = [("persistence.file", "/f"), ("push.disable-consistency-check", "false")].iter().chain(flags);
        let flags: BTreeMap<String, String> = all.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        GatewayStatus { version: "1.5.1".into(), start_time: "t1".into(), flags }
    }

    fn own(delivered: bool) -> OwnGroup {
        let key = GroupingKey::new(LabelValue::new("b").unwrap(), []);
        OwnGroup { key, gateway: "http://a".into(), delivered, settled_at: None }
    }

    fn good() -> ObservedGateway {
        let held =
            HeldGroups { groups: 1, samples: 20, own: [RawKey::new([("job", "b")])].into(), ..HeldGroups::default() };
        ObservedGateway {
            url: "http://a".into(),
            setup: Ok(()),
            warnings: Vec::new(),
            readiness: Some(Ok((Readiness { status: 200, date: Some(at(0)), words: "\"OK\"".into() }, at(1)))),
            status: Some(Ok(status(&[]))),
            proof: None,
            start_times: ["t1".to_owned()].into(),
            known_start_time: Some("t1".into()),
            scrape: Some(Ok(())),
            held: Some(Ok(held)),
            own: vec![own(true)],
        }
    }

    fn outage(reason: &str) -> Outage {
        Outage::setting(reason)
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut ObservedGateway), expected: &[(&str, Severity, &str)]) {
        let mut gateway = good();
        change(&mut gateway);
        crate::doctor::checks::tests::check(&findings(&gateway), expected);
    }

    fn answer(status: u16) -> impl FnOnce(&mut ObservedGateway) {
        move |gateway| {
            let readiness = Readiness { status, date: None, words: "\"write queue is full\"".into() };
            gateway.readiness = Some(Ok((readiness, at(0))));
        }
    }

    fn held(change: impl FnOnce(&mut HeldGroups)) -> impl FnOnce(&mut ObservedGateway) {
        move |gateway| change(gateway.held.as_mut().unwrap().as_mut().unwrap())
    }

    #[test]
    fn the_way_to_a_gateway_has_its_causes() {
        check(|_| {}, &[]);
        let file = Err("/p: No such file or directory".to_owned());
        check(|gateway| gateway.setup = file, &[("secrets", Broken, "/p: No such file")]);
        let refused = Some(Err(outage("connection refused")));
        check(|gateway| gateway.readiness = refused, &[("reachable", Broken, "connection refused")]);
        check(answer(401), &[("authorised", Broken, "/ check user and password")]);
        check(answer(403), &[("authorised", Broken, "403")]);
        check(answer(500), &[("reachable", Broken, "write queue is full")]);
        check(answer(502), &[("reachable", Broken, "nobody behind it")]);
        let late = |gateway: &mut ObservedGateway| gateway.readiness.as_mut().unwrap().as_mut().unwrap().1 = at(3600);
        check(late, &[("clock", Broken, "1h00m behind")]);
        let foreign = |gateway: &mut ObservedGateway| {
            gateway.status = Some(Err(ReadError::Unavailable(outage("404, no Pushgateway under this URL"))));
            (gateway.scrape, gateway.held) = (None, None);
        };
        check(foreign, &[("pushgateway", Broken, "does not answer as a Pushgateway")]);
        let stranger = |gateway: &mut ObservedGateway| {
            foreign(gateway);
            gateway.proof = Some(Err(outage("204 to what no Pushgateway takes")));
        };
        check(stranger, &[("pushgateway", Broken, "204 to what no Pushgateway takes")]);
        let only_pushes = |gateway: &mut ObservedGateway| {
            answer(403)(gateway);
            gateway.proof = Some(Ok(()));
        };
        check(only_pushes, &[("samples", Warning, "lets this host push and not read")]);
    }

    #[test]
    fn a_poisoned_gateway_names_its_culprit() {
        let bad = RawKey::new([("job", b"b\xff".as_slice())]);
        let complaint =
            Complaint { metric: "push_time_seconds".into(), labels: bad.clone(), kind: ComplaintKind::InvalidUtf8 };
        let poison = Poison { complaints: vec![complaint], text: "x".into() };
        let scrape = Some(Err(ReadError::Poisoned(poison)));
        let group = RemoteGroup { key: bad, ..crate::janitor::group::tests::group(&[("job", "x")], 0) };
        let poisoned = |gateway: &mut ObservedGateway| {
            gateway.scrape = scrape;
            gateway.held.as_mut().unwrap().as_mut().unwrap().poison = vec![group];
        };
        check(poisoned, &[("accepts-pushes", Broken, r#"--poisoned" deletes {job="b\xff"}"#)]);
        let conflict =
            Complaint { metric: "m".into(), labels: RawKey::new::<&str, &[u8]>([]), kind: ComplaintKind::TypeConflict };
        let poison = Poison { complaints: vec![conflict], text: "x".into() };
        let conflicting = |gateway: &mut ObservedGateway| gateway.scrape = Some(Err(ReadError::Poisoned(poison)));
        check(conflicting, &[("accepts-pushes", Broken, "/ clear one side of the conflict")]);
        let cut = |gateway: &mut ObservedGateway| gateway.scrape = Some(Err(ReadError::Unavailable(outage("500"))));
        check(cut, &[("accepts-pushes", Broken, "cannot be scraped: 500")]);
    }

    #[test]
    fn its_setup_has_its_causes() {
        let with = |status: GatewayStatus| move |gateway: &mut ObservedGateway| gateway.status = Some(Ok(status));
        check(with(status(&[("persistence.file", "")])), &[("persistence", Warning, "keeps nothing")]);
        let unchecked = status(&[("push.disable-consistency-check", "true")]);
        check(with(unchecked), &[("consistency-check", Warning, "does not check pushes")]);
        let several = |gateway: &mut ObservedGateway| {
            gateway.start_times.insert("t2".to_owned());
            gateway.known_start_time = Some("t2".into());
            gateway.held.as_mut().unwrap().as_mut().unwrap().own.clear();
        };
        check(several, &[("load-balancer", Broken, "2 gateways answer in turn")]);
        let restarted = |gateway: &mut ObservedGateway| gateway.known_start_time = Some("t0".into());
        check(restarted, &[("restarted", Warning, "/ \"jobmon flush\"")]);
        check(|gateway| gateway.known_start_time = None, &[]);
    }

    #[test]
    fn what_it_holds_has_its_causes() {
        let key = |job: &str| RawKey::new([("job", job)]);
        check(held(|held| held.samples = 100_000), &[]);
        check(held(|held| held.samples = 100_001), &[("samples", Warning, "100001 samples")]);
        check(held(|held| held.own.clear()), &[("groups-present", Warning, "does not hold 1 group")]);
        check(|gateway| gateway.own = vec![own(false)], &[]);
        check(held(|held| held.refused = vec![key("b")]), &[("push-failures", Warning, "of this host: {job=\"b\"}")]);
        check(held(|held| held.refused = vec![key("x")]), &[("push-failures", Warning, "of others: {job=\"x\"}")]);
        let ghost = held(|held| (held.refused, held.own_ghosts) = (vec![key("b")], vec![own(false).key]));
        check(ghost, &[("ghosts", Warning, "{job=\"b\"}")]);
        check(|gateway| gateway.held = Some(Err("cut".into())), &[("samples", Warning, "cannot be read: cut")]);
    }
}
