//! What is told, in which words, as tables.

mod unseen;

use std::time::Duration;

use catalog::Instant;
use warehouse::{Details as DetailCounts, DriftRow, Identities, Products, Run, RunState};

use super::channel::signature;
use super::judge::{Ended, Failed, ended, failed, held};
use super::post::{PAUSES, pause};
use super::words::{discord, discord_escaped, lines, slack, slack_escaped, webhook};
use super::{Mail, Rules, Severity, mailboxes, smtp_server, test_alert};
use crate::{Exit, Step};

fn at(hours: i64) -> Instant {
    Instant::from_millis(1_700_000_000_000 + hours * 3_600_000)
}

fn run() -> Run {
    Run {
        id: "r1".into(),
        number: 1,
        owner: "serve".into(),
        state: RunState::Open,
        scope: "{}".into(),
        scope_key: "all".into(),
        clock_at: at(0),
        created_at: at(0),
        finished_at: None,
        exit_code: None,
        totals: None,
        last_commit_at: at(0),
        leased: true,
        drift: None,
    }
}

/// A run of 100 products that is as it should be.
fn well() -> Identities {
    Identities {
        products: Products {
            listed: 100,
            unchanged: 100,
            ..Products::default()
        },
        details: DetailCounts {
            due: 100,
            good: 100,
            ..DetailCounts::default()
        },
        ..Identities::default()
    }
}

fn facts(run: &Run) -> Ended<'_> {
    Ended {
        run,
        state: RunState::Done,
        exit: Exit::Done,
        totals: well(),
        past_listed: vec![100; 5],
        refused: None,
        rate: Some(2.0),
        drift: Vec::new(),
        hit_rate: Some(50.0),
        last_good: Some(at(-1)),
        now: at(1),
        free_bytes: Some(10 << 30),
    }
}

fn rarer(kind: &str, was: f64, now_is: f64) -> DriftRow {
    DriftRow {
        source: "detail".into(),
        endpoint: "detail".into(),
        root: 0,
        field: "brand.name".into(),
        kind: kind.into(),
        was,
        now_is,
        sample: 100,
        stops: false,
    }
}

