//! What a check finds in the data of both sides: the domains and filters, and what must be corrected in Exchange or Zivver.

use std::collections::BTreeMap;

use super::{Checkup, Level};
use crate::{
    domain::{
        address::{SmtpAddress, ascii_domain},
        counted::number,
        note::Code,
        plan::Plan,
        report::mostly_filtered,
        world::MailboxScope,
    },
    engine::fetch::Fetched,
};

/// How many addresses a finding names at most.
const NAMED_MAX: usize = 5;

/// How many accounts and mailboxes use a domain.
#[derive(Debug, Default, Clone, Copy)]
struct DomainUse {
    /// User and shared mailboxes, also outside the source filter.
    mailboxes: u64,
    accounts: u64,
    /// Aliases of these mailboxes.
    aliases: u64,
}

/// R13: a domain in use that is not claimed, and a claimed domain that is not in use.
pub(super) fn domains(checkup: &mut Checkup, fetched: &Fetched) {
    let domain = |address: &SmtpAddress| ascii_domain(address.domain()).into_owned();
    let mut found: BTreeMap<String, DomainUse> = BTreeMap::new();
    for domain in fetched.policy.claimed_domains.iter() {
        found.insert(domain.to_owned(), DomainUse::default());
    }
    for (ix, mailbox) in fetched.world.directory.iter() {
        if fetched.policy.scope_of(&fetched.world.directory, ix) != MailboxScope::OtherKind {
            found.entry(domain(&mailbox.primary)).or_default().mailboxes += 1;
            for alias in &mailbox.aliases {
                found.entry(domain(alias)).or_default().aliases += 1;
            }
        }
    }
    for (_, account) in fetched.world.accounts.iter() {
        found.entry(domain(account.address())).or_default().accounts += 1;
    }
    for (domain, used) in found {
        let DomainUse {
            mailboxes,
            accounts,
            aliases,
        } = used;
        let is_claimed = fetched
            .policy
            .claimed_domains
            .iter()
            .any(|claimed| claimed == domain);
        let counts = format!(
            "{domain}: {}, {}, {}",
            number(
                mailboxes,
                "user or shared mailbox",
                "user and shared mailboxes"
            ),
            number(accounts, "account", "accounts"),
            number(aliases, "alias", "aliases")
        );
        let users = mailboxes + if is_claimed { aliases } else { 0 };
        match (is_claimed, users) {
            (true, 0) => {
                let remedy = [
                    "correct the spelling in CLOUD_SYNC__CLAIMED_DOMAINS, or leave the domain out",
                ];
                checkup.add(
                    Level::Warning,
                    "domains",
                    format!("{counts}, though it is claimed"),
                    &remedy,
                );
            }
            (true, _) => checkup.add(Level::Good, "domains", counts, &[]),
            (false, 0) => {
                checkup.add(
                    Level::Good,
                    "domains",
                    format!("{counts}; not claimed, so left alone"),
                    &[],
                );
            }
            (false, _) => {
                let remedy = [
                    "add it to CLOUD_SYNC__CLAIMED_DOMAINS if it is the organisation's, and claim it in Zivver",
                ];
                let text =
                    format!("{counts}; not claimed, so its mailboxes are not synchronised (R13)");
                checkup.add(Level::Warning, "domains", text, &remedy);
            }
        }
    }
}

/// R14, R15
pub(super) fn filters(checkup: &mut Checkup, plan: &Plan, fetched: &Fetched) {
    for (entry, count) in &plan.filter_counts {
        let text = format!(
            "TARGET_FILTER {entry:?} matches {}",
            number(*count as u64, "address", "addresses")
        );
        let level = if *count == 0 {
            Level::Warning
        } else {
            Level::Good
        };
        checkup.add(level, "filters", text, &[]);
    }
    if let Some(text) = mostly_filtered(plan, &fetched.world) {
        checkup.add(Level::Warning, "filters", text, &[]);
    }
    if !fetched.policy.source_filter.is_empty() {
        let groups = fetched.policy.source_filter.len() as u64;
        let text = format!(
            "SOURCE_FILTER ({}) leaves {} in scope",
            number(groups, "group", "groups"),
            number(plan.seen.in_scope, "mailbox", "mailboxes")
        );
        checkup.add(Level::Good, "filters", text, &[]);
    }
}

/// Notes of a run about data that must be corrected in Exchange or Zivver: what one of them and several are, and the
/// remedy.
const DATA: [(Code, [&str; 2], &str); 8] = [
    (
        Code::KindMismatch,
        [
            "account of another kind than its mailbox",
            "accounts of another kind than their mailbox",
        ],
        "convert the account in the Zivver WebApp, or the mailbox in Exchange (R18)",
    ),
    (
        Code::AliasTaken,
        [
            "alias that another account has",
            "aliases that other accounts have",
        ],
        "merge the accounts in the Zivver WebApp (R23)",
    ),
    (
        Code::AliasContested,
        [
            "alias of more than one mailbox",
            "aliases of more than one mailbox",
        ],
        "leave the alias with one mailbox in Exchange (R6)",
    ),
    (
        Code::DuplicatePrimary,
        [
            "mailbox with the primary address of another",
            "mailboxes with one primary address",
        ],
        "give each mailbox its own primary address (R6)",
    ),
    (
        Code::ClaimConflict,
        [
            "account that several mailboxes claim",
            "accounts that several mailboxes claim",
        ],
        "look at them with `cloud-sync explain` (R16)",
    ),
    (
        Code::Rejected,
        [
            "mailbox that is not understood",
            "mailboxes that are not understood",
        ],
        "correct the mailbox in Exchange (R5)",
    ),
    (
        Code::AccountRejected,
        [
            "account of Zivver that is not understood, or mailbox tied to one",
            "accounts of Zivver that are not understood, or mailboxes tied to one",
        ],
        "correct the account in the Zivver WebApp, or ask Zivver's support (R1)",
    ),
    (
        Code::NoObjectId,
        [
            "user mailbox without object id",
            "user mailboxes without object id",
        ],
        "look whether directory synchronisation works (R24)",
    ),
];

pub(super) fn notes(checkup: &mut Checkup, plan: &Plan) {
    for (code, [one, many], remedy) in DATA {
        let about: Vec<&str> = plan
            .notes
            .iter()
            .filter(|note| note.code == code)
            .map(|note| &*note.address)
            .collect();
        if about.is_empty() {
            continue;
        }
        let what = if about.len() == 1 { one } else { many };
        let more = if about.len() > NAMED_MAX { ", …" } else { "" };
        let named = about[..about.len().min(NAMED_MAX)].join(", ");
        checkup.add(
            Level::Warning,
            "data",
            format!("{} {what}: {named}{more}", about.len()),
            &[remedy],
        );
    }
}
