//! The report of each run by mail, over SMTP with TLS.
//!
//! The report names accounts, so it goes to those only whom the settings name. What goes wrong is a warning in the log: it
//! never fails a run, and never shows the address of the server, which holds a password.

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
    domain::{address::SmtpAddress, report::Report},
    http::is_loopback,
    render::{html, words},
    settings::Secret,
};

/// A server that is slow must not keep an invocation.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Servers refuse what is much longer; base64 adds a third.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Who hears of runs, through which server.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// `smtps://user:password@host` (TLS from the start) or `smtp://…` (STARTTLS), percent-encoded.
    pub server: Secret<Url>,
    pub from: SmtpAddress,
    /// Never empty.
    pub to: Vec<SmtpAddress>,
}

/// Nobody was told.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error(
        "the report was not mailed: {0} cannot be used in a mail; check CLOUD_SYNC__SMTP_FROM and CLOUD_SYNC__SMTP_TO"
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
}

/// Sends the report, once.
pub async fn send(settings: &MailSettings, report: &Report) -> Result<(), MailError> {
    let message = message(settings, report)?;
    let transport = transport(settings.server.expose())?;
    match tokio::time::timeout(TIMEOUT, transport.send(message)).await {
        Ok(sent) => sent.map(drop).map_err(|error| failure(&error)),
        Err(_) => Err(MailError::Slow(TIMEOUT)),
    }
}

fn message(settings: &MailSettings, report: &Report) -> Result<Message, MailError> {
    let mailbox = |address: &SmtpAddress, which| -> Result<Mailbox, MailError> {
        let address = address.as_str().parse();
        address.map_err(|_| MailError::Address(which))
    };
    let mut message = Message::builder()
        .from(mailbox(&settings.from, "the sender")?)
        .subject(subject(report));
    for to in &settings.to {
        message = message.to(mailbox(to, "a receiver")?);
    }
    let mut text = anstream::adapter::strip_str(&cli::terminal(report)).to_string();
    let mut page = html::report(report);
    if text.len() + page.len() > PAGE_BYTES_MAX {
        text = format!(
            "{}\n\nThe report is too long for a mail: see `cloud-sync runs {}`, or the dashboard.\n",
            report.summary_line(),
            report.id
        );
        page = html::Page {
            title: "Cloud Sync",
            ..html::Page::default()
        }
        .around(&maud::html! { p { (text) } });
    }
    message
        .multipart(MultiPart::alternative_plain_html(text, page))
        .map_err(|_| MailError::Address("an address"))
}

/// A run for some accounts only, or an undo, says so.
pub fn subject(report: &Report) -> String {
    let what = match (&report.undoes, report.accounts.len()) {
        (None, 0) => String::new(),
        (undoes, accounts) => words::what(report.mode, undoes.is_some(), accounts) + " ",
    };
    let standing = words::standing_of(report.state, report.outcome);
    let held = match report.counts.held {
        0 => String::new(),
        held => format!(", {held} held"),
    };
    format!("Cloud Sync: {what}{standing}{held} ({})", report.id)
}

/// On this machine TLS is used where the server offers it, anywhere else always.
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

/// In a URL of this scheme, even numbers are a name.
fn is_local(host: &str) -> bool {
    Url::parse(&format!("http://{host}")).is_ok_and(|url| is_loopback(&url))
}

/// Texts of the server are not shown, since they repeat addresses.
fn failure(error: &smtp::Error) -> MailError {
    if let Some(code) = error.status() {
        let code = u16::from(code);
        let remedy = match code {
            530 | 534 | 535 | 538 => {
                "correct user and password in CLOUD_SYNC__SMTP_URL, percent-encoded"
            }
            550..=554 => {
                "let the server accept CLOUD_SYNC__SMTP_FROM as sender and CLOUD_SYNC__SMTP_TO as receivers"
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
