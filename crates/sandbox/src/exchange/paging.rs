//! Page links. Each stands for a position in an answer, and is only valid for the same caller and question.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::switches::{Link, Paging, Switches};

/// How many links are kept; the oldest become invalid first.
const LINKS_MAX: usize = 10_000;
const FOREIGN_ORIGIN: &str = "https://outlook.office365.com.attacker.example";
const PORT_446_ORIGIN: &str = "https://outlook.office365.com:446";

#[derive(Debug, Default)]
pub(super) struct Links {
    places: HashMap<String, Place>,
    oldest_first: VecDeque<String>,
    made: u64,
}

/// A position in a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// The first request. The requests for further pages must equal it.
    pub(super) question: String,
    pub(super) anchor: Option<String>,
    /// `$select` of a cmdlet's first request, which its links do not repeat.
    pub(super) select: Option<String>,
    /// Index of the first row of the page.
    pub(super) next: usize,
    /// The remaining rows that `$top` allows.
    pub(super) left: Option<usize>,
    /// Counts from 1, which is the page without a link.
    pub(super) page: u32,
    pub(super) made_at: Duration,
}

/// The rows of one page and the start of the next.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Page {
    pub(super) rows: Vec<usize>,
    /// `None` after the last page.
    pub(super) next: Option<usize>,
}

impl Links {
    pub(super) fn make(&mut self, place: Place) -> String {
        self.made += 1;
        let session = format!("{:032x}-be01", u128::from(self.made) << 64 | 0x5a5a);
        let token = URL_SAFE_NO_PAD.encode(session);
        self.places.insert(token.clone(), place);
        self.oldest_first.push_back(token.clone());
        if self.oldest_first.len() > LINKS_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.places.remove(&oldest);
        }
        token
    }

    /// The first request of this link.
    pub(super) fn question(&self, token: &str) -> Option<String> {
        self.places.get(token).map(|place| place.question.clone())
    }

    /// The position of a link; `None` if it is unknown, expired, or belongs to another request.
    pub(super) fn resume(
        &self,
        token: &str,
        question: &str,
        anchor: Option<&str>,
        now: Duration,
        switches: &Switches,
    ) -> Option<Place> {
        let place = self.places.get(token)?;
        let alive = now.saturating_sub(place.made_at).as_secs() < switches.link_life_s;
        let same_anchor = place.anchor.is_some() && place.anchor.as_deref() == anchor;
        let bound = same_anchor || !switches.anchor_binding;
        (alive && bound && place.question == question).then(|| place.clone())
    }
}

/// Takes a page of at most `rows_max` rows from `0..count`, where `keeps` tells which positions are rows. Looks at no
/// more positions than necessary.
pub(super) fn page(
    place: &Place,
    count: usize,
    rows_max: usize,
    paging: Paging,
    keeps: impl Fn(usize) -> bool,
) -> Page {
    let rows_max = place.left.map_or(rows_max, |left| left.min(rows_max));
    let mut rows = Vec::with_capacity(rows_max.min(count));
    let mut at = place.next;
    if paging == Paging::DuplicatePage && place.page == 2 {
        at = 0;
    }
    while at < count && rows.len() < rows_max {
        if keeps(at) {
            rows.push(at);
        }
        at += 1;
    }
    if paging == Paging::RowMoved && place.page == 2 {
        let before = (0..place.next.min(count)).rev().find(|&at| keeps(at));
        if let (Some(first), Some(before)) = (rows.first_mut(), before) {
            *first = before;
        }
    }
    let full = place.left.is_some_and(|left| rows.len() >= left);
    let more = !full && (at..count).any(keeps);
    let next = if paging == Paging::Endless && !more && !full {
        Some(0)
    } else {
        more.then_some(at)
    };
    Page { rows, next }
}

/// The origin to write into a link; `None` if the link is left out.
pub(super) fn origin(link: Link, origin: &str) -> Option<&str> {
    match link {
        Link::Good => Some(origin),
        Link::Absent => None,
        Link::Foreign => Some(FOREIGN_ORIGIN),
        Link::Port446 => Some(PORT_446_ORIGIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next: usize, page: u32) -> Place {
        Place {
            question: "q".to_owned(),
            anchor: Some("a".to_owned()),
            select: None,
            next,
            left: None,
            page,
            made_at: Duration::ZERO,
        }
    }

    #[test]
    fn pages_cover_every_row_once() {
        let odd = |at: usize| at % 2 == 1;
        let first = page(&at(0, 1), 7, 2, Paging::Good, odd);
        assert_eq!((first.rows, first.next), (vec![1, 3], Some(4)));
        let second = page(&at(4, 2), 7, 2, Paging::Good, odd);
        assert_eq!((second.rows, second.next), (vec![5], None));
    }

    #[test]
    fn a_moved_row_comes_twice_and_another_is_lost() {
        let second = page(&at(2, 2), 4, 2, Paging::RowMoved, |_| true);
        assert_eq!(second.rows, [1, 3]);
    }

    #[test]
    fn a_list_may_shrink_between_pages() {
        for paging in [Paging::Good, Paging::RowMoved, Paging::Endless] {
            let second = page(&at(5, 2), 3, 2, paging, |at| [true; 3][at]);
            assert!(second.rows.is_empty());
        }
    }

    #[test]
    fn a_link_is_bound_to_question_anchor_and_time() {
        let mut links = Links::default();
        let token = links.make(at(2, 2));
        let switches = Switches::default();
        let resume = |question: &str, anchor: Option<&str>, s: u64| {
            links
                .resume(&token, question, anchor, Duration::from_secs(s), &switches)
                .is_some()
        };
        assert!(resume("q", Some("a"), 1799));
        assert!(!resume("q", Some("a"), 1800));
        assert!(!resume("q", None, 0));
        assert!(!resume("other", Some("a"), 0));
    }
}
