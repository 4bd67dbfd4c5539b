//! Alarms: what they say and how urgent they are. A text is one plain sentence and one next step, in
//! both languages; never a name, a plate or a flat.

use crate::event::{Alarm, AlarmChange, AlarmCode, Hold, Severity, Text};
use blockgate_types::{AlarmId, Time};
use std::collections::BTreeMap;

/// The id of an alarm: the same code and subject always have the same.
#[must_use]
pub fn id(code: AlarmCode, subject: &str) -> Option<AlarmId> {
    let mut text = format!("{}|", word(code)).into_bytes();
    text.extend_from_slice(subject.as_bytes());
    let hash = ring::digest::digest(&ring::digest::SHA256, &text);
    AlarmId::new(&format!("alarm-{}", crate::hex(hash.as_ref().get(..10)?))).ok()
}

/// The id of an alarm that a rule raises: two rules never share one.
#[must_use]
pub fn id_by(code: AlarmCode, subject: &str, rule: &blockgate_types::TariffId) -> Option<AlarmId> {
    id(code, &format!("{subject}|{rule}"))
}

/// An alarm that opens.
#[must_use]
pub fn raised(
    code: AlarmCode,
    subject: &str,
    severity: Severity,
    at: Time,
    facts: BTreeMap<String, String>,
) -> Option<Alarm> {
    let (text, next) = sentences(code);
    Some(Alarm {
        id: id(code, subject)?,
        change: AlarmChange::Raised,
        code,
        subject: subject.to_owned(),
        severity,
        at,
        since: at,
        facts,
        text,
        next,
        rule: None,
        muted: None,
        feedback: None,
        work_order: None,
        check: None,
        confirmed_by: None,
    })
}

/// An open alarm with other facts.
#[must_use]
pub fn updated(open: &Alarm, at: Time, facts: BTreeMap<String, String>) -> Alarm {
    Alarm { change: AlarmChange::Updated, at, facts, ..open.clone() }
}

/// An open alarm that is over.
#[must_use]
pub fn cleared(open: &Alarm, at: Time) -> Alarm {
    Alarm { change: AlarmChange::Cleared, at, ..open.clone() }
}

/// How urgent an alarm of a kind is, where its circumstances do not say more.
#[must_use]
pub fn severity(code: AlarmCode) -> Severity {
    match code {
        AlarmCode::ReadingHeld
        | AlarmCode::Unbilled
        | AlarmCode::Loss
        | AlarmCode::Store
        | AlarmCode::GateUnknown
        | AlarmCode::MeterNotMoved
        | AlarmCode::LaneFailSafe
        | AlarmCode::DeviceReplay
        | AlarmCode::DoorForced
        | AlarmCode::DoorTamper
        | AlarmCode::DoorDuress
        | AlarmCode::DoorEmergency
        | AlarmCode::DoorUnknown
        | AlarmCode::DoorEventsLost
        | AlarmCode::ControllerPackets
        | AlarmCode::ControllerKey => Severity::Critical,
        AlarmCode::ControllerOffline | AlarmCode::ControllerPower | AlarmCode::ControllerBehind => {
            Severity::Warning
        }
        AlarmCode::CameraOffline => Severity::Warning,
        AlarmCode::MeterOffline
        | AlarmCode::MeterStuck
        | AlarmCode::ClockUnsynced
        | AlarmCode::ClockStepped
        | AlarmCode::BrokerDown
        | AlarmCode::Certificate
        | AlarmCode::DeadLetter => Severity::Warning,
        // By a rule the rule says how urgent; this is for a rule-less view of the kind.
        AlarmCode::ContinuousFlow
        | AlarmCode::NightFlow
        | AlarmCode::ReverseFlow
        | AlarmCode::Balance
        | AlarmCode::DeviceFlag
        | AlarmCode::MeterClock
        | AlarmCode::GateOpen
        | AlarmCode::DoorHeld
        | AlarmCode::OddPayment => Severity::Warning,
        AlarmCode::UnusualUse
        | AlarmCode::BuildingUse
        | AlarmCode::HouseholdUse
        | AlarmCode::AboveLastYear
        | AlarmCode::LongStay
        | AlarmCode::AlarmBudget => Severity::Info,
    }
}

