//! Rules about jobs.

use super::{Hold, Rule, RuleOptions, Severity, quoted, selector};
use crate::expectation::Expectation;
use crate::generate::{GATEWAY_JOB, GATEWAY_LABEL};
use crate::grouping::GroupingKey;
use crate::metrics::families::ScriptFamily;

/// Who an alert is about. A group of `--scope service` has no instance.
const WHO: &str = "{{ $labels.script_name }}{{ with $labels.instance }} on {{ . }}{{ end }}";

/// How late a due run may be where no grace is configured: cron, a splay and the push take their time.
const DEFAULT_GRACE: u32 = 300;

/// Gauges of a group whose newest copy is recorded, beside those of what is expected.
const GAUGES: [ScriptFamily; 9] = [
    ScriptFamily::Running,
    ScriptFamily::StartTimestamp,
    ScriptFamily::Duration,
    ScriptFamily::ExitCode,
    ScriptFamily::Result,
    ScriptFamily::LastSuccess,
    ScriptFamily::LastFailure,
    ScriptFamily::ConsecutiveFailures,
    ScriptFamily::NextStart,
];

/// How long a copy counts after it was seen last: a stand-in's copy goes as soon as its home has the state, and Prometheus
/// may look at the stand-in again before it looks at the home. As long as any sample counts without a newer one.
const REMEMBERED: &str = "[5m]";

/// Failures in a row that are still tolerated (`--tolerate`), at any time of a window before now. What had been more than that
/// is none of them, also when a success has ended it since.
fn tolerated(window: &str) -> String {
    format!("max_over_time(script:consecutive_failures:newest[{window}]) <= script:tolerated_failures:newest")
}

/// Recording rules that leave one copy of each group, whichever gateway holds it.
///
/// Each says for itself which copies are outdated: one query sees one moment, and what a rule before it had recorded could
/// lack a copy that was scraped since.
pub(super) fn newest(options: &RuleOptions) -> Vec<Rule> {
    let groups = selector(&options.jobs, &["script_name!=\"\""]);
    let all = selector(&options.jobs, &[]);
    let pushes = format!("last_over_time(push_time_seconds{groups}{REMEMBERED})");
    let newest = |metric: &str, unless: &str| {
        let expr = format!(
            "max without ({GATEWAY_LABEL}) (\n  last_over_time({metric}{all}{REMEMBERED})\n  {unless} (\n    {pushes}\n    \
             < ignoring ({GATEWAY_LABEL}) group_left ()\n    max without ({GATEWAY_LABEL}) ({pushes})\n  )\n)"
        );
        Rule::record(format!("script:{}:newest", metric.trim_start_matches("script_")), expr)
    };
    let pushed =
        Rule::record("script:push_time_seconds:newest", format!("max without ({GATEWAY_LABEL}) ({pushes} > 0)"))
            .comment("0 is no time: such a group only remembers that a push was refused.");
    let expected = Expectation::ALL.map(ScriptFamily::Expected);
    let gauges = GAUGES.into_iter().chain(expected).map(|family| newest(family.name(), "unless"));
    let durations = newest(ScriptFamily::RunDuration.name(), "unless");
    let runs = newest(ScriptFamily::Runs.name(), "unless ignoring (result)");
    std::iter::once(pushed).chain(gauges).chain([durations, runs]).collect()
}

