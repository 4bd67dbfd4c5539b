//! Why there is no connection to the broker: a closed list. Each case has a stable word for programs,
//! and for people a sentence and what to do, in both languages; each says how patiently to try again.

use blockgate_rules::event::Text;
use blockgate_types::Time;

/// What keeps us from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A CA, certificate, key or password file cannot be used; which, and why.
    Files(String),
    /// The broker's name has no address.
    Dns(String),
    /// Nothing listens there.
    Refused,
    /// No way there.
    Unreachable(String),
    /// No answer in time while connecting.
    ConnectTimeout,
    /// The broker's certificate (or one above it) ended.
    TlsExpired(Option<Time>),
    /// The broker's certificate is not valid yet; most often our own clock is wrong.
    TlsNotYetValid(Option<Time>),
    /// The broker's certificate is for other names.
    TlsName(Vec<String>),
    /// The broker's certificate is not issued by a CA that we trust.
    TlsUnknownCa,
    /// The broker's key is none of those that the config pins.
    TlsPin,
    /// The broker does not accept our certificate, or we have none; their alert.
    TlsClientCert(String),
    /// The connection ended in the handshake, without an alert: no TLS there, or nobody behind a proxy.
    TlsClosed,
    /// Another fault of the handshake.
    TlsOther(String),
    /// User name, password or certificate is not allowed to connect (CONNACK 0x86, 0x87).
    NotAuthorised,
    /// The client id is not allowed.
    ClientId,
    /// The broker has banned us.
    Banned,
    /// A limit set by the broker's administrator is reached.
    Quota,
    /// Our packet is larger than the broker takes.
    PacketTooLarge,
    /// The broker is busy, unavailable or shutting down.
    ServerBusy,
    /// The broker sends us to another one.
    ServerMoved,
    /// The broker cannot do MQTT 5, QoS 1 or something else that we need.
    Unsupported(String),
    /// Somebody broke MQTT's rules.
    Protocol(String),
    /// Another client connected with our client id.
    TakenOver,
    /// The broker heard nothing from us, or we nothing from it, for too long.
    KeepAliveTimeout,
    /// The broker takes messages and acknowledges none.
    NoAcknowledgement,
    /// An administrator closed the connection.
    Administrative,
    /// The connection was closed without a reason.
    Closed(String),
}

/// How patiently to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Soon, then slower: networks come back.
    Quick,
    /// A person has to change something: once a minute is plenty.
    Slow,
    /// Two clients with one id throw each other out; wait long, so that the other can work.
    Yield,
}

