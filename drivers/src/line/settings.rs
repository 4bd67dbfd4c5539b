//! How a line is set, and the defaults of each kind of line.

use crate::transport::Target;
use std::time::Duration;

/// How frames are put on the wire.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// A serial wire, on a port or through a transparent serial device server ("RTU over TCP"):
    /// Modbus RTU, DL/T 645, CJ/T 188 and M-Bus, also mixed. Nothing but silence ties a reply to its
    /// request for certain.
    Rtu,
    /// Modbus TCP: the MBAP header with its transaction id.
    Tcp,
}

/// All that a line must know. Every span is counted on tokio's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineSettings {
    /// Where it leads.
    pub target: Target,
    /// How frames are put on it.
    pub framing: Framing,
    /// Silence before a request. Modbus over Serial Line V1.02, 2.5.1.1: 3.5 characters, above 19,200
    /// baud 1.75 ms. Behind a serial server, whose speed and pauses nobody knows here, 5 ms; zero for
    /// MBAP.
    pub gap: Duration,
    /// How long a device may take for its whole answer; on a serial port the time that request and
    /// reply need on the wire is added.
    pub reply_timeout: Duration,
    /// How late an answer may still come after a request: as long a line stays in quarantine after a
    /// timeout. Has no meaning for MBAP.
    pub late_reply_max: Duration,
    /// Longest quarantine of a line that never falls silent; then it is connected anew.
    pub quarantine_max: Duration,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// Pause after the first failed attempt to connect; it doubles with each further one.
    pub backoff_min: Duration,
    /// Longest pause between two attempts.
    pub backoff_max: Duration,
    /// Whether a meter's blocks may be asked for in one write (MBAP only). Many serial device servers
    /// lose the second request.
    pub pipeline: bool,
    /// Whether a new RTU line begins in quarantine, because its last user may have asked something
    /// just before. A scan, which changes the baud rate often, turns it off.
    pub quarantine_at_open: bool,
}

impl LineSettings {
    /// A line with the defaults of its target and framing.
    #[must_use]
    pub fn new(target: Target, framing: Framing) -> Self {
        let mut settings = Self {
            target,
            framing,
            gap: Duration::ZERO,
            reply_timeout: Duration::from_millis(1000),
            late_reply_max: Duration::from_millis(3000),
            quarantine_max: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            pipeline: false,
            quarantine_at_open: framing == Framing::Rtu,
        };
        if framing == Framing::Rtu {
            settings.gap = settings.silence();
        }
        settings
    }

    /// The silence between two frames on a serial wire (Modbus over Serial Line V1.02, 2.5.1.1).
    fn silence(&self) -> Duration {
        match &self.target {
            Target::Serial { baud, .. } if *baud > FIXED_SILENCE_ABOVE => FIXED_SILENCE,
            Target::Serial { .. } => self.characters(7) / 2,
            Target::Tcp { .. } => SERVER_SILENCE,
        }
    }

    /// A line over TCP.
    #[must_use]
    pub fn tcp(host: &str, port: u16, framing: Framing) -> Self {
        Self::new(Target::Tcp { host: host.to_owned(), port }, framing)
    }

    /// The time that so many characters need on a serial wire; zero over TCP, where it is not known.
    #[must_use]
    pub fn characters(&self, count: usize) -> Duration {
        match &self.target {
            Target::Serial { baud, .. } => {
                let bits = u64::try_from(count)
                    .unwrap_or(u64::MAX)
                    .saturating_mul(u64::from(self.target.character_bits()));
                let micros = bits.saturating_mul(1_000_000).checked_div(u64::from(*baud));
                Duration::from_micros(micros.unwrap_or(0))
            }
            Target::Tcp { .. } => Duration::ZERO,
        }
    }
}

/// Above this baud rate the silence does not shrink further.
const FIXED_SILENCE_ABOVE: u32 = 19_200;
const FIXED_SILENCE: Duration = Duration::from_micros(1750);
/// A serial server packs what it receives by pauses of its own, a few milliseconds mostly.
const SERVER_SILENCE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Parity;

    #[test]
    fn the_silence_is_the_standard_s_and_5_ms_behind_a_serial_server() {
        let serial = |baud, parity| {
            let path = "/dev/ttyS0".to_owned();
            let target = Target::Serial { path, baud, data_bits: 8, parity, stop_bits: 1 };
            LineSettings::new(target, Framing::Rtu)
        };
        // Modbus over Serial Line V1.02: 11 bits a character with parity.
        for (baud, parity, micros) in [
            (1200, Parity::None, 29_166),
            (2400, Parity::Even, 16_041),
            (9600, Parity::Even, 4_010),
            (19_200, Parity::Even, 2_005),
            (38_400, Parity::Even, 1_750),
            (115_200, Parity::None, 1_750),
        ] {
            assert_eq!(serial(baud, parity).gap.as_micros(), micros, "{baud}");
        }
        assert_eq!(LineSettings::tcp("h", 502, Framing::Rtu).gap.as_millis(), 5);
        assert!(LineSettings::tcp("h", 502, Framing::Tcp).gap.is_zero());
        assert_eq!(serial(9600, Parity::None).characters(8).as_micros(), 8333);
    }
}
