//! What rules and doors say when they refuse, in Chinese. They speak English, because programs and logs read it
//! too; on the Chinese page a person reads this. `{}` stands for what differs: an id, an amount, a reason, which
//! is looked up itself. A test reads the rules' own sources: a refusal that has no translation fails it.

/// English as the rules say it, and Chinese.
const REFUSALS: &[(&str, &str)] = &[
    ("there is no account of this id", "没有这个户号。"),
    ("there is no meter of this id", "没有这块表。"),
    ("there is no meter {}", "没有表 {}。"),
    ("there is no dead letter {}", "没有死信 {}：可能已经有人重发了。"),
    ("{} ranges wait to be sent again: try later", "已有 {} 段等着补发，请稍后再试。"),
    ("the journal has no record {} that can be read", "日志里读不出记录 {}。"),
    ("a payment is more than nothing", "收款金额要大于零。"),
    ("this reference of the channel was recorded before", "这个渠道的这个流水号已经记过账了。"),
    ("less was handed over than is paid", "收到的现金比应收的少。"),
    ("tendered_fen is for cash", "只有现金才填实收金额。"),
    ("no payment of this id waits", "没有这笔待确认的收款。"),
    ("the refund is approved already", "这笔退款已经批准过了。"),
    ("another person than the one who asked must approve it", "申请人不能自己批准，请换一个人。"),
    (
        "more would be given back today than refund_day_max: approve it tomorrow",
        "超过了当天退款的总限额（refund_day_max），请明天再批准。",
    ),
    (
        "a clerk would give back more today than refund_clerk_day_max: approve it tomorrow",
        "超过了一名经办人当天的退款限额（refund_clerk_day_max），请明天再批准。",
    ),
    ("the refund is not approved", "这笔退款还没有批准。"),
    (
        "nobody approved the refund in time: ask for it again",
        "这笔退款没有人按时批准，已失效，请重新申请。",
    ),
    ("a refund is more than nothing", "退款金额要大于零。"),
    ("the deposit has not so much left", "这笔押金没有这么多余额。"),
    ("a deposit goes back by the way on which it came", "押金只能按原渠道退回。"),
    (
        "less came in on this way: money goes back as it came",
        "这个渠道没有收过这么多，只能按原渠道退回。",
    ),
    ("a deduction pays what is owed for the item, and no more", "扣款不能超过这个项目的欠费。"),
    ("there is a deposit of this id", "这笔押金的编号已经有了。"),
    ("a reason, an evidence or a condition is empty", "原因、凭证或条件没有填。"),
    (
        "the parts of a release rise in days (up to 3660) and sum to 100 percent",
        "分期退还的天数要递增（最多 3660 天），比例合计 100%。",
    ),
    (
        "cash is not below zero, and a note has at most 200 bytes",
        "现金不能小于零，备注最多 200 字节。",
    ),
    ("{} yuan differ: a note must say why", "相差 {} 元，请在备注里写明原因。"),
    ("the books have no money of that day", "账上没有这一天的收付。"),
    (
        "from and to are days like \"2026-04-05\", from before to",
        "起止日期写成 2026-04-05 的样子，起在止之前。",
    ),
    ("the statement is too long: split it", "对账单太长，请分成几份。"),
    (
        "no line names the columns: one of {}; and one of {}",
        "没有找到表头：要有 {} 之一，和 {} 之一。",
    ),
    ("line {}: {} is not an amount in yuan", "第 {} 行：{} 不是金额（元）。"),
    ("line {}: no reference", "第 {} 行没有流水号。"),
    ("line {} repeats line {}: reference {}", "第 {} 行和第 {} 行重复：流水号 {}。"),
    ("line {}: a quotation mark is not closed", "第 {} 行的引号没有闭合。"),
    ("the statement is longer than {} bytes: split it", "对账单超过 {} 字节，请分成几份。"),
    ("paid_on has not come yet", "缴款日还没有到。"),
    ("paid_on lies more than a year back", "缴款日早于一年以前。"),
    // Corrections and rules.
    ("no late fee is counted for this bill", "这张账单没有计违约金。"),
    ("the day is not one like \"2026-05-02\"", "日期写成 2026-05-02 的样子。"),
    ("the day has not come yet", "这一天还没有到。"),
    (
        "the bill is not paid: record its payment with paid_on",
        "这张账单还没有缴清：请在收款时填写缴款日。",
    ),
    (
        "an earlier correction is not durable yet: try again",
        "上一个更正还没有写入磁盘，请稍后再试。",
    ),
    ("no bill and no register knows this reading", "没有账单或表用过这个读数。"),
    ("the sum of the differences is too large", "差额合计太大。"),
    ("the block has no time zone", "配置里没有时区。"),
    ("a reason of 1 to 200 bytes is needed", "请写明原因（最多 200 字节）。"),
    ("this version is in force already", "这个版本已经在执行。"),
    ("there are {} rule files by command", "用命令下发的收费规则已经有 {} 份。"),
    (
        "rule {} came by file {}: bring a new version of that",
        "规则 {} 来自文件 {}：请提交那个文件的新版本。",
    ),
    (
        "this version leaves out rule {}, which is charged: end it by \"to\"; nothing is undone by deleting",
        "新版本少了正在收费的规则 {}：请用 to 写明截止日期；删除不会取消已经收的费。",
    ),
    ("nobody is bound to rule \"{}\"", "没有人适用规则 {}。"),
    ("rule \"{}\" for {} of account {}: {}", "规则 {}（户 {2} 的 {1}）：{3}"),
    ("rule \"{}\" is in {} and stays so", "规则 {} 在 {}，不能改。"),
    ("it needs a meter, and the charge has none", "要有表，而这项收费没有表。"),
    ("the meter has no such register", "这块表没有这个寄存器。"),
    ("the account has no {}", "户里没有写 {}。"),
    ("the tariff is per {}, the register counts {}", "规则按 {} 计价，而寄存器的单位是 {}。"),
    // Meters.
    ("not decided", "请先选择怎样处理。"),
    ("nothing is held on this register", "这个寄存器没有待复核的读数。"),
    ("the register was never read", "这个寄存器还没有读到过数。"),
    ("the meter has no billing register of this name", "这块表没有这个计费寄存器。"),
    (
        "the held value is lower: decide rollover, rebase or exchange",
        "待复核的读数更小：请选择翻转、重新起算或换表。",
    ),
    (
        "no rollover: its end is not known, or the value is not lower",
        "不是翻转：表的量程未知，或者读数没有变小。",
    ),
    ("initial_value is negative", "新表的起始读数不能小于零。"),
    ("final_value is lower than the last accepted reading", "旧表的止数比最后一次读数还小。"),
    (
        "final_value is more than the meter can have counted since it was read",
        "旧表的止数太大：上次读数以来不可能走这么多。",
    ),
    ("the meter cannot have counted so much since it was read", "上次读数以来不可能走这么多。"),
    ("an estimate is not below the last reading", "估计值不能小于最后一次读数。"),
    (
        "one reading is no base for an estimate: give a value",
        "只有一次读数，无法估计：请自己填一个值。",
    ),
    ("the clock is behind the last accepted reading", "时钟比最后一次读数还早，请先校准时钟。"),
    ("the numbers are too large to be exact", "数字太大，无法精确计算。"),
    ("the numbers are too large", "数字太大了。"),
    (
        "an order to this meter is still being carried out",
        "对这块表的上一个操作还没有完成，请稍等。",
    ),
    ("say why: reason is empty", "请写明原因。"),
    ("say why, in at most 400 bytes: reason is empty or too long", "请写明原因（最多 400 字节）。"),
    ("say why", "请写明原因。"),
    ("the line does not answer: the gateway stops", "线路没有回答：网关正在停止。"),
    // Moving out.
    ("until is not a day like \"2026-04-15\"", "日期写成 2026-04-15 的样子。"),
    (
        "until must be today or tomorrow: meters are read now",
        "只能结算到今天或明天：表是现在读的。",
    ),
    ("nothing is charged yet", "还没有开始计费。"),
    (
        "the month before is not closed yet: try again after its close",
        "上个月还没有结账，请结账后再试。",
    ),
    ("more than {} damages", "赔偿超过 {} 项。"),
    ("a damage is more than nothing and has a reason", "赔偿要大于零，并写明原因。"),
    ("inspection is longer than 200 bytes", "验房记录最多 200 字节。"),
    ("{} cannot be billed until {}: {}", "{} 现在不能结算到 {}：{}"),
    ("{} is a shared cost: a household does not move out of it", "{} 是公摊费用，不能单独退出。"),
    (
        "{} yuan go back that came in by no channel: \"channel\" says the way",
        "有 {} 元查不到原渠道，请选择退款渠道。",
    ),
    // Alarms.
    ("a mute lasts a year at most", "静音最长一年。"),
    ("a mute must end in the future", "静音的截止时间要在将来。"),
    ("a mute needs a reason of at most 400 characters", "静音要写明原因（最多 400 字）。"),
    ("a note has at most 400 characters", "备注最多 400 字。"),
    ("this alarm is not muted", "这个告警没有静音。"),
    ("only alarms about a meter have devices to check", "只有表的告警可以检查设备。"),
    ("the alarm is not about one meter", "这个告警不是针对一块表的。"),
    ("the alarm's rule does not allow to close a valve", "这条告警规则不允许关阀。"),
    ("the alarm's rule has no device check", "这条告警规则没有设备检查。"),
    // Parking.
    ("this block has no car park: the config has no [parking]", "配置里没有停车场（[parking]）。"),
    ("nothing is due for this stay now", "这次停车现在不用付费。"),
    ("another amount is due now: ask payment-status again", "应付金额已经变了，请刷新后再收。"),
    ("nothing of this id waits to be settled", "没有这条待处理的记录。"),
    ("give a plate or the time of the entry", "请填车牌或入场时间。"),
    ("the entry lies in the future", "入场时间不能在将来。"),
    ("give minutes, or an amount above zero", "请填分钟数，或大于零的金额。"),
    (
        "the clock is not synchronised: a decision about money needs a true time",
        "时钟没有同步：涉及收费的操作要先校时。",
    ),
    (
        "the bill cannot be made: the tariff is not in the config any more",
        "无法出账：收费规则已经不在配置里。",
    ),
    ("the price is beyond what is exact", "价格太大，无法精确计算。"),
    ("too dear", "价格太大。"),
    (
        "a pass is for 1 to 60 months, at a price that is not below zero",
        "月卡为 1 到 60 个月，价格不能小于零。",
    ),
    (
        "the pass holds longer than that already: begin when it ends",
        "月卡的有效期已经更长，请从到期日开始续。",
    ),
    ("from is not a day", "开始日期写成 2026-04-05 的样子。"),
    ("until is not after from", "结束要晚于开始。"),
    ("a visitor's permit ends: give until", "访客通行要填截止时间。"),
    ("a permit has 1 to 20 plates", "一张通行证有 1 到 20 个车牌。"),
    ("a permit is prepaid or on_account, not both", "预付和记账只能选一个。"),
    ("on_account needs an account", "记账要填户号。"),
    (
        "prepaid needs an account, whose prepaid money is on the card",
        "预付要填户号，用它的预存款。",
    ),
    ("there are as many permits as this box keeps", "通行证数量已到上限。"),
    ("no permit of this id was given by a command", "没有用命令发过这张通行证。"),
    ("the text is too long", "文字太长。"),
    // Doors.
    ("the door stands open already", "这扇门已经保持常开。"),
    ("the door is locked down: release it first", "这扇门已锁闭，请先解除。"),
    (
        "there is an emergency: its doors stay open until it is ended",
        "正在紧急开门，结束之前门保持打开。",
    ),
    ("there is no emergency", "现在没有紧急状态。"),
    ("a fire input is still on: reset the fire alarm first", "消防信号还在，请先复位消防主机。"),
    ("{} doors did not confirm it", "有 {} 扇门没有确认。"),
    ("say which doors", "请选择门。"),
    ("until lies in the past", "截止时间已经过去。"),
    ("until lies more than 31 days ahead", "截止时间最多在 31 天之内。"),
    ("until must lie after from, and in the future", "截止时间要晚于开始，并且在将来。"),
    ("from lies after to", "开始晚于结束。"),
    ("a grant lasts 366 days at most", "授权最长 366 天。"),
    ("a grant opens at least once", "授权至少能开一次门。"),
    ("there are as many grants as this box keeps", "授权数量已到上限。"),
    ("there is no grant of this id", "没有这个授权。"),
    ("another grant has this card", "这张卡已经有别的授权。"),
    ("no controller keeps a card of this number", "没有控制器存有这个卡号。"),
    ("give groups of the config: they say which doors", "请填配置里的分组，它决定能开哪些门。"),
    ("name exactly the entrances that the warning shows", "请填写提示中列出的全部入口。"),
    ("say who confirms it: by is a person's name or number", "请填确认人。"),
    ("nothing is confirmed", "没有确认过的欠费限制。"),
    ("this is shut out already", "已经限制过了。"),
    ("this is not shut out", "没有限制。"),
    ("the config has no [arrears_doors]", "配置里没有 [arrears_doors]。"),
    // The page itself.
    ("the last operator must stay one", "至少要留一个管理员。"),
    ("nobody removes themselves", "不能移除自己。"),
    ("this part is not for your role", "您的角色看不到这一部分。"),
    ("{} is not for the role {}", "{1} 角色不能做 {0}。"),
    ("a new user needs a password", "新用户要有密码。"),
    ("there may be {} users", "最多 {} 个用户。"),
    ("a scan is for the installer", "搜索和添加表计由安装人员进行。"),
    ("scan {} runs", "{} 正在进行。"),
    (
        "there is no line {}; a new wire is scanned by port or tcp",
        "没有线路 {}；新的线路请填串口或网口。",
    ),
    (
        "line {} is Modbus TCP: its devices have addresses of their own",
        "线路 {} 是 Modbus TCP，设备各有网络地址，不用搜索。",
    ),
    ("line {} uses {}: scan that line", "线路 {} 正在使用 {}，请选择那条线路。"),
    ("{} is no serial port like /dev/ttyUSB0", "{} 不是 /dev/ttyUSB0 这样的串口。"),
    ("{} is not host:port", "{} 不是 地址:端口。"),
    ("give one of line, port and tcp", "线路、串口和网口选一个。"),
    ("write it like 1-32; units are 1 to 247", "写成 1-32 的样子；地址是 1 到 247。"),
    ("the wire's task takes no more questions now", "线路正忙，请稍后再试。"),
    ("a backup is for the operator", "备份由管理员进行。"),
    ("another backup is being tried", "正在试读另一份备份，请稍后再试。"),
    ("the form has no number: open the page again", "表单没有编号，请重新打开页面。"),
    (
        "a user name has 1 to 32 of the characters a-z 0-9 . _ -",
        "用户名由 1 到 32 个 a-z 0-9 . _ - 组成。",
    ),
    ("a password may have 1024 bytes", "密码最长 1024 字节。"),
    ("unknown parameter {}; known here: {}", "不认识的参数 {}；这里有：{}。"),
    ("{} is given twice", "{} 填了两次。"),
    ("the store does not answer", "存储没有应答。"),
    ("wait {} s", "请等 {} 秒。"),
    (
        "others try this name with wrong passwords: wait {} s, or use a browser in which you have logged in before",
        "有人在用错误的密码试这个用户名：请等 {} 秒，或者换用以前登录过的浏览器。",
    ),
    ("too many log in at once: wait {} s", "同时登录的人太多：请等 {} 秒。"),
    ("the two passwords differ", "两次输入的密码不同。"),
    ("there are no bills to look at", "还没有账单可以对照。"),
    ("at most {} baud rates", "最多 {} 个波特率。"),
    ("{} is no baud rate: 300 to 4000000", "{} 不是波特率：300 到 4000000。"),
    ("there is no protocol {}; there are: {}", "没有协议 {}；有：{}。"),
    // What is asked in an address, by page and program.
    ("by must be hour, day or month", "by 写 hour、day 或 month。"),
    ("from must lie before to", "起始时间要在结束时间之前。"),
    ("from must not be after to", "起始时间不能在结束时间之后。"),
    ("from must not lie after to", "起始日期不能在结束日期之后。"),
    ("limit must be from 1 to {}, not {}", "limit 要在 1 到 {} 之间，不是 {}。"),
    ("more than {} rows: ask for less at once", "超过 {} 行：请缩小范围。"),
    (
        "parameter {}: {} is not a day like \"2026-03-01\"",
        "参数 {}：{} 不是 2026-03-01 这样的日期。",
    ),
    ("parameter {}: {}", "参数 {} 不对：{}"),
    ("{}: {} is no day", "{}：{} 不是日期。"),
    // What only programs do wrong.
    ("Idempotency-Key must have 1 to 255 characters", "Idempotency-Key 要有 1 到 255 个字符。"),
    ("Last-Event-ID must be a sequence number", "Last-Event-ID 要是序号。"),
    ("header {} is missing", "缺少标头 {}。"),
    ("header {}", "标头 {} 不对。"),
    ("it has another serial number", "序列号不同。"),
    ("it speaks another protocol", "协议不同。"),
    ("it needs the scope {}", "需要 {} 权限。"),
    ("the command: {}", "命令写得不对：{}"),
    ("the opening: {}", "开门请求写得不对：{}"),
    ("the question: {}", "问题写得不对：{}"),
    ("the scan: {}", "搜索请求写得不对：{}"),
    (
        "the page's forms are for people; use /v1/commands",
        "页面的表单给人用；程序请用 /v1/commands。",
    ),
    (
        "the request is not new: its time or nonce was used",
        "请求不是新的：它的时间或随机数用过了。",
    ),
    ("the request names no host, or two", "请求没有主机名，或者有两个。"),
    ("this token asks for other lanes", "这个令牌不管这条车道。"),
    ("this token pushes for other cameras", "这个令牌不管这台相机。"),
    ("lane: {}", "车道写得不对：{}"),
    ("ticket: longer than {} bytes", "票号超过 {} 字节。"),
    ("command {}", "命令 {}"),
    // How a barrier's device took an order.
    ("accepted", "设备已受理"),
    ("answered", "设备已应答"),
];

