//! The one list of errors that HTTP, MQTT responses and the command line share: a stable word, an
//! HTTP status, and for people a sentence and what to do, in both languages. Over HTTP a [`Problem`]
//! is an RFC 9457 document (`application/problem+json`).
//!
//! A code is never renamed and never given another meaning: others branch on it.

use serde_json::{Value, json};

/// Language of sentences for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lang {
    /// Simplified Chinese.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Zh, Self::En];

    /// The language tag (BCP 47).
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// The first language of an `Accept-Language` header (RFC 9110 § 12.5.4) that we have, by
    /// weight; `None` when it names neither.
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(u32, Self)> = None;
        for range in header.split(',').take(32) {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or("").trim().to_ascii_lowercase();
            let lang = match tag.split('-').next() {
                Some("zh") => Self::Zh,
                Some("en") => Self::En,
                _ => continue,
            };
            let weight =
                parts.find_map(|p| p.trim().strip_prefix("q=").map(permille)).unwrap_or(1000);
            if weight > 0 && best.is_none_or(|(w, _)| weight > w) {
                best = Some((weight, lang));
            }
        }
        best.map(|(_, lang)| lang)
    }
}

/// A weight `0`, `0.7`, `1.000` in thousandths; anything else counts as nothing.
fn permille(text: &str) -> u32 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = format!("{fraction:0<3}");
    match (whole.parse::<u32>(), digits.get(..3).and_then(|d| d.parse::<u32>().ok())) {
        (Ok(whole @ 0..=1), Some(fraction)) => (whole * 1000 + fraction).min(1000),
        _ => 0,
    }
}

macro_rules! codes {
    ($($name:ident $code:literal $status:literal
        $zh:literal $zh_do:literal
        $en:literal $en_do:literal;)*) => {
        /// A kind of error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $en] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable word that programs branch on.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What is the case, one sentence.
            #[must_use]
            pub fn sentence(self, lang: Lang) -> &'static str {
                match (self, lang) { $((Self::$name, Lang::Zh) => $zh, (Self::$name, Lang::En) => $en,)* }
            }

            /// What to do, one sentence.
            #[must_use]
            pub fn advice(self, lang: Lang) -> &'static str {
                match (self, lang) { $((Self::$name, Lang::Zh) => $zh_do, (Self::$name, Lang::En) => $en_do,)* }
            }
        }
    };
}

