//! R41: who starts runs, approves, rejects and stops, and what a signed-in person may do.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::mode::Trigger;

/// Longer names are cut, since they come from outside and are shown in tables.
const NAME_CHARS_MAX: usize = 200;

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// The schedule.
    Timer,
    /// A person or a program that App Service authentication has signed in.
    SignedIn {
        name: String,
        /// The object id in Entra. It stays the same when the name changes.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<String>,
    },
    /// A caller with this function key who did not sign in.
    FunctionKey { name: String },
    /// The operating-system user on the command line.
    OsUser { name: String },
    /// A caller about whom the host gives no information. On a developer's computer the host checks no keys.
    Unnamed,
}

/// What a caller may do over HTTP. Each role includes the roles before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May read everything.
    Reader,
    /// May also start and stop runs.
    Operator,
    /// May also approve and reject held changes.
    Approver,
}

impl Actor {
    /// The schedule needs no name.
    pub fn of_trigger(trigger: Trigger) -> Option<Self> {
        match trigger {
            Trigger::Timer => Some(Self::Timer),
            Trigger::Http | Trigger::CommandLine => None,
        }
    }

    pub fn signed_in(name: &str, id: Option<&str>) -> Self {
        Self::SignedIn {
            name: shown(name),
            id: id.map(shown).filter(|id| !id.is_empty()),
        }
    }

    pub fn function_key(name: &str) -> Self {
        Self::FunctionKey { name: shown(name) }
    }

    pub fn os_user(name: &str) -> Self {
        Self::OsUser { name: shown(name) }
    }

    /// Whether both are the same signed-in person, certainly or as far as their names show.
    pub fn is_same_person(&self, other: &Self) -> bool {
        let (
            Self::SignedIn { name, id },
            Self::SignedIn {
                name: other,
                id: other_id,
            },
        ) = (self, other)
        else {
            return false;
        };
        match (id, other_id) {
            (Some(id), Some(other)) => id.eq_ignore_ascii_case(other),
            (Some(_) | None, None) | (None, Some(_)) => name.eq_ignore_ascii_case(other),
        }
    }

    /// Whether the actor is a known person. Several people can share a key or an operating-system user.
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Timer | Self::SignedIn { .. } => true,
            Self::FunctionKey { .. } | Self::OsUser { .. } | Self::Unnamed => false,
        }
    }
}

/// The name on one line, without control characters.
fn shown(name: &str) -> String {
    let name = name.trim().chars().filter(|c| !c.is_control());
    name.take(NAME_CHARS_MAX).collect()
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timer => f.write_str("the schedule"),
            Self::SignedIn { name, .. } => f.write_str(name),
            Self::FunctionKey { name } => write!(f, "function key \"{name}\""),
            Self::OsUser { name } => write!(f, "user {name}"),
            Self::Unnamed => f.write_str("an unnamed caller"),
        }
    }
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Reader, Self::Operator, Self::Approver];

    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Approver => "approver",
        }
    }

    /// The role of that name, which is also the value of the app role in Entra.
    pub fn named(name: &str) -> Option<Self> {
        let is = |role: &Self| role.name().eq_ignore_ascii_case(name.trim());
        Self::ALL.into_iter().find(is)
    }
}

/// R41: why `FOUR_EYES` refuses an approval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecondPerson {
    #[error(
        "only a signed-in person approves, not {0}; approve it on the dashboard, signed in with Microsoft Entra"
    )]
    NotSignedIn(String),
    #[error("{0} started the run that held it; another person must approve it")]
    Same(String),
    #[error(
        "it was held in a run of {0}, which does not tell the person; start a preview signed in, or wait for the schedule, and have another person approve it"
    )]
    Uncertain(String),
}

/// R41: whether `approver` may approve what a run of `holder` held.
pub fn second_person(holder: Option<&Actor>, approver: Option<&Actor>) -> Result<(), SecondPerson> {
    let named = |it: Option<&Actor>| it.unwrap_or(&Actor::Unnamed).to_string();
    let Some(signed_in @ Actor::SignedIn { .. }) = approver else {
        return Err(SecondPerson::NotSignedIn(named(approver)));
    };
    match holder {
        Some(holder) if holder.is_same_person(signed_in) => {
            Err(SecondPerson::Same(holder.to_string()))
        }
        Some(holder) if holder.is_certain() => Ok(()),
        Some(_) | None => Err(SecondPerson::Uncertain(named(holder))),
    }
}

