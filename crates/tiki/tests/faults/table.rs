//! What a site that misbehaves comes to: the fault, the exit code, what is loaded in spite of it. The tests
//! run from this table, and docs/RUNBOOK.md shows it.

/// What a run has loaded when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loaded {
    /// Every listed product with its detail.
    Everything,
    /// Every listed product; some or all of the details are told as not fetched, gone or rejected.
    Prices,
    /// What the pages that came list, with their details.
    SomePages,
    /// Nothing; the run is open and goes on later.
    Nothing,
}

impl Loaded {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Prices => "every listed product and its price; missing details are told",
            Self::SomePages => "what the other pages list; the category is told as incomplete",
            Self::Nothing => "nothing; the same command goes on later",
        }
    }
}

/// One way in which the site misbehaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// In words.
    pub(crate) fault: &'static str,
    /// The storefront's faults, as JSON. `{elsewhere}` is the address of a server that must not be asked.
    pub(crate) faults: &'static str,
    /// Settings beside the usual ones of these tests.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// The exit code of `tiki run`.
    pub(crate) exit: i32,
    /// What it has loaded then.
    pub(crate) loaded: Loaded,
}

const API: (&str, &str) = ("TIKI_SOURCE", "api");
const HASTY: (&str, &str) = ("TIKI_REQUEST_TIMEOUT", "400ms");
/// The usual four tries of one of 160 products may all meet a fault of every seventh request.
const TENACIOUS: (&str, &str) = ("TIKI_MAX_ATTEMPTS", "10");
const IMPATIENT: (&str, &str) = ("TIKI_STALL_LIMIT", "1s");

/// The usual end of a fault that passes.
const fn recovered(
    fault: &'static str,
    faults: &'static str,
    settings: &'static [(&'static str, &'static str)],
) -> Row {
    row(fault, faults, settings, 0, Loaded::Everything)
}

const fn row(
    fault: &'static str,
    faults: &'static str,
    settings: &'static [(&'static str, &'static str)],
    exit: i32,
    loaded: Loaded,
) -> Row {
    Row {
        fault,
        faults,
        settings,
        exit,
        loaded,
    }
}