codes! {
    BadRequest "bad-request" 400
        "请求的内容无法理解。" "请对照 /v1/openapi.json 检查参数和正文。"
        "The request cannot be understood." "Compare its parameters and body with /v1/openapi.json.";
    BadId "bad-id" 400
        "编号的写法不对。" "编号由 1 到 64 个 a-z 0-9 . _ - 组成，以字母或数字开头。"
        "The id is not well formed." "An id has 1 to 64 of the characters a-z 0-9 . _ - and begins with a letter or a digit.";
    Unauthenticated "unauthenticated" 401
        "没有登录，或者令牌不对。" "请登录，或者在 Authorization: Bearer 中带上有效的令牌。"
        "Nobody is logged in, or the token is wrong." "Log in, or send a valid token as Authorization: Bearer.";
    WrongPassword "wrong-password" 401
        "用户名、密码或安装码不对。" "请核对后再试；每错一次，等待的时间会变长。"
        "The user, password or set-up code is wrong." "Check it and try again; each wrong try makes the wait longer.";
    SetUpNeeded "set-up-needed" 403
        "还没有设置密码。" "请打开 /setup，用安装码设置密码；安装码在首次启动的日志里。"
        "No password has been set yet." "Open /setup and set one with the set-up code; the log of the first start shows it.";
    Forbidden "forbidden" 403
        "这个令牌或用户不能做这件事。" "请使用有相应权限的令牌或用户。"
        "This token or user may not do that." "Use one that has the scope for it.";
    Locked "locked" 423
        "离开的时间较长，页面现在只能查看。" "请再输一次密码，然后继续操作。"
        "Nobody was here for a while, so the page only reads now." "Give the password again, then go on.";
    HostNotAllowed "host-not-allowed" 403
        "请求的主机名不在允许之列。" "请用地址访问，或者把名字写进配置的 http.hosts。"
        "The host name of the request is not allowed." "Use the address, or add the name to http.hosts in the config.";
    CrossSite "cross-site" 403
        "请求来自另一个网站，或者页面已经过期。" "请重新打开本机页面再操作。"
        "The request comes from another site, or the page has grown old." "Open the gateway's own page again and repeat it there.";
    NotFound "not-found" 404
        "没有这个东西。" "请检查路径和编号。"
        "There is no such thing." "Check the path and the id.";
    MethodNotAllowed "method-not-allowed" 405
        "这个地址不接受这种方法。" "请对照 /v1/openapi.json 选择方法。"
        "This address does not take that method." "Choose the method by /v1/openapi.json.";
    RequestTimeout "request-timeout" 408
        "请求的正文没有按时送到。" "请检查网络后再试。"
        "The body of the request did not arrive in time." "Check the network and try again.";
    SameKeyBusy "same-key-busy" 409
        "带有这个 Idempotency-Key 的请求还在处理。" "请稍后用同一个键再问一次。"
        "A request with this Idempotency-Key is still being worked on." "Ask again with the same key in a moment.";
    ScanBusy "scan-busy" 409
        "正在扫描，或者线路正忙。" "请等当前的扫描结束，或先取消它。"
        "A scan runs, or the line is busy." "Wait for the scan's end, or cancel it.";
    CommandDuplicate "command-duplicate" 409
        "这个编号的命令已经有过结果。" "新的命令请用新的编号。"
        "A command with this id has had its outcome before." "Give a new command a new id.";
    CommandExpired "command-expired" 410
        "命令到得太晚，没有执行。" "请检查两边的时钟，再发一条新的命令。"
        "The command came too late and was not carried out." "Check both clocks and send a new command.";
    PayloadTooLarge "payload-too-large" 413
        "请求的正文太大。" "正文最多 64 KiB；请分成几次发送。"
        "The body of the request is too large." "A body may have 64 KiB; send it in parts.";
    UnsupportedMediaType "unsupported-media-type" 415
        "正文的类型不对。" "API 用 application/json，页面的表单用 application/x-www-form-urlencoded。"
        "The body has the wrong type." "The API takes application/json, the page's forms application/x-www-form-urlencoded.";
    CommandRefused "command-refused" 422
        "命令被拒绝了。" "请按说明改正后再发一条新的命令。"
        "The command was refused." "Correct it by the detail and send a new one.";
    CommandRetained "command-retained" 422
        "保留（retained）的命令不会执行。" "请不带 retain 标志重新发送，并清除主题上的保留消息。"
        "A retained command is never carried out." "Send it without the retain flag, and clear the topic.";
    CommandBusy "command-busy" 429
        "同时执行的命令太多。" "请等前面的命令有了结果再发。"
        "Too many commands are being carried out." "Wait for the outcome of those before.";
    KeyReused "key-reused" 422
        "同一个 Idempotency-Key 用在了不同的内容上。" "不同的内容请用新的键。"
        "The same Idempotency-Key was used for another body." "Give another body a new key.";
    WrongCamera "wrong-camera" 422
        "这不是该相机的推送。" "请核对配置里的 vendor 和 serial。"
        "This is no push of that camera." "Compare vendor and serial in the config.";
    BadPush "bad-push" 400
        "推送的内容无法识别，道闸不动作。" "请对照 docs/cameras.md 检查相机的协议设置。"
        "The push cannot be read; nothing opens." "Compare the camera's protocol settings with docs/cameras.md.";
    TooOften "too-often" 429
        "这个设备请求得太频繁。" "请稍后再试；需要更高的频率时，在 tokens.toml 里设置 rate_per_second。"
        "This device asks too often." "Try again later; set rate_per_second in tokens.toml where it needs more.";
    WeakPassword "weak-password" 422
        "密码太短。" "请用至少 10 个字符。"
        "The password is too short." "Use at least 10 characters.";
    TooManyTries "too-many-tries" 429
        "试得太快了。" "请过一会儿再试。"
        "Too many tries." "Wait as long as is said, then try again.";
    TooManyStreams "too-many-streams" 429
        "打开的事件流太多。" "请关掉不用的页面，或者稍后再试。"
        "Too many event streams are open." "Close pages that nobody looks at, or try again later.";
    Internal "internal" 500
        "网关内部出错，已记入日志。" "请查看日志；如果重复出现，请导出诊断包。"
        "Something failed inside the gateway; the log says what." "Look at the log; if it comes again, export the diagnostics.";
    CommandUnknown "command-unknown" 500
        "不知道命令有没有执行：中间重启过。" "请先查看设备的状态，再决定是否重发。"
        "It is not known whether the command was carried out: a restart came between." "Look at the device first, then decide whether to order it again.";
    CommandFailed "command-failed" 502
        "命令执行了，但没有成功。" "请按说明检查设备和线路。"
        "The command was tried and did not succeed." "Check the device and its line by the detail.";
    Stopping "stopping" 503
        "网关正在停止。" "请稍后再试。"
        "The gateway is stopping." "Try again in a moment.";
    NotReady "not-ready" 503
        "网关还没有准备好。" "请稍后再试；说明里写着缺什么。"
        "The gateway is not ready." "Try again in a moment; the detail says what is missing.";
    NoAnswer "no-answer" 504
        "命令没有按时得到回答；它可能仍会执行。" "请用同一个 Idempotency-Key 再问，或者查看告警和日志。"
        "The command was not answered in time; it may still be carried out." "Ask again with the same Idempotency-Key, or look at the alarms and the log.";
}