/// Alerts on jobs, with the recordings that only they need.
pub(super) fn alerts(options: &RuleOptions) -> Vec<Rule> {
    let mut rules = vec![
        Rule::alert(
            "ScriptFailed",
            Severity::Warning,
            "script:exit_code:newest and script:result:newest == 0\n\
             unless script:consecutive_failures:newest <= script:tolerated_failures:newest",
            &format!("{WHO} failed (exit {{{{ $value }}}})"),
            "The last finished run did not succeed: 124 it timed out, 126 or 127 it could not be started, 128+n signal n \
             ended it, 255 its jobmon vanished. Resolves with the next success. With --tolerate it waits for more failures in \
             a row than that.",
        )
        .comment(
            "State: the last finished run did not succeed. No `for`: a job that fails every second run would never fire.\n\
             The result decides, not the exit code: a job may have more than one exit code that means success.\n\
             Where nobody knows how many failures in a row there were, none is tolerated.",
        ),
        Rule::alert(
            "ScriptRunFailed",
            Severity::Info,
            format!(
                "(\n  (\n    sum without (result) (increase(script:runs_total:newest{{result=~\"failure|timeout|lost\"}}[15m])) > 0\n      \
                 unless sum without (result) (resets(script:runs_total:newest[15m])) > 0\n  )\n  \
                 or (script:last_failure_timestamp_seconds:newest > time() - 900)\n)\nunless {}",
                tolerated("15m")
            ),
            &format!("a run of {WHO} failed within 15 minutes"),
            "A failure that a later success may already have hidden from the state.",
        )
        .comment(
            "Event. The counter alone misses a first failure that arrives with the first push; the time alone depends on\n\
             the clock of the host. After a counter reset the time alone counts, or old failures would come back.",
        ),
        Rule::alert(
            "ScriptConsecutiveFailures",
            Severity::Critical,
            format!(
                "script:consecutive_failures:newest >= {}\nunless {}",
                options.consecutive_failures,
                "script:consecutive_failures:newest <= script:tolerated_failures:newest"
            ),
            &format!("{WHO} failed {{{{ $value }}}} times in a row"),
            "No run has succeeded since.",
        ),
        Rule::alert(
            "ScriptWarned",
            Severity::Info,
            "(\n  sum without (result) (increase(script:runs_total:newest{result=\"warning\"}[15m])) > 0\n    \
             unless sum without (result) (resets(script:runs_total:newest[15m])) > 0\n)\n\
             or (\n  sum without (result) (script:runs_total:newest{result=\"warning\"}) > 0\n    \
             and sum without (result) (script:runs_total:newest{result!=\"skipped\"}) == 1\n    \
             and script:last_success_timestamp_seconds:newest > time() - 900\n)",
            &format!("a run of {WHO} ended with a warning within 15 minutes"),
            "It ended with one of its --warning-codes: the work is done, and somebody should look at its output.",
        )
        .comment(
            "Event. A counter that is born with the first warning has not increased: the first run of all is known by there\n\
             being no other, and by its time.",
        ),
        Rule::alert(
            "ScriptTooShort",
            Severity::Warning,
            "script:duration_seconds:newest < script:min_duration_seconds:newest\n  and script:result:newest == 1",
            &format!("{WHO} succeeded after only {{{{ $value | humanizeDuration }}}}"),
            "That is shorter than its --min-duration: has it done its work? Resolves with the next run that takes as long.",
        )
        .comment("State, like ScriptFailed. A run that failed early is that alert's."),
    ];
    rules.extend(running(options));
    rules.extend(overdue());
    rules.extend([Rule::alert(
        "ScriptFlapping",
        Severity::Warning,
        format!("changes(script:result:newest[6h]) >= 4\nunless {}", tolerated("6h")),
        &format!("{WHO} changed {{{{ $value }}}} times between success and failure in 6 hours"),
        "It fails again and again and recovers in between.",
    )
    .hold(Hold::KeepFiringFor("1h"))
    .comment("Changes of state, not failed runs.")]);
    rules.extend(groups(options));
    rules
}

/// A run that takes too long or is not there any more, while it "runs".
fn running(options: &RuleOptions) -> Vec<Rule> {
    let limit = match options.default_max_duration {
        None => "script:max_duration_seconds:newest".to_owned(),
        Some(limit) => format!(
            "(script:max_duration_seconds:newest or script:running_seconds:newest * 0 + {})",
            limit.as_secs_f64()
        ),
    };
    vec![
        Rule::record(
            "script:running_seconds:newest",
            "time() - script:start_timestamp_seconds:newest and script:running:newest > 0",
        )
        .comment("How long the run in progress has taken; absent while nothing runs."),
        Rule::alert(
            "ScriptLongRunning",
            Severity::Warning,
            format!("script:running_seconds:newest > {limit}"),
            &format!("{WHO} has been running for {{{{ $value | humanizeDuration }}}}"),
            "That is longer than its --max-duration, or than the default of these rules where it has none.",
        )
        .comment("Fires while it runs. The duration of the last run says nothing before the run has ended."),
        Rule::alert(
            "ScriptLost",
            Severity::Critical,
            "time() - script:push_time_seconds:newest > 3 * script:heartbeat_interval_seconds:newest\n  \
             and script:running:newest > 0",
            &format!("{WHO} claims to run but has not reported for {{{{ $value | humanizeDuration }}}}"),
            "Its host, its jobmon or the network between went away. The run counts as lost once a jobmon on that host \
             finds it gone.",
        )
        .hold(Hold::For("2m"))
        .comment("Three heartbeats are missing. The wait lets a gateway that comes back with old state catch up."),
    ]
}

