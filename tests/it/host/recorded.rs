//! Compares the double with the recordings of a real host (`tests/it/data/host-wire/README.md`).

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::{
    answer::{Client, Verdict, judge},
    queue::{Delivery, Queue},
    tables::{reply, sync_http},
    wire::{self, Call, Encoding, Framing, Members, Tick, Try},
};

#[derive(Debug, Deserialize)]
struct Capture {
    name: String,
    request_line: String,
    headers: Vec<String>,
    body: String,
}

fn recorded<T: for<'de> Deserialize<'de>>(file: &str) -> Vec<T> {
    let path = format!(
        "{}/tests/it/data/host-wire/{file}",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Replaces ids, times and receipts. The years 1 and 9999 are not times, and the offset of a time stays.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let id = rest.get(..36).filter(|id| id.parse::<Uuid>().is_ok());
        let second = rest.get(..19).filter(|time| {
            let is_time = time.parse::<jiff::civil::DateTime>().is_ok() && time.contains('T');
            is_time && !time.starts_with("0001") && !time.starts_with("9999")
        });
        let receipt = "\"PopReceipt\":\"\\\"";
        if id.is_some() {
            out.push_str("ID");
            rest = &rest[36..];
        } else if second.is_some() {
            out.push_str("TIME");
            rest = rest[19..].trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        } else if let Some(value) = rest.strip_prefix(receipt) {
            out.push_str(receipt);
            out.push_str("RECEIPT");
            rest = &value[value.find('\\').unwrap()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The call of the client, reconstructed from the captured request, with the headers that the host knows after the
/// others.
fn call(request: &str) -> Call {
    let inner = |outer: &Members, name: &str| {
        serde_json::from_str::<Members>(outer.get(name).unwrap().get()).unwrap()
    };
    let request: Members = serde_json::from_str(request).unwrap();
    let req = inner(&inner(&request, "Data"), "req");
    let text = |name: &str| {
        req.get(name)
            .map(|text| serde_json::from_str::<String>(text.get()).unwrap())
    };
    let url = text("Url").unwrap();
    let path = url.strip_prefix("http://127.0.0.1:7071").unwrap();
    let sent = inner(&req, "Headers");
    let (known, others): (Vec<&str>, Vec<&str>) = sent
        .names()
        .partition(|name| wire::KNOWN_HEADERS.contains(name));
    let values = |name: &str| -> Vec<String> {
        sent.get(name).map_or_else(Vec::new, |values| {
            serde_json::from_str(values.get()).unwrap()
        })
    };
    let headers = others.into_iter().chain(known.into_iter().rev());
    let headers = headers
        .filter(|name| *name != "Content-Length")
        .flat_map(|name| {
            let values = values(name).into_iter();
            values.map(|value| (name.to_owned(), value))
        });
    let kind = values("Content-Type").concat();
    let is_binary = kind.starts_with("application/octet-stream") || kind.starts_with("multipart/");
    let body = text("Body").unwrap_or_default();
    Call {
        method: text("Method").unwrap(),
        path: path.split('?').next().unwrap().to_owned(),
        query: Url::parse(&url)
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect(),
        headers: headers.collect(),
        body: if is_binary {
            BASE64_STANDARD.decode(body).unwrap()
        } else {
            body.into_bytes()
        },
        chunked: sent.get("Transfer-Encoding").is_some(),
    }
}

fn http(capture: &str) -> String {
    let call = call(capture);
    let params = wire::route("api", "SyncHttp/{*path}", &call.path).unwrap();
    wire::http("SyncHttp", "req", "default", &call, &params)
}

fn queue(capture: &str) -> String {
    let capture: Value = serde_json::from_str(capture).unwrap();
    let text = capture["Data"]["message"].as_str().unwrap();
    let text: String = serde_json::from_str(text).unwrap();
    let count = capture["Metadata"]["DequeueCount"].as_str().unwrap();
    let delivery = Delivery {
        id: Uuid::new_v4(),
        receipt: Uuid::new_v4(),
        dequeues: count.parse().unwrap_or(1),
        inserted: Timestamp::now(),
        received: capture["Metadata"]
            .get("PopReceipt")
            .map(|_| Timestamp::now()),
        text: Some(text.clone()),
    };
    wire::queue("SyncQueue", "message", (&delivery, &text), Encoding::Double)
}

#[test]
fn the_double_sends_what_the_host_sent() {
    let captures: Vec<Capture> = recorded("captures.json");
    assert_eq!(captures.len(), 29);
    for capture in captures {
        let (function, body) = match capture.request_line.as_str() {
            "POST /SyncHttp HTTP/1.1" => ("SyncHttp", http(&capture.body)),
            "POST /SyncQueue HTTP/1.1" => ("SyncQueue", queue(&capture.body)),
            "POST /SyncTimer HTTP/1.1" => {
                let is_retry = capture.name == "timer-retry";
                let tick = if is_retry { Tick::Retried } else { Tick::Admin };
                let of = Try {
                    count: u32::from(is_retry),
                    count_max: 2,
                    failure: is_retry.then(|| {
                        "Response status code does not indicate success: 500 (X).".to_owned()
                    }),
                };
                (
                    "SyncTimer",
                    wire::timer("SyncTimer", "timer", tick, Some(&of)),
                )
            }
            other => panic!("{other}"),
        };
        assert_eq!(masked(&body), masked(&capture.body), "{}", capture.name);

        let path = format!("/{function}");
        let sent = wire::posted(
            Uuid::new_v4(),
            32813,
            &path,
            body.as_bytes(),
            Framing::Chunked,
        );
        let sent = String::from_utf8(sent).unwrap();
        let (head, _) = sent.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        assert_eq!(
            lines.next(),
            Some(&*capture.request_line),
            "{}",
            capture.name
        );
        // Of one request only the body was recorded.
        if !capture.headers.is_empty() {
            let headers: Vec<String> = lines.map(masked).collect();
            let told: Vec<String> = capture.headers.iter().map(|line| masked(line)).collect();
            assert_eq!(headers, told, "{}", capture.name);
        }
    }
}

#[derive(Debug, Deserialize)]
struct Answered {
    line: String,
    #[serde(default = "ok")]
    status: u16,
    body: String,
    client: Option<Seen>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Seen {
    status: u16,
    body: String,
    #[serde(rename = "type")]
    content_type: String,
}

fn ok() -> u16 {
    200
}

#[test]
fn the_double_answers_clients_as_the_host_did() {
    for case in recorded::<Answered>("answers.json") {
        let told = reply(case.status, Some("application/json"), &case.body);
        let client = match judge(&told, &sync_http()) {
            Verdict::Success(bound) => bound.client,
            Verdict::Failed(_) => Some(Client::plain(500, "")),
            Verdict::Hangs => None,
        };
        let seen = client.map(|client| Seen {
            status: client.status,
            content_type: client.content_type().to_owned(),
            body: client.body,
        });
        assert_eq!(seen, case.client, "{}", case.line);
    }
}

#[derive(Debug, Deserialize)]
struct Sent {
    line: String,
    body: String,
    messages: Option<Vec<String>>,
    bytes: Option<Vec<Vec<u8>>>,
}

#[test]
fn the_double_sends_the_messages_that_the_host_sent() {
    for case in recorded::<Sent>("messages.json") {
        let told = reply(200, Some("application/json"), &case.body);
        let messages = match judge(&told, &sync_http()) {
            Verdict::Success(bound) => Some(bound.messages),
            Verdict::Failed(_) => None,
            Verdict::Hangs => panic!("{}", case.line),
        };
        let texts = case
            .messages
            .map(|texts| texts.into_iter().map(String::into_bytes).collect());
        assert_eq!(messages, case.bytes.or(texts), "{}", case.line);
    }
    // The limit of a message is 48 KiB.
    for (bytes, fits) in [(49_000, true), (49_160, false)] {
        assert_eq!(
            Queue::default().send(&vec![b'x'; bytes]).is_ok(),
            fits,
            "{bytes}"
        );
    }
}
