//! What drivers say of a read that failed, in Chinese. They speak English, because programs, logs and the raw
//! diagnostics read it too; on the Chinese page a person reads the sentence of this table, with the driver's own
//! text beside it. A test reads the drivers' sources: a fixed text that has no translation fails it.

use super::refusals::looked_up;
use super::text::Say;
use crate::problem::Lang;
use maud::{Markup, html};

/// English as the drivers say it, and Chinese; `{}` stands for what differs, which is looked up itself.
const FAULTS: &[(&str, &str)] = &[
    // The line.
    (
        "no answer within {} ms; its longest lately took {} ms",
        "{} 毫秒内没有应答；近期最慢的一次用了 {} 毫秒。",
    ),
    ("no answer within {} ms", "{} 毫秒内没有应答。"),
    (
        "{} bytes and no undamaged reply within {} ms",
        "{1} 毫秒内收到 {0} 字节，没有一个完整的应答。",
    ),
    ("{} bytes came and no undamaged reply is among them", "收到 {} 字节，其中没有完整的应答。"),
    ("the line never stops talking", "线路上的数据一直不停。"),
    ("the connection to {} broke: {}", "与 {} 的连接断开了：{}"),
    ("not connected to {}; next attempt in {} ms", "没有连上 {}；{} 毫秒后再试。"),
    ("cannot connect to {}: {}", "连不上 {}：{}"),
    ("not connected to {}", "没有连上 {}。"),
    ("no connection within {} ms", "{} 毫秒内没有连上。"),
    ("closed by the other side", "对方关闭了连接。"),
    ("Connection refused (os error 111)", "对方拒绝连接。"),
    ("No such file or directory (os error 2)", "没有这个串口。"),
    ("Permission denied (os error 13)", "没有权限打开。"),
    ("No route to host (os error 113)", "没有到对方的路由。"),
    ("Network is unreachable (os error 101)", "网络不通。"),
    ("Connection reset by peer (os error 104)", "对方重置了连接。"),
    ("Input/output error (os error 5)", "串口读写出错，可能被拔掉了。"),
    // Modbus.
    ("unit {} answered in place of unit {}", "应答的是站号 {}，问的是站号 {}。"),
    (
        "two different replies came to one request: a late one, or two devices with this address",
        "一次询问来了两个不同的应答：迟到的应答，或有两台设备用了这个地址。",
    ),
    ("the reply is of function {}, asked was {}", "应答的功能码是 {}，问的是 {}。"),
    ("the reply has {} bytes of data, asked were {}", "应答有 {} 字节数据，问的是 {} 字节。"),
    (
        "the reply counts {} and carries {} bytes of data, asked were {}",
        "应答说有 {} 字节，实际有 {} 字节，问的是 {} 字节。",
    ),
    ("the reply is too short", "应答太短。"),
    ("this is not Modbus TCP: protocol {}, not 0", "这不是 Modbus TCP：协议号是 {}，不是 0。"),
    ("the header says {} bytes, possible are 3 to 254", "报文头说有 {} 字节，应在 3 到 254 之间。"),
    ("exception {} to \"{}\": {}", "设备回了异常码 {}（{}）：{}"),
    ("the device does not know this function", "设备不支持这个功能码。"),
    ("the device has no register at this address", "设备在这个地址没有寄存器。"),
    ("the device refuses this quantity or value", "设备不接受这个数量或数值。"),
    ("the device reports a failure of its own", "设备报告自身故障。"),
    ("the device accepted and needs longer", "设备已接受，需要更多时间。"),
    ("the device is busy", "设备忙。"),
    ("the device reports a memory error", "设备报告存储出错。"),
    ("the gateway has no path to the device", "串口服务器没有到设备的通路。"),
    ("the gateway's device did not answer", "串口服务器后面的设备没有应答。"),
    ("an exception that the standard does not name", "标准里没有的异常码。"),
    // Addresses and profiles.
    ("a Modbus TCP line carries no {}", "Modbus TCP 线路上不能接 {}。"),
    ("{} is an address of {}, not of {}", "{} 是 {} 的地址，不是 {} 的。"),
    ("meter {} answered in place of {}", "应答的是表 {}，问的是 {}。"),
    ("meter {} answered, asked was {}", "应答的是表 {}，问的是 {}。"),
    ("address {} answered in place of {}", "应答的是地址 {}，问的是 {}。"),
    ("another meter answered in the middle of a readout", "读到一半，应答的换成了另一块表。"),
    // Frames of DL/T 645, CJ/T 188 and M-Bus.
    ("more than {} telegrams follow", "后续报文超过 {} 个。"),
    ("more than {} frames follow", "后续帧超过 {} 个。"),
    ("follow-up frame {} bears another number", "后续帧 {} 的序号不对。"),
    ("the answer holds no address", "应答里没有地址。"),
    ("an answer without data", "应答里没有数据。"),
    ("an acknowledgement in place of data", "回的是确认，不是数据。"),
    ("not the acknowledgement E5", "回的不是确认字节 E5。"),
    ("the answer has C field {}, not one of a reply (08)", "应答的 C 域是 {}，不是应答的（08）。"),
    ("the answer has control code {}, asked was {}", "应答的控制码是 {}，问的是 {}。"),
    ("the answer is to {}, asked was {}", "应答的数据标识是 {}，问的是 {}。"),
    ("the answer is to {} {}, asked was {}", "应答的数据标识是 {} {}，问的是 {}。"),
    ("the answer has no identifier", "应答里没有数据标识。"),
    ("the answer bears the sequence number {}, asked was {}", "应答的序号是 {}，问的是 {}。"),
    ("the meter refuses, status {}", "表拒绝了，状态 {}。"),
    ("the meter refuses: {}", "表拒绝了：{}"),
    ("no reason given", "没有说明原因。"),
    ("wrong password or not authorised", "密码错或没有授权。"),
    ("no such data", "没有这项数据。"),
    (
        "a relay order goes to one meter, never to a wildcard",
        "拉合闸只能对一块表，不能用通配地址。",
    ),
    ("a write goes to one meter, never to a wildcard", "写数据只能对一块表，不能用通配地址。"),
    (
        "a valve order goes to one meter, never to a wildcard",
        "开关阀只能对一块表，不能用通配地址。",
    ),
    ("there is no start byte 68", "没有起始字节 68。"),
    ("the frame has {} bytes and needs at least {}", "帧有 {} 字节，至少要 {} 字节。"),
    ("byte {} is {} and should be {} ({})", "第 {} 字节是 {}，应是 {}（{}）。"),
    (
        "the length in byte {} says {} data bytes, {} follow",
        "第 {} 字节说有 {} 字节数据，实际 {} 字节。",
    ),
    (
        "the length in byte {} is {}, a frame has at least {}",
        "第 {} 字节的长度是 {}，一帧至少 {}。",
    ),
    ("the two length bytes differ: {} and {}", "两个长度字节不一致：{} 和 {}。"),
    (
        "the checksum in byte {} is {}, the sum of the bytes is {}",
        "第 {} 字节的校验码是 {}，各字节之和是 {}。",
    ),
    // Values.
    ("the meter has frozen nothing at {} yet", "表在 {} 还没有冻结数据。"),
    ("{} keeps nothing of {} that can be read", "{} 没有可读的 {} 冻结数据。"),
    ("{} is a counter of {} digits and reads {}", "{} 是 {} 位的计数器，读到的却是 {}。"),
    ("{} is a counter and reads {}", "{} 是计数器，读到的却是 {}。"),
    ("{} is too large to be a reading", "{} 太大，不可能是读数。"),
    ("{} is not a number", "{} 不是一个数。"),
];

