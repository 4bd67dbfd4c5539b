//! What an anomaly says: one plain sentence with its numbers and one next step, in both languages.
//! Never a name, a plate or a flat.

use crate::event::{AlarmCode, Text};
use std::collections::BTreeMap;

/// The sentence and the next step of an alarm. With its facts the sentence carries the numbers; where
/// one of them is not there it says what the kind of alarm is.
#[must_use]
pub fn sentences(code: AlarmCode, facts: &BTreeMap<String, String>) -> (Text, Text) {
    let words = words(code);
    let filled = fill(words.told_zh, facts).zip(fill(words.told_en, facts));
    let (zh, en) = filled.unwrap_or_else(|| (words.zh.to_owned(), words.en.to_owned()));
    let next = Text { zh: words.next_zh.to_owned(), en: words.next_en.to_owned() };
    (Text { zh, en }, next)
}

/// Puts facts into a sentence, `{rate}` by `{rate}`; `None` where one is not there.
fn fill(sentence: &str, facts: &BTreeMap<String, String>) -> Option<String> {
    let mut text = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, behind) = after.split_once('}')?;
        text.push_str(before);
        text.push_str(facts.get(key)?);
        rest = behind;
    }
    text.push_str(rest);
    Some(text)
}

struct Words {
    zh: &'static str,
    en: &'static str,
    told_zh: &'static str,
    told_en: &'static str,
    next_zh: &'static str,
    next_en: &'static str,
}

