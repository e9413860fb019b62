//! The open questions of `docs/specs/exchange-online.md`, "9. Probes", as far as reading answers them. Each request is
//! sent once: what the service makes of it is the answer, whatever it is.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Call, ExchangeClient, ExchangeError, MailboxKey};
use domain::{probe::AnswerSheet, source::MailboxRecord};

const TIMEOUT: Duration = Duration::from_secs(60);

/// As many mailboxes as one batch takes.
const SAMPLE: usize = 10;

/// What came back.
struct Seen {
    status: u16,
    body: Value,
    headers: reqwest::header::HeaderMap,
    took: Duration,
}

impl Seen {
    fn rows(&self) -> &[Value] {
        self.body["value"].as_array().map_or(&[], Vec::as_slice)
    }

    fn link(&self) -> Option<&str> {
        self.body["@odata.nextLink"].as_str()
    }

    /// The status, and in which form the cause is told.
    fn shape(&self) -> String {
        let error = &self.body["error"];
        let detail = error["details"][0]["message"].as_str().unwrap_or_default();
        let form = if error["innererror"]["internalexception"].is_object() {
            "an inner exception"
        } else if detail.starts_with('{') {
            "JSON in a string"
        } else if detail.contains('|') {
            "text between pipes"
        } else if error.is_object() {
            "an OData error"
        } else if self.body.is_null() {
            "no JSON"
        } else {
            "no error"
        };
        format!("{} with {form}", self.status)
    }
}

impl ExchangeClient {
    /// Asks all questions and returns a sample of mailboxes for further ones. Fails only where sign-in or the mailbox list
    /// fails.
    pub async fn probe(&self) -> Result<(AnswerSheet, Vec<MailboxKey>), ExchangeError> {
        let mut sheet = AnswerSheet {
            version: env!("CARGO_PKG_VERSION"),
            ..AnswerSheet::default()
        };
        let mailboxes = self.mailboxes(|_| ()).await?.mailboxes;
        let keys: Vec<MailboxKey> = mailboxes.iter().filter_map(MailboxKey::of).collect();
        let sample: Vec<MailboxKey> = keys.iter().take(SAMPLE).cloned().collect();
        self.descriptor(&mut sheet).await?;
        self.paging(&mut sheet).await?;
        self.batches(&mut sheet, &sample).await?;
        let warned = self.token().await?.warning.is_some();
        let grants = if warned {
            "no Entra role is in the token, and the list was read: a role group is enough"
        } else {
            "an Entra role is in the token, so this tenant cannot tell"
        };
        sheet.say(
            "exchange 5",
            "Is a role group without Entra role enough?",
            grants,
        );
        self.keys_of_kinds(&mut sheet, &mailboxes).await?;
        self.load(&mut sheet, &sample).await?;
        self.errors(&mut sheet).await?;
        for (probe, question) in [
            ("exchange 3", "How long does a link live?"),
            (
                "exchange 6",
                "How do renamed groups, deleted users and Deny entries look?",
            ),
            (
                "exchange 10",
                "Does a permission change move WhenChangedUTC?",
            ),
        ] {
            sheet.say(
                probe,
                question,
                "not run: it needs a prepared object or a long wait",
            );
        }
        Ok((sheet, sample))
    }

    async fn once(
        &self,
        method: Method,
        rest: &str,
        body: Option<Value>,
    ) -> Result<Seen, ExchangeError> {
        let url = self.service.address(rest).await?;
        let call = Call {
            kind: "probe",
            operation: "probe".to_owned(),
            method,
            url,
            body: body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
            // Pages of one row show how pages follow each other.
            prefer: if rest.contains("$top") {
                "odata.maxpagesize=1000"
            } else {
                "odata.maxpagesize=1"
            },
            timeout: TIMEOUT,
            comparable: false,
        };
        self.send_once(&call).await
    }

