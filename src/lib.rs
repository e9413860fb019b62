//! Cloud Sync keeps the accounts of a Zivver organisation in step with the mailboxes of an Exchange Online tenant. One
//! binary is an Azure Functions custom handler, a command line, and a sandbox that simulates both services.
//!
//! # The line
//!
//! ```text
//! trigger ─ fetch ─ normalise ─ derive ─ diff ─ guard ─ settle ─ order ─ apply ─ verify ─ report
//!           I/O     pure ────────────────────────────────────────────── I/O     I/O      pure
//! ```
//!
//! [`engine::run`] contains the I/O of these steps. Everything between fetch and apply is in [`domain`]: functions from
//! values to values, without clock, network or disk. [`domain::plan::plan`] combines them; a preview ends there.
//!
//! # The crates
//!
//! | crate | what it is | depends on |
//! |---|---|---|
//! | [`domain`] | what is decided: rules R1–R47 | nothing of ours, no crate that does I/O |
//! | [`clients`] | [`http`] sends and retries; [`exchange`] reads Exchange Online; [`graph`] sends mail; [`zivver`] reads and writes SCIM | `domain` |
//! | `sandbox` | simulated Exchange Online, Zivver and managed identity | nothing of ours |
//! | this one | the modules below | all of them; the sandbox only in [`cli`] and tests |
//!
//! | module | what it is |
//! |---|---|
//! | [`state`] | what outlives a run: history, journal, memory, lock |
//! | [`settings`], [`telemetry`] | the environment, the log |
//! | [`engine`] | fetch, apply, verify, resume |
//! | [`render`] | a report as HTML and CSV, with all data inert |
//! | [`notify`], [`mail`], [`links`], [`otlp`] | the result of a run by webhook and by mail, with links; as traces and metrics |
//! | [`migrate`] | converts settings of the original script |
//! | [`functions`] | the Functions host's protocol and the HTTP interface |
//! | [`cli`] | the command line, the demonstration |
//!
//! # Invariants
//!
//! 1. The plan decides, apply obeys. No question about a mailbox is asked after the guard; where a request depends on an
//!    earlier answer, the step says on which, and [`domain::execute`] makes the request (R24, R31).
//! 2. Applying a plan to the world that it was made for leaves an empty plan (R38).
//! 3. The same world gives the same bytes, whatever the order or paging of what was read (R25).
//! 4. A list that was not read to its end is an error, never a short list (R1).
//! 5. Rejected is not absent, unknown is not empty (R5, R11).
//! 6. What cannot be read back is not compared (R22).
//! 7. What takes access away, or gives an account to another person, is counted and can be held (R26).
//! 8. No secret is ever printed, and no mail address is in a log line at info level; reports have them.
//!
//! # Three walks through the code
//!
//! *A nightly run*: the host posts to `/SyncTimer` ([`functions::server`]), [`functions::app`] asks `PERFORM_SYNC` for the mode
//! and calls [`engine::Engine::run`]. That takes the lock ([`state::lock`]), reads both sides ([`engine::fetch`]), plans, writes
//! the plan with every before-image to state, applies it ([`engine::apply`]), reads Zivver again, and saves report and memory.
//!
//! *A mailbox that vanished*: its account is tied to it by the mapping of object ids ([`domain::matching`]), no mailbox has its
//! address, so [`domain::diff::absence_questions`] has Exchange asked once more; a clean "not found" makes a suspend, which
//! [`domain::hold`] counts against `MAX_SUSPEND` before [`domain::order`] puts it last.
//!
//! *Two users who swap addresses*: both are tied by object id, so [`domain::diff`] plans two renames, [`domain::settle`] sees
//! that each frees what the other claims, and [`domain::order`] lets one step aside to an intermediate address.

pub mod cli;
pub mod engine;
pub mod functions;
pub mod links;
pub mod mail;
pub mod migrate;
pub mod notify;
pub mod otlp;
pub mod render;
pub mod settings;
pub mod state;
pub mod telemetry;

pub use clients;
pub use clients::{exchange, graph, http, managed_identity, zivver};
pub use domain;
#[cfg(feature = "sandbox")]
pub use sandbox;
