//! Barriers and cameras as devices: they push, push again when nobody answers, keep records while they
//! are cut off and replay them, take commands and move an arm. Written apart from the codecs in
//! `barrier`: own JSON, own frames, so that an error made twice does not hide.

use blockgate_types::Time;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How often a camera sends a record again before it keeps it for later.
pub const RESENDS: u8 = 4;
/// Records that a camera keeps while nobody answers; the oldest go first.
pub const KEPT_MAX: usize = 9000;

/// Which protocol a simulated device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimVendor {
    /// Vzenith: push with answers that open; TCP commands.
    Vzenith,
    /// Hikvision: push in multipart; ISAPI commands and position.
    Hikvision,
    /// Dahua: JSON push; strobe commands.
    Dahua,
}

#[derive(Debug)]
struct Arm {
    vendor: SimVendor,
    up: bool,
    locked: bool,
    deaf: bool,
    commands: u64,
    opened: u64,
    /// Position questions until the arm has moved.
    moving: u8,
}

/// A barrier with an arm. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SimBarrier(Arc<Mutex<Arm>>);

impl SimBarrier {
    /// A barrier that is down.
    #[must_use]
    pub fn new(vendor: SimVendor) -> Self {
        let arm = Arm {
            vendor,
            up: false,
            locked: false,
            deaf: false,
            commands: 0,
            opened: 0,
            moving: 0,
        };
        Self(Arc::new(Mutex::new(arm)))
    }

    fn arm(&self) -> MutexGuard<'_, Arm> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks it: commands are accepted, and the arm does not move.
    pub fn lock(&self, locked: bool) {
        self.arm().locked = locked;
    }

    /// Makes it silent: it takes requests and never answers.
    pub fn deafen(&self, deaf: bool) {
        self.arm().deaf = deaf;
    }

    /// Whether the arm is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.arm().up
    }

    /// How often it was commanded to open, and how often the arm went up.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let arm = self.arm();
        (arm.commands, arm.opened)
    }

    /// The output that lifts the arm is pulsed: by a command, or by an answer to its camera.
    pub fn pulse(&self) {
        let mut arm = self.arm();
        arm.commands = arm.commands.saturating_add(1);
        if !arm.locked && !arm.up {
            arm.up = true;
            arm.opened = arm.opened.saturating_add(1);
            arm.moving = 1;
        }
    }

    /// A car went through: the arm goes down. False when it was down: nobody could.
    pub fn passed(&self) -> bool {
        std::mem::replace(&mut self.arm().up, false)
    }

    /// Serves one connection until the other side closes it.
    ///
    /// # Errors
    /// The stream's.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> io::Result<()> {
        let vendor = self.arm().vendor;
        match vendor {
            SimVendor::Vzenith => self.serve_frames(&mut stream).await,
            SimVendor::Hikvision | SimVendor::Dahua => self.serve_http(&mut stream).await,
        }
    }

    async fn serve_frames<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
    ) -> io::Result<()> {
        loop {
            let mut head = [0; 8];
            stream.read_exact(&mut head).await?;
            let [_, _, kind, _, a, b, c, d] = head;
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(0).min(65_536);
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            if self.arm().deaf {
                continue;
            }
            if kind != 0 {
                stream.write_all(&head).await?;
                continue;
            }
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            let answer = match asked.get("cmd").and_then(Value::as_str) {
                Some("ioctl") => {
                    self.pulse();
                    json!({"state_code": 200})
                }
                Some("getsn") => json!({"value": "sim-0001", "state_code": 200}),
                Some(_) | None => json!({"state_code": 404}),
            };
            let text = answer.to_string();
            let mut frame = vec![b'V', b'Z', 0, 0];
            frame.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
            frame.extend_from_slice(text.as_bytes());
            stream.write_all(&frame).await?;
        }
    }

    async fn serve_http<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 2048];
        let (line, body) = loop {
            let n = stream.read(&mut buffer).await?;
            if n == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(buffer.get(..n).unwrap_or_default());
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|l| {
                let (name, value) = l.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                break (head.lines().next().unwrap_or_default().to_owned(), body.to_owned());
            }
        };
        if self.arm().deaf {
            return std::future::pending().await;
        }
        let (status, answer) = self.answer(&line, &body);
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    }

    fn answer(&self, line: &str, body: &str) -> (&'static str, String) {
        let status = |code: u8, sub: &str| {
            format!(
                "<ResponseStatus xmlns=\"http://www.hikvision.com/ver20/XMLSchema\"><statusCode>{code}</statusCode><subStatusCode>{sub}</subStatusCode></ResponseStatus>"
            )
        };
        if line.contains("action=openStrobe") {
            self.pulse();
            return ("200 OK", "OK\r\n".to_owned());
        }
        if line.contains("/barrierGateStatus") {
            let mut arm = self.arm();
            // An arm needs a moment: the first question after a command finds it on its way.
            let there = arm.moving == 0;
            arm.moving = 0;
            let number = if arm.up && there { 2 } else { 1 };
            let text = format!(
                "<BarrierGateStatus xmlns=\"http://www.isapi.org/ver20/XMLSchema\"><barrierGateStatus>{number}</barrierGateStatus></BarrierGateStatus>"
            );
            return ("200 OK", text);
        }
        if line.starts_with("PUT /ISAPI/Parking/") && body.contains("<ctrlMode>open</ctrlMode>") {
            self.pulse();
            return ("200 OK", status(1, "ok"));
        }
        ("403 Forbidden", status(4, "notSupport"))
    }
}

