//! The control panel against readers that nobody here wrote: libosdp's (PyPI `libosdp`), over a
//! pseudo terminal of socat; in the clear, in the secure channel, and with another key. First the driver
//! alone, then a whole daemon with three readers on one wire.

use blockgate_drivers::door::osdp::{Event, Fault, Output, Panel};
use blockgate_drivers::transport::Stream;
use blockgate_drivers::{Connect, Parity, SystemConnect, Target};
use blockgate_e2e::gateway::{Gateway, private};
use blockgate_e2e::{Running, python, wait_until};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const ADDRESS: u8 = 101;
const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

struct Site {
    folder: tempfile::TempDir,
    _wire: Running,
    reader: Option<Running>,
    arguments: Vec<String>,
}

/// The key as a file or an argument has it.
const KEY_TEXT: &str = "000102030405060708090A0B0C0D0E0F";

impl Site {
    fn new(secure: bool) -> Self {
        let key = if secure { KEY_TEXT } else { "plain" };
        Self::with(&[&format!("{ADDRESS}={key}")])
    }

    fn with(readers: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let link = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
        let wire = Running::start(Command::new("socat").args([link(&ours), link(&theirs)]));
        wait_until("the wire", Duration::from_secs(10), || {
            (ours.exists() && theirs.exists()).then_some(())
        });
        let arguments = readers.iter().map(|reader| (*reader).to_owned()).collect();
        let mut site = Self { folder, _wire: wire, reader: None, arguments };
        site.plug_in();
        site
    }

    /// Starts the readers.
    fn plug_in(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/osdp_reader.py");
        let log = self.folder.path().join("reader.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let mut reader = Command::new(python());
        reader.arg(script).arg(self.folder.path().join("theirs")).args(&self.arguments);
        let reader = reader.stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        self.reader = Some(Running::start(reader));
    }

    async fn panel(&self) -> (Stream, Panel) {
        let target = Target::Serial {
            path: self.folder.path().join("ours").display().to_string(),
            baud: 9600,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 1,
        };
        (SystemConnect.connect(&target).await.expect("the wire"), Panel::new(ADDRESS))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("reader.log")).unwrap_or_default()
    }
}

/// The reader needs a moment to come up.
async fn connected(wire: &mut Stream, panel: &mut Panel, key: Option<&[u8; 16]>) -> Vec<u8> {
    for _ in 0..20 {
        match panel.connect(wire, key, false).await {
            Ok(id) => return id,
            Err(Fault::Silent) => {}
            Err(fault) => panic!("{fault}"),
        }
    }
    panic!("the reader does not answer");
}

async fn card_of(wire: &mut Stream, panel: &mut Panel) -> Event {
    // Each poll is a round trip to another process; the card comes after two seconds.
    for _ in 0..2_000 {
        let told = panel.poll(wire).await.expect("a poll");
        if matches!(told, Event::Card { .. }) {
            return told;
        }
    }
    panic!("no card came");
}

async fn shows_a_card_and_opens(secure: bool) {
    let site = Site::new(secure);
    let (mut wire, mut panel) = site.panel().await;
    let wire = &mut wire;
    let key = secure.then_some(&KEY);
    assert_eq!(connected(wire, &mut panel, key).await.len(), 12);
    assert_eq!(panel.is_secure(), secure);
    let Event::Card { bits, raw, .. } = card_of(wire, &mut panel).await else { return };
    assert_eq!((bits, raw.as_slice()), (26, &[0x5A, 0x12, 0x34, 0x40][..]));
    panel.output(wire, 0, Output::OnFor(30)).await.expect("the strike");
    // The reader's program hears of it.
    for _ in 0..500 {
        let _ = panel.poll(wire).await;
        if site.log().contains("output") {
            return;
        }
    }
    panic!("the reader was not told: {:?}", site.log());
}

async fn says_so_of_a_wrong_key() {
    let site = Site::new(true);
    let (mut wire, mut panel) = site.panel().await;
    let wire = &mut wire;
    connected(wire, &mut panel, Some(&KEY)).await;
    let mut other = KEY;
    other[0] = 0xFF;
    match panel.connect(wire, Some(&other), false).await {
        Err(Fault::WrongKey) => {}
        told => panic!("{told:?}"),
    }
    assert!(!panel.is_secure());
    connected(wire, &mut panel, Some(&KEY)).await;
    assert!(panel.is_secure(), "the right key still works");
}

/// The bits of card 180,9320, and of two that are somebody else's and nobody's.
const CARD: &str = "card 26 5A123440";
const CARD_WITH_PIN: &str = "card 32 00997AA0";
const CARD_OF_NOBODY: &str = "card 26 01020340";

