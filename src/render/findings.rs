//! The meaning of each kind of finding, and what to do about it. Pages show it with the findings, and
//! `docs/findings.md` lists it.

use std::fmt::Write as _;

use domain::{guard::Class, note::Code};

use super::words;

/// The explanation of a kind of finding.
#[derive(Debug, Clone, Copy)]
pub struct Explained {
    pub meaning: &'static str,
    pub action: &'static str,
}

const NONE: &str = "Nothing.";

const fn explained(meaning: &'static str, action: &'static str) -> Explained {
    Explained { meaning, action }
}

#[expect(clippy::too_many_lines, reason = "one entry for each code")]
pub fn of_code(code: Code) -> Explained {
    match code {
        Code::AccountRejected => explained(
            "Zivver sent an account that the program does not understand. The account, and every mailbox that is or may be tied to it, is not changed.",
            "Look at the account in the Zivver WebApp. If it looks normal there, send its id to Zivver's support.",
        ),
        Code::KindNotSynchronised => explained(
            "A room, an equipment mailbox or another kind that never gets an account.",
            NONE,
        ),
        Code::AliasMalformed => explained(
            "An entry of the mailbox's addresses is not a mail address. It is ignored; the other addresses are synchronised.",
            "Correct or remove the entry in Exchange.",
        ),
        Code::AliasesUnknown => explained(
            "Exchange did not return the addresses of the mailbox completely. Its aliases in Zivver stay as they are, and a new account is not created.",
            "Wait for the next run. If the finding stays, check the addresses of the mailbox in Exchange.",
        ),
        Code::OutsideRun => explained(
            "The change needs an account that the run does not cover. It is left for a run that covers both (R39).",
            "Include the account that the finding names, or wait for the next run for all accounts.",
        ),
        Code::Rejection => explained(
            "A person rejected this change. It is not made until it changes.",
            "Nothing. `cloud-sync reject --undo CODE` takes the rejection back.",
        ),
        Code::Rejected => explained(
            "Exchange sent a mailbox without a usable primary address, or in a form that the program does not understand. Its account is not changed.",
            "Correct the primary address of the mailbox in Exchange.",
        ),
        Code::DuplicatePrimary => explained(
            "Two mailboxes have the same primary address. Neither of them is synchronised.",
            "Give one of them another primary address in Exchange.",
        ),
        Code::AliasContested => explained(
            "More than one mailbox has the alias. It is neither added nor removed in Zivver.",
            "Remove the alias from all mailboxes but one in Exchange.",
        ),
        Code::ProtectedByTie => explained(
            "The account has an address or an identifier of a mailbox that is protected, so it is not changed.",
            "Remove the cause that the finding of the mailbox states.",
        ),
        Code::TrusteeDeleted => explained(
            "A permission of the mailbox belongs to an account that was deleted. It gives no access.",
            "Remove the permission with the command in the finding. It does no harm if it stays.",
        ),
        Code::TrusteeDenied => explained(
            "An entry with Deny takes the access of a person away.",
            "Nothing if the Deny is intended. Otherwise remove it in Exchange.",
        ),
        Code::GroupGivesNoRight => explained(
            "The permission belongs to a distribution, Microsoft 365, dynamic or role group. Exchange gives the members of such a group no right.",
            "If its members are to have access, use a mail-enabled security group.",
        ),
        Code::TrusteeNotAMailbox => explained(
            "The permission belongs to a recipient without a mailbox in this tenant, such as a mail user or a contact. It cannot be a delegate.",
            "Nothing, or give the permission to the mailbox of the person.",
        ),
        Code::TrusteeNotFound => explained(
            "The permission names a trustee that Exchange does not know. It gives no access.",
            "Remove the permission with the command in the finding.",
        ),
        Code::DelegationsUnknown => explained(
            "The permissions of the mailbox could not be read, or a trustee is ambiguous. The delegates in Zivver stay as they are; no access changes.",
            "Follow the remedy in the finding: give one of two objects of the same name another name, or wait for the next run after a fault of Exchange.",
        ),
        Code::MailboxGone => explained(
            "The mailbox was deleted while the run read it. The run does not change its account.",
            "Nothing. The next run decides.",
        ),
        Code::DelegatePruned => explained(
            "A person has Full Access but cannot be a delegate: the mailbox is not in scope, or has no user account.",
            "Nothing, or bring the mailbox of the person into scope.",
        ),
        Code::DelegateKept => explained(
            "The mailbox or account of a delegate cannot be judged. The delegation is neither added nor removed.",
            "Remove the cause that the finding states, if the person is to lose or to get access.",
        ),
        Code::DelegatesLeftOut => explained(
            "The only delegates of the functional account are left out for now, so it is neither created nor emptied.",
            "Look at the findings of these delegates.",
        ),
        Code::DelegatesStay => explained(
            "Members who no longer have a right stay, because the functional account would have no member without them. They can still open it.",
            "Remove the members by hand in the Zivver WebApp, or give at least one person Full Access that is synchronised.",
        ),
        Code::OutsideClaimedDomains => explained(
            "The primary address is not in CLAIMED_DOMAINS. Nothing is changed.",
            "Nothing. If the domain is to be synchronised, claim it in Zivver and add it to CLAIMED_DOMAINS.",
        ),
        Code::OutsideSourceFilter => explained(
            "The mailbox is not a member of the groups in SOURCE_FILTER.",
            "Nothing, or add the mailbox to a group of the filter.",
        ),
        Code::FunctionalOutsideSourceFilter => explained(
            "No shared mailbox is in SOURCE_FILTER, so functional accounts are not changed.",
            "Nothing, or add the shared mailboxes to a group of the filter.",
        ),
        Code::TargetFilter => explained(
            "An entry of TARGET_FILTER matches the address. The account is never changed.",
            "Nothing. Check the entry if it matches more accounts than intended.",
        ),
        Code::ClaimConflict => explained(
            "Several mailboxes claim one account with equal strength, or one mailbox claims several accounts. None of them is changed.",
            "Correct the addresses in Exchange, or the ExternalAccountId of the accounts with Zivver's support, so that one mailbox belongs to one account.",
        ),
        Code::IdentityChange => explained(
            "The account with the address of the mailbox belongs to another object id: a namesake, a re-created user, or a migrated tenant.",
            "Find out whether both are the same person. If so, approve the held set of class identity; otherwise give the mailbox another address.",
        ),
        Code::AliasEvidence => explained(
            "The mailbox has no account under its primary address, but an account has one of its aliases or its UPN as its address.",
            "Find out whether the account belongs to the person. If so, approve the held rename; otherwise remove the alias in Exchange.",
        ),
        Code::FunctionalRename => explained(
            "The primary address of a shared mailbox changed. Zivver cannot rename a functional account over SCIM, so neither address is changed.",
            "Follow the remedy in the finding: change the address of the functional account in the Zivver WebApp.",
        ),
        Code::RenameBlocked => explained(
            "Another account has the new address of the person.",
            "Give the address back in Zivver or in Exchange: rename, merge or delete the other account.",
        ),
        Code::KindMismatch => explained(
            "One side is a person and the other a shared mailbox, such as a user account for a mailbox that became shared. Nothing is changed, and the owner of a user account can still sign in.",
            "Convert or delete the account in the Zivver WebApp, or change the type of the mailbox in Exchange.",
        ),
        Code::RecipientExists => explained(
            "The account has no mailbox, but Exchange has another recipient with its address or object id, such as a mail user. The account is not changed.",
            "Nothing. Suspend the account by hand if the person has left.",
        ),
        Code::OwnerUnknown => explained(
            "The account has no mailbox, another recipient has its address, and no object id tells whose account it is. The account stays active, and its owner can still sign in.",
            "Find out whose account it is, and suspend it by hand if the person has left.",
        ),
        Code::AbsenceUnknown => explained(
            "The account has no mailbox, and Exchange could not say whether the address or object id is gone. The account stays active.",
            "Wait for the next run. If the finding stays, follow its text.",
        ),
        Code::MergeCandidate => explained(
            "The address of the account is an alias of the mailbox of another account. The account is not changed.",
            "Merge the account into that of the mailbox in the Zivver WebApp, or remove the alias in Exchange.",
        ),
        Code::InactiveNotCreated => explained(
            "A disabled user, or a shared mailbox without Full Access for a person, has no account, and none is created.",
            NONE,
        ),
        Code::WriteHadNoEffect => explained(
            "Zivver accepted a change, but did not show it when it was read again. It is sent again on later days.",
            "Make the change by hand in the Zivver WebApp, and ask Zivver's support why it is not kept.",
        ),
        Code::AccessNotTaken => explained(
            "Zivver accepted that access is taken away, but still shows it: a person may still open the account. The change is sent again in every run.",
            "Take the access away by hand in the Zivver WebApp today, and ask Zivver's support.",
        ),
        Code::AliasTaken => explained(
            "Another account in Zivver has the alias, so it is not added. The rest of the change is made.",
            "Merge the other account into this one in the Zivver WebApp, or remove the alias in Exchange.",
        ),
        Code::DomainNotOwned => explained(
            "Zivver refused an alias because the organisation does not own its domain. Aliases of this domain are not sent again in this run.",
            "Claim the domain in the Zivver WebApp, or remove it from CLAIMED_DOMAINS.",
        ),
        Code::NoKey => explained(
            "The mailbox has no object id, so the sign-in key is not known and a change of aliases or delegates is not sent.",
            "Find out in Exchange why the mailbox has no ExternalDirectoryObjectId.",
        ),
        Code::NoObjectId => explained(
            "The user mailbox has no object id, so no account is created or taken over for it.",
            "Find out in Exchange why the mailbox has no ExternalDirectoryObjectId.",
        ),
        Code::AddressTaken => explained(
            "Another account has the address that is to be created.",
            "Rename, merge or delete the other account in the Zivver WebApp.",
        ),
        Code::ApprovalOutdated => explained(
            "A change that was approved is not planned any more as it was shown, or was already made.",
            "Nothing. If it is still held, approve it with the code of the last report.",
        ),
        Code::ApprovalLeft => explained(
            "A quick run does not plan the approved change, since it reads no permissions. If the change is still planned by a full run, it still waits there.",
            "Start a full run with the same code.",
        ),
        Code::ResumeLeft => explained(
            "The mailbox is enabled again, and its suspended account has delegates in Zivver. They could open it as soon as it is resumed, and a quick run does not read whether they still may. It stays suspended.",
            "Nothing. The next run of the timer is a full one, which resumes the account with the delegates that Exchange has. To resume it at once, start a full run.",
        ),
        Code::Waits => explained(
            "The change is approved, or within its limit, but it needs a change of another account that is held, or that a person rejected. It is not made until then.",
            "Approve the other change too, or take its rejection back, as the finding states. To leave the account as it is for good, reject its held change, or name the account in TARGET_FILTER.",
        ),
        Code::ReviewOutdated => explained(
            "A change of the reviewed plan is held now, is not planned any more as it was shown, or needs a change that was not reviewed. It is not made.",
            "Start a new preview and apply that.",
        ),
        Code::NotReviewed => explained(
            "A change was not in the reviewed plan and is left for a later run.",
            "Nothing. The next run makes it.",
        ),
        Code::DelegateLeftOut => explained(
            "A delegate has no account yet: its creation was refused or is held, or it is outside the accounts of this run. The other delegates are written.",
            "Look at what the report says about the delegate.",
        ),
        Code::RepeatOffender => explained(
            "A change was refused in the same way in three runs. It is tried again after 1, 2, 4 and then 7 days, or when its content changes. Changes that take access away do not wait.",
            "Remove the cause that the text states. A run for this account tries at once.",
        ),
        Code::AddressUnknown => explained(
            "No mailbox and no account has an address that the run was started for.",
            "Correct the address.",
        ),
        Code::ChangedSince => explained(
            "The account changed after the run that is undone, so that part is not undone.",
            "Look at the account, and change it by hand if needed.",
        ),
    }
}

