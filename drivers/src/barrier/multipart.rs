//! Multipart bodies, whole or as a stream that never ends. A part with a `Content-Length` is taken by
//! its length: a picture may contain the boundary.

use super::{BadPush, text};
use std::ops::Range;

/// Parts of one body.
pub const PARTS_MAX: usize = 32;
/// Bytes of a part's header.
pub const HEADER_MAX: usize = 8 * 1024;
/// Bytes of one part of a stream; a longer one ends the stream.
pub const PART_MAX: usize = 8 * 1024 * 1024;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'b> {
    /// Its `Content-Type`; empty without one.
    pub media: String,
    /// `name` of its `Content-Disposition`; empty without one.
    pub name: String,
    /// What is in it.
    pub bytes: &'b [u8],
}

/// Where the next part lies in a buffer.
struct Found {
    media: String,
    name: String,
    body: Range<usize>,
    /// From here on the rest.
    next: usize,
}

enum Step {
    Found(Found),
    More,
    End,
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    let first = needle.first().copied()?;
    let mut from = 0;
    loop {
        let rest = hay.get(from..)?;
        let at = from + rest.iter().position(|b| *b == first)?;
        if hay.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

fn header(lines: &str, name: &str) -> Option<String> {
    lines.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Finds the next part from the start of `buffer`. `whole`: no more bytes will come.
fn step(buffer: &[u8], delimiter: &[u8], whole: bool) -> Result<Step, BadPush> {
    let nothing = || Ok(if whole { Step::End } else { Step::More });
    let Some(at) = find(buffer, delimiter) else { return nothing() };
    let after = at + delimiter.len();
    let Some(rest) = buffer.get(after..) else { return nothing() };
    if rest.starts_with(b"--") {
        return Ok(Step::End);
    }
    if rest.len() < 4 && !whole {
        return Ok(Step::More);
    }
    // Some firmware ends its lines with \n alone.
    let (gap, skip) = match (find(rest, b"\r\n\r\n"), find(rest, b"\n\n")) {
        (Some(a), Some(b)) if b < a => (b, 2),
        (Some(a), _) => (a, 4),
        (None, Some(b)) => (b, 2),
        (None, None) if rest.len() > HEADER_MAX => {
            return Err(BadPush::Bounds("a part's header is too long"));
        }
        (None, None) => return nothing(),
    };
    if gap > HEADER_MAX {
        return Err(BadPush::Bounds("a part's header is too long"));
    }
    let lines = String::from_utf8_lossy(rest.get(..gap).unwrap_or_default());
    let media = header(&lines, "content-type").unwrap_or_default();
    let disposition = header(&lines, "content-disposition").unwrap_or_default();
    let name = text::parameter(&disposition, "name").unwrap_or_default().to_owned();
    let start = after + gap + skip;
    let told = header(&lines, "content-length").and_then(|text| text.parse::<usize>().ok());
    if let Some(length) = told {
        if length > PART_MAX {
            return Err(BadPush::Bounds("a part is too long"));
        }
        let end = start.saturating_add(length);
        // A length that does not end at a delimiter is a lie of some firmware: then search.
        let fits = |tail: &[u8]| {
            let tail = tail.strip_prefix(b"\r\n").or(tail.strip_prefix(b"\n")).unwrap_or(tail);
            tail.starts_with(delimiter) || tail.is_empty()
        };
        match buffer.get(end..) {
            Some(tail) if !whole && tail.len() < delimiter.len() + 2 && !fits(tail) => {
                return Ok(Step::More);
            }
            Some(tail) if fits(tail) => {
                return Ok(Step::Found(Found { media, name, body: start..end, next: end }));
            }
            Some(_) => {}
            None if !whole => return Ok(Step::More),
            None => {}
        }
    }
    let rest = buffer.get(start..).unwrap_or_default();
    let Some(length) = find(rest, delimiter) else {
        if rest.len() > PART_MAX {
            return Err(BadPush::Bounds("a part is too long"));
        }
        // The last part of a body that was cut: what is there may still be read.
        if whole && !rest.is_empty() {
            let body = start..buffer.len();
            return Ok(Step::Found(Found { media, name, body, next: buffer.len() }));
        }
        return nothing();
    };
    let body = rest.get(..length).unwrap_or_default();
    let body = body.strip_suffix(b"\r\n").or(body.strip_suffix(b"\n")).unwrap_or(body);
    let end = start + body.len();
    Ok(Step::Found(Found { media, name, body: start..end, next: start + length }))
}

/// The delimiter of a multipart media type; without a `boundary` the body's own first line.
fn delimiter(media: &str, body: &[u8]) -> Result<Vec<u8>, BadPush> {
    let told = text::parameter(media, "boundary").filter(|b| !b.is_empty() && b.len() <= 200);
    if let Some(boundary) = told {
        // Some firmware writes the dashes into the parameter already.
        let dashed = format!("--{boundary}");
        let known = find(body, dashed.as_bytes()).is_some() || !boundary.starts_with("--");
        return Ok(if known { dashed } else { boundary.to_owned() }.into_bytes());
    }
    let line = body.split(|b| *b == b'\n').find(|line| line.starts_with(b"--"));
    let line = line.map(|l| l.strip_suffix(b"\r").unwrap_or(l)).filter(|l| l.len() > 2);
    line.filter(|l| l.len() <= 202)
        .map(<[u8]>::to_vec)
        .ok_or_else(|| BadPush::malformed("multipart without a boundary"))
}

/// Whether a media type is multipart.
#[must_use]
pub fn is_multipart(media: &str) -> bool {
    media.trim_start().get(..10).is_some_and(|m| m.eq_ignore_ascii_case("multipart/"))
}

/// The parts of a whole body.
///
/// # Errors
/// [`BadPush`]: no boundary, or beyond a bound.
pub fn parts<'b>(media: &str, body: &'b [u8]) -> Result<Vec<Part<'b>>, BadPush> {
    let delimiter = delimiter(media, body)?;
    let mut parts = Vec::new();
    let mut rest = body;
    while let Step::Found(found) = step(rest, &delimiter, true)? {
        if parts.len() >= PARTS_MAX {
            return Err(BadPush::Bounds("too many parts"));
        }
        let bytes = rest.get(found.body).unwrap_or_default();
        parts.push(Part { media: found.media, name: found.name, bytes });
        rest = rest.get(found.next..).unwrap_or_default();
    }
    Ok(parts)
}

/// A stream of parts (`multipart/x-mixed-replace`): bytes in, parts out.
#[derive(Debug)]
pub struct Stream {
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
}

impl Stream {
    /// A stream with the boundary of its media type.
    ///
    /// # Errors
    /// [`BadPush::Malformed`] without one.
    pub fn new(media: &str) -> Result<Self, BadPush> {
        Ok(Self { delimiter: delimiter(media, b"")?, buffer: Vec::new() })
    }

    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole part as its media type and bytes; `None` until more bytes come.
    ///
    /// # Errors
    /// [`BadPush::Bounds`]; the connection is of no more use then.
    pub fn take(&mut self) -> Result<Option<(String, Vec<u8>)>, BadPush> {
        match step(&self.buffer, &self.delimiter, false)? {
            Step::Found(found) => {
                let bytes = self.buffer.get(found.body.clone()).unwrap_or_default().to_vec();
                self.buffer.drain(..found.next.min(self.buffer.len()));
                Ok(Some((found.media, bytes)))
            }
            Step::More | Step::End if self.buffer.len() > PART_MAX + HEADER_MAX => {
                Err(BadPush::Bounds("a part is too long"))
            }
            Step::More | Step::End => Ok(None),
        }
    }
}
