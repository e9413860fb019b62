//! Sends the report of a run by mail, through Microsoft Graph or over SMTP with TLS.
//!
//! The report names accounts, so it only goes to the recipients in the settings. A failure is a warning in the log. It
//! never fails a run, and never shows the address of a server, which contains a password.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    cli,
    domain::{
        address::SmtpAddress, figures::Figures, mailing::MailWhen, mode::Depth, report::Report,
    },
    engine::complete::Complete,
    exchange::Identity,
    graph::{self, GraphError},
    http::is_loopback,
    links::{Link, links},
    render::{html, words},
    settings::Secret,
};

/// A slow server must not delay an invocation.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Servers refuse much larger messages; base64 adds a third.
const SMTP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Microsoft Graph takes 4 MB, of which JSON adds a part.
const GRAPH_BYTES_MAX: usize = 3 * 1024 * 1024;

/// How mails are sent.
#[derive(Debug, Clone)]
pub enum Route {
    /// `smtps://user:password@host` (TLS from the start) or `smtp://…` (STARTTLS), percent-encoded.
    Smtp(Secret<Url>),
    /// Microsoft Graph at this address, with the identity of the app.
    Graph(Url),
}

/// The recipients of reports, and how to reach them.
#[derive(Debug, Clone)]
pub struct MailSettings {
    pub route: Route,
    pub from: SmtpAddress,
    /// Never empty.
    pub to: Vec<SmtpAddress>,
    pub when: MailWhen,
}

/// The mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error(
        "the report was not mailed: {0} cannot be used in a mail; check CLOUD_SYNC__MAIL_FROM and CLOUD_SYNC__MAIL_TO"
    )]
    Address(&'static str),
    #[error("the report was not mailed: the mail server answered {code}; {remedy}")]
    Refused { code: u16, remedy: &'static str },
    #[error(
        "the report was not mailed: {cause}; check host, port and scheme of CLOUD_SYNC__SMTP_URL (smtps: TLS from the start, smtp: STARTTLS)"
    )]
    Unreachable { cause: String },
    #[error(
        "the report was not mailed: the mail server took longer than {0:?}; check CLOUD_SYNC__SMTP_URL"
    )]
    Slow(Duration),
    #[error("the report was not mailed: {0}")]
    Graph(#[from] GraphError),
}

/// A report as a mail shows it.
struct Letter {
    subject: String,
    text: String,
    page: String,
}

/// Sends the report once, without retries. `last` is the last complete run (R28); `dashboard` is the address of the
/// dashboard.
pub async fn send(
    settings: &MailSettings,
    identity: &Identity,
    report: &Report,
    last: Option<&Complete>,
    dashboard: Option<&Url>,
) -> Result<(), MailError> {
    let letter = |bytes_max| letter(report, last, dashboard, bytes_max);
    match &settings.route {
        Route::Smtp(server) => {
            let message = message(settings, letter(SMTP_BYTES_MAX))?;
            let transport = transport(server.expose())?;
            match tokio::time::timeout(TIMEOUT, transport.send(message)).await {
                Ok(sent) => sent.map(drop).map_err(|error| failure(&error)),
                Err(_) => Err(MailError::Slow(TIMEOUT)),
            }
        }
        Route::Graph(url) => {
            let letter = letter(GRAPH_BYTES_MAX);
            let mail = graph::Mail {
                from: &settings.from,
                to: &settings.to,
                subject: &letter.subject,
                html: &letter.page,
            };
            Ok(graph::send_mail(identity, url, &mail).await?)
        }
    }
}

fn message(settings: &MailSettings, letter: Letter) -> Result<Message, MailError> {
    let mailbox = |address: &SmtpAddress, which| -> Result<Mailbox, MailError> {
        let address = address.as_str().parse();
        address.map_err(|_| MailError::Address(which))
    };
    let mut message = Message::builder()
        .from(mailbox(&settings.from, "the sender")?)
        .subject(letter.subject);
    for to in &settings.to {
        message = message.to(mailbox(to, "a receiver")?);
    }
    message
        .multipart(MultiPart::alternative_plain_html(letter.text, letter.page))
        .map_err(|_| MailError::Address("an address"))
}

fn letter(
    report: &Report,
    last: Option<&Complete>,
    dashboard: Option<&Url>,
    bytes_max: usize,
) -> Letter {
    let pages = dashboard.map_or_else(Vec::new, |dashboard| {
        let held = Figures::of(report).held;
        links(dashboard, Some(&report.id), &held)
    });
    let mut text = anstream::adapter::strip_str(&cli::terminal(report)).to_string();
    // If the report is about some accounts or about a failed run, the state of all accounts follows.
    let last = last.filter(|last| last.report.id != report.id);
    let last = last.map(|last| (&last.report, last.figures()));
    if let Some((_, figures)) = &last {
        text = format!("{text}\nFor all accounts, the {figures}.\n");
    }
    let mut page = html::report_after(
        report,
        last.as_ref().map(|(report, figures)| (*report, figures)),
        &pages,
    );
    if text.len() + page.len() > bytes_max {
        text = format!(
            "{}\n\nThe report is too long for a mail: see `cloud-sync runs {}`, or the dashboard.\n",
            report.summary_line(),
            report.id
        );
        page = html::Page {
            title: "Cloud Sync",
            ..html::Page::default()
        }
        .around(&maud::html! { p { (text) } (html::report::pages(&pages)) });
    }
    for Link { title, url } in &pages {
        text.extend(["\n", title, ": ", url]);
    }
    Letter {
        subject: subject(report),
        text,
        page,
    }
}

