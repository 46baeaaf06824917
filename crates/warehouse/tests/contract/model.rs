//! The law of looks and history in plain words, written apart from the program's fold: columns are
//! an array, all looks are known beforehand, and every row follows from the one before.

use std::fmt::Write as _;

use catalog::Instant;

pub(crate) const PRICE: usize = 0;
pub(crate) const ORIGINAL: usize = 1;
pub(crate) const PERCENT: usize = 2;
pub(crate) const SALES: usize = 3;
/// In tenths.
pub(crate) const RATING: usize = 4;
pub(crate) const REVIEWS: usize = 5;
pub(crate) const SELLER: usize = 6;
pub(crate) const SPID: usize = 7;
/// A number that stands for a word.
pub(crate) const STOCK: usize = 8;
pub(crate) const QUANTITY: usize = 9;

pub(crate) type Columns = [Option<i64>; 10];

/// What one page said at one time.
#[derive(Clone)]
pub(crate) struct ModelLook {
    pub(crate) at: Instant,
    pub(crate) kind: Kind,
    pub(crate) said: Columns,
    /// Which of several names the page said.
    pub(crate) name: u64,
}

impl std::fmt::Debug for ModelLook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (at, kind, name) = (self.at, self.kind, self.name);
        write!(f, "{at} {kind:?} {name} {}", print(&self.said))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Listing,
    Detail,
    Gone,
}

/// What the looks come to, as the texts that the test reads from the warehouse.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) observations: Vec<String>,
    pub(crate) history: Vec<String>,
    pub(crate) velocities: Vec<Option<f64>>,
    pub(crate) product: String,
}

pub(crate) fn word(stock: i64) -> String {
    format!("word{stock}")
}

fn print(columns: &[Option<i64>]) -> String {
    let mut text = String::new();
    for (n, value) in columns.iter().enumerate() {
        let printed = match value {
            None => "~".into(),
            Some(tenths) if n == RATING => format!("{}", *tenths as f64 / 10.0),
            Some(stock) if n == STOCK => word(*stock),
            Some(value) => value.to_string(),
        };
        write!(text, "|{printed}").expect("a string");
    }
    text
}

/// A value that is carried never contradicts what the newest look said.
fn carry(known: &Columns, said: &Columns) -> Columns {
    let mut next = *known;
    for column in 0..next.len() {
        if said[column].is_some() {
            next[column] = said[column];
        }
    }
    if next[ORIGINAL].is_some_and(|original| original < next[PRICE].unwrap_or(0)) {
        next[ORIGINAL] = None;
    }
    if said[PERCENT].is_none() || next[ORIGINAL].is_none() {
        next[PERCENT] = match (next[PRICE], next[ORIGINAL]) {
            (Some(price), Some(original)) if original > 0 => {
                Some(((original - price) as f64 * 100.0 / original as f64 + 0.5).floor() as i64)
            }
            _ => None,
        };
    }
    if next[REVIEWS] == Some(0) {
        next[RATING] = None;
    }
    next
}

/// The kinds of change from one state to the next, in their order.
fn kinds(first: bool, gone: (bool, bool), old: &Columns, new: &Columns) -> Vec<&'static str> {
    if first {
        return if gone.1 {
            vec!["first", "delisted"]
        } else {
            vec!["first"]
        };
    }
    let differs = |columns: &[usize]| columns.iter().any(|c| old[*c] != new[*c]);
    let all = [
        ("delisted", !gone.0 && gone.1),
        ("relisted", gone.0 && !gone.1),
        ("price", differs(&[PRICE, ORIGINAL, PERCENT])),
        ("seller", differs(&[SELLER, SPID])),
        ("stock", differs(&[STOCK])),
        ("sales", differs(&[SALES, RATING, REVIEWS])),
    ];
    all.into_iter()
        .filter(|(_, holds)| *holds)
        .map(|(kind, _)| kind)
        .collect()
}

/// The beginning of the newest stretch of looks that say the same.
fn since<T: PartialEq>(said: &[(Instant, T)]) -> Option<Instant> {
    let (mut since, newest) = said.last().map(|(at, what)| (*at, what))?;
    for (at, what) in said.iter().rev() {
        if what != newest {
            break;
        }
        since = *at;
    }
    Some(since)
}

/// All that follows from a product's looks, in the order of their times, one a time.
pub(crate) fn tell(looks: &[ModelLook]) -> Told {
    let mut known: Columns = [None; 10];
    let (mut gone, mut delisted_at, mut changed_at) = (false, None, None);
    let (mut sales_at, mut velocity) = (None::<Instant>, None);
    let mut told = Told {
        observations: Vec::new(),
        history: Vec::new(),
        velocities: Vec::new(),
        product: String::new(),
    };
    for (n, look) in looks.iter().enumerate() {
        let is_gone = look.kind == Kind::Gone;
        let next = if is_gone {
            known
        } else {
            carry(&known, &look.said)
        };
        let source = if look.kind == Kind::Listing {
            "listing"
        } else {
            "detail"
        };
        let said = if is_gone { [None; 10] } else { look.said };
        told.observations
            .push(format!("{}|{source}|{is_gone}{}", look.at, print(&said)));
        if let (Some(old), Some(new), Some(since)) = (known[SALES], next[SALES], sales_at)
            && old != new
        {
            let hours = look.at.millis_since(since) as f64 / 3_600_000.0;
            velocity = (new > old && hours >= 1.0).then(|| (new - old) as f64 / hours * 24.0);
        }
        if said[SALES].is_some() {
            sales_at = Some(look.at);
        }
        let kinds = kinds(n == 0, (gone, is_gone), &known, &next);
        match (gone, is_gone) {
            (false, true) => delisted_at = Some(look.at),
            (true, false) => delisted_at = None,
            _ => {}
        }
        if let Some(kind) = kinds.first() {
            let by = known[PRICE].zip(next[PRICE]).map(|(old, new)| new - old);
            let by = print(&[known[PRICE], by.filter(|by| *by != 0)]);
            let row = print(&next[..QUANTITY]);
            told.history
                .push(format!("{}|{kind}|{}{row}{by}", look.at, kinds.join(",")));
            told.velocities.push(velocity);
            changed_at = Some(look.at);
        }
        (known, gone) = (next, is_gone);
    }
    told.product = product(looks, &known, changed_at, delisted_at);
    told
}

fn product(
    looks: &[ModelLook],
    known: &Columns,
    changed_at: Option<Instant>,
    delisted_at: Option<Instant>,
) -> String {
    let names: Vec<(Instant, u64)> = looks
        .iter()
        .filter(|look| look.kind != Kind::Gone)
        .map(|look| (look.at, look.name))
        .collect();
    // Of a detail the tests vary the seller alone, whose name it says.
    let details: Vec<(Instant, Option<i64>)> = looks
        .iter()
        .filter(|look| look.kind == Kind::Detail)
        .map(|look| (look.at, look.said[SELLER]))
        .collect();
    let named = details.last().and_then(|(_, seller)| *seller);
    let seller_name = named.filter(|seller| Some(*seller) == known[SELLER]);
    let detailed_at = since(&details);
    let observed_at = changed_at.max(since(&names)).max(detailed_at);
    let print_time = |at: Option<Instant>| at.map_or("~".into(), |at| at.to_string());
    format!(
        "{}|{}|{}{}|{}|{}",
        print_time(observed_at),
        print_time(detailed_at),
        print_time(delisted_at),
        print(known),
        names.last().map_or(0, |(_, name)| *name),
        seller_name.map_or("~".into(), |seller| format!("Người bán {seller}")),
    )
}
