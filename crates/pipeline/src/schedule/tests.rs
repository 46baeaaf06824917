use super::*;

fn at(text: &str) -> Instant {
    let at: Timestamp = text.parse().expect(text);
    Instant::from_millis(at.as_millisecond())
}

fn schedule(cron: &str, zone: &str) -> Schedule {
    Schedule {
        cron: Cron::parse(cron).expect(cron),
        zone: TimeZone::get(zone).expect(zone),
    }
}

/// Two at night in Vietnam is 19:00 of the day before in UTC.
fn nightly() -> Schedule {
    schedule("0 2 * * *", "Asia/Ho_Chi_Minh")
}

#[test]
fn an_expression_is_read_or_refused() {
    for fits in [
        "0 2 * * *",
        "*/15 0-6 1,15 * MON-FRI",
        "@daily",
        " 0 2 * * * ",
    ] {
        Cron::parse(fits).expect(fits);
    }
    for refused in [
        "",
        "2 * * *",
        "0 0 2 * * *",
        "0 0 2 * * * 2027",
        "60 2 * * *",
        "0 24 * * *",
        "0 0 30 2 *",
        "every day",
        "@reboot",
    ] {
        Cron::parse(refused).expect_err(refused);
    }
}

#[test]
fn the_next_time_is_that_of_the_zone_also_where_clocks_are_changed() {
    for (cron, zone, after, next) in [
        (
            "0 2 * * *",
            "Asia/Ho_Chi_Minh",
            "2026-11-29T18:59:59Z",
            "2026-11-29T19:00:00Z",
        ),
        (
            "0 2 * * *",
            "Asia/Ho_Chi_Minh",
            "2026-11-29T19:00:00Z",
            "2026-11-30T19:00:00Z",
        ),
        (
            "0 2 1 * *",
            "Asia/Ho_Chi_Minh",
            "2026-11-29T19:00:00Z",
            "2026-11-30T19:00:00Z",
        ),
        // 02:30 is left out: it comes when the gap ends, once.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2027-03-27T12:00:00Z",
            "2027-03-28T01:00:00Z",
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2027-03-28T01:00:00Z",
            "2027-03-29T00:30:00Z",
        ),
        // 02:30 comes twice: the first counts, the second does not.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:30:00Z",
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-26T01:30:00Z",
        ),
    ] {
        let found = schedule(cron, zone).next_after(at(after));
        assert_eq!(found, Some(at(next)), "{cron} in {zone} after {after}");
    }
}

#[test]
fn what_is_due_follows_from_the_last_start_and_the_clock() {
    let began = |text| Memory::new(at("2026-11-01T00:00:00Z")).begun(Due::Now, at(text));
    let done = |text| began(text).ended(Some(Exit::Done), at(text));
    for (what, memory, now, due) in [
        (
            "a new installation waits for the next time",
            Memory::new(at("2026-11-29T20:00:00Z")),
            "2026-11-29T20:00:00Z",
            Due::At(at("2026-11-30T19:00:00Z")),
        ),
        (
            "and begins then",
            Memory::new(at("2026-11-29T20:00:00Z")),
            "2026-11-30T19:00:00Z",
            Due::Now,
        ),
        (
            "also when it was down at that time",
            Memory::new(at("2026-11-29T20:00:00Z")),
            "2026-11-30T23:00:00Z",
            Due::Now,
        ),
        (
            "a restart on the same day starts nothing",
            done("2026-11-29T19:00:03Z"),
            "2026-11-30T18:59:59Z",
            Due::At(at("2026-11-30T19:00:00Z")),
        ),
        (
            "a week that was missed is one start",
            done("2026-11-22T19:00:03Z"),
            "2026-11-29T23:00:00Z",
            Due::Now,
        ),
        (
            "which settles all of it",
            done("2026-11-29T23:00:00Z"),
            "2026-11-29T23:00:01Z",
            Due::At(at("2026-11-30T19:00:00Z")),
        ),
        (
            "a clock that jumps forward past a time starts once",
            done("2026-11-29T19:00:03Z"),
            "2026-12-04T00:00:00Z",
            Due::Now,
        ),
        (
            "a clock that was set back does not start twice",
            done("2026-11-29T19:00:03Z"),
            "2026-11-29T18:30:00Z",
            Due::At(at("2026-11-30T19:00:00Z")),
        ),
        (
            "nor when it comes to that time again",
            done("2026-11-29T19:00:03Z"),
            "2026-11-29T19:00:01Z",
            Due::At(at("2026-11-30T19:00:00Z")),
        ),
        (
            "a start a year ahead is a mistake of the clock",
            done("2027-11-29T19:00:03Z"),
            "2026-11-29T20:00:00Z",
            Due::At(at("2026-11-30T19:00:00Z")),
        ),
    ] {
        let memory = memory.corrected(at(now));
        assert_eq!(memory.due(&nightly(), at(now)), due, "{what}");
    }
}

