//! Writes that Zivver accepts and does not store: none of the values, all but one attribute, or another value.

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{Request, header},
};
use cloud_sync::{
    domain::plan::Attribute,
    sandbox::zivver::{API_KEY, LimiterConfig, Organisation, Simulator},
};
use futures::FutureExt as _;
use tower::ServiceExt as _;

use super::{dice::Dice, network::Answered};

/// The end of a garbled name.
pub(super) const GARBLED: &str = " (stored)";

#[derive(Debug, Clone)]
pub(super) struct Deafness {
    pub(super) to: Deaf,
    /// The answer shows what was asked for, not what is stored.
    pub(super) lies: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deaf {
    All,
    To(Attribute),
    /// A name is stored as another one.
    Garbles,
}

impl Deafness {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let to = *dice.pick(&[
            Deaf::All,
            Deaf::All,
            Deaf::To(Attribute::Active),
            Deaf::To(Attribute::Delegates),
            Deaf::To(Attribute::Aliases),
            Deaf::To(Attribute::Name),
            Deaf::Garbles,
        ]);
        Self {
            to,
            lies: dice.chance(50),
        }
    }
}

/// Lets the service act, and reverts what it must not store.
pub(super) fn act(
    zivver: &Simulator,
    deafness: &Deafness,
    answer: impl FnOnce() -> Answered,
) -> Answered {
    let before = zivver.state();
    let (parts, body) = answer();
    let path = location(&before, &zivver.state());
    let Some(path) = path.filter(|_| parts.status.as_u16() == 200) else {
        return (parts, body);
    };
    zivver.with_state(|organisation| take_back(organisation, &before, deafness.to));
    let told = if deafness.lies {
        body
    } else {
        shown(zivver, &path)
    };
    (parts, told)
}

/// The path of the one account that changed.
fn location(before: &Organisation, after: &Organisation) -> Option<String> {
    let mut users = before.users.iter().zip(&after.users);
    let mut groups = before.groups.iter().zip(&after.groups);
    let user = users.find(|(old, new)| old != new);
    let user = user.map(|(old, _)| format!("Users/{}", old.id));
    let group = groups.find(|(old, new)| old != new);
    user.or_else(|| group.map(|(old, _)| format!("Groups/{}", old.id)))
}

fn take_back(organisation: &mut Organisation, before: &Organisation, to: Deaf) {
    for (new, old) in organisation.users.iter_mut().zip(&before.users) {
        match to {
            Deaf::All => new.clone_from(old),
            Deaf::To(Attribute::Active) => {
                new.active = old.active;
                new.suspended_on = old.suspended_on;
            }
            Deaf::To(Attribute::Delegates) => new.delegates.clone_from(&old.delegates),
            Deaf::To(Attribute::Aliases) if new.user_name == old.user_name => {
                new.aliases.clone_from(&old.aliases);
            }
            Deaf::To(Attribute::Name) => new.name.clone_from(&old.name),
            Deaf::Garbles if new.name != old.name => new.name.push_str(GARBLED),
            Deaf::To(
                Attribute::Aliases
                | Attribute::Address
                | Attribute::ObjectId
                | Attribute::SignInKey,
            )
            | Deaf::Garbles => {}
        }
    }
    for (new, old) in organisation.groups.iter_mut().zip(&before.groups) {
        match to {
            Deaf::All => new.clone_from(old),
            Deaf::To(Attribute::Delegates) => new.members.clone_from(&old.members),
            Deaf::To(Attribute::Aliases) => new.aliases.clone_from(&old.aliases),
            Deaf::To(Attribute::Name) => new.display_name.clone_from(&old.display_name),
            Deaf::Garbles if new.display_name != old.display_name => {
                new.display_name.push_str(GARBLED);
            }
            Deaf::To(
                Attribute::Active | Attribute::Address | Attribute::ObjectId | Attribute::SignInKey,
            )
            | Deaf::Garbles => {}
        }
    }
    if to == Deaf::All {
        organisation.mails.clone_from(&before.mails);
    }
}

/// The stored resource as the service returns it, without counting as a call.
fn shown(zivver: &Simulator, path: &str) -> Bytes {
    let limiter = zivver.with_state(|organisation| {
        std::mem::replace(&mut organisation.limiter, LimiterConfig::off())
    });
    let request = Request::get(format!("/api/scim/v2/{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {API_KEY}"))
        .body(Body::empty())
        .unwrap();
    let answer = zivver.router().oneshot(request).now_or_never();
    let body = answer.unwrap().unwrap().into_body();
    let body = to_bytes(body, usize::MAX).now_or_never().unwrap().unwrap();
    zivver.with_state(|organisation| organisation.limiter = limiter);
    body
}
