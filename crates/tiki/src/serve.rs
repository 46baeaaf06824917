//! `tiki serve`: the dashboard, its API and the clock, until it is told to stop.
//!
//! Not here: pages and routes (`dashboard`), what is well (`health`), starting what is due (`clockwork`).

use std::net::SocketAddr;
use std::sync::Arc;

use catalog::Instant;
use dashboard::{Line, LineState, Listed, Sources, Trouble};
use pipeline::Exit;
use pipeline::health::{PATIENCE, State};
use pipeline::metrics;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use warehouse::Warehouse;

use crate::clockwork::{self, Clockwork};
use crate::failure::{Failure, Outcome};
use crate::{Context, health, interrupt, open, print, runs, telling, way};

/// `tiki serve`.
pub(crate) async fn serve(context: &Context) -> Outcome {
    let address = context.config.listen;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| cannot_listen(address, &error))?;
    let bound = listener
        .local_addr()
        .map_err(|error| cannot_listen(address, &error))?;
    let stop = context.stop.clone();
    interrupt::listen_saying(
        stop.clone(),
        context.screen.clone(),
        "ending (Ctrl-C again ends at once)",
    )?;
    if !bound.ip().is_loopback() {
        context.screen.warn(
            "whoever reaches this address can read the dashboard: it has no login of its own, so put a \
             proxy with one before it",
        );
    }
    let shelf = Arc::new(Shelf {
        context: context.clone(),
        warehouse: Mutex::default(),
    });
    let began = match context.config.schedule {
        Some(_) => shelf.began().await,
        None => None,
    };
    let clockwork = Clockwork::new(context, began)?;
    let sources = sources(&shelf, &clockwork);
    print::line(&format!("http://{bound}"))?;
    context.screen.say("serving the dashboard; Ctrl-C ends it");
    let served = dashboard::serve(listener, &context.config.hosts, sources, async {
        stop.heard().await;
    });
    // All on this thread, the main one, which lives as long as the process.
    let (served, (), ()) = tokio::join!(served, clockwork.go(), telling::keep_telling(context));
    served.map_err(|error| cannot_listen(address, &error))?;
    Ok(Exit::Done)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind as K;
    let failure = Failure::new(Exit::Machine, format!("cannot listen on {address}")).because(error);
    failure.help(match error.kind() {
        K::AddrInUse => {
            "another program listens there, perhaps another `tiki serve`: end it, or choose another \
             address with --listen or TIKI_LISTEN (port 0: any free one)"
        }
        K::AddrNotAvailable => {
            "this machine has no such address: choose one with --listen or TIKI_LISTEN, such as \
             127.0.0.1:8090"
        }
        K::PermissionDenied => {
            "ports below 1024 are for root: choose another with --listen or TIKI_LISTEN"
        }
        _ => "choose another address with --listen or TIKI_LISTEN",
    })
}

/// The warehouse, kept open while it answers.
struct Shelf {
    context: Context,
    warehouse: Mutex<Option<Warehouse>>,
}

impl Shelf {
    async fn open(&self) -> warehouse::Result<Option<Warehouse>> {
        let mut kept = self.warehouse.lock().await;
        if kept.is_none() {
            *kept = open::to_look(&self.context, false, PATIENCE).await?;
        }
        Ok(kept.clone())
    }

    /// The next one who asks opens it anew: another file may be in its place by then.
    async fn close(&self) {
        *self.warehouse.lock().await = None;
    }

    /// The warehouse if it has tables.
    async fn ledger(&self) -> Outcome<Option<Warehouse>> {
        match self.open().await? {
            Some(warehouse) if warehouse.check_schema().await? => Ok(Some(warehouse)),
            _ => Ok(None),
        }
    }

    /// When the newest run of the clock began, as far as the ledger tells.
    async fn began(&self) -> Option<Instant> {
        let asked = async {
            match self.ledger().await? {
                Some(warehouse) => Ok(warehouse.last_begun(clockwork::OWNER).await?),
                None => Ok(None),
            }
        };
        // Where it is away, what was written down beside it is all that is known.
        self.told(asked.await).await.ok().flatten()
    }

