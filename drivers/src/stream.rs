//! The judgement of replies that share the frame `68 … CS 16`: which of the bytes received is the
//! reply, and whether it is ours.

use crate::line::Verdict;
use blockgate_types::FaultClass;

/// How far a frame reaches from the first of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// No frame begins here, or a damaged one.
    No,
    /// One may; more bytes are needed to tell.
    Open,
    /// A whole and undamaged frame of so many bytes.
    Whole(usize),
}

/// Judges what came since `sent` went out.
///
/// - Our own request in front, with or without its preamble, is an adaptor's echo and is skipped.
/// - Up to `noise_max` bytes of preamble or noise are passed over.
/// - A whole frame that `fits` refuses is wrong at once, unless a frame that began before it may
///   still be the reply.
/// - Two replies that differ are wrong: nobody knows which is ours.
pub(crate) fn judge(
    sent: &[u8],
    received: &[u8],
    noise_max: usize,
    extent: impl Fn(&[u8]) -> Extent,
    fits: impl Fn(&[u8]) -> Result<(), String>,
) -> Verdict {
    if received.starts_with(sent) {
        return Verdict::Skip(sent.len());
    }
    if sent.starts_with(received) {
        return Verdict::More;
    }
    let (mut open, mut refused) = (false, None);
    for start in 0..=noise_max {
        let Some(head) = received.get(start..).filter(|head| !head.is_empty()) else { break };
        let frame = match extent(head) {
            Extent::No => continue,
            Extent::Open => {
                open = true;
                continue;
            }
            Extent::Whole(len) => head.get(..len).unwrap_or_default(),
        };
        if sent.ends_with(frame) {
            return Verdict::Skip(start + frame.len());
        }
        match fits(frame) {
            Ok(()) => {
                let rest = head.get(frame.len()..).unwrap_or_default();
                if differs(frame, rest, noise_max, &extent) {
                    let what = "two different replies came to one request: a late one, or two \
                                devices with this address";
                    return Verdict::Wrong(FaultClass::Protocol, what.to_owned());
                }
                return Verdict::Reply { start, len: frame.len() };
            }
            Err(what) => {
                refused.get_or_insert(what);
            }
        }
    }
    match refused {
        Some(what) if !open => Verdict::Wrong(FaultClass::Protocol, what),
        Some(_) | None => Verdict::More,
    }
}

/// Whether another whole frame follows that is not the same.
fn differs(frame: &[u8], rest: &[u8], noise_max: usize, extent: &impl Fn(&[u8]) -> Extent) -> bool {
    (0..=noise_max).any(|start| {
        let head = rest.get(start..).unwrap_or_default();
        match extent(head) {
            Extent::Whole(len) => head.get(..len) != Some(frame),
            Extent::No | Extent::Open => false,
        }
    })
}