/// What a driver said, for a reader: in Chinese its sentence and then the driver's own text.
pub(super) fn told(say: Say, what: &str) -> Markup {
    let zh = (say.0 == Lang::Zh).then(|| looked_up(FAULTS, what)).flatten();
    html! {
        @if let Some(zh) = zh { (zh) " " code.mute lang="en" { (what) } }
        @else if say.0 == Lang::Zh { code lang="en" { (what) } }
        @else { span lang="en" { (what) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_fault_is_told_in_chinese_beside_the_drivers_own_text() {
        let zh = |what: &str| told(Say(Lang::Zh), what).into_string();
        assert!(zh("no answer within 500 ms").starts_with("500 毫秒内没有应答。 <code"));
        let what = "exception 02H to \"read holding registers\": the device has no register at this address";
        assert!(
            zh(what).contains("异常码 02H（read holding registers）：设备在这个地址没有寄存器。")
        );
        let what = "cannot connect to /dev/ttyUSB0: No such file or directory (os error 2)";
        assert!(zh(what).starts_with("连不上 /dev/ttyUSB0：没有这个串口。"));
        // What nobody knows is shown as it is, and nothing in it runs.
        assert_eq!(zh("<b>odd"), "<code lang=\"en\">&lt;b&gt;odd</code>");
        let en = told(Say(Lang::En), "no answer within 500 ms").into_string();
        assert_eq!(en, "<span lang=\"en\">no answer within 500 ms</span>");
    }

    #[test]
    fn every_translation_is_chinese_and_names_the_same_parts() {
        for (en, zh) in FAULTS {
            assert!(en.is_ascii() && !zh.is_ascii(), "{en}: {zh}");
            assert_eq!(en.matches("{}").count(), zh.matches('{').count(), "{en}");
        }
    }

    /// The fixed texts of faults in a source, up to its tests, `{…}` as `x1`.
    fn texts(source: &str) -> Vec<String> {
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        for begin in ["what = ", "protocol(", "wrong(", "misplaced(", "fault(", "misfit(", "Wrong("]
        {
            for rest in source.split(begin).skip(1) {
                let Some(at) = rest.find('"').filter(|at| !rest[..*at].contains([';', '}'])) else {
                    continue;
                };
                let text = rest[at + 1..].replace("\\\"", "\u{1}");
                let text = text.split('"').next().unwrap_or_default().replace('\u{1}', "\"");
                let mut plain = String::new();
                for (n, part) in text.split('{').enumerate() {
                    let part = if n == 0 { part } else { part.split_once('}').map_or("", |p| p.1) };
                    plain.push_str(if n == 0 { "" } else { "x1" });
                    plain.push_str(part);
                }
                found.push(plain);
            }
        }
        found
    }

    #[test]
    fn what_drivers_say_of_a_failed_read_is_said_in_chinese() {
        let drivers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers/src");
        let (mut seen, mut missing) = (0, Vec::new());
        for file in [
            "line/mod.rs",
            "meter.rs",
            "frozen.rs",
            "modbus/frame.rs",
            "modbus/master.rs",
            "dlt645/master.rs",
            "dlt645/frame.rs",
            "cjt188/master.rs",
            "cjt188/frame.rs",
            "mbus/master.rs",
            "mbus/frame.rs",
        ] {
            let source = std::fs::read_to_string(drivers.join(file)).unwrap();
            // Words without a blank between them, and texts that only put two others together, are no sentences.
            let is_sentence = |text: &String| text.contains(' ') && !text.starts_with("x1;");
            for text in texts(&source).into_iter().filter(is_sentence) {
                seen += 1;
                if looked_up(FAULTS, &text).is_none() {
                    missing.push(format!("{file}: {text}"));
                }
            }
        }
        assert!(seen > 25, "{seen} texts found");
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
