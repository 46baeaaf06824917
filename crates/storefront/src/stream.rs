//! Bodies that are sent piece by piece: slow ones, and ones too large to be held.
//!
//! Not in here: what is in a good body.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};
use futures_util::stream;

/// Pieces of a [`slow`] body.
const PIECES: usize = 10;
/// Pieces a second of a body that trickles faster than so many bytes.
const PIECES_A_SECOND: u32 = 20;
/// Plain bytes behind one repeated piece of a bomb.
const BLOCK: usize = 1_000_000;
/// Such pieces in a gigabyte.
const BLOCKS_A_GIGABYTE: u32 = 1_000;
/// Bytes a piece of a huge body.
const HUGE_PIECE: usize = 50_000;
/// Such pieces in a megabyte.
const PIECES_A_MEGABYTE: u64 = 20;
/// The header of RFC 1952: deflate, no flags, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// `body` over `time`, in ten pieces.
pub(crate) fn slow(body: Bytes, time: Duration) -> Body {
    let piece = body.len().div_ceil(PIECES).max(1);
    paced(body, piece, time / PIECES as u32)
}

/// `body` at a pace; a byte at a time up to 20 bytes a second.
pub(crate) fn trickle(body: Bytes, bytes_per_second: u32) -> Body {
    let pieces = bytes_per_second.clamp(1, PIECES_A_SECOND);
    let piece = bytes_per_second.div_ceil(PIECES_A_SECOND).max(1) as usize;
    paced(body, piece, Duration::from_secs(1) / pieces)
}

fn paced(body: Bytes, piece: usize, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(body, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = left.split_to(piece.min(left.len()));
        Some((Ok::<_, std::io::Error>(next), left))
    }))
}

/// `{"padding":"…"}` of so many million bytes, in pieces.
pub(crate) fn huge(megabytes: u32) -> Body {
    let (head, tail) = (&b"{\"padding\":\""[..], &b"\"}"[..]);
    let full = Bytes::from(vec![b'x'; HUGE_PIECE]);
    // The ends take their room from the first piece.
    let first = full.slice(head.len() + tail.len()..);
    let count = u64::from(megabytes) * PIECES_A_MEGABYTE;
    let padding = (1..count).map(move |_| full.clone());
    all(
        [Bytes::from(head), first].into_iter(),
        padding,
        Bytes::from(tail),
    )
}

/// One gzip member: so many gigabytes of spaces, then `{}`.
///
/// A block that ends at a byte and refers to nothing before it can be repeated, so that neither
/// side of the compression is ever held as a whole. None if the compressor fails.
pub(crate) fn bomb(gigabytes: u32) -> Option<Body> {
    let spaces = vec![b' '; BLOCK];
    let block = deflate(&spaces, FlushCompress::Full)?;
    let mut of_block = Crc::new();
    of_block.update(&spaces);
    let mut of_gigabyte = Crc::new();
    for _ in 0..BLOCKS_A_GIGABYTE {
        of_gigabyte.combine(&of_block);
    }
    let mut sum = Crc::new();
    for _ in 0..gigabytes {
        sum.combine(&of_gigabyte);
    }
    sum.update(b"{}");
    let mut tail = deflate(b"{}", FlushCompress::Finish)?;
    tail.extend(sum.sum().to_le_bytes());
    // The length modulo 2^32, as the format wants it.
    tail.extend(sum.amount().to_le_bytes());
    let block = Bytes::from(block);
    let blocks = (0..gigabytes * BLOCKS_A_GIGABYTE).map(move |_| block.clone());
    let head = [Bytes::from_static(&GZIP_HEADER)].into_iter();
    Some(all(head, blocks, Bytes::from(tail)))
}

/// Raw deflate of `plain`, up to a flush.
fn deflate(plain: &[u8], flush: FlushCompress) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(plain.len() / 100 + 256);
    let mut compressor = Compress::new(Compression::best(), false);
    compressor.compress_vec(plain, &mut packed, flush).ok()?;
    (compressor.total_in() == plain.len() as u64).then_some(packed)
}

fn all(
    head: impl Iterator<Item = Bytes> + Send + 'static,
    middle: impl Iterator<Item = Bytes> + Send + 'static,
    tail: Bytes,
) -> Body {
    let pieces = head.chain(middle).chain([tail]);
    Body::from_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)))
}
