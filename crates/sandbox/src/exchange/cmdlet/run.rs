//! Runs the cmdlets.

use serde_json::{Map, Value, json};

use super::bind::{Bound, Cmdlet, Verb};
use crate::exchange::Session;
use crate::exchange::index::{Found, Object, Ref};
use crate::exchange::reply::Exception;
use crate::exchange::rows::{self, Selection};
use crate::exchange::tenant::{GroupKind, Life, Mailbox, Permission};

/// The output of a cmdlet; converted to rows page by page.
pub(super) enum Rows<'a> {
    Mailboxes(Vec<&'a Mailbox>),
    Recipients(Vec<Object<'a>>),
    /// With the names of the members.
    Groups(Vec<(Object<'a>, Vec<&'a str>)>),
    Permissions(&'a Mailbox, Vec<&'a Permission>),
    /// Each with a flag for the initial domain.
    Domains(Vec<(&'a str, bool)>),
}

impl Rows<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Mailboxes(mailboxes) => mailboxes.len(),
            Self::Recipients(objects) => objects.len(),
            Self::Groups(groups) => groups.len(),
            Self::Permissions(_, entries) => entries.len(),
            Self::Domains(domains) => domains.len(),
        }
    }

    pub(super) fn row(
        &self,
        at: usize,
        selection: &Selection,
        unknown_members: bool,
    ) -> Map<String, Value> {
        let mut row = match self {
            Self::Mailboxes(mailboxes) => rows::mailbox_cmdlet_row(mailboxes[at], selection),
            Self::Recipients(objects) => rows::recipient_row(objects[at], selection),
            Self::Groups(groups) => {
                let (object, members) = &groups[at];
                rows::group_row(*object, members, selection)
            }
            Self::Permissions(mailbox, entries) => {
                rows::permission_row(mailbox, entries[at], selection)
            }
            Self::Domains(domains) => {
                let (domain, initial) = domains[at];
                rows::domain_row(domain, initial, selection)
            }
        };
        if unknown_members {
            row.insert("FutureMember".to_owned(), json!({"Depth": [1, null]}));
        }
        row
    }
}

pub(super) fn run<'a>(
    session: &Session<'a>,
    cmdlet: &Cmdlet,
    bound: &Bound,
) -> Result<Rows<'a>, Exception> {
    let tenant = &session.world.tenant;
    let members = |accepts: fn(GroupKind) -> bool| members(session, bound, accepts);
    let groups = |accepts: fn(GroupKind) -> bool| {
        recipients(session, bound, move |object| match object {
            Object::Group(group) => accepts(group.kind),
            Object::Mailbox(_) | Object::Contact(_) => false,
        })
    };
    match cmdlet.verb {
        Verb::Mailboxes => mailboxes(session, bound).map(Rows::Mailboxes),
        Verb::Permissions => permissions(session, bound),
        Verb::DistributionGroups => groups(GroupKind::is_distribution_group),
        Verb::DistributionGroupMembers => members(GroupKind::is_distribution_group),
        Verb::Recipients => recipients(session, bound, |object| match object {
            Object::Group(group) => group.kind.has_mail(),
            Object::Mailbox(_) | Object::Contact(_) => true,
        }),
        Verb::Groups => {
            let found = groups(|kind| kind != GroupKind::DynamicDistributionGroup)?;
            let Rows::Recipients(found) = found else {
                return Ok(found);
            };
            let name = |object: Object<'a>| object.common().name;
            let with_members = |group| (group, members_of(session, group).map(name).collect());
            Ok(Rows::Groups(found.into_iter().map(with_members).collect()))
        }
        Verb::RoleGroupMembers => members(|kind| kind == GroupKind::RoleGroup),
        Verb::UnifiedGroups => groups(|kind| kind == GroupKind::GroupMailbox),
        Verb::UnifiedGroupLinks => {
            let all = members(|kind| kind == GroupKind::GroupMailbox)?;
            let is_members = bound
                .link_type
                .as_ref()
                .is_some_and(|it| it.eq_ignore_ascii_case("members"));
            Ok(if is_members {
                all
            } else {
                Rows::Recipients(Vec::new())
            })
        }
        Verb::DynamicGroupMembers => members(|kind| kind == GroupKind::DynamicDistributionGroup),
        Verb::AcceptedDomains => {
            let domains = tenant.domains.iter().enumerate().filter(|(_, domain)| {
                bound
                    .identity
                    .as_ref()
                    .is_none_or(|identity| identity.eq_ignore_ascii_case(domain))
            });
            let domains: Vec<_> = domains
                .map(|(at, domain)| (domain.as_str(), at == 0))
                .collect();
            match &bound.identity {
                Some(identity) if domains.is_empty() => Err(not_found(session, identity)),
                _ => Ok(Rows::Domains(domains)),
            }
        }
    }
}

