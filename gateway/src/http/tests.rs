//! The doors from outside: who may ask what, where a change may come from, and how refusals look.

mod attacks;
mod letters;
mod matrix;
mod sheet;

use super::archive::{Archive, Fault};
use super::*;
use crate::command::Answer;
use crate::problem::Lang;
use crate::store::trees::BillFilter;
use blockgate_rules::event::{Alarm, Bill, Outcome};
use blockgate_types::{
    BillId, ClockState, Decimal, FaultClass, LineId, MeterId, ReadFault, RegisterName,
};
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::test::RequestBuilder;

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Time {
        Time::from_millis(1_772_366_400_000)
    }
    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// Beside the bill, one command in the audit trail, its every text evil.
struct One(Bill);

impl Archive for One {
    fn bills(
        &self,
        filter: &BillFilter,
        _: Option<u64>,
        _: usize,
    ) -> Result<Vec<(u64, Bill)>, Fault> {
        let fits = filter.account.as_ref().is_none_or(|a| *a == self.0.account);
        Ok(if fits { vec![(7, self.0.clone())] } else { Vec::new() })
    }
    fn bill(&self, id: &BillId) -> Result<Option<(u64, Bill)>, Fault> {
        Ok((*id == self.0.bill).then(|| (7, self.0.clone())))
    }
    fn history(
        &self,
        _: &MeterId,
        _: &RegisterName,
        from: Time,
        _: Time,
        _: usize,
    ) -> Result<Vec<(Time, Decimal)>, Fault> {
        Ok(vec![(from, Decimal::new(125, 1))])
    }
    fn alarms(&self, _: Option<u64>, _: usize) -> Result<Vec<(u64, Alarm)>, Fault> {
        Ok(Vec::new())
    }
    fn newest(&self, _: usize) -> Result<Vec<(u64, Bytes)>, Fault> {
        let data = json!({
            "kind": "audit", "what": "command", "name": EVIL, "actor": EVIL, "outcome": EVIL,
            "detail": EVIL, "did": { "done": EVIL, "user": EVIL, "meters": [EVIL] },
            "at": "2026-03-01T00:00:00Z",
        });
        Ok(vec![(9, Bytes::from(json!({ "data": data }).to_string()))])
    }
}

/// Text that would run in a page that forgets to escape.
const EVIL: &str = "\"><img src=x onerror=alert(1)>";

fn bill() -> Bill {
    serde_json::from_value(json!({
        "bill": "bill-1", "account": "a-0101", "item": "electricity",
        "period": { "from": "2026-02-01", "to": "2026-03-01", "zone": "Asia/Shanghai" },
        "tariff": "t", "tariff_revision": EVIL, "revision": 0, "currency": "CNY",
        "lines": [{ "label": { "zh": EVIL, "en": EVIL }, "quantity": "2.5", "unit": "kWh",
            "unit_price": "0.5", "exact": "1.25", "amount_fen": 125 }],
        "total_fen": 125, "issued_at": "2026-03-01T00:00:00Z",
    }))
    .unwrap()
}

struct House {
    shared: Arc<Shared>,
    routes: BoxedFilter<(Response,)>,
    stop: CancellationToken,
    ring: Arc<events::Ring>,
    ordered: Arc<Mutex<Vec<blockgate_rules::input::Command>>>,
    cookie: String,
    csrf: String,
    /// What the journal is told beside orders.
    told: Mutex<mpsc::Receiver<Input>>,
    _dir: tempfile::TempDir,
}

/// Tokens: `all` has every scope, `metrics` one, `none` none; each token's text is its name.
fn tokens() -> String {
    let entry = |name: &str, scopes: &str| {
        let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
        let hex: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!("[tokens.{name}]\nsha256 = \"{hex}\"\nscopes = [{scopes}]\n")
    };
    entry("all", "\"metrics\", \"read\", \"command\", \"payment-status\", \"camera\"")
        + &entry("metrics", "\"metrics\"")
        + &entry("none", "")
}

/// One lane with a camera, opened by the answer to its push.
fn lanes() -> Arc<crate::lanes::Lanes> {
    use crate::config::lanes::{BarrierConfig, CameraConfig, FailSafe, LanesConfig};
    use crate::config::lanes::{OpenBy, PositionBy};
    use blockgate_drivers::barrier::Vendor;
    let lane = blockgate_types::LaneId::new("m-0101").unwrap();
    let vendor = Vendor::Vzenith;
    let camera = CameraConfig { lane: lane.clone(), vendor, serial: None, offline_after: None };
    let barrier = BarrierConfig {
        vendor,
        open: OpenBy::Answer,
        target: None,
        user: None,
        password_file: None,
        channel: 1,
        position: PositionBy::Nowhere,
        arm_within: blockgate_types::Span::from_secs(1),
        fail_safe: FailSafe::Ask,
    };
    let camera = (blockgate_types::CameraId::new("cam-1").unwrap(), camera);
    let config = LanesConfig { cameras: [camera].into(), barriers: [(lane, barrier)].into() };
    crate::lanes::Lanes::new(config, mpsc::channel(1).0).0
}

