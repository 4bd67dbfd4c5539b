//! A whole simulated block on this machine, to be looked at and to be tested against.
//!
//! | module | what |
//! |---|---|
//! | [`certificates`] | a CA of its own, a server's and a client's certificate, made at the start |

pub mod certificates;
