//! Cameras that read plates and the barriers behind them: what they push, what they want to be
//! answered, and how a barrier is opened. Pure codecs over bytes; the gateway owns the sockets.
//!
//! | module | what |
//! |---|---|
//! | [`vzenith`] | Vzenith 臻识 / 芊熠 R-series: HTTP push and its answers, the TCP command channel, the LED and voice board |
//! | [`hikvision`] | Hikvision ISAPI: events in multipart or XML, the barrier's command and position |
//! | [`dahua`] | Dahua ITC: the `snapManager` stream, the JSON push, the strobe command |
//! | [`generic`] | the documented push of any other camera (`docs/cameras.md`) |
//! | [`multipart`], [`xml`], [`text`] | what they share, with a bound on everything |
//!
//! Nothing here panics on bytes, and nothing decides: a push that cannot be read is a [`BadPush`],
//! and no barrier ever opens for one.

pub mod dahua;
pub mod generic;
pub mod hikvision;
pub mod multipart;
pub mod text;
pub mod vzenith;
pub mod xml;

use blockgate_types::Time;
use std::str::FromStr;

/// Longest plate that is taken, in characters; the longest known has eight (粤Z1234港 has seven).
pub const PLATE_CHARS_MAX: usize = 16;
/// Longest device key (serial number, UUID) that is taken, in bytes.
pub const KEY_BYTES_MAX: usize = 96;

/// Whose protocol a camera speaks: the last part of its push address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    /// Vzenith 臻识 and those who copy it (芊熠, ALPHADIGI).
    Vzenith,
    /// Hikvision ISAPI.
    Hikvision,
    /// Dahua ITC.
    Dahua,
    /// The documented JSON push.
    Generic,
}

impl Vendor {
    /// All of them with their word in config and path.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("vzenith", Self::Vzenith),
        ("hikvision", Self::Hikvision),
        ("dahua", Self::Dahua),
        ("generic", Self::Generic),
    ];

    /// The word in config and path.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Vzenith => "vzenith",
            Self::Hikvision => "hikvision",
            Self::Dahua => "dahua",
            Self::Generic => "generic",
        }
    }
}

impl FromStr for Vendor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::WORDS.iter().find(|(word, _)| *word == text);
        known.map(|(_, vendor)| *vendor).ok_or_else(|| {
            let all: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
            format!("{text:?} is not a camera protocol; there are: {}", all.join(", "))
        })
    }
}

/// Why a push is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadPush {
    /// Not what the protocol says.
    Malformed(String),
    /// Bytes that are no text in any encoding that the protocol knows.
    Encoding,
    /// Too deep, too many parts, too long.
    Bounds(&'static str),
}

impl std::fmt::Display for BadPush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(what) => f.write_str(what),
            Self::Encoding => f.write_str("the text is neither UTF-8 nor GB18030"),
            Self::Bounds(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for BadPush {}

impl BadPush {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}

/// The colour of a plate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Colour {
    /// Not told, or not seen.
    #[default]
    Unknown,
    /// Small cars.
    Blue,
    /// Large cars, trailers, trainers.
    Yellow,
    /// Police, armed police, military.
    White,
    /// Embassies, Hong Kong and Macau, foreign cars of old.
    Black,
    /// New energy, small.
    Green,
    /// New energy, large.
    YellowGreen,
}

impl Colour {
    /// The word in the generic push and in events.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Blue => "blue",
            Self::Yellow => "yellow",
            Self::White => "white",
            Self::Black => "black",
            Self::Green => "green",
            Self::YellowGreen => "yellow-green",
        }
    }

    /// From the words that vendors use, whatever their case.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "blue" | "蓝" | "蓝色" => Self::Blue,
            "yellow" | "黄" | "黄色" => Self::Yellow,
            "white" | "白" | "白色" => Self::White,
            "black" | "黑" | "黑色" => Self::Black,
            "green" | "newenergygreen" | "shadowgreen" | "绿" | "绿色" => Self::Green,
            "yellow-green" | "yellowgreen" | "newenergyyellowgreen" | "黄绿" | "黄绿色" => {
                Self::YellowGreen
            }
            _ => Self::Unknown,
        }
    }
}

/// Which way the car drove, as the camera sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heading {
    /// Not told.
    #[default]
    Unknown,
    /// Towards the camera: the way that the lane is for.
    Toward,
    /// Away from the camera: the car backs out, or tailgates from the other side.
    Away,
}

/// One car that a camera saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The camera's own serial number, where it tells it.
    pub serial: Option<String>,
    /// What makes a repetition of this report known: the vendor's own key. `None` where the protocol
    /// has none; then plate, lane and time must do.
    pub key: Option<String>,
    /// The vendor's number of the record, wanted back in some answers.
    pub record: Option<i64>,
    /// The plate as text, normalised; `None` where the car has none or it was not read.
    pub plate: Option<String>,
    /// Its colour.
    pub colour: Colour,
    /// How sure the camera is, 0 to 100.
    pub confidence: Option<u8>,
    /// Which way it drove.
    pub heading: Heading,
    /// When, by the camera's clock; it may be wrong.
    pub at: Option<Time>,
    /// Kept while we were away and replayed now.
    pub replayed: bool,
    /// The camera opened by its own list.
    pub opened_by_camera: bool,
    /// What made the camera look, in the vendor's own number or word.
    pub trigger: Option<String>,
    /// A test or a photograph of a plate, not a car.
    pub fake: bool,
}

