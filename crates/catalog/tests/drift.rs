//! Invented days of a site that stays as it is, and of sites that change.

use std::collections::VecDeque;

use catalog::{FieldShape, FieldShapes, Finding, FindingKind, MIN_SAMPLE, drift};

/// Numbers that look like chance, the same in every run (SplitMix64).
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.number()
    }

    fn normal(&mut self) -> f64 {
        // Four even numbers sum up well enough, with a deviation of a third's root.
        ((0..4).map(|_| self.number()).sum::<f64>() - 2.0) * 3.0_f64.sqrt()
    }
}

/// A leaf category: how its products differ from those of others.
struct Leaf {
    branded: f64,
    rated: f64,
    sold: f64,
    discounted: f64,
    price: f64,
}

/// What is done to a field of some of the objects.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// It is left out, or has another name.
    Dropped,
    /// It is `null`.
    Nulled,
    /// It is of another type.
    Retyped,
    /// Its number is in thousands.
    Thousandth,
}

#[derive(Clone, Copy)]
struct Damage {
    field: &'static str,
    fault: Fault,
    /// Of this share of the objects.
    share: f64,
}

/// In the order of an item's values.
const FIELDS: [&str; 9] = [
    "id",
    "name",
    "url_path",
    "price",
    "original_price",
    "brand_name",
    "rating_average",
    "review_count",
    "quantity_sold.value",
];

struct Site {
    chance: Chance,
    leaves: Vec<Leaf>,
    day: f64,
}

/// One object of a field, as it would have come.
#[derive(Clone, Copy)]
enum Value {
    Absent,
    Null,
    Integer(f64),
    Real(f64),
    Text,
}

impl Site {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let leaves = (0..12).map(|_| Leaf {
            branded: chance.between(0.2, 0.95),
            rated: chance.between(0.2, 0.9),
            sold: chance.between(0.5, 0.98),
            discounted: chance.between(0.6, 1.0),
            price: 12.3 + chance.between(-1.2, 1.2),
        });
        Self {
            leaves: leaves.collect(),
            chance,
            day: 0.0,
        }
    }

    /// The shapes of a run: some hundred to thousands of products, of every leaf more or fewer or none.
    fn run(&mut self, damage: Option<Damage>) -> FieldShapes {
        self.day += 1.0;
        let mut shapes = [FieldShape::default(); FIELDS.len()];
        for at in 0..self.leaves.len() {
            // A run meets most of the leaves, and more or less of each.
            let met = self.chance.number() < 0.7;
            let most = if met { 160.0 } else { 0.0 };
            for _ in 0..self.chance.between(0.0, most) as i64 {
                let item = self.item(at);
                for ((shape, field), value) in shapes.iter_mut().zip(FIELDS).zip(item) {
                    let damage = damage.filter(|damage| {
                        damage.field == field && self.chance.number() < damage.share
                    });
                    count(shape, value, damage.map(|damage| damage.fault));
                }
            }
        }
        let fields = FIELDS.iter().map(|field| (*field).to_owned());
        fields.zip(shapes).collect()
    }

    fn item(&mut self, leaf: usize) -> [Value; FIELDS.len()] {
        let (leaf, chance, day) = (&self.leaves[leaf], &mut self.chance, self.day);
        let price = (leaf.price + chance.normal()).exp();
        let rated = chance.number() < leaf.rated + day * 0.002;
        let sold = chance.number() < leaf.sold;
        let or = |is: bool, value, other| if is { value } else { other };
        let rating = if chance.number() < 0.4 {
            Value::Integer(5.0)
        } else {
            Value::Real(chance.between(3.0, 5.0))
        };
        let reviews = (chance.normal() + 1.0 + day * 0.01).exp().floor();
        [
            Value::Integer(chance.between(1e6, 3e8)),
            Value::Text,
            or(chance.number() < 0.99, Value::Text, Value::Null),
            Value::Integer(price),
            or(
                chance.number() < leaf.discounted,
                Value::Integer(price * 1.2),
                Value::Absent,
            ),
            or(chance.number() < leaf.branded, Value::Text, Value::Null),
            or(rated, rating, Value::Integer(0.0)),
            or(rated, Value::Integer(reviews), Value::Integer(0.0)),
            or(sold, Value::Integer(reviews * 9.0), Value::Integer(0.0)),
        ]
    }
}

