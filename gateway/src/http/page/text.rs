//! The page's words in both languages. A key that lacks one does not compile; a test looks at what
//! the compiler cannot see: empty texts, different placeholders, Chinese that is none.

use crate::problem::Lang;

/// A language's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Say(pub(super) Lang);

macro_rules! words {
    ($($key:ident $zh:literal $en:literal;)*) => {
        impl Say {
            $(pub(super) fn $key(self) -> &'static str {
                match self.0 { Lang::Zh => $zh, Lang::En => $en }
            })*
        }

        /// Every key with its texts.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str, &str)] = &[$((stringify!($key), $zh, $en),)*];
    };
}

words! {
    skip "跳到正文" "Skip to content";
    overview "概览" "Overview";
    meters "表计" "Meters";
    bills "账单" "Bills";
    outbox "发件箱" "Outbox";
    alarms "告警" "Alarms";
    other_language "English" "中文";
    navigation "主导航" "Main";
    log_out "退出" "Log out";
    log_in "登录" "Log in";
    user "用户名" "User";
    password "密码" "Password";
    new_password "新密码（至少 10 个字符）" "New password (at least 10 characters)";
    again "再输一次" "The same again";
    set_up "首次设置" "First set-up";
    set_up_why "请用安装码设置第一个密码。安装码写在首次启动的日志里，只能用一次。" "Set the first password with the set-up code. The log of the first start shows it; it is valid once.";
    set_up_code "安装码" "Set-up code";
    set_up_do "设置密码并登录" "Set password and log in";
    login_why "本机维护页面" "Local maintenance page";
    forgot "忘记密码？请在控制台重置；之后日志里会有新的安装码。" "Lost the password? Reset it on the console; the log then shows a new set-up code.";
    plain_http "本连接未加密，仅限本机回环地址。" "This connection is not encrypted; it is open on loopback only.";
    offline "实时更新中断，正在重连；数值保持最后一次的样子。" "Live updates are interrupted, reconnecting; values stay as they were.";
    good "正常" "good";
    late "迟到" "late";
    silent "无应答" "silent";
    meters_good "数值新鲜的表计" "Meters with fresh values";
    cloud "云端" "Cloud";
    connected "已连接" "connected";
    disconnected "未连接" "not connected";
    not_configured "未配置" "not configured";
    since "自 {} 起" "since {}";
    retry_at "下次尝试：{}" "next attempt {}";
    waiting "等待确认" "waiting for a receipt";
    oldest "最早一条" "oldest";
    nothing_waits "没有等待的消息" "nothing waits";
    last_receipt "最近的回执" "last receipt";
    never "从未" "never";
    open_alarms "未解除的告警" "Open alarms";
    no_alarms "没有未解除的告警。" "No alarm is open.";
    clock "时钟" "Clock";
    clock_synced "已同步" "synchronised";
    clock_holdover "保持中（曾同步）" "holdover (was synchronised)";
    clock_unsynced "未同步：不结算账期" "not synchronised: no period is closed";
    lines "线路" "Lines";
    line "线路" "Line";
    state "状态" "State";
    line_open "已打开" "open";
    line_closed "未打开" "closed";
    busy "占用" "Busy";
    gateway "网关" "Gateway";
    version "版本" "Version";
    started "启动时间" "Started";
    boot "启动编号" "Boot id";
    config_hash "配置摘要" "Config hash";
    head_key "账本签名密钥" "Journal signing key";
    certificate "证书有效期至" "Certificate valid until";
    all "全部" "All";
    with_trouble "有问题的" "With trouble";
    no_meters "没有表计。" "There are no meters.";
    no_trouble "所有表计都正常。" "Every meter is fine.";
    details "详情" "Details";
    seconds_ago "{} 秒前" "{} s ago";
    minutes_ago "{} 分钟前" "{} min ago";
    hours_ago "{} 小时前" "{} h ago";
    days_ago "{} 天前" "{} d ago";
    no_value "无值" "no value";
    never_read "还没有读到过" "not read yet";
    stale "旧值" "stale";
    address "地址" "Address";
    profile "设备型号" "Device profile";
    accounts "户号" "Accounts";
    round_trip "应答时间" "Round trip";
    values "当前值" "Values now";
    register_name "寄存器" "Register";
    value "数值" "Value";
    role "用途" "Used for";
    role_billing "计费" "billing";
    role_live "实时" "live";
    role_status "状态" "status";
    judged "判定" "Judged";
    judged_opened "首次读数" "first reading";
    judged_accepted "可信" "accepted";
    judged_rollover "计数翻转" "rollover";
    judged_exchanged "换表" "exchanged";
    judged_rebased "重新起算" "begun anew";
    judged_estimated "估抄" "estimated";
    judged_held "待审" "held";
    polls "轮询计数" "Polls";
    result "结果" "Result";
    count "次数" "Count";
    what_to_check "检查什么" "What to check";
    class_good "成功" "good";
    class_timeout "超时" "timeout";
    class_checksum "校验错误" "checksum";
    class_protocol "协议错误" "protocol";
    class_value "数值错误" "value";
    check_timeout "接线、地址、波特率、供电。从未成功过：多半是地址不对。" "Wiring, address, baud rate, power. If it never answered, most likely the address is wrong.";
    check_checksum "干扰、终端电阻、屏蔽接地；总线上是否有两个主站。" "Noise, termination, shield and ground; two masters on the bus.";
    check_protocol "型号与地址是否相符：设备答了，但答的不是所问。" "Whether profile and address fit: the device answers, but not to what was asked.";
    check_value "设备给出的内容不是数值：型号、字节序、设备自检。" "The device answers with what cannot be a value: profile, word order, self-test.";
    last_fault "最近一次错误" "Last fault";
    raw_frame "收到的原始帧" "Raw frame received";
    nothing_received "什么也没收到" "nothing was received";
    held_title "待审读数" "Readings held for review";
    held_reverse "读数略有下降：反向流动或末位抖动。" "It went down a little: reverse flow, or the last digit jitters.";
    held_backwards "读数变小，又不像翻转：换了表没登记，或者读错。" "It went down, and that is no rollover: exchanged without a record, or misread.";
    held_too_fast "增长得比保险丝或管径允许的还快。" "It rose faster than fuse or pipe can let pass.";
    held_not_later "时间不晚于上一读数：时钟被拨回过。" "Its time is not after the reading before: the clock was set back.";
    decide_accept "确是用量，计费" "It is usage: bill it";
    decide_rollover "是翻转，按差值计费" "It is a rollover: bill the difference";
    decide_rebase "不是用量，从此值重新起算" "It is not usage: begin anew from here";
    decide_sure "决定会记入日志账，不能撤销。" "The decision is journaled and cannot be taken back.";
    test_read "立即读一次" "Read now";
    test_read_why "插队读取本表；不影响其他表计。" "Reads this meter ahead of the queue; others are not held up.";
    history "近 24 小时用量" "Usage of the last 24 hours";
    history_text "共 {}，每小时最多 {}。" "{} in all, at most {} an hour.";
    history_none "这 24 小时没有可信读数。" "No believed reading in these 24 hours.";
    history_table "以表格显示" "Show as a table";
    hour "小时" "Hour";
    usage "用量" "Usage";
    account "户号" "Account";
    item "项目" "Item";
    month "账期月份" "Period (month)";
    filter "筛选" "Filter";
    period "账期" "Period";
    total "合计" "Total";
    no_bills "没有符合条件的账单。" "No bill fits.";
    next_page "下一页" "Next page";
    first_page "回到第一页" "First page";
    bill "账单" "Bill";
    bill_id "账单编号" "Bill id";
    revision "修订" "Revision";
    first_issue "首次开具" "first issue";
    correction "第 {} 次更正" "correction {}";
    issued "开具时间" "Issued";
    tariff "价目" "Tariff";
    bill_lines "怎么算出来的" "How it is made up";
    label "条目" "Line";
    tier "第 {} 档" "tier {}";
    quantity "数量" "Quantity";
    unit_price "单价" "Unit price";
    exact "精确值" "Exact";
    amount "金额" "Amount";
    evidence "依据的读数" "The readings behind it";
    opening "起" "Opening";
    closing "止" "Closing";
    reading_id "记录号" "Record";
    multiplier "倍率" "Multiplier";
    used "用量" "Used";
    tier_counter "阶梯累计（{}）：本账单前 {}，之后 {}。" "Tier counter ({}): {} before this bill, {} after it.";
    no_evidence "按面积、人数或固定额收取，没有读数。" "Charged by area, persons or a fixed amount; no meter is behind it.";
    outbox_why "云端确认之前，每一条都留在这里；账单从不丢弃。" "Everything stays here until the cloud has confirmed it; bills are never discarded.";
    waiting_bills "其中账单" "of these, bills";
    acknowledged "代理已收，待云端回执" "at the broker, receipt pending";
    through "已确认到序号" "confirmed through";
    dead_letters "死信" "Dead letters";
    no_dead "没有死信。" "There are none.";
    dead_why "云端拒收或太大的消息：保留着，等人处理。" "Refused by the cloud or too large: kept until a person decides.";
    seq "序号" "Sequence";
    reason "原因" "Reason";
    alarm_history "历史" "History";
    no_history "还没有告警记录。" "No alarm has been recorded yet.";
    when "时间" "When";
    change "变化" "Change";
    updated "更新" "updated";
    cleared "解除" "cleared";
    what "内容" "What";
    next_step "怎么办" "What to do";
    info "提示" "info";
    warning "警告" "warning";
    critical "严重" "critical";
    done "完成：{}" "Done: {}";
    problem "出了问题" "Something is wrong";
    back "返回" "Back";
}

