//! Every way in which a broker and a gateway can refuse each other, against Debian's mosquitto: what
//! the log, the API and the page say, in both languages, and when it is tried again; and that what
//! waited arrives once the cause is mended, without a restart. Reloads of the config, right and wrong.

use blockgate::demo::certificates::{Authority, Pair, Purpose};
use blockgate_e2e::broker::Broker;
use blockgate_e2e::gateway::{Gateway, private, succeeds};
use blockgate_e2e::slave::{Framing, Slave, profile};
use std::path::Path;
use std::process::Command;

/// Years in which a certificate is good now, in which one was, and in which one will be.
const GOOD: std::ops::Range<i32> = 2020..2100;
const PAST: std::ops::Range<i32> = 2020..2024;
const FUTURE: std::ops::Range<i32> = 2099..2100;

/// A gateway with one meter, a broker beside it, and certificates for both.
struct Site {
    gateway: Gateway,
    broker: Broker,
    slave: Slave,
    authority: Authority,
}

impl Site {
    fn new() -> Self {
        let slave = Slave::tcp(Framing::Mbap);
        let gateway = Gateway::new("");
        gateway.write("profiles.d/scripted.toml", &profile());
        let broker = Broker::new(&gateway.path("broker"));
        let authority = Authority::new("e2e CA").expect("a CA");
        let site = Self { gateway, broker, slave, authority };
        site.gateway.write("tls/ca.crt", &site.authority.pem());
        site.gateway.write("broker/ca.crt", &site.authority.pem());
        site.server_certificate("localhost", GOOD);
        site.client_certificate(GOOD);
        site.configure(MUTUAL);
        site
    }

    fn configure(&self, mqtt: &str) {
        let text = format!(
            "[mqtt]\nhost = \"localhost\"\nport = {}\nca = \"tls/ca.crt\"\nreceipt_timeout = \"1s\"\n\
             telemetry_every = \"0s\"\n{mqtt}{}reply_timeout = \"2s\"\n[meter_defaults]\n\
             poll_every = \"250ms\"\nrecord_every = \"0s\"\nmax_per_hour = \"1000000\"\n\
             [[meter]]\nid = \"m-1\"\nline = \"l0\"\naddress = 1\nprofile = \"scripted-meter\"\n",
            self.broker.port,
            self.slave.line("l0"),
        );
        self.gateway.write_config(&text);
    }

    fn server_certificate(&self, name: &str, years: std::ops::Range<i32>) {
        let pair =
            self.authority.issue_for(Purpose::Server, &[name], years).expect("a certificate");
        put(&self.gateway.path("broker"), "server", &pair);
    }

    fn client_certificate(&self, years: std::ops::Range<i32>) {
        let pair =
            self.authority.issue_for(Purpose::Client, &["gateway"], years).expect("a certificate");
        put(&self.gateway.path("tls"), "gateway", &pair);
    }

    fn start_broker(&mut self, door: &str) {
        let folder = self.gateway.path("broker").display().to_string();
        self.broker.start(&door.replace("{folder}", &folder));
    }

    fn restart_broker(&mut self, door: &str) {
        self.broker.stop();
        self.start_broker(door);
    }

    fn boot(&self) -> String {
        self.gateway.json("/v1/status")["boot"].as_str().expect("a boot id").to_owned()
    }

    /// Everything that waited reaches the cloud, and its receipt reaches the outbox.
    fn delivers(&self) {
        let waiting = self.gateway.json("/v1/outbox")["waiting"].as_u64().expect("a number");
        let through = self.gateway.wait("what waited has arrived without a hole", |_| {
            let whole = self.broker.whole_through();
            (whole >= waiting).then_some(whole)
        });
        self.gateway.wait("the receipt has come home", |gateway| {
            self.broker.confirm(through);
            (gateway.json("/v1/outbox")["through"].as_u64()? >= through).then_some(())
        });
        let status = self.gateway.json("/v1/status")["mqtt"].clone();
        assert_eq!(status["connected"], true, "{status}");
        assert!(status["trouble"].is_null() && status["retry_at"].is_null(), "{status}");
    }
}