fn count(shape: &mut FieldShape, value: Value, fault: Option<Fault>) {
    let value = match (fault, value) {
        (Some(Fault::Dropped), _) => Value::Absent,
        (Some(Fault::Nulled), _) => Value::Null,
        (Some(Fault::Retyped), Value::Integer(_) | Value::Real(_)) => Value::Text,
        (Some(Fault::Retyped), Value::Text) => Value::Integer(7.0),
        (Some(Fault::Thousandth), Value::Integer(value)) => Value::Integer(value / 1_000.0),
        (_, value) => value,
    };
    let mut number = |value: f64| {
        let log = value.ln_1p();
        shape.log_sum += log;
        shape.log_squares += log * log;
    };
    match value {
        Value::Absent => shape.absent += 1,
        Value::Null => shape.nulls += 1,
        Value::Text => shape.texts += 1,
        Value::Integer(value) => {
            number(value);
            shape.integers += 1;
        }
        Value::Real(value) => {
            number(value);
            shape.reals += 1;
        }
    }
}

const WINDOW: usize = 14;

/// Days of a site, each against the window before it.
struct Days {
    site: Site,
    window: VecDeque<FieldShapes>,
}

impl Days {
    /// A site with `days` good days behind it.
    fn after(seed: u64, days: usize) -> Self {
        let mut window = VecDeque::new();
        let mut site = Site::new(seed);
        for _ in 0..days {
            window.push_front(site.run(None));
        }
        Self { site, window }
    }

    fn day(&mut self, damage: Option<Damage>) -> Vec<Finding> {
        let now = self.site.run(damage);
        let findings = drift(&now, self.window.make_contiguous());
        self.window.push_front(now);
        self.window.truncate(WINDOW);
        findings
    }
}

fn stops(findings: &[Finding], field: &str) -> bool {
    findings
        .iter()
        .any(|found| found.stops && found.field == field)
}

#[test]
fn a_site_that_stays_as_it_is_stops_nothing() {
    let mut told = 0;
    for seed in 1..=50 {
        let mut days = Days::after(seed, 0);
        for day in 1..=30 {
            let findings = days.day(None);
            let stopped = findings.iter().find(|found| found.stops);
            assert_eq!(stopped, None, "seed {seed} day {day}");
            told += findings.len();
        }
    }
    assert!(told <= 15, "{told} findings on 1,500 days are noise");
}

#[test]
fn a_field_that_breaks_at_once_stops_the_run() {
    for seed in 1..=10 {
        for history in [1, 3, WINDOW] {
            for (field, fault) in [
                ("price", Fault::Dropped),
                ("price", Fault::Retyped),
                ("price", Fault::Thousandth),
                ("name", Fault::Nulled),
                ("url_path", Fault::Dropped),
                ("rating_average", Fault::Retyped),
                ("brand_name", Fault::Dropped),
                ("brand_name", Fault::Retyped),
                ("original_price", Fault::Nulled),
                ("quantity_sold.value", Fault::Dropped),
            ] {
                let whole = Damage {
                    field,
                    fault,
                    share: 1.0,
                };
                let findings = Days::after(seed, history).day(Some(whole));
                let case = format!("seed {seed}, {history} days, {fault:?} {field}");
                assert!(stops(&findings, field), "{case}: {findings:?}");
                let others = findings
                    .iter()
                    .find(|found| found.stops && found.field != field);
                assert_eq!(others, None, "{case}");
            }
        }
    }
}

#[test]
fn a_quarter_of_a_steady_field_stops_the_run() {
    for seed in 1..=20 {
        for (field, fault) in [
            ("price", Fault::Dropped),
            ("price", Fault::Retyped),
            ("name", Fault::Nulled),
            ("id", Fault::Retyped),
            ("url_path", Fault::Dropped),
            ("review_count", Fault::Dropped),
            ("rating_average", Fault::Retyped),
        ] {
            let quarter = Damage {
                field,
                fault,
                share: 0.25,
            };
            let findings = Days::after(seed, 5).day(Some(quarter));
            let share = findings.iter().find(|found| found.field == field);
            let case = format!("seed {seed}, {fault:?} {field}: {findings:?}");
            // A quarter by chance: of hundreds of objects, between a fifth and three tenths.
            let share = share.unwrap_or_else(|| panic!("{case}"));
            assert!(share.stops || share.was - share.now < 0.2, "{case}");
            assert!(share.was - share.now > 0.17, "{case}");
        }
    }
}

