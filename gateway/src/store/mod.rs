//! What stays: the journal is the truth (`journal`), the sled trees are derived from it (`trees`)
//! and can be deleted at any time (invariant 3).

pub mod record;