/// All of them.
pub(crate) const TABLE: &[Row] = &[
    recovered(
        "429 with Retry-After, now and then",
        r#"{"rules":[{"route":"detail","when":{"between":[5,7]},"what":{"status":{"code":429,"retry_after_s":1}}}]}"#,
        &[],
    ),
    recovered(
        "429 without Retry-After, now and then",
        r#"{"rules":[{"route":"detail","when":{"between":[5,7]},"what":{"status":{"code":429}}}]}"#,
        &[],
    ),
    recovered(
        "sticky throttling: after some good answers everything is 429 until the site is left alone",
        r#"{"rules":[],"throttle":{"per_second":100000,"burst":100000,"sticky_ms":1500,"after":60}}"#,
        &[],
    ),
    row(
        "429 for every detail, for longer than the stall limit",
        r#"{"rules":[{"route":"detail","when":"always","what":{"status":{"code":429}}}]}"#,
        &[IMPATIENT],
        20,
        Loaded::Prices,
    ),
    row(
        "429 with a Retry-After longer than the stall limit",
        r#"{"rules":[{"route":"listing","when":"always","what":{"status":{"code":429,"retry_after_s":3000}}}]}"#,
        &[],
        20,
        Loaded::Nothing,
    ),
    recovered(
        "403 from the API of details alone, their HTML pages answer",
        r#"{"rules":[{"route":"detail","when":"always","what":{"status":{"code":403}}}]}"#,
        &[],
    ),
    row(
        "403 for every detail, and the API is all there is",
        r#"{"rules":[{"route":"detail","when":"always","what":{"status":{"code":403}}}]}"#,
        &[API],
        20,
        Loaded::Prices,
    ),
    row(
        "403 from the whole API: the roots of the tree have no HTML page",
        r#"{"rules":[{"route":"category","when":"always","what":{"status":{"code":403}}},{"route":"listing","when":"always","what":{"status":{"code":403}}},{"route":"detail","when":"always","what":{"status":{"code":403}}}]}"#,
        &[],
        20,
        Loaded::Nothing,
    ),
    row(
        "403 from the API, and a challenge from its HTML pages",
        r#"{"rules":[{"route":"detail","when":"always","what":{"status":{"code":403}}},{"route":"product_page","when":{"after":10},"what":"challenge"}]}"#,
        &[],
        20,
        Loaded::Prices,
    ),
    recovered(
        "403 from the API, and 429 with Retry-After from its HTML pages, now and then",
        r#"{"rules":[{"route":"detail","when":"always","what":{"status":{"code":403}}},{"route":"product_page","when":{"between":[11,12]},"what":{"status":{"code":429,"retry_after_s":1}}}]}"#,
        &[],
    ),
    row(
        "403 for everything",
        r#"{"rules":[{"route":"any","when":"always","what":{"status":{"code":403}}}]}"#,
        &[],
        20,
        Loaded::Nothing,
    ),
    recovered(
        "5xx now and then",
        r#"{"rules":[{"route":"any","when":{"every":7},"what":{"status":{"code":503}}}]}"#,
        &[TENACIOUS],
    ),
    row(
        "500 for every detail",
        r#"{"rules":[{"route":"detail","when":"always","what":{"status":{"code":500}}}]}"#,
        &[("TIKI_MAX_ATTEMPTS", "1"), API],
        20,
        Loaded::Prices,
    ),
    row(
        "500 for every detail after some good answers",
        r#"{"rules":[{"route":"detail","when":{"after":20},"what":{"status":{"code":500}}}]}"#,
        &[],
        20,
        Loaded::Prices,
    ),
    recovered(
        "slow headers, now and then slower than the time-out",
        r#"{"rules":[{"route":"detail","when":{"between":[4,6]},"what":{"delay":{"ms":900}}}]}"#,
        &[HASTY],
    ),
    recovered(
        "slow bodies, now and then slower than the time-out",
        r#"{"rules":[{"route":"detail","when":{"between":[4,6]},"what":{"slow_body":{"ms":2000}}}]}"#,
        &[HASTY],
    ),
    recovered(
        "one byte a second, now and then",
        r#"{"rules":[{"route":"detail","when":{"between":[4,6]},"what":{"trickle":{"bytes_per_second":1}}}]}"#,
        &[HASTY],
    ),
    recovered(
        "truncated gzip, now and then",
        r#"{"rules":[{"route":"any","when":{"every":9},"what":"truncated_gzip"}]}"#,
        &[TENACIOUS],
    ),
    row(
        "a body of 10 MB that unpacks to 10 GB",
        r#"{"rules":[{"route":"detail","when":{"between":[3,3]},"what":{"gzip_bomb":{"gigabytes":10}}}]}"#,
        &[API],
        0,
        Loaded::Prices,
    ),
    row(
        "a body over the limit",
        r#"{"rules":[{"route":"detail","when":{"between":[3,3]},"what":{"huge":{"megabytes":100}}}]}"#,
        &[API],
        0,
        Loaded::Prices,
    ),
    row(
        "JSON nested 100,000 deep",
        r#"{"rules":[{"route":"detail","when":{"between":[3,3]},"what":{"deep_json":{"depth":100000}}}]}"#,
        &[API],
        0,
        Loaded::Prices,
    ),
    recovered(
        "connections that are reset, now and then",
        r#"{"rules":[{"route":"any","when":{"every":8},"what":"reset"}]}"#,
        &[TENACIOUS],
    ),
    recovered(
        "answers that break off, now and then",
        r#"{"rules":[{"route":"any","when":{"every":8},"what":"cut_off"}]}"#,
        &[TENACIOUS],
    ),
    recovered(
        "the wrong content type (JSON called HTML) from the API of details alone, their HTML pages answer",
        r#"{"rules":[{"route":"detail","when":"always","what":"wrong_content_type"}]}"#,
        &[],
    ),
    row(
        "the wrong content type for every detail, and the API is all there is",
        r#"{"rules":[{"route":"detail","when":"always","what":"wrong_content_type"}]}"#,
        &[("TIKI_MAX_ATTEMPTS", "1"), API],
        20,
        Loaded::Prices,
    ),
    row(
        "an HTML challenge with 200",
        r#"{"rules":[{"route":"detail","when":{"after":10},"what":"challenge"}]}"#,
        &[],
        20,
        Loaded::Prices,
    ),
    row(
        "a page of HTML in the place of every detail, and the API is all there is",
        r#"{"rules":[{"route":"detail","when":"always","what":"error_page"}]}"#,
        &[API],
        20,
        Loaded::Prices,
    ),
    row(
        "a page of HTML in the place of a detail, now and then, and the API is all there is",
        r#"{"rules":[{"route":"detail","when":{"every":40},"what":"error_page"}]}"#,
        &[API],
        0,
        Loaded::Everything,
    ),
    row(
        "a CAPTCHA page with 200",
        r#"{"rules":[{"route":"listing","when":"always","what":"captcha"}]}"#,
        &[],
        20,
        Loaded::Nothing,
    ),
    recovered(
        "an error object with 200 from the API of details alone, their HTML pages answer",
        r#"{"rules":[{"route":"detail","when":"always","what":{"error_object":{"code":500}}}]}"#,
        &[],
    ),
    row(
        "an error object with 200 for more details than the limit of quality allows, and the API is all there is",
        r#"{"rules":[{"route":"detail","when":{"every":9},"what":{"error_object":{"code":500}}}]}"#,
        &[API],
        10,
        Loaded::Prices,
    ),
    row(
        "the body of another product now and then, and the API is all there is",
        r#"{"rules":[{"route":"detail","when":{"every":40},"what":"wrong_id"}]}"#,
        &[API],
        0,
        Loaded::Prices,
    ),
    recovered(
        "the body of another product from the API of details alone, their HTML pages answer",
        r#"{"rules":[{"route":"detail","when":{"every":9},"what":"wrong_id"}]}"#,
        &[],
    ),
    recovered(
        "a listing whose data is empty although it says that there is some, now and then",
        r#"{"rules":[{"route":"listing","when":{"between":[2,3]},"what":"empty_data"}]}"#,
        &[API],
    ),
    row(
        "every listing empty although it says that there is something",
        r#"{"rules":[{"route":"listing","when":"always","what":"empty_data"}]}"#,
        &[("TIKI_MAX_ATTEMPTS", "2"), API],
        20,
        Loaded::Nothing,
    ),
    recovered(
        "no paging: pages are asked until one is empty",
        r#"{"rules":[{"route":"listing","when":"always","what":{"drop_top":{"field":"paging"}}}]}"#,
        &[],
    ),
    row(
        "a redirect in a circle for every detail",
        r#"{"rules":[{"route":"detail","when":"always","what":"redirect_loop"}]}"#,
        &[API],
        20,
        Loaded::Prices,
    ),
    row(
        "a redirect elsewhere for every detail after some good answers",
        r#"{"rules":[{"route":"detail","when":{"after":20},"what":{"redirect_to":{"to":"http://127.0.0.1:{port}/x"}}}]}"#,
        &[API],
        20,
        Loaded::Prices,
    ),
    row(
        "a redirect to another host",
        r#"{"rules":[{"route":"detail","when":{"every":9},"what":{"redirect_to":{"to":"http://localhost:{port}/x"}}}]}"#,
        &[API],
        0,
        Loaded::Prices,
    ),
    row(
        "a redirect to another port",
        r#"{"rules":[{"route":"detail","when":{"every":9},"what":{"redirect_to":{"to":"http://127.0.0.1:{port}/x"}}}]}"#,
        &[API],
        0,
        Loaded::Prices,
    ),
    row(
        "a redirect to another scheme",
        r#"{"rules":[{"route":"detail","when":{"every":9},"what":{"redirect_to":{"to":"https://127.0.0.1:{port}/x"}}}]}"#,
        &[API],
        0,
        Loaded::Prices,
    ),
    row(
        "a redirect with a user name in it",
        r#"{"rules":[{"route":"detail","when":{"every":9},"what":{"redirect_to":{"to":"http://me:secret@127.0.0.1:{port}/x"}}}]}"#,
        &[API],
        0,
        Loaded::Prices,
    ),
    row(
        "a page of a listing that always fails",
        r#"{"rules":[{"route":"listing","only":{"parameter":"page","value":"2"},"when":"always","what":{"status":{"code":500}}}]}"#,
        &[("TIKI_MAX_ATTEMPTS", "2"), API],
        0,
        Loaded::SomePages,
    ),
    recovered(
        "items that move between pages while they are listed",
        r#"{"rules":[{"route":"listing","when":{"between":[2,4]},"what":{"moving":{"by":3}}}]}"#,
        &[],
    ),
    recovered(
        "a price that changes between listing and detail: the newer one is kept",
        r#"{"rules":[{"route":"detail","when":"always","what":{"change_price":{"percent":7}}}]}"#,
        &[],
    ),
    row(
        "404 for every detail: nothing is believed to be gone",
        r#"{"rules":[{"route":"detail","when":"always","what":{"status":{"code":404}}}]}"#,
        &[],
        10,
        Loaded::Prices,
    ),
];
