//! Debian's mosquitto as the broker, and its own clients as the cloud: `mosquitto_sub` writes down
//! what comes, `mosquitto_pub` confirms it. They use a second door of the broker, without TLS and
//! passwords, so that what is tried on the first touches the gateway alone.

use crate::{Running, free_port, wait_until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Topics of the gateway that [`crate::gateway::Gateway`] writes.
pub const PREFIX: &str = "blockgate/v1/t/gw/";

/// A broker and the cloud behind it.
#[derive(Debug)]
pub struct Broker {
    folder: PathBuf,
    /// The door under test.
    pub port: u16,
    /// The cloud's own door.
    back: u16,
    running: Option<Running>,
    cloud: Option<Running>,
}

impl Broker {
    /// A broker that keeps its files in `folder`. Nothing runs yet.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let (port, back) = (free_port(), free_port());
        Self { folder: folder.to_owned(), port, back, running: None, cloud: None }
    }

    /// Starts mosquitto; `door` is what its config says of the door under test, below its port.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(&mut self, door: &str) {
        let (port, back) = (self.port, self.back);
        let text = format!(
            "per_listener_settings true\npersistence false\nlog_type all\nuser root\n\
             listener {back} 127.0.0.1\nallow_anonymous true\n\
             listener {port} 127.0.0.1\n{door}"
        );
        let config = self.folder.join("mosquitto.conf");
        std::fs::write(&config, text).expect("the broker's config");
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .unwrap_or("mosquitto");
        self.running = Some(self.run("mosquitto", Command::new(program).arg("-c").arg(config)));
        wait_until("mosquitto listens", Duration::from_secs(20), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        self.listen();
    }

    /// Stops it at once.
    pub fn stop(&mut self) {
        self.running = None;
        self.cloud = None;
    }

    fn run(&self, name: &str, command: &mut Command) -> Running {
        let log = |name: String| {
            let path = self.folder.join(name);
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            Stdio::from(file.expect("a log"))
        };
        let out = log(format!("{name}.out"));
        let err = log(format!("{name}.log"));
        Running::start(command.stdin(Stdio::null()).stdout(out).stderr(err))
    }

    fn listen(&mut self) {
        let back = self.back.to_string();
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &back, "-q", "1", "-V", "mqttv5", "-t"]);
        self.cloud = Some(self.run("cloud", command.arg(format!("{PREFIX}evt/#"))));
    }

    /// Everything that came, in its order, what came again too.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("cloud.out")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The events that came, by sequence number, each once.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let mut events = self.deliveries();
        events.sort_by_key(|event| event["seq"].as_u64());
        events.dedup_by_key(|event| event["seq"].as_u64());
        events
    }

    /// The highest sequence number up to which nothing is missing; 0 when the first has not come.
    #[must_use]
    pub fn whole_through(&self) -> u64 {
        let seqs = self.events().into_iter().filter_map(|event| event["seq"].as_u64());
        seqs.zip(1..).take_while(|(seq, wanted)| seq == wanted).last().map_or(0, |(seq, _)| seq)
    }

    /// Confirms everything up to a sequence number.
    pub fn confirm(&self, through: u64) {
        let back = self.back.to_string();
        let receipt = format!("{{\"through\":{through}}}");
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &back, "-q", "1", "-m", &receipt, "-t"]);
        crate::gateway::succeeds(command.arg(format!("{PREFIX}receipt")));
    }
}