/// One record of a camera.
#[derive(Debug, Clone)]
struct Record {
    number: u64,
    plate: Option<String>,
    at: Time,
    sent: u8,
}

/// What a camera sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimPush {
    /// Media type.
    pub media: String,
    /// Body.
    pub body: Vec<u8>,
}

/// What an answer makes a camera do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// It lifts the arm.
    Opens,
    /// It keeps it down.
    Holds,
    /// It does not understand: the record is sent again.
    Again,
}

/// A camera that reads plates.
#[derive(Debug)]
pub struct SimCamera {
    vendor: SimVendor,
    serial: String,
    next: u64,
    current: Option<Record>,
    kept: VecDeque<Record>,
}

impl SimCamera {
    /// A camera with nothing kept.
    #[must_use]
    pub fn new(vendor: SimVendor, serial: &str) -> Self {
        Self { vendor, serial: serial.to_owned(), next: 1, current: None, kept: VecDeque::new() }
    }

    /// Sees a car; `None` for one without a plate.
    pub fn sees(&mut self, plate: Option<&str>, at: Time) -> SimPush {
        let record = Record { number: self.next, plate: plate.map(str::to_owned), at, sent: 1 };
        self.next = self.next.saturating_add(1);
        let push = self.push(&record, false);
        self.current = Some(record);
        push
    }

    /// Nobody answered in time: the same record again, or `None` when it is kept for later.
    pub fn unanswered(&mut self) -> Option<SimPush> {
        let mut record = self.current.take()?;
        if record.sent > RESENDS {
            if self.kept.len() >= KEPT_MAX {
                self.kept.pop_front();
            }
            self.kept.push_back(record);
            return None;
        }
        record.sent = record.sent.saturating_add(1);
        let push = self.push(&record, false);
        self.current = Some(record);
        Some(push)
    }

    /// Sends the last record once more, as cameras do whose answer was lost on the way.
    #[must_use]
    pub fn repeated(&self) -> Option<SimPush> {
        self.current.as_ref().map(|record| self.push(record, false))
    }

    /// The server answered the last car.
    pub fn answered(&mut self, status: u16, body: &str) -> Reaction {
        if !(200..300).contains(&status) {
            return Reaction::Again;
        }
        match self.vendor {
            SimVendor::Hikvision | SimVendor::Dahua => Reaction::Holds,
            SimVendor::Vzenith => {
                let answer: Value = serde_json::from_str(body).unwrap_or_default();
                let answer = answer.get("Response_AlarmInfoPlate").cloned().unwrap_or_default();
                match answer.get("info").and_then(Value::as_str) {
                    Some("ok") => Reaction::Opens,
                    Some(_) if answer.get("content").is_some() => Reaction::Holds,
                    Some(_) | None => Reaction::Again,
                }
            }
        }
    }

    /// How many records wait to be replayed.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Replays the oldest kept record.
    #[must_use]
    pub fn replay(&self) -> Option<SimPush> {
        self.kept.front().map(|record| self.push(record, true))
    }

    /// The server answered a replayed record; true when it is done with and the next may follow.
    pub fn replay_answered(&mut self, body: &str) -> bool {
        let answer: Value = serde_json::from_str(body).unwrap_or_default();
        let told = answer.pointer("/Response_AlarmInfoPlate/ContinuePushOffline");
        let number = told.and_then(|t| t.get("plateid")).and_then(Value::as_u64);
        let fits = match self.vendor {
            SimVendor::Vzenith => number == self.kept.front().map(|record| record.number),
            SimVendor::Hikvision | SimVendor::Dahua => true,
        };
        if fits {
            self.kept.pop_front();
        }
        fits
    }