fn put(folder: &Path, name: &str, pair: &Pair) {
    private(&folder.join(format!("{name}.crt")), &pair.cert);
    private(&folder.join(format!("{name}.key")), &pair.key);
}

/// The gateway's side: with a certificate, without, by name and password.
const MUTUAL: &str = "cert = \"tls/gateway.crt\"\nkey = \"tls/gateway.key\"\n";
const NO_CERTIFICATE: &str = "";
const BY_NAME: &str = "username = \"gw\"\npassword_file = \"password\"\n";

/// The broker's side.
const TLS_MUTUAL: &str = "cafile {folder}/ca.crt\ncertfile {folder}/server.crt\n\
    keyfile {folder}/server.key\nrequire_certificate true\nallow_anonymous true\n";
const TLS_BY_NAME: &str = "cafile {folder}/ca.crt\ncertfile {folder}/server.crt\n\
    keyfile {folder}/server.key\nallow_anonymous false\npassword_file {folder}/passwords\n";
const TLS_BY_NAME_WITH_RIGHTS: &str = "cafile {folder}/ca.crt\ncertfile {folder}/server.crt\n\
    keyfile {folder}/server.key\nallow_anonymous false\npassword_file {folder}/passwords\n\
    acl_file {folder}/rights\n";
const PLAIN: &str = "allow_anonymous true\n";

/// The broker knows `gw` with the password `right`; the gateway has `password`.
fn by_name(site: &Site, password: &str) {
    site.configure(BY_NAME);
    private(&site.gateway.path("password"), &format!("{password}\n"));
    let passwords = site.gateway.path("broker/passwords");
    let mut command = Command::new("mosquitto_passwd");
    succeeds(command.args(["-c", "-b"]).arg(passwords).args(["gw", "right"]));
}

/// What is wrong, what is said about it, and how it is mended.
struct Case {
    what: &'static str,
    word: &'static str,
    en: &'static str,
    zh: &'static str,
    spoil: fn(&mut Site),
    mend: fn(&mut Site),
}

