//! The program from outside: the real binary, real servers, one module for each subject.
#![expect(clippy::disallowed_methods, reason = "tests start processes as their callers do")]
#![allow(
    unsafe_code,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "rules of the program, not of what looks at it from outside"
)]

mod harness;

mod attempts_of_different_worth;
mod auth;
mod capture;
mod ci;
mod clear;
mod config;
mod cron_daemon;
mod cron_host;
mod cron_machine;
mod cron_packages;
mod cron_wrap;
mod damage;
mod delays;
mod delivery_support;
mod doctor;
mod end_to_end;
mod expectations;
mod flush;
mod gateways;
mod generate_command;
mod generate_dashboard;
mod generate_recipe;
mod generate_rules;
mod generate_site;
mod generated;
mod group_signals;
mod groups;
mod hard_lines;
mod history;
mod ignored_signals;
mod janitor_support;
mod job_metrics;
mod lifetime;
mod limits;
mod list;
mod lost;
mod metrics_exposition;
mod monitoring_settings;
mod names;
mod outage;
mod path;
mod plain_user;
mod poison;
mod programs;
mod proxy;
mod push;
mod readme;
mod recommended;
mod record;
mod refusal_without_words;
mod register;
mod remote_write;
mod reporter_faults;
mod reporter_process;
mod reporter_support;
mod results;
mod run;
mod run_destinations;
mod sandbox;
mod secrets;
mod servers;
mod setting_files;
mod status;
mod storm;
mod structure;
mod supervise_descriptors;
mod supervise_exit;
mod supervise_limits;
mod supervise_process;
mod supervise_signals;
mod supervise_stops;
mod supervise_support;
mod supervise_terminal;
mod supervisor_killed;
mod terminal;
mod textfile;
mod trust;
mod usage;
mod vmalert;
mod waiting;
mod what_a_failure_counts_against;
mod what_another_remembers;
mod yes_to_everything;
