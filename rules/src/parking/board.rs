//! The board at the entrance, made from the rule: what is printed there and what is charged come from the
//! same fields.

use super::lines::window_text;
use super::plan::{
    BlockAtEdge, BlockRounding, CapScope, Cycle, DayType, Exceeded, FreeMode, ParkingTariff, Plan,
    Progress, Reentry, Renews, Seconds, Step,
};
use crate::event::Text;
use blockgate_types::Decimal;

/// The board's lines in both languages, in the order in which they are printed.
#[must_use]
pub fn board(tariff: &ParkingTariff, plan: &Plan) -> Vec<Text> {
    let unit = currency(&tariff.currency);
    let mut lines = vec![tariff.label.clone()];
    lines.extend(free(plan));
    for (index, window) in plan.windows.iter().enumerate() {
        let at = window_text(plan, index);
        let steps = window.steps.iter().enumerate().map(|(n, step)| {
            let last = n.saturating_add(1) == window.steps.len();
            self::step(step, n == 0, last, &unit)
        });
        let steps: Vec<Text> = steps.collect();
        let zh = steps.iter().map(|text| text.zh.as_str()).collect::<Vec<_>>().join("；");
        let en = steps.iter().map(|text| text.en.as_str()).collect::<Vec<_>>().join("; ");
        let (rounding_zh, rounding_en) = match window.rounding {
            BlockRounding::Up => ("不足一个计费单位按一个计费单位计", "a started unit counts"),
            BlockRounding::Down => ("不足一个计费单位不计费", "an incomplete unit is free"),
        };
        let cap = window.cap.map(|cap| price(cap, &unit)).map_or_else(
            || Text { zh: String::new(), en: String::new() },
            |cap| Text {
                zh: format!("；该时段最高 {}", cap.zh),
                en: format!("; at most {} for this time", cap.en),
            },
        );
        lines.push(Text {
            zh: format!("{}：{zh}；{rounding_zh}{}", at.zh, cap.zh),
            en: format!("{}: {en}; {rounding_en}{}", at.en, cap.en),
        });
    }
    if !covers_all(plan) {
        lines.push(text("以上时段之外不收费", "Outside of these times parking is free"));
    }
    lines.extend(caps(plan, &unit));
    lines.extend(small_print(plan));
    lines
}

fn text(zh: &str, en: &str) -> Text {
    Text { zh: zh.to_owned(), en: en.to_owned() }
}

/// How a currency is written: before or after a number.
fn currency(code: &str) -> Text {
    match code {
        "CNY" => text("元", "yuan"),
        other => text(other, other),
    }
}

fn price(amount: Decimal, unit: &Text) -> Text {
    let amount = amount.normalize();
    Text { zh: format!("{amount} {}", unit.zh), en: format!("{amount} {}", unit.en) }
}

fn step(step: &Step, first: bool, last: bool, unit: &Text) -> Text {
    let price = price(step.price, unit);
    let minutes = step.minutes;
    match (step.times, first, last) {
        (Some(1), true, false) => Text {
            zh: format!("首 {minutes} 分钟 {}", price.zh),
            en: format!("first {minutes} min {}", price.en),
        },
        (Some(times), _, false) => {
            let (zh, en) = if first { ("首", "first") } else { ("其后", "then") };
            Text {
                zh: format!("{zh} {times} 个 {minutes} 分钟，每个 {}", price.zh),
                en: format!("{en} {times} × {minutes} min at {} each", price.en),
            }
        }
        (Some(_) | None, true, _) => Text {
            zh: format!("每 {minutes} 分钟 {}", price.zh),
            en: format!("{} per {minutes} min", price.en),
        },
        (Some(_) | None, false, _) => Text {
            zh: format!("之后每 {minutes} 分钟 {}", price.zh),
            en: format!("after that {} per {minutes} min", price.en),
        },
    }
}

fn free(plan: &Plan) -> Option<Text> {
    let free = plan.free.as_ref()?;
    let minutes = free.minutes;
    let (again_zh, again_en) = match free.renews {
        Renews::Stay => ("每次停车一次", "once in a stay"),
        Renews::Cycle => ("每个计费周期一次", "once in each cycle"),
    };
    Some(match free.mode {
        FreeMode::Subtract => Text {
            zh: format!("前 {minutes} 分钟免费（{again_zh}），超过后从第 {minutes} 分钟起计费"),
            en: format!("First {minutes} min free ({again_en}); charged from then on"),
        },
        FreeMode::WholeStay => Text {
            zh: format!("不超过 {minutes} 分钟（含）免费（{again_zh}），超过后从进场起计费"),
            en: format!(
                "Up to {minutes} min (included) free ({again_en}); when exceeded, charged from the entry"
            ),
        },
        FreeMode::DeductPrice => Text {
            zh: format!("减免首 {minutes} 分钟的费用"),
            en: format!("The price of the first {minutes} min is deducted"),
        },
    })
}

