//! Errors of several runs put together by class: which texts are the same trouble.
//!
//! Not here: counting them (`warehouse`), showing them (`tiki`).

use std::collections::HashMap;

use catalog::Instant;
use warehouse::{ErrorKind, ErrorRow};

use crate::Exit;
use crate::knock::CHOICES;

/// Characters of a class at most.
const CLASS_CHARS: usize = 160;

/// A word of more characters is cut where a text is.
const LONG_WORD: usize = 20;

/// How the text of a request begins that failed, and a word for that: few, and of ours, for a label.
const FAILURES: [(&str, &str); 14] = [
    ("the site refuses", "refused"),
    ("the site asks for fewer", "throttled"),
    ("the site is in trouble", "server"),
    ("the site sends us elsewhere", "redirect"),
    ("the site answers with status", "status"),
    ("no whole answer within", "timeout"),
    ("cannot connect", "connect"),
    ("the proxy", "proxy"),
    ("the answer broke off", "interrupted"),
    ("the body cannot be read", "body"),
    ("the body is encoded", "encoding"),
    ("the answer is no JSON", "not-json"),
    ("the page does not hold", "no-state"),
    ("nothing may be asked", "robots"),
];

/// What was given up without being asked, and what failed in a way that has no word.
const UNASKED: &str = "unasked";
const OTHER: &str = "other";

/// Every word of [`failures`].
pub(crate) fn failure_words() -> Vec<&'static str> {
    let words = FAILURES.iter().map(|(_, word)| *word);
    words.chain([UNASKED, OTHER]).collect()
}

/// How many categories, pages and details were given up, by the word for why.
pub(crate) fn failures(rows: &[ErrorRow]) -> Vec<(&'static str, i64)> {
    let of_requests = |row: &&ErrorRow| {
        matches!(
            row.kind,
            ErrorKind::Category | ErrorKind::Page | ErrorKind::Detail
        )
    };
    let mut counts: Vec<(&'static str, i64)> =
        failure_words().into_iter().map(|word| (word, 0)).collect();
    for row in rows.iter().filter(of_requests) {
        let word = failure_word(row.text.as_deref());
        if let Some((_, count)) = counts.iter_mut().find(|(other, _)| *other == word) {
            *count += row.count;
        }
    }
    counts
}

fn failure_word(text: Option<&str>) -> &'static str {
    let Some(text) = text else { return UNASKED };
    let text = text.trim_start();
    let found = FAILURES.iter().find(|(begin, _)| text.starts_with(begin));
    found.map_or(OTHER, |(_, word)| word)
}

/// Errors that are the same trouble.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorClass {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What the trouble is, without the numbers, addresses and names in which its cases differ.
    pub class: String,
    /// How many.
    pub count: i64,
    /// In how many runs.
    pub runs: usize,
    /// When first.
    pub first: Instant,
    /// When last.
    pub last: Instant,
    /// The newest of its rows: an example.
    pub newest: ErrorRow,
}

/// Puts together what is the same trouble, the most frequent first. `rows` are the newest run's first.
pub fn classes(rows: Vec<ErrorRow>) -> Vec<ErrorClass> {
    // Where each class is, and the run in which it was met last.
    let mut places: HashMap<(ErrorKind, String), (usize, String)> = HashMap::new();
    let mut found: Vec<ErrorClass> = Vec::new();
    for mut row in rows {
        if row.kind == ErrorKind::Step && row.example.is_none() {
            row.text = row.text.map(in_words);
        }
        let class = class(row.text.as_deref());
        let (place, run) = places
            .entry((row.kind, class.clone()))
            .or_insert_with(|| (found.len(), row.run.clone()));
        if let Some(known) = found.get_mut(*place) {
            known.count += row.count;
            known.first = known.first.min(row.first);
            known.last = known.last.max(row.last);
            if *run != row.run {
                known.runs += 1;
                run.clone_from(&row.run);
            }
        } else {
            found.push(ErrorClass {
                kind: row.kind,
                class,
                count: row.count,
                runs: 1,
                first: row.first,
                last: row.last,
                newest: row,
            });
        }
    }
    found.sort_by_key(|class| (std::cmp::Reverse(class.count), class.kind));
    found
}

