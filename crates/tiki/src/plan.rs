//! `tiki plan`: what the next run would fetch and why.
//!
//! Not here: how that is found out (`estimate`).

use pipeline::Exit;

use crate::arguments::Output;
use crate::estimate::{self, Estimate};
use crate::failure::Outcome;
use crate::{Context, open, print, way};

/// `tiki plan`.
pub(crate) async fn plan(context: &Context, output: Output) -> Outcome {
    if !output.demo {
        way::check_rate(context)?;
    }
    let warehouse = open::ledger(context, output.demo).await?;
    let mut scope = way::scope(context, &context.config.origin.to_string());
    if let Some(warehouse) = &warehouse {
        // A site on this machine goes by a name that only it can tell; its last run remembers it.
        let last = warehouse.runs(1).await?;
        let kept = last
            .first()
            .and_then(|run| pipeline::Scope::from_json(&run.scope));
        if let Some(kept) = kept.filter(|_| output.demo || context.config.origin.is_loopback()) {
            scope.origin = kept.origin;
        }
    }
    let estimate = estimate::of(context, warehouse.as_ref(), &scope).await?;
    if output.json {
        print::json(&estimate)?;
    } else {
        print::text(&people(&estimate))?;
    }
    Ok(Exit::Done)
}

fn people(estimate: &Estimate) -> String {
    let mut text = if estimate.from == "limits" {
        "no run of this scope has ended yet: up to about what the limits allow\n".to_owned()
    } else {
        format!(
            "as if the site listed what it listed in {}\n",
            estimate.from
        )
    };
    for (reason, count) in &estimate.products {
        let why = match reason.as_str() {
            "new" => "never detailed",
            "changed" => "listed otherwise than at the last detail",
            "recheck" => "followed, but not listed then",
            "control" => "not due, asked to know whether the site answers well at all",
            "aged" => "a boundary has passed since the last detail",
            _ => "the listing is enough",
        };
        text += &format!("  {reason:<9} {count:>9} products  {why}\n");
    }
    let shown = |count: Option<i64>| count.map_or("unknown".into(), |count| count.to_string());
    for (name, value) in [
        ("details", shown(estimate.details)),
        ("deferred", estimate.deferred.to_string()),
        ("listing pages", shown(estimate.listing_pages)),
        ("category requests", shown(estimate.category_requests)),
        ("first requests", estimate.first_requests.to_string()),
        ("requests", shown(estimate.requests)),
    ] {
        let what = match (name, estimate.first_requests) {
            ("first requests", 1) => "  robots.txt",
            ("first requests", _) => "  robots.txt, and one of each kind",
            _ => "",
        };
        text += &format!("{name:<18}{value:>11}{what}\n");
    }
    if let Some(minutes) = estimate.minutes {
        let rate = match estimate.seconds_per_request {
            0.0 => "without a rate: as fast as answers come".to_owned(),
            rate => format!("at one request each {rate} s"),
        };
        text += &format!("{:<18}{minutes:>11}  {rate}\n", "minutes");
    }
    if let Some(gigabytes) = estimate.gigabytes {
        text += &format!("{:<18}{gigabytes:>11}  estimated\n", "GB");
    }
    text
}
