//! What the audit trail calls things, in words that people read. The trail keeps the codes, because programs
//! search it; a person reads a word beside the code. A test reads the sources, so that a new one without its words
//! fails.

use super::text::Say;
use crate::problem::Lang;

/// Code, Chinese, English.
const DEEDS: &[(&str, &str, &str)] = &[
    // Of the gateway itself.
    ("started", "网关启动", "The gateway started"),
    ("restored", "从备份恢复", "Restored from a backup"),
    ("upkeep", "维护", "Upkeep"),
    ("user-saved", "新增或修改用户", "User saved"),
    ("user-removed", "移除用户", "User removed"),
    ("password-changed", "修改密码", "Password changed"),
    ("meters-added", "添加表计", "Meters added"),
    ("logins-reset", "重置全部登录", "Logins reset"),
    ("logins-braked", "登录猜测被限速", "Login guesses braked"),
    ("backup-taken", "下载备份", "Backup taken"),
    ("clock-stepped", "时钟跳变", "The clock stepped"),
    ("clock-corrected", "时间更正", "Times corrected"),
    ("head-signed", "账本签名", "Journal signed"),
    // Config that came into force.
    ("block-set", "小区设置生效", "Block's settings in force"),
    ("meters-set", "表计配置生效", "Meters in force"),
    ("accounts-set", "住户配置生效", "Accounts in force"),
    ("tariff-set", "价目生效", "Tariff in force"),
    ("apportionment-set", "分摊规则生效", "Sharing rule in force"),
    ("anomaly-set", "异常规则生效", "Anomaly rule in force"),
    ("parking-set", "停车规则生效", "Parking rules in force"),
    ("access-set", "门禁规则生效", "Door rules in force"),
    ("removed", "配置移除", "Taken out of the config"),
    ("rules-applied", "收费规则更新", "Rules applied"),
    ("apply-rules", "更新收费规则", "Apply rules"),
    ("preview-rules", "试算规则", "Try rules"),
    // Readings and meters.
    ("read-now", "立即抄表", "Read now"),
    ("resend", "补发", "Send again"),
    ("retry-dead-letter", "死信重发", "Try a dead letter again"),
    ("decide-held", "审核读数", "Decide a held reading"),
    ("exchange-meter", "换表", "Exchange a meter"),
    ("estimate-reading", "估抄", "Estimate a reading"),
    ("relay", "继电器", "Relay"),
    ("valve", "阀门", "Valve"),
    ("set-clock", "表计校时", "Set a meter's clock"),
    ("meter-acting", "表计执行中", "A meter is told"),
    ("meter-acted", "表计已执行", "A meter was told"),
    ("meter-looked", "读回核对", "A meter was read back"),
    ("reading-corrected", "读数已更正", "Reading corrected"),
    ("correct", "更正", "Correct"),
    ("corrected", "已更正", "Corrected"),
    // Money.
    ("charges-began", "开始计费", "Charges began"),
    ("record-payment", "收款", "Take a payment"),
    ("settle-payment", "确认到账", "Settle a payment"),
    ("paid", "收到款项", "Paid"),
    ("settled", "已到账", "Settled"),
    ("deposit-condition", "押金条件", "Deposit's condition"),
    ("condition", "押金条件已定", "Deposit's condition met or open"),
    ("deduct-deposit", "押金抵扣", "Deduct from a deposit"),
    ("deducted", "押金已抵扣", "Deducted"),
    ("request-refund", "申请退款", "Ask for a refund"),
    ("refund-asked", "退款已申请", "Refund asked for"),
    ("approve-refund", "批准退款", "Approve a refund"),
    ("refund-approved", "退款已批准", "Refund approved"),
    ("refund-paid", "退款已付出", "Refund paid out"),
    ("void-refund", "作废退款", "Void a refund"),
    ("refund-voided", "退款已作废", "Refund voided"),
    ("reconcile", "对账", "Compare a statement"),
    ("reconciled", "已对账", "Statement compared"),
    ("count-cash", "清点现金", "Count the cash"),
    ("cash-counted", "现金已清点", "Cash counted"),
    ("day-closed", "日结", "Day closed"),
    ("move-out", "退租结算", "Move-out settlement"),
    ("moved-out", "已退租结算", "Moved out"),
    // Parking.
    ("open-barrier", "人工开闸", "Open a barrier"),
    ("gate-asked", "道闸请求", "Barrier asked"),
    ("gate-opening", "开闸中", "Barrier opening"),
    ("gate-outcome", "开闸结果", "Barrier's outcome"),
    ("pay-stay", "停车缴费", "Pay a stay"),
    ("discount-stay", "停车减免", "Discount a stay"),
    ("correct-stay", "更正停车", "Correct a stay"),
    ("close-stay", "结束停车", "Close a stay"),
    ("settle-parking", "处理停车异常", "Settle parking"),
    ("grant-parking", "停车授权", "Grant parking"),
    ("sell-pass", "出售月卡", "Sell a pass"),
    ("revoke-parking", "取消停车授权", "Revoke parking"),
    // Doors.
    ("open-door", "开门", "Open a door"),
    ("hold-door", "保持开门", "Hold a door"),
    ("lock-down", "锁闭", "Lock down"),
    ("release-doors", "门恢复正常", "Doors as usual"),
    ("emergency-open", "紧急开门", "Emergency opening"),
    ("end-emergency", "结束紧急状态", "End the emergency"),
    ("grant", "授权通行", "Give a right"),
    ("revoke", "停用", "Shut out"),
    ("restore", "恢复通行", "Let in again"),
    ("confirm-arrears", "确认欠费门禁", "Confirm arrears at doors"),
    // Alarms and commands.
    ("mute-alarm", "告警静音", "Mute an alarm"),
    ("unmute-alarm", "取消静音", "Unmute an alarm"),
    ("alarm-feedback", "告警反馈", "Alarm feedback"),
    ("confirm-alarm", "确认告警", "Acknowledge an alarm"),
    ("check-alarm", "检查设备", "Check an alarm"),
    ("command-accepted", "收到命令", "Command accepted"),
    ("command", "命令", "Command"),
];