fn mailboxes<'a>(session: &Session<'a>, bound: &Bound) -> Result<Vec<&'a Mailbox>, Exception> {
    let on = |name| bound.switches.contains(&name);
    let lives: &[Life] = if on("SoftDeletedMailbox") {
        &[Life::SoftDeleted]
    } else if on("InactiveMailboxOnly") {
        &[Life::Inactive]
    } else if on("IncludeInactiveMailbox") {
        &[Life::Active, Life::Inactive]
    } else {
        &[Life::Active]
    };
    let fits = |mailbox: &&Mailbox| {
        lives.contains(&mailbox.life)
            && bound
                .filters
                .iter()
                .all(|filter| filter.holds(Object::Mailbox(mailbox)))
    };
    if let Some(identity) = &bound.identity {
        let mailbox = one_mailbox(session, identity)?;
        return Ok(Some(mailbox).filter(fits).into_iter().collect());
    }
    Ok(session.world.tenant.mailboxes.iter().filter(fits).collect())
}

fn permissions<'a>(session: &Session<'a>, bound: &Bound) -> Result<Rows<'a>, Exception> {
    let identity = bound.identity.as_deref().unwrap_or_default();
    let mailbox = one_mailbox(session, identity)?;
    let orphans = session.switches().orphans_shown
        || bound.switches.contains(&"IncludeUnresolvedPermissions");
    let mut entries = rows::entries(mailbox, orphans);
    if let Some(user) = &bound.user {
        entries.retain(|entry| entry.user.eq_ignore_ascii_case(user));
    }
    Ok(Rows::Permissions(mailbox, entries))
}

fn one_mailbox<'a>(session: &Session<'a>, identity: &str) -> Result<&'a Mailbox, Exception> {
    match one(session, identity, |object| {
        matches!(object, Object::Mailbox(_))
    })? {
        Object::Mailbox(mailbox) => Ok(mailbox),
        Object::Group(_) | Object::Contact(_) => Err(not_found(session, identity)),
    }
}

/// The object with this identity or, without an identity, all matching objects.
fn recipients<'a>(
    session: &Session<'a>,
    bound: &Bound,
    accepts: impl Fn(Object<'a>) -> bool,
) -> Result<Rows<'a>, Exception> {
    let fits = |object: &Object<'a>| {
        accepts(*object) && bound.filters.iter().all(|filter| filter.holds(*object))
    };
    if let Some(identity) = &bound.identity {
        let object = one(session, identity, &accepts)?;
        let rows = Some(object).filter(fits).into_iter().collect();
        return Ok(Rows::Recipients(rows));
    }
    let tenant = &session.world.tenant;
    let mailboxes = tenant
        .mailboxes
        .iter()
        .filter(|mailbox| mailbox.life == Life::Active)
        .map(Object::Mailbox);
    let groups = tenant.groups.iter().map(Object::Group);
    let contacts = tenant.contacts.iter().map(Object::Contact);
    let rows = mailboxes
        .chain(groups)
        .chain(contacts)
        .filter(fits)
        .collect();
    Ok(Rows::Recipients(rows))
}

/// The direct members of one group.
fn members<'a>(
    session: &Session<'a>,
    bound: &Bound,
    accepts: fn(GroupKind) -> bool,
) -> Result<Rows<'a>, Exception> {
    let identity = bound.identity.as_deref().unwrap_or_default();
    let group = one(session, identity, |object| match object {
        Object::Group(group) => accepts(group.kind),
        Object::Mailbox(_) | Object::Contact(_) => false,
    })?;
    Ok(Rows::Recipients(members_of(session, group).collect()))
}

fn members_of<'a>(session: &Session<'a>, group: Object<'a>) -> impl Iterator<Item = Object<'a>> {
    let keys = match group {
        Object::Group(group) => group.members.as_slice(),
        Object::Mailbox(_) | Object::Contact(_) => &[],
    };
    keys.iter()
        .filter_map(|key| match session.world.index.find(key, true, |_| true) {
            Found::One(hit) => Some(session.object(hit)),
            Found::Nothing | Found::Several => None,
        })
}

fn one<'a>(
    session: &Session<'a>,
    identity: &str,
    accepts: impl Fn(Object<'a>) -> bool,
) -> Result<Object<'a>, Exception> {
    let display_names = session.switches().display_name_resolves;
    let accepts = |hit: Ref| accepts(session.object(hit));
    match session.world.index.find(identity, display_names, accepts) {
        Found::One(hit) => Ok(session.object(hit)),
        Found::Nothing => Err(not_found(session, identity)),
        Found::Several => Err(Exception::ambiguous(
            session.switches().ambiguous_status,
            identity,
        )),
    }
}

fn not_found(session: &Session<'_>, identity: &str) -> Exception {
    Exception::not_found(session.switches().not_found_status, identity)
}
