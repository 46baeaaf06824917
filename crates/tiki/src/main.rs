//! The `tiki` program: the only reader of environment and arguments, the only printer, the only exit.
//!
//! What was typed (`arguments`) and set (`layers`, `config`) becomes a command (a module each); what
//! comes of it is printed (`print`, `screen`) and becomes an exit code here and nowhere else.
#![allow(
    clippy::disallowed_methods,
    reason = "this crate reads the environment, and no other does"
)]
#![allow(
    clippy::format_push_string,
    reason = "an allocation is nothing in a text for people"
)]
#![allow(
    clippy::struct_excessive_bools,
    reason = "a flag of the command line is a bool"
)]

mod airflow;
mod alerts;
mod arguments;
mod backup;
mod browse;
mod cleanup;
mod clockwork;
mod config;
mod demo;
mod drift;
mod errors;
mod estimate;
mod export;
mod failure;
mod health;
mod interrupt;
mod layers;
mod log;
mod next;
mod open;
mod panics;
mod parent;
mod plan;
mod preflight;
mod print;
mod progress;
mod rejections;
mod report;
mod rollback;
mod run;
mod runs;
mod schema;
mod screen;
mod secret;
mod serve;
mod setting;
mod shop;
mod show_config;
mod sql;
mod step;
mod telling;
mod value;
mod way;

use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use pipeline::{Exit, Stop};
use tracing::Instrument;

use crate::arguments::{Arguments, Command, ConfigCommand, Global, ServeArguments};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::layers::{Layers, Resolved};
use crate::log::TO_FILES;
use crate::screen::Screen;
use crate::secret::masked;

/// Threads fill what others empty, page after page: glibc's allocator gives memory back and takes it again
/// all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What every command works with.
#[derive(Clone)]
pub(crate) struct Context {
    /// The settings as types.
    pub(crate) config: Config,
    /// The settings as given.
    pub(crate) resolved: Resolved,
    /// Where notes go.
    pub(crate) screen: Screen,
    /// The wish to stop.
    pub(crate) stop: Stop,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            return ExitCode::from(misread(&error).code());
        }
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let screen = Screen::new(
        arguments.global.quiet,
        !(arguments.global.no_color || no_color),
    );
    panics::tell(&screen);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| begin(arguments, &screen)));
    let exit = match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            if !failure.is_silent() {
                screen.fail(&failure);
            }
            failure.exit
        }
        // It was told when it happened.
        Err(_) => Exit::Bug,
    };
    ExitCode::from(exit.code())
}

/// What cannot be understood, or the help.
fn misread(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // A reader that has gone away is no error.
        drop(error.print());
        return Exit::Done;
    }
    // What was typed in the wrong place may be an address with a password.
    let text = masked(&error.render().to_string());
    let text = catalog::harmless(&text);
    drop(io::stderr().lock().write_all(text.as_bytes()));
    Exit::Usage
}

fn begin(arguments: Arguments, screen: &Screen) -> Outcome {
    if let Command::Completions { shell } = arguments.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "tiki", &mut script);
        return print::text(&String::from_utf8_lossy(&script)).map(|()| Exit::Done);
    }
    if let Some(parent) = arguments.global.parent {
        parent::die_with(parent)?;
    }
    let mut layers = read_layers(&arguments.global)?;
    let chosen = match &arguments.command {
        Command::Run(run) => Some(&run.chosen),
        Command::Plan(plan) => Some(&plan.chosen),
        _ => None,
    };
    if let Some(chosen) = chosen {
        let taken = chosen.category.iter();
        layers
            .flags
            .extend(taken.map(|text| ("TIKI_CATEGORIES", text.clone())));
        let excluded = chosen.exclude_category.iter();
        layers
            .flags
            .extend(excluded.map(|text| ("TIKI_EXCLUDE_CATEGORIES", text.clone())));
    }
    if let Command::Serve(ServeArguments {
        listen: Some(address),
    }) = &arguments.command
    {
        layers.flags.push(("TIKI_LISTEN", address.clone()));
    }
    let resolved = layers.resolve()?;
    secret::learn(&resolved);
    let config = Config::new(&resolved)?;
    log::begin(screen, &config, log::word(&arguments.command));
    let span = log::span(&arguments.command);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::machine("cannot start threads", &error))?;
    let context = Context {
        config,
        resolved,
        screen: screen.clone(),
        stop: Stop::default(),
    };
    let outcome = runtime.block_on(obey(&context, arguments.command).instrument(span.clone()));
    span.in_scope(|| log_end(&outcome));
    // Nothing that still waits matters any more: what counts was committed.
    runtime.shutdown_background();
    outcome
}

