//! A simulated Hikvision access terminal: people, cards and plans as it was given them, doors that are
//! controlled, and an event memory by serial number. It decides by its own list whether or not a gateway is
//! there. Written apart from the codec in `door::hikvision`: own JSON, own XML, own Digest.

use md5::Digest as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Events that it keeps.
const MEMORY: usize = 20_000;
/// Rows of one page of an answer, whatever is asked for.
const PAGE: u64 = 30;
const USER: &str = "admin";
const REALM: &str = "DS-K";

#[derive(Debug)]
struct Inner {
    password: String,
    people: BTreeMap<String, Value>,
    /// Whose each card is.
    cards: BTreeMap<String, String>,
    documents: BTreeMap<String, Value>,
    events: VecDeque<Value>,
    memory: usize,
    newest: u64,
    doors: Vec<Door>,
    clock: String,
    plugged: bool,
    /// Takes orders and moves no lock, as one does whose door is locked by hand.
    stuck: bool,
    requests: BTreeMap<String, u64>,
    unauthorized: u64,
}

#[derive(Debug, Clone, Copy)]
struct Door {
    /// 2 stays open, 3 stays locked, 4 by its list.
    status: u8,
    open: bool,
    /// Questions for which its lock still shows released.
    released: u8,
    opened: u64,
}

/// A simulated terminal; clones are the same one.
#[derive(Debug, Clone)]
pub struct SimTerminal(Arc<Mutex<Inner>>);

impl SimTerminal {
    /// A terminal as it comes from its box, with this many doors and a password.
    #[must_use]
    pub fn new(doors: usize, password: &str) -> Self {
        let door = Door { status: 4, open: false, released: 0, opened: 0 };
        Self(Arc::new(Mutex::new(Inner {
            password: password.to_owned(),
            people: BTreeMap::new(),
            cards: BTreeMap::new(),
            documents: BTreeMap::new(),
            events: VecDeque::new(),
            memory: MEMORY,
            newest: 0,
            doors: vec![door; doors],
            clock: "2026-03-02T09:00:00+08:00".to_owned(),
            plugged: true,
            stuck: false,
            requests: BTreeMap::new(),
            unauthorized: 0,
        })))
    }