    async fn send_once(&self, call: &Call) -> Result<Seen, ExchangeError> {
        let started = Instant::now();
        let reply = self.service.send_once(call).await?;
        Ok(Seen {
            status: reply.status.as_u16(),
            body: serde_json::from_slice(&reply.body).unwrap_or(Value::Null),
            headers: reply.headers,
            took: started.elapsed(),
        })
    }

    async fn descriptor(&self, sheet: &mut AnswerSheet) -> Result<(), ExchangeError> {
        let rest = "Mailbox?$select=UserPrincipalName,ExoExchangeSecurityDescriptor&$top=2";
        let seen = self.once(Method::GET, rest, None).await?;
        let rows = seen.rows().iter();
        let with = rows
            .filter(|row| row["ExoExchangeSecurityDescriptor"].is_object())
            .count();
        let answer = format!(
            "{}; {with} of {} rows have one",
            seen.status,
            seen.rows().len()
        );
        sheet.say(
            "exchange 2",
            "Does the list give security descriptors?",
            answer,
        );
        Ok(())
    }

    async fn paging(&self, sheet: &mut AnswerSheet) -> Result<(), ExchangeError> {
        let first = self
            .once(Method::GET, "Mailbox?$select=UserPrincipalName", None)
            .await?;
        let answer = match first.link() {
            Some(link) => format!(
                "a link; going on by GET: {}",
                self.follow(Method::GET, link, None).await?
            ),
            None => format!(
                "{} without link after {} rows",
                first.status,
                first.rows().len()
            ),
        };
        sheet.say(
            "exchange 3",
            "Does the list page, and how does it go on?",
            answer,
        );
        let body =
            json!({"CmdletInput": {"CmdletName": "Get-Mailbox", "Parameters": {"ResultSize": 2}}});
        let first = self
            .once(
                Method::POST,
                "InvokeCommand?$select=Guid",
                Some(body.clone()),
            )
            .await?;
        let answer = match first.link() {
            Some(link) => {
                let post = self.follow(Method::POST, link, Some(body)).await?;
                let get = self.follow(Method::GET, link, None).await?;
                format!("a link; going on by POST: {post}; by GET: {get}")
            }
            None => format!(
                "{} without link after {} rows",
                first.status,
                first.rows().len()
            ),
        };
        sheet.say(
            "exchange 3",
            "Does InvokeCommand page, and how does it go on?",
            answer,
        );
        Ok(())
    }

    /// Only where the link leads to the very place that we asked.
    async fn follow(
        &self,
        method: Method,
        link: &str,
        body: Option<Value>,
    ) -> Result<String, ExchangeError> {
        let here = self.service.address("").await?;
        let Some(url) = url::Url::parse(link)
            .ok()
            .filter(|url| url.origin() == here.origin())
        else {
            return Ok("not tried, since the link leads elsewhere".to_owned());
        };
        let call = Call {
            kind: "probe",
            operation: "probe".to_owned(),
            method,
            url,
            body: body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
            prefer: "odata.maxpagesize=1",
            timeout: TIMEOUT,
            comparable: false,
        };
        Ok(self.send_once(&call).await?.shape())
    }

