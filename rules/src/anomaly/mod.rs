//! Leaks and oddities: found early, explained, and few enough to be believed.

pub mod care;
pub mod text;