fn config(wire: &Path) -> String {
    let mut text = format!(
        "[doors]\npins_file = \"pins\"\n\
         [[account]]\nid = \"a-1\"\nbuilding = \"1\"\n\
         [[controller]]\nid = \"hall\"\nvendor = \"osdp\"\npath = \"{}\"\noffline_after = \"5s\"\n\
         [[controller.reader]]\naddress = 101\ndoor = 1\nkey_file = \"101.key\"\ncontact = 0\n\
         [[controller.reader]]\naddress = 102\ndoor = 2\nsecure_channel = \"off\"\n\
         [[controller.reader]]\naddress = 103\ndoor = 3\nkey_file = \"103.key\"\n",
        wire.display()
    );
    for (door, number) in [("b1", 1), ("gym", 2), ("cellar", 3)] {
        text += &format!(
            "[[door]]\nid = \"{door}\"\ncontroller = \"hall\"\nnumber = {number}\nunlock = \"1s\"\n\
             exit = \"mechanical\"\npower_loss = \"locked\"\n"
        );
    }
    text + "[[door_group]]\nid = \"all\"\ndoors = [\"b1\", \"gym\", \"cellar\"]\nresidents = true\n\
            [[person]]\nid = \"p-1\"\naccount = \"a-1\"\ncards = [\"180,9320\"]\n\
            [[person]]\nid = \"p-2\"\naccount = \"a-1\"\ncards = [\"10058400\"]\n"
}

/// A gateway whose controller's readers libosdp plays.
struct House {
    gateway: Gateway,
    site: Site,
    script: std::fs::File,
}

impl House {
    fn does(&mut self, line: &str) {
        writeln!(self.script, "{line}").expect("the script");
    }

    fn readers(&self) -> Vec<Value> {
        let all = self.gateway.json("/v1/controllers");
        all["controllers"][0]["readers"].as_array().cloned().unwrap_or_default()
    }

    /// How often a reader's output was switched this way.
    fn switched(&self, reader: u8, code: u8) -> usize {
        let of = |line: &&str| {
            line.starts_with(&format!("{reader} output"))
                && line.contains("'output_no'")
                && line.contains(&format!("'control_code': {code}"))
        };
        self.site.log().lines().filter(of).count()
    }

    fn happens(&self, what: &str, door: &str, event: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.gateway.wait(what, |gateway| {
            let path = format!("/v1/door-events?door={door}&event={event}");
            let events = gateway.json(&path)["events"].as_array().cloned().unwrap_or_default();
            events.into_iter().find(|event| is(event))
        })
    }

    fn alarm(&self, code: &str, subject: &str) -> bool {
        let open = self.gateway.json("/v1/alarms")["open"].as_array().cloned().unwrap_or_default();
        open.iter().any(|alarm| alarm["code"] == code && alarm["subject"] == subject)
    }
}