/// A refusal in Chinese; `None` where none is known.
pub(super) fn in_chinese(detail: &str) -> Option<String> {
    looked_up(REFUSALS, detail)
}

/// A text in Chinese by a table of patterns; `None` where none fits.
pub(super) fn looked_up(table: &[(&str, &str)], detail: &str) -> Option<String> {
    let whole = table.iter().find(|(en, _)| *en == detail);
    if let Some((_, zh)) = whole {
        return Some((*zh).to_owned());
    }
    table.iter().find_map(|(en, zh)| {
        let parts = parts(en, detail)?;
        // What is filled in may be a refusal itself.
        let parts: Vec<String> = parts
            .into_iter()
            .map(|part| looked_up(table, part).unwrap_or_else(|| part.to_owned()))
            .collect();
        Some(filled(zh, &parts))
    })
}

/// What stands in a text where the pattern has `{}`.
fn parts<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut fixed = pattern.split("{}");
    let mut rest = text.strip_prefix(fixed.next()?)?;
    let mut parts = Vec::new();
    let mut fixed = fixed.peekable();
    fixed.peek()?;
    while let Some(next) = fixed.next() {
        let at =
            if next.is_empty() && fixed.peek().is_none() { rest.len() } else { rest.find(next)? };
        let (part, after) = rest.split_at(at);
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        rest = after.strip_prefix(next)?;
    }
    rest.is_empty().then_some(parts)
}

