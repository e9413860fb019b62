//! The limit of open files and connections of this process, and the concurrency that it allows.

use crate::settings::Settings;

/// Open files and connections other than those to Exchange: Zivver, state, the host, name lookups, logs, the runtime.
const OTHERS: u64 = 52;

/// Raises the limit of open files as far as needed and allowed. If that is not enough, reduces the requests in flight,
/// since a request without a connection fails.
pub(super) fn fit(settings: &mut Settings) {
    let wanted = settings.exo_concurrency;
    let needed = OTHERS + wanted as u64;
    let Some(allowed) = raised_to(needed) else {
        return;
    };
    let fitting = fitting(wanted, allowed);
    if fitting < wanted {
        settings.exo_concurrency = fitting;
        settings.warnings.push(format!(
            "EXO_CONCURRENCY is {wanted}, but this process may open only {allowed} files, so at most {fitting} requests to \
             Exchange are in flight; raise the limit (ulimit -n) to {needed} or lower EXO_CONCURRENCY"
        ));
    }
}

fn fitting(wanted: usize, allowed: u64) -> usize {
    let free = usize::try_from(allowed.saturating_sub(OTHERS)).unwrap_or(usize::MAX);
    wanted.min(free.max(1))
}

/// The new limit; `None` if there is no limit.
#[cfg(unix)]
fn raised_to(needed: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current?;
    let wanted = limit.maximum.map_or(needed, |hard| needed.min(hard));
    if wanted <= soft {
        return Some(soft);
    }
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            ..limit
        },
    );
    Some(if raised.is_ok() { wanted } else { soft })
}

#[cfg(not(unix))]
fn raised_to(_needed: u64) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_requests_are_in_flight_as_there_are_connections_for() {
        for (wanted, allowed, fits) in [
            (16, 1024, 16),
            (64, OTHERS + 64, 64),
            (64, 64, 12),
            (64, OTHERS, 1),
            (64, 8, 1),
            (1, 0, 1),
            (100, u64::MAX, 100),
        ] {
            assert_eq!(fitting(wanted, allowed), fits, "{wanted} of {allowed}");
        }
    }
}
