//! R40: an answer for every case that an administrator asks about, as it stands on the screen.

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
        ("nobody@corp.example", 0),
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
    assert_snapshot!(pages.join("\n----\n"), @"");
}
