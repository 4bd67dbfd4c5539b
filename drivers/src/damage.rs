//! Why bytes are not a frame, said so that a person finds the place.
//!
//! DL/T 645, CJ/T 188 and M-Bus frame alike: a start byte, a length, a sum over bytes, `16H`. So the
//! same few things can be wrong with them.

/// What is wrong with a frame. Places count from 1, as people count the bytes of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// There is no start byte at all.
    NoStart,
    /// It ends too early.
    Short {
        /// Bytes from the start byte on.
        has: usize,
        /// Bytes that it needs at least.
        needs: usize,
    },
    /// A byte that is the same in every frame is another one.
    Byte {
        /// Its place.
        at: usize,
        /// What stands there.
        is: u8,
        /// What should.
        want: u8,
        /// Its name.
        what: &'static str,
    },
    /// The length byte does not fit what follows.
    Length {
        /// Its place.
        at: usize,
        /// The data bytes that it announces.
        says: usize,
        /// The data bytes that follow.
        follow: usize,
    },
    /// A length that no frame has.
    TooSmall {
        /// Its place.
        at: usize,
        /// What it says.
        says: u8,
        /// The least that a frame has.
        least: u8,
    },
    /// The two length bytes of an M-Bus frame differ.
    TwoLengths {
        /// The first.
        first: u8,
        /// The second.
        second: u8,
    },
    /// The sum does not hold.
    Checksum {
        /// Its place.
        at: usize,
        /// What stands there.
        is: u8,
        /// The sum of the bytes.
        want: u8,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::NoStart => f.write_str("there is no start byte 68"),
            Self::Short { has, needs } => {
                write!(f, "the frame has {has} bytes and needs at least {needs}")
            }
            Self::Byte { at, is, want, what } => {
                write!(f, "byte {at} is {is:02X} and should be {want:02X} ({what})")
            }
            Self::Length { at, says, follow } => {
                write!(f, "the length in byte {at} says {says} data bytes, {follow} follow")
            }
            Self::TooSmall { at, says, least } => {
                write!(f, "the length in byte {at} is {says}, a frame has at least {least}")
            }
            Self::TwoLengths { first, second } => {
                write!(f, "the two length bytes differ: {first:02X} and {second:02X}")
            }
            Self::Checksum { at, is, want } => {
                write!(
                    f,
                    "the checksum in byte {at} is {is:02X}, the sum of the bytes is {want:02X}"
                )
            }
        }
    }
}

impl std::error::Error for Damage {}

/// The arithmetic sum of bytes modulo 256, which the three protocols use.
#[must_use]
pub fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
