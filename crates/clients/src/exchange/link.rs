//! The rule for links and redirects: which URLs may receive the access token (`docs/specs/exchange-online.md`, "1.1
//! Base URL").

use url::Url;

use crate::http::is_loopback;

/// Regional hosts of the worldwide service.
const WORLDWIDE: [&str; 3] = [
    ".outlook.office365.com",
    ".outlook.office.com",
    ".outlook.com",
];

/// The internal port that some back-ends put into links; from outside it is 443.
const BACK_END_PORT: u16 = 446;

/// Resolves `link`, found at `from`, or says why it must not be followed.
pub(super) fn check(base: &Url, from: &Url, link: &str) -> Result<Url, String> {
    let mut url = from
        .join(link.trim())
        .map_err(|_| "a link that is not an address".to_owned())?;
    if is_loopback(base) {
        if url.port() == Some(BACK_END_PORT) && url.host() == base.host() {
            let _ = url.set_port(base.port());
        }
        return if url.origin() == base.origin() {
            Ok(url)
        } else {
            Err(format!("a link to another place, {}", place(&url)))
        };
    }
    if url.port() == Some(BACK_END_PORT) {
        let _ = url.set_port(None);
    }
    let plain = url.scheme() == "https"
        && (url.port().is_none() || url.port() == base.port())
        && url.username().is_empty()
        && url.password().is_none();
    if plain && url.host_str().is_some_and(|host| of_service(base, host)) {
        Ok(url)
    } else {
        Err(format!("a link to another place, {}", place(&url)))
    }
}

fn of_service(base: &Url, host: &str) -> bool {
    let own = base.host_str().unwrap_or_default();
    let suffix = format!(".{own}");
    let worldwide = WORLDWIDE.iter().any(|known| suffix.ends_with(known));
    host == own
        || host.ends_with(&suffix)
        || worldwide && WORLDWIDE.iter().any(|known| host.ends_with(known))
}

fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("without host");
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{}://{host}{port}", url.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_service_itself_is_followed() {
        let world = "https://outlook.office365.com";
        for (base, link, expected) in [
            (
                world,
                "https://outlook.office365.com/a?b=c",
                Some("https://outlook.office365.com/a?b=c"),
            ),
            (
                world,
                "https://outlook.office365.com:446/a",
                Some("https://outlook.office365.com/a"),
            ),
            (
                world,
                "https://eur01.outlook.office.com/a",
                Some("https://eur01.outlook.office.com/a"),
            ),
            (
                world,
                "/relative",
                Some("https://outlook.office365.com/relative"),
            ),
            (world, "http://outlook.office365.com/a", None),
            (world, "https://outlook.office365.com:8443/a", None),
            (world, "https://evil.example/a", None),
            (world, "https://outlook.office365.com.evil.example/a", None),
            (world, "https://eviloutlook.com/a", None),
            (world, "https://user@outlook.office365.com/a", None),
            (world, "https://", None),
            (
                "https://outlook.office365.us",
                "https://x.outlook.office365.us/",
                Some("https://x.outlook.office365.us/"),
            ),
            (
                "https://outlook.office365.us",
                "https://x.outlook.office365.com/",
                None,
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/a",
                Some("http://127.0.0.1:8080/a"),
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081/a", None),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:446/a",
                Some("http://127.0.0.1:8080/a"),
            ),
            ("http://127.0.0.1:8080", "https://127.0.0.1:446/a", None),
            ("http://127.0.0.1:8080", "http://127.0.0.2:446/a", None),
            (
                "http://127.0.0.1:8080",
                "https://outlook.office365.com/a",
                None,
            ),
        ] {
            let base: Url = base.parse().unwrap();
            let checked = check(&base, &base, link);
            assert_eq!(checked.as_ref().ok().map(Url::as_str), expected, "{link}");
        }
    }
}