/// A run that should have been.
fn overdue() -> Vec<Rule> {
    vec![
        Rule::record(
            "script:tolerated_seconds:newest",
            "script:expected_interval_seconds:newest\n  \
             + (script:grace_seconds:newest or script:expected_interval_seconds:newest)\n  \
             + (script:max_duration_seconds:newest or script:expected_interval_seconds:newest * 0)",
        )
        .comment("Without a success: one interval, the grace (where none is given: one more interval), and a run's time."),
        Rule::alert(
            "ScriptOverdue",
            Severity::Critical,
            "time() - (script:last_success_timestamp_seconds:newest > 0) > script:tolerated_seconds:newest",
            &format!("{WHO} last succeeded {{{{ $value | humanizeDuration }}}} ago"),
            "Longer than its --expect-every with its grace allows: it does not run, does not end, or does not succeed.",
        )
        .hold(Hold::For("2m"))
        .comment("0 means never, which is no time since which anything could be late."),
        Rule::alert(
            "ScriptMissedSchedule",
            Severity::Critical,
            format!(
                "time() - script:next_start_timestamp_seconds:newest\n  \
                 > (script:grace_seconds:newest or script:next_start_timestamp_seconds:newest * 0 + {DEFAULT_GRACE})"
            ),
            &format!("{WHO} should have started {{{{ $value | humanizeDuration }}}} ago"),
            "Its --schedule had a time since its last report, and no run reported. Is its host up, and its cron or timer?",
        )
        .hold(Hold::For("2m"))
        .comment("Every report of a job moves the time when it is next due; this one has passed."),
        Rule::record(
            "script:waiting_since:timestamp_seconds",
            "(\n  last_over_time(script:waiting_since:timestamp_seconds[1h])\n  \
             or script:last_success_timestamp_seconds:newest * 0 + time()\n)\n\
             and script:last_success_timestamp_seconds:newest == 0\n\
             unless sum without (result) (script:runs_total:newest{result!=\"skipped\"}) > 0\n\
             unless script:running:newest > 0",
        )
        .comment(
            "Since when a job is known of which no run has begun. It carries on its own last value: a job that is\n\
             registered anew with every deployment does not start from zero each time.",
        ),
        Rule::alert(
            "ScriptNeverRan",
            Severity::Critical,
            "time() - script:waiting_since:timestamp_seconds > script:tolerated_seconds:newest",
            &format!("{WHO} was registered {{{{ $value | humanizeDuration }}}} ago and has never run"),
            "Is it in a crontab or an enabled timer, and does that call jobmon?",
        )
        .hold(Hold::For("2m")),
        Rule::alert(
            "ScriptNeverSucceeded",
            Severity::Critical,
            "script:last_success_timestamp_seconds:newest == 0\n  \
             and sum without (result) (script:runs_total:newest{result!=\"skipped\"}) > 0",
            &format!("{WHO} has run but never succeeded"),
            "No run has succeeded since jobmon knows it.",
        )
        .hold(Hold::For("1h"))
        .comment("The first failure of a new job is ScriptFailed; an hour later it is more than that."),
    ]
}

