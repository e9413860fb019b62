//! Hashes by which a change that was asked for is recognised in a later run (R33).

use super::{
    accounts::Accounts,
    delta::{Activity, Delta},
    directory::Directory,
    hold::digest,
    plan::target_address,
};

/// What a delta asks for, whatever the order of its sets.
pub fn asked(delta: &Delta, accounts: &Accounts, directory: &Directory) -> String {
    let mut texts = vec![delta.address.to_string()];
    texts.extend(delta.create.iter().map(|name| format!("create {name}")));
    texts.extend(
        delta
            .tie
            .iter()
            .map(|id| format!("tie {id} {:?}", delta.owner)),
    );
    texts.extend(
        delta
            .rename
            .iter()
            .map(|rename| format!("rename {}", rename.to)),
    );
    texts.extend(delta.name.iter().map(|(_, after)| format!("name {after}")));
    texts.extend(delta.activity.map(|activity| match activity {
        Activity::Resume => "resume".to_owned(),
        Activity::Suspend(_) => "suspend".to_owned(),
        Activity::Empty(_) => "empty".to_owned(),
    }));
    texts.extend(delta.add_aliases.iter().map(|alias| format!("+{alias}")));
    texts.extend(delta.remove_aliases.iter().map(|alias| format!("-{alias}")));
    if delta.writes_new_key() {
        texts.extend(delta.key.iter().map(|key| format!("key {key}")));
    }
    let mut delegates: Vec<String> = delta
        .add_delegates
        .iter()
        .map(|target| format!("+delegate {}", target_address(*target, accounts, directory)))
        .chain(
            delta
                .remove_delegates
                .iter()
                .map(|ix| format!("-delegate {}", accounts.get(*ix).address())),
        )
        .collect();
    delegates.sort();
    texts.extend(delegates);
    digest(texts.iter().map(String::as_str))
}
