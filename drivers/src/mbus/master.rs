//! The master's side: a readout over a line.

use super::data::{self, Telegram};
use super::frame::{self, Address, Frame, LONG_MAX, Secondary, control};
use crate::line::Line;
use crate::profile::SerialDefaults;
use blockgate_types::{FaultClass, ReadFault};

/// Most telegrams of one readout: a meter that never ends is ill.
const TELEGRAMS_MAX: usize = 16;

/// Reads a meter whole: resets the link, selects the meter where it is addressed by its identity, and
/// asks for telegrams until none follows. The frame count bit toggles after every good answer, so that
/// a repeated answer is never taken for the next one. `reset` is false for meters that do not
/// acknowledge SND_NKE.
///
/// # Errors
/// Timeout, checksum; protocol: another meter answered, an application error, a telegram that cannot
/// be read to its end.
pub async fn read(
    line: &mut Line,
    address: Address,
    reset: bool,
    speed: Option<SerialDefaults>,
) -> Result<Vec<Telegram>, ReadFault> {
    match address {
        Address::Primary(_) if !reset => {}
        Address::Primary(primary) => {
            short(line, control::SND_NKE, primary, speed).await?;
        }
        Address::Secondary(secondary) => {
            select(line, secondary, speed).await?;
        }
    }
    let mut telegrams = Vec::new();
    // After SND_NKE and after a selection the first request bears FCB 1.
    let mut fcb = control::FCB;
    while telegrams.len() < TELEGRAMS_MAX {
        line.request.clear();
        frame::put_short(&mut line.request, control::REQ_UD2 | fcb, address.link());
        line.send().await?;
        let sent = line.request.clone();
        let bytes = sent.len() + LONG_MAX;
        let reply = line.receive_at(bytes, speed, |got| frame::judge(address, &sent, got)).await?;
        let telegram = telegram(reply)?;
        let first: Option<&Telegram> = telegrams.first();
        if first.is_some_and(|first| identity(first) != identity(&telegram)) {
            let what = "another meter answered in the middle of a readout".to_owned();
            let class = FaultClass::WrongDevice;
            return Err(ReadFault { class, what, raw: Vec::new() });
        }
        let more = telegram.more;
        telegrams.push(telegram);
        if !more {
            return Ok(telegrams);
        }
        fcb ^= control::FCB;
    }
    Err(protocol(format!("more than {TELEGRAMS_MAX} telegrams follow"), Vec::new()))
}

fn identity(telegram: &Telegram) -> Option<Secondary> {
    telegram.header.map(|header| header.identity)
}

fn telegram(reply: &[u8]) -> Result<Telegram, ReadFault> {
    let fault = |what: String| protocol(what, reply.to_vec());
    let Ok(Frame::Long { ci, data, .. }) = Frame::parse(reply) else {
        return Err(fault("an answer without data".to_owned()));
    };
    let telegram = data::parse(ci, &data).map_err(fault)?;
    match &telegram.broken {
        Some(what) => Err(fault(what.clone())),
        None => Ok(telegram),
    }
}

/// Selects a meter by its identity; with wildcards, every meter that fits. Whoever was
/// selected before and does not fit is deselected by it (EN 13757-3, 11.3).
///
/// # Errors
/// Timeout: nobody is selected. Checksum: several answered at once.
pub async fn select(
    line: &mut Line,
    secondary: Secondary,
    speed: Option<SerialDefaults>,
) -> Result<(), ReadFault> {
    line.request.clear();
    frame::put_select(&mut line.request, secondary);
    acknowledged(line, speed).await
}

async fn short(
    line: &mut Line,
    control: u8,
    address: u8,
    speed: Option<SerialDefaults>,
) -> Result<(), ReadFault> {
    line.request.clear();
    frame::put_short(&mut line.request, control, address);
    acknowledged(line, speed).await
}

async fn acknowledged(line: &mut Line, speed: Option<SerialDefaults>) -> Result<(), ReadFault> {
    line.send().await?;
    let sent = line.request.clone();
    let bytes = sent.len() + 1;
    line.receive_at(bytes, speed, |got| frame::judge_ack(&sent, got)).await.map(|_| ())
}

fn protocol(what: String, raw: Vec<u8>) -> ReadFault {
    ReadFault { class: FaultClass::Protocol, what, raw }
}
