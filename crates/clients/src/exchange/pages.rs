//! Lists, read completely or not at all (`docs/specs/exchange-online.md`, "2. Paging", R1).

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU32, Ordering},
};

use serde::de::DeserializeOwned;

use super::{
    ExchangeError,
    call::{Call, Service, Unusable, read_json},
    link,
    wire::Page,
};

/// A million rows. A longer list is considered endless.
const PAGES_MAX: u32 = 1000;

/// How often a list is read again from the start after its links expired.
const RESTARTS_MAX: u32 = 2;

/// This many answers without a body, and none with one, count as an empty list.
const EMPTY_BODIES_MIN: u32 = 3;

/// How rows of one kind are read.
pub(super) struct Reader<W, R> {
    /// Converts a row, page by page.
    pub(super) convert: fn(W) -> R,
    /// The identity of a row, if it has one.
    pub(super) key: fn(&R) -> Option<String>,
    /// How the service may express "no rows" without a `value`.
    pub(super) no_rows: NoRows,
}

/// How a cmdlet without output may answer (1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRows {
    /// Not at all: the list is never empty.
    Unexpected,
    /// With an envelope without `value`.
    Envelope,
    /// With such an envelope, or without a body each time it is asked.
    NoBody,
}

/// A complete list.
#[derive(Debug)]
pub(super) struct Rows<R> {
    pub(super) rows: Vec<R>,
    pub(super) pages: u32,
    /// Rows that were repeated on another page and dropped.
    pub(super) repeated: usize,
    /// The list is empty because there was no body.
    pub(super) had_no_body: bool,
}

enum ListFailure {
    /// The service no longer accepts its own link: start again.
    Expired(ExchangeError),
    Failed(ExchangeError),
}

impl Service {
    /// Reads the complete list that starts at `first`. `on_page` gets the numbers of pages and rows so far.
    pub(super) async fn read_all<W: DeserializeOwned, R: Debug>(
        &self,
        first: &Call,
        reader: &Reader<W, R>,
        mut on_page: impl FnMut(u32, usize),
    ) -> Result<Rows<R>, ExchangeError> {
        let (mut restarts, mut moved) = (0, false);
        loop {
            match self.read_once(first, reader, &mut on_page).await {
                // A repeated row moved to another page while the list was read, so another row may have moved to a page
                // already read. Read the list once more and accept the second result (2.5).
                Ok(rows) if rows.repeated > 0 && !moved => moved = true,
                Ok(rows) => return Ok(rows),
                Err(ListFailure::Expired(_)) if restarts < RESTARTS_MAX => restarts += 1,
                Err(ListFailure::Expired(error) | ListFailure::Failed(error)) => return Err(error),
            }
        }
    }

    async fn read_once<W: DeserializeOwned, R: Debug>(
        &self,
        first: &Call,
        reader: &Reader<W, R>,
        on_page: &mut impl FnMut(u32, usize),
    ) -> Result<Rows<R>, ListFailure> {
        let mut list = Collected::new(reader);
        let mut links = HashSet::new();
        let mut call = first.clone();
        for number in 1..=PAGES_MAX {
            if number > 1 {
                call.operation = format!("{}, page {number}", first.operation);
            }
            let incomplete =
                |text: &str| ListFailure::Failed(ExchangeError::Paging(call.failure(text)));
            let no_rows = if number == 1 {
                reader.no_rows
            } else {
                NoRows::Unexpected
            };
            let empty_bodies = AtomicU32::new(0);
            let page = self
                .call(&call, |body| read_page::<W>(body, no_rows, &empty_bodies))
                .await
                .map_err(|error| on_page_error(error, number))?;
            list.had_no_body = page.is_missing;
            let next = page.link().map(str::to_owned);
            if next.is_none() && page.has_more() {
                return Err(incomplete("more rows exist, but no link to them came"));
            }
            let is_alone = number == 1 && next.is_none();
            list.add(page.value.unwrap_or_default(), is_alone)
                .map_err(|RepeatedPage| {
                    incomplete("a page came twice, so the list does not advance")
                })?;
            on_page(number, list.rows.len());
            let Some(next) = next else {
                return Ok(list.finish(number));
            };
            let url = link::check(&self.config.base, &call.url, &next).map_err(|text| {
                ListFailure::Failed(ExchangeError::Protocol(call.failure(&text)))
            })?;
            if url == call.url || !links.insert(url.as_str().to_owned()) {
                return Err(incomplete(
                    "a link came twice, so the list does not advance",
                ));
            }
            call.url = url;
        }
        let text = format!("no end after {PAGES_MAX} pages");
        Err(ListFailure::Failed(ExchangeError::Paging(
            call.failure(&text),
        )))
    }
}

