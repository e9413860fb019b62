//! The requests of a plan, in a fixed order. If a request depends on an earlier answer, the step refers to that step,
//! and [`super::execute`] makes the request when the answer is there (R24, R31).

use super::{accounts::AccountIx, address::SmtpAddress, delta::Target, ids::SignInKey};

/// Position of a step in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIx(pub u32);

/// One request to Zivver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The action that it belongs to, by position in the plan.
    pub action: u32,
    pub target: Target,
    pub call: Call,
    pub when: When,
    /// Steps that must have ended before it starts, whatever their outcome.
    pub after: Vec<StepIx>,
    /// Addresses that are free only if the given steps succeeded. An address that is not free is left out of the
    /// request (R23).
    pub claims: Vec<(SmtpAddress, StepIx)>,
}

impl Step {
    /// Whether it normally costs a write. The completion of a create is needed if the create is known to drop something
    /// (R24; `docs/specs/zivver-scim.md`, "9. Open questions and the safe choice"): aliases, and the delegates of a
    /// user.
    pub fn is_expected(&self) -> bool {
        match (self.when, &self.call) {
            (When::Always, call) => !call.is_nothing(),
            (When::Completes(_), Call::UpdateUser { extension, .. }) => {
                extension.as_ref().is_some_and(|extension| {
                    !extension.aliases.is_empty() || !extension.delegates.is_empty()
                })
            }
            (When::Completes(_), Call::UpdateFunctional { aliases, .. }) => {
                aliases.as_ref().is_some_and(|aliases| !aliases.is_empty())
            }
            (When::Completes(_) | When::IfRefused(_), _) => false,
        }
    }
}

/// When a step is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// R24: adds what is missing in the answer to this create. Sends nothing if nothing is missing.
    Completes(StepIx),
    /// R17: takes back what was prepared for this rename, if it was refused.
    IfRefused(StepIx),
}

/// A request to Zivver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// POST (R24).
    CreateUser {
        address: SmtpAddress,
        name: Box<str>,
        key: Option<SignInKey>,
    },
    /// POST with members and aliases (R24).
    CreateFunctional {
        address: SmtpAddress,
        name: Box<str>,
        members: Vec<Delegate>,
        aliases: Vec<SmtpAddress>,
    },
    /// PUT with the values that differ. The extension is sent as a whole or not at all (R23).
    UpdateUser {
        address: Option<SmtpAddress>,
        name: Option<Box<str>>,
        active: Option<bool>,
        extension: Option<UserExtension>,
    },
    /// PUT. `members` is never empty, since Zivver ignores an empty list (`docs/specs/zivver-scim.md`, "5.4 Quirks").
    UpdateFunctional {
        name: Option<Box<str>>,
        members: Option<Vec<Delegate>>,
        aliases: Option<Vec<SmtpAddress>>,
    },
    /// PATCH `remove`, or a PUT of the other functional accounts, which stay members (R22, R23).
    Empty { keep: Vec<AccountIx> },
}

/// The whole extension of a user. The other attributes that were read in it are added when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserExtension {
    pub aliases: Vec<SmtpAddress>,
    /// The aliases to send instead if the preceding rename was refused. They contain the alias that was removed for it.
    pub aliases_if_refused: Option<(StepIx, Vec<SmtpAddress>)>,
    pub delegates: Vec<Delegate>,
    pub key: Option<SignInKey>,
}

/// R22: a delegate is an account. Its address or id is looked up when the request is sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delegate {
    Account(Target),
    /// An address outside the claimed domains (R13), of no account of the organisation, or of a rejected account (R1).
    Stranger(SmtpAddress),
}

impl Call {
    /// R16: a tie that needs no request and is only remembered.
    fn is_nothing(&self) -> bool {
        let nothing = Self::UpdateUser {
            address: None,
            name: None,
            active: None,
            extension: None,
        };
        *self == nothing
    }

    /// Whether it gives a user another address.
    pub fn renames(&self) -> bool {
        match self {
            Self::UpdateUser { address, .. } => address.is_some(),
            Self::CreateUser { .. }
            | Self::CreateFunctional { .. }
            | Self::UpdateFunctional { .. }
            | Self::Empty { .. } => false,
        }
    }

    /// R25: a suspend or an empty.
    pub fn is_stop(&self) -> bool {
        match self {
            Self::UpdateUser {
                address: None,
                active: Some(false),
                extension: None,
                ..
            }
            | Self::Empty { .. } => true,
            Self::CreateUser { .. }
            | Self::CreateFunctional { .. }
            | Self::UpdateUser { .. }
            | Self::UpdateFunctional { .. } => false,
        }
    }
}