    async fn runs(&self, limit: i64) -> Outcome<Vec<Listed>> {
        let Some(warehouse) = self.ledger().await? else {
            return Ok(Vec::new());
        };
        let listed = |run| Listed {
            json: runs::as_json(&run),
            end: run.exit_code.map(Exit::from_code).and_then(words),
            run,
        };
        Ok(warehouse
            .runs(limit)
            .await?
            .into_iter()
            .map(listed)
            .collect())
    }

    async fn run(&self, id: &str) -> Outcome<Option<Value>> {
        let Some(warehouse) = self.ledger().await? else {
            return Ok(None);
        };
        match warehouse.run(id).await? {
            Some(run) => Ok(Some(runs::whole(&warehouse, run).await?.as_json())),
            None => Ok(None),
        }
    }

    async fn told<T>(&self, asked: Outcome<T>) -> Result<T, Trouble> {
        match asked {
            Ok(answer) => Ok(answer),
            Err(failure) => {
                self.close().await;
                Err(Trouble {
                    what: failure.line(),
                    help: failure.help_text(),
                })
            }
        }
    }
}

fn sources(shelf: &Arc<Shelf>, clockwork: &Clockwork) -> Sources {
    let (of_health, of_runs, of_run) = (shelf.clone(), shelf.clone(), shelf.clone());
    let of_metrics = shelf.clone();
    Sources {
        health: Box::new(move |()| Box::pin(look(of_health.clone()))),
        runs: Box::new(move |limit| {
            let shelf = of_runs.clone();
            Box::pin(async move { shelf.told(shelf.runs(limit).await).await })
        }),
        run: Box::new(move |id| {
            let shelf = of_run.clone();
            Box::pin(async move { shelf.told(shelf.run(&id).await).await })
        }),
        metrics: Box::new(move |()| Box::pin(scraped(of_metrics.clone()))),
        planned: Box::new(clockwork.plans()),
        address: open::address(&shelf.context, false),
        zone: shelf.context.config.zone().clone(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

async fn look(shelf: Arc<Shelf>) -> dashboard::Health {
    let opening = shelf.clone();
    let open = async move { opening.open().await };
    let health = health::report(&shelf.context, false, open).await;
    let line = |check: &pipeline::health::Check| Line {
        name: check.name.to_owned(),
        state: match check.state {
            State::Ok => LineState::Ok,
            State::Warning => LineState::Warning,
            State::Failed => LineState::Failed,
            State::Skipped => LineState::Skipped,
        },
        seen: check.seen.clone(),
        limit: check.limit.clone(),
        help: check.help.clone(),
    };
    let is_ready = health.exit() == Exit::Done;
    if !is_ready {
        shelf.close().await;
    }
    dashboard::Health {
        is_ready,
        json: health::as_json(&health),
        lines: health.checks.iter().map(line).collect(),
    }
}

async fn scraped(shelf: Arc<Shelf>) -> String {
    let opening = shelf.clone();
    let open = async move { opening.open().await };
    let config = &shelf.context.config;
    let asked = metrics::Asked {
        version: env!("CARGO_PKG_VERSION"),
        origin: config.origin.to_string(),
        rate: config.rate,
        folders: health::folders(&shelf.context),
        free_bytes: config.health.free_bytes,
        clock: way::clock(&shelf.context),
    };
    let told = metrics::look(open, &asked).await;
    if !told.is_up {
        shelf.close().await;
    }
    told.text
}

/// What an exit code means, where it is no good end.
fn words(exit: Exit) -> Option<&'static str> {
    Some(match exit {
        Exit::Done | Exit::Nothing => return None,
        Exit::Machine => "this machine failed",
        Exit::Usage => "wrong settings, schema or clock",
        Exit::NeedsFixes | Exit::Blocked => "not ready to be deployed",
        Exit::Quality => "loaded, below the quality limit",
        Exit::Drift => "what the site sends has changed its shape",
        Exit::Refused => "the site refused",
        Exit::Warehouse => "the warehouse was lost or held",
        Exit::Bug => "a bug: the counts do not add up",
        Exit::Interrupted => "interrupted",
    })
}
