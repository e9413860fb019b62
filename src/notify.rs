//! Posts one message to a webhook. The same body serves all receivers: Teams reads the adaptive card in `attachments`,
//! Slack and Mattermost read `text`, others read the members of [`Notice`].

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use url::Url;

use crate::{
    domain::notice::{Event, Notice},
    http::{Request, Sender, Transport, TransportError},
    links::{Link, links},
    render::{visible::visible, words},
    settings::Secret,
};

/// A slow receiver must not delay an invocation.
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The notice was not sent. The whole address is a secret, since it permits writing to the channel, so it is not shown.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error(transparent)]
    Setup(#[from] TransportError),
    #[error("the notification was not sent: {cause}; check CLOUD_SYNC__NOTIFY_URL")]
    Unreachable { cause: String },
    #[error(
        "the receiver of notifications answered {status}; make a new webhook and set CLOUD_SYNC__NOTIFY_URL to it"
    )]
    Refused { status: u16 },
}

/// Sends `notice`, with retries if they can help. In rare cases the receiver gets it twice. `dashboard` is the address
/// of the dashboard.
pub async fn send(
    address: &Secret<Url>,
    notice: &Notice,
    dashboard: Option<&Url>,
) -> Result<(), NotifyError> {
    let sender = Sender::new(
        Transport::network(address.expose(), 1)?,
        "CLOUD_SYNC__NOTIFY_URL",
    );
    let body = Bytes::from(body(notice, dashboard).to_string());
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    let mut attempt = 1;
    loop {
        let request = Request {
            kind: "notification",
            method: Method::POST,
            url: address.expose().clone(),
            headers: headers.clone(),
            body: body.clone(),
            timeout: TIMEOUT,
            may_write: None,
            body_limit_bytes: ANSWER_BYTES_MAX,
        };
        let error = match sender.send(request).await {
            Ok(reply) if reply.status.is_success() => return Ok(()),
            Ok(reply) => {
                let status = reply.status.as_u16();
                let error = NotifyError::Refused { status };
                if status != 429 && status < 500 {
                    return Err(error);
                }
                error
            }
            Err(error) => {
                let again = error.retry_reason().is_some();
                let error = NotifyError::Unreachable {
                    cause: error.to_string(),
                };
                // The answer exceeded the size limit, so the receiver has the message.
                if !again {
                    return Err(error);
                }
                error
            }
        };
        if attempt == ATTEMPTS {
            return Err(error);
        }
        tokio::time::sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

/// The held sets that the notice is about, the run and the dashboard.
fn pages(notice: &Notice, dashboard: &Url) -> Vec<Link> {
    let figures = match notice.event {
        Event::Held => notice.figures.as_ref(),
        Event::Failed | Event::Recovered | Event::NoSuccess => None,
    };
    let held = figures.map_or(&[][..], |figures| &figures.held);
    links(dashboard, notice.run.as_deref(), held)
}

fn facts(notice: &Notice) -> Vec<Value> {
    let mut facts = Vec::new();
    if let Some(run) = &notice.run {
        facts.push(json!({"title": "Run", "value": run}));
    }
    if let Some(by) = &notice.started_by {
        facts.push(json!({"title": "Started by", "value": for_teams(&by.to_string())}));
    }
    let figures = notice.figures.as_ref();
    if let Some(figures) = figures.filter(|figures| notice.run.as_ref() != Some(&figures.run)) {
        facts.push(json!({"title": "Last complete run", "value": figures.ended}));
    }
    for held in figures.into_iter().flat_map(|figures| &figures.held) {
        let class = words::class(held.class);
        let changes = words::number(held.changes, "change", "changes");
        let value = format!("{changes}, code {}", held.code);
        facts.push(json!({"title": format!("Held: {class}"), "value": value}));
    }
    facts
}

fn body(notice: &Notice, dashboard: Option<&Url>) -> Value {
    let mut body = serde_json::to_value(notice).unwrap_or_default();
    let links = dashboard.map_or_else(Vec::new, |dashboard| pages(notice, dashboard));
    let actions = links.iter();
    let actions =
        actions.map(|it| json!({"type": "Action.OpenUrl", "title": it.title, "url": it.url}));
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "size": "Medium", "weight": "Bolder", "text": notice.title, "wrap": true},
            {"type": "TextBlock", "text": for_teams(&notice.text), "wrap": true},
            {"type": "FactSet", "facts": facts(notice)},
        ],
        "actions": actions.collect::<Vec<_>>(),
    });
    // Slack shows `text`; a receiver that reads members gets the plain sentence in `message`.
    body["message"] = visible(&notice.text).into();
    let pages = links
        .iter()
        .map(|link| format!("\n<{}|{}>", link.url, link.title));
    let pages: String = pages.collect();
    body["text"] = format!("{}\n{}{pages}", notice.title, for_slack(&notice.text)).into();
    body["links"] = serde_json::to_value(&links).unwrap_or_default();
    body["type"] = "message".into();
    body["source"] = "cloud-sync".into();
    body["attachments"] = json!([{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card,
    }]);
    body
}

/// Slack interprets `<…>` as a link or a mention.
fn for_slack(text: &str) -> String {
    visible(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A card interprets `[…](…)` as a link.
fn for_teams(text: &str) -> String {
    visible(text).replace("](", "] (")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cause of a failure may quote the answer of a service, which may contain a display name.
    #[test]
    fn a_hostile_cause_is_inert() {
        let notice = Notice {
            event: Event::Failed,
            title: "Cloud Sync: the run failed".into(),
            text: "answered (<!channel> [pay](https://evil.example) \u{202e}gpj\u{1b}[2J)".into(),
            run: None,
            started_by: None,
            figures: None,
        };
        let body = body(&notice, None);
        let text = body["text"].as_str().unwrap();
        assert!(text.contains("&lt;!channel&gt;"), "{text}");
        let card = body["attachments"][0]["content"]["body"][1]["text"]
            .as_str()
            .unwrap();
        assert!(card.contains("[pay] (https"), "{card}");
        for shown in [text, card, body["message"].as_str().unwrap()] {
            assert!(!shown.contains(['\u{202e}', '\u{1b}']), "{shown:?}");
            assert!(shown.contains("[U+202E]gpj"), "{shown}");
        }
    }
    use domain::{
        health::Overdue,
        mode::Depth,
        notice::{Notified, at_tick},
    };

    #[test]
    fn one_body_serves_teams_slack_and_programs() {
        let overdue = Overdue {
            age_s: 27 * 3600,
            age_max_s: 26 * 3600,
            has_succeeded: true,
            depth: Depth::Full,
        };
        let notice = at_tick(&Notified::default(), Some(overdue), None, 0)
            .1
            .unwrap();
        let dashboard = Url::parse("https://sync.example/api/SyncHttp").unwrap();
        let body = body(&notice, Some(&dashboard));
        assert_eq!(body["type"], "message");
        assert_eq!(body["event"], "no_success");
        assert!(
            body["text"]
                .as_str()
                .unwrap()
                .starts_with("Cloud Sync: no run has succeeded")
        );
        let card = &body["attachments"][0]["content"];
        assert_eq!(card["type"], "AdaptiveCard");
        assert_eq!(card["body"][0]["text"], notice.title);
        let page = "https://sync.example/api/SyncHttp?format=html";
        let button = json!({"type": "Action.OpenUrl", "title": "Dashboard", "url": page});
        assert_eq!(card["actions"], json!([button]));
        let text = body["text"].as_str().unwrap();
        assert!(text.ends_with(&format!("\n<{page}|Dashboard>")), "{text}");
    }
}