/// `{}` in order, or `{1}` by number from 0.
fn filled(text: &str, parts: &[String]) -> String {
    let (mut out, mut rest, mut nth) = (String::new(), text, 0);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((which, after)) = after.split_once('}') else { break };
        out.push_str(before);
        let at = which.parse().unwrap_or(nth);
        nth += 1;
        out.push_str(parts.get(at).map_or("", String::as_str));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_differs_is_carried_over_and_reasons_inside_are_translated_too() {
        assert_eq!(in_chinese("nothing is charged yet").unwrap(), "还没有开始计费。");
        assert_eq!(
            in_chinese("12.50 yuan differ: a note must say why").unwrap(),
            "相差 12.50 元，请在备注里写明原因。"
        );
        assert_eq!(
            in_chinese("open-barrier is not for the role finance").unwrap(),
            "finance 角色不能做 open-barrier。"
        );
        assert_eq!(
            in_chinese("water cannot be billed until 2026-04-15: the register was never read")
                .unwrap(),
            "water 现在不能结算到 2026-04-15：这个寄存器还没有读到过数。"
        );
        assert_eq!(in_chinese("a valve that nobody knows"), None);
    }

    #[test]
    fn every_translation_is_chinese_and_names_the_same_parts() {
        for (en, zh) in REFUSALS {
            assert!(en.is_ascii() && !zh.is_ascii(), "{en}: {zh}");
            assert_eq!(en.matches("{}").count(), zh.matches('{').count(), "{en}");
        }
    }

    /// The texts behind `Err("` and `ok_or("` in a source, up to its tests.
    fn refusals(source: &str) -> Vec<String> {
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        for begin in ["Err(\"", "ok_or(\""] {
            for rest in source.split(begin).skip(1) {
                let text = rest.replace("\\\"", "\u{1}");
                let text = text.split('"').next().unwrap_or_default().replace('\u{1}', "\"");
                found.push(text);
            }
        }
        found
    }

    /// The texts of problems' details in a source, up to its tests, `{…}` as `{}`.
    fn details(source: &str) -> Vec<String> {
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        for begin in ["Problem::new(", "let detail =", "Err(format!(", "bad(format!(", "Err(\""] {
            for rest in source.split(begin).skip(1) {
                let begin =
                    if begin.ends_with('"') { Some(0) } else { rest.find('"').map(|at| at + 1) };
                // What stands before it is the code at most.
                let Some(begin) = begin.filter(|at| !rest[..*at].contains(';')) else { continue };
                let text = rest[begin..].replace("\\\"", "\u{1}");
                let text = text.split('"').next().unwrap_or_default().replace('\u{1}', "\"");
                let mut plain = String::new();
                for (n, part) in text.split('{').enumerate() {
                    let part = if n == 0 { part } else { part.split_once('}').map_or("", |p| p.1) };
                    plain.push_str(if n == 0 { "" } else { "{}" });
                    plain.push_str(part);
                }
                found.push(plain);
            }
        }
        found
    }

    fn sources(folder: &Path, all: &mut Vec<std::path::PathBuf>) {
        for row in std::fs::read_dir(folder).unwrap() {
            let path = row.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|e| e == "rs") {
                all.push(path);
            }
        }
    }

    #[test]
    fn what_page_and_api_refuse_is_said_in_chinese() {
        let gateway = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut all = vec![gateway.join("scans.rs")];
        sources(&gateway.join("http"), &mut all);
        let (mut seen, mut missing) = (0, Vec::new());
        // The faults of tokens.toml are told at the start, in the log.
        let asked = |path: &Path| !path.ends_with("tests.rs") && !path.ends_with("tokens.rs");
        for path in all.iter().filter(|path| asked(path)) {
            let is_test = path.components().any(|part| part.as_os_str() == "tests");
            let source = std::fs::read_to_string(path).unwrap();
            for text in details(&source).into_iter().filter(|text| !is_test && text.contains(' ')) {
                seen += 1;
                if in_chinese(&text.replace("{}", "x-1")).is_none() {
                    missing.push(format!("{}: {text}", path.display()));
                }
            }
        }
        assert!(seen > 50, "{seen} details found");
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn what_the_rules_refuse_is_said_in_chinese() {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/src/block");
        let (mut seen, mut missing) = (0, Vec::new());
        for file in std::fs::read_dir(&rules).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|e| e != "rs") {
                continue;
            }
            for text in refusals(&std::fs::read_to_string(&path).unwrap()) {
                // `overflow` and `too-many-members` are words of a document, not sentences.
                if !text.contains(' ') {
                    continue;
                }
                seen += 1;
                if in_chinese(&text).is_none() {
                    missing.push(format!("{}: {text}", path.display()));
                }
            }
        }
        assert!(seen > 60, "{seen} refusals found");
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
