//! Which permissions a read includes.

use crate::domain::{address::SmtpAddress, mailbox::Mailbox, mode::Depth};

/// The mailboxes whose permissions are read.
#[derive(Debug, Clone, Copy)]
pub enum Permissions<'a> {
    OfAll,
    /// The mailboxes with this address: enough to explain it (R40), not enough for an apply.
    Of(&'a SmtpAddress),
    /// R45
    OfNone,
}

impl Permissions<'_> {
    pub fn of(depth: Depth) -> Self {
        match depth {
            Depth::Full => Self::OfAll,
            Depth::Quick => Self::OfNone,
        }
    }

    pub(super) fn depth(self) -> Depth {
        match self {
            Self::OfAll | Self::Of(_) => Depth::Full,
            Self::OfNone => Depth::Quick,
        }
    }

    pub(super) fn include(self, mailbox: &Mailbox) -> bool {
        match self {
            Self::OfAll => true,
            Self::Of(address) => mailbox.primary == *address || mailbox.aliases.contains(address),
            Self::OfNone => false,
        }
    }
}
