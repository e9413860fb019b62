//! The API key.

use std::fmt;

use reqwest::header::HeaderValue;

/// The key as a value of the header `Authorization`. `Debug` does not show it.
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "ZIVVER_API_KEY is empty or holds characters that no key has: copy it again, without quotes or line breaks"
)]
pub struct ApiKeyError;

const SCHEME: &str = "Bearer ";

impl ApiKey {
    /// Whitespace around a pasted key is a known cause of 401 (`docs/specs/zivver-scim.md`, "1. Connection and
    /// authentication").
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiKeyError);
        }
        let mut header =
            HeaderValue::from_str(&format!("{SCHEME}{text}")).map_err(|_| ApiKeyError)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    pub(super) fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Removes the key from `text`, in case a server returns it.
    pub(super) fn redact(&self, text: &str) -> String {
        let key = self.0.to_str().unwrap_or_default();
        match key.strip_prefix(SCHEME) {
            Some(key) if !key.is_empty() => text.replace(key, "…"),
            Some(_) | None => text.to_owned(),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_trimmed_and_hidden() {
        let key = ApiKey::parse(" Z1.1.2.c3ludGhldGlj\r\n").unwrap();
        assert_eq!(key.authorization(), "Bearer Z1.1.2.c3ludGhldGlj");
        assert_eq!(key.redact("no Z1.1.2.c3ludGhldGlj here"), "no … here");
        let shown = format!("{key:?} {:?}", key.authorization());
        assert!(!shown.contains("c3lud"), "{shown}");
        for text in ["", "  ", "a b", "clé", "a\nb"] {
            assert_eq!(ApiKey::parse(text).err(), Some(ApiKeyError), "{text:?}");
        }
    }
}
