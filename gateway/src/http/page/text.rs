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
    class_wrong_device "设备不符" "wrong device";
    class_value "数值错误" "value";
    check_timeout "接线、地址、波特率、供电。从未成功过：多半是地址不对。" "Wiring, address, baud rate, power. If it never answered, most likely the address is wrong.";
    check_checksum "干扰、终端电阻、屏蔽接地；总线上是否有两个主站。" "Noise, termination, shield and ground; two masters on the bus.";
    check_protocol "型号是否相符：设备答了，但答的不是所问。" "Whether the profile fits: the device answers, but not to what was asked.";
    check_wrong_device "别的表替它答了：两块表地址重复、总线上有第二个主站，或设备答得太晚。" "Another meter answered in its place: two meters with one address, a second master, or answers that come too late.";
    check_line_silent "整条线路没有一块表应答：A/B 是否接反、波特率、线路供电、串口服务器。" "No meter of this line answers: A and B swapped, the baud rate, the line's power, the serial server.";
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
    length "时长" "Length";
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
    done "完成。" "Done.";
    done_before "这张表单之前已经提交并执行，没有重复操作。" "This form was sent and carried out before; nothing was done twice.";
    see_fields "有内容需要改正，见下面的红字。" "Something is to be put right: see the red text below.";
    must_fill "请填写。" "Fill this in.";
    too_long "太长了。" "This is too long.";
    not_understood "看不懂这个内容。" "This cannot be understood.";
    no_number "请写成数字，例如 1204.55。" "Write a number, for example 1204.55.";
    no_amount "请写成金额，例如 128.50，最多到分。" "Write an amount, for example 128.50, to the fen at most.";
    may_be_empty "（可不填）" "(optional)";
    in_this_section "本栏目" "In this section";
    money_section "收费" "Bills";
    households "住户" "Households";
    counter "柜台" "Counter";
    receipts "收据" "Receipts";
    receipt "收据" "Receipt";
    corrections "更正" "Corrections";
    rules "收费规则" "Rules";
    find_household "扫码，或输入户号、表号、账单编号" "Scan, or type an account, meter or bill number";
    find_household_why "扫码枪直接扫就行；只写一部分户号，会列出所有符合的住户。" "A scanner can be used as it is; a part of an account number lists all that fit.";
    find "查找" "Find";
    building "楼栋" "Building";
    no_household "没有符合的住户。" "No household fits.";
    persons "{} 人" "{} persons";
    owed "应缴" "Owed";
    overdue "逾期" "Overdue";
    prepaid "预存" "Prepaid";
    due_on "{} 前缴" "due {}";
    due "缴费期限" "Due";
    deposits "押金" "Deposits";
    deposit "押金" "Deposit";
    deposits_why "押金单独存放，不抵扣费用；只能按约定退还，或由人扣款。" "Deposits are kept apart and never set off against bills; they go back by their terms, or a person deducts from them.";
    no_deposits "没有押金。" "There is no deposit.";
    contract "合同" "contract";
    condition_met "条件已满足" "condition met";
    condition_open "条件未满足" "condition open";
    condition_is_met "条件已满足，可以退" "The condition is met";
    take_deposit "收押金" "Take a deposit";
    deposit_kind "押金种类" "Kind of deposit";
    deposit_kind_hint "例如：装修、门禁卡" "For example: renovation, door card";
    deposit_condition "退还条件" "When it goes back";
    deposit_condition_hint "例如：装修验收通过" "For example: the works are accepted";
    composition "费用构成" "What the bills are made of";
    composition_text "最近一个月（{}）合计 {}。" "In the latest month ({}): {} in all.";
    composition_none "还没有账单。" "There are no bills yet.";
    trail "资金流水" "Money trail";
    trail_why "每一笔账单、收款和退款，以及之后的应缴和预存。" "Every bill, payment and refund, and what was owed and prepaid after it.";
    no_trail "还没有资金流水。" "No money has moved yet.";
    owed_then "之后应缴" "Owed then";
    prepaid_then "之后预存" "Prepaid then";
    older_steps "还有 {} 笔更早的。" "There are {} older ones.";
    by "经办" "By";
    take_payment "收款" "Take a payment";
    amount_yuan "金额（元）" "Amount (yuan)";
    channel_word "收款方式" "Way of payment";
    channel_wechat "微信" "WeChat Pay";
    channel_alipay "支付宝" "Alipay";
    channel_unionpay "银联" "UnionPay";
    channel_cash "现金" "cash";
    channel_bank "银行转账" "bank transfer";
    channel_pos_scan "POS 扫码" "code at a terminal";
    channel_pos_card "POS 刷卡" "card at a terminal";
    channel_kiosk "自助终端" "kiosk";
    channel_other "其他" "other";
    tendered "实收现金" "Cash handed over";
    tendered_hint "填了就会算出找零。" "The change follows from it.";
    change_back "找零" "Change";
    only_cash "只有现金才填这一项。" "This is for cash only.";
    too_little "收到的现金比应收的少。" "Less was handed over than is to be paid.";
    reference "流水号" "Reference";
    reference_hint "非现金必填；同一个流水号不会重复入账。" "Needed unless it is cash; the same one is never booked twice.";
    reference_needed "非现金收款要填流水号。" "A payment that is not cash needs its reference.";
    toward "用途" "What for";
    toward_bills "缴清欠费，余下转预存" "what is owed, the rest is prepaid";
    toward_prepaid "预存" "later bills (prepaid)";
    payer "代缴人编号" "Who pays instead";
    payer_hint "不是住户本人缴费时填写。" "Where it is not the household itself.";
    refunds "退款" "Refunds";
    refund_queue "等待处理的退款" "Refunds that wait";
    no_refunds "没有等待处理的退款。" "No refund waits.";
    ask_refund "申请退款" "Ask for a refund";
    refund_from "从哪里退" "From where";
    refund_channel_hint "钱从哪里来，就退回哪里。" "Money goes back on the way on which it came.";
    asked_by "申请人" "asked for by";
    waits_approval "等待另一人批准" "waits for another person's approval";
    approved_pay_out "已批准，待付款" "approved, to be paid out";
    until "有效至" "until";
    approve "批准" "Approve";
    paid_out_now "已付款" "Paid out";
    void_refund "作废" "Void it";
    today "今天" "Today";
    day "日期" "Day";
    no_payments_today "今天还没有收款。" "Nothing has been paid today yet.";
    count_cash "清点现金" "Count the cash";
    count_cash_why "下班时清点，系统与账面比较并记录差额。" "Count at the end of the day; it is compared with the books and the difference is recorded.";
    counted "清点金额（元）" "Counted (yuan)";
    count_note_hint "有差额时写明原因。" "Say why where it differs.";
    note_word "备注" "Note";
    expected "账面" "Books";
    difference "差额" "Difference";
    differences "差额账单数" "Bills of difference";
    days_closed "已日结" "Closed days";
    days_closed_why "每天过了零点自动日结；日结之后不能再补记当天的账。" "A day closes by itself after midnight; nothing is booked into it afterwards.";
    no_days "还没有日结。" "No day has been closed yet.";
    paid_in "收入" "In";
    paid_out "退出" "Out";
    no_receipts "还没有收据。" "There are no receipts yet.";
    print "打印" "Print";
    print_why "打印按钮没有反应时，请用浏览器自带的打印。" "Where the button does nothing, use the browser's own print.";
    cashier "收款人" "Cashier";
    corrections_why "开出的账单永远不改；更正会产生差额账单，多退少补。" "An issued bill never changes; a correction makes bills of the difference, either way.";
    correct_reading "更正读数" "Put a reading right";
    correct_price "更正价格" "Put a price right";
    correct_price_why "价目已改正，要重算之前的账单" "The tariff has been put right, and earlier bills follow";
    correct_now "更正并开差额账单" "Correct and bill the difference";
    corrections_done "已做的更正" "Corrections so far";
    no_corrections "还没有更正。" "Nothing has been corrected yet.";
    meter "表计" "Meter";
    reading_id_hint "账单“依据的读数”里的记录号，例如 1042.3" "The record's number under a bill's readings, for example 1042.3";
    right_value "正确的读数" "The right value";
    evidence_where "证据在哪里" "Where the evidence is";
    evidence_hint "照片、记录或检定证书的编号" "Number of a photograph, a protocol or a certificate";
    approver "批准人" "Approved by";
    limit_rule "追溯的依据" "Rule for how far back";
    limit_hint "例如：合同第 7 条，追溯一年" "For example: contract clause 7, one year";
    since_day "从哪天起更正" "Put right since";
    since_hint "这天或之前结束的账单不动。" "Bills whose period ended by then stay as they are.";
    threshold "小额不计（元）" "Not billed below (yuan)";
    threshold_hint "差额低于这个数，只记录，不开账单。" "A smaller difference is recorded and not billed.";
    no_day "请写成日期，例如 2026-03-01。" "Write a day, for example 2026-03-01.";
    reason_misread "抄错" "misread";
    reason_price "价格有误" "wrong price";
    reason_meter "表计对错户" "wrong meter";
    reason_area "面积有误" "wrong area";
    reason_multiplier "倍率有误" "wrong multiplier";
    reason_meter_error "表计误差" "meter error";
    corrects_title "更正了什么" "What it puts right";
    corrects_bill "更正的账单" "Of the bill";
    waived "差额低于小额标准：只记录，不收取。" "The difference is below the bound: recorded, not charged.";
    billed_was "原来" "Was billed";
    billed_should "应为" "Should be";
    billed_would "按新规则" "By the new rule";
    parking_time "停车时间" "Time in the car park";
    share_title "公摊怎么算的" "How this share came about";
    share_text "公摊总额 {}。" "{} was shared.";
    share_part "分摊金额" "Shared";
    share_weight "本户权重" "This household's weight";
    share_weights "总权重" "All weights";
    step_paid "收款" "payment";
    step_settled "到账" "payment arrived";
    step_condition "押金条件" "deposit's condition";
    step_deducted "押金扣款" "deducted from a deposit";
    step_refund_asked "申请退款" "refund asked for";
    step_refund_approved "退款批准" "refund approved";
    step_refund_paid "退款付出" "refund paid out";
    step_refund_voided "退款作废" "refund voided";
    rules_in_force "现行规则" "Rules in force";
    rules_by_command "在线下发的规则文件" "Rule files that came by command";
    notice_from "依据" "By";
    version_n "第 {} 版" "version {}";
    rule_text "规则文件内容（TOML）" "Text of the rule file (TOML)";
    rule_name "文件名" "Name of the file";
    rule_name_hint "小写字母、数字和 - ；同名就是新的一版" "Small letters, digits and -; the same name is its next version";
    try_rules "试算" "Try it";
    try_rules_why "先拿已经结束的月份试算：谁多缴、谁少缴，一分钱都不会动。" "Try it on a month that is over: who would pay more, who less. Nothing is changed.";
    try_month_hint "不填就是最近一个有账单的月份。" "Left empty, it is the last month with bills.";
    tried "试算结果" "What it would have been";
    tried_why "只是试算，没有生效。" "Only tried; nothing is in force.";
    pay_more "多缴的住户" "Households that pay more";
    pay_less "少缴的住户" "Households that pay less";
    pay_same "不变的账单" "Bills that stay the same";
    no_change "没有账单会变。" "No bill would change.";
    cannot_tell "无法试算的" "Cannot be told";
    apply_rules "让规则生效" "Put it in force";
    apply_rules_why "从文件里写明的日期起生效；已开的账单不变。" "It holds from the dates in the file on; bills that are out stay as they are.";
    parking "停车" "Parking";
    lanes "车道" "Lanes";
    lane "车道" "Lane";
    stays "在场车辆" "Inside now";
    unresolved "待处理" "To look at";
    tariff_board "收费公示牌" "Tariff board";
    no_parking "本小区没有配置停车场。" "This block has no car park in its config.";
    no_lanes "没有配置车道。" "No lane is in the config.";
    lanes_in_trouble "磁盘暂时写不进去：各车道按各自的失效策略放行。" "The disk does not take anything: each lane works by its fail-safe policy.";
    spaces_free "空位" "free";
    occupied "已停 {}，占用 {}%" "{} taken, {} %";
    arm_open "闸杆：开" "arm up";
    arm_closed "闸杆：关" "arm down";
    arm_unknown "闸杆位置未知" "arm not known";
    lane_in "入口" "way in";
    lane_out "出口" "way out";
    lane_between "区间" "between areas";
    camera "相机" "Camera";
    openings "开闸次数" "Openings";
    outcome_done "已完成" "done";
    outcome_failed "未成功" "failed";
    outcome_unknown "结果未知" "not known";
    openings_failed "次未成功" "failed";
    last_opening "最近一次" "The last one";
    open_barrier "人工开闸" "Open by hand";
    open_why "开闸原因" "Why";
    open_why_hint "会写入记录，例如：消防车、业主忘带卡" "It is kept, for example: fire engine, a guest";
    open_now "现在开闸" "Open it now";
    plate_test "试一个车牌" "Try a plate";
    plate_test_why "看看道闸会怎么说、为什么；不会开闸，也不会记录。" "What the barrier would say, and why. Nothing opens and nothing is recorded.";
    plate "车牌" "Plate";
    no_plate "这不像一个车牌，例如 粤B12345。" "This is no plate.";
    told_open "放行" "It opens";
    told_pay "先缴费" "Pay first";
    told_deny "不放行" "It stays closed";
    told_ask "请人处理" "A person must look";
    on_display "屏幕显示" "The display says";
    because_entry "临时车，可以入场。" "A temporary vehicle, welcome.";
    because_permit "有有效的停车权限。" "A right to park holds.";
    because_grace "月卡已到期，还在宽限期内。" "Its monthly pass has ended; the grace still holds.";
    because_expired "月卡已过期：费用记账，照常放行出场。" "Its monthly pass is over: what is due is noted, the way out is free.";
    because_free "还在免费时段内。" "It is within the free time.";
    because_paid "已缴费，在离场宽限时间内。" "It is paid, within the time to leave.";
    because_nothing "没有应缴费用。" "Nothing is due.";
    because_due "有停车费未缴。" "Something is due.";
    because_exceeded "缴费后超时，需要补缴。" "The time to leave after paying is over; more is due.";
    because_account "费用记入住户账户。" "It is charged to a household's account.";
    because_blocked "这辆车被禁止入场。" "This vehicle is not let in.";
    because_full "车位已满。" "There is no space.";
    because_unread "没有识别到车牌。" "No plate was read.";
    because_no_entry "没有入场记录。" "Nobody saw it come in.";
    because_misread "与入场时识别的车牌不一样，取最接近的。" "It was read otherwise at the entry; the likeliest is taken.";
    because_between "从一个区域到另一个区域。" "It goes from one area to another.";
    because_lane "车道没有配置。" "The lane is not in the config.";
    inside_now "共 {} 辆" "{} vehicles";
    nobody_inside "场内没有车。" "There is no vehicle inside.";
    ticket "纸票" "Ticket";
    unread "未识别" "not read";
    due_now "应缴" "due";
    nothing_due "无应缴" "nothing due";
    since_word "开始于" "Since";
    waits_at "在此等待：" "waits at";
    close_stay "结束停车（漏拍出场）" "End it (its exit was missed)";
    close_stay_why "车已不在场内时使用；不收费，会留下记录。" "For a vehicle that has left unseen; nothing is charged, and it is kept on record.";
    class_temporary "临时车" "temporary";
    class_monthly "月租车" "monthly";
    class_vip "贵宾" "VIP";
    class_visitor "访客" "visitor";
    class_staff "员工" "staff";
    class_free "免费车" "free";
    class_blocked "禁入" "blocked";
    unresolved_why "这些车辆情况需要人看一眼，写明结果后移出列表。" "A person should look at these; say what was found, and they leave the list.";
    nothing_unresolved "没有待处理的情况。" "There is nothing to look at.";
    not_charged "未收" "not charged";
    proposals "可能是：" "It may be:";
    what_was_found "处理结果" "What was found";
    settle "处理完成" "Settle it";
    why_no_entry "出场时没有入场记录" "It left, and nobody saw it come";
    do_no_entry "核对录像，确认后写明。" "Look at the pictures, then say what it was.";
    why_missed_exit "漏拍了上一次出场" "Its last exit was missed";
    do_missed_exit "上一次停车已按不收费结束，确认即可。" "The stay before was ended without a charge; confirm it.";
    why_misread "车牌与入场时识别的不同" "Its plate was read otherwise at the entry";
    do_misread "核对车牌，确认是否同一辆车。" "Compare the plates: is it the same vehicle?";
    why_let_go "有费用未缴，已放行" "Something was due, and it was let out";
    do_let_go "联系住户补缴，或写明免收。" "Charge it to the household, or waive it.";
    why_unread "没有识别到任何车牌" "Nothing could be read";
    do_unread "检查相机是否脏污、逆光、角度不对。" "Look at the camera: dirt, light, angle.";
    tariff_board_why "直接由收费规则生成，公示与实收一致；可以打印张贴。" "Made from the rule that charges, so both agree; print it and put it up.";
    board "看板" "Board";
    day_from "从" "From";
    day_to "到" "To";
    collected "收缴率" "Collected";
    billed "应收" "Billed";
    still_owed "未收" "Still owed";
    bills_count "{} 张账单" "{} bills";
    payments_count "{} 笔" "{} payments";
    by_month "按月" "By month";
    top_arrears "欠费前十户" "The ten that owe most";
    no_arrears "没有欠费。" "Nobody owes anything.";
    odd_points "用量异常点" "Odd points of use";
    no_odd_points "没有发现异常。" "Nothing odd is known.";
    public_use "公共用量（最近 24 小时）" "Use of the common parts, last 24 hours";
    no_public_meters "没有参与公摊的表计。" "No meter's cost is shared.";
    as_table_file "导出为表格（XLSX）" "As a table (XLSX)";
    nothing_measured "这段时间没有可信读数。" "No believed reading in this time.";
    columns_text "共 {}，最多 {}。" "{} in all, {} at most.";
    alarm "告警" "Alarm";
    alarm_more "查看和处理" "Look at it";
    muted "已静音" "muted";
    confirmed "已确认" "acknowledged";
    why "为什么" "Why";
    about_what "对象" "About";
    by_rule "依据规则" "By rule";
    go_until "最迟到场" "Go there by";
    reported_back "已回报" "reported back";
    feedback "反馈" "Feedback";
    what_you_can_do "可以做什么" "What you can do";
    confirm "我知道了" "Acknowledge";
    confirm_why "确认表示有人在处理，告警会保留到情况消失。" "It says that somebody is on it; the alarm stays until its cause is gone.";
    check_devices "立即检查设备" "Check the devices now";
    unmute "取消静音" "Unmute";
    mute "静音" "Mute";
    mute_why "静音期间不再提醒，告警仍在列表里。" "Nobody is called for it until then; it stays in the list.";
    how_long "多久" "How long";
    days_long "{} 天" "{} days";
    was_it_right "这条告警对吗" "Was it right";
    verdict_true "属实" "It was right";
    verdict_known "属实，情况已知" "It is so, and meant to be";
    verdict_false "误报" "There was nothing";
    fact_minutes "分钟" "Minutes";
    fact_hours "小时" "Hours";
    fact_limit "限值" "Limit";
    fact_unit "单位" "Unit";
    fact_last "最近一次" "Last";
    scan "搜索设备" "Scan";
    sheet "验收单" "Commissioning sheet";
    find_meter "表号或户号" "Meter or account";
    page_before "上一页" "Page before";
    test_frames "测试读取（看报文）" "Test read with frames";
    test_good "读取成功。" "It was read.";
    sent "发出" "Sent";
    received "收到" "Received";
    curve "曲线" "Curve";
    one_month "30 天" "30 days";
    one_year "12 个月" "12 months";
    history_month "近 30 天用量" "Usage of the last 30 days";
    history_year "近 12 个月用量" "Usage of the last 12 months";
    days_before "再往前 30 天" "the 30 days before";
    year_before "上年同期" "the year before";
    exchange "换表" "Exchange the device";
    exchange_step "第 {} 步，共 3 步" "Step {} of 3";
    exchange_old "旧表的止数" "The old device's last reading";
    exchange_old_why "拆表前抄下旧表的读数，最好拍照。" "Note it before you take the device out; a photograph is best.";
    final_value "旧表止数" "Last value of the old device";
    exchange_new "新表的起数" "The new device's first reading";
    exchange_new_why "装好后抄下新表的读数；全新的表一般是 0。" "Note it after you put the device in; a new one mostly shows 0.";
    initial_value "新表起数" "First value of the new device";
    exchange_look "核对" "Look at it again";
    exchange_look_why "确认后，旧表用到止数，新表从起数开始计；不能撤销。" "Then the old device counts up to its last value, the new one from its first; it cannot be taken back.";
    exchange_now "确认换表" "Exchange it";
    next "下一步" "Next";
    no_lines_yet "还没有配置线路。" "No line is in the config yet.";
    protocol "协议" "Protocol";
    serial "串口参数" "Serial settings";
    scan_why "在线路上寻找表计：只读，不改任何设置；期间这条线路暂停轮询。" "Looks for meters on a line: it only reads and changes nothing; the line's polls wait meanwhile.";
    scan_elsewhere "其他接口" "another port";
    scan_place "接口" "Port";
    scan_place_hint "串口写 /dev/ttyUSB0，网口写 地址:端口；选了线路就不填。" "A serial port as /dev/ttyUSB0, a server as host:port; empty where a line is chosen.";
    scan_one_place "线路和接口选一个。" "Choose a line or a port, one of them.";
    scan_units "地址范围" "Addresses";
    scan_units_hint "例如 1-32，越小越快；不填就是全部。" "For example 1-32; fewer are faster, empty means all.";
    scan_begin "开始搜索" "Begin the scan";
    scan_begun "搜索开始了。" "The scan has begun.";
    scan_cancel "停止搜索" "Cancel the scan";
    scan_cancelled "搜索已停止，找到的保留。" "The scan was cancelled; what it found stays.";
    scans_before "搜索记录" "Scans so far";
    no_scans "还没有搜索过。" "Nothing has been scanned yet.";
    scan_progress "进度" "Progress";
    scan_step "第 {} 步，共 {} 步，大约还要 {} 秒。" "Step {} of {}, about {} s to go.";
    scan_waiting "等待线路空闲" "waits for the line";
    scan_running "搜索中" "running";
    scan_done "已完成" "done";
    scan_was_cancelled "已停止" "cancelled";
    found "找到" "Found";
    none_found "没有设备应答：检查 A、B 线是否接反，表是否通电，总线上有没有别的主站。" "Nothing answered: A and B swapped, power of the meters, another master on the bus.";
    none_found_yet "还没有找到。" "Nothing yet.";
    new_device "新设备" "new";
    scan_config "加入配置" "Add it to the config";
    scan_config_why "把下面的内容加到配置文件，再重新加载：配置文件是唯一的依据。" "Put this into the config file and reload: the file is the one truth.";
    sheet_count "{} / {} 块表已读到数。" "{} of {} meters have been read.";
    start_reading "起始读数" "Start reading";
    checked "核对" "Checked";
    signed_installer "安装人签字" "Installer";
    signed_owner "接收人签字" "Received by";
    system "系统" "System";
    audit "操作记录" "Audit trail";
    audit_why "最近 {} 条记录里的操作；更早的在日志账里。" "What was done, within the newest {} records; the journal has the rest.";
    no_audit "没有符合的记录。" "Nothing fits.";
    log "运行日志" "Log";
    log_why "启动以来最近的日志，最新的在上面。" "The newest lines since the start, the latest first.";
    no_log "没有符合的日志。" "No line fits.";
    level "级别" "Level";
    diagnostics "诊断包" "Diagnostics";
    diag_why "给技术支持的文件，先看清里面有什么：" "A file for who helps you. First see what is in it:";
    diag_status "版本、时钟、云端连接、线路状态" "version, clock, cloud connection, lines";
    diag_meters "每块表的地址、型号、错误计数；没有读数和户号" "of each meter address, profile, error counters; no readings, no accounts";
    diag_outbox "等待发送的数量和死信原因" "how much waits, and why letters are dead";
    diag_alarms "告警的种类和时间" "kinds and times of alarms";
    diag_log "最近的运行日志" "the newest log lines";
    diag_not "不包含：户号、车牌、姓名、金额、密码和密钥。" "Not in it: accounts, plates, names, amounts, passwords, keys.";
    diag_get "下载诊断包" "Download it";
    disk "磁盘" "Disk";
    disk_free "可用" "free";
    disk_used "已用 {}%，共 {}" "{} % of {} used";
    not_known_yet "还不知道。" "Not known yet.";
    certificates "证书" "Certificates";
    certificate_of "证书" "Certificate";
    days_left "剩余天数" "Days left";
    no_certificates "没有证书。" "There are no certificates.";
    backup_where "备份和恢复：在控制台用 blockgate backup 和 blockgate restore。" "Backup and restore: blockgate backup and blockgate restore on the console.";
    step_name "解析域名" "Name";
    step_tcp "连接 TCP" "TCP";
    step_tls "加密 TLS" "TLS";
    step_mqtt "登录 MQTT" "MQTT login";
    step_event "发出事件" "An event went out";
    step_receipt "收到回执" "The cloud's receipt";
    step_waits "等待" "waits";
    first_run "首次运行" "First run";
    first_run_why "新装的网关照这个顺序做；随时可以回来看。" "What a new gateway needs, in this order; you can come back at any time.";
    step_done "已完成" "done";
    step_open "未完成" "open";
    run_language "语言" "Language";
    run_password "密码" "Password";
    run_password_why "已经设置，没有默认密码。" "It is set; there is no default one.";
    run_clock "时钟" "Clock";
    run_clock_why "时钟没有同步之前，不结算账期，也不收款。请检查网络时间（NTP）。" "Until it is synchronised no period is closed and no money is booked. Look at the network time (NTP).";
    run_network "网络" "Network";
    run_network_why "您正从这个地址访问：" "You reach this page at";
    run_network_tls "连接已加密。" "The connection is encrypted.";
    run_cloud "云端检查" "Cloud check";
    run_meters "表计" "Meters";
    more "更多" "More";
    me "我的账号" "My account";
    users "用户与角色" "Users and roles";
    users_who "谁可以登录" "Who may log in";
    role_word "角色" "Role";
    may "可以做什么" "May do";
    role_operator "管理员" "operator";
    role_operator_why "查看和操作全部内容，管理用户" "sees and orders everything, manages users";
    role_installer "安装调试" "installer";
    role_installer_why "表计、线路、车道的调试；不看账单" "puts meters, lines and lanes into service; sees no bills";
    role_caretaker "物业管家" "caretaker";
    role_caretaker_why "道闸、停车、告警；可以查账单，不收款" "barriers, parking, alarms; looks bills up, takes no money";
    role_finance "财务" "finance";
    role_finance_why "收款、退款、日结、更正、规则" "payments, refunds, day close, corrections, rules";
    role_auditor "审计" "auditor";
    role_auditor_why "全部只读" "reads everything, orders nothing";
    user_save "新增或修改用户" "Add or change a user";
    user_save_why "写已有的用户名就是修改；修改后，这个用户要重新登录。" "The name of an existing user changes that user, who then has to log in again.";
    user_hint "小写字母、数字和 . _ -" "small letters, digits and . _ -";
    password_hint "至少 10 个字符；修改时留空，密码不变。" "At least 10 characters; left empty on a change, the password stays.";
    old_password "现在的密码" "Present password";
    change_password "修改密码" "Change the password";
    change_password_why "修改后，所有设备上的这个账号都要重新登录。" "Afterwards this account has to log in again everywhere.";
    passwords_differ "两次输入的密码不一样。" "The two passwords differ.";
    save "保存" "Save";
    remove "移除" "Remove";
    locked "离开的时间较长，页面现在只能查看。要继续操作，请再输一次密码。" "Nobody was here for a while, so the page only reads now. Give the password again to go on.";
    unlock "继续操作" "Go on working";
    unlocked "可以继续操作了。" "You can go on.";
    only_look "先只看看" "Only look";
    typed_is_kept "刚才填写的内容还在，登录后会再给您看。" "What you typed is kept; you will see it again after this.";
    go_on "接着刚才的操作" "Where you were";
    typed_again "这是刚才填写、还没有提交的内容。" "This is what you typed; it has not been sent yet.";
    send_now "现在提交" "Send it now";
    throw_away "不要了，返回页面" "Throw it away and go back";
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

    /// What a program says of a refusal, in the reader's language as far as it is known.
    pub(super) fn told(self, detail: &str) -> String {
        if self.0 == Lang::En {
            return detail.to_owned();
        }
        let known = REFUSALS.iter().find(|(en, _)| detail == *en);
        known.map_or_else(|| detail.to_owned(), |(_, zh)| (*zh).to_owned())
    }

    /// One of two, by language.
    pub(super) fn of(self, text: &blockgate_rules::event::Text) -> &str {
        match self.0 {
            Lang::Zh => &text.zh,
            Lang::En => &text.en,
        }
    }
}

/// What the rules say when they refuse something that a person at the page may well do.
const REFUSALS: &[(&str, &str)] = &[
    ("there is no account of this id", "没有这个户号。"),
    ("a payment is more than nothing", "收款金额要大于零。"),
    ("this reference of the channel was recorded before", "这个渠道的这个流水号已经记过账了。"),
    ("less was handed over than is paid", "收到的现金比应收的少。"),
    ("tendered_fen is for cash", "只有现金才填实收金额。"),
    ("the refund is approved already", "这笔退款已经批准过了。"),
    ("another person than the one who asked must approve it", "申请人不能自己批准，请换一个人。"),
    ("the refund is not approved", "这笔退款还没有批准。"),
    ("a refund is more than nothing", "退款金额要大于零。"),
    ("the deposit has not so much left", "这笔押金没有这么多余额。"),
    ("a deduction pays what is owed for the item, and no more", "扣款不能超过这个项目的欠费。"),
    ("the last operator must stay one", "至少要留一个管理员。"),
    ("nobody removes themselves", "不能移除自己。"),
    ("this part is not for your role", "您的角色看不到这一部分。"),
    ("a new user needs a password", "新用户要有密码。"),
];

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
