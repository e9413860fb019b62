//! R40: the answer in every case, as it is printed.

use cloud_sync::{
    domain::explain::Explanation,
    sandbox::{
        exchange::{Mailbox, Tenant, guid},
        zivver::{Group, LimiterConfig, Organisation, User},
    },
};
use insta::assert_snapshot;

use super::bench::Bench;

fn tied(address: &str, name: &str) -> User {
    let id = guid(&format!("entra {address}"));
    User::new(address, name).key(&id).external_account_id(&id)
}

/// One of each: in step, filtered, outside, not understood, of another kind, merged, with unknown delegations, held.
async fn bench() -> Bench {
    let mut rejected = Mailbox::user("odd@corp.example");
    rejected.missing.push("AccountDisabled".into());
    let tenant = Tenant::new("corp.example")
        .mailbox(Mailbox::user("anna@corp.example").with_display_name("Anna"))
        .mailbox(Mailbox::user("vip.board@corp.example").with_display_name("Board"))
        .user("out@elsewhere.example")
        .mailbox(rejected)
        .mailbox(Mailbox::shared("desk@corp.example").opened_by("anna@corp.example"))
        .mailbox(
            Mailbox::user("eve@corp.example")
                .with_display_name("Eve")
                .with_alias_address("merged@corp.example"),
        )
        .mailbox(
            Mailbox::shared("team@corp.example")
                .with_display_name("Team")
                .opened_by("Former Colleague"),
        );
    let anna = tied("anna@corp.example", "Anna");
    let mut organisation = Organisation::new(["corp.example"])
        .with_user(tied("vip.board@corp.example", "Chair"))
        .with_user(User::new("desk@corp.example", "Desk"))
        .with_user(tied("eve@corp.example", "Eve"))
        .with_user(User::new("merged@corp.example", "Merged"))
        .with_user(User::new("supplier@corp.example", "Supplier"));
    organisation.limiter = LimiterConfig::off();
    let id = organisation.add_user(anna);
    let team = Group::new("team@corp.example", "Team")
        .external_account_id(&guid("entra team@corp.example"))
        .member(&id);
    organisation.add_group(team);
    Bench::start((tenant, organisation))
        .await
        .with("TARGET_FILTER", "vip.")
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
async fn r40_every_case_has_its_answer() {
    let bench = bench().await;
    let mut pages = Vec::new();
    for (address, code) in [
        ("anna@corp.example", 0),
        ("vip.board@corp.example", 0),
        ("out@elsewhere.example", 0),
        ("odd@corp.example", 3),
        ("desk@corp.example", 3),
        ("merged@corp.example", 3),
        ("team@corp.example", 3),
        ("supplier@corp.example", 3),
    ] {
        let explained = bench.run(&["explain", address]);
        assert_eq!(explained.code, code, "{explained:?}");
        let json: Explanation = bench.run(&["explain", address, "--json"]).json();
        assert!(
            explained
                .out
                .starts_with(&format!("{address}: {}\n", json.verdict)),
            "{explained:?}"
        );
        pages.push(explained.out);
    }
    assert_eq!(bench.writes(), 0);
    assert_snapshot!(pages.join("\n----\n"), @r#"
    anna@corp.example: in sync: nothing is to change (R38)

    Exchange Online
      anna@corp.example "Anna"  UserMailbox
        object id   518e6ddb-5117-4ffa-8584-7afb7472c29e
        has the account anna@corp.example, by ExternalAccountId (R16 b)

    Zivver
      anna@corp.example "Anna"  user, active
        object id   518e6ddb-5117-4ffa-8584-7afb7472c29e
        belongs to the mailbox anna@corp.example (R16)

    ----
    vip.board@corp.example: TARGET_FILTER entry "vip." matches its address (R15)

    Exchange Online
      vip.board@corp.example "Board"  UserMailbox
        object id   e1663268-11f9-4718-8e09-a6487ec3a26b
        protected: TARGET_FILTER entry "vip." matches its address (R15)

    Zivver
      vip.board@corp.example "Chair"  user, active
        object id   e1663268-11f9-4718-8e09-a6487ec3a26b
        protected: TARGET_FILTER entry "vip." matches its address (R15)

    What the rules say
      R15 vip.board@corp.example: TARGET_FILTER entry "vip." matches its address

    ----
    out@elsewhere.example: the domain elsewhere.example is not among CLAIMED_DOMAINS (R13)

    Exchange Online
      out@elsewhere.example "out"  UserMailbox
        object id   66b18dc3-6668-4c54-8d41-aca03a14273e
        outside the claimed domains, so it is not synchronised (R13)

    Zivver
      has no account with this address

    What the rules say
      R13 out@elsewhere.example: the domain elsewhere.example is not among CLAIMED_DOMAINS

    ----
    odd@corp.example: the mailbox is not understood: Exchange did not say whether its account is disabled (R5)

    Exchange Online
      odd@corp.example ""  not understood
        aliases     odd@corp.example
        object id   2dab9e8e-7363-4044-8a7b-056d28b9b86b
        rejected: Exchange did not say whether its account is disabled (R5)

    Zivver
      has no account with this address

    What the rules say
      R5  odd@corp.example: the mailbox is not understood: Exchange did not say whether its account is disabled

    ----
    desk@corp.example: a shared mailbox, but its account in Zivver is a user account, whose owner can still sign in; suspend it in the Zivver WebApp if its owner has left, or convert it there (R18)

    Exchange Online
      desk@corp.example "desk"  SharedMailbox
        full access anna@corp.example
        object id   b88db1fd-d700-4d94-8d8c-71e73fdc8659
        protected: a shared mailbox, but its account in Zivver is a user account, whose owner can still sign in; suspend it in the Zivver WebApp if its owner has left, or convert it there (R18)

    Zivver
      desk@corp.example "Desk"  user, active
        protected: a shared mailbox, but its account in Zivver is a user account, whose owner can still sign in; suspend it in the Zivver WebApp if its owner has left, or convert it there (R18)

    What the rules say
      R18 desk@corp.example: a shared mailbox, but its account in Zivver is a user account, whose owner can still sign in; suspend it in the Zivver WebApp if its owner has left, or convert it there

    ----
    merged@corp.example: the alias merged@corp.example is left out: it is still the address of the account of "Merged", which has no mailbox; merge the accounts, or give that one another address, in the Zivver WebApp (R23)

    Exchange Online
      eve@corp.example "Eve"  UserMailbox
        aliases     merged@corp.example
        object id   7dfbab40-8440-4a5c-884a-e78161bececf
        has the account eve@corp.example, by ExternalAccountId (R16 b)

    Zivver
      eve@corp.example "Eve"  user, active
        object id   7dfbab40-8440-4a5c-884a-e78161bececf
        belongs to the mailbox eve@corp.example (R16)
      merged@corp.example "Merged"  user, active
        has no mailbox of its own; its address belongs to eve@corp.example; tied to no object id (R19)

    What the rules say
      R23 eve@corp.example: the alias merged@corp.example is left out: it is still the address of the account of "Merged", which has no mailbox; merge the accounts, or give that one another address, in the Zivver WebApp
      R19 merged@corp.example: its address is now an alias of the mailbox eve@corp.example, and no object id says whose the account is; its owner can still sign in; merge the two accounts, or give this one another address, in the Zivver WebApp

    ----
    team@corp.example: its delegates stay as they are: the trustee "Former Colleague" is only a name, and Exchange finds nothing of that name; remove the entry with `Remove-MailboxPermission -Identity 'team@corp.example' -User 'Former Colleague' -AccessRights FullAccess`, and grant access by the address of a person or of a mail-enabled security group (R11)

    Exchange Online
      team@corp.example "Team"  SharedMailbox
        object id   41d7a625-40aa-4101-82e5-44266b8b4eba
        has the account team@corp.example, by ExternalAccountId (R16 b)

    Zivver
      team@corp.example "Team"  functional, active
        full access anna@corp.example
        object id   41d7a625-40aa-4101-82e5-44266b8b4eba
        belongs to the mailbox team@corp.example (R16)

    What the rules say
      R11 team@corp.example: its delegates stay as they are: the trustee "Former Colleague" is only a name, and Exchange finds nothing of that name; remove the entry with `Remove-MailboxPermission -Identity 'team@corp.example' -User 'Former Colleague' -AccessRights FullAccess`, and grant access by the address of a person or of a mail-enabled security group

    ----
    supplier@corp.example: suspend is held: 1 change; MAX_STRAYS=0 allows none (R26)

    Exchange Online
      has no mailbox with this address

    Zivver
      supplier@corp.example "Supplier"  user, active
        has no mailbox; tied to no object id (R19)

    What is held
      suspend supplier@corp.example: active → suspended
        1 change; MAX_STRAYS=0 allows none (R26)
        run `cloud-sync preview` to get a code  no run has shown this set yet, or its code has expired

    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn r42_an_account_that_a_later_run_changed_is_not_called_in_sync() {
    let bench = Bench::start(super::bench::small()).await;
    bench.run(&["apply"]);
    let explain = ["explain", "bob@corp.example"];
    let before = bench.run(&explain);
    assert!(
        before.out.contains("in sync: nothing is to change"),
        "{before:?}"
    );
    let preview = bench.run(&["undo", "last"]);
    for (text, is_there) in [
        ("accounts that the run created or resumed", true),
        ("accounts without an enabled mailbox", false),
    ] {
        assert_eq!(preview.out.contains(text), is_there, "{text}: {preview:?}");
    }
    bench.run(&["undo", "last", "--apply"]);
    let after = bench.run(&explain);
    let verdict = "bob@corp.example: changed since by the undo ";
    assert!(after.out.starts_with(verdict), "{after:?}");
    let runs = bench.run(&["runs"]);
    assert!(runs.out.contains("\n  undo: "), "{runs:?}");
}
