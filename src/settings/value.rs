//! Parsers from the text of a variable to its value. They are pure, and an error never contains what could be a secret.

use std::{collections::BTreeSet, fmt::Display, str::FromStr, time::Duration};

use url::{Host, Url};

use domain::{
    actor::Role,
    address::{SmtpAddress, ascii_domain},
    ids::ObjectId,
    mailing::MailWhen,
};

use super::{ClaimedDomains, Limit, LogLevel, PerformSync, Rate, Secret, SsoAccountKey, Strategy};

/// What is wrong with a value, and how to correct it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) wrong: String,
    pub(super) remedy: String,
}

pub(super) type Parsed<T> = Result<T, Fault>;

pub(super) fn fault(wrong: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault {
        wrong: wrong.into(),
        remedy: remedy.into(),
    }
}

/// Whether the text is a Key Vault reference. The platform leaves it in the variable if it could not read the secret
/// (`docs/specs/functions-host.md`, "10.1 Key Vault references").
pub(super) fn is_unresolved_reference(text: &str) -> bool {
    let unquoted = text.trim_start_matches(|c: char| c == '"' || c == '\'' || c.is_whitespace());
    unquoted
        .get(..20)
        .is_some_and(|start| start.eq_ignore_ascii_case("@Microsoft.KeyVault("))
}

/// A secret that is sent as a header: trimmed, with only the characters that a header may contain.
pub(super) fn header_secret(text: &str) -> Parsed<Secret> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(text.to_owned()));
    }
    Err(fault(
        "contains white space or characters that cannot be sent in a header",
        "copy the secret again, on one line and without anything around it",
    ))
}

/// Like [`header_secret`], without a leading `Bearer`, which is often copied too.
pub(super) fn bearer_token(text: &str) -> Parsed<Secret> {
    let text = text.trim();
    let bare = match text.get(..7) {
        Some(start) if start.eq_ignore_ascii_case("bearer ") => &text[7..],
        _ => text,
    };
    header_secret(bare)
}

/// The base URL of a service: https, or http on loopback, so that no secret is sent unencrypted. A trailing slash is
/// removed.
pub(super) fn service_url(text: &str) -> Parsed<Url> {
    let mut url = secure_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault(
            "has a query or a fragment",
            "leave out everything from `?` or `#` on",
        ));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The origin of a service whose paths are known. A path is refused, since it would be ignored.
pub(super) fn origin(text: &str) -> Parsed<Url> {
    let url = service_url(text)?;
    if url.path() != "/" {
        let remedy = format!(
            "leave out the path: `{}`",
            url.origin().ascii_serialization()
        );
        return Err(fault("has a path", remedy));
    }
    Ok(url)
}

/// A webhook, which is secret: the address usually contains a key in the path or query.
pub(super) fn webhook(text: &str) -> Parsed<Secret<Url>> {
    secure_url(text).map(Secret::new)
}

/// Errors do not contain the text, which usually contains a password.
pub(super) fn mail_server(text: &str) -> Parsed<Secret<Url>> {
    let remedy = "write `smtps://user:password@host:465` or `smtp://user:password@host:587`, user and password percent-encoded";
    let url = Url::parse(unquoted(text))
        .map_err(|error| fault(format!("is not a URL ({error})"), remedy))?;
    if !matches!(url.scheme(), "smtp" | "smtps") || url.host_str().is_none_or(str::is_empty) {
        return Err(fault("does not name a mail server", remedy));
    }
    if url.username().is_empty() != url.password().is_none() {
        return Err(fault("has a user without password, or the reverse", remedy));
    }
    Ok(Secret::new(url))
}

pub(super) fn mail_address(text: &str) -> Parsed<SmtpAddress> {
    SmtpAddress::parse(unquoted(text))
        .map_err(|error| fault(error.to_string(), "write one address, `sync@corp.example`"))
}

pub(super) fn mail_addresses(text: &str) -> Parsed<Vec<SmtpAddress>> {
    list(text)?.iter().map(|text| mail_address(text)).collect()
}

