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

/// Lets the service act, and reverts what it must not store of the account at `path`.
pub(super) fn act(
    zivver: &Simulator,
    deafness: &Deafness,
    path: &str,
    answer: impl FnOnce() -> Answered,
) -> Answered {
    let before = zivver.state();
    let (parts, body) = answer();
    if parts.status.as_u16() != 200 {
        return (parts, body);
    }
    let id = path.rsplit('/').next().unwrap_or_default();
    zivver.with_state(|organisation| take_back(organisation, &before, id, deafness.to));
    let told = if deafness.lies {
        body
    } else {
        shown(zivver, path)
    };
    (parts, told)
}

/// Other accounts name the account by its new address as soon as it has it, so they stay as they are.
fn take_back(organisation: &mut Organisation, before: &Organisation, id: &str, to: Deaf) {
    if to == Deaf::All {
        organisation.users.clone_from(&before.users);
        organisation.groups.clone_from(&before.groups);
        organisation.mails.clone_from(&before.mails);
        return;
    }
    let users = organisation.users.iter_mut().zip(&before.users);
    for (new, old) in users.filter(|(new, _)| new.id == id) {
        match to {
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
            | Deaf::Garbles
            | Deaf::All => {}
        }
    }
    let groups = organisation.groups.iter_mut().zip(&before.groups);
    for (new, old) in groups.filter(|(new, _)| new.id == id) {
        match to {
            Deaf::To(Attribute::Delegates) => new.members.clone_from(&old.members),
            Deaf::To(Attribute::Aliases) => new.aliases.clone_from(&old.aliases),
            Deaf::To(Attribute::Name) => new.display_name.clone_from(&old.display_name),
            Deaf::Garbles if new.display_name != old.display_name => {
                new.display_name.push_str(GARBLED);
            }
            Deaf::To(
                Attribute::Active | Attribute::Address | Attribute::ObjectId | Attribute::SignInKey,
            )
            | Deaf::Garbles
            | Deaf::All => {}
        }
    }
}

/// The stored resource as the service returns it, without counting as a call.
fn shown(zivver: &Simulator, path: &str) -> Bytes {
    let limiter = zivver.with_state(|organisation| {
        std::mem::replace(&mut organisation.limiter, LimiterConfig::off())
    });
    let request = Request::get(path)
        .header(header::AUTHORIZATION, format!("Bearer {API_KEY}"))
        .body(Body::empty())
        .unwrap();
    let answer = zivver.router().oneshot(request).now_or_never();
    let body = answer.unwrap().unwrap().into_body();
    let body = to_bytes(body, usize::MAX).now_or_never().unwrap().unwrap();
    zivver.with_state(|organisation| organisation.limiter = limiter);
    body
}
