//! Lists, read to their end or not at all (`docs/specs/exchange-online.md`, "2. Paging", R1).

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

/// A million rows. A list beyond is taken for endless.
const PAGES_MAX: u32 = 1000;

/// How often a list is started afresh when its links expire.
const RESTARTS_MAX: u32 = 2;

/// So many answers without a body, and none with one, are an answer.
const EMPTY_BODIES_MIN: u32 = 3;

/// How rows of one kind are read.
pub(super) struct Reader<W, R> {
    /// From the wire to a value, page by page.
    pub(super) convert: fn(W) -> R,
    /// What tells two rows apart, where a row has that.
    pub(super) key: fn(&R) -> Option<String>,
    /// How the service may say "no rows" without a `value`.
    pub(super) void: Void,
}

/// What a cmdlet without output may answer (1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Void {
    /// Nothing: there is always something to say.
    Never,
    /// An envelope without `value`.
    Envelope,
    /// That, or no body, as long as it is asked.
    EmptyBody,
}

/// A complete list.
#[derive(Debug)]
pub(super) struct Rows<R> {
    pub(super) rows: Vec<R>,
    pub(super) pages: u32,
    /// Rows that came again, on another page than before, and were dropped.
    pub(super) repeated: usize,
    /// There was no body, whence there are no rows.
    pub(super) was_silent: bool,
}

enum Broken {
    /// The service no longer knows its own link: start again.
    Expired(ExchangeError),
    Failed(ExchangeError),
}

impl Service {
    /// All rows of the list that `first` begins. `on_page` hears the numbers of pages and rows so far.
    pub(super) async fn read_all<W: DeserializeOwned, R: Debug>(
        &self,
        first: &Call,
        reader: &Reader<W, R>,
        mut on_page: impl FnMut(u32, usize),
    ) -> Result<Rows<R>, ExchangeError> {
        let (mut restarts, mut moved) = (0, false);
        loop {
            match self.read_once(first, reader, &mut on_page).await {
                // A row that came again moved meanwhile, and another one may have moved past us: look once more, and
                // take what is there then (2.5).
                Ok(rows) if rows.repeated > 0 && !moved => moved = true,
                Ok(rows) => return Ok(rows),
                Err(Broken::Expired(_)) if restarts < RESTARTS_MAX => restarts += 1,
                Err(Broken::Expired(error) | Broken::Failed(error)) => return Err(error),
            }
        }
    }

    async fn read_once<W: DeserializeOwned, R: Debug>(
        &self,
        first: &Call,
        reader: &Reader<W, R>,
        on_page: &mut impl FnMut(u32, usize),
    ) -> Result<Rows<R>, Broken> {
        let mut list = Collected::new(reader);
        let mut links = HashSet::new();
        let mut call = first.clone();
        for number in 1..=PAGES_MAX {
            if number > 1 {
                call.operation = format!("{}, page {number}", first.operation);
            }
            let incomplete = |text: &str| Broken::Failed(ExchangeError::Paging(call.failure(text)));
            let void = if number == 1 {
                reader.void
            } else {
                Void::Never
            };
            let silences = AtomicU32::new(0);
            let page = self
                .call(&call, |body| read_page::<W>(body, void, &silences))
                .await
                .map_err(|error| on_page_error(error, number))?;
            list.was_silent = page.is_silence;
            let next = page.link().map(str::to_owned);
            if next.is_none() && page.has_more() {
                return Err(incomplete("more rows exist, but no link to them came"));
            }
            let is_alone = number == 1 && next.is_none();
            list.add(page.value.unwrap_or_default(), is_alone)
                .map_err(|Twice| incomplete("a page came twice, so the list does not advance"))?;
            on_page(number, list.rows.len());
            let Some(next) = next else {
                return Ok(list.finish(number));
            };
            let url = link::check(&self.config.base, &call.url, &next)
                .map_err(|text| Broken::Failed(ExchangeError::Protocol(call.failure(&text))))?;
            if url == call.url || !links.insert(url.as_str().to_owned()) {
                return Err(incomplete(
                    "a link came twice, so the list does not advance",
                ));
            }
            call.url = url;
        }
        let text = format!("no end after {PAGES_MAX} pages");
        Err(Broken::Failed(ExchangeError::Paging(call.failure(&text))))
    }
}

/// A page whose `value` may be missing only where that means something.
fn read_page<W: DeserializeOwned>(
    body: &[u8],
    void: Void,
    silences: &AtomicU32,
) -> Result<Page<W>, Unusable> {
    if void == Void::EmptyBody
        && body.trim_ascii().is_empty()
        && silences.fetch_add(1, Ordering::Relaxed) + 1 >= EMPTY_BODIES_MIN
    {
        return Ok(Page::silence());
    }
    let page: Page<W> = read_json(body)?;
    silences.store(0, Ordering::Relaxed);
    if page.is_error() {
        return Err(Unusable::Error);
    }
    if page.value.is_none() && (void == Void::Never || !page.is_empty_envelope()) {
        let text = "the answer has no `value`".to_owned();
        return Err(Unusable::Unintelligible(text));
    }
    Ok(page)
}

/// An object that is missing on a later page is no "not found": the list broke off.
fn on_page_error(error: ExchangeError, number: u32) -> Broken {
    if matches!(error, ExchangeError::Paging(_)) {
        return Broken::Expired(error);
    }
    if let ExchangeError::NotFound(failure) = &error
        && number > 1
    {
        return Broken::Failed(ExchangeError::Paging(failure.clone()));
    }
    Broken::Failed(error)
}

/// The rows so far, each once. Of an object that came with different contents all are kept: which one is right is not for
/// the order of rows to say (R16, R25).
struct Collected<'a, W, R> {
    reader: &'a Reader<W, R>,
    rows: Vec<R>,
    /// Where the first row of each object is.
    places: HashMap<String, usize>,
    /// Hashes of the rows of each object that came more than once.
    contents: HashMap<usize, HashSet<u64>>,
    /// Hashes of the pages, whatever the order of their rows.
    pages: HashSet<u64>,
    repeated: usize,
    was_silent: bool,
}

/// A whole page that came before.
struct Twice;

impl<'a, W, R: Debug> Collected<'a, W, R> {
    fn new(reader: &'a Reader<W, R>) -> Self {
        Self {
            reader,
            rows: Vec::new(),
            places: HashMap::new(),
            contents: HashMap::new(),
            pages: HashSet::new(),
            repeated: 0,
            was_silent: false,
        }
    }

    /// Objects that change meanwhile can move to another page, so a single row may come again; a whole page may not. One that
    /// is alone cannot, and most are: what a row says is not looked at for nothing.
    fn add(&mut self, page: Vec<W>, is_alone: bool) -> Result<(), Twice> {
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
            return Err(Twice);
        }
        Ok(())
    }

    fn finish(self, pages: u32) -> Rows<R> {
        Rows {
            rows: self.rows,
            pages,
            repeated: self.repeated,
            was_silent: self.was_silent,
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// All that a row says.
fn content(row: &impl Debug) -> u64 {
    hash(&format!("{row:?}"))
}
