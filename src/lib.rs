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
//! | crate | purpose | depends on |
//! |---|---|---|
//! | [`domain`] | the decisions: rules R1–R47 | no other crate of this repository, no crate that does I/O |
//! | [`clients`] | [`http`] sends and retries; [`exchange`] reads Exchange Online; [`graph`] sends mail; [`zivver`] reads and writes SCIM | `domain` |
//! | `sandbox` | simulated Exchange Online, Zivver and managed identity | no other crate of this repository |
//! | this one | the modules below | all of them; the sandbox only in [`cli`] and tests |
//!
//! | module | purpose |
//! |---|---|
//! | [`state`] | stored data: history, journal, memory, lock |
//! | [`settings`], [`telemetry`] | reads the environment, writes the log |
//! | [`engine`] | the I/O of a run: fetch, apply, verify, continue |
//! | [`render`] | a report as HTML and CSV, with all data inert |
//! | [`notify`], [`mail`], [`links`], [`otlp`] | the result of a run by webhook and by mail, with links; as traces and metrics |
//! | [`migrate`] | converts settings of the original script |
//! | [`functions`] | the Functions host's protocol and the HTTP interface |
//! | [`cli`] | the command line, the demonstration |
//!
//! # Invariants
//!
//! 1. The plan makes all decisions, and apply makes none. After the guard, no question about a mailbox is asked. If a
//!    request depends on an earlier answer, its step names that answer, and [`domain::execute`] makes the request (R24,
//!    R31).
//! 2. Applying a plan to the world that it was made for leaves an empty plan (R38).
//! 3. The same world gives the same bytes, regardless of the order or the paging of the lists (R25).
//! 4. A list that was not read to its end is an error, never a short list (R1).
//! 5. Rejected is not the same as absent, and unknown is not the same as empty (R5, R11).
//! 6. An attribute that cannot be read back is not compared (R22).
//! 7. A change that removes access, or gives an account to another person, is counted and can be held (R26).
//! 8. Secrets are never printed. Log lines at level `info` and above contain no mail addresses; reports do.
//!
//! # Three walks through the code
//!
//! *A nightly run*: the host posts to `/SyncTimer` ([`functions::server`]). [`functions::app`] takes the mode from
//! `PERFORM_SYNC` and calls [`engine::Engine::run`], which takes the lock ([`state::lock`]), reads both sides
//! ([`engine::fetch`]), plans, writes the plan with every before-image to the state, applies it ([`engine::apply`]), reads
//! Zivver again, and saves report and memory.
//!
//! *A deleted mailbox*: its account is tied to it by the mapping of object ids ([`domain::matching`]), and no mailbox
//! has its address, so [`domain::diff::absence_questions`] asks Exchange about it. If the answer is "not found", the
//! plan contains a suspend, which [`domain::hold`] counts against `MAX_SUSPEND` and [`domain::order`] puts last.
//!
//! *Two users who swap addresses*: both are tied by object id, so [`domain::diff`] plans two renames. [`domain::settle`]
//! determines that each releases the address that the other needs, and [`domain::order`] renames one of them to an
//! intermediate address first.

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