/// Why changes of a class are held.
pub fn of_class(class: Class) -> Explained {
    match class {
        Class::Suspend => explained(
            "More accounts would be suspended or emptied than MAX_SUSPEND allows in 24 hours, or far fewer mailboxes were read than before (R2).",
            "Compare them with the list of leavers. If you cannot explain them, correct the cause in Exchange or the filter instead.",
        ),
        Class::DelegateRemoval => explained(
            "More delegates or members would be removed than MAX_DELEGATE_REMOVALS allows in 24 hours.",
            "Check whether a group or permissions were changed on purpose; then approve.",
        ),
        Class::AliasRemoval => explained(
            "More aliases would be removed than MAX_ALIAS_REMOVALS allows in 24 hours.",
            "Check whether addresses were removed on purpose; then approve.",
        ),
        Class::Rename => explained(
            "More users would get a new address than MAX_RENAMES allows in 24 hours.",
            "Check whether a domain or a naming scheme was changed on purpose; then approve.",
        ),
        Class::NameChange => explained(
            "More display names would change than MAX_NAME_CHANGES allows in 24 hours.",
            "Check whether a naming scheme was changed on purpose; then approve.",
        ),
        Class::Stray => explained(
            "An active account never belonged to a mailbox: an administrator, a supplier, an account made by hand. It would be suspended.",
            "Add it to TARGET_FILTER if it is needed, or approve.",
        ),
        Class::Identity => explained(
            "An account would go to another person, as far as known: a namesake, or a user who was deleted and created again.",
            "Find out who it is. Approve only for the same person.",
        ),
        Class::Create => explained(
            "More accounts would be created than MAX_CREATES allows in 24 hours, or the tenant, the claimed domains or a filter changed.",
            "Check whether these mailboxes are to have accounts, which may cost licences; then approve.",
        ),
        Class::SignInKey => explained(
            "The sign-in key of an account would be written for the first time, which can replace one that works (R23).",
            "Check SSO_ACCOUNT_KEY against the claim ZivverAccountKey in Entra (cloud-sync check explains how); then approve once.",
        ),
        Class::Undone => explained(
            "A run would repeat a change that a person has undone.",
            "Correct the cause in Exchange, or approve the change if it is right after all.",
        ),
    }
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
| `failed` | Zivver did not answer, or the run stopped in this action. The change may have been made (R32). | Nothing. The next run reads both sides again. |
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
        "\n## Held sets\n\nA held set is not made until a person approves it with its code ([how](operations.md#held))."
    ));
    for class in Class::ALL.into_iter().chain([Class::Undone]) {
        let Explained { meaning, action } = of_class(class);
        write(format_args!(
            "\n### {}\n\n{meaning}\n\n{action}",
            words::key(class)
        ));
    }
    write(format_args!("\n## Notes"));
    for code in Code::ALL {
        let Explained { meaning, action } = of_code(*code);
        let attention = if code.needs_attention() {
            ". *Needs attention*"
        } else {
            ""
        };
        write(format_args!(
            "\n### {}\n\n{} ({}){attention}.\n\n{meaning}\n\n{action}",
            words::key(*code),
            words::capital(words::code(*code)),
            code.rule()
        ));
    }
    out
}