    fn push(&self, record: &Record, replayed: bool) -> SimPush {
        let seconds = record.at.as_millis().checked_div(1000).unwrap_or(0);
        match self.vendor {
            SimVendor::Vzenith => {
                let body = json!({"AlarmInfoPlate": {
                    "serialno": self.serial, "ipaddr": "192.0.2.10", "deviceName": "sim", "channel": 0,
                    "result": {"PlateResult": {
                        "license": record.plate.as_deref().unwrap_or("_无_"), "plateid": record.number,
                        "colorType": 1, "type": 1, "confidence": 97, "direction": 4, "triggerType": 1,
                        "isoffline": u8::from(replayed), "gioouts": [{"ionum": "0", "ctrltype": 0}],
                        "timeStamp": {"Timeval": {"sec": seconds, "usec": 0}}, "imageFile": "",
                    }},
                }});
                SimPush {
                    media: "application/json".to_owned(),
                    body: body.to_string().into_bytes(),
                }
            }
            SimVendor::Hikvision => {
                let xml = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><EventNotificationAlert version=\"2.0\" xmlns=\"http://www.hikvision.com/ver20/XMLSchema\"><serialNumber>{}</serialNumber><dateTime>{}</dateTime><eventType>ANPR</eventType><eventState>active</eventState><ANPR><licensePlate>{}</licensePlate><direction>forward</direction><confidenceLevel>96</confidenceLevel><plateColor>blue</plateColor></ANPR><UUID>{}-{}</UUID><isDataRetransmission>{replayed}</isDataRetransmission></EventNotificationAlert>",
                    self.serial,
                    record.at,
                    record.plate.as_deref().unwrap_or("unknown"),
                    self.serial,
                    record.number
                );
                let mut body = format!(
                    "--sim\r\nContent-Disposition: form-data; name=\"anpr.xml\"\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{xml}\r\n--sim\r\nContent-Disposition: form-data; name=\"plate.jpg\"\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\n",
                    xml.len()
                )
                .into_bytes();
                body.extend_from_slice(b"\xff\xd8\xff\xd9\r\n--sim--\r\n");
                SimPush { media: "multipart/form-data; boundary=sim".to_owned(), body }
            }
            SimVendor::Dahua => {
                let body = json!({"Picture": {
                    "Plate": {"IsExist": record.plate.is_some(), "PlateNumber": record.plate,
                        "PlateColor": "Blue", "Confidence": 95, "UploadNum": record.number},
                    "SnapInfo": {"DeviceID": self.serial, "SnapTime": record.at.to_string()},
                }});
                SimPush {
                    media: "application/json".to_owned(),
                    body: body.to_string().into_bytes(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::{self, Reply, Report, Vendor};

    #[test]
    fn a_camera_s_pushes_are_read_and_its_answers_understood() {
        let at: Time = "2026-03-01T08:00:00+08:00".parse().unwrap();
        for (sim, vendor) in [
            (SimVendor::Vzenith, Vendor::Vzenith),
            (SimVendor::Hikvision, Vendor::Hikvision),
            (SimVendor::Dahua, Vendor::Dahua),
        ] {
            let mut camera = SimCamera::new(sim, "sim-1");
            let push = camera.sees(Some("粤B12345"), at);
            let report = barrier::read(vendor, &push.media, &push.body).unwrap();
            let Report::Car(seen) = &report else { panic!("{report:?}") };
            assert_eq!(seen.plate.as_deref(), Some("粤B12345"));
            assert!(seen.key.is_some() && !seen.replayed);
            let reply = |open| Reply { open, ..Reply::default() };
            let says = |open| barrier::answer(vendor, &report, &reply(open)).body;
            assert_eq!(camera.answered(200, &says(false)), Reaction::Holds, "{sim:?}");
            assert_eq!(camera.answered(500, ""), Reaction::Again);
            if barrier::opens_by_answer(vendor) {
                assert_eq!(camera.answered(200, &says(true)), Reaction::Opens);
            }
            // Nobody answers: four times again, then kept, then replayed and asked for one by one.
            for _ in 0..RESENDS {
                assert_eq!(camera.unanswered().as_ref(), Some(&push), "{sim:?}");
            }
            assert_eq!((camera.unanswered(), camera.kept()), (None, 1));
            let push = camera.replay().unwrap();
            let report = barrier::read(vendor, &push.media, &push.body).unwrap();
            let said = barrier::answer(vendor, &report, &reply(true)).body;
            if sim == SimVendor::Vzenith {
                assert!(!said.contains("\"info\":\"ok\""), "a car of the past opens nothing");
            }
            assert!(camera.replay_answered(&said) && camera.kept() == 0, "{sim:?}: {said}");
        }
    }
}
