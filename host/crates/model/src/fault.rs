//! What went wrong, whose doing it was, and whether trying again helps. One table for all.

use std::error::Error;
use std::fmt;

/// Whose doing a fault was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Guest,
    Source,
    Sink,
    Host,
    Config,
}

/// Whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// By itself, after a pause.
    Timed,
    /// After somebody changed something.
    Manual,
    /// The same input fails the same way.
    Never,
}

/// Kinds of fault: a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The configuration asks for something that is not so.
    Config,
    /// The source's server cannot be reached or went away.
    SourceUnavailable,
    /// The source's server refuses: credentials, privileges, settings.
    SourceRefused,
    /// Our place in the source's log is gone.
    SourceLost,
    /// The source sent what its protocol does not allow.
    SourceProtocol,
    /// A record cannot be decoded.
    Decode,
    /// The sink's server cannot be reached or does not answer.
    SinkUnavailable,
    /// The sink refuses for a reason that somebody must remove.
    SinkRefused,
    /// The sink refuses this record.
    RecordRefused,
    /// A module trapped.
    ModuleTrap,
    /// A module ran over its time.
    ModuleDeadline,
    /// A module ran over its memory or another limit.
    ModuleLimit,
    /// A module answered `err`.
    ModuleError,
    /// A module's answer breaks the contract.
    ModuleOutput,
    /// A module cannot be loaded, opened or bound.
    ModuleRefused,
    /// The data directory cannot be read or written.
    Disk,
    /// A bug in the gateway.
    Internal,
    /// The pipeline is being stopped.
    Stopped,
}

impl FaultKind {
    /// (label, blame, retry): the table.
    fn facts(self) -> (&'static str, Blame, Retry) {
        match self {
            Self::Config => ("config", Blame::Config, Retry::Manual),
            Self::SourceUnavailable => ("source-unavailable", Blame::Source, Retry::Timed),
            Self::SourceRefused => ("source-refused", Blame::Source, Retry::Manual),
            Self::SourceLost => ("source-lost", Blame::Source, Retry::Manual),
            Self::SourceProtocol => ("source-protocol", Blame::Source, Retry::Timed),
            Self::Decode => ("decode", Blame::Source, Retry::Never),
            Self::SinkUnavailable => ("sink-unavailable", Blame::Sink, Retry::Timed),
            Self::SinkRefused => ("sink-refused", Blame::Sink, Retry::Manual),
            Self::RecordRefused => ("record-refused", Blame::Sink, Retry::Never),
            Self::ModuleTrap => ("module-trap", Blame::Guest, Retry::Never),
            Self::ModuleDeadline => ("module-deadline", Blame::Guest, Retry::Never),
            Self::ModuleLimit => ("module-limit", Blame::Guest, Retry::Never),
            Self::ModuleError => ("module-error", Blame::Guest, Retry::Never),
            Self::ModuleOutput => ("module-output", Blame::Guest, Retry::Never),
            Self::ModuleRefused => ("module-refused", Blame::Guest, Retry::Manual),
            Self::Disk => ("disk", Blame::Host, Retry::Manual),
            Self::Internal => ("internal", Blame::Host, Retry::Manual),
            Self::Stopped => ("stopped", Blame::Host, Retry::Never),
        }
    }

    /// A short stable word.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.facts().0
    }
}

/// A fault: kind, what was found and what to do, and the cause underneath.
#[derive(Debug)]
pub struct Fault {
    pub kind: FaultKind,
    code: Option<&'static str>,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault. The message is a lowercase fragment without the cause's text.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), cause: None }
    }

    /// Adds the cause underneath.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Names what happened more narrowly than its kind does: a stable word for scripts and alerts
    /// (`slot-lost`).
    #[must_use]
    pub fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The stable word; the kind's label where none was given.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code.unwrap_or(self.kind.label())
    }

    /// Whose doing it was.
    #[must_use]
    pub fn blame(&self) -> Blame {
        self.kind.facts().1
    }

    /// Whether trying again helps.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.kind.facts().2
    }

    /// The message with every cause, joined by ": ". The one place that prints a chain.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|c| c as &(dyn Error + 'static))
    }
}
