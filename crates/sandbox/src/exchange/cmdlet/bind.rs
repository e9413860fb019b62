//! The supported cmdlets and the binding of their parameters: the case of names is ignored, unknown names are refused.

use serde_json::{Map, Value};

use crate::exchange::filter::{Filter, KINDS};
use crate::exchange::reply::Exception;
use crate::exchange::rows::{
    DOMAIN_PROPERTIES, PERMISSION_PROPERTIES, RECIPIENT_PROPERTIES, mailbox_properties,
};

const BINDING: &str = "System.Management.Automation.ParameterBindingException";
const TRANSFORMATION: &str =
    "System.Management.Automation.ParameterBindingArgumentTransformationException";
const AMBIGUOUS_SET: &str = "System.Management.Automation.AmbiguousParameterSetException";

#[derive(Debug)]
pub(in crate::exchange) struct Cmdlet {
    pub(in crate::exchange) name: &'static str,
    pub(super) verb: Verb,
    pub(super) output: Output,
    parameters: &'static [(&'static str, Kind)],
    /// Parameters that are required; an empty identity counts as missing.
    mandatory: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    Mailboxes,
    Permissions,
    DistributionGroups,
    DistributionGroupMembers,
    Recipients,
    Groups,
    RoleGroupMembers,
    UnifiedGroups,
    UnifiedGroupLinks,
    DynamicGroupMembers,
    AcceptedDomains,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    Mailboxes,
    Recipients,
    /// Recipients with the names of their members.
    Groups,
    Permissions,
    Domains,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Identity,
    ResultSize,
    Switch,
    RecipientTypeDetails,
    Filter,
    User,
    LinkType,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ResultSize {
    Unlimited,
    Rows(usize),
}

/// Parsed parameters.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// `None` (null, empty or absent) means all objects.
    pub(super) identity: Option<String>,
    pub(super) result_size: Option<ResultSize>,
    /// The switches that are set.
    pub(super) switches: Vec<&'static str>,
    pub(super) filters: Vec<Filter>,
    pub(super) user: Option<String>,
    pub(super) link_type: Option<String>,
}

const LISTING: &[(&str, Kind)] = &[
    ("Identity", Kind::Identity),
    ("ResultSize", Kind::ResultSize),
    ("RecipientTypeDetails", Kind::RecipientTypeDetails),
    ("Filter", Kind::Filter),
];
const MEMBERS: &[(&str, Kind)] = &[
    ("Identity", Kind::Identity),
    ("ResultSize", Kind::ResultSize),
];

pub(in crate::exchange) const CMDLETS: [Cmdlet; 11] = [
    Cmdlet {
        name: "Get-Mailbox",
        verb: Verb::Mailboxes,
        output: Output::Mailboxes,
        parameters: &[
            ("Identity", Kind::Identity),
            ("ResultSize", Kind::ResultSize),
            ("RecipientTypeDetails", Kind::RecipientTypeDetails),
            ("Filter", Kind::Filter),
            ("SoftDeletedMailbox", Kind::Switch),
            ("InactiveMailboxOnly", Kind::Switch),
            ("IncludeInactiveMailbox", Kind::Switch),
        ],
        mandatory: &[],
    },
    Cmdlet {
        name: "Get-MailboxPermission",
        verb: Verb::Permissions,
        output: Output::Permissions,
        parameters: &[
            ("Identity", Kind::Identity),
            ("ResultSize", Kind::ResultSize),
            ("User", Kind::User),
            ("IncludeUnresolvedPermissions", Kind::Switch),
            ("IncludeSoftDeletedUserPermissions", Kind::Switch),
        ],
        mandatory: &["Identity"],
    },
    Cmdlet {
        name: "Get-DistributionGroup",
        verb: Verb::DistributionGroups,
        output: Output::Recipients,
        parameters: LISTING,
        mandatory: &[],
    },
    Cmdlet {
        name: "Get-DistributionGroupMember",
        verb: Verb::DistributionGroupMembers,
        output: Output::Recipients,
        parameters: MEMBERS,
        mandatory: &["Identity"],
    },
    Cmdlet {
        name: "Get-Recipient",
        verb: Verb::Recipients,
        output: Output::Recipients,
        parameters: LISTING,
        mandatory: &[],
    },
    Cmdlet {
        name: "Get-Group",
        verb: Verb::Groups,
        output: Output::Groups,
        parameters: LISTING,
        mandatory: &[],
    },
    Cmdlet {
        name: "Get-RoleGroupMember",
        verb: Verb::RoleGroupMembers,
        output: Output::Recipients,
        parameters: MEMBERS,
        mandatory: &["Identity"],
    },
    Cmdlet {
        name: "Get-UnifiedGroup",
        verb: Verb::UnifiedGroups,
        output: Output::Recipients,
        parameters: &[
            ("Identity", Kind::Identity),
            ("ResultSize", Kind::ResultSize),
            ("Filter", Kind::Filter),
        ],
        mandatory: &[],
    },
    Cmdlet {
        name: "Get-UnifiedGroupLinks",
        verb: Verb::UnifiedGroupLinks,
        output: Output::Recipients,
        parameters: &[
            ("Identity", Kind::Identity),
            ("ResultSize", Kind::ResultSize),
            ("LinkType", Kind::LinkType),
        ],
        mandatory: &["Identity", "LinkType"],
    },
    Cmdlet {
        name: "Get-DynamicDistributionGroupMember",
        verb: Verb::DynamicGroupMembers,
        output: Output::Recipients,
        parameters: MEMBERS,
        mandatory: &["Identity"],
    },
    Cmdlet {
        name: "Get-AcceptedDomain",
        verb: Verb::AcceptedDomains,
        output: Output::Domains,
        parameters: MEMBERS,
        mandatory: &[],
    },
];