/// Errors do not contain the text, which may contain credentials.
fn secure_url(text: &str) -> Parsed<Url> {
    let url = Url::parse(unquoted(text)).map_err(|error| {
        fault(
            format!("is not a URL ({error})"),
            "write a whole URL, `https://host/path`",
        )
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault(
            "holds a user name or password",
            "leave out everything between `https://` and the host",
        ));
    }
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(fault(
            "uses http",
            "use https; http is only for addresses on this machine (localhost, 127.0.0.1, [::1])",
        )),
        _ => Err(fault(
            "is neither https nor http on this machine",
            "write a whole URL, `https://host/path`",
        )),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Comma-separated or a JSON array of strings. Quotes around entries are removed, and blank entries are ignored.
pub(super) fn list(text: &str) -> Parsed<Vec<String>> {
    let text = text.trim();
    let inner = unquoted(text);
    let entries = if inner.starts_with('[') {
        serde_json::from_str::<Vec<String>>(inner).map_err(|_| {
            fault(
                "starts with `[` but is not a JSON array of strings",
                "write `[\"a\", \"b\"]`, or simply `a, b`",
            )
        })?
    } else if text.contains(';') {
        let entries: Vec<&str> = inner.split(';').map(str::trim).collect();
        return Err(fault(
            format!("has `;` after {}", shown(entries[0])),
            "separate the entries with commas (`a, b`), or write an entry that has a `;` in JSON (`[\"a;b\"]`)",
        ));
    } else {
        text.split([',', '\n', '\r']).map(str::to_owned).collect()
    };
    Ok(entries
        .iter()
        .map(|entry| unquoted(entry.trim_matches(|c: char| c.is_whitespace() || c == '"')))
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect())
}

/// R13: at least one domain, each valid, in lower case.
pub(super) fn domains(text: &str) -> Parsed<ClaimedDomains> {
    const REMEDY: &str = "list whole domains without `@`, `*` or a path: `corp.example, corp.test`";
    let domains: BTreeSet<String> = list(text)?.iter().map(|d| d.to_lowercase()).collect();
    if domains.is_empty() {
        return Err(fault("names no domain", REMEDY));
    }
    let bad = domains.iter().filter(|domain| !is_domain(domain));
    match refused(bad, "is not a domain", "are not domains") {
        Some(wrong) => Err(fault(wrong, REMEDY)),
        None => Ok(ClaimedDomains::new(domains)),
    }
}

/// R14: a name is refused, since Exchange would look it up, but it is not unique, and another group can get it.
pub(super) fn groups(text: &str) -> Parsed<BTreeSet<String>> {
    const REMEDY: &str = "write the address or the object id of the group, as the Exchange admin center shows it; another group can get \
                          its name";
    let groups = BTreeSet::from_iter(list(text)?);
    let is_name =
        |group: &&String| ObjectId::parse(group).is_none() && SmtpAddress::parse(group).is_err();
    let names = groups.iter().filter(is_name);
    match refused(
        names,
        "is neither an object id nor an address",
        "are neither object ids nor addresses",
    ) {
        Some(wrong) => Err(fault(wrong, REMEDY)),
        None => Ok(groups),
    }
}

/// `"a", "b" are not domains`; `None` if there are no entries.
fn refused<'a>(
    entries: impl Iterator<Item = &'a String>,
    one: &str,
    several: &str,
) -> Option<String> {
    let entries: Vec<String> = entries.map(|text| shown(text)).collect();
    let what = match entries.len() {
        0 => return None,
        1 => one,
        _ => several,
    };
    Some(format!("{} {what}", entries.join(", ")))
}

/// Letters of any script, digits and inner hyphens in at least two labels (RFC 1123 section 2.1, RFC 5890).
fn is_domain(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let ascii = ascii_domain(text);
    labels.len() > 1
        && ascii.is_ascii()
        && ascii.len() <= 253
        && labels.iter().all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
        && !labels
            .iter()
            .all(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

pub(super) fn perform_sync(text: &str) -> Parsed<PerformSync> {
    match unquoted(text).to_ascii_lowercase().as_str() {
        "false" | "0" => Ok(PerformSync::Never),
        "on-demand" => Ok(PerformSync::OnDemand),
        "true" | "1" => Ok(PerformSync::Always),
        _ => Err(not_one_of(text, "`false`, `on-demand` or `true`")),
    }
}

pub(super) fn role(text: &str) -> Parsed<Role> {
    let role = Role::named(unquoted(text));
    role.ok_or_else(|| not_one_of(text, "`reader`, `operator` or `approver`"))
}

pub(super) fn mail_when(text: &str) -> Parsed<MailWhen> {
    match unquoted(text).to_ascii_lowercase().as_str() {
        "each-run" => Ok(MailWhen::EachRun),
        "changes" => Ok(MailWhen::Changes),
        "attention" => Ok(MailWhen::Attention),
        _ => Err(not_one_of(text, "`each-run`, `changes` or `attention`")),
    }
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match unquoted(text).to_ascii_lowercase().as_str() {
        "false" | "0" => Ok(false),
        "true" | "1" => Ok(true),
        _ => Err(not_one_of(text, "`false` or `true`")),
    }
}

pub(super) fn sso_account_key(text: &str) -> Parsed<SsoAccountKey> {
    match unquoted(text).to_ascii_lowercase().as_str() {
        "object_id" => Ok(SsoAccountKey::ObjectId),
        "user_principal_name" => Ok(SsoAccountKey::UserPrincipalName),
        "primary_address" => Ok(SsoAccountKey::PrimaryAddress),
        "omit" => Ok(SsoAccountKey::Omit),
        _ => Err(not_one_of(
            text,
            "`object_id`, `user_principal_name`, `primary_address` or `omit`",
        )),
    }
}

pub(super) fn exo_permissions(text: &str) -> Parsed<Strategy> {
    match unquoted(text).to_ascii_lowercase().as_str() {
        "get" => Ok(Strategy::Get),
        "batch" => Ok(Strategy::Batch),
        _ => Err(not_one_of(text, "`get` or `batch`")),
    }
}

pub(super) fn log_level(text: &str) -> Parsed<LogLevel> {
    match unquoted(text).to_ascii_lowercase().as_str() {
        "error" => Ok(LogLevel::Error),
        "warn" | "warning" => Ok(LogLevel::Warn),
        "info" | "information" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => Err(not_one_of(
            text,
            "`error`, `warn`, `info`, `debug` or `trace`",
        )),
    }
}

pub(super) fn limit(text: &str) -> Parsed<Limit> {
    let lower = unquoted(text).to_ascii_lowercase();
    lower.parse().map_err(|_| {
        not_one_of(
            text,
            "a count `25`, a percentage `5%`, both `5%,min 5`, or `100%` for no limit",
        )
    })
}

/// A share of the whole, as `0.5` or `50%`.
pub(super) fn ratio(text: &str) -> Parsed<f64> {
    let text = unquoted(text);
    let (number, divisor) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    match number.parse::<f64>().map(|number| number / divisor) {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err(not_one_of(text, "a number from 0 to 1, such as `0.5`")),
    }
}

/// A whole number within `min..=max`.
pub(super) fn number<N>(text: &str, min: N, max: N) -> Parsed<N>
where
    N: Copy + FromStr + PartialOrd + Display,
{
    match unquoted(text).parse::<N>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(not_one_of(
            text,
            &format!("a whole number from {min} to {max}"),
        )),
    }
}

/// `9m`, `90s`, `1h30m`: from one second to one day.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    const DAY_S: u64 = 86_400;
    match seconds(unquoted(text)) {
        Some(total) if (1..=DAY_S).contains(&total) => Ok(Duration::from_secs(total)),
        _ => Err(not_one_of(
            text,
            "a duration with units, from `1s` to `24h`, such as `9m`, `90s` or `1h30m`",
        )),
    }
}

