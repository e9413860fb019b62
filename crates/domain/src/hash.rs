//! Hash tables with a fast hash. What is hashed comes from the administrator's own tenant and organisation, and nothing
//! may depend on the order of a table (R25).

pub type HashMap<K, V> = rustc_hash::FxHashMap<K, V>;
pub type HashSet<K> = rustc_hash::FxHashSet<K>;
