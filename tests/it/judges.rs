//! Zivver's side judged by independent SCIM software: a whole synchronisation into scim2-server, and two conformance
//! suites against the sandbox.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use cloud_sync::sandbox::{
    Sandbox, SandboxOptions,
    exchange::Tenant,
    zivver::{API_KEY, LimiterConfig, Organisation, User},
};
use serde_json::{Value, json};

use crate::{
    process::office::{DOMAIN, Office, folder_url, office, with},
    tools::{python_with, said},
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/data")
        .join(name)
}

/// The input of the judge: facts of the directory, and the initial accounts.
fn world(tenant: &Tenant, organisation: &Organisation) -> Value {
    let aliases = |addresses: &[String]| -> Vec<String> {
        let aliases = addresses
            .iter()
            .filter_map(|text| text.strip_prefix("smtp:"));
        aliases.map(str::to_owned).collect()
    };
    let mailboxes = tenant.mailboxes.iter().map(|mailbox| {
        let trustees: Vec<&String> = mailbox.permissions.iter().map(|one| &one.user).collect();
        json!({
            "id": mailbox.edoid, "login": mailbox.user_principal_name, "kind": mailbox.recipient_type_details,
            "address": mailbox.primary_smtp_address, "name": mailbox.display_name,
            "aliases": aliases(&mailbox.email_addresses), "opened_by": trustees,
            "disabled": mailbox.account_disabled == Some(true),
        })
    });
    let groups = tenant.groups.iter();
    let users = organisation.users.iter().map(|user| {
        json!({
            "id": user.id, "address": user.user_name, "name": user.name, "active": user.active,
            "aliases": user.aliases, "delegates": user.delegates, "key": user.sso_account_key,
            "identifier": user.external_account_id,
        })
    });
    let accounts = organisation.groups.iter().map(|group| {
        json!({ "address": group.external_id, "name": group.display_name, "members": group.members, "aliases": group.aliases })
    });
    json!({
        "mailboxes": mailboxes.collect::<Vec<_>>(),
        "groups": groups.map(|one| json!({ "name": one.name, "members": one.members })).collect::<Vec<_>>(),
        "users": users.collect::<Vec<_>>(),
        "accounts": accounts.collect::<Vec<_>>(),
    })
}

struct Judge {
    child: Child,
    asked: ChildStdin,
    told: BufReader<ChildStdout>,
    url: String,
}

impl Judge {
    fn start(mut python: Command, world: &Value) -> Self {
        let mut child = python
            .arg(data("scim_judge.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut asked = child.stdin.take().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        writeln!(asked, "{world}").unwrap();
        let mut port = String::new();
        told.read_line(&mut port).unwrap();
        Self {
            child,
            asked,
            told,
            url: format!("http://127.0.0.1:{}/api", port.trim()),
        }
    }

    fn verdict(&mut self) -> Value {
        writeln!(self.asked).unwrap();
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // An error means that it has already ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scim_server_of_others_ends_as_the_directory_calls_for() {
    let Some(python) = python_with("scim2_server") else {
        return;
    };
    let (tenant, organisation) = office(20, 2);
    let mut judge = Judge::start(python, &world(&tenant, &organisation));
    let before = judge.verdict();
    assert_ne!(before["differences"], json!({}), "there is work to do");
    let office = Office::open(20, 2).await;
    let state = tempfile::tempdir().unwrap();
    let mut settings = office.settings(&folder_url(state.path()));
    for (name, value) in [
        ("ZIVVER_API_URL", judge.url.as_str()),
        ("ZIVVER_API_KEY", "Z1.1.2.anVkZ2U"),
    ] {
        settings = with(settings, name, value);
    }
    let mut writes = 0;
    for run in ["first", "second"] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_cloud-sync"))
            .args(["apply", "--json"])
            .envs(&settings)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let verdict = judge.verdict();
        assert_eq!(
            verdict["differences"],
            json!({}),
            "{run}: {}",
            said(&output)
        );
        let sum = verdict["writes"].as_u64().unwrap();
        assert_eq!(run == "first", sum > writes, "only the first run writes");
        writes = sum;
    }
    assert_eq!(
        office.writes(),
        0,
        "the sandbox's own Zivver is not touched"
    );
}

/// `docs/scim-deviations.md` contains them as a list of code lines, each followed by its reason.
#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_deviates_from_the_standard_as_documented() {
    let Some(mut python) = python_with("scim2_tester, scim_sanity, scim2_server") else {
        return;
    };
    let organisation = Organisation {
        limiter: LimiterConfig::off(),
        ..Organisation::new([DOMAIN]).with_user(User::new("anna@corp.example", "Anna"))
    };
    let sandbox = Sandbox::start(SandboxOptions {
        port: 0,
        tenant: Tenant::new(DOMAIN),
        organisation,
    })
    .await
    .unwrap();
    python.arg(data("scim_deviations.py"));
    python
        .arg(format!("{}/scim/v2", sandbox.zivver_url()))
        .arg(API_KEY);
    let output = tokio::task::spawn_blocking(move || python.output().unwrap())
        .await
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let found = String::from_utf8(output.stdout).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scim-deviations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let documented: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`'))
        .collect();
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, documented, "{}", found.join("\n"));
}
