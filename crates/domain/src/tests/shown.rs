//! A plan as text, in a few lines: actions, numbered steps, held sets, notes.

use std::fmt::Write as _;

use super::notation::{Planned, Scene};
use crate::{
    accounts::Accounts,
    address::SmtpAddress,
    delta::Target,
    directory::Directory,
    plan::{Action, Plan},
    step::{Call, Delegate, Step, StepIx, When},
};

/// The plan for a world in the notation of [`super::notation`].
pub(super) fn plan_of(text: &str) -> String {
    let planned = Scene::parse(text).plan();
    super::properties::sound(&planned);
    shown(&planned)
}

/// Only the actions and what is held.
pub(super) fn changes_of(text: &str) -> String {
    let planned = Scene::parse(text).plan();
    super::properties::sound(&planned);
    let mut out = String::new();
    actions(&mut out, &planned.plan);
    short(&out)
}

pub(super) fn shown(planned: &Planned) -> String {
    let mut out = String::new();
    actions(&mut out, &planned.plan);
    for (at, step) in planned.plan.approved.steps().iter().enumerate() {
        writeln!(
            out,
            "{at}. {}",
            line(step, &planned.world.accounts, &planned.world.directory)
        )
        .unwrap();
    }
    notes(&mut out, &planned.plan);
    short(&out)
}

fn actions(out: &mut String, plan: &Plan) {
    for action in plan.approved.actions() {
        writeln!(out, "{}", action_line(action)).unwrap();
    }
    for set in &plan.held {
        for change in &set.changes {
            let (before, after) = (&change.before, &change.after);
            writeln!(
                out,
                "held {:?}: {} {} [{before}] -> [{after}]",
                set.class, change.address, change.what
            )
            .unwrap();
        }
    }
}

fn notes(out: &mut String, plan: &Plan) {
    for note in &plan.notes {
        writeln!(out, "{} {:?} {}", note.rule, note.code, note.address).unwrap();
    }
}

fn action_line(action: &Action) -> String {
    let mut text = format!("{:?} {}", action.kind, action.address).to_lowercase();
    for change in &action.changes {
        let name = format!("{:?}", change.attribute).to_lowercase();
        let signed = |sign: &str, all: &[String]| -> Vec<String> {
            all.iter().map(|item| format!("{sign}{item}")).collect()
        };
        let sets = [signed("-", &change.before), signed("+", &change.after)].concat();
        write!(text, "; {name} {}", sets.join(" ")).unwrap();
    }
    text
}

fn line(step: &Step, accounts: &Accounts, directory: &Directory) -> String {
    let who = |target: Target| match target {
        Target::Existing(ix) => accounts.get(ix).address().to_string(),
        Target::New(ix) => format!("new {}", directory.mailbox(ix).primary),
    };
    let delegates = |all: &[Delegate]| {
        let names = all.iter().map(|delegate| match delegate {
            Delegate::Account(target) => who(*target),
            Delegate::Stranger(address) => address.to_string(),
        });
        names.collect::<Vec<_>>().join(" ")
    };
    let mut text = format!("{}:", who(step.target));
    let mut part = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, " {name} [{value}]").unwrap();
        }
    };
    let set = |all: &[SmtpAddress]| {
        all.iter()
            .map(SmtpAddress::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    match &step.call {
        Call::CreateUser { name, key, .. } => {
            part("post user", Some(name.to_string()));
            part("key", key.as_ref().map(ToString::to_string));
        }
        Call::CreateFunctional {
            name,
            members,
            aliases,
            ..
        } => {
            part("post group", Some(name.to_string()));
            part("members", Some(delegates(members)));
            part("aliases", Some(set(aliases)));
        }
        Call::UpdateUser {
            address,
            name,
            active,
            extension,
        } => {
            part("address", address.as_ref().map(ToString::to_string));
            part("name", name.as_ref().map(ToString::to_string));
            part("active", active.map(|active| active.to_string()));
            if let Some(extension) = extension {
                part("aliases", Some(set(&extension.aliases)));
                part("delegates", Some(delegates(&extension.delegates)));
                part("key", extension.key.as_ref().map(ToString::to_string));
                let refused = extension.aliases_if_refused.as_ref();
                part(
                    "aliases if refused",
                    refused.map(|(step, aliases)| format!("{} {}", step.0, set(aliases))),
                );
            }
        }
        Call::UpdateFunctional {
            name,
            members,
            aliases,
        } => {
            part("name", name.as_ref().map(ToString::to_string));
            part("members", members.as_deref().map(delegates));
            part("aliases", aliases.as_deref().map(set));
        }
        Call::Empty { keep } => part("empty, keep", Some(keep.len().to_string())),
    }
    text + &terms(step)
}

/// What a step depends on.
fn terms(step: &Step) -> String {
    let numbers = |all: &[StepIx]| {
        let texts: Vec<String> = all.iter().map(|step| step.0.to_string()).collect();
        texts.join(" ")
    };
    let mut text = String::new();
    match step.when {
        When::Always => {}
        When::Completes(create) => write!(text, "; completes {}", create.0).unwrap(),
        When::IfRefused(rename) => write!(text, "; if refused {}", rename.0).unwrap(),
    }
    if !step.after.is_empty() {
        write!(text, "; after {}", numbers(&step.after)).unwrap();
    }
    for (address, release) in &step.claims {
        write!(text, "; claims {address} of {}", release.0).unwrap();
    }
    text
}

/// The common prefix of the object ids in these worlds.
const PREFIX: &str = "00000000-0000-4000-8000-";

/// `x@corp.example` as `x@`, object ids as words.
pub(super) fn short(text: &str) -> String {
    let mut text = text.replace("@corp.example", "@");
    while let Some(at) = text.find(PREFIX) {
        let digits = &text[at + PREFIX.len()..at + PREFIX.len() + 12];
        let word: String = (0..6)
            .filter_map(|byte| u8::from_str_radix(&digits[2 * byte..2 * byte + 2], 16).ok())
            .filter(|byte| *byte != 0)
            .map(char::from)
            .collect();
        text.replace_range(at..at + PREFIX.len() + 12, &format!("#{word}"));
    }
    text.trim_end().to_owned()
}
