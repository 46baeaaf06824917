//! Batches of a run's products: claimed by the worker that transforms them, staged with their records, taken by
//! the one that loads them.
//!
//! A row of `staged_products` is a batch. Its records are lines in frames of LZ4 (or as they are), one a
//! product, of eight words: the product, when it was found gone, the pages of its listing and its detail, the
//! number of the rules that derived it, 1 if it is withdrawn, the hashes of its identity and its details; then,
//! behind a tab, its record as `catalog` writes it. `-` is where there is none. So a bad line spoils no other.
//!
//! Not here: what a record is (`catalog`), what becomes of it (`staging`, `merge`).

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::ops::Range;
use std::sync::Arc;

use catalog::{Instant, Product, Rejection, RejectionReason};
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::error::{Error, Result};
use crate::lease::Attempt;
use crate::merge::Outcome;
use crate::params;
use crate::staged::{self, Brief, Broken, Staged};
use crate::tx::Tx;
use crate::value::Value;

/// A batch of products that a worker holds until it has staged them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    pub(crate) number: i64,
    /// Its products.
    pub(crate) ids: BTreeSet<i64>,
}

/// A product of a batch on its way to be loaded.
pub(crate) struct Line<'a> {
    pub(crate) product_id: i64,
    /// `None`: found gone, or withdrawn.
    pub(crate) record: Option<&'a Product>,
    pub(crate) gone_at: Option<Instant>,
    pub(crate) listing_page_id: Option<i64>,
    pub(crate) detail_page_id: Option<i64>,
    pub(crate) withdrawn: bool,
}

/// A text in which nothing is said.
const NONE: &str = "-";

/// Lines of a frame: what is packed and unpacked at once stays near the processor.
const FRAME: usize = 500;

/// Bytes of a batch's records at most; a field of either database may hold about a billion, and a line of a
/// dump, in which each byte is two, 256 MiB.
pub(crate) const MAX_RECORDS: usize = 120 << 20;

