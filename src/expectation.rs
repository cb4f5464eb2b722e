//! What can be expected of a job: one table, from the flag to the metric.
//!
//! A row here is a flag, a key of configuration files, a variable, a field of the registry, a family that a group has only
//! where somebody configured it, and a series `script:…:newest` for rules. A new one is a variant and a row here; nothing
//! else has to know of it but the rule or panel that makes use of it.
//!
//! A schedule is expected too, but is no amount: it has a grammar and a time zone of its own ([`crate::schedule`]).

use std::time::Duration;

/// Something that is expected of a job, as an amount.
#[allow(missing_docs, reason = "the table below says what each is")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expectation {
    MaxDuration,
    MinDuration,
    ToleratedFailures,
    ExpectedInterval,
    Grace,
    HeartbeatInterval,
    Ttl,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct ExpectationSpec {
    /// Its long flag, without `--`.
    pub flag: &'static str,
    /// Its key in a configuration file and in the registry, which is also what people see it called.
    pub key: &'static str,
    /// Its environment variable, and another spelling that is read too.
    pub variable: (&'static str, Option<&'static str>),
    /// How much it can be.
    pub range: Range,
    /// Under which heading its flag stands in the help.
    pub heading: Heading,
    /// Whether it says something of a job of which nothing else is expected.
    pub stands_alone: bool,
    /// The first line of its help.
    pub about: &'static str,
    /// The rest of it, if there is more to say.
    pub details: &'static str,
    /// The family that tells it, unit included.
    pub family: &'static str,
    /// The help text of the family.
    pub family_help: &'static str,
}

/// How much can be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// A duration that is not zero.
    Duration,
    /// A duration.
    DurationOrZero,
    /// A whole number.
    Count,
}

/// Where a flag stands in the help, and so which subcommands have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// Subcommands that run, record or register a job.
    Expectations,
    /// Subcommands that run a job: it is as much what jobmon does as what is expected.
    Reporting,
}

/// How much is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So long.
    Time(Duration),
    /// So many.
    Number(u32),
}

/// How much is expected of one job; of what is not configured, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts([Option<Amount>; Expectation::ALL.len()]);

impl Expectation {
    /// Every expectation, in the order in which they are shown and exposed.
    pub const ALL: [Self; 7] = [
        Self::MaxDuration,
        Self::MinDuration,
        Self::ToleratedFailures,
        Self::ExpectedInterval,
        Self::Grace,
        Self::HeartbeatInterval,
        Self::Ttl,
    ];

    /// Its row of the table.
    pub const fn spec(self) -> ExpectationSpec {
        match self {
            Self::MaxDuration => ExpectationSpec {
                flag: "max-duration",
                key: "max-duration",
                variable: ("JOBMON_MAX_DURATION", None),
                range: Range::Duration,
                heading: Heading::Expectations,
                stands_alone: true,
                about: "Alert when a run takes longer than this",
                details: "Exported as script_max_duration_seconds; it alerts and ends nothing. See --timeout for a limit \
                          that does.",
                family: "script_max_duration_seconds",
                family_help: "Configured limit: a run of this script that takes longer than this takes too long.",
            },
            Self::MinDuration => ExpectationSpec {
                flag: "min-duration",
                key: "min-duration",
                variable: ("JOBMON_MIN_DURATION", None),
                range: Range::Duration,
                heading: Heading::Expectations,
                stands_alone: true,
                about: "Alert when a successful run takes less time than this",
                details: "A backup that is done after a second has saved nothing. Exported as script_min_duration_seconds; \
                          the result and the exit status stay what they are.",
                family: "script_min_duration_seconds",
                family_help: "Configured limit: a successful run of this script that is shorter than this is suspicious.",
            },
            Self::ToleratedFailures => ExpectationSpec {
                flag: "tolerate",
                key: "tolerate",
                variable: ("JOBMON_TOLERATE", None),
                range: Range::Count,
                heading: Heading::Expectations,
                stands_alone: false,
                about: "Alert only after more than N failures in a row",
                details: "Exported as script_tolerated_failures. Every failure is counted and kept in the history all the \
                          same.",
                family: "script_tolerated_failures",
                family_help: "Configured tolerance: so many consecutive failures of this script are not worth an alert.",
            },
            Self::ExpectedInterval => ExpectationSpec {
                flag: "expect-every",
                key: "expect-every",
                variable: ("JOBMON_EXPECT_EVERY", None),
                range: Range::Duration,
                heading: Heading::Expectations,
                stands_alone: true,
                about: "The job should succeed at least this often",
                details: "",
                family: "script_expected_interval_seconds",
                family_help: "Configured interval: this script should succeed at least this often.",
            },
            Self::Grace => ExpectationSpec {
                flag: "grace",
                key: "grace",
                variable: ("JOBMON_GRACE", None),
                range: Range::DurationOrZero,
                heading: Heading::Expectations,
                stands_alone: false,
                about: "How late a due run may be before it counts as missed",
                details: "",
                family: "script_grace_seconds",
                family_help: "Configured grace: how late a due run of this script may be before it counts as missed.",
            },
            Self::HeartbeatInterval => ExpectationSpec {
                flag: "heartbeat",
                key: "heartbeat",
                variable: ("JOBMON_HEARTBEAT", None),
                range: Range::Duration,
                heading: Heading::Reporting,
                stands_alone: false,
                about: "Report every so often that the job still runs",
                details: "",
                family: "script_heartbeat_interval_seconds",
                family_help: "Configured interval at which this script reports while it runs.",
            },
            Self::Ttl => ExpectationSpec {
                flag: "clear-after",
                key: "ttl",
                variable: ("JOBMON_TTL", Some("JOBMON_CLEAR_AFTER")),
                range: Range::Duration,
                heading: Heading::Reporting,
                stands_alone: false,
                about: "Let \"clear --expired\" delete the group after this long without a push",
                details: "Exported as script_ttl_seconds and honoured by \"jobmon clear --expired\" on any host. While a \
                          run is in progress the group stays, unless the run reported heartbeats and they stopped.",
                family: "script_ttl_seconds",
                family_help: "Configured time to live: this group may be deleted when it was last pushed longer ago than \
                              this.",
            },
        }
    }
}