fn words(code: AlarmCode) -> Words {
    match code {
        AlarmCode::ContinuousFlow => Words {
            zh: "用量长时间没有停过，可能有漏点。",
            en: "Something flows without a pause: there may be a leak.",
            told_zh: "已连续 {hours} 小时没有停过，每小时至少 {rate}，期间共 {used}。",
            told_en: "It has flowed for {hours} hours without a pause, at least {rate} an hour, {used} in all.",
            next_zh: "关闭户内阀门看表是否停走；检查马桶、热水器和管道，确认后关阀。",
            next_en: "Close the flat's valve and see whether the meter stops; look at toilet, boiler and pipes, and confirm before the valve is closed.",
        },
        AlarmCode::NightFlow => Words {
            zh: "夜间最小流量高于以往。",
            en: "The least flow at night is above what it was before.",
            told_zh: "连续 {nights} 夜的最小流量为每小时 {rate}，此前各夜不超过 {before}。",
            told_en: "For {nights} nights the least flow was {rate} an hour; in the nights before it was at most {before}.",
            next_zh: "夜间到现场听漏，先看马桶和水箱浮球。",
            next_en: "Listen for a leak at night; look at toilets and float valves first.",
        },
        AlarmCode::ReverseFlow => Words {
            zh: "表在倒走。",
            en: "The meter runs backwards.",
            told_zh: "读数从 {high} 退到 {value}，共倒走 {back}。",
            told_en: "The register went from {high} back to {value}: {back} backwards.",
            next_zh: "检查止回阀和表的安装方向，并排除人为倒表。",
            next_en: "Check the non-return valve and the direction in which the meter is installed, and rule out tampering.",
        },
        AlarmCode::Balance => Words {
            zh: "总表比各分表之和多，而且比以往多。",
            en: "The master meter counts more than its sub-meters do, and more than it used to.",
            told_zh: "总表与分表之差为每小时 {loss}，平时约 {usual}，已累计多出 {excess}。",
            told_en: "Master less sub-meters is {loss} an hour instead of about {usual}; {excess} more so far.",
            next_zh: "检查总表到分表之间的管线和未装表的用水点。",
            next_en: "Check the pipes between the master and its sub-meters, and taps without a meter.",
        },
        AlarmCode::UnusualUse => Words {
            zh: "用量与平时同一时段相差很大。",
            en: "Use is far from what is usual at that time of the week.",
            told_zh: "{day} 用了 {used}，同一星期几通常为 {usual}，最近 {days} 天都偏高。",
            told_en: "On {day} {used} was used; usual for that weekday is {usual}; it has been high for {days} days.",
            next_zh: "询问住户近况；若无原因，检查漏点或表的故障。",
            next_en: "Ask whether anything changed; if not, look for a leak or a fault of the meter.",
        },
        AlarmCode::BuildingUse => Words {
            zh: "这栋楼的用量连续几天异常。",
            en: "This building's use has been unusual for days.",
            told_zh: "连续 {days} 天异常：{day} 全楼用了 {used}，同一星期几通常为 {usual}。",
            told_en: "Unusual for {days} days: on {day} the building used {used}; usual for that weekday is {usual}.",
            next_zh: "对照各户和公区的用量，找出多出的部分。",
            next_en: "Compare the flats and the common parts, and find where the difference is.",
        },
        AlarmCode::HouseholdUse => Words {
            zh: "这一户的用量连续几个月异常。",
            en: "This household's use has been unusual for months.",
            told_zh: "连续 {months} 个月异常：{month} 用了 {used}，上年同月为 {before}。",
            told_en: "Unusual for {months} months: {used} in {month}, {before} in the same month of the year before.",
            next_zh: "联系住户，核对表号和读数，并检查管道是否渗漏。",
            next_en: "Talk to the household, compare meter and reading, and check the pipes for a leak.",
        },
        AlarmCode::AboveLastYear => Words {
            zh: "用量比上年同期高出很多。",
            en: "Much more was used than in the same period of the year before.",
            told_zh: "{month} 用了 {used}，上年同期 {before}，高出 {percent}%。",
            told_en: "{used} in {month}, {before} a year before: {percent} % more.",
            next_zh: "检查运行时间、定时器和是否新增了设备。",
            next_en: "Check running times, timers, and whether equipment was added.",
        },
        AlarmCode::DeviceFlag => Words {
            zh: "设备上报了故障、开盖或电池不足。",
            en: "The device reports a fault, an opened cover or a low battery.",
            told_zh: "设备状态 {register} 为 {value}：{meaning_zh}。",
            told_en: "The device's status {register} is {value}: {meaning_en}.",
            next_zh: "到现场查看表和封印，必要时换表并登记。",
            next_en: "Look at the meter and its seal; exchange it and record that where needed.",
        },
        AlarmCode::MeterClock => Words {
            zh: "表内时钟不准。",
            en: "The meter's own clock is wrong.",
            told_zh: "表内时钟与网关相差 {seconds} 秒。",
            told_en: "The meter's clock differs from the gateway's by {seconds} seconds.",
            next_zh: "校时；若很快又不准，检查时钟电池。分时计费的表要先核对时段读数。",
            next_en: "Set its clock; where it is soon wrong again, check its battery. For time-of-use meters compare the registers of the windows first.",
        },
        AlarmCode::LongStay => Words {
            zh: "有车辆停留过久，可能漏记了出场。",
            en: "A vehicle has been inside for very long: its exit may have been missed.",
            told_zh: "该车已在场 {hours} 小时，上限为 {most} 小时。",
            told_en: "It has been inside for {hours} hours; {most} is the most that is plausible.",
            next_zh: "到车位核实；若已离场，补记出场。",
            next_en: "Look at the space; record the exit where it has left.",
        },
        AlarmCode::GateOpen => Words {
            zh: "道闸长时间未落下。",
            en: "The barrier has been open for too long.",
            told_zh: "道闸已开启 {minutes} 分钟。",
            told_en: "The barrier has been open for {minutes} minutes.",
            next_zh: "检查地感、闸杆和是否被人为顶住。",
            next_en: "Check the loop, the boom, and whether something holds it open.",
        },
        AlarmCode::DoorHeld => Words {
            zh: "门长时间未关。",
            en: "The door has been open for too long.",
            told_zh: "门已开启 {minutes} 分钟。",
            told_en: "The door has been open for {minutes} minutes.",
            next_zh: "查看是否被垫住，检查闭门器和门磁。",
            next_en: "See whether it is wedged; check closer and contact.",
        },
        AlarmCode::OddPayment => Words {
            zh: "有异常的缴费或退款。",
            en: "A payment or refund is odd.",
            told_zh: "{what_zh}：{count} 笔，共 {amount} 元。",
            told_en: "{what_en}: {count}, {amount} yuan in all.",
            next_zh: "与渠道对账并联系付款人；告警本身不改动任何账目。",
            next_en: "Compare with the channel and ask the payer; the alarm itself changes no account.",
        },
        AlarmCode::AlarmBudget => Words {
            zh: "本月告警过多，没有人会再看。",
            en: "There were more alarms this month than anybody reads.",
            told_zh: "本月每百户告警 {rate} 条，预算为 {budget} 条。",
            told_en: "{rate} alarms per 100 households this month; the budget is {budget}.",
            next_zh: "先处理未关闭的告警并反馈真假，再调整规则的阈值。",
            next_en: "Deal with the open ones and say which were right, then adjust the rules' thresholds.",
        },
        AlarmCode::MeterStuck => Words {
            zh: "这块表的读数长时间没有变化。",
            en: "This meter's register has not moved for a long time.",
            told_zh: "读数已 {days} 天没有变化；此前最长只停过 {before} 天。",
            told_en: "The register has not moved for {days} days; before it never stood still for more than {before}.",
            next_zh: "确认是否无人使用；否则检查表是否卡住或被旁路。",
            next_en: "Find out whether nothing is used; if something is, check the meter for a fault or a bypass.",
        },
        AlarmCode::MeterOffline
        | AlarmCode::ReadingHeld
        | AlarmCode::Unbilled
        | AlarmCode::Loss
        | AlarmCode::ClockUnsynced
        | AlarmCode::ClockStepped
        | AlarmCode::BrokerDown
        | AlarmCode::Certificate
        | AlarmCode::DeadLetter
        | AlarmCode::Store
        | AlarmCode::CameraOffline
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
        | AlarmCode::ControllerOffline
        | AlarmCode::ControllerPackets
        | AlarmCode::ControllerKey
        | AlarmCode::ControllerPower
        | AlarmCode::ControllerBehind => Words {
            zh: "网关自身的告警。",
            en: "An alarm of the gateway itself.",
            told_zh: "网关自身的告警。",
            told_en: "An alarm of the gateway itself.",
            next_zh: "查看告警的说明。",
            next_en: "See what the alarm says.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_carries_its_numbers_in_both_languages() {
        let facts = [("hours", "72"), ("rate", "18 L"), ("used", "1.9 m3")];
        let facts = facts.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let (text, _) = sentences(AlarmCode::ContinuousFlow, &facts);
        assert_eq!(text.zh, "已连续 72 小时没有停过，每小时至少 18 L，期间共 1.9 m3。");
        assert!(text.en.contains("72 hours"), "{}", text.en);
        let (text, next) = sentences(AlarmCode::ContinuousFlow, &BTreeMap::new());
        assert!(!text.en.contains('{') && !text.zh.contains('{') && !next.zh.is_empty());
    }
}
