//! Addresses and ids.

use cloud_sync::{
    domain::{address::SmtpAddress, ids::ObjectId, scope::ClaimedDomains},
    functions::Message,
    state::RunId,
};

/// The canonical form of a canonical form is equal to it.
pub(super) fn text(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let verbatim = SmtpAddress::verbatim(&text);
    assert_eq!(SmtpAddress::verbatim(verbatim.as_str()), verbatim);
    if let Ok(address) = SmtpAddress::parse(&text) {
        assert_eq!(SmtpAddress::parse(address.as_str()), Ok(address.clone()));
        assert_eq!(address, verbatim);
        let domains = ClaimedDomains::new([address.domain()]);
        assert!(domains.holds(&address), "{address:?}");
    }
    if let Some(id) = ObjectId::parse(&text) {
        assert_eq!(ObjectId::parse(&id.to_string()), Some(id));
        let upper = text.to_ascii_uppercase();
        assert_eq!(ObjectId::parse(&upper), Some(id));
    }
    if let Some(run) = RunId::parse(&text) {
        assert_eq!(run.as_str(), text);
    }
    if let Ok(message) = Message::parse(&text) {
        assert_eq!(Message::parse(&message.to_text()).ok(), Some(message));
    }
}