impl Trouble {
    /// The stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Files(_) => "tls-files",
            Self::Dns(_) => "dns",
            Self::Refused => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::ConnectTimeout => "connect-timeout",
            Self::TlsExpired(_) => "tls-expired",
            Self::TlsNotYetValid(_) => "tls-not-yet-valid",
            Self::TlsName(_) => "tls-name",
            Self::TlsUnknownCa => "tls-unknown-ca",
            Self::TlsPin => "tls-pin",
            Self::TlsClientCert(_) => "tls-client-cert",
            Self::TlsClosed => "tls-closed",
            Self::TlsOther(_) => "tls-other",
            Self::NotAuthorised => "not-authorised",
            Self::ClientId => "client-id",
            Self::Banned => "banned",
            Self::Quota => "quota",
            Self::PacketTooLarge => "packet-too-large",
            Self::ServerBusy => "server-busy",
            Self::ServerMoved => "server-moved",
            Self::Unsupported(_) => "unsupported",
            Self::Protocol(_) => "protocol",
            Self::TakenOver => "taken-over",
            Self::KeepAliveTimeout => "keep-alive-timeout",
            Self::NoAcknowledgement => "no-acknowledgement",
            Self::Administrative => "administrative",
            Self::Closed(_) => "closed",
        }
    }

    /// How patiently to try again.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self {
            Self::Dns(_)
            | Self::Refused
            | Self::Unreachable(_)
            | Self::ConnectTimeout
            | Self::TlsClosed
            | Self::ServerBusy
            | Self::KeepAliveTimeout
            | Self::NoAcknowledgement
            | Self::Protocol(_)
            | Self::PacketTooLarge
            | Self::Closed(_) => Pace::Quick,
            Self::Files(_)
            | Self::TlsExpired(_)
            | Self::TlsNotYetValid(_)
            | Self::TlsName(_)
            | Self::TlsUnknownCa
            | Self::TlsPin
            | Self::TlsClientCert(_)
            | Self::TlsOther(_)
            | Self::NotAuthorised
            | Self::ClientId
            | Self::Banned
            | Self::Quota
            | Self::ServerMoved
            | Self::Unsupported(_)
            | Self::Administrative => Pace::Slow,
            Self::TakenOver => Pace::Yield,
        }
    }

    /// What is the case, one sentence. Never holds a payload, a user name or a password.
    #[must_use]
    pub fn text(&self) -> Text {
        let (zh, en) = match self {
            Self::Files(what) => (
                format!("证书、密钥或密码文件不能用：{what}。"),
                format!("A certificate, key or password file cannot be used: {what}."),
            ),
            Self::Dns(what) => (
                format!("查不到服务器名字的地址：{what}。"),
                format!("The broker's name has no address: {what}."),
            ),
            Self::Refused => (
                "服务器的地址上没有程序在监听这个端口。".to_owned(),
                "Nothing listens at the broker's address and port.".to_owned(),
            ),
            Self::Unreachable(what) => (
                format!("到服务器的网络不通：{what}。"),
                format!("The broker cannot be reached: {what}."),
            ),
            Self::ConnectTimeout => {
                ("连接服务器超时。".to_owned(), "The broker did not answer in time.".to_owned())
            }
            Self::TlsExpired(until) => (
                format!("服务器的证书已过期{}。", dated("，有效期至 ", *until)),
                format!("The broker's certificate has expired{}.", dated(", on ", *until)),
            ),
            Self::TlsNotYetValid(from) => (
                format!("服务器的证书尚未生效{}。", dated("，生效时间 ", *from)),
                format!(
                    "The broker's certificate is not valid yet{}.",
                    dated(", not before ", *from)
                ),
            ),
            Self::TlsName(names) => (
                format!("服务器的证书不是给这个名字的，它写着：{}。", listed(names)),
                format!("The broker's certificate is for other names: {}.", listed(names)),
            ),
            Self::TlsUnknownCa => (
                "服务器的证书不是由受信任的 CA 签发的。".to_owned(),
                "The broker's certificate is not issued by a trusted CA.".to_owned(),
            ),
            Self::TlsPin => (
                "服务器的密钥不是配置中固定（pin）的任何一个。".to_owned(),
                "The broker's key is none of those that the config pins.".to_owned(),
            ),
            Self::TlsClientCert(alert) => (
                format!("服务器不接受网关的客户端证书（{alert}）。"),
                format!("The broker does not accept our client certificate ({alert})."),
            ),
            Self::TlsClosed => (
                "连接在 TLS 握手时被断开。".to_owned(),
                "The connection was closed in the TLS handshake.".to_owned(),
            ),
            Self::TlsOther(what) => {
                (format!("TLS 握手失败：{what}。"), format!("The TLS handshake failed: {what}."))
            }
            Self::NotAuthorised => (
                "服务器拒绝登录：用户名、密码或证书没有权限。".to_owned(),
                "The broker refuses us: user, password or certificate is not allowed.".to_owned(),
            ),
            Self::ClientId => (
                "服务器不接受这个客户端标识。".to_owned(),
                "The broker does not accept our client id.".to_owned(),
            ),
            Self::Banned => {
                ("服务器封禁了网关。".to_owned(), "The broker has banned this gateway.".to_owned())
            }
            Self::Quota => (
                "超出了服务器设定的配额。".to_owned(),
                "A quota set at the broker is used up.".to_owned(),
            ),
            Self::PacketTooLarge => (
                "报文超过服务器允许的大小。".to_owned(),
                "A packet is larger than the broker takes.".to_owned(),
            ),
            Self::ServerBusy => (
                "服务器忙、不可用或正在关闭。".to_owned(),
                "The broker is busy, unavailable or shutting down.".to_owned(),
            ),
            Self::ServerMoved => (
                "服务器要求改连另一台服务器。".to_owned(),
                "The broker sends us to another one.".to_owned(),
            ),
            Self::Unsupported(what) => (
                format!("服务器不支持所需的功能：{what}。"),
                format!("The broker lacks something that is needed: {what}."),
            ),
            Self::Protocol(what) => {
                (format!("MQTT 协议出错：{what}。"), format!("MQTT went wrong: {what}."))
            }
            Self::TakenOver => (
                "另一个客户端用同一个客户端标识登录了。".to_owned(),
                "Another client connected with our client id.".to_owned(),
            ),
            Self::KeepAliveTimeout => (
                "连接在保活时间内没有动静。".to_owned(),
                "The connection was silent for longer than the keep-alive.".to_owned(),
            ),
            Self::NoAcknowledgement => (
                "服务器收下消息却不确认。".to_owned(),
                "The broker takes messages and acknowledges none.".to_owned(),
            ),
            Self::Administrative => (
                "管理员关闭了连接。".to_owned(),
                "An administrator closed the connection.".to_owned(),
            ),
            Self::Closed(what) => {
                (format!("连接断开：{what}。"), format!("The connection was closed: {what}."))
            }
        };
        Text { zh, en }
    }

    /// What to do, one sentence.
    #[must_use]
    pub fn next(&self) -> Text {
        let (zh, en) = match self {
            Self::Files(_) => (
                "请检查配置 [mqtt] 里的 ca、cert、key 和 password_file。",
                "Check ca, cert, key and password_file under [mqtt] in the config.",
            ),
            Self::Dns(_) => (
                "请检查 [mqtt] host 的写法和网关的 DNS。",
                "Check host under [mqtt] and the gateway's DNS.",
            ),
            Self::Refused => (
                "请检查 [mqtt] port，以及服务器是否在运行。",
                "Check port under [mqtt] and whether the broker runs.",
            ),
            Self::Unreachable(_)
            | Self::ConnectTimeout
            | Self::KeepAliveTimeout
            | Self::Closed(_) => (
                "请检查网线、路由器和防火墙；网关会自动重连，数据都还在。",
                "Check cable, router and firewall; we reconnect by ourselves and lose nothing.",
            ),
            Self::TlsExpired(_) => (
                "请让云端换发证书；如果日期不对，请检查网关的时钟。",
                "Have the cloud renew its certificate; if the date looks wrong, check our clock.",
            ),
            Self::TlsNotYetValid(_) => (
                "请检查网关的时钟；对时以后会自动重连。",
                "Check the gateway's clock; we reconnect once it is set.",
            ),
            Self::TlsName(_) => (
                "请把 [mqtt] host 写成证书里的名字。",
                "Set host under [mqtt] to a name of the certificate.",
            ),
            Self::TlsUnknownCa => (
                "请把签发服务器证书的 CA 写进 [mqtt] ca；如果没有换过，可能有人在中间。",
                "Put the CA that issued it in ca under [mqtt]; if nothing was changed, somebody may sit between.",
            ),
            Self::TlsPin => (
                "请与云端核对服务器的密钥；如果换过，请更新 [mqtt] pins，否则可能有人在中间。",
                "Settle the broker's key with the cloud: update pins under [mqtt] if it was changed; if not, somebody may sit between.",
            ),
            Self::TlsClientCert(_) => (
                "请检查 [mqtt] cert 和 key：是否存在、未过期、由服务器信任的 CA 签发。",
                "Check cert and key under [mqtt]: there, not expired, issued by a CA that the broker trusts.",
            ),
            Self::TlsClosed => (
                "请检查 [mqtt] port 是否为服务器的 TLS 端口（一般是 8883）。",
                "Check that port under [mqtt] is the broker's TLS port, 8883 by custom.",
            ),
            Self::TlsOther(_) => (
                "请检查端口是否为 TLS 端口，服务器是否支持 TLS 1.2 以上。",
                "Check that the port speaks TLS and that the broker has TLS 1.2 or newer.",
            ),
            Self::NotAuthorised | Self::Banned => (
                "请与云端核对用户名、密码、证书和权限。",
                "Settle user, password, certificate and rights with the cloud.",
            ),
            Self::ClientId => {
                ("请与云端核对 [mqtt] client_id。", "Settle client_id under [mqtt] with the cloud.")
            }
            Self::Quota | Self::PacketTooLarge => {
                ("请让云端放宽限制。", "Have the cloud raise the limit.")
            }
            Self::ServerBusy | Self::NoAcknowledgement | Self::Administrative => (
                "请告知云端；数据都还在，恢复以后补发。",
                "Tell the cloud; nothing is lost and all is sent when it is back.",
            ),
            Self::ServerMoved => (
                "请向云端询问新的地址并改 [mqtt] host。",
                "Ask the cloud for the new address and change host under [mqtt].",
            ),
            Self::Unsupported(_) => {
                ("请让云端启用 MQTT 5 和 QoS 1。", "Have the cloud enable MQTT 5 and QoS 1.")
            }
            Self::Protocol(_) => {
                ("请保存诊断包并联系供应商。", "Save a diagnostics bundle and ask the supplier.")
            }
            Self::TakenOver => (
                "请检查是否有另一台网关用了同一份配置。",
                "Check whether another gateway runs with the same config.",
            ),
        };
        Text { zh: zh.to_owned(), en: en.to_owned() }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.word(), self.text().en)
    }
}

impl std::error::Error for Trouble {}

fn dated(before: &str, at: Option<Time>) -> String {
    at.map(|at| format!("{before}{at}")).unwrap_or_default()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "-".to_owned();
    }
    names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
}