/// How urgent a condition is, by its facts: a certificate in its last days is.
#[must_use]
pub fn severity_of_condition(code: AlarmCode, facts: &BTreeMap<String, String>) -> Severity {
    let last_days = || facts.get("days").is_some_and(|days| days == "3" || days == "0");
    if code == AlarmCode::Certificate && last_days() {
        return Severity::Critical;
    }
    severity(code)
}

/// How urgent a held reading is: a jitter of the last digit can wait.
#[must_use]
pub fn severity_of_hold(why: Hold) -> Severity {
    match why {
        Hold::Reverse => Severity::Info,
        Hold::NotLater | Hold::ClockUnset => Severity::Warning,
        Hold::Backwards | Hold::TooFast => Severity::Critical,
    }
}

/// The stable word of a kind of alarm, as in its JSON.
#[must_use]
pub fn word(code: AlarmCode) -> &'static str {
    match code {
        AlarmCode::MeterOffline => "meter-offline",
        AlarmCode::ReadingHeld => "reading-held",
        AlarmCode::MeterStuck => "meter-stuck",
        AlarmCode::Unbilled => "unbilled",
        AlarmCode::Loss => "loss",
        AlarmCode::ClockUnsynced => "clock-unsynced",
        AlarmCode::ClockStepped => "clock-stepped",
        AlarmCode::BrokerDown => "broker-down",
        AlarmCode::Certificate => "certificate",
        AlarmCode::DeadLetter => "dead-letter",
        AlarmCode::Store => "store",
        AlarmCode::ContinuousFlow => "continuous-flow",
        AlarmCode::NightFlow => "night-flow",
        AlarmCode::ReverseFlow => "reverse-flow",
        AlarmCode::Balance => "balance",
        AlarmCode::UnusualUse => "unusual-use",
        AlarmCode::BuildingUse => "building-use",
        AlarmCode::HouseholdUse => "household-use",
        AlarmCode::AboveLastYear => "above-last-year",
        AlarmCode::DeviceFlag => "device-flag",
        AlarmCode::MeterClock => "meter-clock",
        AlarmCode::LongStay => "long-stay",
        AlarmCode::GateOpen => "gate-open",
        AlarmCode::DoorHeld => "door-held",
        AlarmCode::OddPayment => "odd-payment",
        AlarmCode::AlarmBudget => "alarm-budget",
        AlarmCode::CameraOffline => "camera-offline",
        AlarmCode::GateUnknown => "gate-unknown",
        AlarmCode::MeterNotMoved => "meter-not-moved",
        AlarmCode::LaneFailSafe => "lane-fail-safe",
        AlarmCode::DeviceReplay => "device-replay",
        AlarmCode::DoorForced => "door-forced",
        AlarmCode::DoorTamper => "door-tamper",
        AlarmCode::DoorDuress => "door-duress",
        AlarmCode::DoorEmergency => "door-emergency",
        AlarmCode::DoorUnknown => "door-unknown",
        AlarmCode::DoorEventsLost => "door-events-lost",
        AlarmCode::ControllerOffline => "controller-offline",
        AlarmCode::ControllerPackets => "controller-packets",
        AlarmCode::ControllerKey => "controller-key",
        AlarmCode::ControllerPower => "controller-power",
        AlarmCode::ControllerBehind => "controller-behind",
    }
}

/// The stable word of a reason to hold, as in its JSON.
#[must_use]
pub fn hold_word(why: Hold) -> &'static str {
    match why {
        Hold::Reverse => "reverse",
        Hold::Backwards => "backwards",
        Hold::TooFast => "too-fast",
        Hold::NotLater => "not-later",
        Hold::ClockUnset => "clock-unset",
    }
}