/// One door with one card that may pass, and an entry of it.
fn doors(board: &Arc<Board>) -> Arc<crate::doors::Doors> {
    use crate::config::doors::{ControllerConfig, DoorsConfig, Reach};
    use blockgate_rules::access::Person;
    use blockgate_rules::access::event::{Entry, Happened};
    use blockgate_rules::access::setup::{AccessSetup, ControllerSetup, DoorSetup, Exit, Group};
    use blockgate_types::Span;
    let id = |text: &str| text.parse().unwrap();
    let door: blockgate_types::DoorId = "m-0101".parse().unwrap();
    let north: blockgate_types::ControllerId = "north".parse().unwrap();
    let setup = AccessSetup {
        controllers: [(
            north.clone(),
            ControllerSetup { vendor: "uhppote".to_owned(), anti_passback: 0 },
        )]
        .into(),
        doors: [(
            door.clone(),
            DoorSetup {
                controller: north.clone(),
                number: 1,
                exit: Exit::Button,
                entrance: true,
                unlock_s: 5,
                lane: None,
            },
        )]
        .into(),
        groups: [(
            "home-1".parse().unwrap(),
            Group { doors: [door].into(), staff: true, ..Group::default() },
        )]
        .into(),
        ..AccessSetup::default()
    };
    let controller = ControllerConfig {
        reach: Reach::Uhppote { serial: 7, host: EVIL.to_owned(), port: 60_000 },
        poll_every: Span::from_secs(1),
        timeout: Span::from_secs(1),
        push_per_second: 50,
        offline_after: Span::from_mins(2),
    };
    let person = Person { staff: true, cards: [101].into(), ..Person::default() };
    let config = DoorsConfig {
        controllers: [(north.clone(), controller)].into(),
        people: Arc::new([("p-1".parse().unwrap(), person)].into()),
        listener: None,
        warnings: vec![(EVIL.to_owned(), EVIL.to_owned())],
    };
    let wanted = Setup {
        zone: "Asia/Shanghai".to_owned(),
        access: Some(Arc::new(setup)),
        ..Default::default()
    };
    let (doors, _) = crate::doors::Doors::new(config, &wanted, board);
    doors.show(
        &north,
        &[Entry {
            index: 1,
            at: Noon.now(),
            door: Some(id("m-0101")),
            event: Happened::Granted,
            denied: None,
            card: Some(101),
            inward: Some(true),
        }],
    );
    doors
}

