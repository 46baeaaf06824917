//! The program through its user's door: the real binary, a folder of its own, no variable of ours in
//! the environment.

mod analysts;
mod backup;
mod backup_kills;
mod bad_days;
mod barrier;
mod bench;
mod commits;
mod data;
mod demo;
mod deriving;
mod drift;
mod export_files;
mod failures;
mod file_failures;
mod first_asks;
mod frozen;
mod health;
mod help;
mod interruption;
mod outage;
mod postgres;
mod readers;
mod rejections;
mod runbook;
mod serve;
mod settings;
mod settings_at_work;
mod shared_cache;
mod silent_servers;
mod site;
mod steps;
mod tiki;
mod troubles;
mod two_runs;
mod upgrade;
