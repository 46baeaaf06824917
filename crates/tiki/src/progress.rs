//! What a run shows while it works: bars on a terminal, plain lines otherwise.
//!
//! The plain lines are an interface: `<step> begins`, `<step> <n> of <m>, …` at most every five
//! seconds, `<step> done in <s> s: …`.
//!
//! Not here: the final report (`report`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use pipeline::{Event, Listener, Step, StepReport};

use crate::report::key_numbers;
use crate::screen::Screen;

/// How often a working step says so in plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Steps that people follow one by one, or days of which each is a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Follow {
    /// Every step.
    Steps,
    /// Only steps that take long; each day says its own line.
    Days,
}

/// The progress of a run.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Inner>>);

struct Inner {
    screen: Screen,
    follow: Follow,
    step: Option<Underway>,
}

struct Underway {
    step: Step,
    since: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Progress on a screen.
    pub(crate) fn new(screen: Screen, follow: Follow) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            screen,
            follow,
            step: None,
        })))
    }

    /// What the pipeline tells.
    pub(crate) fn listener(&self) -> Listener {
        let inner = Arc::clone(&self.0);
        Listener::new(move |event| {
            inner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(event);
        })
    }

    /// Follows otherwise from now on.
    pub(crate) fn follow(&self, follow: Follow) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).follow = follow;
    }

    /// Takes an unfinished bar away, before an error is told.
    pub(crate) fn clear(&self) {
        let step = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .step
            .take();
        if let Some(bar) = step.and_then(|underway| underway.bar) {
            bar.finish_and_clear();
        }
    }
}

impl Inner {
    fn take(&mut self, event: Event) {
        match event {
            Event::StepBegun(step) => self.begin(step),
            Event::Progress { step, done, total } => self.work(step, done, total),
            Event::StepEnded(report) => self.end(&report),
            Event::Note(text) => self.screen.say(&text),
            Event::Warning(text) => self.screen.warn(&text),
        }
    }

    fn begin(&mut self, step: Step) {
        let bar = self.screen.bars().map(|bars| {
            let bar = bars.add(ProgressBar::no_length().with_style(working()));
            bar.set_prefix(step.name());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if bar.is_none() && self.follow == Follow::Steps {
            self.screen.show(&format!("{} begins", step.name()));
        }
        let now = Instant::now();
        self.step = Some(Underway {
            step,
            since: now,
            told: now,
            bar,
        });
    }

    fn work(&mut self, step: Step, done: u64, total: u64) {
        let Some(underway) = self.step.as_mut().filter(|underway| underway.step == step) else {
            return;
        };
        if let Some(bar) = &underway.bar {
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        if underway.told.elapsed() < PLAIN_EVERY {
            return;
        }
        underway.told = Instant::now();
        let rate = done as f64 / underway.since.elapsed().as_secs_f64().max(0.001);
        let left = total.saturating_sub(done) as f64 / rate.max(0.001);
        self.screen.show(&format!(
            "{} {done} of {total}, {rate:.1}/s, about {left:.0} s left",
            step.name()
        ));
    }

    fn end(&mut self, report: &StepReport) {
        let underway = self.step.take();
        let numbers = key_numbers(report);
        let seconds = underway
            .as_ref()
            .map_or(report.seconds, |u| u.since.elapsed().as_secs_f64());
        let Some(bar) = underway.and_then(|underway| underway.bar) else {
            if self.follow == Follow::Steps {
                self.screen.show(&format!(
                    "{} done in {seconds:.1} s: {numbers}",
                    report.step
                ));
            }
            return;
        };
        bar.finish_and_clear();
        if self.follow == Follow::Steps {
            self.screen.show(&format!(
                "✔ {:<22} {seconds:>7.1} s  {numbers}",
                report.step
            ));
        }
    }
}

fn working() -> ProgressStyle {
    let template = "{spinner} {prefix:<22} {bar:24} {pos}/{len} {per_sec} {eta} left";
    // The template is fixed; if it were wrong, a plain bar would do.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━╌")
}

/// A bar over days.
pub(crate) fn days_bar(screen: &Screen, days: u64) -> Option<ProgressBar> {
    let bar = screen.bars()?.add(ProgressBar::new(days));
    let style = ProgressStyle::with_template("  {bar:24} day {pos} of {len}, {eta} left");
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━━╌"),
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    Some(bar)
}
