//! COMMITs on their way to a PostgreSQL server in clear text, and what can become of one.
//!
//! Not here: connections (`proxy`).

use std::time::Duration;

/// What becomes of a COMMIT, or of the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives: the connection is cut instead.
    Lost,
    /// The client's end is cut at once; it arrives so much later all the same.
    Late(Duration),
    /// It waits, and its connection with it, until [`crate::Proxy::release`].
    Held,
    /// It is done, and the connection is cut before the answer arrives.
    AnswerLost,
    /// It is done, and the answer arrives so much later.
    AnswerLate(Duration),
    /// It is done, and nothing comes back any more, although the connection stays open.
    AnswerNever,
}

/// Codes of first messages that are answered with one byte, after which the client begins again.
const QUESTIONS: [u32; 2] = [80_877_103, 80_877_104];

/// The messages of one client.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    buffer: Vec<u8>,
    /// Past the first message, which has no type.
    begun: bool,
    /// In a transaction that only reads.
    reads: bool,
}

/// Whole messages as they were sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// It is the COMMIT of a transaction that writes, and nothing else.
    pub(crate) commits: bool,
}

impl Messages {
    /// The whole messages with what was just received; the rest is kept.
    pub(crate) fn take(&mut self, received: &[u8]) -> Vec<Piece> {
        self.buffer.extend_from_slice(received);
        let mut pieces: Vec<Piece> = Vec::new();
        while let Some(bytes) = self.next() {
            let commits = self.reads(&bytes);
            match pieces.last_mut() {
                Some(last) if !commits && !last.commits => last.bytes.extend(bytes),
                _ => pieces.push(Piece { bytes, commits }),
            }
        }
        pieces
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let kind = usize::from(self.begun);
        let length: [u8; 4] = self.buffer.get(kind..kind + 4)?.try_into().ok()?;
        let whole = kind + u32::from_be_bytes(length) as usize;
        if self.buffer.len() < whole.max(kind + 4) {
            return None;
        }
        let rest = self.buffer.split_off(whole.max(kind + 4));
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// Whether a message commits what was written.
    fn reads(&mut self, message: &[u8]) -> bool {
        if !self.begun {
            let code: Option<[u8; 4]> = message.get(4..8).and_then(|code| code.try_into().ok());
            self.begun = !QUESTIONS.map(u32::to_be_bytes).map(Some).contains(&code);
            return false;
        }
        let Some((b'Q', text)) = message.split_first() else {
            return false;
        };
        let text = text.get(4..).unwrap_or_default();
        if text.starts_with(b"BEGIN") {
            self.reads = text.windows(9).any(|words| words == b"READ ONLY");
        }
        text == b"COMMIT\0" && !self.reads
    }
}

#[cfg(test)]
mod tests {
    use super::Messages;

    fn query(text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len() + 5).unwrap();
        [&b"Q"[..], &length.to_be_bytes(), text.as_bytes(), &[0]].concat()
    }

    fn first(code: u32) -> Vec<u8> {
        [8_u32.to_be_bytes(), code.to_be_bytes()].concat()
    }

    #[test]
    fn only_a_commit_of_what_was_written_is_one_however_it_is_cut() {
        let all = [
            first(80_877_103),
            first(196_608),
            query("BEGIN; SET LOCAL x = 1"),
            query("INSERT 'COMMIT'"),
            query("COMMIT"),
            query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            query("COMMIT"),
            query("BEGIN"),
            query("COMMIT"),
        ]
        .concat();
        for size in [1, 2, 7, 4096] {
            let mut messages = Messages::default();
            let pieces: Vec<_> = all
                .chunks(size)
                .flat_map(|part| messages.take(part))
                .collect();
            let commits = pieces.iter().filter(|piece| piece.commits);
            assert!(commits.clone().all(|piece| piece.bytes == query("COMMIT")));
            assert_eq!(commits.count(), 2, "in pieces of {size}");
            let passed: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
            assert_eq!(passed, all);
        }
    }
}