    async fn batches(
        &self,
        sheet: &mut AnswerSheet,
        sample: &[MailboxKey],
    ) -> Result<(), ExchangeError> {
        let paths: Vec<String> = sample.iter().map(MailboxKey::path).collect();
        let Some(first) = paths.first() else {
            return Ok(());
        };
        let single = self.once(Method::GET, first, None).await?;
        for (question, size) in [("Does $batch take 10?", 10), ("Does $batch take 11?", 11)] {
            let mut requests = Vec::new();
            for (id, path) in paths.iter().cycle().take(size).enumerate() {
                let url = self.service.address(path).await?;
                requests.push(json!({"id": id.to_string(), "method": "GET", "url": url.as_str()}));
            }
            let seen = self
                .once(Method::POST, "$batch", Some(json!({"requests": requests})))
                .await?;
            let answers = seen.body["responses"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            let good = answers.iter().filter(|one| one["status"] == 200).count();
            let answer = format!(
                "{}; {good} of {size} good; {} ms against {} ms for one",
                seen.status,
                seen.took.as_millis(),
                single.took.as_millis()
            );
            sheet.say("exchange 4", question, answer);
        }
        Ok(())
    }

    async fn keys_of_kinds(
        &self,
        sheet: &mut AnswerSheet,
        mailboxes: &[MailboxRecord],
    ) -> Result<(), ExchangeError> {
        let mut answers = Vec::new();
        for kind in [
            "UserMailbox",
            "SharedMailbox",
            "RoomMailbox",
            "DiscoveryMailbox",
        ] {
            let one = mailboxes
                .iter()
                .find(|one| one.recipient_type_details.as_deref() == Some(kind));
            let Some(key) = one.and_then(MailboxKey::of) else {
                answers.push(format!("{kind}: none"));
                continue;
            };
            let seen = self.once(Method::GET, &key.path(), None).await?;
            let has_self = seen.body.to_string().contains("SELF");
            answers.push(format!(
                "{kind}: {}, {} SELF",
                seen.status,
                if has_self { "with" } else { "without" }
            ));
        }
        sheet.say(
            "exchange 7",
            "Are permissions read by object id for each kind?",
            answers.join("; "),
        );
        Ok(())
    }

    async fn load(
        &self,
        sheet: &mut AnswerSheet,
        sample: &[MailboxKey],
    ) -> Result<(), ExchangeError> {
        let Some(path) = sample.first().map(MailboxKey::path) else {
            return Ok(());
        };
        let one = self.once(Method::GET, &path, None).await?;
        let headers = if one.headers.contains_key("rate-limit-limit") {
            "present"
        } else {
            "absent"
        };
        sheet.say("exchange 8", "Are there Rate-Limit headers?", headers);
        for (question, size) in [
            ("How many of 20 reads at once are refused?", 20),
            ("How many of 50 reads at once are refused?", 50),
        ] {
            let all = join_all((0..size).map(|_| self.once(Method::GET, &path, None))).await;
            let refused: Vec<String> = all
                .iter()
                .filter_map(|seen| match seen {
                    Ok(seen) if seen.status == 200 => None,
                    Ok(seen) => Some(seen.shape()),
                    Err(_) => Some("no answer".to_owned()),
                })
                .collect();
            let first = refused
                .first()
                .map_or(String::new(), |first| format!("; the first: {first}"));
            sheet.say("exchange 8", question, format!("{}{first}", refused.len()));
            if size == 20 && !refused.is_empty() {
                sheet.speaks_for("EXO_CONCURRENCY below 16");
            }
        }
        Ok(())
    }

    async fn errors(&self, sheet: &mut AnswerSheet) -> Result<(), ExchangeError> {
        let nobody = "Mailbox('AAAA')/MailboxPermission?isEncoded=true";
        let seen = self.once(Method::GET, nobody, None).await?;
        sheet.say(
            "exchange 9",
            "What is answered about an unknown mailbox?",
            seen.shape(),
        );
        for (question, name, parameters) in [
            (
                "What is answered to an unknown cmdlet?",
                "Get-NothingOfTheKind",
                json!({}),
            ),
            (
                "What is answered without identity?",
                "Get-MailboxPermission",
                json!({}),
            ),
            (
                "What is answered to an empty identity?",
                "Get-DistributionGroupMember",
                json!({"Identity": "", "ResultSize": 1}),
            ),
            (
                "Are unresolved permissions a parameter?",
                "Get-MailboxPermission",
                json!({"Identity": "nobody@invalid.invalid", "IncludeUnresolvedPermissions": true}),
            ),
        ] {
            let body = json!({"CmdletInput": {"CmdletName": name, "Parameters": parameters}});
            let seen = self.once(Method::POST, "InvokeCommand", Some(body)).await?;
            let probe = if name == "Get-MailboxPermission" && seen.status != 400 {
                "exchange 6"
            } else {
                "exchange 9"
            };
            sheet.say(probe, question, seen.shape());
        }
        Ok(())
    }
}