impl Output {
    pub(super) fn properties(self) -> Vec<&'static str> {
        match self {
            Self::Mailboxes => mailbox_properties().collect(),
            Self::Recipients => RECIPIENT_PROPERTIES.to_vec(),
            Self::Groups => [&RECIPIENT_PROPERTIES[..], &["Members"]].concat(),
            Self::Permissions => PERMISSION_PROPERTIES.to_vec(),
            Self::Domains => DOMAIN_PROPERTIES.to_vec(),
        }
    }
}

pub(super) fn cmdlet(name: &str) -> Option<&'static Cmdlet> {
    static TABLE: [Cmdlet; 11] = CMDLETS;
    TABLE
        .iter()
        .find(|cmdlet| cmdlet.name.eq_ignore_ascii_case(name))
}

pub(super) fn bind(cmdlet: &Cmdlet, parameters: &Map<String, Value>) -> Result<Bound, Exception> {
    let mut bound = Bound::default();
    let mut given = Vec::new();
    for (name, value) in parameters {
        let (known, kind) = cmdlet
            .parameters
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Exception::invalid_operation(
                    AMBIGUOUS_SET,
                    format!("A parameter cannot be found that matches parameter name '{name}'."),
                )
            })?;
        if given.contains(known) {
            return Err(Exception::invalid_operation(
                BINDING,
                format!("Parameter '{known}' is specified more than once."),
            ));
        }
        given.push(*known);
        bound.take(known, *kind, value)?;
    }
    for &name in cmdlet.mandatory {
        let empty_identity = name == "Identity" && bound.identity.is_none();
        if empty_identity || !given.contains(&name) {
            return Err(Exception::invalid_operation(
                BINDING,
                format!(
                    "Cannot process command because of one or more missing mandatory parameters: {name}."
                ),
            ));
        }
    }
    Ok(bound)
}

impl Bound {
    fn take(&mut self, name: &'static str, kind: Kind, value: &Value) -> Result<(), Exception> {
        let wrong = || {
            Exception::invalid_operation(
                TRANSFORMATION,
                format!("Cannot process argument transformation on parameter '{name}'."),
            )
        };
        match kind {
            Kind::Identity => match value {
                Value::Null => (),
                Value::String(text) if text.is_empty() => (),
                Value::String(text) => self.identity = Some(text.clone()),
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(wrong());
                }
            },
            Kind::ResultSize => self.result_size = Some(result_size(value).ok_or_else(wrong)?),
            Kind::Switch => {
                if value.as_bool().ok_or_else(wrong)? {
                    self.switches.push(name);
                }
            }
            Kind::RecipientTypeDetails => {
                self.filters.push(kinds(value).ok_or_else(wrong)?);
            }
            Kind::Filter => {
                let filter = value.as_str().and_then(Filter::parse).ok_or_else(wrong)?;
                self.filters.push(filter);
            }
            Kind::User => self.user = Some(value.as_str().ok_or_else(wrong)?.to_owned()),
            Kind::LinkType => {
                let text = value.as_str().ok_or_else(wrong)?;
                let known = ["Members", "Owners", "Subscribers", "Aggregators"];
                if !known.iter().any(|it| it.eq_ignore_ascii_case(text)) {
                    return Err(wrong());
                }
                self.link_type = Some(text.to_owned());
            }
        }
        Ok(())
    }
}

fn result_size(value: &Value) -> Option<ResultSize> {
    let rows = match value.as_str() {
        Some(text) if text.eq_ignore_ascii_case("unlimited") => {
            return Some(ResultSize::Unlimited);
        }
        Some(text) => text.parse().ok()?,
        None => usize::try_from(value.as_u64()?).ok()?,
    };
    (rows > 0).then_some(ResultSize::Rows(rows))
}

/// Parses kinds by name. A proper prefix of a name is accepted but matches nothing, as observed for enumerations.
fn kinds(value: &Value) -> Option<Filter> {
    let texts: Vec<&str> = match value {
        Value::String(text) => text.split(',').map(str::trim).collect(),
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let is_prefix = |text: &str| {
        KINDS.iter().any(|kind| {
            kind.get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text))
        })
    };
    texts
        .iter()
        .all(|text| is_prefix(text))
        .then(|| Filter::kinds(texts.into_iter()))
}