/// How a frame of LZ4 begins; lines begin with a digit.
const LZ4_MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// The lines of products in frames, half of them written in a thread of its own: this is the costliest part of
/// staging.
pub(crate) fn pack(lines: &[Line<'_>], derivation: i64) -> Result<Vec<u8>> {
    let pack = |frames: &[&[Line<'_>]]| -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        for lines in frames {
            out = frame(lines, derivation, out)?;
        }
        Ok(out)
    };
    let frames: Vec<&[Line<'_>]> = lines.chunks(FRAME).collect();
    let (one, other) = frames.split_at(frames.len() / 2);
    let (one, other) = std::thread::scope(|scope| {
        let one = (!one.is_empty()).then(|| scope.spawn(|| pack(one)));
        let died = |_| Err(std::io::Error::other("a thread that writes records died"));
        let other = pack(other);
        let one = one.map_or_else(|| Ok(Vec::new()), |one| one.join().unwrap_or_else(died));
        (one, other)
    });
    let (mut frames, other) = (one.map_err(stored)?, other.map_err(stored)?);
    frames.extend_from_slice(&other);
    Ok(frames)
}

/// Adds a frame of LZ4, with a checksum of what it holds.
fn frame(lines: &[Line<'_>], derivation: i64, out: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let info = FrameInfo::new()
        .content_checksum(true)
        .block_size(BlockSize::Max256KB);
    let mut packed = FrameEncoder::with_frame_info(info, out);
    let mut text = Vec::with_capacity(4096);
    for line in lines {
        text.clear();
        write_line(line, derivation, &mut text)?;
        packed.write_all(&text)?;
    }
    packed.finish().map_err(std::io::Error::other)
}

fn write_line(line: &Line<'_>, derivation: i64, out: &mut Vec<u8>) -> std::io::Result<()> {
    let said = |number: Option<i64>| number.map_or(NONE.into(), |number| number.to_string());
    let hashes = line.record.map(staged::hashes);
    write!(
        out,
        "{} {} {} {} {derivation} {} {} {}\t",
        line.product_id,
        line.gone_at.map_or(NONE.into(), |at| at.to_string()),
        said(line.listing_page_id),
        said(line.detail_page_id),
        i64::from(line.withdrawn),
        said(hashes.map(|hashes| hashes.0)),
        said(hashes.and_then(|hashes| hashes.1)),
    )?;
    match line.record {
        Some(product) => product.write_staged(&mut *out)?,
        None => out.extend_from_slice(NONE.as_bytes()),
    }
    out.push(b'\n');
    Ok(())
}

/// The lines of the first frame, which is taken away.
fn unpack(frames: &mut &[u8]) -> Result<String> {
    let mut lines = Vec::new();
    if frames.starts_with(&LZ4_MAGIC) {
        let mut frame = FrameDecoder::new(frames);
        frame.read_to_end(&mut lines).map_err(stored)?;
    } else {
        lines.extend_from_slice(std::mem::take(frames));
    }
    String::from_utf8(lines).map_err(stored)
}

fn read_line(
    id: i64,
    text: &Arc<String>,
    place: Range<usize>,
) -> std::result::Result<Staged, Rejection> {
    let line = &text[place.clone()];
    let (head, record) = line.split_once('\t').ok_or_else(|| bad("line", line))?;
    let place = place.start + head.len() + 1..place.end;
    let mut words = head.split(' ');
    let mut word = |field| words.next().ok_or_else(|| bad(field, head));
    let product_id = number("id", word("id")?)?;
    let product_id = product_id
        .filter(|said| *said == id)
        .ok_or_else(|| bad("id", head))?;
    let gone_at = match word("gone_at")? {
        NONE => None,
        at => Some(at.parse().map_err(|_| bad("gone_at", at))?),
    };
    let listing_page_id = number("page", word("page")?)?;
    let detail_page_id = number("page", word("page")?)?;
    let derivation = number("derivation", word("derivation")?)?;
    let withdrawn = word("withdrawn")? == "1";
    let identity_hash = number("hash", word("hash")?)?;
    let details_hash = number("hash", word("hash")?)?;
    let (mut product, mut brief) = (None, None);
    if record.trim_end() != NONE {
        brief = Some(match identity_hash {
            Some(identity_hash) => Brief {
                looks: catalog::staged_looks(product_id, record)?,
                hashes: (identity_hash, details_hash),
            },
            // Staged before there were hashes, in one part.
            None => Brief::of(product.insert(Product::from_record(product_id, record)?)),
        });
    }
    if !withdrawn && brief.is_some() == gone_at.is_some() {
        return Err(bad("record", "neither a record nor gone, or both"));
    }
    Ok(Staged {
        product_id,
        brief,
        product,
        text: (Arc::clone(text), place),
        gone_at,
        derivation: derivation.unwrap_or_default(),
        withdrawn,
        listing_page_id,
        detail_page_id,
    })
}

fn number(field: &'static str, word: &str) -> std::result::Result<Option<i64>, Rejection> {
    match word {
        NONE => Ok(None),
        word => word.parse().map(Some).map_err(|_| bad(field, word)),
    }
}

fn bad(field: &'static str, seen: &str) -> Rejection {
    Rejection::new(RejectionReason::BadStaged, Some(field), seen)
}

fn stored(error: impl std::fmt::Display) -> Error {
    Error::Stored(format!("staged records: {error}"))
}

/// Begins a batch of the run; its products are yet to be named.
pub(crate) async fn begin(tx: &mut Tx, attempt: &Attempt) -> Result<i64> {
    let sql = "INSERT INTO staged_products (run_id, state, claim, products)
        VALUES ($1, 'taken', $2, 0) RETURNING batch";
    let row = tx.row(sql, params![&attempt.run, attempt.epoch]).await?;
    row.map_or_else(|| Err(Error::Stored("no batch".into())), |row| row.int(0))
}

/// Notes how many products a batch has.
pub(crate) async fn hold(tx: &mut Tx, batch: &Batch) -> Result<()> {
    let sql = "UPDATE staged_products SET products = $2 WHERE batch = $1";
    let products = i64::try_from(batch.ids.len()).unwrap_or(i64::MAX);
    tx.execute(sql, params![batch.number, products])
        .await
        .map(drop)
}

/// Stages the records of a batch, if the attempt still holds it: the products that have one, and their frames.
pub(crate) async fn stage(
    tx: &mut Tx,
    attempt: &Attempt,
    batch: &Batch,
    products: &[i64],
    records: Vec<u8>,
) -> Result<()> {
    let (state, ids, records) = if products.is_empty() {
        ("loaded", Value::Null, Value::Null)
    } else {
        let ids: Vec<String> = products.iter().map(ToString::to_string).collect();
        is_storable(products.len(), &records)?;
        ("staged", ids.join(",").into(), Value::Bytes(records))
    };
    let staged = tx
        .execute(
            "UPDATE staged_products SET state = $3, claim = NULL, products = $4, ids = $5, records = $6
             WHERE batch = $1 AND claim = $2 AND state = 'taken'",
            &[
                batch.number.into(),
                attempt.epoch.into(),
                state.into(),
                i64::try_from(products.len()).unwrap_or(i64::MAX).into(),
                ids,
                records,
            ],
        )
        .await?;
    if staged == 1 {
        Ok(())
    } else {
        Err(Error::Fenced(attempt.epoch))
    }
}

fn is_storable(products: usize, records: &[u8]) -> Result<()> {
    if records.len() <= MAX_RECORDS {
        return Ok(());
    }
    Err(Error::LargeBatch {
        products,
        bytes: records.len(),
        most: MAX_RECORDS,
    })
}

/// A batch that was taken to be loaded.
pub(crate) struct Taken {
    pub(crate) number: i64,
    /// Its products.
    pub(crate) ids: Vec<i64>,
    pub(crate) records: Vec<u8>,
}

/// A batch's records in brief, and the lines of which none can be made; read in a thread of its own from the
/// call on, so that the database may be asked meanwhile.
pub(crate) fn read(
    ids: Vec<i64>,
    records: Vec<u8>,
) -> impl Future<Output = Result<(Vec<Staged>, Vec<Broken>)>> {
    let read = tokio::task::spawn_blocking(move || read_frames(&ids, &records));
    async { read.await.map_err(stored) }
}

fn read_frames(mut ids: &[i64], mut frames: &[u8]) -> (Vec<Staged>, Vec<Broken>) {
    let (mut rows, mut broken) = (Vec::with_capacity(ids.len()), Vec::new());
    while !ids.is_empty() {
        read_frame(&mut ids, &mut frames, &mut rows, &mut broken);
    }
    (rows, broken)
}

/// Of a frame that cannot be unpacked no records can be made, and none of what is behind it.
fn read_frame(
    ids: &mut &[i64],
    frames: &mut &[u8],
    rows: &mut Vec<Staged>,
    broken: &mut Vec<Broken>,
) {
    let text = match unpack(frames) {
        Ok(text) if !text.is_empty() => Arc::new(text),
        unread => {
            let damage = unread.err();
            let damage = damage.map_or("a line that is missing".into(), |error| error.to_string());
            let lost = |id: &i64| Broken {
                product_id: *id,
                page_id: None,
                rejection: bad("line", &damage),
            };
            broken.extend(std::mem::take(ids).iter().map(lost));
            return;
        }
    };
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let Some((id, rest)) = ids.split_first() else {
            return;
        };
        let end = begin + line.len();
        match read_line(*id, &text, begin..end) {
            Ok(row) => rows.push(row),
            Err(rejection) => {
                let mut words = line.split_ascii_whitespace();
                let mut number = |nth| words.nth(nth).and_then(|word| word.parse().ok());
                let (listing, detail) = (number(2), number(0));
                broken.push(Broken {
                    product_id: *id,
                    page_id: detail.or(listing),
                    rejection,
                });
            }
        }
        (*ids, begin) = (rest, end);
    }
}

/// Takes a staged batch, which stays locked until the transaction ends.
pub(crate) async fn take(tx: &mut Tx, run: &str) -> Result<Option<Taken>> {
    let sql =
        "SELECT batch, ids, records FROM staged_products WHERE run_id = $1 AND state = 'staged'
        ORDER BY batch LIMIT 1 {skip locked}";
    let Some(row) = tx.row(sql, params![run]).await? else {
        return Ok(None);
    };
    let ids = row.text(1)?;
    let ids = ids.split(',').map(|id| id.parse().map_err(stored));
    Ok(Some(Taken {
        number: row.int(0)?,
        ids: ids.collect::<Result<_>>()?,
        records: row.bytes(2).unwrap_or_default(),
    }))
}

/// Notes that a batch is loaded, and the outcome of those of its products, so many, that have no other.
pub(crate) async fn finish(
    tx: &mut Tx,
    batch: i64,
    (outcome, products): (Outcome, usize),
) -> Result<()> {
    let sql =
        "UPDATE staged_products SET state = 'loaded', outcome = $2, products = $3, ids = NULL,
        records = NULL WHERE batch = $1";
    let products = i64::try_from(products).unwrap_or(i64::MAX);
    tx.execute(sql, params![batch, outcome.as_str(), products])
        .await
        .map(drop)
}

/// Gives back the batches that nobody transforms any more.
pub(crate) async fn release_dead(tx: &mut Tx, run: &str) -> Result<()> {
    let rows = tx
        .rows(
            "SELECT batch FROM staged_products WHERE run_id = $1 AND state = 'taken'
                AND claim NOT IN (SELECT epoch FROM attempts WHERE run_id = $1 AND state = 'live')
             ORDER BY batch {for update}",
            params![run],
        )
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let dead: Vec<i64> = rows.iter().map(|row| row.int(0)).collect::<Result<_>>()?;
    for sql in [
        "UPDATE run_products SET batch = NULL WHERE run_id = $2 AND batch {among:$1}",
        "DELETE FROM staged_products WHERE run_id = $2 AND batch {among:$1}",
    ] {
        tx.execute(sql, &[Value::Ids(dead.clone()), run.into()])
            .await?;
    }
    Ok(())
}

/// Products of a run that wait to be transformed or are being transformed.
pub(crate) async fn to_transform(tx: &mut Tx, run: &str) -> Result<i64> {
    let sql = "SELECT (SELECT COUNT(*) FROM run_products
            WHERE run_id = $1 AND outcome IS NULL AND batch IS NULL)
        + (SELECT {int:COALESCE(SUM(products), 0)} FROM staged_products
            WHERE run_id = $1 AND state = 'taken')";
    count(tx, sql, run).await
}

/// Records of a run that wait to be loaded or are being loaded.
pub(crate) async fn to_load(tx: &mut Tx, run: &str) -> Result<i64> {
    let sql = "SELECT {int:COALESCE(SUM(products), 0)} FROM staged_products
        WHERE run_id = $1 AND state = 'staged'";
    count(tx, sql, run).await
}

async fn count(tx: &mut Tx, sql: &str, run: &str) -> Result<i64> {
    let row = tx.row(sql, params![run]).await?;
    row.map_or(Ok(0), |row| row.int(0))
}

#[cfg(test)]
mod tests {
    use catalog::Instant;

    use super::{Line, MAX_RECORDS, frame, is_storable, pack, read_frames};

    /// Earlier programs wrote all lines of a batch in one frame.
    #[test]
    fn a_frame_may_have_any_number_of_lines() {
        let gone = |product_id| Line {
            product_id,
            record: None,
            gone_at: Some(Instant::from_millis(product_id)),
            listing_page_id: None,
            detail_page_id: None,
            withdrawn: false,
        };
        let lines: Vec<Line<'_>> = (1..=1901).map(gone).collect();
        let mut frames = frame(&lines[..1200], 1, Vec::new()).expect("a frame");
        frames.extend(pack(&lines[1200..], 1).expect("two frames"));
        let ids: Vec<i64> = (1..=1901).collect();
        let (rows, broken) = read_frames(&ids, &frames);
        assert!(broken.is_empty());
        let read: Vec<i64> = rows.iter().map(|row| row.product_id).collect();
        assert_eq!(read, ids);
        assert_eq!(rows[1900].gone_at, Some(Instant::from_millis(1901)));
    }

    #[test]
    fn a_batch_that_no_field_can_hold_is_refused_by_its_size() {
        assert!(is_storable(4000, &vec![0; MAX_RECORDS]).is_ok());
        let refused = is_storable(4000, &vec![0; MAX_RECORDS + 1]);
        let said = refused.expect_err("too large").to_string();
        assert!(
            said.contains("4000 products is of 125829121 bytes"),
            "{said}"
        );
    }
}