const CASES: &[Case] = &[
    Case {
        what: "nothing listens",
        word: "refused",
        en: "Nothing listens at the broker's address and port.",
        zh: "服务器的地址上没有程序在监听这个端口。",
        spoil: |_| {},
        mend: |site| site.start_broker(TLS_MUTUAL),
    },
    Case {
        what: "another CA",
        word: "tls-unknown-ca",
        en: "The broker's certificate is not issued by a trusted CA.",
        zh: "服务器的证书不是由受信任的 CA 签发的。",
        spoil: |site| {
            let other = Authority::new("another CA").expect("a CA");
            site.gateway.write("tls/ca.crt", &other.pem());
            site.start_broker(TLS_MUTUAL);
        },
        mend: |site| site.gateway.write("tls/ca.crt", &site.authority.pem()),
    },
    Case {
        what: "the certificate is for another name",
        word: "tls-name",
        en: "The broker's certificate is for other names: ",
        zh: "服务器的证书不是给这个名字的，它写着：",
        spoil: |site| {
            site.server_certificate("broker.example", GOOD);
            site.start_broker(TLS_MUTUAL);
        },
        mend: |site| {
            site.server_certificate("localhost", GOOD);
            site.restart_broker(TLS_MUTUAL);
        },
    },
    Case {
        what: "the broker's certificate has expired",
        word: "tls-expired",
        en: "The broker's certificate has expired, on 2024-01-01",
        zh: "服务器的证书已过期，有效期至 2024-01-01",
        spoil: |site| {
            site.server_certificate("localhost", PAST);
            site.start_broker(TLS_MUTUAL);
        },
        mend: |site| {
            site.server_certificate("localhost", GOOD);
            site.restart_broker(TLS_MUTUAL);
        },
    },
    Case {
        what: "our certificate has expired",
        word: "tls-client-cert",
        en: "The broker does not accept our client certificate (certificate expired).",
        zh: "服务器不接受网关的客户端证书（certificate expired）。",
        spoil: |site| {
            site.client_certificate(PAST);
            site.start_broker(TLS_MUTUAL);
        },
        mend: |site| site.client_certificate(GOOD),
    },
    Case {
        what: "we have no certificate",
        word: "tls-client-cert",
        en: "The broker does not accept our client certificate (certificate required).",
        zh: "服务器不接受网关的客户端证书（certificate required）。",
        spoil: |site| {
            site.configure(NO_CERTIFICATE);
            site.start_broker(TLS_MUTUAL);
        },
        // The config has to change: a reload, no new process.
        mend: |site| {
            site.configure(MUTUAL);
            site.gateway.reload("the config changed");
            site.gateway.come_up();
        },
    },
    Case {
        what: "a wrong password",
        word: "not-authorised",
        en: "The broker refuses us: user, password or certificate is not allowed.",
        zh: "服务器拒绝登录：用户名、密码或证书没有权限。",
        spoil: |site| {
            by_name(site, "wrong");
            site.start_broker(TLS_BY_NAME);
        },
        mend: |site| private(&site.gateway.path("password"), "right\n"),
    },
    Case {
        what: "no right to publish",
        word: "not-authorised",
        en: "The broker refuses us: user, password or certificate is not allowed.",
        zh: "服务器拒绝登录：用户名、密码或证书没有权限。",
        spoil: |site| {
            by_name(site, "right");
            site.gateway.write("broker/rights", "user gw\ntopic read blockgate/#\n");
            site.start_broker(TLS_BY_NAME_WITH_RIGHTS);
        },
        mend: |site| {
            site.gateway.write("broker/rights", "user gw\ntopic readwrite blockgate/#\n");
            site.restart_broker(TLS_BY_NAME_WITH_RIGHTS);
        },
    },
    Case {
        what: "the broker's certificate is not valid yet",
        word: "tls-not-yet-valid",
        en: "The broker's certificate is not valid yet, not before 2099-01-01",
        zh: "服务器的证书尚未生效，生效时间 2099-01-01",
        spoil: |site| {
            site.server_certificate("localhost", FUTURE);
            site.start_broker(TLS_MUTUAL);
        },
        mend: |site| {
            site.server_certificate("localhost", GOOD);
            site.restart_broker(TLS_MUTUAL);
        },
    },
    Case {
        what: "the CA file is not there",
        word: "tls-files",
        en: "A certificate, key or password file cannot be used: ",
        zh: "证书、密钥或密码文件不能用：",
        spoil: |site| {
            std::fs::remove_file(site.gateway.path("tls/ca.crt")).expect("the file");
            site.start_broker(TLS_MUTUAL);
        },
        mend: |site| site.gateway.write("tls/ca.crt", &site.authority.pem()),
    },
    Case {
        what: "a port without TLS",
        word: "tls-closed",
        en: "The connection was closed in the TLS handshake.",
        zh: "连接在 TLS 握手时被断开。",
        spoil: |site| site.start_broker(PLAIN),
        mend: |site| site.restart_broker(TLS_MUTUAL),
    },
];

fn refused_and_mended(case: &Case) {
    let Case { what, word, en, zh, .. } = case;
    let mut site = Site::new();
    (case.spoil)(&mut site);
    site.gateway.start();
    let boot = site.boot();
    site.gateway.wait(&format!("{what}: the API says so, and when it is tried again"), |gateway| {
        let status = gateway.json("/v1/status");
        let mqtt = &status["mqtt"];
        let trouble = mqtt["trouble"].as_object()?;
        assert_eq!((mqtt["connected"].as_bool(), &trouble["code"]), (Some(false), &(*word).into()));
        assert!(trouble["text"]["en"].as_str().is_some_and(|t| t.contains(en)), "{mqtt}");
        assert!(trouble["text"]["zh"].as_str().is_some_and(|t| t.contains(zh)), "{mqtt}");
        // RFC 3339 in UTC sorts by time. While it is tried, the time has just passed.
        (mqtt["retry_at"].as_str()? > status["now"].as_str()?).then_some(())
    });
    for (language, sentence, next) in
        [("en", en, "next attempt 20"), ("zh-CN", zh, "下次尝试： 20")]
    {
        for path in ["/outbox", "/"] {
            let page = site.gateway.page(path, language);
            assert!(page.contains(sentence), "{what}: {path} {language}: {sentence}\n{page}");
            assert!(page.contains(next), "{what}: {path} {language}: {next}\n{page}");
        }
    }
    let log = site.gateway.log();
    // The files' own fault has a line of its own before the attempt fails by it.
    let mut lines = log.lines().filter(|line| line.contains(en));
    let told = lines.any(|line| line.contains("WARN") && line.contains("retry_at=20"));
    assert!(told, "{what}\n{log}");
    // Meanwhile it polls and keeps what it reads.
    let waiting = |gateway: &Gateway| gateway.json("/v1/outbox")["waiting"].as_u64();
    let before = waiting(&site.gateway);
    site.gateway.wait("more readings wait", |g| (waiting(g) > before.map(|n| n + 2)).then_some(()));

    (case.mend)(&mut site);
    site.gateway.wait(&format!("{what}: mended, the gateway is connected"), |gateway| {
        (gateway.json("/v1/status")["mqtt"]["connected"] == true).then_some(())
    });
    site.delivers();
    let reloaded = site.gateway.log().contains("the config changed");
    assert!(reloaded || site.boot() == boot, "{what}: nothing was restarted");
    site.gateway.stop();
}