fn three_readers_on_one_wire() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("script");
    let file = std::fs::File::create(&script).expect("a script");
    let script = script.display().to_string();
    let (secure, other) = (format!("101={KEY_TEXT}"), format!("103={}", "A5".repeat(16)));
    let site = Site::with(&[&secure, "102=plain", &other, "--script", &script]);
    let gateway = Gateway::new(&config(&site.folder.path().join("ours")));
    for (name, text) in [("101.key", KEY_TEXT), ("103.key", KEY_TEXT), ("pins", "p-2 7531\n")] {
        private(&gateway.path(name), text);
    }
    let mut house = House { gateway, site, script: file };

    let said = house.gateway.command(&["check"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("reader 102 of hall speaks in the clear"), "{said:?}");
    house.gateway.start();
    house.gateway.wait("two readers are there, the third has another key", |_| {
        let readers = house.readers();
        let is = |n: usize, key: &str| readers.get(n).is_some_and(|r| r[key] == true);
        let good = is(0, "online") && is(0, "secure") && is(1, "online") && !is(1, "secure");
        (good && is(2, "wrong_key") && !is(2, "online")).then_some(())
    });
    house.gateway.wait("a wrong key is an alarm", |_| {
        house.alarm("controller-key", "reader/hall/103").then_some(())
    });
    assert!(!house.alarm("controller-key", "reader/hall/101"));
    let said = house.gateway.command(&["doors"]);
    assert!(said.out.contains("reader 103") && said.out.contains("another key"), "{said:?}");

    // A resident, in the secure channel; somebody whom nobody knows; a resident in the clear.
    house.does(&format!("101 {CARD}"));
    let granted = house.happens("a resident comes in", "b1", "granted", |_| true);
    assert_eq!((&granted["person"], &granted["card"]), (&json!("p-1"), &json!(18_009_320)));
    house
        .gateway
        .wait("the strike is switched for a time", |_| (house.switched(101, 5) == 1).then_some(()));
    house.does(&format!("101 {CARD_OF_NOBODY}"));
    house.happens("a stranger is refused", "b1", "denied", |event| event["denied"] == "no-right");
    house.does(&format!("102 {CARD}"));
    house.happens("a resident, in the clear", "gym", "granted", |_| true);
    house.gateway.wait("that strike too", |_| (house.switched(102, 5) == 1).then_some(()));

    // A PIN to the card: a wrong one, then the right one.
    house.does(&format!("102 {CARD_WITH_PIN}"));
    house.does("102 keys 1111#");
    house.happens("a wrong PIN", "gym", "denied", |event| event["denied"] == "pin");
    house.does(&format!("102 {CARD_WITH_PIN}"));
    house.does("102 keys 7531#");
    house.happens("the right PIN", "gym", "granted", |event| event["person"] == "p-2");
    assert_eq!(house.switched(101, 5), 1, "nothing else opened");

    // An order opens once, also where it comes twice; holding is the output's lasting state.
    let said =
        house.gateway.command(&["order", "open-door", "b1", "--reason", "no card", "--json"]);
    assert_eq!((said.code, &said.json()["outcome"]), (0, &json!("done")), "{said:?}");
    house.gateway.wait("it opened once", |_| (house.switched(101, 5) == 2).then_some(()));
    let until = "2199-01-01T00:00:00Z";
    let said =
        house.gateway.command(&["order", "hold-door", "b1", "--until", until, "--reason", "x"]);
    assert_eq!(said.code, 1, "at most 31 days: {said:?}");
    let said = house.gateway.command(&["order", "emergency-open", "b1", "--reason", "gas"]);
    assert_eq!(said.code, 0, "{said:?}");
    house.gateway.wait("it stands open", |_| (house.switched(101, 2) == 1).then_some(()));
    let said = house.gateway.command(&["order", "end-emergency", "--reason", "over"]);
    assert_eq!(said.code, 0, "{said:?}");
    house.gateway.wait("it is locked again", |_| (house.switched(101, 1) > 0).then_some(()));
    let said = house.gateway.command(&["order", "open-door", "cellar", "--reason", "x", "--json"]);
    assert_eq!(
        said.json()["outcome"],
        "failed",
        "a reader with another key opens nothing: {said:?}"
    );

    // The housing, and a door that opens for nobody.
    house.does("101 state 1 0");
    house.gateway.wait("tamper", |_| house.alarm("door-tamper", "door/b1").then_some(()));
    // Right after the strike a door that opens is one that somebody was let through: it is pushed until
    // nobody was.
    house.gateway.wait("a door that nobody was let through", |gateway| {
        let events = gateway.json("/v1/door-events?door=b1&event=forced");
        let line = "101 inputs 1 0 0 0\n101 inputs 0 0 0 0";
        writeln!(house.script.try_clone().expect("the script"), "{line}").expect("the script");
        events["events"].as_array().filter(|events| !events.is_empty()).map(drop)
    });
    house.does("101 inputs 1 0 0 0");
    house.gateway.wait("forced", |_| house.alarm("door-forced", "door/b1").then_some(()));
    house.does("101 inputs 0 0 0 0");
    house.gateway.wait("closed", |_| (!house.alarm("door-forced", "door/b1")).then_some(()));

    // Cut off, and back with both channels.
    house.site.reader = None;
    house
        .gateway
        .wait("offline", |_| house.alarm("controller-offline", "reader/hall/101").then_some(()));
    house.site.plug_in();
    house.gateway.wait("back", |_| {
        let back = house.readers().iter().filter(|r| r["online"] == true).count() == 2;
        (back && !house.alarm("controller-offline", "reader/hall/101")).then_some(())
    });
    let zh = house.gateway.page("/alarms", "zh-CN");
    assert!(zh.contains("密钥"), "{zh}");
    house.gateway.stop();
    let log = house.gateway.log();
    assert!(!log.contains(KEY_TEXT) && !log.contains("7531") && !log.contains("18009320"), "{log}");
}

/// Why it cannot run here; `None` where it can.
fn missing() -> Option<&'static str> {
    let has = |program: &mut Command| {
        let quiet = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    if !has(Command::new("socat").arg("-V")) {
        return Some("socat is not installed");
    }
    if !has(Command::new(python()).args(["-c", "import osdp; osdp.PeripheralDevice"])) {
        return Some("PyPI libosdp is not installed");
    }
    None
}

fn trial(name: &'static str, test: impl Future<Output = ()> + Send + 'static) -> Trial {
    let missing = missing();
    let title = missing.map_or_else(|| name.to_owned(), |why| format!("{name} ({why})"));
    Trial::test(title, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(test);
        Ok(())
    })
    .with_ignored_flag(missing.is_some())
}

fn daemon_trial() -> Trial {
    let name = "a_daemon_decides_at_its_readers_in_both_channels_and_a_wrong_key_is_an_alarm";
    let missing = missing();
    let title = missing.map_or_else(|| name.to_owned(), |why| format!("{name} ({why})"));
    Trial::test(title, || {
        three_readers_on_one_wire();
        Ok(())
    })
    .with_ignored_flag(missing.is_some())
}

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        daemon_trial(),
        trial(
            "a_reader_in_the_clear_shows_a_card_and_its_strike_opens",
            shows_a_card_and_opens(false),
        ),
        trial(
            "a_reader_in_the_secure_channel_shows_a_card_and_its_strike_opens",
            shows_a_card_and_opens(true),
        ),
        trial("another_key_is_said_so_and_the_right_one_still_works", says_so_of_a_wrong_key()),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}
