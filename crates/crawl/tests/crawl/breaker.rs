//! The site is left alone when it asks for it: the breaker of one process, and the pace that processes
//! share. A process is a client with a gate of its own here; slots are Redis's, the pace is kept beside.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crawl::{
    Answer, Ask, Breaker, Client, FetchErrorKind as Kind, Gate, Grant, Origin, Pace, PermitError,
    PermitSource, Rate, RedisPermits, Report, Reporting, Retry, Settings, Taking,
};
use futures_util::future::join_all;
use storefront::{Faults, Storefront, Throttle};
use testkit::Redis;

use crate::site::{JSON, Site, client, fetch, reply};

const PAUSE: Duration = Duration::from_millis(400);
const SPACING: Duration = Duration::from_millis(25);
const LONG: Duration = Duration::from_secs(30);

type Fetched = Result<Answer, Kind>;

/// A status, headers, and the seconds that they ask for.
type Named = (u16, &'static [(&'static str, &'static str)], u64);

/// The time to stay away, where that was the answer.
fn pause(answer: &Fetched) -> Option<Duration> {
    match answer {
        Err(Kind::Permit(PermitError::Pause(left))) => Some(*left),
        _ => None,
    }
}

fn impatient(mut settings: Settings) -> Settings {
    settings.breaker_pause = PAUSE;
    settings.max_in_flight = 20;
    settings
}

/// Many at once, from all clients, again and again until anybody may ask; the answers of that time.
async fn ask_until_let(clients: &[Client]) -> Vec<Fetched> {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        let many = (0..10).flat_map(|_| clients).map(fetch);
        let answers = join_all(many).await;
        if answers.iter().any(|answer| pause(answer).is_none()) {
            return answers;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the breaker stays open");
}

#[tokio::test]
async fn a_sticky_throttle_opens_the_breaker_and_one_probe_closes_it() {
    let shop = Storefront::start(storefront::Settings::default())
        .await
        .unwrap();
    let origin = Origin::parse(&shop.base_url()).unwrap();
    let client = client(impatient(Settings::new(origin)));
    let robots = client.read_robots().await.unwrap();
    let ask = Ask::Categories { parent: 2 };
    let throttle = Throttle {
        per_second: 10,
        burst: 3,
        sticky_ms: 250,
        after: None,
    };
    shop.set_faults(&Faults {
        rules: vec![],
        throttle: Some(throttle),
    })
    .unwrap();
    let refused = async || {
        let mut throttled = 0;
        loop {
            match client
                .fetch(&ask, &robots)
                .await
                .map_err(|error| error.kind)
            {
                Err(Kind::Throttled { .. }) => throttled += 1,
                Err(Kind::Permit(PermitError::Pause(_))) => break throttled,
                other => drop(other.unwrap()),
            }
        }
    };
    for _ in 0..2 {
        assert_eq!(refused().await, 8);
        let before = shop.counts().requests;
        let let_through = loop {
            let many = (0..10).map(|_| client.fetch(&ask, &robots));
            let answers = join_all(many).await;
            let sent = answers.into_iter().filter(|answer| {
                !matches!(
                    answer, Err(error) if matches!(error.kind, Kind::Permit(_))
                )
            });
            let sent: Vec<_> = sent.collect();
            if !sent.is_empty() {
                break sent;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        // The pause is longer than the grudge.
        assert!(
            matches!(&let_through[..], [Ok(Answer::Good(_))]),
            "{let_through:?}"
        );
        assert_eq!(shop.counts().requests - before, 1);
    }
    shop.set_faults(&Faults::none()).unwrap();
    for answer in join_all((0..10).map(|_| client.fetch(&ask, &robots))).await {
        answer.unwrap();
    }
}

#[tokio::test]
async fn a_time_that_the_site_names_opens_the_breaker_at_once() {
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let cases: [Named; 4] = [
        (429, &[("retry-after", "120")], 120),
        (
            503,
            &[("retry-after", "Sun, 06 Nov 1994 08:59:37 GMT"), DATE],
            600,
        ),
        (429, &[("retry-after", "86400")], 3600),
        // Shorter than the least pause.
        (503, &[("retry-after", "1")], 30),
    ];
    for (status, headers, seconds) in cases {
        let site = Site::start(move |_| reply(status, headers, "")).await;
        let client = client(site.settings());
        assert_eq!(pause(&fetch(&client).await), None);
        let answer = fetch(&client).await;
        let left = pause(&answer).unwrap();
        let named = Duration::from_secs(seconds);
        assert!(
            left <= named && left + LONG > named,
            "{headers:?}: {left:?}"
        );
        assert_eq!(answer.unwrap_err().retry(), Retry::After(left));
        let robots = client.read_robots().await.unwrap_err().kind;
        assert!(
            matches!(robots, Kind::Permit(PermitError::Pause(_))),
            "{robots:?}"
        );
        assert_eq!(site.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_probe_that_fails_doubles_the_pause() {
    let site = Site::start(|_| reply(500, &[], "")).await;
    let origin = site.origin.clone();
    let client = client(impatient(site.settings()));
    // One failure opens nothing; refusals and errors of ours neither.
    for _ in 0..20 {
        assert_eq!(pause(&fetch(&client).await), None);
    }
    let dead = Origin::parse(&format!("http://127.0.0.1:{}", testkit::free_port())).unwrap();
    let unreachable = crate::site::client(impatient(Settings::new(dead)));
    for _ in 0..8 {
        let answer = fetch(&unreachable).await;
        assert!(
            matches!(answer, Err(Kind::Connect(_))),
            "{answer:?} {origin}"
        );
    }
    let first = pause(&fetch(&unreachable).await).unwrap();
    assert!(first <= PAUSE);
    let mut longest = first;
    for _ in 0..2 {
        let answers = ask_until_let(std::slice::from_ref(&unreachable)).await;
        let sent = answers.iter().filter(|answer| pause(answer).is_none());
        assert_eq!(sent.count(), 1, "{answers:?}");
        let next = pause(&fetch(&unreachable).await).unwrap();
        assert!(next > longest && next <= longest * 2 + PAUSE, "{next:?}");
        longest = next;
    }
}

/// Slots of a Redis at a pace that processes share; it may be kept anywhere.
#[derive(Clone)]
struct Paced {
    slots: Arc<RedisPermits>,
    pace: Arc<Mutex<Pace>>,
    begun: Instant,
}

impl Paced {
    fn new(site: &Site) -> Self {
        let url = Redis::shared().fresh_url();
        Self {
            slots: Arc::new(RedisPermits::new(&url, &site.origin).unwrap()),
            pace: Arc::default(),
            begun: Instant::now(),
        }
    }

    /// As some other machine's clock has it.
    fn now(&self) -> i64 {
        let since = i64::try_from(self.begun.elapsed().as_micros()).unwrap();
        1_767_000_000_000_000 + since
    }

    fn share(&self) -> u16 {
        self.pace.lock().unwrap().share(self.now())
    }

    fn process(&self, site: &Site, spacing: Duration) -> Client {
        let gate = Gate::new(Rate::Every(spacing), Some(Arc::new(self.clone())));
        Client::new(impatient(site.settings()), gate).unwrap()
    }

    async fn grant(&self, want: u32, spacing: Duration) -> Result<Grant, PermitError> {
        let spacing = self.pace.lock().unwrap().spacing(spacing, self.now());
        let mut grant = self.slots.take(want, spacing).await?;
        let (mut pace, now) = (self.pace.lock().unwrap(), self.now());
        match pace.breaker(now) {
            Breaker::Open { left } => return Err(PermitError::Pause(left)),
            Breaker::HalfOpen if grant.count > 0 => {
                pace.take_probe(now);
                (grant.count, grant.probe) = (1, true);
            }
            Breaker::HalfOpen | Breaker::Closed => {}
        }
        Ok(grant)
    }
}

impl PermitSource for Paced {
    fn take(&self, want: u32, spacing: Duration) -> Taking<'_> {
        Box::pin(self.grant(want, spacing))
    }

    fn report(&self, report: Report) -> Reporting<'_> {
        let now = self.now();
        self.pace.lock().unwrap().apply(report, now);
        Box::pin(async { Ok(()) })
    }
}

/// A site that answers the status in hand, and two processes that ask it.
async fn two_processes() -> (Site, Arc<AtomicU16>, Paced, [Client; 2]) {
    let status = Arc::new(AtomicU16::new(200));
    let told = Arc::clone(&status);
    let site = Site::start(move |_| {
        let status = told.load(Ordering::SeqCst);
        let headers = [JSON, ("retry-after", "1")];
        reply(status, &headers[..=usize::from(status == 503)], "{}")
    })
    .await;
    let paced = Paced::new(&site);
    let clients = [paced.process(&site, SPACING), paced.process(&site, SPACING)];
    (site, status, paced, clients)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_the_breaker() {
    let (site, status, paced, clients) = two_processes().await;
    for client in &clients {
        fetch(client).await.unwrap();
    }
    status.store(503, Ordering::SeqCst);
    assert_eq!(pause(&fetch(&clients[0]).await), None);
    for client in &clients {
        assert!(pause(&fetch(client).await).is_some());
    }
    assert_eq!(site.seen().len(), 3);

    // The probe fails: one request of all, and a pause again for all.
    let answers = ask_until_let(&clients).await;
    let sent = answers.iter().filter(|answer| pause(answer).is_none());
    assert_eq!((sent.count(), site.seen().len()), (1, 4));
    for client in &clients {
        assert!(pause(&fetch(client).await).is_some());
    }
    assert_eq!(site.seen().len(), 4);

    status.store(200, Ordering::SeqCst);
    let answers = ask_until_let(&clients).await;
    assert!(answers.iter().any(Result::is_ok));
    for client in &clients {
        fetch(client).await.unwrap();
    }
    assert!((500..600).contains(&paced.share()), "{}", paced.share());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_in_hand_are_void_once_the_breaker_is_open() {
    let site = Site::start(|_| reply(503, &[("retry-after", "60")], "")).await;
    let client = Paced::new(&site).process(&site, SPACING * 8);
    // A second's worth of them has a slot when the first answer comes.
    let answers = join_all((0..20).map(|_| fetch(&client))).await;
    let sent = answers.iter().filter(|answer| pause(answer).is_none());
    let sent = sent.count();
    assert_eq!(site.seen().len(), sent);
    // One; more where this machine is slow, but not all five of a second.
    assert!((1..5).contains(&sent), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_the_share_of_the_rate() {
    let (site, status, paced, [one, _]) = two_processes().await;
    let spacing = SPACING * 8;
    let other = paced.process(&site, spacing);
    fetch(&one).await.unwrap();
    assert_eq!(paced.share(), crawl::FULL_SHARE);
    status.store(429, Ordering::SeqCst);
    let throttled = fetch(&one).await;
    assert!(matches!(throttled, Err(Kind::Throttled { .. })));
    status.store(200, Ordering::SeqCst);
    for _ in 0..4 {
        fetch(&other).await.unwrap();
    }
    let seen = site.seen();
    let took = seen[5].at.duration_since(seen[2].at);
    // Three times nearly twice the spacing, but for what a permit may be late by.
    assert!(took + crawl::PERMIT_VALID > spacing * 5, "{took:?}");
    assert!((500..1000).contains(&paced.share()), "{}", paced.share());
}