impl ExpectationSpec {
    /// Whether flag and key are two names, each of which can be written in the place of the other.
    pub const fn has_alias(&self) -> bool {
        self.variable.1.is_some()
    }
}

impl Range {
    /// What an amount counts, for people.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Duration | Self::DurationOrZero => "seconds",
            Self::Count => "runs",
        }
    }

    /// What stands for the value in the help of a flag.
    pub const fn value_name(self) -> &'static str {
        match self {
            Self::Duration | Self::DurationOrZero => "DURATION",
            Self::Count => "N",
        }
    }
}

impl Amounts {
    /// How much of this is expected, if it is.
    pub fn get(&self, expectation: Expectation) -> Option<Amount> {
        self.0[expectation as usize]
    }

    /// The same, of what is a time.
    pub fn time(&self, expectation: Expectation) -> Option<Duration> {
        match self.get(expectation)? {
            Amount::Time(time) => Some(time),
            Amount::Number(_) => None,
        }
    }

    /// Expects so much of this; none: nothing.
    pub fn set(&mut self, expectation: Expectation, amount: Option<Amount>) {
        self.0[expectation as usize] = amount;
    }

    /// These, and so long of this.
    pub fn with_time(mut self, expectation: Expectation, time: Duration) -> Self {
        self.set(expectation, Some(Amount::Time(time)));
        self
    }

    /// These, and of `others` those that are not set here.
    pub fn or(&self, others: &Self) -> Self {
        let mut both = *self;
        for (own, other) in both.0.iter_mut().zip(others.0) {
            *own = own.or(other);
        }
        both
    }

    /// Those that are set, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (Expectation, Amount)> {
        Expectation::ALL.into_iter().filter_map(|expectation| Some((expectation, self.get(expectation)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_its_rows_in_the_order_of_the_enumeration() {
        for (index, expectation) in Expectation::ALL.into_iter().enumerate() {
            assert_eq!(expectation as usize, index, "{expectation:?}");
        }
    }

    #[test]
    fn what_is_set_outweighs_what_is_not() {
        let time = Duration::from_secs;
        let run = Amounts::default().with_time(Expectation::MaxDuration, time(1));
        let registered = Amounts::default()
            .with_time(Expectation::MaxDuration, time(2))
            .with_time(Expectation::Grace, Duration::ZERO);
        let both = run.or(&registered);
        let expected = [(Expectation::MaxDuration, time(1)), (Expectation::Grace, Duration::ZERO)];
        assert_eq!(both.iter().collect::<Vec<_>>(), expected.map(|(what, time)| (what, Amount::Time(time))));
    }
}