    /// With another size of its event memory.
    #[must_use]
    pub fn with_memory(self, events: usize) -> Self {
        self.lock().memory = events.max(1);
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plugs its network cable in or out.
    pub fn plug(&self, plugged: bool) {
        self.lock().plugged = plugged;
    }

    /// Whether it takes orders and moves no lock.
    pub fn stick(&self, stuck: bool) {
        self.lock().stuck = stuck;
    }

    /// Gives its user another password.
    pub fn set_password(&self, password: &str) {
        self.lock().password = password.to_owned();
    }

    /// Sets its clock, as `2026-03-02T09:00:00+08:00`.
    pub fn set_clock(&self, clock: &str) {
        self.lock().clock = clock.to_owned();
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> String {
        self.lock().clock.clone()
    }

    /// Somebody shows a card at a door, from 1. Whether it opens, by people, rights and validity; plans
    /// are kept and not judged.
    pub fn swipe(&self, door: u8, card: u64) -> bool {
        let mut inner = self.lock();
        let number = card.to_string();
        let person = inner.cards.get(&number).and_then(|whose| inner.people.get(whose)).cloned();
        let status = inner.door(door).map_or(3, |door| door.status);
        let minor = match &person {
            None => 9,
            Some(_) if status == 3 => 12,
            Some(person) => {
                let rights = at(person, "/doorRight").as_str().unwrap_or_default().to_owned();
                let today = inner.clock.get(..10).unwrap_or_default().to_owned();
                let day = |key: &str| {
                    let text = at(person, &format!("/Valid/{key}")).as_str().unwrap_or_default();
                    text.get(..10).unwrap_or_default().to_owned()
                };
                let valid = day("beginTime") <= today && today <= day("endTime");
                let may = rights.split(',').any(|right| right == door.to_string());
                if !may {
                    6
                } else if valid {
                    1
                } else {
                    8
                }
            }
        };
        inner.push(5, minor, door, Some(&number));
        minor == 1
    }

    /// Something else happens, by the device's own numbers.
    pub fn happen(&self, major: u32, minor: u32, door: u8) {
        self.lock().push(major, minor, door, None);
    }

    /// A door's contact opens or closes.
    pub fn contact(&self, door: u8, open: bool) {
        let mut inner = self.lock();
        if let Some(door) = inner.door(door) {
            door.open = open;
        }
        inner.push(5, if open { 25 } else { 26 }, door, None);
    }

    /// Everything is lost, as with a new terminal in the old one's place.
    pub fn wipe(&self) {
        let mut inner = self.lock();
        inner.people.clear();
        inner.cards.clear();
        inner.documents.clear();
        inner.events.clear();
        inner.newest = 0;
        inner.doors.iter_mut().for_each(|door| door.status = 4);
    }

    /// Somebody types a person in at the terminal itself.
    pub fn add_person(&self, employee: &str, card: u64) {
        let mut inner = self.lock();
        let person = json!({ "employeeNo": employee, "name": "local", "doorRight": "1",
            "Valid": { "enable": true, "beginTime": "2020-01-01T00:00:00", "endTime": "2037-12-31T23:59:59" } });
        inner.people.insert(employee.to_owned(), person);
        inner.cards.insert(card.to_string(), employee.to_owned());
    }

    /// The cards that it has.
    #[must_use]
    pub fn cards(&self) -> Vec<u64> {
        let mut cards: Vec<u64> = self.lock().cards.keys().filter_map(|c| c.parse().ok()).collect();
        cards.sort_unstable();
        cards
    }

    /// Its people, as it was given them.
    #[must_use]
    pub fn people(&self) -> BTreeMap<String, Value> {
        self.lock().people.clone()
    }

    /// A document of plans, by its name below `/ISAPI/AccessControl/`.
    #[must_use]
    pub fn document(&self, name: &str) -> Option<Value> {
        self.lock().documents.get(name).cloned()
    }

    /// How a door is controlled: 2 open, 3 locked, 4 by its list.
    #[must_use]
    pub fn status(&self, door: u8) -> Option<u8> {
        self.lock().door(door).map(|door| door.status)
    }

    /// How often a door was opened by an order.
    #[must_use]
    pub fn opened(&self, door: u8) -> u64 {
        self.lock().door(door).map_or(0, |door| door.opened)
    }

    /// The serial number of its newest event.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// How often it was asked, by method and path, without numbers and query.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.lock().requests.clone()
    }

    /// How often somebody asked with a wrong password.
    #[must_use]
    pub fn unauthorized(&self) -> u64 {
        self.lock().unauthorized
    }

    /// Serves one connection.
    ///
    /// # Errors
    /// The connection's.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> io::Result<()> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length =
                    header(head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
                if body.len() >= length {
                    if !self.lock().plugged {
                        return std::future::pending().await;
                    }
                    let answer = self.answer(head, body);
                    stream.write_all(answer.as_bytes()).await?;
                    return stream.flush().await;
                }
            }
            let n = stream.read(&mut buffer).await?;
            if n == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(buffer.get(..n).unwrap_or_default());
        }
    }

    fn answer(&self, head: &str, body: &str) -> String {
        let mut inner = self.lock();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !inner.knows(method, path, head) {
            return http(
                "401 Unauthorized",
                &format!(
                    "WWW-Authenticate: Digest realm=\"{REALM}\", qop=\"auth\", nonce=\"{:x}\"\r\n",
                    inner.newest
                ),
                "",
            );
        }
        let (status, answer) = inner.does(method, path, body);
        http(status, "", &answer)
    }
}

