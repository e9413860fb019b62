//! What Zivver accepted from the run that is undone, and does not show (R22).

use super::Reverser;
use crate::{
    accounts::AccountView,
    change::{Change, key_of},
    delta::Target,
    guard::Class,
};

impl Reverser<'_> {
    /// A list can lag behind a write. What it does not show is not taken back, and may show later.
    pub(super) fn unseen(&mut self) {
        let accounts = &self.given.world.accounts;
        let memory = self.given.memory;
        let id = self.view().id();
        // What an undo has taken back is not expected to show.
        let undone = memory.undone.get(id).map(|undone| &undone.changes);
        let is_unseen = |change: &Change| {
            change.key(accounts).is_some_and(|key| {
                let is_back = undone.is_some_and(|undone| undone.contains(&key));
                !is_back && memory.ineffective.contains_key(&key_of(id.as_str(), &key))
            })
        };
        let unseen = self.as_before().into_iter().filter(is_unseen);
        let mut texts: Vec<String> = unseen.map(|change| change.accepted_text()).collect();
        texts.dedup();
        if !texts.is_empty() {
            let what = texts.join(", ");
            self.left_alone(format!(
                "Zivver accepted and does not show what is therefore not taken back: {what}; undo the run again when it shows"
            ));
        }
    }

    /// The changes of the run where Zivver shows the value before them.
    fn as_before(&self) -> Vec<Change> {
        let view = self.view();
        let touched = self.touched;
        let mut changes = Vec::new();
        let (from, to) = touched.address.clone();
        if from != to && *view.address() == from {
            let class = Class::Rename;
            changes.push(Change::Rename { from, to, class });
        }
        if let Some((from, to)) = &touched.name
            && from != to
            && view.name().trim() == from
        {
            let (from, to) = (from.as_str().into(), to.as_str().into());
            changes.push(Change::Name { from, to });
        }
        if let (AccountView::User(user), Some((before, after))) = (view, touched.active)
            && before != after
            && user.active == before
        {
            changes.push(status(after));
        }
        for (alias, added) in &touched.aliases {
            let alias = alias.clone();
            match (added, view.extension().aliases.contains(&alias)) {
                (true, false) => changes.push(Change::AddAlias(alias)),
                (false, true) => changes.push(Change::RemoveAlias(alias)),
                (true, true) | (false, false) => {}
            }
        }
        self.delegates_as_before(&mut changes);
        changes
    }

    fn delegates_as_before(&self, changes: &mut Vec<Change>) {
        let accounts = &self.given.world.accounts;
        let now = accounts.delegates_of(self.ix).users;
        for (id, added) in &self.touched.delegates {
            let Some(ix) = accounts.with_id(id).filter(|ix| *added != now.contains(ix)) else {
                continue;
            };
            changes.push(if *added {
                Change::AddDelegate(Target::Existing(ix))
            } else {
                Change::RemoveDelegate(ix)
            });
            // A functional account that was emptied or resumed.
            if let AccountView::Functional(_) = self.view() {
                changes.push(status(*added));
            }
        }
    }
}

fn status(active: bool) -> Change {
    if active {
        Change::Resume
    } else {
        Change::Suspend { is_stray: false }
    }
}
