//! The estimated time for writing at Zivver's rate (R30).

use crate::zivver::Rate;

/// The time for this number of calls in milliseconds, rounded up to seconds. Calls within the first budget take no
/// time.
pub(in crate::engine) fn estimate(rate: Rate, writes: u32) -> u64 {
    match rate {
        Rate::Unlimited => 0,
        Rate::Budget { calls, .. } if writes <= calls => 0,
        Rate::Budget { calls, window } => {
            let whole =
                u128::from(writes).saturating_mul(window.as_millis()) / u128::from(calls.max(1));
            u64::try_from(whole.div_ceil(1000) * 1000).unwrap_or(u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_beyond_the_first_budget_take_their_time() {
        let rate = Rate::Budget {
            calls: 50,
            window: Duration::from_secs(10),
        };
        for (writes, ms) in [(0, 0), (1, 0), (50, 0), (51, 11_000), (412, 83_000)] {
            assert_eq!(estimate(rate, writes), ms, "{writes}");
        }
        assert_eq!(estimate(Rate::Unlimited, 412), 0);
    }
}