/// `exit 10 in load-products`, of which nobody wrote down more, with what the code means.
fn in_words(text: String) -> String {
    let code = text
        .strip_prefix("exit ")
        .and_then(|rest| rest.split(' ').next());
    match code.and_then(|code| code.parse().ok()) {
        Some(code) => format!("{text}: {}", Exit::from_code(code).words()),
        None => text,
    }
}

/// A text in one line; of one that is longer its beginning and its end, where the innermost cause stands.
pub fn shortened(text: &str, chars: usize) -> String {
    let line: Vec<char> = catalog::one_line(text, usize::MAX).chars().collect();
    if line.len() <= chars {
        return line.into_iter().collect();
    }
    let head = chars * 2 / 5;
    let (head, tail) = (&line[..head], &line[line.len() - (chars - head)..]);
    // Whole words, where none is very long.
    let is_space = |c: &char| *c == ' ';
    let end = head
        .iter()
        .rposition(is_space)
        .filter(|end| head.len() - end <= LONG_WORD);
    let begin = tail
        .iter()
        .position(is_space)
        .filter(|begin| *begin <= LONG_WORD);
    let head = &head[..end.map_or(head.len(), |end| end + 1)];
    let tail = &tail[begin.unwrap_or(0)..];
    head.iter().chain(&['…']).chain(tail).collect()
}

/// A text without what differs from case to case: addresses, quotations, and numbers but for an exit code and
/// a status.
fn class(text: Option<&str>) -> String {
    let Some(text) = text else {
        return "not asked".into();
    };
    // Else the advice would be the end of the class.
    let text = text.strip_suffix(CHOICES).unwrap_or(text);
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in catalog::one_line(text.trim(), usize::MAX).split(' ') {
        let was_quoted = quoted;
        quoted ^= word.matches('"').count() % 2 == 1;
        if was_quoted || word.starts_with('"') {
            if !was_quoted {
                words.push("…".into());
            }
            continue;
        }
        let before = words.last().map(String::as_str);
        words.push(match before {
            _ if word.contains("://") => "…".into(),
            Some("exit" | "answers" | "status" | "(status") => word.to_owned(),
            _ => without_numbers(word),
        });
    }
    shortened(&words.join(" "), CLASS_CHARS)
}