#[test]
fn a_clock_that_was_far_ahead_does_not_stop_what_is_due() {
    let ahead = at("2027-11-29T19:00:03Z");
    let memory = Memory::new(ahead)
        .begun(Due::Now, ahead)
        .ended(Some(Exit::Refused), ahead);
    let now = at("2026-11-29T20:00:00Z");
    let memory = memory.corrected(now);
    // What was to be tried again then is, after the longest pause.
    assert_eq!(
        memory.due(&nightly(), now),
        Due::At(at("2026-11-29T20:45:00Z"))
    );
    let next = at("2026-11-30T19:00:00Z");
    assert_eq!(memory.corrected(next).due(&nightly(), next), Due::Now);
}

#[test]
fn the_ledger_knows_of_starts_that_the_memory_does_not() {
    let now = at("2026-11-30T23:00:00Z");
    let memory = Memory::new(at("2026-11-29T20:00:00Z"));
    assert_eq!(memory.knowing(None).due(&nightly(), now), Due::Now);
    let known = memory.knowing(Some(at("2026-11-30T19:00:02Z")));
    assert_eq!(
        known.due(&nightly(), now),
        Due::At(at("2026-12-01T19:00:00Z"))
    );
    let older = known.knowing(Some(at("2026-11-01T00:00:00Z")));
    assert_eq!(older, known);
}

#[test]
fn what_was_refused_is_tried_again_with_growing_pauses_and_not_for_ever() {
    let begin = at("2026-11-29T19:00:00Z");
    for (exit, tries) in [
        (Some(Exit::Refused), 3),
        (Some(Exit::Warehouse), 3),
        // Cut off.
        (Some(Exit::Interrupted), 3),
        (None, 3),
        (Some(Exit::Done), 0),
        (Some(Exit::Machine), 0),
        (Some(Exit::Usage), 0),
        (Some(Exit::Quality), 0),
        (Some(Exit::Drift), 0),
        (Some(Exit::Bug), 0),
    ] {
        let (mut now, mut memory) = (begin, Memory::new(begin).begun(Due::Now, begin));
        let mut pauses = Vec::new();
        loop {
            memory = memory.ended(exit, now);
            match memory.due(&nightly(), now) {
                Due::At(then) if memory.tries().is_some() => {
                    pauses.push(then.millis_since(now) / 60_000);
                    now = then;
                    assert_eq!(memory.due(&nightly(), now), Due::Again);
                    memory = memory.begun(Due::Again, now);
                }
                Due::At(next) => {
                    assert_eq!(next, at("2026-11-30T19:00:00Z"), "{exit:?}");
                    break;
                }
                due => panic!("{exit:?}: {due:?}"),
            }
        }
        assert_eq!(pauses, [5, 15, 45][..tries], "{exit:?}");
    }
}

#[test]
fn the_next_time_begins_anew_whatever_was_to_be_tried_again() {
    let hourly = schedule("0 * * * *", "UTC");
    let begin = at("2026-11-29T19:00:00Z");
    let mut memory = Memory::new(begin).begun(Due::Now, begin);
    for _ in 0..2 {
        memory = memory
            .ended(Some(Exit::Refused), begin)
            .begun(Due::Again, begin);
    }
    assert_eq!(memory.due_at(), begin, "tries belong to the time that came");
    let memory = memory.ended(Some(Exit::Refused), at("2026-11-29T19:50:00Z"));
    let next = at("2026-11-29T20:00:00Z");
    assert_eq!(
        memory.due(&hourly, at("2026-11-29T19:50:00Z")),
        Due::At(next)
    );
    assert_eq!(memory.due(&hourly, next), Due::Now);
    let memory = memory
        .begun(Due::Now, next)
        .ended(Some(Exit::Refused), next);
    assert_eq!(memory.due_at(), next);
    assert_eq!(
        memory.due(&hourly, next),
        Due::At(at("2026-11-29T20:05:00Z"))
    );
}

#[test]
fn what_was_at_work_when_the_machine_went_down_goes_on_after_a_pause() {
    let begin = at("2026-11-29T19:00:00Z");
    let memory = Memory::new(begin).begun(Due::Now, begin);
    assert!(memory.is_at_work());
    let text = serde_json::to_string(&memory).expect("JSON");
    let kept: Memory = serde_json::from_str(&text).expect("a memory");
    let now = at("2026-11-29T20:00:00Z");
    let woken = kept.woken(now);
    assert!(!woken.is_at_work());
    assert_eq!(
        woken.due(&nightly(), now),
        Due::At(at("2026-11-29T20:05:00Z"))
    );
    assert_eq!(woken.woken(at("2026-11-29T20:01:00Z")), woken, "once");
}
