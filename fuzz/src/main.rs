//! libFuzzer over all targets in one binary: `FUZZ_TARGET` selects the target (see `fuzz/run`).
//!
//! In addition to the assertions of each target: the memory that an input makes the program hold is limited in
//! proportion to its size.

#![no_main]

// By its path, as in `tests/it`, so that both find its submodules in the same place.
#[path = "targets.rs"]
mod targets;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    env,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use targets::Target;

/// The memory that a target may hold for any input: a runtime, clients, an empty store, the longest text of an error.
const BYTES_FREE: usize = 4 << 20;

/// A row of a list is 3 bytes on the wire (`{},`) and a record of a few hundred bytes in memory, twice while a list
/// grows.
const BYTES_PER_BYTE: usize = 2000;

/// Deflate compresses up to about 1032:1 (RFC 1951). Unpacked data has separate limits: 64 MiB and 100,000 rows for an
/// answer.
const UNPACKED_BYTES: usize = 512 << 20;

struct Counted;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grown(by: usize) {
    let held = HELD.fetch_add(by, Relaxed) + by;
    MOST.fetch_max(held, Relaxed);
}

unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "libFuzzer owns the arguments")]
        let name = env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let found = targets::ALL.iter().find(|target| target.name == name);
        *found.unwrap_or_else(|| panic!("there is no target {name}"))
    });
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    (target.run)(input);
    let most = MOST.load(Relaxed).saturating_sub(before);
    let packed = input.windows(2).any(|bytes| bytes == [0x1f, 0x8b]);
    let allowed =
        BYTES_FREE + BYTES_PER_BYTE * input.len() + if packed { UNPACKED_BYTES } else { 0 };
    assert!(most <= allowed, "{} bytes made it hold {most}", input.len());
});
