//! Hashes by which a change that was asked for is recognised in a later run (R33).

use super::{
    accounts::Accounts,
    change::{Attribute, Change},
    delta::{Delta, Target},
    directory::Directory,
    hold::digest,
};

/// What a delta asks for, independent of the order of its sets.
pub fn asked(delta: &Delta, accounts: &Accounts, directory: &Directory) -> String {
    let changes = delta.changes();
    let (delegates, others): (Vec<Change>, Vec<Change>) = changes
        .iter()
        .flat_map(Change::parts)
        .partition(|change| change.attribute() == Attribute::Delegates);
    let address = |target: Target| target.address(accounts, directory).to_string();
    let texts = |changes: Vec<Change>| -> Vec<String> {
        let texts = changes.iter().map(|change| change.asked_text(address));
        texts.collect()
    };
    let (mut delegates, others) = (texts(delegates), texts(others));
    delegates.sort();
    let others = others.iter().chain(&delegates).map(String::as_str);
    digest(std::iter::once(delta.address.as_str()).chain(others))
}