fn caps(plan: &Plan, unit: &Text) -> Option<Text> {
    if plan.caps.is_empty() {
        return None;
    }
    let (zh, en) = match plan.cycle {
        Cycle::None => ("每次停车".to_owned(), "a stay".to_owned()),
        Cycle::FromEntry => ("自进场起每 24 小时".to_owned(), "24 hours from the entry".to_owned()),
        Cycle::CivilDay => ("每个自然日".to_owned(), "a calendar day".to_owned()),
        Cycle::OperatorDay { start } => {
            let clock = format!("{:02}:{:02}", start.div_euclid(60), start.rem_euclid(60));
            (format!("每日 {clock} 至次日 {clock}"), format!("a day from {clock} to {clock}"))
        }
    };
    let list: Vec<Text> = plan.caps.iter().map(|cap| price(*cap, unit)).collect();
    let zh_list = list.iter().map(|text| text.zh.as_str()).collect::<Vec<_>>().join("、");
    let en_list = list.iter().map(|text| text.en.as_str()).collect::<Vec<_>>().join(", ");
    let (shared_zh, shared_en) = match plan.cap_scope {
        CapScope::Stay => ("", ""),
        CapScope::Vehicle => ("，同一车辆多次进出合并计算", ", all visits of a vehicle together"),
    };
    let several = if list.len() > 1 { ("依次", " in turn") } else { ("", "") };
    Some(Text {
        zh: format!("{zh}{}最高 {zh_list}{shared_zh}", several.0),
        en: format!("At most {en_list}{} for {en}{shared_en}", several.1),
    })
}

fn small_print(plan: &Plan) -> Vec<Text> {
    let mut lines = Vec::new();
    lines.push(match plan.seconds {
        Seconds::Drop => text("不足一分钟不计", "Seconds are dropped"),
        Seconds::Up => text("不足一分钟按一分钟计", "A started minute counts"),
    });
    if plan.windows.len() > 1 || !covers_all(plan) {
        lines.extend(at_edge(plan));
        lines.push(match plan.progress {
            Progress::Segment if plan.block_at_edge.is_lapses() => {
                text("跨时段重新起算", "Units begin anew where a time begins")
            }
            Progress::Segment => text(
                "计费单位的次序在每个时段重新起算",
                "The order of units begins anew in each time",
            ),
            Progress::Stay => {
                text("跨时段累计已用计费单位", "Units used are counted over the whole stay")
            }
        });
    }
    match plan.day_type {
        DayType::None => {}
        DayType::PerSegment => lines.push(text(
            "工作日、节假日按停放当日计（含调休）",
            "Workday or holiday by the day of parking (make-up workdays included)",
        )),
        DayType::AtEntry => lines.push(text(
            "工作日、节假日按进场当日计（含调休）",
            "Workday or holiday by the day of the entry (make-up workdays included)",
        )),
        DayType::PerBlock => lines.push(text(
            "工作日、节假日按每个计费单位开始当日计（含调休）",
            "Workday or holiday by the day on which a unit begins (make-up workdays included)",
        )),
    }
    if let Reentry::FreeNotAgain { within_min } = plan.reentry {
        lines.push(Text {
            zh: format!("离场 {within_min} 分钟内再次进场不再享受免费时长"),
            en: format!("No free time again within {within_min} min of the exit"),
        });
    }
    let grace = plan.after_payment.grace_min;
    lines.push(match plan.after_payment.exceeded {
        Exceeded::NewPart => Text {
            zh: format!("缴费后请在 {grace} 分钟内离场，超过的按全程费用补差"),
            en: format!("Leave within {grace} min of paying; after that the difference is due"),
        },
        Exceeded::FromPayment => Text {
            zh: format!("缴费后请在 {grace} 分钟内离场，超过的自缴费时起重新计费"),
            en: format!(
                "Leave within {grace} min of paying; after that charged anew from the payment"
            ),
        },
    });
    if plan.new_energy_percent != Decimal::ONE_HUNDRED {
        let percent = plan.new_energy_percent.normalize();
        lines.push(Text {
            zh: format!("新能源汽车按 {percent}% 收取"),
            en: format!("New-energy vehicles pay {percent} %"),
        });
    }
    lines
}

/// What becomes of a unit that the end of its time cuts; nothing to say where its rest lapses.
fn at_edge(plan: &Plan) -> Option<Text> {
    match plan.block_at_edge {
        BlockAtEdge::Lapses => None,
        BlockAtEdge::Carries if covers_all(plan) => Some(text(
            "跨时段时未满的计费单位接续计时，只计一次，按其结束时所在时段计价",
            "A unit not complete where its time ends goes on: charged once, by the time in which it ends",
        )),
        BlockAtEdge::Carries => Some(text(
            "跨时段时未满的计费单位接续计时（不收费时段除外），只计一次，按其结束时所在时段计价",
            "A unit not complete where its time ends goes on after any free time: charged once, by the time in which it ends",
        )),
        BlockAtEdge::PriceAtStart => Some(text(
            "跨时段时未满的计费单位按其开始时所在时段计价，满后再起算下一个",
            "A unit not complete where its time ends runs on at the price of its start; the next begins after it",
        )),
    }
}

/// Whether every minute of every day lies in a window.
fn covers_all(plan: &Plan) -> bool {
    use super::plan::DayKind;
    [DayKind::Workday, DayKind::Holiday]
        .into_iter()
        .all(|kind| (0..1_440_u16).all(|minute| plan.windows.iter().any(|w| w.holds(minute, kind))))
}
