//! The random numbers of a run: jitter, and the digits of its id. A seed makes them reproducible.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

#[derive(Debug)]
pub(super) struct Chance(AtomicU64);

impl Chance {
    /// `None`: a seed from the system.
    pub(super) fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
        Self(AtomicU64::new(seed))
    }

    /// The next number of the `SplitMix64` sequence.
    pub(super) fn draw(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed);
        let value = state.wrapping_add(STEP);
        let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let (one, other) = (Chance::new(Some(7)), Chance::new(Some(7)));
        let draws: Vec<u64> = (0..3).map(|_| one.draw()).collect();
        assert_eq!(draws, [other.draw(), other.draw(), other.draw()]);
        assert_ne!(draws[0], draws[1]);
        assert_ne!(Chance::new(None).draw(), Chance::new(None).draw());
    }
}