/// A word whose numbers are all the same; `(429)` is a status.
fn without_numbers(word: &str) -> String {
    if word.starts_with('(') {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            '0'..='9' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crawl::FetchErrorKind as K;

    use super::*;

    #[test]
    fn a_class_is_what_cases_of_one_trouble_share() {
        let status = |status| {
            let retry_after = None;
            K::Server {
                status,
                retry_after,
            }
        };
        let timeout = |millis| K::Timeout(std::time::Duration::from_millis(millis));
        let elsewhere = |to: &str| K::Redirect { to: to.into() };
        for (one, other, same) in [
            (status(503), status(503), true),
            (status(503), status(502), false),
            (K::Status(418), K::Status(451), false),
            (timeout(30_000), timeout(1), true),
            (elsewhere("https://a/b"), elsewhere("http://c/d"), true),
            (K::Throttled { retry_after: None }, status(503), false),
        ] {
            let of = |kind: &K| class(Some(&kind.to_string()));
            assert_eq!(of(&one) == of(&other), same, "{one}; {other}");
        }
        for (text, expected) in [
            (None, "not asked"),
            (
                Some("the site is in trouble (status 503)"),
                "the site is in trouble (status 503)",
            ),
            (
                Some("no whole answer within 30000 ms"),
                "no whole answer within N ms",
            ),
            (
                Some("no-price in price, saw \"a b\" and 7"),
                "no-price in price, saw … and N",
            ),
            (
                Some("exit 20 in x: the site refuses"),
                "exit 20 in x: the site refuses",
            ),
        ] {
            assert_eq!(class(text), expected);
        }
        assert_eq!(
            class(Some(&"a".repeat(500))).chars().count(),
            CLASS_CHARS + 1
        );
    }

    #[test]
    fn a_class_keeps_its_step_and_the_innermost_cause() {
        let robots = "the site refuses or cannot be reached: cannot fetch https://tiki.vn/robots.txt, and \
            until it can be read nothing may be asked: cannot connect: client error (Connect): ";
        let before = "robots.txt answers, but a category does not: the site refuses (403)";
        for (text, end) in [
            (
                format!("{robots}tcp connect error: Connection refused"),
                "Connection refused",
            ),
            (
                format!("{robots}dns error: no such host"),
                "dns error: no such host",
            ),
            (format!("{before}. {CHOICES}"), "the site refuses (403)."),
        ] {
            let class = class(Some(&format!("exit 20 in crawl-categories: {text}")));
            assert!(
                class.starts_with("exit 20 in crawl-categories: "),
                "{class}"
            );
            assert!(class.ends_with(end), "{class}");
            assert!(class.chars().count() <= CLASS_CHARS + 1, "{class}");
            let shorter = shortened(&class, 100);
            assert!(
                shorter.starts_with("exit 20 in crawl-categories: "),
                "{shorter}"
            );
            assert!(shorter.ends_with(end), "{shorter}");
        }
    }

    #[test]
    fn an_exit_code_of_which_nobody_wrote_more_has_words() {
        let mut row = ErrorRow {
            kind: ErrorKind::Step,
            run: "a".into(),
            text: Some("exit 10 in load-products".into()),
            count: 1,
            first: Instant::from_millis(1),
            last: Instant::from_millis(1),
            subject: None,
            example: None,
            host: None,
        };
        let words = "exit 10 in load-products: loaded, but below the quality limit";
        let found = classes(vec![row.clone()]);
        assert_eq!(found[0].class, words);
        assert_eq!(found[0].newest.text.as_deref(), Some(words));
        row.text = Some("exit 30 in load-products: away".into());
        row.example = Some("away".into());
        assert_eq!(
            classes(vec![row])[0].class,
            "exit 30 in load-products: away"
        );
    }

    #[test]
    fn every_way_to_fail_has_a_word() {
        let source = || Box::<dyn std::error::Error + Send + Sync>::from("x");
        let rejection = catalog::Rejection::new(catalog::RejectionReason::NotJson, None, "x");
        for (kind, word) in [
            (
                K::Refused {
                    status: None,
                    marker: "x".into(),
                    challenge: true,
                },
                "refused",
            ),
            (K::Throttled { retry_after: None }, "throttled"),
            (
                K::Server {
                    status: 503,
                    retry_after: None,
                },
                "server",
            ),
            (K::Redirect { to: "x".into() }, "redirect"),
            (K::Status(418), "status"),
            (K::Timeout(std::time::Duration::from_secs(1)), "timeout"),
            (K::Connect(source()), "connect"),
            (
                K::Proxy {
                    proxy: "http://x:1".into(),
                    trouble: crawl::ProxyTrouble::Login,
                },
                "proxy",
            ),
            (K::Interrupted(source()), "interrupted"),
            (K::Encoding("br".into()), "encoding"),
            (K::NotJson { content_type: None }, "not-json"),
            (K::NoState(rejection), "no-state"),
        ] {
            assert_eq!(failure_word(Some(&format!(" {kind}"))), word, "{kind}");
            assert!(failure_words().contains(&word));
        }
        assert_eq!(failure_word(None), UNASKED);
        assert_eq!(failure_word(Some("the moon is full")), OTHER);
    }

    #[test]
    fn classes_are_counted_over_runs_and_the_newest_is_the_example() {
        let row = |run: &str, text: &str, count, at| ErrorRow {
            kind: ErrorKind::Detail,
            run: run.into(),
            text: Some(text.into()),
            count,
            first: Instant::from_millis(at),
            last: Instant::from_millis(at + 1),
            subject: Some(count),
            example: None,
            host: None,
        };
        let found = classes(vec![
            row("b", "status 503", 2, 50),
            row("a", "status 503", 3, 10),
            row("a", "no answer within 10 ms", 4, 10),
            row("a", "no answer within 20 ms", 5, 10),
        ]);
        let brief: Vec<_> = found
            .iter()
            .map(|class| {
                (
                    class.class.as_str(),
                    class.count,
                    class.runs,
                    class.newest.run.as_str(),
                )
            })
            .collect();
        assert_eq!(
            brief,
            [
                ("no answer within N ms", 9, 1, "a"),
                ("status 503", 5, 2, "b")
            ]
        );
        assert_eq!((found[1].first.millis(), found[1].last.millis()), (10, 51));
    }
}
