//! Exit codes: a contract with shells, Airflow and monitoring.

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Exit {
    /// Done.
    Done,
    /// Unexpected failure of this machine: disk full, unwritable folder.
    Machine,
    /// Bad flags, settings, schema or clock.
    Usage,
    /// Preflight: something failed that is not critical.
    NeedsFixes,
    /// Preflight: something critical failed.
    Blocked,
    /// Done and loaded, but quality is below its limit.
    Quality,
    /// Stopped by the drift gate, nothing loaded.
    Drift,
    /// The site refuses us or cannot be reached; retry later.
    Refused,
    /// The warehouse is unreachable or held by another run; retry later.
    Warehouse,
    /// A promise broke: a bug.
    Bug,
    /// Nothing to do.
    Nothing,
    /// Interrupted; the work is kept.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Machine => 1,
            Self::Usage => 2,
            Self::NeedsFixes => 3,
            Self::Blocked => 4,
            Self::Quality => 10,
            Self::Drift => 11,
            Self::Refused => 20,
            Self::Warehouse => 30,
            Self::Bug => 70,
            Self::Nothing => 99,
            Self::Interrupted => 130,
        }
    }

    /// What it means, in few words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Nothing => "nothing to do",
            Self::Machine => "this machine failed",
            Self::Usage => "wrong settings, schema or clock",
            Self::Quality => "loaded, but below the quality limit",
            Self::Drift => "what the site sends has changed its shape, nothing is loaded",
            Self::Refused => "the site refuses or cannot be reached",
            Self::Warehouse => "the warehouse was lost or held",
            Self::Bug => "a bug",
            Self::Interrupted => "interrupted",
            // No run ends with these.
            Self::NeedsFixes => "the checklist asks for something to be mended",
            Self::Blocked => "the checklist asks for something that cannot be done without",
        }
    }

    /// The exit of a stored number.
    pub fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Done,
            2 => Self::Usage,
            3 => Self::NeedsFixes,
            4 => Self::Blocked,
            10 => Self::Quality,
            11 => Self::Drift,
            20 => Self::Refused,
            30 => Self::Warehouse,
            70 => Self::Bug,
            99 => Self::Nothing,
            130 => Self::Interrupted,
            _ => Self::Machine,
        }
    }

    /// The worse of two ends of a run's steps: a bug, then a stop, a refusal, low quality.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let weight = |exit: Self| match exit {
            Self::Done => 0,
            Self::Quality => 1,
            Self::Refused => 2,
            Self::Drift => 3,
            Self::Bug => 9,
            _ => 5,
        };
        if weight(other) > weight(self) {
            other
        } else {
            self
        }
    }
}
