//! What a camera saw at a lane. An observation like a meter's reading: what it means for stays and money
//! is for the rules.

use crate::id::{CameraId, LaneId};
use crate::plate::Plate;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// A vehicle at a lane, as a camera reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Passage {
    /// Which camera.
    pub camera: CameraId,
    /// Which lane; the config says in which direction it leads.
    pub lane: LaneId,
    /// When the camera saw it: by its own clock where that is plausible, else when it was reported.
    pub at: Time,
    /// The device's own number of this event. The same camera never uses it for another one, so a
    /// retransmission is known by it. Empty where the device numbers nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub event: String,
    /// What was read; none for a vehicle without a plate, or with one that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate: Option<PlateRead>,
    /// The number of the ticket that the vehicle shows where it has no plate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Whether the device kept it while it was offline and reports it now: nobody waits at the barrier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// A plate as a camera read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlateRead {
    /// The text.
    pub plate: Plate,
    /// How sure the camera is, 0 to 100; none where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// The plate's colour, which says the vehicle's kind.
    #[serde(default, skip_serializing_if = "PlateColour::is_unknown")]
    pub colour: PlateColour,
}

/// Colours of plates (GA 36-2018).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PlateColour {
    /// Not reported.
    #[default]
    Unknown,
    /// Small vehicles.
    Blue,
    /// Large vehicles, learners' cars.
    Yellow,
    /// Police, military, courts.
    White,
    /// Hong Kong, Macao, embassies.
    Black,
    /// New-energy small vehicles: green, fading to white.
    Green,
    /// New-energy large vehicles: yellow and green.
    YellowGreen,
}

impl PlateColour {
    /// Whether it was not reported.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    /// Whether it is a new-energy vehicle's.
    #[must_use]
    pub fn is_new_energy(self) -> bool {
        matches!(self, Self::Green | Self::YellowGreen)
    }
}
