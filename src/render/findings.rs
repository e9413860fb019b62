//! The meaning of each kind of finding, and what to do about it. Pages show it with the findings, and
//! `docs/findings.md` lists it.

use std::{collections::BTreeMap, fmt::Write as _};

use domain::{
    guard::Class,
    note::{Code, Note},
    origin::Origin,
};

use super::words;

/// Takes the findings of some kinds out of `notes`.
pub(crate) fn taken<'a>(notes: &mut Vec<&'a Note>, is_meant: fn(Code) -> bool) -> Vec<&'a Note> {
    notes.extract_if(.., |note| is_meant(note.code)).collect()
}

pub(crate) fn by_code<'a>(
    notes: impl IntoIterator<Item = &'a &'a Note>,
) -> BTreeMap<Code, Vec<&'a Note>> {
    let mut codes: BTreeMap<Code, Vec<&Note>> = BTreeMap::new();
    for note in notes {
        codes.entry(note.code).or_default().push(note);
    }
    codes
}

/// The explanation of a kind of finding.
#[derive(Debug, Clone, Copy)]
pub struct Explained {
    /// Used with a count: for a code the reason for leaving something alone, for a class its changes.
    pub words: &'static str,
    pub meaning: &'static str,
    pub action: &'static str,
}

macro_rules! explained {
    ($(#[$doc:meta])* $of:ident($kind:ident); $($name:ident: $words:literal, $meaning:literal, $action:literal;)+) => {
        $(#[$doc])*
        pub fn $of(it: $kind) -> Explained {
            let (words, meaning, action) = match it {
                $($kind::$name => ($words, $meaning, $action),)+
            };
            Explained { words, meaning, action }
        }
    };
}

explained! {
    of_code(Code);

    AccountRejected: "account that cannot be understood, or tied to one",
        "Zivver sent an account that the program does not understand. The account, and every mailbox that is or may be tied to it, is not changed.",
        "Look at the account in the Zivver WebApp. If it looks normal there, send its id to Zivver's support.";
    KindNotSynchronised: "room, equipment or another kind that is not synchronised",
        "A room, an equipment mailbox or another kind that never gets an account.",
        "Nothing.";
    AliasMalformed: "an alias that is not a mail address",
        "An entry of the mailbox's addresses is not a mail address. It is ignored; the other addresses are synchronised.",
        "Correct or remove the entry in Exchange.";
    AliasesUnknown: "a mailbox whose addresses Exchange did not tell",
        "Exchange did not return the addresses of the mailbox completely. Its aliases in Zivver stay as they are, and a new account is not created.",
        "Wait for the next run. If the finding stays, check the addresses of the mailbox in Exchange.";
    OutsideRun: "waits for an account that this run does not cover",
        "The change needs an account that the run does not cover, or such an account names a delegate by an old address. It is left for a run that covers both (R39).",
        "Include the account that the finding names, or wait for the next run for all accounts.";
    Rejection: "change that a person has rejected",
        "A person rejected this change. It is not made until it changes.",
        "Nothing. `cloud-sync reject --undo CODE` takes the rejection back.";
    RejectionEnded: "rejection that an approval ended",
        "A person had rejected this change, and this run was started with an approval of it. The approval ended the rejection.",
        "Nothing, if the approval was meant. `cloud-sync undo RUN` takes the change back.";
    Rejected: "mailbox that could not be understood",
        "Exchange sent a mailbox without a usable primary address, or in a form that the program does not understand. Its account is not changed.",
        "Correct the primary address of the mailbox in Exchange.";
    DuplicatePrimary: "two mailboxes with one primary address",
        "Two mailboxes have the same primary address. Neither of them is synchronised.",
        "Give one of them another primary address in Exchange.";
    AliasContested: "an alias that belongs to more than one mailbox",
        "More than one mailbox has the alias. It is neither added nor removed in Zivver.",
        "Remove the alias from all mailboxes but one in Exchange.";
    ProtectedByTie: "tied to a protected mailbox",
        "The account has an address or an identifier of a mailbox that is protected, so it is not changed.",
        "Remove the cause that the finding of the mailbox states.";
    TrusteeDeleted: "permission of a deleted account",
        "A permission of the mailbox belongs to an account that was deleted. It gives no access.",
        "Remove the permission with the command in the finding. It does no harm if it stays.";
    TrusteeDenied: "a Deny entry removes a delegate",
        "An entry with Deny removes the access of a person.",
        "Nothing if the Deny is intended. Otherwise remove it in Exchange.";
    GroupGivesNoRight: "permission of a group that gives no right by itself",
        "The permission belongs to a distribution, Microsoft 365, dynamic or role group. Exchange gives the members of such a group no right.",
        "If its members are to have access, use a mail-enabled security group.";
    TrusteeNotAMailbox: "permission of a recipient that is not a mailbox",
        "The permission belongs to a recipient without a mailbox in this tenant, such as a mail user or a contact. It cannot be a delegate.",
        "Nothing, or give the permission to the mailbox of the person.";
    TrusteeNotFound: "permission of a person unknown to Exchange",
        "The permission names a trustee that Exchange does not know. It gives no access.",
        "Remove the permission with the command in the finding.";
    DelegationsUnknown: "permissions that could not be read, so delegates stay as they are",
        "The permissions of the mailbox could not be read, or a trustee is ambiguous. The delegates in Zivver stay as they are. If such an account is resumed or given to another object id, these delegates can open it; so can a delegate whose own account is resumed. The finding names them.",
        "Follow the remedy in the finding: give one of two objects of the same name another name, or wait for the next run after a fault of Exchange. Remove in the Zivver WebApp whom the finding names and who must not open the account.";
    MailboxGone: "mailbox that vanished while it was read",
        "The mailbox was deleted while the run read it. The run does not change its account.",
        "Nothing. The next run decides.";
    DelegatePruned: "Full Access of a person who cannot be a delegate",
        "A person has Full Access but cannot be a delegate: the mailbox is not in scope, or has no user account.",
        "Nothing, or bring the mailbox of the person into scope.";
    DelegateKept: "delegate whose own mailbox or account cannot be judged, left as it is",
        "The mailbox or account of a delegate cannot be judged. The delegation is neither added nor removed.",
        "Remove the cause that the finding states, if the person is to lose or to get access.";
    DelegatesLeftOut: "waits for its only delegates",
        "The only delegates of the functional account are left out for now, so it is neither created nor emptied.",
        "Look at the findings of these delegates.";
    DelegatesStay: "delegates who stay, because the account would have none",
        "Members who no longer have a right stay, because the functional account would have no member without them. They can still open it.",
        "Remove the members by hand in the Zivver WebApp, or give at least one person Full Access that is synchronised.";
    OutsideClaimedDomains: "outside the claimed domains",
        "The primary address is not in CLAIMED_DOMAINS. Nothing is changed.",
        "Nothing. If the domain is to be synchronised, claim it in Zivver and add it to CLAIMED_DOMAINS.";
    DisabledOutsideDomains: "disabled mailbox outside the claimed domains",
        "The mailbox is disabled, and its primary address or that of its account is not in CLAIMED_DOMAINS, so its account is not suspended. The owner can still sign in.",
        "Suspend the account in the Zivver WebApp, or add the domain to CLAIMED_DOMAINS.";
    OutsideSourceFilter: "not in the source filter",
        "The mailbox is not a member of the groups in SOURCE_FILTER.",
        "Nothing, or add the mailbox to a group of the filter.";
    FunctionalOutsideSourceFilter: "no shared mailbox is in the source filter",
        "No shared mailbox is in SOURCE_FILTER, so functional accounts are not changed.",
        "Nothing, or add the shared mailboxes to a group of the filter.";
    TargetFilter: "matched by the target filter",
        "An entry of TARGET_FILTER matches the address. The account is never changed.",
        "Nothing. Check the entry if it matches more accounts than intended.";
    ClaimConflict: "one account that several mailboxes claim, or the reverse",
        "Several mailboxes claim one account with equal strength, or one mailbox claims several accounts. None of them is changed.",
        "Correct the addresses in Exchange, or the ExternalAccountId of the accounts with Zivver's support, so that one mailbox belongs to one account.";
    IdentityChange: "account at this address that belongs to another object id",
        "The account with the address of the mailbox belongs to another object id: a namesake, a re-created user, or a migrated tenant. The finding names the accounts that it can open and for which Exchange shows no grant of the mailbox: who gets the account could open them.",
        "Find out whether both are the same person. If so, approve the held set of class identity; otherwise give the mailbox another address.";
    AliasEvidence: "account under another address that may be this mailbox's",
        "The mailbox has no account under its primary address, but an account has one of its aliases or its UPN as its address. The finding names the accounts that it can open and for which Exchange shows no grant of the mailbox.",
        "Find out whether the account belongs to the person. If so, approve the held rename; otherwise remove the alias in Exchange.";
    FunctionalRename: "functional account that cannot be renamed over SCIM",
        "The primary address of a shared mailbox changed. Zivver cannot rename a functional account over SCIM, so neither address is changed.",
        "Follow the remedy in the finding: change the address of the functional account in the Zivver WebApp.";
    RenameBlocked: "new address that is taken",
        "Another account has the new address of the person.",
        "Give the address back in Zivver or in Exchange: rename, merge or delete the other account.";
    KindMismatch: "account of another kind than its mailbox",
        "One side is a person and the other a shared mailbox, such as a user account for a mailbox that became shared. Nothing is changed, and the owner of a user account can still sign in.",
        "Suspend the account in the Zivver WebApp if its owner has left. Otherwise convert or delete it there, or change the type of the mailbox in Exchange.";
    RecipientExists: "no mailbox, but Exchange still knows the address",
        "The account has no mailbox, but Exchange has another recipient with its address or object id, such as a mail user. The account is not changed.",
        "Nothing. Suspend the account by hand if the person has left.";
    MailboxNotListed: "a mailbox that the mailbox list omits",
        "Exchange still has the mailbox of the account, but did not return it in the list of all mailboxes. The account is not changed, so access that should be gone stays.",
        "Run again. If the finding stays, ask Microsoft why the list of mailboxes omits it.";
    OwnerUnknown: "no mailbox, and another recipient has the address",
        "The account has no mailbox, another recipient has its address, and no object id tells whose account it is. The account stays active, and its owner can still sign in.",
        "Find out whose account it is, and suspend it by hand if the person has left.";
    AbsenceUnknown: "no mailbox, but Exchange could not say whether it is gone",
        "The account has no mailbox, and Exchange could not say whether the address or object id is gone. The account stays active.",
        "Wait for the next run. If the finding stays, follow its text.";
    MergeCandidate: "address that now belongs to another mailbox",
        "The address of the account is an alias of the mailbox of another account. The account is not changed.",
        "Merge the account into that of the mailbox in the Zivver WebApp, or remove the alias in Exchange.";
    InactiveNotCreated: "disabled, or without access for anyone, so no account is created",
        "A disabled user, or a shared mailbox without Full Access for a person, has no account, and none is created.",
        "Nothing.";
    WriteHadNoEffect: "change that Zivver accepted before and did not keep",
        "Zivver accepted a change, but did not show it when it was read again. It is sent again on later days.",
        "Make the change by hand in the Zivver WebApp, and ask Zivver's support why it is not kept.";
    AccessNotTaken: "access that Zivver accepted to take away and did not",
        "Zivver accepted that access is taken away, but still shows it: a person may still open the account. The change is sent again in every run.",
        "Take the access away by hand in the Zivver WebApp today, and ask Zivver's support.";
    AliasTaken: "alias that another account has",
        "Another account in Zivver has the alias, so it is not added. The rest of the change is made.",
        "Merge the other account into this one in the Zivver WebApp, or remove the alias in Exchange.";
    DomainNotOwned: "alias in a domain that Zivver does not own",
        "Zivver refused an alias because the organisation does not own its domain. Aliases of this domain are not sent again in this run.",
        "Claim the domain in the Zivver WebApp, or remove it from CLAIMED_DOMAINS.";
    NoKey: "user without object id, so nothing that needs the key is written",
        "The mailbox has no object id, so the sign-in key is not known and a change of aliases or delegates is not sent.",
        "Find out in Exchange why the mailbox has no ExternalDirectoryObjectId.";
    NoObjectId: "user mailbox without object id",
        "The user mailbox has no object id, so no account is created or taken over for it.",
        "Find out in Exchange why the mailbox has no ExternalDirectoryObjectId.";
    AddressTaken: "address that another account has",
        "Another account has the address that is to be created.",
        "Rename, merge or delete the other account in the Zivver WebApp.";
    ApprovalOutdated: "approved change that is not planned any more as it was",
        "A change that was approved is not planned any more as it was shown, or was already made.",
        "Nothing. If it is still held, approve it with the code of the last report.";
    ApprovalLeft: "approved change that a quick run does not plan",
        "A quick run does not plan the approved change, since it reads no permissions. If the change is still planned by a full run, it still waits there.",
        "Start a full run with the same code.";
    ResumeLeft: "user with delegates, or a delegate of others, whom only a full run resumes",
        "The mailbox is enabled again, and its suspended account has delegates in Zivver, or is a delegate or member of other accounts there. They could open it, or its owner the others, as soon as it is resumed, and a quick run does not read whether they still may. It stays suspended.",
        "Nothing. The next run of the timer is a full one, which resumes the account with the delegates that Exchange has. To resume it at once, start a full run.";
    Waits: "change that needs another one, which is held or rejected",
        "The change is approved, or within its limit, but it needs a change of another account, or the sign-in key of its own account, which is held or was rejected by a person. It is not made until then.",
        "Approve the other change too, or take its rejection back, as the finding states. To leave the account as it is for good, reject its held change, or name the account in TARGET_FILTER.";
    ReviewOutdated: "reviewed change that is not made",
        "A change of the reviewed plan is held now, is not planned any more as it was shown, or needs a change that was not reviewed. It is not made.",
        "Start a new preview and apply that.";
    ReviewMade: "reviewed change that was already made",
        "A change of the reviewed plan was made since the preview, by another run or by hand.",
        "Nothing.";
    NotReviewed: "change left for later, since the run was restricted to others",
        "A change was not in the reviewed plan, or not among those to which the run was restricted (R28, R47), or it needs one that was not. It is left for a later run.",
        "Nothing. The next run makes it.";
    DelegateLeftOut: "delegate without account, left out for now",
        "A delegate has no account yet: its creation was refused or is held, or it is outside the accounts of this run. The other delegates are written.",
        "Look at what the report says about the delegate.";
    RepeatOffender: "refused again and again, tried again later",
        "A change was refused in the same way in three runs. It is tried again after 1, 2, 4 and then 7 days, or when its content changes. Changes that take access away do not wait.",
        "Remove the cause that the text states. A run for this account tries at once.";
    AddressUnknown: "unknown address",
        "No mailbox and no account has an address that the run was started for.",
        "Correct the address.";
    ChangedSince: "part of that run that is not undone",
        "The account or a delegate changed after the run that is undone, or belongs to another object id by now, or its address is now that of a mailbox with another object id. Or the run itself gave the account to another object id or wrote another sign-in key, which an undo does not take back. Or Zivver accepted a change of the run and does not show it: its lists can lag behind.",
        "Look at the account, and change it by hand if needed. What Zivver does not show yet is taken back by the same undo, started again later.";
}

explained! {
    /// Why changes of a class are held.
    of_class(Class);

    Suspend: "suspends and empties",
        "More accounts would be suspended or emptied than MAX_SUSPEND allows in 24 hours, or far fewer mailboxes were read than before (R2).",
        "Compare them with the list of leavers. If you cannot explain them, correct the cause in Exchange or the filter instead.";
    DelegateRemoval: "removed delegates",
        "More delegates or members would be removed than MAX_DELEGATE_REMOVALS allows in 24 hours.",
        "Check whether a group or permissions were changed on purpose; then approve.";
    AliasRemoval: "removed aliases",
        "More aliases would be removed than MAX_ALIAS_REMOVALS allows in 24 hours.",
        "Check whether addresses were removed on purpose; then approve.";
    Rename: "renames",
        "More users would get a new address than MAX_RENAMES allows in 24 hours.",
        "Check whether a domain or a naming scheme was changed on purpose; then approve.";
    NameChange: "changed names",
        "More display names would change than MAX_NAME_CHANGES allows in 24 hours.",
        "Check whether a naming scheme was changed on purpose; then approve.";
    Stray: "accounts that never had a mailbox",
        "An active account never belonged to a mailbox: an administrator, a supplier, an account made by hand. It would be suspended.",
        "Add it to TARGET_FILTER if it is needed, or approve.";
    Identity: "accounts that would go to another person",
        "An account would go to another person, as far as known: a namesake, or a user who was deleted and created again.",
        "Find out who it is. Approve only for the same person.";
    Create: "new accounts",
        "More accounts would be created than MAX_CREATES allows in 24 hours, or the tenant, the claimed domains or a filter changed.",
        "Check whether these mailboxes are to have accounts, which may cost licences; then approve.";
    SignInKey: "replaced sign-in keys",
        "The sign-in key of an account would be written for the first time, or for the first time since SSO_ACCOUNT_KEY has another value, which can replace one that works (R23).",
        "Check SSO_ACCOUNT_KEY against the claim ZivverAccountKey in Entra (cloud-sync check explains how); then approve once.";
    Undone: "changes that a person has undone",
        "A run would repeat a change that a person has undone.",
        "Correct the cause in Exchange, or approve the change if it is right after all.";
}

const HEAD: &str = "<!-- Written by `UPDATE_DOCS=1 cargo test --test it docs` from src/render/findings.rs. -->

# Findings

Every kind of finding that a report can have. The name is the `code` of a note or the `class` of a held set in JSON and
CSV; pages show the same text beside the findings. *Needs attention* means that a person must decide something: such a
finding makes the outcome of a run `needs_attention`.

## Results of a run

| in a report | meaning | what to do |
|---|---|---|
| `refused` | Zivver answered a request for one account with an error. Status, text and remedy are shown. The run continues with the other accounts (R32). | Follow the remedy. The next run tries again. |
| `failed` | Zivver did not answer, or the run ended during this action. The change may have been made (R32). | Nothing. The next run reads both sides again. |
| `remaining` | The time budget ended before the action was started (R34). | Nothing. The next invocation continues. |
| `differences` | Read again after applying, the account still differs from the plan (R36). | Wait for the next run. If the account still differs then, it becomes `write_had_no_effect` or `access_not_taken`. |
| `suspended` | The program suspended the account, and Zivver may delete it from the given day on. | Resume the mailbox, or export messages that must be kept, before that day. |
";

/// The content of `docs/findings.md`.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    let mut write = |line: std::fmt::Arguments<'_>| {
        out.write_fmt(line)
            .expect("writing to a string does not fail");
        out.push('\n');
    };
    write(format_args!(
        "\n## Origins of changes\n\nWhat caused a change, as far as it is known \
         ([R44](specs/reconciliation.md#r44-drift)).\n\n| in JSON and CSV | on terminals and pages |\n|---|---|"
    ));
    for origin in Origin::ALL {
        let (key, text) = (words::key(origin), words::origin(origin));
        write(format_args!("| `{key}` | {text} |"));
    }
    write(format_args!(
        "\n## Held sets\n\nA held set is not made until a person approves it with its code ([how](operations.md#held))."
    ));
    for class in Class::ALL.into_iter().chain([Class::Undone]) {
        let Explained {
            meaning, action, ..
        } = of_class(class);
        write(format_args!(
            "\n### {}\n\n{meaning}\n\n{action}",
            words::key(class)
        ));
    }
    write(format_args!("\n## Notes"));
    for code in Code::ALL {
        let Explained {
            words,
            meaning,
            action,
        } = of_code(*code);
        let attention = if code.needs_attention() {
            ". *Needs attention*"
        } else {
            ""
        };
        write(format_args!(
            "\n### {}\n\n{} ({}){attention}.\n\n{meaning}\n\n{action}",
            words::key(*code),
            words::capital(words),
            code.rule()
        ));
    }
    out
}