/// What a camera reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A car.
    Car(Box<Seen>),
    /// A digital input changed: the gate's arm, a loop, a button.
    Input {
        /// The camera's serial number.
        serial: Option<String>,
        /// Input, from 0.
        input: u8,
        /// Closed contact.
        on: bool,
    },
    /// It lives.
    Heartbeat {
        /// The camera's serial number.
        serial: Option<String>,
    },
    /// Something that needs no more than a receipt: a picture, serial bytes.
    Other(&'static str),
}

/// What is told to a camera that reported a car.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// Whether it opens.
    pub open: bool,
    /// A short line for the display.
    pub display: Option<String>,
    /// What the loudspeaker says.
    pub voice: Option<String>,
}

/// An answer in the vendor's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The body's media type.
    pub media: &'static str,
    /// The body.
    pub body: String,
}

/// Reads a push.
///
/// # Errors
/// [`BadPush`]: it is not this vendor's, or beyond a bound.
pub fn read(vendor: Vendor, media: &str, body: &[u8]) -> Result<Report, BadPush> {
    match vendor {
        Vendor::Vzenith => vzenith::push::read(media, body),
        Vendor::Hikvision => hikvision::event::read(media, body),
        Vendor::Dahua => dahua::push::read(media, body),
        Vendor::Generic => generic::read(body),
    }
}

/// The answer to a report, in the vendor's own form. Where the protocol lets the answer open the
/// barrier, it does so when `reply` says so; see [`opens_by_answer`].
#[must_use]
pub fn answer(vendor: Vendor, report: &Report, reply: &Reply) -> Answer {
    match vendor {
        Vendor::Vzenith => vzenith::reply::answer(report, reply),
        Vendor::Hikvision => hikvision::event::receipt(),
        Vendor::Dahua => dahua::push::receipt(report),
        Vendor::Generic => generic::answer(reply),
    }
}

/// Whether the answer to a push opens the barrier; else a command of its own does.
#[must_use]
pub fn opens_by_answer(vendor: Vendor) -> bool {
    match vendor {
        Vendor::Vzenith | Vendor::Generic => true,
        Vendor::Hikvision | Vendor::Dahua => false,
    }
}

/// The position of a barrier's arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// No signal.
    Unknown,
    /// Down.
    Closed,
    /// Up.
    Open,
}

impl Position {
    /// Its word.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

/// What a barrier is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateCommand {
    /// Up.
    Open,
    /// Down.
    Close,
}

/// What a device says to a command. `Accepted` is not the effect: read the position back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Taken; the arm may move.
    Accepted,
    /// This device does not know this command: another way may work.
    NotSupported,
    /// It will not.
    Refused(String),
    /// User or password are wrong: stop, or the device locks the account.
    Credentials,
}

/// One request to a device, for the gateway's HTTP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `PUT`.
    pub method: &'static str,
    /// Path with query.
    pub path: String,
    /// Media type of the body; empty without one.
    pub media: &'static str,
    /// The body.
    pub body: String,
}

/// A plate as text: normalised, or `None` where the text means "no plate".
///
/// Full-width letters become half-width, letters upper case, dots and blanks go. An unknown shape is
/// kept: a foreign plate is a plate.
///
/// # Errors
/// [`BadPush::Bounds`] for a text that is far too long to be a plate, [`BadPush::Malformed`] for one
/// with control characters.
pub fn plate(text: &str) -> Result<Option<String>, BadPush> {
    let text = text::ungarbled(text);
    let mut plate = String::new();
    let mut count = 0;
    for c in text.chars() {
        let c = match c {
            '\u{ff01}'..='\u{ff5e}' => {
                char::from_u32(u32::from(c).saturating_sub(0xfee0)).unwrap_or(c)
            }
            _ => c,
        };
        if c.is_whitespace() || matches!(c, '·' | '•' | '・' | '.' | '-') {
            continue;
        }
        if c.is_control() {
            return Err(BadPush::malformed("the plate has a control character"));
        }
        if c == char::REPLACEMENT_CHARACTER {
            return Err(BadPush::Encoding);
        }
        count += 1;
        if count > PLATE_CHARS_MAX {
            return Err(BadPush::Bounds("the plate is too long"));
        }
        plate.extend(c.to_uppercase());
    }
    // Some cameras write the colour in front: 蓝粤B12345.
    let mut chars = plate.chars();
    if let (Some('蓝' | '黄' | '白' | '黑' | '绿'), Some(second)) = (chars.next(), chars.next())
        && text::is_province(second)
    {
        plate = plate.chars().skip(1).collect();
    }
    let none = matches!(
        plate.as_str(),
        "" | "_无_" | "无" | "无牌" | "无牌车" | "未识别" | "车牌" | "UNKNOWN" | "NOPLATE" | "NULL"
    );
    Ok((!none).then_some(plate))
}

/// A device's key within its bound, without control characters; empty is none.
pub(crate) fn key(text: &str) -> Option<String> {
    let text = text.trim();
    let fine = !text.is_empty()
        && text.len() <= KEY_BYTES_MAX
        && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    fine.then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