/// The last line of the log; a failure is told to people besides, unless there is nothing to tell.
fn log_end(outcome: &Outcome) {
    match outcome {
        Ok(exit) => tracing::info!(target: TO_FILES, exit_code = exit.code(), "ended"),
        Err(failure) if failure.is_silent() => {
            tracing::info!(target: TO_FILES, exit_code = failure.exit.code(), "ended");
        }
        Err(failure) => {
            tracing::error!(target: TO_FILES, exit_code = failure.exit.code(), "{}", failure.line());
        }
    }
}

async fn obey(context: &Context, command: Command) -> Outcome {
    // The log of this command begins with its first line, and then the old ones go uncounted.
    let old_logs = match &command {
        Command::Cleanup(arguments) => cleanup::old_logs(context, arguments.dry_run),
        _ => 0,
    };
    tracing::info!(target: TO_FILES, version = env!("CARGO_PKG_VERSION"), "begun");
    panics::by_a_test();
    match command {
        Command::Run(arguments) if arguments.demo && arguments.from.is_none() => {
            demo::run(context, &arguments).await
        }
        Command::Run(arguments) => run::run(context, &arguments).await,
        Command::Step(arguments) => step::step(context, arguments).await,
        Command::Plan(arguments) => plan::plan(context, arguments.output).await,
        Command::Runs(arguments) => runs::runs(context, arguments).await,
        Command::Categories(arguments) => browse::categories(context, arguments).await,
        Command::Products(arguments) => browse::products(context, arguments.command).await,
        Command::Rejections(arguments) => rejections::rejections(context, arguments).await,
        Command::Errors(arguments) => errors::errors(context, &arguments).await,
        Command::Drift(arguments) => drift::drift(context, arguments).await,
        Command::Export(arguments) => export::export(context, &arguments).await,
        Command::Sql(arguments) => sql::sql(context, &arguments).await,
        Command::Alerts(arguments) => alerts::alerts(context, arguments).await,
        Command::Backup(arguments) => backup::backup(context, arguments).await,
        Command::Cleanup(arguments) => cleanup::cleanup(context, &arguments, old_logs).await,
        Command::Rollback(arguments) => rollback::rollback(context, arguments.command).await,
        Command::Health(arguments) => health::health(context, &arguments).await,
        Command::Preflight(arguments) => preflight::preflight(context, &arguments).await,
        Command::Schema(arguments) => schema::show(&arguments),
        Command::Migrate(reading) => open::migrate(context, reading.demo).await,
        Command::Config(ConfigCommand::Show { json, markdown }) => {
            show_config::show(context, json, markdown)
        }
        Command::Serve(_) => Box::pin(serve::serve(context)).await,
        Command::Storefront(arguments) => shop::serve(context, arguments).await,
        Command::Digest(arguments) => browse::digest(context, &arguments).await,
        Command::Completions { .. } => Ok(Exit::Done),
    }
}

/// What flags and the environment say.
fn read_layers(global: &Global) -> Result<Layers, Failure> {
    let mut flags = Vec::new();
    flags.extend(global.data_dir.clone().map(|text| ("TIKI_DATA_DIR", text)));
    flags.extend(
        global
            .database_url
            .clone()
            .map(|text| ("TIKI_DATABASE_URL", text)),
    );
    let mut environment = Vec::new();
    for (name, text) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("TIKI_")) else {
            continue;
        };
        let text = text.into_string().map_err(|_| {
            Failure::usage(format!("{name} is not UTF-8 text")).help("write it as plain text")
        })?;
        environment.push((name.to_owned(), text));
    }
    let folder = std::env::current_dir()
        .map_err(|error| Failure::machine("cannot tell the current folder", &error))?;
    Ok(Layers {
        flags,
        environment,
        file: global.config.clone(),
        folder,
    })
}