fn http(status: &str, more: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// What stands at a path of a document; nothing where nothing does.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

fn md5(text: &str) -> String {
    md5::Md5::digest(text.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn fine(good: bool, why: &str) -> (&'static str, String) {
    let code = if good { 1 } else { 6 };
    let status = if good { "200 OK" } else { "400 Bad Request" };
    let word = if good { "OK" } else { "Invalid Content" };
    (status, json!({ "statusCode": code, "statusString": word, "subStatusCode": why }).to_string())
}

impl Inner {
    fn door(&mut self, door: u8) -> Option<&mut Door> {
        self.doors.get_mut(usize::from(door.checked_sub(1)?))
    }

    fn push(&mut self, major: u32, minor: u32, door: u8, card: Option<&str>) {
        self.newest = self.newest.saturating_add(1);
        let mut row = json!({ "major": major, "minor": minor, "time": self.clock,
            "serialNo": self.newest, "doorNo": door, "cardReaderNo": 1 });
        if let (Some(card), Some(row)) = (card, row.as_object_mut()) {
            row.insert("cardNo".to_owned(), card.into());
        }
        self.events.push_back(row);
        while self.events.len() > self.memory {
            self.events.pop_front();
        }
    }

    /// RFC 7616 with MD5 and `auth`: user, password, method and path are the right ones.
    fn knows(&mut self, method: &str, path: &str, head: &str) -> bool {
        let Some(told) = header(head, "authorization") else { return false };
        let field = |name: &str| {
            let (_, rest) = told.split_once(&format!("{name}="))?;
            let rest = rest.strip_prefix('"').unwrap_or(rest);
            rest.split(['"', ',']).next().map(str::to_owned)
        };
        let get = |name: &str| field(name).unwrap_or_default();
        let first = md5(&format!("{USER}:{REALM}:{}", self.password));
        let second = md5(&format!("{method}:{path}"));
        let (nonce, nc, cnonce) = (get(" nonce"), get(" nc"), get(" cnonce"));
        let right = md5(&format!("{first}:{nonce}:{nc}:{cnonce}:auth:{second}"));
        let knows = get("username") == USER && get(" response") == right;
        self.unauthorized = self.unauthorized.saturating_add(u64::from(!knows));
        knows
    }

    fn does(&mut self, method: &str, path: &str, body: &str) -> (&'static str, String) {
        let path = path.split('?').next().unwrap_or_default();
        let name = path.strip_prefix("/ISAPI/").unwrap_or(path);
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('/');
        let times = self.requests.entry(format!("{method} {kind}")).or_default();
        *times = times.saturating_add(1);
        let told: Value = serde_json::from_str(body).unwrap_or_default();
        let told = &told;
        match (method, kind) {
            ("GET", "System/deviceInfo") => (
                "200 OK",
                "<DeviceInfo><firmwareVersion>V3.2.30</firmwareVersion></DeviceInfo>".to_owned(),
            ),
            ("GET", "System/time") => {
                ("200 OK", format!("<Time><localTime>{}</localTime></Time>", self.clock))
            }
            ("PUT", "System/time") => {
                let set = body.split("<localTime>").nth(1).and_then(|rest| rest.split('<').next());
                self.clock = set.unwrap_or_default().to_owned();
                fine(true, "ok")
            }
            ("GET", "AccessControl/AcsWorkStatus") => ("200 OK", self.work_status()),
            ("PUT", "AccessControl/RemoteControl/door") => self.controlled(name, body),
            ("POST", "AccessControl/AcsEvent") => ("200 OK", self.search(told)),
            ("POST", "AccessControl/UserInfo/Search") => {
                let rows = self.people.values().cloned().collect();
                (
                    "200 OK",
                    page(rows, at(told, "/UserInfoSearchCond"), "UserInfoSearch", "UserInfo"),
                )
            }
            ("POST", "AccessControl/CardInfo/Search") => {
                let card = |(card, whose): (&String, &String)| json!({ "employeeNo": whose, "cardNo": card, "cardType": "normalCard" });
                let rows = self.cards.iter().map(card).collect();
                (
                    "200 OK",
                    page(rows, at(told, "/CardInfoSearchCond"), "CardInfoSearch", "CardInfo"),
                )
            }
            ("POST", "AccessControl/UserInfo/Record") => self.put_person(told, false),
            ("PUT", "AccessControl/UserInfo/Modify") => self.put_person(told, true),
            ("PUT", "AccessControl/UserInfo/Delete") => {
                let list = at(told, "/UserInfoDelCond/EmployeeNoList").as_array();
                for row in list.into_iter().flatten() {
                    let whose = at(row, "/employeeNo").as_str().unwrap_or_default();
                    self.people.remove(whose);
                    self.cards.retain(|_, of| of != whose);
                }
                fine(true, "ok")
            }
            ("POST", "AccessControl/CardInfo/Record") => {
                let info = at(told, "/CardInfo");
                let text = |key: &str| {
                    at(info, &format!("/{key}")).as_str().unwrap_or_default().to_owned()
                };
                let (whose, card) = (text("employeeNo"), text("cardNo"));
                if !self.people.contains_key(&whose) {
                    return fine(false, "employeeNoNotExist");
                }
                if self.cards.contains_key(&card) {
                    return fine(false, "cardNoAlreadyExist");
                }
                self.cards.insert(card, whose);
                fine(true, "ok")
            }
            ("PUT", "AccessControl/CardInfo/Delete") => {
                let list = at(told, "/CardInfoDelCond/CardNoList").as_array();
                for row in list.into_iter().flatten() {
                    self.cards.remove(at(row, "/cardNo").as_str().unwrap_or_default());
                }
                fine(true, "ok")
            }
            (method, kind) if kind.starts_with("AccessControl/UserRight") => {
                let name = name.trim_start_matches("AccessControl/").to_owned();
                match method {
                    "PUT" => {
                        self.documents.insert(name, told.clone());
                        fine(true, "ok")
                    }
                    _ => match self.documents.get(&name) {
                        Some(document) => ("200 OK", document.to_string()),
                        None => fine(false, "badParameters"),
                    },
                }
            }
            _ => ("404 Not Found", String::new()),
        }
    }

    fn work_status(&mut self) -> String {
        let locks: Vec<u8> = self
            .doors
            .iter_mut()
            .map(|door| {
                let released = door.released > 0 || door.status == 2;
                door.released = door.released.saturating_sub(1);
                u8::from(released)
            })
            .collect();
        let status: Vec<u8> = self.doors.iter().map(|door| door.status).collect();
        let open: Vec<u8> = self.doors.iter().map(|door| u8::from(door.open)).collect();
        json!({ "AcsWorkStatus": {
            "doorLockStatus": locks, "doorStatus": status, "magneticStatus": open,
        } })
        .to_string()
    }

    fn controlled(&mut self, name: &str, body: &str) -> (&'static str, String) {
        let number = name.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let word = body.split("<cmd>").nth(1).and_then(|rest| rest.split('<').next());
        let (stuck, word) = (self.stuck, word.unwrap_or_default().to_owned());
        let Some(door) = self.door(number) else { return fine(false, "badParameters") };
        match word.as_str() {
            "open" if stuck || door.status == 3 => {}
            "open" => {
                door.released = 5;
                door.opened = door.opened.saturating_add(1);
                self.push(3, 0x400, number, None);
            }
            "alwaysOpen" => door.status = 2,
            "alwaysClose" => door.status = 3,
            "resume" => door.status = 4,
            _ => return fine(false, "badXmlContent"),
        }
        let body = "<ResponseStatus><statusCode>1</statusCode><statusString>OK</statusString></ResponseStatus>";
        ("200 OK", body.to_owned())
    }

    fn put_person(&mut self, told: &Value, there: bool) -> (&'static str, String) {
        let info = at(told, "/UserInfo");
        let whose = at(info, "/employeeNo").as_str().unwrap_or_default().to_owned();
        if self.people.contains_key(&whose) != there {
            return fine(
                false,
                if there { "employeeNoNotExist" } else { "employeeNoAlreadyExist" },
            );
        }
        self.people.insert(whose, info.clone());
        fine(true, "ok")
    }

    fn search(&self, told: &Value) -> String {
        let condition = at(told, "/AcsEventCond");
        let from = at(condition, "/beginSerialNo").as_u64().unwrap_or(0);
        let serial = |row: &&Value| at(row, "/serialNo").as_u64().unwrap_or(0) >= from;
        let rows = self.events.iter().filter(serial).cloned().collect();
        page(rows, condition, "AcsEvent", "InfoList")
    }
}

fn page(rows: Vec<Value>, condition: &Value, root: &str, list: &str) -> String {
    let from = at(condition, "/searchResultPosition").as_u64().unwrap_or(0);
    let most = at(condition, "/maxResults").as_u64().unwrap_or(PAGE).min(PAGE);
    let total = rows.len();
    let skip = usize::try_from(from).unwrap_or(usize::MAX);
    let found: Vec<Value> =
        rows.into_iter().skip(skip).take(usize::try_from(most).unwrap_or(0)).collect();
    let more = skip.saturating_add(found.len()) < total;
    let word = match (found.is_empty(), more) {
        (true, _) => "NO MATCH",
        (false, true) => "MORE",
        (false, false) => "OK",
    };
    let mut whole = json!({ "searchID": at(condition, "/searchID").clone(), "responseStatusStrg": word,
        "numOfMatches": found.len(), "totalMatches": total });
    // A terminal leaves the list out where there is nothing.
    if let Some(whole) = whole.as_object_mut().filter(|_| !found.is_empty()) {
        whole.insert(list.to_owned(), Value::Array(found));
    }
    json!({ root: whole }).to_string()
}