/// R41: how `FOUR_EYES` lets what a run of `holder` held be approved.
pub fn approved_by_second_person(holder: Option<&Actor>) -> String {
    const WHERE: &str = "on the dashboard, signed in with Microsoft Entra";
    match holder {
        Some(Actor::Timer) => format!("approve it {WHERE} (FOUR_EYES, R41)"),
        Some(holder) if holder.is_certain() => {
            format!("another person than {holder} approves it {WHERE} (FOUR_EYES, R41)")
        }
        Some(_) | None => format!(
            "the schedule, or a preview {WHERE}, must hold it too; then another person than the one who started that \
             preview approves it there (FOUR_EYES, R41)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r41_a_person_is_recognised_by_object_id_and_else_by_name() {
        let anna = Actor::signed_in("anna@corp.example", Some("1"));
        for (other, is_same) in [
            (Actor::signed_in("new.name@corp.example", Some("1")), true),
            (Actor::signed_in("Anna@corp.example", None), true),
            (Actor::signed_in("anna@corp.example", Some("2")), false),
            (Actor::function_key("anna@corp.example"), false),
            (Actor::Timer, false),
        ] {
            assert_eq!(anna.is_same_person(&other), is_same, "{other:?}");
            assert_eq!(other.is_same_person(&anna), is_same, "{other:?}");
        }
        assert!(!Actor::Timer.is_same_person(&Actor::Timer));
    }

    #[test]
    fn r41_a_second_person_who_is_signed_in_approves() {
        let anna = Actor::signed_in("anna", Some("1"));
        let bob = Actor::signed_in("bob", Some("2"));
        let key = Actor::function_key("default");
        let user = Actor::os_user("root");
        let approves = |holder: Option<&Actor>, approver: Option<&Actor>| {
            second_person(holder, approver).map_err(|why| why.to_string())
        };
        assert_eq!(approves(Some(&anna), Some(&bob)), Ok(()));
        assert_eq!(approves(Some(&Actor::Timer), Some(&anna)), Ok(()));
        for (holder, approver, why) in [
            (Some(&anna), Some(&anna), "anna started the run"),
            (Some(&anna), Some(&key), "not function key \"default\""),
            (Some(&anna), Some(&user), "not user root"),
            (Some(&anna), None, "not an unnamed caller"),
            (Some(&key), Some(&bob), "a run of function key \"default\""),
            (None, Some(&bob), "a run of an unnamed caller"),
        ] {
            let refused = approves(holder, approver).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn r41_how_a_set_is_approved_depends_on_who_held_it() {
        let anna = Actor::signed_in("anna", Some("1"));
        let user = Actor::os_user("root");
        for (holder, how) in [
            (
                Some(&Actor::Timer),
                "approve it on the dashboard, signed in",
            ),
            (
                Some(&anna),
                "another person than anna approves it on the dashboard",
            ),
            (Some(&user), "the schedule, or a preview on the dashboard"),
            (None, "the schedule, or a preview on the dashboard"),
        ] {
            let told = approved_by_second_person(holder);
            assert!(told.starts_with(how), "{told}");
        }
    }

    #[test]
    fn names_are_one_line_and_roles_are_in_order() {
        let name = format!(" a\u{1b}[2J\n{}", "b".repeat(300));
        let Actor::FunctionKey { name } = Actor::function_key(&name) else {
            panic!("no key");
        };
        assert!(name.starts_with("a[2Jb") && name.chars().count() == NAME_CHARS_MAX);
        assert!(Role::Reader < Role::Operator && Role::Operator < Role::Approver);
        assert_eq!(Role::named(" Approver"), Some(Role::Approver));
        assert_eq!(Role::named("owner"), None);
    }

    #[test]
    fn an_actor_is_stored_by_kind() {
        for (actor, json) in [
            (Actor::Timer, r#"{"kind":"timer"}"#),
            (
                Actor::signed_in("anna", None),
                r#"{"kind":"signed_in","name":"anna"}"#,
            ),
            (
                Actor::os_user("root"),
                r#"{"kind":"os_user","name":"root"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&actor).unwrap(), json);
            assert_eq!(serde_json::from_str::<Actor>(json).unwrap(), actor);
        }
    }
}
