//! `tiki storefront`: the simulated shop alone, until Ctrl-C.
//!
//! Not here: the shop itself (`storefront`).

use std::time::Duration;

use catalog::{Day, Instant};
use jiff::tz::{TimeZone, offset};
use pipeline::Exit;
use storefront::{Clock, Content, Generated, Pace, Prices, Settings, StartError, Storefront};

use crate::arguments::StorefrontArguments;
use crate::failure::{Failure, Outcome};
use crate::{Context, interrupt, print};

/// `tiki storefront`.
pub(crate) async fn serve(context: &Context, arguments: StorefrontArguments) -> Outcome {
    let clock = match &arguments.day {
        None => context
            .config
            .clock
            .map_or_else(Clock::system, |at| Clock::frozen_at(at.millis())),
        Some(day) => Clock::frozen_at(noon(day)?.millis()),
    };
    let content = match arguments.replay {
        Some(folder) => Content::Recorded(folder),
        None => Content::Generated(Generated {
            seed: arguments.seed,
            products: arguments.products,
            pace: if arguments.lively {
                Pace::Lively
            } else {
                Pace::Real
            },
            prices: if arguments.round_prices {
                Prices::Round
            } else {
                Prices::Spread
            },
            leaf_categories: arguments.leaf_categories,
        }),
    };
    let shop = Storefront::start(Settings {
        content,
        port: arguments.port,
        clock,
        latency: Duration::from_millis(arguments.latency_ms),
        ..Settings::default()
    });
    let shop = shop.await.map_err(|error| cannot_start(&error))?;
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    print::line(&shop.base_url())?;
    context.screen.say(&format!(
        "serving {}; point a run at it with TIKI_ORIGIN={} TIKI_RATE_LIMIT=0; Ctrl-C ends it",
        shop.origin_id(),
        shop.base_url()
    ));
    context.stop.heard().await;
    shop.stop().await;
    Ok(Exit::Done)
}

fn cannot_start(error: &StartError) -> Failure {
    let (exit, help) = match error {
        StartError::Listen { .. } => (
            Exit::Machine,
            "another program has this port: choose one with --port (0: a free one)",
        ),
        StartError::Folder(_) => (
            Exit::Usage,
            "a folder with detail/*.json, listing_*.json or category_tree_*.json",
        ),
        StartError::OutOfBounds { .. } | StartError::Faults(_) => (Exit::Usage, "see --help"),
    };
    Failure::new(exit, "cannot open the simulated shop")
        .because(error)
        .help(help)
}

/// Noon of a day where the shop stands, which is Vietnam.
fn noon(day: &str) -> Outcome<Instant> {
    let parsed: Result<Day, _> = day.parse();
    let zone = TimeZone::fixed(offset(7));
    parsed.map(|day| day.at_hour(12, &zone)).map_err(|_| {
        let shown: String = day.chars().take(40).collect();
        Failure::usage(format!("--day {shown:?} is no day")).help("write it as 2026-11-24")
    })
}