/// R28, R39: a scoped run and an undo do not describe the whole organisation, and the subject says so.
pub fn subject(report: &Report) -> String {
    let standing = words::standing_of(report.state, report.outcome);
    let held = match report.counts.held {
        0 => String::new(),
        held => format!(", {} held", words::number(held, "change", "changes")),
    };
    let scope = match &*report.accounts {
        _ if report.undoes.is_some() => ", an undo".to_owned(),
        [] if report.depth == Depth::Quick => ", a quick run".to_owned(),
        [] => String::new(),
        [account] => format!(", only for {account}"),
        accounts => format!(", only for {} accounts", accounts.len()),
    };
    let under = if report.is_hypothetical() {
        ", under other settings"
    } else {
        ""
    };
    format!("Cloud Sync: {standing}{held}{scope}{under} ({})", report.id)
}

/// TLS is optional for a server on this machine, and required for any other.
fn transport(server: &Url) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailError> {
    let host = server.host_str().unwrap_or_default();
    crate::http::set_up_tls();
    let tls = TlsParameters::new(host.to_owned()).map_err(|error| failure(&error))?;
    let (tls, port) = match server.scheme() {
        "smtps" => (Tls::Wrapper(tls), 465),
        _ if is_local(host) => (Tls::Opportunistic(tls), 25),
        _ => (Tls::Required(tls), 587),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(server.port().unwrap_or(port))
        .tls(tls)
        .timeout(Some(TIMEOUT));
    if let Some(password) = server.password() {
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        builder = builder.credentials(Credentials::new(
            decoded(server.username()),
            decoded(password),
        ));
    }
    Ok(builder.build())
}

/// Parses the host as that of an `http` URL: in other schemes an IPv4 address is parsed as a domain name.
fn is_local(host: &str) -> bool {
    Url::parse(&format!("http://{host}")).is_ok_and(|url| is_loopback(&url))
}

/// The text of the server is left out, since it repeats mail addresses.
fn failure(error: &smtp::Error) -> MailError {
    if let Some(code) = error.status() {
        let code = u16::from(code);
        let remedy = match code {
            530 | 534 | 535 | 538 => {
                "correct user and password in CLOUD_SYNC__SMTP_URL, percent-encoded"
            }
            550..=554 => {
                "let the server accept CLOUD_SYNC__MAIL_FROM as sender and CLOUD_SYNC__MAIL_TO as receivers"
            }
            _ => "the next run tries again; see the log of the mail server if it stays so",
        };
        return MailError::Refused { code, remedy };
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    MailError::Unreachable {
        cause: crate::http::one_line(&cause.to_string(), 200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        mode::{Mode, Trigger},
        report::{RunOutcome, RunState},
    };

    #[test]
    fn r28_r39_the_subject_says_of_whom_a_run_speaks() {
        let address = |text: &str| SmtpAddress::verbatim(text);
        let settings = MailSettings {
            route: Route::Smtp(Secret::new(Url::parse("smtps://mail.example").unwrap())),
            from: address("sync@corp.example"),
            to: vec![address("ops@corp.example")],
            when: MailWhen::EachRun,
        };
        let mut report = Report::begin("R1".into(), Mode::Preview, Trigger::Http, "t".into());
        report.state = RunState::Ended;
        report.outcome = RunOutcome::Failed;
        let subject = |report: &Report| {
            let letter = letter(report, None, None, SMTP_BYTES_MAX);
            let headers = message(&settings, letter).unwrap();
            headers.headers().get_raw("Subject").unwrap().to_owned()
        };
        assert_eq!(subject(&report), "Cloud Sync: failed (R1)");
        report.accounts = vec![address("nobody@corp.example")];
        assert_eq!(
            subject(&report),
            "Cloud Sync: failed, only for nobody@corp.example (R1)"
        );
        report.accounts.push(address("anna@corp.example"));
        assert_eq!(
            subject(&report),
            "Cloud Sync: failed, only for 2 accounts (R1)"
        );
        report.accounts.clear();
        report.depth = Depth::Quick;
        assert_eq!(subject(&report), "Cloud Sync: failed, a quick run (R1)");
        report.undoes = Some("R2".into());
        assert_eq!(subject(&report), "Cloud Sync: failed, an undo (R1)");
    }

    /// The last complete run supplies the figures that a failed run, or a run for one account, does not have.
    #[test]
    fn r28_a_mail_has_the_figures_of_the_last_complete_run() {
        let address = |text: &str| SmtpAddress::verbatim(text);
        let settings = MailSettings {
            route: Route::Smtp(Secret::new(Url::parse("smtps://mail.example").unwrap())),
            from: address("sync@corp.example"),
            to: vec![address("ops@corp.example")],
            when: MailWhen::EachRun,
        };
        let begin = |id: &str| {
            let mut report = Report::begin(id.into(), Mode::Apply, Trigger::Timer, "t".into());
            report.state = RunState::Ended;
            report
        };
        let mut failed = begin("R2");
        failed.outcome = RunOutcome::Failed;
        let mut complete = begin("R1");
        complete.outcome = RunOutcome::InSync;
        complete.source.in_scope = 4321;
        complete.ended = Some("2026-11-23T02:00:07Z".into());
        let last = Complete {
            report: complete.clone(),
            quick: None,
            since: Vec::new(),
        };
        let text = |report: &Report| {
            let letter = letter(report, Some(&last), None, SMTP_BYTES_MAX);
            let message = message(&settings, letter).unwrap();
            String::from_utf8(message.formatted())
                .unwrap()
                .replace("=\r\n", "")
        };
        let mail = text(&failed);
        assert!(
            mail.contains("For all accounts, the last complete run ended at 2026-11-23T02:00:07Z"),
            "{mail}"
        );
        assert!(mail.contains("4321 mailboxes"), "{mail}");
        assert!(!text(&complete).contains("For all accounts, the last complete run"));
    }
}
