//! The way in for people and systems on the spot: the local API, the event stream, metrics, and the
//! maintenance page.
//!
//! It must never decide anything about money or devices: it reads the board and the derived trees,
//! and hands orders to the one door ([`crate::command`]). Nothing but `/healthz`, the login and
//! set-up pages and their assets answers a caller that is not known.
//!
//! | module | what |
//! |---|---|
//! | [`serve`] | accept loop: TLS, timeouts, counts, stop |
//! | [`certificate`] | the page's certificate, configured or made |
//! | [`auth`] | people, sessions, tokens |

pub mod auth;
pub mod certificate;
pub(crate) mod secret_file;
pub mod serve;
