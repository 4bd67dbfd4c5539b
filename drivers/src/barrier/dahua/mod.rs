//! Dahua ITC: a stream of events that we ask for (`snapManager.cgi`), the JSON push of newer
//! firmware, and the strobe command under Digest authentication.

pub mod push;
pub mod snap;
pub mod strobe;