#[test]
fn every_refusal_is_named_and_timed_and_what_waited_arrives_once_it_is_mended() {
    std::thread::scope(|scope| {
        let running: Vec<_> = CASES
            .iter()
            .map(|case| (case, scope.spawn(move || refused_and_mended(case))))
            .collect();
        let failed: Vec<&str> = running
            .into_iter()
            .filter_map(|(case, thread)| thread.join().is_err().then_some(case.what))
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

#[test]
fn a_reload_takes_a_right_config_and_refuses_a_wrong_one_with_all_its_errors() {
    let mut site = Site::new();
    site.start_broker(TLS_MUTUAL);
    site.gateway.start();
    let hash = |site: &Site| site.gateway.json("/v1/status")["config_hash"].clone();
    let connected =
        |gateway: &Gateway| (gateway.json("/v1/status")["mqtt"]["connected"] == true).then_some(());
    site.gateway.wait("the gateway is connected", connected);
    let (old, boot) = (hash(&site), site.boot());
    let good = std::fs::read_to_string(site.gateway.config()).expect("the config");

    let log = site.gateway.reload("the config is the same; nothing to do");
    assert!(!log.contains("ERROR"), "{log}");

    // Wrong in three places, in two files.
    let wrong = good.replace("poll_every", "pol_every").replace("address = 1", "address = 500");
    site.gateway.write("blockgate.toml", &wrong);
    site.gateway.write("rules.d/bad.toml", "[[tariff]]\nid = \"x\"\n");
    let log = site.gateway.reload("the new config is wrong; the old one is kept");
    for want in [
        "unknown key \"pol_every\"; did you mean \"poll_every\"?",
        "address must be a whole number from 1 to 247",
        "rules.d/bad.toml:",
    ] {
        let told = log.lines().any(|line| line.contains("ERROR") && line.contains(want));
        assert!(told, "{want}\nnot in\n{log}");
    }
    let good_polls = |gateway: &Gateway| gateway.json("/v1/meters/m-1")["polls_good"].as_u64();
    let before = good_polls(&site.gateway);
    site.gateway.wait("the old config goes on", |gateway| {
        (good_polls(gateway) > before.map(|n| n + 2)).then_some(())
    });
    assert_eq!((hash(&site), site.boot()), (old.clone(), boot));

    // Mended, and with one meter more.
    std::fs::remove_file(site.gateway.path("rules.d/bad.toml")).expect("the file");
    let more =
        "[[meter]]\nid = \"m-2\"\nline = \"l0\"\naddress = 2\nprofile = \"scripted-meter\"\n";
    site.gateway.write("blockgate.toml", &format!("{good}{more}"));
    site.gateway.reload("the config changed");
    site.gateway.come_up();
    site.gateway.wait("the new meter is polled", |gateway| {
        gateway.json("/v1/meters/m-2")["polls_good"].as_u64().filter(|n| *n > 0)
    });
    assert_ne!(hash(&site), old);
    site.gateway.wait("the gateway is connected", connected);
    site.delivers();
    site.gateway.stop();
}
