//! jobmon runs a job unchanged, keeps its result in a local registry, and makes the registry's truth visible in Prometheus.
//!
//! # The flow
//!
//! Facts flow one way; no later stage is imported by an earlier one.
//!
//! ```text
//! argv, environment, files
//!   ─► cli         what was typed                          (clap, data only)
//!   ─► config      default ◄ files ◄ environment ◄ flags   (pure merge; where each value came from)
//!   ─► supervise   the process, its signals and its end    (Execution: raw facts)
//!   ─► record      what the facts mean                     (RunRecord: named and judged)
//!   ─► registry    what is kept on this host               (journal, history, group state, what is owed)
//!   ─► delivery    which gateway is owed which group       (Delivered, Pending, Rejected)
//!   ─► sinks       bytes out                               (Pushgateway, textfile)
//! ```
//!
//! [`run`] is the flow of one run, in two processes: the supervisor, which the caller started and the job depends on, does
//! nothing but [`supervise`]; the reporter, forked from it, does everything from `record` on, and may fail.
//!
//! Outside of the flow: [`janitor`] (list and clear groups of a gateway), [`generate`] (rules, dashboard and other
//! files for the Prometheus side), [`doctor`] (walks the chain and says what is wrong), [`manual`] (manual pages and
//! completions), [`render`] (tables and words for people), [`naming`] (what a command is called), [`shell`] (the shape of a
//! line that a shell reads), [`schedules`] (crontabs: read as their daemons do, and rewritten) and [`service`] (what systemd
//! says of a service that has ended).
//!
//! Shared: [`expectation`] (what a job can be expected to keep to), [`ci`] (what CI systems say of their jobs), [`clock`] (times
//! as they are stored), [`metrics`] (the one model of families and their text format), [`destination`] (the name of a sink),
//! [`declaration`] (from configuration to what a group is told), [`grouping`], [`schedule`], [`regular_file`], [`logging`],
//! [`text`] and [`exit_code`]. [`commands`] holds one straight-line function for each subcommand.
//!
//! # How many rooms something new touches
//!
//! - An expectation: one, a row of [`expectation`]; it is then a flag, a key, a variable, a field of the registry, a family, a
//!   series for rules and a part of the manual. The rule that makes use of it is a second.
//! - A fact of a run: one, a field and a name in [`record::RunFacts`], which journal, history, group and the JSON and CSV of
//!   `status` and `history` keep and show as a whole; beside the room that learns it.
//! - A family that is no expectation: two, a row of [`metrics::families`] and its value in [`delivery`].
//! - A setting: three, a row of `config::setting` with its value in `config` (merged and shown there), its flag in
//!   `cli::settings`, and the room that obeys it.
//! - A subcommand: two, its arguments in [`cli`] and its function in [`commands`].
//! - A sink: four, an arm each of [`destination::Sink`], of the client in [`sinks`] that [`delivery`] makes of it, and of
//!   [`declaration`], which knows from which settings it comes.
//! - A CI system: one, a row of [`ci`].
//!
//! # What is absent
//!
//! - The exit status of `jobmon run` is a function of [`supervise::Execution`] alone: nothing below `supervise` can change it.
//! - From the start of the job to the end of the supervisor, `supervise` calls nothing outside of itself: no database, no
//!   network, no thread.
//! - Nothing above `sinks` speaks HTTP, nothing outside `registry` speaks SQL, nothing outside `supervise::sys` is unsafe.
//! - Only `commands` and `render` print; of a run, the supervisor alone writes to standard error.
#![warn(missing_docs)]

pub mod ci;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod declaration;
pub mod delivery;
pub mod destination;
pub mod doctor;
pub mod exit_code;
pub mod expectation;
pub mod generate;
pub mod grouping;
pub mod janitor;
pub mod logging;
pub mod manual;
pub mod metrics;
pub mod naming;
pub mod record;
#[expect(clippy::disallowed_types, reason = "SQL is spoken here, and nowhere else")]
pub mod registry;
pub mod regular_file;
pub mod render;
pub mod run;
pub mod schedule;
pub mod schedules;
pub mod service;
pub mod shell;
#[expect(clippy::disallowed_types, reason = "HTTP is spoken here, and nowhere else")]
pub mod sinks;
pub mod supervise;
pub mod text;