impl Say {
    /// What a code of the audit trail means; none for one that is no code of it.
    pub(super) fn deed(self, code: &str) -> Option<&'static str> {
        let (_, zh, en) = DEEDS.iter().find(|(of, ..)| *of == code)?;
        Some(match self.0 {
            Lang::Zh => zh,
            Lang::En => en,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The variants of an enum of the rules, as the journal writes them.
    fn variants(file: &str, name: &str) -> BTreeSet<String> {
        let path = format!("{}/../rules/src/{file}", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).unwrap();
        let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
        let (body, _) = body.split_once("\n}\n").unwrap();
        let of = |line: &str| {
            let word = line.strip_prefix("    ")?;
            let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
            let word =
                word.get(..end).filter(|w| w.starts_with(|c: char| c.is_ascii_uppercase()))?;
            let mut kebab = String::new();
            for (at, c) in word.chars().enumerate() {
                if c.is_ascii_uppercase() && at > 0 {
                    kebab.push('-');
                }
                kebab.push(c.to_ascii_lowercase());
            }
            Some(kebab)
        };
        body.lines().filter_map(of).collect()
    }

    #[test]
    fn everything_that_the_audit_trail_tells_has_words_and_no_word_is_left_over() {
        let mut codes = BTreeSet::new();
        for (file, name, least) in [
            ("input.rs", "Order", 40),
            ("event.rs", "Audit", 30),
            ("event.rs", "Upkeep", 7),
            ("ledger.rs", "Movement", 8),
        ] {
            let found = variants(file, name);
            assert!(found.len() >= least, "{name}: {found:?}");
            codes.extend(found);
        }
        let known: BTreeSet<String> = DEEDS.iter().map(|(code, ..)| (*code).to_owned()).collect();
        assert_eq!(known.len(), DEEDS.len());
        assert_eq!(known, codes);
        for (code, zh, en) in DEEDS {
            assert!(!zh.is_ascii() && en.is_ascii() && en.len() > 2, "{code}");
        }
    }
}
