//! Project files and settings agree.