type Change = fn(&mut Ended<'_>, &mut Rules);

/// What is otherwise than in a good run, what is told of it, and how bad that is.
const ENDS: &[(&str, Change, &[&str], Severity)] = &[
    ("well", |_, _| {}, &[], Severity::Info),
    (
        "a report is wanted",
        |_, rules| rules.reports = true,
        &["report", "r1"],
        Severity::Info,
    ),
    (
        "refused",
        |facts, _| facts.exit = Exit::Refused,
        &["exit-20"],
        Severity::Warning,
    ),
    (
        "refused, and nobody wants to know",
        |facts, rules| {
            facts.exit = Exit::Refused;
            rules.exits = vec![1];
            rules.reports = true;
        },
        &[],
        Severity::Info,
    ),
    (
        "a bug, and the last good run is long ago",
        |facts, _| {
            facts.exit = Exit::Bug;
            facts.last_good = Some(at(-36));
        },
        &["exit-70", "freshness"],
        Severity::Critical,
    ),
    (
        "the last good run is not too long ago, to the hour",
        |facts, _| {
            facts.exit = Exit::Bug;
            facts.last_good = Some(at(-35));
        },
        &["exit-70"],
        Severity::Critical,
    ),
    (
        "closed by hand",
        |facts, _| {
            facts.state = RunState::Abandoned;
            facts.free_bytes = Some(0);
        },
        &[],
        Severity::Info,
    ),
    (
        "closed by hand, and its counts do not add up",
        |facts, _| {
            facts.state = RunState::Abandoned;
            facts.exit = Exit::Bug;
        },
        &["exit-70"],
        Severity::Critical,
    ),
    (
        "rejections at the limit",
        |facts, _| facts.totals.products.rejected = 5,
        &[],
        Severity::Info,
    ),
    (
        "rejections past it",
        |facts, _| facts.totals.products.rejected = 6,
        &["rejected"],
        Severity::Warning,
    ),
    (
        "details without an answer; those deferred do not count",
        |facts, _| {
            facts.totals.details.deferred = 50;
            facts.totals.details.unfetched = 11;
        },
        &["unfetched"],
        Severity::Warning,
    ),
    (
        "half as many as usual",
        |facts, _| facts.totals.products.listed = 50,
        &[],
        Severity::Info,
    ),
    (
        "fewer than half",
        |facts, _| facts.totals.products.listed = 49,
        &["items"],
        Severity::Warning,
    ),
    (
        "few runs before",
        |facts, _| {
            facts.totals.products.listed = 1;
            facts.past_listed = vec![100, 100];
        },
        &[],
        Severity::Info,
    ),
    (
        "one of the runs before was larger",
        |facts, _| {
            facts.totals.products.listed = 60;
            facts.past_listed = vec![100, 5000, 90];
        },
        &[],
        Severity::Info,
    ),
    (
        "slow",
        |_, rules| rules.rate = 2.1,
        &["rate"],
        Severity::Warning,
    ),
    (
        "few requests saved",
        |_, rules| rules.hit_rate = 60.0,
        &["hit-rate"],
        Severity::Warning,
    ),
    (
        "a field that comes as often, but for chance",
        |facts, _| facts.drift = vec![rarer("presence", 0.95, 0.75)],
        &[],
        Severity::Info,
    ),
    (
        "a field that comes less often",
        |facts, _| facts.drift = vec![rarer("presence", 0.95, 0.74)],
        &["coverage"],
        Severity::Warning,
    ),
    (
        "a field that is gone, and one of another type",
        |facts, _| {
            facts.drift = vec![rarer("vanished", 0.35, 0.0), rarer("type", 0.9, 0.1)];
        },
        &["coverage"],
        Severity::Warning,
    ),
    (
        "a field that comes less often, and nobody wants to know",
        |facts, rules| {
            facts.drift = vec![rarer("vanished", 1.0, 0.0)];
            rules.coverage_points = 100.0;
        },
        &[],
        Severity::Info,
    ),
    (
        "the disk comes before what is less grave",
        |facts, _| {
            facts.totals.products.rejected = 9;
            facts.free_bytes = Some(1);
        },
        &["disk", "rejected"],
        Severity::Critical,
    ),
    (
        "a demo",
        |facts, rules| {
            facts.exit = Exit::Bug;
            rules.tells = false;
        },
        &[],
        Severity::Info,
    ),
];

#[test]
fn a_run_is_told_when_something_is_not_as_it_should_be() {
    for (name, change, kinds, severity) in ENDS {
        let (run, mut rules) = (run(), Rules::default());
        let mut now = facts(&run);
        change(&mut now, &mut rules);
        let notice = ended(&now, &rules);
        let found: Vec<String> = notice.iter().flat_map(|one| one.kinds.clone()).collect();
        assert_eq!(found, *kinds, "{name}");
        if let Some(notice) = notice {
            assert_eq!(notice.severity, *severity, "{name}");
            assert!(
                notice.title.contains("run r1 (serve)"),
                "{name}: {}",
                notice.title
            );
            assert_eq!(notice.details.command, "tiki runs show r1");
            assert!(notice.details.since.is_some(), "{name}");
        }
    }
}

#[test]
fn a_step_that_fails_and_a_run_that_is_held_are_told_by_their_exit_codes() {
    let (run, rules) = (run(), Rules::default());
    for (exit, told) in [
        (Exit::Machine, true),
        (Exit::Usage, true),
        (Exit::Refused, true),
        (Exit::Warehouse, true),
        (Exit::Bug, true),
        (Exit::Interrupted, false),
    ] {
        let facts = Failed {
            run: &run,
            step: Step::CrawlCategories,
            exit,
            seen: "it answered 403",
        };
        let notice = failed(&facts, &rules);
        assert_eq!(notice.is_some(), told, "{exit:?}");
        if let Some(notice) = notice {
            assert_eq!(notice.details.lines, ["it answered 403"]);
            assert_eq!(notice.kinds, [format!("exit-{}", exit.code())]);
        }
    }
    let seen = ["price of api listing in category 7: vanished".to_owned()];
    let notice = held(&run, &seen, &rules).expect("a notice");
    assert_eq!(notice.severity, Severity::Critical);
    assert_eq!(notice.details.command, "tiki drift show r1");
    let alert = rules.alert(notice);
    assert_eq!(alert.key, "exit-11/serve");
    assert_eq!(alert.id.len(), 32);
}

#[test]
fn no_text_mentions_or_marks_anything() {
    let text = "<!everyone> @everyone & <@U1> *b* [a](https://b) `c`";
    let escaped = slack_escaped(text);
    assert!(!escaped.contains(['<', '>']), "{escaped}");
    assert!(!escaped.contains("@everyone"), "{escaped}");
    assert!(escaped.contains("&amp;"), "{escaped}");
    let escaped = discord_escaped(text);
    assert!(!escaped.contains("@everyone"), "{escaped}");
    assert!(
        escaped.contains("\\*b\\*") && escaped.contains("\\[a\\]\\(") && escaped.contains("\\`")
    );
    let mut alert = test_alert(at(0));
    alert.title = text.into();
    let body = discord(&alert);
    assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
    let body = slack(&alert);
    assert_eq!(body["blocks"][0]["text"]["type"], "plain_text");
    // Whatever is said, the other sides take it.
    alert.title = "@".repeat(140);
    alert.details = serde_json::json!({ "lines": vec!["&".repeat(400); 20], "since": null,
        "numbers": {}, "command": "" })
    .to_string();
    let chars = |text: &serde_json::Value| text.as_str().expect("a text").chars().count();
    assert!(chars(&slack(&alert)["blocks"][0]["text"]["text"]) <= 3000);
    assert!(chars(&discord(&alert)["content"]) <= 2000);
}

#[test]
fn a_message_says_what_how_bad_since_when_how_often_and_what_to_type() {
    let (run, rules) = (run(), Rules::default());
    let mut now = facts(&run);
    now.exit = Exit::Refused;
    let new = rules.alert(ended(&now, &rules).expect("a notice"));
    let mut alert = test_alert(at(0));
    (alert.title, alert.details, alert.severity) = (new.title, new.details, new.severity);
    (alert.seen, alert.id) = (3, "abc".into());
    let text = lines(&alert).join("\n");
    for part in [
        "[warning] run r1 (serve): the site refuses",
        "100 listed",
        "since: 2023-11-14T22:13:20.000Z",
        "seen 3 times",
        "exit_code 20",
        "look further: tiki runs show r1",
        "alert abc",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let body = webhook(&alert);
    assert_eq!(body["numbers"]["listed"], 100);
    assert_eq!(body["command"], "tiki runs show r1");
    assert_eq!(body["seen"], 3);
}

#[test]
fn secrets_are_taken_out_before_anything_is_written() {
    let rules = Rules {
        hide: |text| text.replace("s3cret", "***"),
        ..Rules::default()
    };
    let run = run();
    let facts = Failed {
        run: &run,
        step: Step::LoadProducts,
        exit: Exit::Warehouse,
        seen: "cannot reach s3cret",
    };
    let alert = rules.alert(failed(&facts, &rules).expect("a notice"));
    assert!(alert.details.contains("cannot reach ***"), "{alert:?}");
}

#[test]
fn no_text_can_add_to_the_head_of_a_mail() {
    let server = smtp_server("smtps://u:s3cret@mail.example.com").expect("a server");
    let to = mailboxes("Ops <ops@example.com>, b@example.org").expect("people");
    let mail = Mail::new(server, None, to).expect("a mail");
    let mut alert = test_alert(at(0));
    alert.title = "a\r\nBcc: evil@example.com\r\n\r\nbody \u{202e}Bình".into();
    let message = mail.message(&alert).expect("a message").formatted();
    let text = String::from_utf8(message).expect("text");
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    let names: Vec<&str> = head
        .lines()
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split(':').next())
        .collect();
    assert!(!names.contains(&"Bcc"), "{head}");
    for name in [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
    ] {
        assert!(names.contains(&name), "{name} in {head}");
    }
    assert!(
        head.contains(&format!("Message-ID: <{}@example.com>", alert.id)),
        "{head}"
    );
    assert!(head.is_ascii(), "{head}");
    assert!(!format!("{mail:?}").contains("s3cret"));
}

#[test]
fn the_pauses_grow_up_to_a_bound() {
    assert!(PAUSES.is_sorted());
    assert_eq!(pause(1, None), Some(60));
    assert_eq!(pause(8, None), Some(86_400));
    assert_eq!(pause(9, None), None, "given up");
    assert_eq!(pause(1, Some(Duration::from_secs(90))), Some(90));
    assert_eq!(pause(1, Some(Duration::from_secs(5))), Some(60));
    assert_eq!(pause(2, Some(Duration::MAX)), Some(86_400));
}

#[test]
fn a_signature_is_the_one_that_others_make() {
    // python3 -c "import hmac; print(hmac.new(b'key', b'1700000000.{\"a\":1}', 'sha256').hexdigest())"
    assert_eq!(
        signature("key", "1700000000", r#"{"a":1}"#),
        "a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
    );
}
