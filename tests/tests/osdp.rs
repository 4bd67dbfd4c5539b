//! The control panel against a reader that nobody here wrote: libosdp's (PyPI `libosdp`), over a
//! pseudo terminal of socat; in the clear, in the secure channel, and with another key.

use blockgate_drivers::door::osdp::{Event, Fault, Output, Panel};
use blockgate_drivers::transport::Stream;
use blockgate_drivers::{Connect, Parity, SystemConnect, Target};
use blockgate_e2e::{Running, python, wait_until};
use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const ADDRESS: u8 = 101;
const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

struct Site {
    folder: tempfile::TempDir,
    _wire: Running,
    _reader: Running,
}

impl Site {
    fn new(secure: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let link = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
        let wire = Running::start(Command::new("socat").args([link(&ours), link(&theirs)]));
        wait_until("the wire", Duration::from_secs(10), || {
            (ours.exists() && theirs.exists()).then_some(())
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/osdp_reader.py");
        let log = std::fs::File::create(folder.path().join("reader.log")).expect("a log");
        let mut reader = Command::new(python());
        reader.arg(script).arg(&theirs).arg(if secure { "secure" } else { "plain" });
        let reader = Running::start(reader.stdin(Stdio::null()).stdout(log).stderr(Stdio::null()));
        Self { folder, _wire: wire, _reader: reader }
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

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
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