/// Up to a week. The limit is low because delegations change in full runs only.
pub(super) fn long_duration(text: &str) -> Parsed<Duration> {
    const WEEK_S: u64 = 7 * 86_400;
    match seconds(unquoted(text)) {
        Some(total) if (1..=WEEK_S).contains(&total) => Ok(Duration::from_secs(total)),
        _ => Err(not_one_of(
            text,
            "a duration with units, from `1s` to `168h`, such as `20h` or `90m`",
        )),
    }
}

/// From 4 s to 10 min: blob storage has times in whole seconds, so a shorter lease would expire during an ordinary delay.
pub(super) fn lease(text: &str) -> Parsed<Duration> {
    match seconds(unquoted(text)) {
        Some(total) if (4..=600).contains(&total) => Ok(Duration::from_secs(total)),
        _ => Err(not_one_of(
            text,
            "a duration with units, from `4s` to `10m`, such as `60s`",
        )),
    }
}

/// `400d`: whole days, up to ten years.
pub(super) fn days(text: &str) -> Parsed<Duration> {
    const DAY_S: u64 = 86_400;
    let days = unquoted(text).trim().strip_suffix(['d', 'D']);
    match days.and_then(|days| days.trim_end().parse::<u64>().ok()) {
        Some(days) if (1..=3650).contains(&days) => Ok(Duration::from_secs(days * DAY_S)),
        _ => Err(not_one_of(text, "days, from `1d` to `3650d`")),
    }
}

fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text.trim();
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let unit = match rest.chars().next()?.to_ascii_lowercase() {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        // Each unit once, the larger first: `5s5s` or `90s1h` is probably a mistake.
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        rest = rest[1..].trim_start();
        total = total.checked_add(amount.checked_mul(unit)?)?;
    }
    (last_unit != u64::MAX).then_some(total)
}

/// `50/10s` or `unlimited` (R30).
pub(super) fn rate(text: &str) -> Parsed<Rate> {
    let plain = unquoted(text);
    if plain.eq_ignore_ascii_case("unlimited") {
        return Ok(Rate::Unlimited);
    }
    let parsed = plain.split_once('/').and_then(|(calls, window)| {
        let calls = calls.trim().parse().ok().filter(|calls| *calls > 0)?;
        let window = duration(window).ok()?;
        Some(Rate::Budget { calls, window })
    });
    parsed.ok_or_else(|| not_one_of(text, "calls per time, such as `50/10s`, or `unlimited`"))
}

pub(super) fn client_id(text: &str) -> Parsed<String> {
    uuid::Uuid::try_parse(unquoted(text))
        .map(|id| id.to_string())
        .map_err(|_| not_one_of(text, "the client id (a GUID) of a user-assigned identity"))
}

/// Removes white space and one pair of quotes around the text, which editors and shells may leave.
pub(super) fn unquoted(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner.trim();
        }
    }
    text
}

fn not_one_of(text: &str, forms: &str) -> Fault {
    fault(
        format!("{} is not understood", shown(text)),
        format!("write {forms}"),
    )
}

/// A short value to recognise it by. A longer one could be a key in the wrong variable, so it is not shown.
fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 24;
    let text = text.trim();
    if text.chars().count() <= SHOWN_CHARS {
        format!("{text:?}")
    } else {
        "the value".to_owned()
    }
}

#[cfg(test)]
mod tests;