/// One error as it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// What exactly, in English; empty when the code says all. Never a secret.
    pub detail: String,
    /// Seconds after which to try again, where waiting helps.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// An error with a detail.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    /// The RFC 9457 document. `instance` is the path that was asked for.
    #[must_use]
    pub fn document(&self, lang: Lang, instance: &str) -> Value {
        let mut document = json!({
            "type": format!("urn:blockgate:problem:{}", self.code.text()),
            "code": self.code.text(),
            "status": self.code.status(),
            "title": self.code.sentence(lang),
            "advice": self.code.advice(lang),
            "instance": instance,
        });
        if let Some(fields) = document.as_object_mut() {
            if !self.detail.is_empty() {
                fields.insert("detail".to_owned(), Value::from(self.detail.as_str()));
            }
            if let Some(seconds) = self.retry_after {
                fields.insert("retry_after".to_owned(), Value::from(seconds));
            }
        }
        document
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.text(), self.code.sentence(Lang::En))?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " {}", self.detail) }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_stable_word_with_four_sentences() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.text()), "{} stands twice", code.text());
            assert!(code.text().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!((400..600).contains(&code.status()));
            for text in [code.sentence(Lang::Zh), code.advice(Lang::Zh)] {
                assert!(text.ends_with('。') && !text.is_ascii(), "{text}");
            }
            for text in [code.sentence(Lang::En), code.advice(Lang::En)] {
                assert!(text.ends_with('.') && text.is_ascii(), "{text}");
            }
        }
    }

    #[test]
    fn the_language_is_the_heaviest_that_we_have() {
        for (header, want) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Lang::Zh)),
            ("en-GB,en;q=0.9,zh;q=0.1", Some(Lang::En)),
            ("de, zh-Hans;q=0.2, en;q=0.7", Some(Lang::En)),
            ("en;q=0, zh;q=0.001", Some(Lang::Zh)),
            ("en;q=9, fr", None),
            ("de", None),
            ("", None),
            (";;;,,,q=", None),
        ] {
            assert_eq!(Lang::accepted(header), want, "{header:?}");
        }
    }

    #[test]
    fn a_problem_document_has_its_members() {
        let mut problem = Problem::new(Code::TooManyTries, "3 wrong tries");
        problem.retry_after = Some(4);
        let document = problem.document(Lang::Zh, "/login");
        assert_eq!(document["type"], "urn:blockgate:problem:too-many-tries");
        assert_eq!(document["status"], 429);
        assert_eq!(document["title"], "试得太快了。");
        assert_eq!(document["detail"], "3 wrong tries");
        assert_eq!(document["retry_after"], 4);
        assert_eq!(document["instance"], "/login");
    }
}
