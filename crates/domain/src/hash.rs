//! Hash tables with a fast hash. The keys come from the administrator's own tenant and organisation, so they need no
//! protection against collisions. Nothing may depend on the order of a table (R25).

pub type HashMap<K, V> = rustc_hash::FxHashMap<K, V>;
pub type HashSet<K> = rustc_hash::FxHashSet<K>;