/// What is the case, and what to do.
fn sentences(code: AlarmCode) -> (Text, Text) {
    let (zh, en, next_zh, next_en) = match code {
        AlarmCode::MeterOffline => (
            "这块表已经很久没有正确的应答。",
            "This meter has not answered correctly for a long time.",
            "检查表的供电、接线、地址和波特率。",
            "Check the meter's power, wiring, address and baud rate.",
        ),
        AlarmCode::ReadingHeld => (
            "这块表的读数不可信，已挂起，不计费。",
            "This meter's reading is not believed; it is held and not billed.",
            "到现场核对表盘，然后接受、判为翻转、重新设底数，或登记换表。",
            "Compare with the meter's display, then accept, decide rollover or rebase, or record an exchange.",
        ),
        AlarmCode::MeterStuck => (
            "这块表的读数长时间没有变化。",
            "This meter's register has not moved for a long time.",
            "确认是否无人使用；否则检查表是否卡住或被旁路。",
            "Find out whether nothing is used; if something is, check the meter for a fault or a bypass.",
        ),
        AlarmCode::Loss => (
            "总表与分表之差为负、超限，或读数时间相差过大；该公摊未出账。",
            "Master and sub-meters differ by less than nothing, by more than the bound, or were read too far apart; the cost was not shared.",
            "核对总表与分表的读数、倍率和接线。",
            "Check readings, multipliers and wiring of the master meter and its sub-meters.",
        ),
        AlarmCode::Unbilled => (
            "有收费项目在本期结算时无法出账。",
            "Some charges could not be billed when the period was closed.",
            "查看结算记录中的原因并处理；下一期会一并补收。",
            "Look at the reasons in the period's record and resolve them; the next close covers them.",
        ),
        AlarmCode::ClockUnsynced => (
            "时钟未同步，结算暂停。",
            "The clock is not synchronised; the close of periods waits.",
            "检查网络和时间服务器。",
            "Check the network and the time server.",
        ),
        AlarmCode::ClockStepped => (
            "系统时间被往回拨或发生跳变。",
            "The wall clock was set back or has jumped.",
            "检查时间服务器和时钟电池；期间的读数会先挂起。",
            "Check the time server and the clock's battery; readings in between are held.",
        ),
        AlarmCode::BrokerDown => (
            "无法连接云端消息服务器。",
            "The broker cannot be reached or refuses this gateway.",
            "检查网络、地址、证书和账号；数据保存在本地，恢复后补发。",
            "Check the network, the address, the certificate and the login; data waits here and follows.",
        ),
        AlarmCode::Certificate => (
            "证书即将到期、已经到期或不匹配。",
            "A certificate ends soon, has ended, or does not fit.",
            "更换证书。",
            "Replace the certificate.",
        ),
        AlarmCode::DeadLetter => (
            "云端拒收了一条消息。",
            "The cloud refused a message.",
            "查看死信及拒收原因，处理后重发。",
            "Look at the dead letter and its reason, and send it again when that is resolved.",
        ),
        AlarmCode::Store => (
            "存储损坏后已重建，或磁盘将满。",
            "The store was damaged and rebuilt, or the disk is nearly full.",
            "检查磁盘的健康和剩余空间。",
            "Check the disk's health and free space.",
        ),
        AlarmCode::CameraOffline => (
            "车牌相机或道闸没有应答。",
            "A camera or barrier does not report, or cannot be reached.",
            "检查供电、网线、地址和口令；期间请人工放行并补记进出。",
            "Check its power, cable, address and password; let cars through by hand meanwhile and record them.",
        ),
        AlarmCode::GateUnknown => (
            "不知道道闸是否已经开启。",
            "Whether the barrier opened is not known.",
            "到现场查看闸杆和车辆，再决定是否重新开闸；网关不会自动重发。",
            "Look at the arm and the car, then decide whether to open again; the gateway does not repeat it.",
        ),
        AlarmCode::MeterNotMoved => (
            "表的继电器、阀门或时钟没有按命令动作，或不知道是否动作。",
            "A meter's relay, valve or clock did not do what was ordered, or whether it did is not known.",
            "到现场查看，再决定是否重新下令；网关不会自动重发。",
            "Look at the meter, then decide whether to order it again; the gateway does not repeat it.",
        ),
        AlarmCode::LaneFailSafe => (
            "磁盘无法写入，该车道按预设的故障策略放行或拦截。",
            "The disk cannot be written: the lane works by its fail-safe policy.",
            "检查磁盘；恢复后核对期间的进出记录。",
            "Check the disk; afterwards compare the passages of that time.",
        ),
        AlarmCode::DoorForced => (
            "门在没有授权的情况下被打开。",
            "The door was opened without a right.",
            "到现场查看门和人；关好后告警自动消除，或由人确认。",
            "Look at the door and who is there; the alarm ends when it is closed, or when somebody confirms it.",
        ),
        AlarmCode::DoorTamper => (
            "读头或控制器被拆动。",
            "A reader or a controller's box was tampered with.",
            "到现场检查设备和接线，确认告警。",
            "Look at the device and its wiring, then confirm the alarm.",
        ),
        AlarmCode::DoorDuress => (
            "有人在门口求助或输入了胁迫码。",
            "Somebody called for help at a door, or typed the code that says \"under threat\".",
            "立即派人，必要时报警；处理后确认告警。",
            "Send somebody at once, call the police where needed; confirm the alarm afterwards.",
        ),
        AlarmCode::DoorEmergency => (
            "因火警或紧急情况，门保持开启。",
            "Doors stand open because of a fire or an emergency.",
            "确认人员安全；复位火警后，在门禁的权限页结束紧急状态（命令 end-emergency）。",
            "See that everybody is safe; reset the fire alarm, then end the emergency under Doors, Rights (command end-emergency).",
        ),
        AlarmCode::DoorUnknown => (
            "不知道门是否已经开启。",
            "Whether the door opened is not known.",
            "到现场查看，再决定是否重新开门；网关不会自动重发。",
            "Look at the door, then decide whether to open again; the gateway does not repeat it.",
        ),
        AlarmCode::DoorEventsLost => (
            "控制器的部分记录在读取前被覆盖。",
            "A controller overwrote entries before they could be read.",
            "检查控制器离线的原因；确认告警。",
            "Find out why the controller was away for so long; confirm the alarm.",
        ),
        AlarmCode::ControllerOffline => (
            "门禁控制器或读头没有应答。",
            "A door controller or a reader does not answer.",
            "检查供电、线路和地址；有自身名单的控制器继续工作，OSDP 读头的门须用钥匙或从内侧开启。",
            "Check its power, cable and address; controllers with a list of their own work on, doors of OSDP readers open by key and from inside.",
        ),
        AlarmCode::ControllerPackets => (
            "收到伪造、重放或来自其他地址的门禁报文，已拒绝。",
            "Packets that are not the controller's came and were refused: forged, recorded, or from another address.",
            "检查门禁网段里有什么设备，把它与其他网络隔开。",
            "Look at what else is on the doors' network, and keep it apart from the others.",
        ),
        AlarmCode::ControllerKey => (
            "读头的密钥与配置不符。",
            "The reader has another key than ours, or none: nothing of it is believed.",
            "核对读头的密钥；是否被更换过？",
            "Compare the reader's key; was the reader replaced?",
        ),
        AlarmCode::ControllerPower => (
            "读头或门禁控制器的供电不足。",
            "The power of a reader or a door controller is low or failing.",
            "检查电源和后备电池。",
            "Check its supply and its battery.",
        ),
        AlarmCode::ControllerBehind => (
            "控制器的名单与应有的不一致。",
            "The controller does not have the list that it should have.",
            "查看待推送的数量和原因。",
            "Look at what is pending for it, and why.",
        ),
        AlarmCode::DeviceReplay => (
            "有人重放了设备的签名请求。",
            "A device's signed request came twice.",
            "检查该设备所在网络，更换它的密钥。",
            "Look at the device's network and give it a new key.",
        ),
        AlarmCode::ContinuousFlow
        | AlarmCode::NightFlow
        | AlarmCode::ReverseFlow
        | AlarmCode::Balance
        | AlarmCode::UnusualUse
        | AlarmCode::BuildingUse
        | AlarmCode::HouseholdUse
        | AlarmCode::AboveLastYear
        | AlarmCode::DeviceFlag
        | AlarmCode::MeterClock
        | AlarmCode::LongStay
        | AlarmCode::GateOpen
        | AlarmCode::DoorHeld
        | AlarmCode::OddPayment
        | AlarmCode::AlarmBudget => return crate::anomaly::text::sentences(code, &BTreeMap::new()),
    };
    let text = |zh: &str, en: &str| Text { zh: zh.to_owned(), en: en.to_owned() };
    (text(zh, en), text(next_zh, next_en))
}
