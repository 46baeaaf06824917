//! A run's report for people, and the numbers of a step that matter in one line.
//!
//! Not here: the facts (`pipeline`), JSON (`print`).

use pipeline::{RunReport, Step, StepReport, shortened, shown_process};
use serde_json::Value;
use warehouse::{Completeness, FailedAttempt, Identities, Kind};

use crate::open;
use crate::print::table;

/// Characters of what failed, of an attempt.
const WHY_CHARS: usize = 200;

/// What became of a step, in a few words.
pub(crate) fn key_numbers(report: &StepReport) -> String {
    let of = |key: &str, field: &str| report.number(key, field).unwrap_or(0.0);
    let whole = |key: &str| report.keys.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let text = match Step::parse(&report.step) {
        Some(Step::CrawlCategories) => match whole("category_count") {
            1.0 => "1 category".into(),
            count => format!("{count} categories"),
        },
        Some(Step::ExtractProductUrls) => format!("{} products listed", whole("product_count")),
        Some(Step::CrawlProductDetails) => {
            let of = |field| of("crawl_stats", field);
            let (good, gone, rejected) = (of("good"), of("gone"), of("rejected"));
            let (unfetched, deferred) = (of("unfetched"), of("deferred"));
            format!(
                "{good} details good, {gone} gone, {rejected} rejected, {unfetched} unfetched, \
                 {deferred} deferred"
            )
        }
        Some(Step::TransformProducts) => {
            let of = |field| of("transform_stats", field);
            format!(
                "{} valid, {} rejected",
                of("valid_products"),
                of("invalid_products")
            )
        }
        Some(Step::LoadProducts) => {
            let of = |field| of("load_stats", field);
            format!(
                "{} new, {} changed, {} unchanged, {} late, {} gone{}",
                of("inserted_count"),
                of("updated_count"),
                of("unchanged_count"),
                of("late_count"),
                of("gone_count"),
                corrected(report)
            )
        }
        Some(Step::GetCacheStats) => {
            format!("{:.1} % needed no request", of("cache_stats", "hit_rate"))
        }
        Some(Step::MonitorInfrastructure) => {
            let kept = report
                .keys
                .get("infrastructure_stats")
                .and_then(|all| all.get("warehouse"));
            let of = |field| {
                let count = kept.and_then(|kept| kept.get(field)?.as_i64()).unwrap_or(0);
                let more = if count >= warehouse::COUNTED {
                    " or more"
                } else {
                    ""
                };
                format!("{count}{more}")
            };
            format!(
                "{} products, {} looks kept",
                of("products"),
                of("observations")
            )
        }
        Some(Step::CleanupTempFiles) => format!("{} removed", whole("removed_count")),
        Some(Step::SendNotification) | None => "counts add up".into(),
    };
    if report.exit_code == 0 {
        text
    } else {
        format!("{text} (exit {})", report.exit_code)
    }
}

