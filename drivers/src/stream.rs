//! What protocols share whose frame is `68 … CS 16`: taking one apart, and the judgement of replies:
//! which of the bytes received is the reply, and whether it is ours.

use crate::damage::{Damage, sum};
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

/// A whole frame: `FE… | head, from 68 to the length byte | data | CS | 16`.
pub(crate) struct Enclosed<'a, const HEAD: usize> {
    /// FE bytes in front.
    pub(crate) preamble: usize,
    /// From the start byte to the length byte.
    pub(crate) head: [u8; HEAD],
    /// As many bytes as the head's last says.
    pub(crate) data: &'a [u8],
}

/// Takes exactly one frame apart. `starts` are the places in its head where 68 must stand, and what
/// they are called.
///
/// # Errors
/// [`Damage`]: what is wrong and at which byte.
pub(crate) fn enclosed<'a, const HEAD: usize>(
    bytes: &'a [u8],
    starts: &[(usize, &'static str)],
) -> Result<Enclosed<'a, HEAD>, Damage> {
    let preamble = bytes.iter().take_while(|byte| **byte == 0xFE).count();
    let body = bytes.get(preamble..).unwrap_or_default();
    if body.is_empty() {
        return Err(Damage::NoStart);
    }
    for (place, what) in starts {
        if let Some(is) = body.get(*place).filter(|is| **is != 0x68) {
            return Err(Damage::Byte { at: preamble + place + 1, is: *is, want: 0x68, what });
        }
    }
    let short = Damage::Short { has: body.len(), needs: HEAD + 2 };
    let (head, rest) = body.split_first_chunk::<HEAD>().ok_or(short)?;
    let [data @ .., check, end] = rest else { return Err(short) };
    let (says, follow) = (usize::from(*head.last().ok_or(short)?), data.len());
    if says != follow {
        return Err(Damage::Length { at: preamble + HEAD, says, follow });
    }
    let want = sum(body.get(..body.len().saturating_sub(2)).unwrap_or_default());
    if *check != want {
        return Err(Damage::Checksum { at: bytes.len() - 1, is: *check, want });
    }
    if *end != 0x16 {
        return Err(Damage::Byte { at: bytes.len(), is: *end, want: 0x16, what: "end" });
    }
    Ok(Enclosed { preamble, head: *head, data })
}

/// Why an undamaged frame is not the reply, and where that counts.
pub(crate) type Misfit = (FaultClass, String);

/// A frame of the right meter that is not the reply.
pub(crate) fn misfit(what: impl Into<String>) -> Misfit {
    (FaultClass::Protocol, what.into())
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
    fits: impl Fn(&[u8]) -> Result<(), Misfit>,
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
            Err(misfit) => {
                refused.get_or_insert(misfit);
            }
        }
    }
    match refused {
        Some((class, what)) if !open => Verdict::Wrong(class, what),
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