impl Say {
    /// A text with its `{}` filled in order.
    pub(super) fn fill(self, text: &str, parts: &[&str]) -> String {
        let mut parts = parts.iter();
        let mut pieces = text.split("{}");
        let mut out = pieces.next().unwrap_or("").to_owned();
        for piece in pieces {
            out.push_str(parts.next().copied().unwrap_or(""));
            out.push_str(piece);
        }
        out
    }

    /// One of two, by language.
    pub(super) fn of(self, text: &blockgate_rules::event::Text) -> &str {
        match self.0 {
            Lang::Zh => &text.zh,
            Lang::En => &text.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_both_languages_with_the_same_placeholders() {
        for (key, zh, en) in ALL {
            assert!(!zh.trim().is_empty() && !en.trim().is_empty(), "{key}");
            assert_eq!(zh.matches("{}").count(), en.matches("{}").count(), "{key}");
            if *key != "other_language" {
                assert!(!zh.is_ascii(), "{key}: {zh} is not Chinese");
                assert!(en.is_ascii(), "{key}: {en} is not English");
            }
        }
        let keys: std::collections::BTreeSet<_> = ALL.iter().map(|(key, ..)| key).collect();
        assert_eq!(keys.len(), ALL.len());
    }

    #[test]
    fn placeholders_are_filled_in_order() {
        let say = Say(Lang::En);
        assert_eq!(say.fill("a {} b {}", &["1", "2"]), "a 1 b 2");
        assert_eq!(say.fill("a {}", &["{}"]), "a {}");
        assert_eq!(say.fill("a {} {}", &["1"]), "a 1 ");
    }
}
