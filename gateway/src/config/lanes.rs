//! `[[camera]]` and `[[barrier]]`: who reports at which lane, and how its barrier opens.

use blockgate_drivers::barrier::Vendor;
use blockgate_drivers::transport::Target;
use blockgate_types::strict::Table;
use blockgate_types::{CameraId, LaneId, Span};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A camera that reads plates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraConfig {
    /// At which lane.
    pub lane: LaneId,
    /// Whose protocol it speaks.
    pub vendor: Vendor,
    /// Its own serial number; pushes with another one are refused.
    pub serial: Option<String>,
    /// Silent for longer than this is an alarm; never where it is not set.
    pub offline_after: Option<Span>,
}

/// How a barrier opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenBy {
    /// The answer to the camera's push.
    Answer,
    /// A command of its own.
    Command,
}

/// What a lane does while its decisions cannot be made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailSafe {
    /// Lets everybody through.
    Open,
    /// Asks for a person.
    Ask,
    /// Lets nobody through.
    Hold,
}

/// From where the arm's position is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionBy {
    /// From nowhere.
    Nowhere,
    /// The device is asked.
    Device,
    /// A contact of the arm at this input of the lane's camera.
    Input(u8),
}

/// A lane's barrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarrierConfig {
    /// Whose protocol it speaks.
    pub vendor: Vendor,
    /// How it opens for a car that its camera reported.
    pub open: OpenBy,
    /// Where it takes commands; none where only answers open it.
    pub target: Option<Target>,
    /// Its user, where it has one.
    pub user: Option<String>,
    /// File with its password.
    pub password_file: Option<PathBuf>,
    /// Channel of the device.
    pub channel: u32,
    /// From where the arm's position is known.
    pub position: PositionBy,
    /// How long the arm may take to show that it is open.
    pub arm_within: Span,
    /// What the lane does while its decisions cannot be made durable.
    pub fail_safe: FailSafe,
}

/// Cameras and barriers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LanesConfig {
    /// Cameras by id.
    pub cameras: BTreeMap<CameraId, CameraConfig>,
    /// Barriers by lane.
    pub barriers: BTreeMap<LaneId, BarrierConfig>,
}

/// Reads both kinds of section.
pub(super) fn read(root: &Table<'_>, path: &dyn Fn(&str) -> PathBuf) -> LanesConfig {
    let mut lanes = LanesConfig::default();
    let mut at = Vec::new();
    for table in root.tables("camera") {
        let id: Option<CameraId> = table.need_parsed("id");
        let camera = camera(&table);
        table.done();
        if let (Some(id), Some(camera)) = (id, camera) {
            at.push(camera.lane.clone());
            if lanes.cameras.insert(id.clone(), camera).is_some() {
                table.note_at("id", format!("camera {id} stands here twice"));
            }
        }
    }
    for table in root.tables("barrier") {
        let lane: Option<LaneId> = table.need_parsed("lane");
        let barrier = barrier(&table, path);
        table.done();
        if let (Some(lane), Some(barrier)) = (lane, barrier)
            && lanes.barriers.insert(lane.clone(), barrier).is_some()
        {
            table.note_at("lane", format!("lane {lane} has a barrier already"));
        }
    }
    for lane in &at {
        if !lanes.barriers.contains_key(lane) {
            root.note_at("camera", format!("there is no [[barrier]] with lane = \"{lane}\""));
        }
    }
    lanes
}

fn camera(table: &Table<'_>) -> Option<CameraConfig> {
    let lane = table.need_parsed("lane");
    let vendor = table.need_parsed("vendor");
    let serial = table.text("serial").map(str::to_owned);
    let offline_after: Option<Span> = table.parsed("offline_after");
    if offline_after.is_some_and(|span| span.as_millis() < 5_000) {
        table.note_at("offline_after", "offline_after must be at least 5s: a heartbeat's time");
    }
    Some(CameraConfig { lane: lane?, vendor: vendor?, serial, offline_after })
}

fn barrier(table: &Table<'_>, path: &dyn Fn(&str) -> PathBuf) -> Option<BarrierConfig> {
    let vendor: Option<Vendor> = table.need_parsed("vendor");
    let words = [("answer", OpenBy::Answer), ("command", OpenBy::Command)];
    table.need("open");
    let open = table.word("open", &words);
    let host = table.text("host").map(str::to_owned);
    let usual = match vendor {
        Some(Vendor::Vzenith) => i64::from(blockgate_drivers::barrier::vzenith::tcp::PORT),
        Some(Vendor::Hikvision | Vendor::Dahua | Vendor::Generic) | None => 80,
    };
    let port = table.integer("port", 1..=65_535).unwrap_or(usual);
    let target = host.map(|host| Target::Tcp { host, port: u16::try_from(port).unwrap_or(80) });
    if open == Some(OpenBy::Command) && target.is_none() {
        table.note("a barrier that opens by command needs host");
    }
    if open == Some(OpenBy::Command) && vendor == Some(Vendor::Generic) {
        table.note_at("open", "the generic protocol has no command: open must be \"answer\"");
    }
    if open == Some(OpenBy::Answer) && matches!(vendor, Some(Vendor::Hikvision | Vendor::Dahua)) {
        table.note_at("open", "this vendor's answer opens nothing: open must be \"command\"");
    }
    let user = table.text("user").map(str::to_owned);
    let password_file = table.text("password_file").map(path);
    if user.is_some() != password_file.is_some() {
        table.note("user and password_file belong together: give both or none");
    }
    let channel = table.integer("channel", 0..=64).unwrap_or(1);
    let input = table.integer("position_input", 0..=15);
    let device = table.flag("position_from_device").unwrap_or(false);
    if device && (vendor != Some(Vendor::Hikvision) || target.is_none()) {
        table.note_at(
            "position_from_device",
            "only a Hikvision barrier with host tells its position",
        );
    }
    let position = match (input, device) {
        (Some(input), _) => PositionBy::Input(u8::try_from(input).unwrap_or(0)),
        (None, true) => PositionBy::Device,
        (None, false) => PositionBy::Nowhere,
    };
    // No default: it decides who passes when nothing can be written down.
    table.need("fail_safe");
    let words = [("open", FailSafe::Open), ("ask", FailSafe::Ask), ("hold", FailSafe::Hold)];
    let fail_safe = table.word("fail_safe", &words);
    Some(BarrierConfig {
        vendor: vendor?,
        open: open?,
        target,
        user,
        password_file,
        channel: u32::try_from(channel).unwrap_or(1),
        position,
        arm_within: super::parse::bounded(table, "arm_within", Span::from_secs(8), 500, 60_000),
        fail_safe: fail_safe?,
    })
}

/// Reads a barrier's password; the file's first line.
///
/// # Errors
/// When it cannot be read.
pub fn password(file: &Path) -> std::io::Result<String> {
    Ok(std::fs::read_to_string(file)?.lines().next().unwrap_or_default().to_owned())
}