#[tokio::test]
async fn whose_a_card_is_stands_in_the_answer_and_in_no_event() {
    let house = house(true).await;
    let get = |path: &'static str| ask("GET", path).header("authorization", "Bearer all");
    let read = |answer: warp::http::Response<Bytes>| -> Value {
        serde_json::from_slice(answer.body()).unwrap()
    };
    let events = read(get("/v1/door-events?door=m-0101&event=granted").reply(&house.routes).await);
    assert_eq!(events["events"][0]["person"], "p-1");
    let none = read(get("/v1/door-events?card=102").reply(&house.routes).await);
    assert_eq!(none["events"].as_array().unwrap().len(), 0);
    let may = read(get("/v1/doors/m-0101/who-may").reply(&house.routes).await);
    assert_eq!((may["all"].as_u64(), &may["may"][0]["person"]), (Some(1), &Value::from("p-1")));
    let open = |body: &'static str| {
        ask("POST", "/v1/doors/m-0101/open")
            .header("authorization", "Bearer all")
            .header("content-type", "application/json")
            .body(body)
    };
    assert_eq!(open(r#"{"why":"x"}"#).reply(&house.routes).await.status(), 400);
    assert_eq!(open(r#"{"reason":"parcel"}"#).reply(&house.routes).await.status(), 200);
    let ordered = house.ordered.lock().unwrap();
    assert_eq!(ordered.last().unwrap().order.name(), "open-door");
}

/// The site over invented data; `login` says whether somebody has set a password.
async fn house(login: bool) -> House {
    let dir = tempfile::tempdir().unwrap();
    secret_file::write(&dir.path().join("tokens.toml"), tokens().as_bytes()).unwrap();
    let accounts = auth::Accounts::open(dir.path()).unwrap();
    let mut cookie = String::new();
    let mut csrf = String::new();
    if login {
        let (user, password) = accounts.one_time_login().await.unwrap();
        let peer = std::net::IpAddr::from([127, 0, 0, 1]);
        cookie = accounts.log_in(peer, &user, &password).await.unwrap().cookie;
        csrf = accounts.person(&cookie, true).unwrap().csrf;
    }
    let board = Arc::new(Board::default());
    let mut meter = crate::board::MeterBoard {
        line: Some(LineId::new("line-1").unwrap()),
        profile: EVIL.to_owned(),
        ..Default::default()
    };
    let what = EVIL.to_owned();
    meter.fault =
        Some((Noon.now(), ReadFault { class: FaultClass::Timeout, what, raw: vec![1, 0xAB] }));
    meter.count(FaultClass::Timeout);
    board.meters().insert(MeterId::new("m-0101").unwrap(), meter);
    let doors = doors(&board);
    let (door, mut orders) = CommandDoor::new();
    let ordered = Arc::new(Mutex::new(Vec::new()));
    let seen = ordered.clone();
    tokio::spawn(async move {
        while let Some(order) = orders.recv().await {
            let refuse = order.command.actor.ends_with("/refuse");
            seen.lock().unwrap().push(order.command);
            let outcome = if refuse { Outcome::Refused } else { Outcome::Done };
            let _ = order.reply.send(Answer { outcome, detail: EVIL.to_owned() });
        }
    });
    let (store, ..) = crate::store::Store::open(dir.path()).unwrap();
    let (hand, told) = mpsc::channel(16);
    let shared = Arc::new(Shared {
        board,
        trees: Arc::new(One(bill())),
        outbox: store.outbox,
        door,
        clock: Arc::new(Noon),
        accounts: Arc::new(accounts),
        status: Status {
            version: "0.0.0",
            boot: "5f0c12ab".to_owned(),
            config_hash: "3fa9".to_owned(),
            head_key: ("5eed".repeat(16), "5eed5eed5eed5eed".to_owned()),
            started: Noon.now(),
            tenant: "t".to_owned(),
            gateway: "g".to_owned(),
            zone: "Asia/Shanghai".to_owned(),
        },
        setup: RwLock::default(),
        durable: broadcast::Sender::new(16),
        lanes: lanes(),
        doors,
        reads: crate::run::Reads::default(),
        scans: Arc::new(
            crate::scans::Scans::new(std::collections::BTreeMap::new(), Arc::new(Noon)).0,
        ),
        upkeep: Arc::default(),
        hand,
    });
    let (stop, ring) = (CancellationToken::new(), Arc::new(events::Ring::new()));
    let desk = Arc::new(answer::Desk {
        site: gate::Site { hosts: vec!["gate.example".to_owned()], tls: false },
        certificate: None,
        shared: shared.clone(),
        ring: ring.clone(),
        streams: Arc::new(Semaphore::new(2)),
        answers: Arc::default(),
        stop: stop.clone(),
    });
    let routes = routes::routes(desk);
    let told = Mutex::new(told);
    House { shared, routes, stop, ring, ordered, cookie, csrf, told, _dir: dir }
}

fn ask(method: &str, path: &str) -> RequestBuilder {
    warp::test::request().method(method).path(path).header("host", "127.0.0.1:8080")
}

impl House {
    fn person(&self, method: &str, path: &str) -> RequestBuilder {
        ask(method, path)
            .header("cookie", format!("a=b; session={}", self.cookie))
            .header("sec-fetch-site", "same-origin")
    }

    async fn status(&self, request: RequestBuilder) -> u16 {
        request.reply(&self.routes).await.status().as_u16()
    }
}

/// A path of a route with an id that exists.
fn filled(template: &str) -> String {
    match template {
        "/assets/{}" => "/assets/none.css".to_owned(),
        "/language/{}" => "/language/en".to_owned(),
        "/v1/cameras/{}/{}" => "/v1/cameras/cam-1/vzenith".to_owned(),
        t if t.contains("bills") => t.replace("{}", "bill-1"),
        t if t.contains("export") => t.replace("{}", "fees.csv"),
        t if t.contains("receipts") => t.replace("{}", "1"),
        t if t.contains("accounts") => t.replace("{}", "a-0101"),
        t => t.replace("{}", "m-0101"),
    }
}

/// The number of a form.
fn once(n: u128) -> String {
    format!("{n:032x}")
}

const COMMAND: &str = r#"{"id":"c-1","issued_at":"2026-03-01T00:00:00Z","expires_at":"2026-03-02T00:00:00Z","actor":"cloud","name":"read-now","args":{"meter":"m-0101"}}"#;

fn with_command(request: RequestBuilder) -> RequestBuilder {
    request.header("content-type", "application/json").body(COMMAND)
}

#[tokio::test]
async fn nothing_but_healthz_and_the_login_answers_a_stranger() {
    let house = house(true).await;
    for (method, template, scope) in ROUTES {
        let path = filled(template);
        let stranger = ask(method, &path).header("sec-fetch-site", "same-origin");
        let got = house.status(stranger).await;
        let forged = ask(method, &path).header("cookie", "session=guess");
        let forged = house.status(forged.header("sec-fetch-site", "same-origin")).await;
        match scope {
            Some(_)
                if *method == "GET"
                    && !path.starts_with("/v1")
                    && path.matches('/').count() < 4
                    && !matches!(path.as_str(), "/metrics" | "/readyz") =>
            {
                assert_eq!((got, forged), (303, 303), "{method} {path} leads to the login");
            }
            Some(_) => assert_eq!((got, forged), (401, 401), "{method} {path}"),
            None => assert_ne!(got, 401, "{method} {path}"),
        }
        for token in ["all", "metrics", "none"] {
            if *template == "/v1/events" && token == "all" {
                // Answers without an end; has a test of its own.
                continue;
            }
            let bearer = ask(method, &path).header("authorization", format!("Bearer {token}"));
            let got = house.status(with_command(bearer)).await;
            let scope = scope.map(auth::Scope::text);
            // The page's forms are for people, whatever a token may do.
            let form = *method == "POST" && !path.starts_with("/v1");
            let may = (token == "all" || scope == Some(token)) && !form;
            assert_eq!(got == 403, !may && scope.is_some(), "{token}: {method} {path} gives {got}");
        }
        let wrong = ask(method, &path).header("authorization", "Bearer wrong");
        let got = house.status(wrong).await;
        assert_eq!(got == 401 || got == 303, *template != "/healthz", "{method} {path}: {got}");
    }
    assert_eq!(house.status(ask("GET", "/v1/nothing")).await, 401);
    assert_eq!(house.status(house.person("GET", "/v1/nothing")).await, 404);
    assert!(house.ordered.lock().unwrap().len() <= 1, "only the token with the scope ordered");
}

#[tokio::test]
async fn before_the_set_up_only_the_set_up_answers() {
    let house = house(false).await;
    for (method, template, _) in ROUTES {
        let path = filled(template);
        let request = ask(method, &path).header("sec-fetch-site", "same-origin");
        let got = house.status(request.header("authorization", "Bearer all")).await;
        let open = matches!(*template, "/healthz" | "/setup" | "/assets/{}" | "/language/{}");
        assert_eq!(got == 403, !open, "{method} {path}: {got}");
    }
    let code = house.shared.accounts.take_set_up_code().unwrap();
    let form = |code: &str| {
        ask("POST", "/setup")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("code={code}&password=correct+horse&again=correct+horse"))
    };
    let entered = form(&code).reply(&house.routes).await;
    assert_eq!(entered.status(), 303);
    let cookie = entered.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(house.status(form(&code)).await, 401, "the code is valid once");
}

#[tokio::test]
async fn a_change_from_another_site_or_without_the_page_s_token_is_refused() {
    let house = house(true).await;
    let cookie = || ("cookie", format!("session={}", house.cookie));
    let form = |request: RequestBuilder, csrf: &str| {
        let request = request.header(cookie().0, cookie().1);
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("csrf={csrf}&once={}", once(7)))
    };
    let read = || ask("POST", "/meters/m-0101/read");
    for (why, request, want) in [
        ("no origin", form(read(), &house.csrf), 403),
        ("null origin", form(read().header("origin", "null"), &house.csrf), 403),
        ("other origin", form(read().header("origin", "http://evil.test"), &house.csrf), 403),
        ("cross-site", form(read().header("sec-fetch-site", "cross-site"), &house.csrf), 403),
        ("same-site", form(read().header("sec-fetch-site", "same-site"), &house.csrf), 403),
        ("no token", form(read().header("sec-fetch-site", "same-origin"), ""), 403),
        ("wrong token", form(read().header("sec-fetch-site", "same-origin"), "x"), 403),
        ("ours", form(read().header("sec-fetch-site", "same-origin"), &house.csrf), 303),
        ("our origin", form(read().header("origin", "http://127.0.0.1:8080"), &house.csrf), 303),
    ] {
        assert_eq!(house.status(request).await, want, "{why}");
    }
    let api = |token: &str| {
        with_command(house.person("POST", "/v1/commands")).header("x-csrf-token", token)
    };
    assert_eq!(house.status(api("x")).await, 403);
    assert_eq!(house.status(api(&house.csrf)).await, 200);
    let text = house.person("POST", "/v1/commands").header("x-csrf-token", &house.csrf);
    assert_eq!(house.status(text.header("content-type", "text/plain").body(COMMAND)).await, 415);
    let actors: Vec<String> =
        house.ordered.lock().unwrap().iter().map(|c| c.actor.clone()).collect();
    assert_eq!(actors, ["page/admin", "page/admin", "page/admin/cloud"]);
}

#[tokio::test]
async fn a_rebound_host_name_is_refused_and_no_answer_allows_another_origin() {
    let house = house(true).await;
    for (host, want) in [
        ("127.0.0.1:8080", 200),
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("192.168.1.20", 200),
        ("GATE.example", 200),
        ("evil.test", 403),
        ("127.0.0.1.evil.test", 403),
        ("", 403),
    ] {
        let request = warp::test::request().path("/v1/status").header("host", host);
        let answer = request.header("authorization", "Bearer all").reply(&house.routes).await;
        assert_eq!(answer.status(), want, "{host}");
        assert!(!answer.headers().keys().any(|k| k.as_str().starts_with("access-control")));
    }
}

#[tokio::test]
async fn every_refusal_is_a_problem_document_in_the_caller_s_language() {
    let house = house(true).await;
    let api = |method: &str, path: &str| ask(method, path).header("authorization", "Bearer all");
    let json = |request: RequestBuilder| request.header("content-type", "application/json");
    let big = "x".repeat(usize::try_from(limits::HTTP_BODY_MAX).unwrap() + 1);
    for (request, code) in [
        (api("GET", "/v1/none"), "not-found"),
        (api("GET", "/v1/meters/M%20"), "not-found"),
        (api("GET", "/v1/meters/m-9"), "not-found"),
        (api("DELETE", "/v1/meters"), "method-not-allowed"),
        (api("GET", "/v1/commands"), "method-not-allowed"),
        (api("GET", "/v1/bills?limit=0"), "bad-request"),
        (api("GET", "/v1/bills?limit=99999"), "bad-request"),
        (api("GET", "/v1/bills?account=A"), "bad-request"),
        (api("GET", "/v1/bills?colour=red"), "bad-request"),
        (api("GET", "/v1/bills?after=1&after=2"), "bad-request"),
        (api("GET", "/v1/meters/m-0101/history?register=X"), "bad-request"),
        (api("GET", "/v1/meters/m-0101/history?from=yesterday"), "bad-request"),
        (api("GET", "/v1/events").header("last-event-id", "x"), "bad-request"),
        (api("GET", "/v1/events?meters=m-0101,M"), "bad-request"),
        (api("GET", "/v1/events?durable=perhaps"), "bad-request"),
        (api("POST", "/v1/commands").body("{}"), "unsupported-media-type"),
        (json(api("POST", "/v1/commands")).body("{"), "bad-request"),
        (json(api("POST", "/v1/commands")).body(r#"{"id":"c"}"#), "bad-request"),
        (json(api("POST", "/v1/commands")).body(&big), "payload-too-large"),
        (json(api("POST", "/v1/commands")).body("[".repeat(50_000)), "bad-request"),
        (
            json(api("POST", "/v1/commands")).body(COMMAND.replace("cloud", "refuse")),
            "command-refused",
        ),
        (ask("GET", "/v1/meters"), "unauthenticated"),
    ] {
        let answer = request.header("accept-language", "en").reply(&house.routes).await;
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(document["code"], code, "{document}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert_eq!(document["status"], answer.status().as_u16());
        assert_eq!(answer.headers().contains_key("allow"), code == "method-not-allowed");
        assert!(document["title"].as_str().unwrap().is_ascii());
    }
    let chinese =
        api("GET", "/v1/none").header("accept-language", "zh-CN").reply(&house.routes).await;
    let document: Value = serde_json::from_slice(chinese.body()).unwrap();
    assert_eq!(document["title"], "没有这个东西。");
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_without_a_second_order() {
    let house = house(true).await;
    let send = |body: &str| {
        ask("POST", "/v1/commands")
            .header("authorization", "Bearer all")
            .header("content-type", "application/json")
            .header("idempotency-key", "k-1")
            .body(body)
    };
    let first = send(COMMAND).reply(&house.routes).await;
    let again = send(COMMAND).reply(&house.routes).await;
    assert_eq!((first.status().as_u16(), first.body()), (200, again.body()));
    assert_eq!(house.ordered.lock().unwrap().len(), 1);
    assert_eq!(house.status(send(&COMMAND.replace("c-1", "c-2"))).await, 422);
    let unknown = COMMAND.replace("\"args\"", "\"x\":1,\"args\"");
    let strict = ask("POST", "/v1/commands").header("authorization", "Bearer all");
    assert_eq!(
        house.status(strict.header("content-type", "application/json").body(unknown)).await,
        400
    );
}

#[tokio::test]
async fn what_devices_and_config_say_is_escaped_on_every_page() {
    let house = house(true).await;
    let mut read = house.person("POST", "/meters/m-0101/read");
    read = read.header("content-type", "application/x-www-form-urlencoded");
    let body = format!("csrf={}&once={}", house.csrf, once(1));
    assert_eq!(house.status(read.body(body)).await, 303);
    for (method, template, _) in
        ROUTES.iter().filter(|(m, t, _)| *m == "GET" && !t.starts_with("/v1"))
    {
        let path = filled(template);
        for lang in Lang::ALL {
            let request = house.person(method, &path).header("accept-language", lang.tag());
            let answer = request.reply(&house.routes).await;
            let html = String::from_utf8_lossy(answer.body());
            let of = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
            let kept = of("content-disposition").is_some_and(|way| way.starts_with("attachment;"));
            if of("content-type") == Some("application/json") || kept {
                // A file to keep, which no browser takes for a page.
                assert_eq!(of("x-content-type-options"), Some("nosniff"), "{path}");
                continue;
            }
            assert!(!html.contains("<img"), "{path}");
            assert!(!html.contains(" style=") && !html.contains("<script>"), "{path}: inline");
            assert!(!html.contains("http://") && !html.contains("https://"), "{path}: external");
            let policy = answer.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
            if html.starts_with("<!DOCTYPE") {
                assert!(html.contains(&format!("<html lang=\"{}\"", lang.tag())), "{path}");
                assert_eq!(answer.headers()["cache-control"], "no-cache");
            }
        }
    }
    let bill = house.person("GET", "/bills/bill-1").reply(&house.routes).await;
    assert!(String::from_utf8_lossy(bill.body()).contains("&lt;img src=x"));
    // What a screen was asked for is kept over the login, and over a change of the language.
    let deep = ask("GET", "/meters?q=m-01&line=line-1").reply(&house.routes).await;
    let login = deep.headers()["location"].to_str().unwrap().to_owned();
    let form = ask("GET", &login).reply(&house.routes).await;
    let form = String::from_utf8_lossy(form.body()).into_owned();
    assert!(form.contains("name=\"next\" value=\"/meters?q=m-01&amp;line=line-1\""), "{form}");
    assert!(form.contains("?back=%2Flogin%3Fnext%3D%252Fmeters%253Fq"), "{form}");
    let next = ask("GET", "/login?next=%22%3E%3Cimg%3E").reply(&house.routes).await;
    assert!(!String::from_utf8_lossy(next.body()).contains("<img"));
    let plate = ask("GET", "/language/en?back=//evil.test").reply(&house.routes).await;
    assert_eq!(plate.headers()["location"], "/");
}

#[tokio::test]
async fn every_documented_operation_answers_and_every_api_route_is_documented() {
    let house = house(true).await;
    let document: Value = serde_json::from_str(answer::OPENAPI).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut documented = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase();
            let template = path.replace("{id}", "{}").replace("{camera}/{vendor}", "{}/{}");
            documented.push((method.clone(), template.clone()));
            if path == "/v1/events" {
                continue;
            }
            let request = ask(&method, &filled(&template)).header("authorization", "Bearer all");
            let json = |body: &str| {
                let request =
                    ask(&method, &filled(&template)).header("authorization", "Bearer all");
                request.header("content-type", "application/json").body(body)
            };
            let request = match path.as_str() {
                "/v1/payment-status" => json(r#"{"lane":"m-0101","plate":"粤B12345"}"#),
                "/v1/doors/{id}/open" => json(r#"{"reason":"forgot the card"}"#),
                "/v1/cameras/{camera}/{vendor}" => json(r#"{"serialno":"x"}"#),
                _ => with_command(request),
            };
            let answer = request.header("idempotency-key", "doc").reply(&house.routes).await;
            // The invented meter has no register, so it has no history to answer with.
            // Nor are there accounts and receipts.
            let none = [
                "/v1/stays",
                "/v1/areas",
                "/v1/unresolved",
                "/history",
                "/accounts/{id}",
                "/receipts/{id}",
                "/scans/{id}",
                "/cancel",
            ];
            let want = if none.iter().any(|end| path.ends_with(end)) {
                404
            } else if path == "/v1/preview" || (path == "/v1/scans" && method == "POST") {
                400 // a command is no rule file, and no scan
            } else {
                200
            };
            assert_eq!(answer.status(), want, "{method} {path}");
            assert!(operation["responses"].get(want.to_string()).is_some(), "{method} {path}");
            if want == 200 && answer.headers()["content-type"] == "application/json" {
                let schema =
                    &operation["responses"]["200"]["content"]["application/json"]["schema"];
                let body: Value = serde_json::from_slice(answer.body()).unwrap();
                fits(&document, schema, &body, path);
            }
        }
    }
    let api =
        |path: &str| path.starts_with("/v1") || matches!(path, "/healthz" | "/readyz" | "/metrics");
    for (method, template, _) in ROUTES.iter().filter(|(_, t, _)| api(t)) {
        let known = documented.iter().any(|(m, t)| m == method && t == template);
        assert!(known, "{method} {template} is not documented");
    }
    assert_eq!(documented.len(), ROUTES.iter().filter(|(_, t, _)| api(t)).count());
}

/// Every member that a schema requires is there, and none that it does not know.
fn fits(document: &Value, schema: &Value, body: &Value, at: &str) {
    let named = schema["$ref"]
        .as_str()
        .map(|r| &document["components"]["schemas"][r.rsplit('/').next().unwrap()]);
    let schema = named.unwrap_or(schema);
    if let (Some(properties), Some(members)) = (schema["properties"].as_object(), body.as_object())
    {
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(
                members.contains_key(required.as_str().unwrap()),
                "{at}: {required} is missing"
            );
        }
        for (name, value) in members {
            let known =
                properties.get(name).unwrap_or_else(|| panic!("{at}: {name} is not documented"));
            fits(document, known, value, &format!("{at}.{name}"));
        }
    }
    if let Some(items) = body.as_array() {
        items.iter().for_each(|item| fits(document, &schema["items"], item, at));
    }
}

#[tokio::test]
async fn the_alarm_budget_stands_beside_the_alarms_and_among_the_metrics() {
    use blockgate_rules::anomaly::budget::{Count, Month, Report};
    let house = house(true).await;
    let count = Count { raised: 3, muted: 1, told_true: 2, ..Count::default() };
    *house.shared.board.budget() = Report {
        households: 60,
        per_100_households_max: Some(4),
        months: vec![Month {
            month: "2026-02".to_owned(),
            count,
            per_100_households: "5.0".to_owned(),
            right_percent: Some(100),
        }],
    };
    let get = |path: &'static str| ask("GET", path).header("authorization", "Bearer all");
    let answer = get("/v1/alarms").reply(&house.routes).await;
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    let budget = &answer["budget"];
    assert_eq!((&budget["households"], &budget["per_100_households_max"]), (&json!(60), &json!(4)));
    let month = &budget["months"][0];
    assert_eq!((&month["raised"], &month["per_100_households"]), (&json!(3), &json!("5.0")));
    let metrics = get("/metrics").reply(&house.routes).await;
    let metrics = String::from_utf8(metrics.body().to_vec()).unwrap();
    for line in [
        "blockgate_alarms_month{told=\"raised\"} 3",
        "blockgate_alarms_month{told=\"true\"} 2",
        "blockgate_alarms_month_per_100_households 5.0",
        "blockgate_alarm_budget 4",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn metrics_are_prometheus_text_without_a_meter_in_a_label() {
    let house = house(true).await;
    let answer =
        ask("GET", "/metrics").header("authorization", "Bearer metrics").reply(&house.routes).await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(
        text.contains("blockgate_meter_reads_total{line=\"line-1\",result=\"timeout\"} 1\n"),
        "{text}"
    );
    assert!(!text.contains("m-0101"));
    let documented = include_str!("../../../docs/metrics.md");
    let mut families = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(documented.contains(&format!("`{name}`")), "{name} is not in docs/metrics.md");
            families.insert(name.to_owned());
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(families.contains(name), "{line} comes before its TYPE");
            assert!(
                line.rsplit(' ').next().unwrap().bytes().all(|b| b.is_ascii_digit() || b == b'.')
            );
        }
    }
}

#[tokio::test]
async fn an_event_stream_replays_what_was_missed_and_ends_with_the_stop() {
    let house = house(true).await;
    for seq in 1..=3 {
        house.ring.push(seq, Bytes::from(format!("{{\"seq\":{seq}}}")));
    }
    let config = HttpConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        cert: None,
        key: None,
        hosts: Vec::new(),
        lock_after: HttpConfig::LOCK_AFTER,
    };
    let listener = bind(&config).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve::Server::open(&config, listener, Path::new("/nonexistent")).unwrap();
    let serving = tokio::spawn(server.serve(house.routes.clone(), None, house.stop.clone()));
    let open = async |query: &str, last: &str| {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET /v1/events{query} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer all\r\nLast-Event-ID: {last}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    };
    let mut stream = open("", "1").await;
    let mut text = String::new();
    let until = async |stream: &mut TcpStream, text: &mut String, what: &str| {
        while !text.contains(what) {
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the stream ended: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    };
    until(&mut stream, &mut text, "id: 3\nevent: durable\ndata: {\"seq\":3}").await;
    assert!(text.contains("200 OK") && text.contains("retry: 3000") && text.contains("id: 2\n"));
    assert!(!text.contains("id: 1\n"));
    until(&mut stream, &mut text, "event: live").await;
    until(&mut stream, &mut text, "\"late\":").await;
    house.ring.push(4, Bytes::from_static(b"{\"seq\":4}"));
    until(&mut stream, &mut text, "id: 4\n").await;
    let (mut second, mut third) = (open("", "4").await, open("", "4").await);
    until(&mut second, &mut String::new(), "retry: 3000").await;
    until(&mut third, &mut String::new(), "429 Too Many").await;

    let began = tokio::time::Instant::now();
    house.stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(began.elapsed() < limits::HTTP_STOP_TIMEOUT, "{:?}", began.elapsed());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_of_the_meters_that_were_asked_for_and_of_nothing_else() {
    let house = house(true).await;
    for id in ["x-1", "x-2"] {
        house.shared.board.meters().insert(MeterId::new(id).unwrap(), Default::default());
    }
    house.ring.push(1, Bytes::from_static(b"{\"seq\":1}"));
    for (asked, live) in [(&["x-2", "x-9"][..], Some("x-2")), (&[], None)] {
        let meters = Some(asked.iter().map(|id| MeterId::new(id).unwrap()).collect());
        let mut stream = events::open(
            house.shared.clone(),
            house.ring.clone(),
            auth::Caller::Nobody,
            events::Wish { meters, durable: false },
            Some(0),
            Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
            house.stop.clone(),
        );
        let mut text = String::new();
        // The overview comes behind the live values, and is always told first of all once.
        while !text.contains("event: overview") {
            let next = std::future::poll_fn(|cx| {
                warp::Stream::poll_next(std::pin::Pin::new(&mut stream), cx)
            });
            text.push_str(&String::from_utf8_lossy(&next.await.unwrap().unwrap()));
        }
        assert_eq!(text.contains("event: live"), live.is_some(), "{text}");
        assert!(!text.contains("m-0101") && !text.contains("x-1") && !text.contains("x-9"));
        assert!(live.is_none_or(|id| text.contains(&format!("\"id\":\"{id}\""))), "{text}");
        assert!(!text.contains("event: durable"), "{text}");
    }
}

/// A second person with a role, logged in: cookie and token.
async fn person_of(house: &House, name: &str, role: auth::Role) -> (String, String) {
    let password = "a long enough one";
    house.shared.accounts.set_person(name, role, Some(password)).await.unwrap();
    let peer = std::net::IpAddr::from([127, 0, 0, 1]);
    let cookie = house.shared.accounts.log_in(peer, name, password).await.unwrap().cookie;
    let csrf = house.shared.accounts.person(&cookie, true).unwrap().csrf;
    (cookie, csrf)
}

#[tokio::test]
async fn each_role_gets_its_own_screens_and_forms_and_nothing_else() {
    let house = house(true).await;
    for (n, role) in auth::Role::ALL.iter().enumerate() {
        let name = format!("user-{n}");
        let (cookie, csrf) = person_of(&house, &name, *role).await;
        for (n, (method, template, scope)) in ROUTES.iter().enumerate() {
            let path = filled(template);
            let request = ask(method, &path)
                .header("cookie", format!("session={cookie}"))
                .header("sec-fetch-site", "same-origin")
                .header("content-type", "application/x-www-form-urlencoded")
                .header("x-csrf-token", &csrf);
            let screen = page::Screen::of(&path).filter(|_| *method == "GET");
            let act = page::Act::of(&path).filter(|_| *method == "POST");
            let area = screen.as_ref().map(page::Screen::area);
            let area = area.or(act.as_ref().map(|act| act.screen().area()));
            if let Some(area) = area {
                let own = act.as_ref().is_some_and(page::Act::is_own);
                let orders = act.is_some() && !own;
                let may = role.sees(area) && (!orders || role.may(auth::Scope::Command));
                if own {
                    continue; // has a password to give
                }
                let body = format!("csrf={csrf}&once={}", once(n as u128));
                let got = house.status(request.body(body)).await;
                if may {
                    assert_ne!(got, 401, "{role:?} {method} {path}");
                } else {
                    assert_eq!(got, 403, "{role:?} {method} {path}");
                }
            } else if scope.is_some() && *template != "/v1/events" && *template != "/logout" {
                let got = house.status(with_command(request)).await;
                let money = ["bills", "accounts", "ledger", "receipts", "arrears"];
                if *role == auth::Role::Installer && money.iter().any(|m| path.contains(m)) {
                    assert_eq!(got, 403, "{role:?} {method} {path}");
                }
            }
        }
    }
    // An order that the role may not give is refused, on whichever way it comes.
    let (cookie, csrf) = person_of(&house, "auditor", auth::Role::Auditor).await;
    let before = house.ordered.lock().unwrap().len();
    let read = ask("POST", "/v1/commands").header("cookie", format!("session={cookie}"));
    let read = with_command(read.header("sec-fetch-site", "same-origin"));
    assert_eq!(house.status(read.header("x-csrf-token", &csrf)).await, 403);
    let (cookie, csrf) = person_of(&house, "finance", auth::Role::Finance).await;
    let read = ask("POST", "/meters/m-0101/read").header("cookie", format!("session={cookie}"));
    let read = read
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("csrf={csrf}&once={}", once(99)));
    assert_eq!(house.status(read).await, 403);
    assert_eq!(house.ordered.lock().unwrap().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_form_that_comes_after_the_session_is_kept_over_the_login_and_sent_by_a_person() {
    let house = house(true).await;
    let form = |path: &str, body: String| {
        ask("POST", path)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    let count = "day=2026-03-01&counted=12.50&note=%22%3E%3Cb%3E&csrf=old&once=old".to_owned();
    let answer = form("/counter/cash", count).reply(&house.routes).await;
    let html = String::from_utf8_lossy(answer.body()).into_owned();
    assert_eq!(answer.status(), 401);
    assert!(html.contains("day=2026-03-01&amp;counted=12.50") && !html.contains("<b>"), "{html}");
    assert!(!html.contains("csrf=old"), "the old session's tokens are not kept");
    house
        .shared
        .accounts
        .set_person("clerk", auth::Role::Finance, Some("a long enough one"))
        .await
        .unwrap();
    let kept = "kept=counted%3D12.50%26note%3Da+till%26other%3D1&to=%2Fcounter%2Fcash";
    // A wrong password, and a place to go to, lose nothing of it.
    let wrong = format!("user=clerk&password=wrong&next=%2Falarms&{kept}");
    let answer = form("/login", wrong).reply(&house.routes).await;
    let html = String::from_utf8_lossy(answer.body()).into_owned();
    assert_eq!(answer.status(), 401);
    assert!(html.contains("counted=12.50&amp;note=a+till\""), "{html}");
    assert!(html.contains("name=\"next\" value=\"/alarms\""), "{html}");
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    let login = format!("user=clerk&password=a+long+enough+one&{kept}");
    let answer = form("/login", login).reply(&house.routes).await;
    let html = String::from_utf8_lossy(answer.body()).into_owned();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("set-cookie"));
    // The screen itself, its form filled in; what else is on it has fields of the same kind, and they are empty.
    assert!(html.contains("action=\"/counter/cash\""), "{html}");
    assert_eq!(html.matches("value=\"12.50\"").count(), 1, "{html}");
    assert_eq!(html.matches("value=\"a till\"").count(), 1, "{html}");
    assert!(!html.contains("name=\"other\""), "only the form's own fields come back");
    assert!(house.ordered.lock().unwrap().is_empty(), "a login orders nothing");
    // Nor does it lead to another site, or to a path that is no form.
    for to in ["https%3A%2F%2Fevil.test", "%2Fv1%2Fcommands", "%2Flogout"] {
        let login = format!("user=clerk&password=a+long+enough+one&kept=a%3D1&to={to}");
        assert_eq!(house.status(form("/login", login)).await, 303, "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_used_only_reads_and_keeps_what_was_typed() {
    let house = house(true).await;
    let (cookie, csrf) = person_of(&house, "clerk", auth::Role::Finance).await;
    let request = |method: &str, path: &str, body: String| {
        ask(method, path)
            .header("cookie", format!("session={cookie}"))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    // The script that follows the log is nobody at the screen.
    tokio::time::advance(auth::LOCK / 2).await;
    let script = request("GET", "/alarms", String::new()).header("sec-fetch-dest", "empty");
    assert_eq!(house.status(script).await, 200);
    tokio::time::advance(auth::LOCK / 2).await;
    let looks = request("GET", "/households", String::new()).reply(&house.routes).await;
    assert_eq!(looks.status(), 200);
    let count = format!("day=2026-03-01&counted=12.50&note=&csrf={csrf}&once={}", once(3));
    let refused = request("POST", "/counter/cash", count.clone()).reply(&house.routes).await;
    assert_eq!(refused.status(), 423);
    assert!(String::from_utf8_lossy(refused.body()).contains("counted=12.50"));
    assert!(house.ordered.lock().unwrap().is_empty());
    let command = with_command(request("POST", "/v1/commands", String::new()));
    assert_eq!(house.status(command.header("x-csrf-token", &csrf)).await, 423);
    let unlock = |password: &str| {
        let body =
            format!("csrf={csrf}&password={password}&to=%2Fcounter%2Fcash&kept=counted%3D12.50");
        request("POST", "/unlock", body)
    };
    assert_eq!(house.status(unlock("wrong")).await, 401);
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    let opened = unlock("a+long+enough+one").reply(&house.routes).await;
    assert_eq!(opened.status(), 200);
    assert!(String::from_utf8_lossy(opened.body()).contains("value=\"12.50\""));
    let counted = request("POST", "/counter/cash", count.clone()).reply(&house.routes).await;
    assert_eq!(counted.status(), 303);
    let ids: Vec<String> = house.ordered.lock().unwrap().iter().map(|c| c.id.to_string()).collect();
    assert_eq!(ids, [format!("page-{}", once(3))], "the form's number is the command's id");
}

#[tokio::test]
async fn a_form_with_a_fault_comes_back_with_what_was_typed_and_orders_nothing() {
    let house = house(true).await;
    let send = |body: &str| {
        let body = format!("{body}&csrf={}&once={}", house.csrf, once(5));
        house
            .person("POST", "/counter/cash")
            .header("accept-language", "zh-CN")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    let answer = send("day=2026-03-01&counted=12.345&note=%3Cscript%3E").reply(&house.routes).await;
    let html = String::from_utf8_lossy(answer.body()).into_owned();
    assert_eq!(answer.status(), 422);
    assert!(html.contains("value=\"12.345\"") && html.contains("aria-invalid=\"true\""), "{html}");
    assert!(html.contains("请写成金额") && !html.contains("<script>"), "{html}");
    assert!(house.ordered.lock().unwrap().is_empty());
    assert_eq!(house.status(send("day=2026-03-01&counted=12.34&note=")).await, 303);
    assert_eq!(house.ordered.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_last_operator_stays_and_a_changed_user_must_log_in_again() {
    let house = house(false).await;
    let accounts = &house.shared.accounts;
    let set = async |name: &str, role| {
        accounts.set_person(name, role, Some("a long enough one")).await.map_err(|p| p.code)
    };
    use crate::problem::Code;
    set("boss", auth::Role::Operator).await.unwrap();
    set("clerk", auth::Role::Finance).await.unwrap();
    assert_eq!(set("boss", auth::Role::Auditor).await, Err(Code::BadRequest));
    assert_eq!(accounts.remove_person("boss").map_err(|p| p.code), Err(Code::BadRequest));
    assert_eq!(set("Big Boss", auth::Role::Operator).await, Err(Code::BadRequest));
    let peer = std::net::IpAddr::from([127, 0, 0, 1]);
    let login = accounts.log_in(peer, "clerk", "a long enough one").await.unwrap();
    assert_eq!(accounts.person(&login.cookie, true).unwrap().role, auth::Role::Finance);
    accounts.set_person("clerk", auth::Role::Auditor, None).await.unwrap();
    assert_eq!(accounts.person(&login.cookie, true), None);
    let again = auth::Accounts::open(accounts.dir()).unwrap();
    let kept = [("boss", auth::Role::Operator), ("clerk", auth::Role::Auditor)];
    assert_eq!(again.people(), kept.map(|(name, role)| (name.to_owned(), role)));
    accounts.remove_person("clerk").unwrap();
    assert_eq!(accounts.people().len(), 1);
}

#[tokio::test]
async fn a_decision_about_something_else_than_was_seen_is_not_taken() {
    use blockgate_rules::event::{Hold, ReadingId, Verdict};
    let house = house(true).await;
    let (meter, register) =
        (MeterId::new("m-0101").unwrap(), RegisterName::new("energy_import").unwrap());
    let hold = |why| {
        let from = ReadingId { seq: 1041, index: 3 };
        let mut meters = house.shared.board.meters();
        let board = meters.get_mut(&meter).unwrap();
        board.verdicts.insert(register.clone(), (Noon.now(), Verdict::Held { from, why }));
    };
    hold(Hold::TooFast);
    let screen = house.person("GET", "/meters/m-0101").reply(&house.routes).await;
    assert!(String::from_utf8_lossy(screen.body()).contains("value=\"1041.3 too-fast\""));
    let decide = |n: u128| {
        let body = format!(
            "csrf={}&once={}&register=energy_import&decision=accept&seen=1041.3+too-fast",
            house.csrf,
            once(n)
        );
        house
            .person("POST", "/meters/m-0101/decide")
            .header("accept-language", "en")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    hold(Hold::Backwards);
    let answer = decide(1).reply(&house.routes).await;
    let html = String::from_utf8_lossy(answer.body()).into_owned();
    assert_eq!(answer.status(), 422);
    assert!(html.contains("you saw 1041.3 too-fast, now it is 1041.3 backwards"), "{html}");
    assert!(house.ordered.lock().unwrap().is_empty());
    hold(Hold::TooFast);
    assert_eq!(house.status(decide(2)).await, 303);
    assert_eq!(house.ordered.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn three_thousand_meters_are_looked_through_by_the_page_at_a_time() {
    let house = house(true).await;
    {
        let mut meters = house.shared.board.meters();
        for n in 0..3_000 {
            meters.insert(MeterId::new(&format!("x-{n:04}")).unwrap(), Default::default());
        }
    }
    for (path, first) in [
        ("/meters", "m-0101"),
        ("/meters?from=60", "x-0059"),
        ("/meters?q=x-29&from=60", "x-2960"),
        ("/meters?q=X-2999", "x-2999"),
    ] {
        let answer = house.person("GET", path).reply(&house.routes).await;
        let html = String::from_utf8_lossy(answer.body()).into_owned();
        let cards = html.matches("data-meter=").count();
        assert!((1..=60).contains(&cards), "{path}: {cards} cards");
        let (_, rest) = html.split_once("data-meter=\"").unwrap();
        assert!(rest.starts_with(first), "{path}: {}", &rest[..20]);
        assert!(html.len() < 128 * 1024, "{path}: {} bytes", html.len());
    }
    // The sheet comes by the page too, and whole where it is asked for, for the printer.
    for (path, meters) in [
        ("/sheet", 60),
        ("/sheet?from=3000", 1),
        ("/sheet?from=9999", 0),
        ("/sheet?whole=yes", 3_001),
    ] {
        let answer = house.person("GET", path).reply(&house.routes).await;
        let html = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(html.matches("☐").count(), meters, "{path}");
    }
    // No other screen grows with the block either.
    let screens = ROUTES.iter().filter(|(m, ..)| *m == "GET");
    let mut looked = 0;
    for path in screens.map(|(_, t, _)| filled(t)).filter(|p| page::Screen::of(p).is_some()) {
        let answer = house.person("GET", &path).reply(&house.routes).await;
        let html = String::from_utf8_lossy(answer.body()).into_owned();
        if html.starts_with("<!DOCTYPE") {
            let elements = html.matches('<').count() - html.matches("</").count();
            assert!(html.len() < 128 * 1024, "{path}: {} bytes", html.len());
            assert!(elements < 4_000, "{path}: {elements} elements");
            looked += 1;
        }
    }
    assert!(looked > 30, "{looked}");
}
