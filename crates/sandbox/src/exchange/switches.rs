//! Behaviour of the simulated Exchange that was not observed, and misbehaviour on request. Faults of single requests
//! belong to the control plane; see [`super::faults`] for those that are specific to Exchange.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "these are switches")]
pub struct Switches {
    // Not observed on a live tenant: a finding changes the default, in this one place.
    /// Answer to a `$batch` of more than ten.
    pub batch_too_long_status: u16,
    /// Answer to a `$batch` with two equal ids.
    pub batch_duplicate_status: u16,
    /// Answer to GET on a link of `InvokeCommand`; `None` = the next page.
    pub get_on_link_status: Option<u16>,
    /// A link is valid only with the anchor of the first request, if that had one.
    pub anchor_binding: bool,
    /// Answer if an identity matches more than one object.
    pub ambiguous_status: u16,
    /// Answer of `InvokeCommand` if an identity matches nothing: 404 or 400.
    pub not_found_status: u16,
    /// Whether a `$select` keeps `ObjectKey` beside the `@odata` links.
    pub projection_keeps_object_key: bool,
    /// Whether an identity without any other match is compared with display names.
    pub display_name_resolves: bool,
    /// Whether entries of deleted principals (`S-1-5-21-…`) are shown by default.
    pub orphans_shown: bool,
    pub result_size: ResultSize,
    /// The output of an `InvokeCommand` without results.
    pub no_output: NoOutput,
    /// The lifetime of a link.
    pub link_life_s: u64,

    // Ways to be.
    /// Default and maximum size of a page; 1000 in the real service.
    pub page_rows_max: usize,
    pub rate_limit_headers: bool,
    pub gzip: Gzip,
    pub paging: Paging,
    pub link: Link,
    pub batch_order: BatchOrder,
    pub batch_faults: Vec<BatchFault>,
    pub throttle: Throttle,
    /// Adds unknown members to envelopes and rows.
    pub unknown_members: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            batch_too_long_status: 400,
            batch_duplicate_status: 400,
            get_on_link_status: Some(405),
            anchor_binding: true,
            ambiguous_status: 400,
            not_found_status: 404,
            projection_keeps_object_key: false,
            display_name_resolves: true,
            orphans_shown: true,
            result_size: ResultSize::Honoured,
            no_output: NoOutput::ValueAbsent,
            link_life_s: 30 * 60,
            page_rows_max: 1000,
            rate_limit_headers: true,
            gzip: Gzip::Ignored,
            paging: Paging::Good,
            link: Link::Good,
            batch_order: BatchOrder::Reversed,
            batch_faults: Vec::new(),
            throttle: Throttle::default(),
            unknown_members: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ResultSize {
    Honoured,
    Ignored,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum NoOutput {
    ValueAbsent,
    EmptyArray,
    EmptyBody,
}

/// The answer to a caller that asks for compression.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Gzip {
    Ignored,
    /// Plain JSON labelled as gzip.
    PlainLabelled,
    /// The right status, with NUL bytes labelled as gzip.
    NulBytes,
}

/// How pages follow each other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Paging {
    Good,
    /// From page 2 on, each page links to itself.
    RepeatedLink,
    /// After the last page the list starts again, with new links.
    Endless,
    /// Page 2 repeats page 1.
    DuplicatePage,
    /// Page 2 starts with the last row of page 1 and lacks its own first row.
    RowMoved,
}

/// The form of the link to the next page.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Link {
    Good,
    /// Without a link; a cmdlet still warns that there are more rows.
    Absent,
    /// On a host that a client must not trust.
    Foreign,
    /// With port 446, as some back-ends write it.
    Port446,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum BatchOrder {
    AsAsked,
    Reversed,
}

/// A fault of batch items whose URL contains the text.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BatchFault {
    #[serde(default)]
    pub url_contains: String,
    /// How many items still fail; `None` = without end.
    #[serde(default)]
    pub times: Option<u32>,
    pub kind: ItemFault,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ItemFault {
    Status {
        status: u16,
        retry_after: RetryAfter,
    },
    /// The item is missing in the answer.
    ItemMissing,
    BodyMissing,
    BodyNull,
    StatusMissing,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// The limit of requests. Without it the headers count down from 30 000 a minute, but nothing is refused.
    pub bucket: Option<Bucket>,
    /// The maximum of requests in flight.
    pub in_flight_max: Option<u32>,
    pub refusal: Refusal,
    /// Delays answers instead of refusing requests.
    pub micro_delay: Option<MicroDelay>,
}

/// Refills continuously. A batch takes one request for itself and one for each item.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    pub capacity: u32,
    pub refill_millis: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MicroDelay {
    pub above_in_flight: u32,
    pub delay_millis: u64,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refusal {
    pub status: u16,
    pub retry_after: RetryAfter,
    pub body: RefusalBody,
}

impl Default for Refusal {
    fn default() -> Self {
        Self {
            status: 429,
            retry_after: RetryAfter::Seconds(1),
            body: RefusalBody::Json,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum RetryAfter {
    Absent,
    Seconds(u64),
    /// In seconds with a fraction.
    Millis(u64),
    /// An HTTP date this many seconds ahead.
    DateIn(u64),
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum RefusalBody {
    Empty,
    Json,
    /// The text about concurrent requests per tenant.
    ConcurrencyText,
}
