//! Log lines: on standard error as they are wanted there, and as JSON lines in files for commands that work.
//!
//! Not here: where the files are and how long they stay (`files`), what is said to people (`screen`).

mod files;

use std::fmt;

use catalog::one_line;
use pipeline::{Clock, Step};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt as lines, registry};

use self::files::Files;
pub(crate) use self::files::{FOLDER, remove_old};
use crate::arguments::{
    AlertsCommand, BackupCommand, Command, DriftCommand, RejectionsCommand, RunsCommand,
};
use crate::config::Config;
use crate::screen::{LogLine, Screen};
use crate::secret::masked;

pub(crate) use pipeline::TO_FILES;

/// Characters of a text in a line at most.
const TEXT_CHARS: usize = 4_000;

/// Logs from here on; `command` is the word of a command that works, of which files are kept.
pub(crate) fn begin(screen: &Screen, config: &Config, command: Option<&'static str>) {
    let out = screen.clone();
    let to_screen = lines::layer()
        .with_writer(move || LogLine::new(out.clone()))
        .with_ansi(false);
    let to_screen = if config.log_json {
        to_screen.json().boxed()
    } else {
        to_screen.boxed()
    };
    // What is said there is not logged there again, and its lines stay as short as they are.
    let news = filter_fn(|of| of.is_event() && of.target() != TO_FILES);
    let to_screen = to_screen.with_filter(EnvFilter::new(&config.log).and(news));
    let to_files = command.map(|command| {
        let files = Files::new(config, command, screen.clone());
        JsonLines(files).with_filter(EnvFilter::new(&config.logs.filter))
    });
    // There is no other subscriber in this process, so this cannot fail.
    drop(registry().with(to_screen).with(to_files).try_init());
}

/// The word of a command that works; `None` for one that only reads.
pub(crate) fn word(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Run(_) => "run",
        Command::Step(step) if !step.list => "step",
        Command::Serve(_) => "serve",
        Command::Migrate(_) => "migrate",
        Command::Backup(backup) => match &backup.command {
            None
            | Some(BackupCommand::List { .. } | BackupCommand::Prune { dry_run: true, .. }) => {
                return None;
            }
            Some(_) => "backup",
        },
        Command::Cleanup(cleanup) if !cleanup.dry_run => "cleanup",
        Command::Runs(runs) => match &runs.command {
            Some(RunsCommand::Resume { .. } | RunsCommand::Close { .. }) => "runs",
            _ => return None,
        },
        Command::Drift(drift) => match &drift.command {
            Some(DriftCommand::Accept { .. } | DriftCommand::Reject { .. }) => "drift",
            _ => return None,
        },
        Command::Rejections(rejections) => match &rejections.command {
            Some(RejectionsCommand::Replay { .. }) => "rejections",
            _ => return None,
        },
        Command::Alerts(alerts) => match &alerts.command {
            Some(AlertsCommand::Retry { .. }) => "alerts",
            _ => return None,
        },
        _ => return None,
    })
}

/// What every line of a command has: its word, and which step of which run it was called for.
pub(crate) fn span(command: &Command) -> Span {
    let word = word(command);
    let (run, step) = match command {
        Command::Step(step) => (step.run.as_deref(), step.name.map(Step::name)),
        Command::Run(run) => (run.run.as_deref(), None),
        _ => (None, None),
    };
    tracing::error_span!("command", command = word, run, step)
}

/// Writes each event as one flat object: when, how bad, from where, the fields of the spans around it and
/// its own.
struct JsonLines(Files);

/// The fields of a span.
struct Fields(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Map::new();
            attributes.record(&mut Reader(&mut fields));
            span.extensions_mut().insert(Fields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(Fields(fields)) = span.extensions_mut().get_mut()
        {
            values.record(&mut Reader(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let about = event.metadata();
        let mut line = Map::new();
        line.insert("at".into(), Clock::System.now().to_string().into());
        line.insert("level".into(), about.level().as_str().into());
        line.insert("target".into(), about.target().into());
        for span in context.event_scope(event).into_iter().flatten() {
            let known = span.extensions();
            for (name, value) in known.get::<Fields>().iter().flat_map(|fields| &fields.0) {
                // The inner span, which comes first, knows better.
                line.entry(name).or_insert_with(|| value.clone());
            }
        }
        event.record(&mut Reader(&mut line));
        self.0.write(&line);
    }
}

/// Reads fields into an object. Each text is without secrets and harmless before it becomes JSON.
struct Reader<'a>(&'a mut Map<String, Value>);

impl Reader<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Reader<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, one_line(&masked(value), TEXT_CHARS));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
