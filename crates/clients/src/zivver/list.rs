//! Complete lists (R1), and look-ups by address.

use std::collections::HashSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;

use super::{
    Listed, ZivverClient,
    call::{Access, Call, MediaType},
    error::{Gap, ReadError},
    wire::{ListBody, Resource},
};
use crate::http::one_line;
use domain::{address::SmtpAddress, ids::ScimId};

/// A list with more pages is considered endless.
const PAGES_MAX: usize = 10_000;

/// The requested size of each page after the first. A server may return fewer.
const PAGE_COUNT: usize = 500;

/// How many rejected rows are tolerated in a list of any size, and which part of a large one (R1).
const REJECTED_TOLERATED: usize = 4;
const REJECTED_TOLERATED_PERCENT: usize = 1;

impl ZivverClient {
    /// Asks for everything, then for the rows that are missing according to `totalResults`
    /// (`docs/specs/zivver-scim.md`, "2. Endpoints").
    pub(super) async fn list<R: Resource>(&self) -> Result<Listed<R>, ReadError> {
        let mut found = Found::<R>::default();
        for _ in 0..PAGES_MAX {
            let page = self
                .page::<R>(found.query().as_deref(), Access::List)
                .await?;
            if found.add(page).map_err(incomplete::<R>)? {
                return found.finish().map_err(incomplete::<R>);
            }
        }
        Err(incomplete::<R>(Gap::Endless {
            pages_max: PAGES_MAX,
        }))
    }

    pub(super) async fn find<R: Resource>(
        &self,
        address: &SmtpAddress,
    ) -> Result<Option<R>, ReadError> {
        let query = filter(R::ADDRESS, address.as_str());
        let page = self.page::<R>(Some(&query), Access::LookUp).await?;
        let Listed { accounts, rejected } = page.resources.unwrap_or_default().0;
        let received = (accounts.len() + rejected.len()) as u64;
        // A server that ignores the filter may answer with the whole list.
        let mut matching = accounts
            .into_iter()
            .filter(|account| account.address() == address);
        let may_be_it = rejected
            .into_iter()
            .find(|row| row.address.as_ref().is_none_or(|known| known == address));
        match (matching.next(), matching.next(), may_be_it, page.total) {
            (Some(account), None, _, _) => Ok(Some(account)),
            (Some(_), Some(_), _, _) => Err(incomplete::<R>(Gap::Ambiguous)),
            (None, _, Some(row), _) => Err(incomplete::<R>(Gap::Rejected {
                label: row.label,
                reason: row.reason,
            })),
            (None, _, None, None) => Err(incomplete::<R>(Gap::NoTotal)),
            (None, _, None, Some(total)) if total > received => {
                Err(incomplete::<R>(Gap::Short { total, received }))
            }
            (None, _, None, Some(_)) => Ok(None),
        }
    }

    async fn page<R: Resource>(
        &self,
        query: Option<&str>,
        access: Access,
    ) -> Result<ListBody<R>, ReadError> {
        let mut url = self.collection_url::<R>();
        url.set_query(query);
        let call = Call {
            kind: if access == Access::List {
                R::KINDS.list
            } else {
                R::KINDS.find
            },
            operation: format!("read the {}", R::LIST),
            method: Method::GET,
            url,
            media_type: MediaType::Json,
            body: bytes::Bytes::new(),
            access,
        };
        let reply = self.repeat(&call).await?;
        let mut page: ListBody<R> = serde_json::from_slice(&reply.body).map_err(|error| {
            let cause = self.text(error.to_string().as_bytes());
            incomplete::<R>(Gap::Unreadable {
                cause: one_line(&cause, 200),
            })
        })?;
        for row in page.resources.iter_mut().flat_map(|it| &mut it.0.rejected) {
            row.reason = self.text(row.reason.as_bytes());
        }
        Ok(page)
    }
}

fn incomplete<R: Resource>(gap: Gap) -> ReadError {
    ReadError::Incomplete { list: R::LIST, gap }
}

/// The part of a list that was read so far.
struct Found<R> {
    listed: Listed<R>,
    ids: HashSet<ScimId>,
    total: Option<u64>,
}

impl<R> Default for Found<R> {
    fn default() -> Self {
        Self {
            listed: Listed::default(),
            ids: HashSet::new(),
            total: None,
        }
    }
}

impl<R: Resource> Found<R> {
    /// Indices start at 1 (RFC 7644 section 3.4.2.4). The first request asks for everything.
    fn query(&self) -> Option<String> {
        self.total?;
        let start = self.rows() + 1;
        Some(format!("startIndex={start}&count={PAGE_COUNT}"))
    }

    fn rows(&self) -> usize {
        self.listed.accounts.len() + self.listed.rejected.len()
    }

    /// Adds a page and tells whether the list is complete.
    fn add(&mut self, page: ListBody<R>) -> Result<bool, Gap> {
        let later = page.total.ok_or(Gap::NoTotal)?;
        let first_page = self.total.is_none();
        let total = *self.total.get_or_insert(later);
        if later != total {
            return Err(Gap::TotalChanged { total, later });
        }
        let Listed { accounts, rejected } = page.resources.unwrap_or_default().0;
        let empty = accounts.is_empty() && rejected.is_empty();
        self.ids.reserve(accounts.len());
        let ids = accounts.iter().map(Resource::id);
        for id in ids.chain(rejected.iter().filter_map(|row| row.id.as_ref())) {
            if !self.ids.insert(id.clone()) {
                return Err(Gap::Repeated {
                    id: one_line(id.as_str(), 80),
                });
            }
        }
        if self.listed.accounts.is_empty() {
            self.listed.accounts = accounts;
        } else {
            self.listed.accounts.extend(accounts);
        }
        self.listed.rejected.extend(rejected);
        let received = self.rows() as u64;
        if received > total {
            return Err(Gap::TooLong { total, received });
        }
        if received < total && empty && !first_page {
            return Err(Gap::Short { total, received });
        }
        Ok(received == total)
    }

    /// Single rows may be rejected, but a large part of the list may not (R1).
    fn finish(self) -> Result<Listed<R>, Gap> {
        let (rows, mut listed) = (self.rows(), self.listed);
        let rejected = listed.rejected.len();
        let part = rows * REJECTED_TOLERATED_PERCENT / 100;
        match listed.rejected.first() {
            Some(row) if rejected > part.max(REJECTED_TOLERATED) => Err(Gap::ManyRejected {
                rejected,
                rows,
                label: row.label.clone(),
                reason: row.reason.clone(),
            }),
            _ => {
                listed.accounts.shrink_to_fit();
                Ok(listed)
            }
        }
    }
}

/// `userName eq "address"`, with quotes and backslashes escaped as in JSON (RFC 7644 section 3.4.2.2).
fn filter(attribute: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    let filter = format!("{attribute} eq \"{value}\"");
    format!("filter={}", utf8_percent_encode(&filter, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_quoted_and_encoded() {
        assert_eq!(
            filter("userName", "o'b+\"x\\@corp.example"),
            "filter=userName%20eq%20%22o%27b%2B%5C%22x%5C%5C%40corp%2Eexample%22"
        );
    }
}