#[test]
fn what_creeps_is_stopped_within_fifteen_days() {
    for seed in 1..=20 {
        for (field, fault) in [
            ("price", Fault::Dropped),
            ("name", Fault::Nulled),
            ("review_count", Fault::Retyped),
        ] {
            let mut days = Days::after(seed, 10);
            let stopped = (1..=15).find(|day| {
                let creeping = Damage {
                    field,
                    fault,
                    share: 0.02 * f64::from(*day),
                };
                stops(&days.day(Some(creeping)), field)
            });
            assert!(stopped.is_some(), "seed {seed}, {fault:?} {field}");
        }
    }
}

fn only(field: &str, shape: FieldShape) -> FieldShapes {
    FieldShapes::from([(field.to_owned(), shape)])
}

fn texts(texts: i64, absent: i64) -> FieldShape {
    FieldShape {
        texts,
        absent,
        ..FieldShape::default()
    }
}

#[track_caller]
fn check(field: &str, was: FieldShape, now: FieldShape, expected: Option<(FindingKind, bool)>) {
    let findings = drift(&only(field, now), &[only(field, was)]);
    let found: Vec<(FindingKind, bool)> = findings
        .iter()
        .map(|found| (found.kind, found.stops))
        .collect();
    assert_eq!(found, Vec::from_iter(expected), "{field}");
}

#[test]
fn findings_say_what_changed_and_whether_it_stops() {
    use FindingKind::{Presence, Type, Vanished};
    let all = texts(400, 0);
    check("name", all, texts(400, 0), None);
    check("name", all, texts(0, 400), Some((Vanished, true)));
    check("name", all, texts(300, 100), Some((Presence, true)));
    check("name", all, texts(340, 60), Some((Presence, false)));
    check("name", all, texts(370, 30), None);
    // More is no loss.
    check("name", texts(200, 200), all, Some((Presence, false)));
    // Nothing needs it.
    check(
        "quantity_sold.text",
        all,
        texts(0, 400),
        Some((Vanished, false)),
    );
    // It varies by nature, so one earlier run says little.
    check("brand_name", texts(320, 80), texts(200, 200), None);
    check(
        "brand_name",
        texts(320, 80),
        texts(0, 400),
        Some((Vanished, true)),
    );
    check("brand_name", texts(80, 320), texts(0, 400), None);
    let integers = FieldShape {
        integers: 400,
        ..FieldShape::default()
    };
    check("url_key", all, integers, Some((Type, true)));
    check("mascot", all, texts(0, 400), None);
}

#[test]
fn too_few_objects_say_nothing() {
    let enough = MIN_SAMPLE;
    check("name", texts(400, 0), texts(0, enough - 1), None);
    check("name", texts(enough - 1, 0), texts(0, 400), None);
    check(
        "name",
        texts(enough, 0),
        texts(0, enough),
        Some((FindingKind::Vanished, true)),
    );
    assert_eq!(drift(&only("name", texts(0, 400)), &[]), []);
}

#[test]
fn whole_numbers_and_fractions_are_one_type_where_the_site_mixes_them() {
    let numbers = |integers, reals| FieldShape {
        integers,
        reals,
        ..FieldShape::default()
    };
    check("rating_average", numbers(400, 0), numbers(0, 400), None);
    check(
        "discount_rate",
        numbers(400, 0),
        numbers(0, 400),
        Some((FindingKind::Type, false)),
    );
}

#[test]
fn a_price_in_another_unit_is_told_as_the_typical_price() {
    let priced = |price: f64| FieldShape {
        integers: 400,
        log_sum: 400.0 * price.ln_1p(),
        log_squares: 400.0 * price.ln_1p().powi(2),
        ..FieldShape::default()
    };
    let was = only("price", priced(200_000.0));
    let findings = drift(&only("price", priced(200.0)), std::slice::from_ref(&was));
    let [found] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(
        (found.kind, found.stops, found.sample),
        (FindingKind::Range, true, 400)
    );
    assert!((found.was - 200_000.0).abs() < 1.0 && (found.now - 200.0).abs() < 0.01);
    assert_eq!(drift(&only("price", priced(300_000.0)), &[was]), []);
}