/// What was derived anew and differed, column by column; empty: nothing.
fn corrected(report: &StepReport) -> String {
    let stats = report.keys.get("load_stats");
    let of = |field: &str| stats.and_then(|stats| stats.get(field));
    let columns = of("corrected").and_then(Value::as_object);
    let mut parts: Vec<String> = columns
        .into_iter()
        .flatten()
        .map(|(column, rows)| format!("{column} {rows}"))
        .collect();
    if let Some(looks @ 1..) = of("withdrawn_count").and_then(Value::as_i64) {
        parts.push(format!("looks taken back {looks}"));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!("; corrected: {}", parts.join(", "))
}

/// The whole report.
pub(crate) fn people(report: &RunReport, demo: bool) -> String {
    let more = format!(
        " (`tiki runs show {}{}` says which and why)",
        report.run_id,
        open::flag(demo)
    );
    let mut text = format!(
        "run {} ended in {:.1} s with exit code {}\n\n{}\n",
        report.run_id,
        report.seconds,
        report.exit_code,
        counts(&report.totals, &more)
    );
    let rows: Vec<Vec<String>> = report
        .steps
        .iter()
        .map(|step| {
            let rate = rate(step).map_or(String::new(), |rate| format!("{rate:.1}"));
            vec![
                step.step.clone(),
                format!("{:.1}", step.seconds),
                rate,
                key_numbers(step),
            ]
        })
        .collect();
    text += &table(&["step", "seconds", "products/s", "what"], &rows);
    for warning in report.steps.iter().flat_map(|step| &step.warnings) {
        text += &format!("warning: {warning}\n");
    }
    text
}

/// The four counts: each whole, and the parts that make it. `more` is said of categories that were not
/// listed whole.
pub(crate) fn counts(totals: &Identities, more: &str) -> String {
    let Identities {
        pages: p,
        items: i,
        products: r,
        details: d,
        incomplete_categories,
    } = totals;
    let products = parts(&[
        (r.new, "new"),
        (r.changed, "changed"),
        (r.unchanged, "unchanged"),
        (r.late, "late"),
        (r.gone, "gone"),
        (r.rejected, "rejected"),
        (r.unobserved, "unobserved"),
    ]);
    let details = parts(&[
        (d.good, "good"),
        (d.gone, "gone"),
        (d.rejected, "rejected"),
        (d.unfetched, "unfetched"),
        (d.deferred, "deferred"),
    ]);
    let pages = parts(&[
        (p.ok, "ok"),
        (p.empty, "empty past the end"),
        (p.failed, "failed"),
        (p.unasked, "not asked"),
    ]);
    let items = parts(&[
        (i.listed, "listed"),
        (i.repeats, "repeats"),
        (i.ads, "ads"),
        (i.beyond, "beyond the limit"),
        (i.malformed, "malformed"),
    ]);
    let rows = [
        ("products", r.listed + r.rechecked, products),
        ("details", d.due, details),
        ("pages", p.planned, pages),
        ("items", i.seen, items),
    ];
    let mut text = String::new();
    for (name, whole, parts) in rows {
        text += format!("{name:<9} {whole:>7}  {parts}").trim_end();
        text.push('\n');
    }
    if r.rechecked > 0 {
        text += &format!(
            "{} of the products were rechecked: followed, and not listed this time\n",
            r.rechecked
        );
    }
    if *incomplete_categories > 0 {
        text += &format!("categories that were not listed whole: {incomplete_categories}{more}\n");
    }
    text
}

/// What of a run was cleaned up, and what of its counts went with it.
pub(crate) fn cleaned(kinds: &[Kind]) -> String {
    let line = |kind: &Kind| {
        let (what, so) = match kind {
            Kind::Listings => (
                "listings",
                "its pages and items are no longer counted, and it cannot be derived anew",
            ),
            Kind::Pages => ("pages", "it cannot be derived anew"),
            Kind::Observations => ("looks", "what did not change in them is gone"),
            Kind::Ledger => ("counts", "they are gone"),
        };
        let setting = kind.setting();
        format!("its {what} were cleaned up ({setting}): {so}\n")
    };
    kinds.iter().map(line).collect()
}

/// Attempts that failed or that others ended; nothing where there are none.
pub(crate) fn failed_attempts(all: &[FailedAttempt]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let cells = |attempt: &FailedAttempt| {
        let worker = match attempt.shard {
            0 => attempt.attempt.to_string(),
            shard => format!("{} (shard {shard})", attempt.attempt),
        };
        let why = match (&attempt.error, attempt.exit_code) {
            (Some(error), _) => shortened(error, WHY_CHARS),
            (None, Some(_)) => String::new(),
            (None, None) => "killed or lost, or another took over".into(),
        };
        vec![
            attempt.step.clone(),
            worker,
            attempt.ended_at.to_string(),
            attempt
                .exit_code
                .map_or("fenced".into(), |code| code.to_string()),
            shown_process(&attempt.host),
            why,
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(cells).collect();
    let columns = ["step", "attempt", "ended", "exit", "process", "why"];
    format!("\nattempts that failed\n{}", table(&columns, &rows))
}

/// How whole the categories of a run were listed; of those that are whole only how many they are.
pub(crate) fn categories(all: &[Completeness]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .filter_map(|category| {
            Some(vec![
                category.category_id.to_string(),
                category.name.clone(),
                category.announced.to_string(),
                category.listed.to_string(),
                category.missing.to_string(),
                category.why.clone()?,
            ])
        })
        .collect();
    let whole = all.len() - rows.len();
    let mut text = format!("\ncategories listed whole: {whole} of {}\n", all.len());
    if !rows.is_empty() {
        let columns = [
            "category",
            "name",
            "announced",
            "listed",
            "missing",
            "why not whole",
        ];
        text += &table(&columns, &rows);
    }
    text
}

/// The parts that are not nothing.
fn parts(all: &[(i64, &str)]) -> String {
    let some = all.iter().filter(|(count, _)| *count != 0);
    some.map(|(count, word)| format!("{count} {word}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Products a second, listed or followed, where a step has them: not all need a detail.
fn rate(step: &StepReport) -> Option<f64> {
    let over = |count: f64, seconds: f64| (seconds > 0.0).then(|| count / seconds);
    let rate = match Step::parse(&step.step)? {
        Step::ExtractProductUrls => over(step.keys.get("product_count")?.as_f64()?, step.seconds)?,
        Step::CrawlProductDetails => step.number("crawl_stats", "rate")?,
        Step::TransformProducts => over(
            step.number("transform_stats", "total_processed")?,
            step.seconds,
        )?,
        Step::LoadProducts => over(
            step.number("load_stats", "total_products")?,
            step.number("load_stats", "processing_time")?,
        )?,
        _ => return None,
    };
    (rate > 0.0).then_some(rate)
}