/// Parses a page. Its `value` may be missing only where `no_rows` allows it.
fn read_page<W: DeserializeOwned>(
    body: &[u8],
    no_rows: NoRows,
    empty_bodies: &AtomicU32,
) -> Result<Page<W>, Unusable> {
    if no_rows == NoRows::NoBody
        && body.trim_ascii().is_empty()
        && empty_bodies.fetch_add(1, Ordering::Relaxed) + 1 >= EMPTY_BODIES_MIN
    {
        return Ok(Page::missing());
    }
    let page: Page<W> = read_json(body)?;
    empty_bodies.store(0, Ordering::Relaxed);
    if page.is_error() {
        return Err(Unusable::Error);
    }
    if page.value.is_none() && (no_rows == NoRows::Unexpected || !page.is_empty_envelope()) {
        let text = "the answer has no `value`".to_owned();
        return Err(Unusable::Unintelligible(text));
    }
    Ok(page)
}

/// "Not found" on a later page does not mean a missing object: the list could not be read further.
fn on_page_error(error: ExchangeError, number: u32) -> ListFailure {
    if matches!(error, ExchangeError::Paging(_)) {
        return ListFailure::Expired(error);
    }
    if let ExchangeError::NotFound(failure) = &error
        && number > 1
    {
        return ListFailure::Failed(ExchangeError::Paging(failure.clone()));
    }
    ListFailure::Failed(error)
}

/// The rows so far, without duplicates. If an object came with different contents, all versions are kept: the order of
/// the rows must not decide which one is right (R16, R25).
struct Collected<'a, W, R> {
    reader: &'a Reader<W, R>,
    rows: Vec<R>,
    /// The first row of each object.
    places: HashMap<String, usize>,
    /// Hashes of the rows of each object that came more than once.
    contents: HashMap<usize, HashSet<u64>>,
    /// Hashes of the pages, independent of the order of their rows.
    pages: HashSet<u64>,
    repeated: usize,
    had_no_body: bool,
}

/// The same page was received before.
struct RepeatedPage;

impl<'a, W, R: Debug> Collected<'a, W, R> {
    fn new(reader: &'a Reader<W, R>) -> Self {
        Self {
            reader,
            rows: Vec::new(),
            places: HashMap::new(),
            contents: HashMap::new(),
            pages: HashSet::new(),
            repeated: 0,
            had_no_body: false,
        }
    }

    /// An object that changes while the list is read can move to another page, so a single row may be repeated, but a
    /// whole page may not. A list with only one page cannot repeat one; most lists have one page, so the hashing is
    /// skipped.
    fn add(&mut self, page: Vec<W>, is_alone: bool) -> Result<(), RepeatedPage> {
        let mut marks = Vec::with_capacity(page.len());
        let mut here = HashSet::new();
        self.rows.reserve(page.len());
        for row in page {
            let row = (self.reader.convert)(row);
            let Some(key) = (self.reader.key)(&row) else {
                if !is_alone {
                    marks.push(content(&row));
                }
                self.rows.push(row);
                continue;
            };
            let mark = hash(&key);
            marks.push(mark);
            let is_first_here = here.insert(mark);
            match self.places.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(self.rows.len());
                    self.rows.push(row);
                }
                Entry::Occupied(taken) => {
                    self.repeated += usize::from(is_first_here);
                    let first = *taken.get();
                    let contents = self.contents.entry(first);
                    let contents =
                        contents.or_insert_with(|| HashSet::from([content(&self.rows[first])]));
                    if contents.insert(content(&row)) {
                        self.rows.push(row);
                    }
                }
            }
        }
        marks.sort_unstable();
        marks.dedup();
        if !marks.is_empty() && !self.pages.insert(hash(&marks)) {
            return Err(RepeatedPage);
        }
        Ok(())
    }

    fn finish(self, pages: u32) -> Rows<R> {
        Rows {
            rows: self.rows,
            pages,
            repeated: self.repeated,
            had_no_body: self.had_no_body,
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A hash of the contents of a row.
fn content(row: &impl Debug) -> u64 {
    hash(&format!("{row:?}"))
}
