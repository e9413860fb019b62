//! SCIM lists, resources, errors, and the headers that control the governor.

use cloud_sync::{
    domain::{
        account::UserAccount,
        address::SmtpAddress,
        execute::{FunctionalExtensionUpdate, FunctionalUpdate, UserExtensionUpdate, UserUpdate},
        ids::ScimId,
        probe::AnswerSheet,
    },
    http::{Clock, Transport},
    zivver::{ApiKey, Connection, MayWrite, Policy, Rate, ReadError, ZivverClient},
};
use serde_json::{Value, json};

use super::{
    block_on, first_line,
    script::{Asked, Script},
};

const EXTENSION: &str = "urn:ietf:params:scim:schemas:zivver:0.1:User";

/// The key is sent only to Zivver, and a write only to one account or to a collection that accepts it.
fn is_zivver(asked: &Asked) -> bool {
    let parts: Vec<&str> = asked.path.split('/').collect();
    let path = match (asked.method.as_str(), &parts[..]) {
        ("GET" | "POST", ["", "api", "scim", "v2", "Users" | "Groups"]) => true,
        ("PUT" | "PATCH", ["", "api", "scim", "v2", "Users" | "Groups", id]) => !id.is_empty(),
        _ => false,
    };
    path && asked.host == "app.zivver.com"
}

fn client(script: &Script) -> ZivverClient {
    let connection = Connection {
        base_url: "https://app.zivver.com/api".parse().expect("it is a URL"),
        key: ApiKey::parse("Z1.1.2.canary").expect("it is a key"),
        rate: Rate::default(),
        policy: Policy::new(7),
        clock: Clock::simulated("2026-11-23T02:00:00Z".parse().expect("it is a time")),
        may_write: MayWrite::new(|| true),
    };
    ZivverClient::new(connection, Transport::InProcess(script.router()))
}

/// The first line says what is read. What was read is written back as a whole, and is equal when it is read again
/// (R23).
pub(super) fn read(input: &[u8]) {
    let (what, answers) = first_line(input);
    let address = SmtpAddress::verbatim("anna@corp.example");
    block_on(async {
        let script = Script::new(answers, is_zivver);
        let client = client(&script);
        match what {
            b"groups" => drop(client.groups().await),
            b"find user" => drop(client.find_user(&address).await),
            b"find group" => drop(client.find_group(&address).await),
            _ => {
                let users = client.users().await.unwrap_or_default();
                for user in users.accounts.iter().take(3) {
                    comes_back(user).await;
                }
            }
        }
    });
}

pub(super) async fn probe(answers: &[u8], sheet: &mut AnswerSheet) -> Result<(), ReadError> {
    // The probe requests other paths, but only of Zivver.
    let script = Script::new(answers, |asked| asked.host == "app.zivver.com");
    client(&script).probe(sheet).await
}

async fn comes_back(user: &UserAccount) {
    let script = Script::new(b"500", is_zivver);
    let write = UserUpdate {
        name: Some(user.name.clone()),
        active: Some(user.active),
        extension: Some(UserExtensionUpdate {
            read: user.extension.clone(),
            aliases: user.extension.aliases.clone(),
            delegates: user.delegates.clone(),
            key: None,
        }),
        ..UserUpdate::default()
    };
    // The request is refused. Only what was sent matters.
    drop(client(&script).update_user(&user.id, &write).await);
    let asked = script.asked();
    let sent = asked.first().expect("the write was sent");
    let mut body: Value = serde_json::from_slice(&sent.body).expect("bodies are JSON");
    assert!(body[EXTENSION].is_object());
    body["id"] = user.id.as_str().into();
    body["userName"] = user.address.as_str().into();
    let list = json!({ "totalResults": 1, "Resources": [body] });
    let script = Script::new(format!("200\n\n{list}").as_bytes(), is_zivver);
    let again = client(&script).users().await.expect("it can be read");
    let again = again.accounts;
    let (old, new) = (&user.extension, &again[0].extension);
    assert_eq!(old.aliases, new.aliases);
    assert_eq!(user.delegates, again[0].delegates);
    assert_eq!(
        (user.name.as_str(), user.active),
        (again[0].name.as_str(), again[0].active)
    );
    let rest = |rest: &[(Box<str>, Value)]| -> serde_json::Map<String, Value> {
        rest.iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect()
    };
    assert_eq!(rest(&old.rest), rest(&new.rest));
}

/// The first line says what is written, and to which id.
pub(super) fn write(input: &[u8]) {
    let (what, answers) = first_line(input);
    let what = String::from_utf8_lossy(what);
    let (verb, id) = what.split_once(' ').unwrap_or((&what, "1"));
    let address = SmtpAddress::verbatim("anna@corp.example");
    // A list contains no other ids.
    let is_id =
        !id.trim().is_empty() && !id.contains(char::is_control) && id.contains(|c: char| c != '.');
    let id = ScimId::new(if is_id { id } else { "1" });
    block_on(async {
        let script = Script::new(answers, is_zivver);
        let client = client(&script);
        let user = UserUpdate {
            name: Some("Anna".to_owned()),
            ..UserUpdate::default()
        };
        let group = FunctionalUpdate {
            name: Some("Info".to_owned()),
            extension: Some(FunctionalExtensionUpdate::default()),
            ..FunctionalUpdate::default()
        };
        match verb {
            "create-group" => drop(client.create_group(&address, "Info", &[], &[]).await),
            "update-user" => {
                if let Ok(Some(account)) = client.update_user(&id, &user).await {
                    assert_eq!(account.id, id);
                }
            }
            "update-group" => drop(client.update_group(&id, &group).await),
            "patch" => drop(client.set_members(&id, &[]).await),
            _ => {
                if let Ok(creation) = client.create_user(&address, "Anna", None).await {
                    assert_eq!(creation.account.address, address);
                }
            }
        }
    });
}
