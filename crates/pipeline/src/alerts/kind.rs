//! The words of what an alert is about, but for exit codes, which are `exit-<code>`.

macro_rules! kinds {
    ($($name:ident = $word:literal;)*) => {
        $(pub(crate) const $name: &str = $word;)*
        /// All of them.
        pub const KINDS: &[&str] = &[$($word),*];
    };
}

kinds! {
    REJECTED = "rejected";
    UNFETCHED = "unfetched";
    ITEMS = "items";
    COVERAGE = "coverage";
    RATE = "rate";
    HIT_RATE = "hit-rate";
    DISK = "disk";
    FRESHNESS = "freshness";
    STALLED = "stalled";
    KILLED = "killed";
    BACKUP = "backup";
    CLEANUP = "cleanup";
    WAREHOUSE = "warehouse";
    REPORT = "report";
}

/// Whether it is one, or of an exit code.
pub(super) fn is_known(word: &str) -> bool {
    KINDS.contains(&word) || word.starts_with("exit-")
}
