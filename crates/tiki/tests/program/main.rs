//! The program through its user's door: the real binary, a folder of its own, no variable of ours in
//! the environment.

mod analysts;
mod bad_days;
mod data;
mod demo;
mod drift;
mod export_files;
mod failures;
mod first_asks;
mod frozen;
mod help;
mod interruption;
mod outage;
mod postgres;
mod readers;
mod rejections;
mod settings;
mod settings_at_work;
mod shared_cache;
mod site;
mod steps;
mod tiki;