/// The groups themselves.
fn groups(options: &RuleOptions) -> Vec<Rule> {
    let groups = selector(&options.jobs, &["script_name!=\"\""]);
    let stale_after = options.stale_after.as_secs_f64();
    vec![
        Rule::record(
            "script_copy:last_seen:timestamp_seconds",
            format!(
                "(push_time_seconds{groups} > 0) * 0 + time()\n\
                 or last_over_time(script_copy:last_seen:timestamp_seconds[1h]) > time() - 86400"
            ),
        )
        .comment(
            "When each copy was last there, kept for a day after it vanished. It carries on its own last value, which\n\
             costs an hour of samples in each evaluation; looking a day back would cost a day's.",
        ),
        Rule::record(
            "script:expiry:timestamp_seconds",
            "script:push_time_seconds:newest + script:ttl_seconds:newest\n\
             or (\n  last_over_time(script:expiry:timestamp_seconds[1h]) > time() - 172800\n    \
             unless script:push_time_seconds:newest\n)",
        )
        .comment("When a group with a --ttl may go, remembered when it has gone."),
        Rule::alert(
            "ScriptDisappeared",
            Severity::Warning,
            format!(
                "max without ({GATEWAY_LABEL}) (\n  topk without ({GATEWAY_LABEL}) \
                 (1, script_copy:last_seen:timestamp_seconds)\n    \
                 unless on ({GATEWAY_LABEL}) up{{job=\"{GATEWAY_JOB}\"}} == 0\n)\n\
                 unless script:push_time_seconds:newest\nunless script:expiry:timestamp_seconds < time()"
            ),
            &format!("no metrics any more of {WHO}"),
            "A gateway that restarted without its state, or a group that was cleared. The next run sends it again; after a \
             restart, `jobmon flush` on its host does too. `jobmon unregister` removes a job for good.",
        )
        .hold(Hold::For("30m"))
        .comment("Not while the gateway that had it last is down, nor when its --ttl has passed. Fires for a day."),
        Rule::alert(
            "ScriptPushRejected",
            Severity::Warning,
            format!("push_failure_time_seconds{groups} > push_time_seconds{groups}"),
            &format!("the last push of {WHO} was refused{{{{ with $labels.{GATEWAY_LABEL} }}}} by {{{{ . }}}}{{{{ end }}}}"),
            "The gateway read it and found it inconsistent; `jobmon doctor` says with what.",
        ),
        Rule::alert(
            "ScriptGroupStale",
            Severity::Info,
            format!(
                "time() - script:push_time_seconds:newest\n  \
                 > (script:ttl_seconds:newest or script:push_time_seconds:newest * 0 + {stale_after})\n\
                 unless script:next_start_timestamp_seconds:newest > time()\n\
                 unless time() - script:push_time_seconds:newest < 2 * script:expected_interval_seconds:newest"
            ),
            &format!("the group of {WHO} was last pushed {{{{ $value | humanizeDuration }}}} ago"),
            "If the job is gone: `jobmon unregister` on its host, or `jobmon clear` from anywhere.",
        )
        .comment("Not for a job that is due in the future, nor for one that runs that seldom."),
    ]
}

/// Recordings by day.
pub(super) fn days() -> Vec<Rule> {
    let runs = "sum without (result) (increase(script:runs_total:newest{result!=\"skipped\"}[1d])) > 0";
    vec![
        Rule::record("script:runs:increase1d", "increase(script:runs_total:newest[1d])"),
        Rule::record(
            "script:success_ratio:1d",
            format!(
                "sum without (result) (increase(script:runs_total:newest{{result=~\"success|warning\"}}[1d]))\n  / ({runs})"
            ),
        )
        .comment("Successful runs, with or without a warning, by finished runs; absent where none finished. A skipped run is neither."),
        Rule::record(
            "script:run_duration_seconds:mean1d",
            format!("increase(script:run_duration_seconds_total:newest[1d])\n  / ({runs})"),
        ),
    ]
}

/// The alert for one registered group: no gateway holds it.
pub(super) fn registered(key: &GroupingKey) -> Rule {
    let mut labels: Vec<(String, String)> =
        key.all_labels().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut matchers: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    if key.get("instance").is_none() {
        // A group of that name on some host is another group.
        matchers.push("instance=\"\"".to_owned());
    }
    labels.retain(|(name, _)| name != "severity");
    Rule::alert(
        "ScriptAbsent",
        Severity::Critical,
        format!(
            "absent(push_time_seconds{{{}}})\n  unless on () up{{job=\"{GATEWAY_JOB}\"}} == 0",
            matchers.join(",")
        ),
        &format!("registered but on no gateway: {WHO}"),
        "`jobmon register` or `jobmon flush` on its host sends it again; after `jobmon unregister`, generate these rules again.",
    )
    .hold(Hold::For("15m"))
    .labels(labels)
}
