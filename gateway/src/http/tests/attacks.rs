//! Attacks on page and API, route by route: changes from elsewhere, sessions that are planted or outlive
//! their right, paths that climb, text that would run or break out of a header.

use super::*;
use crate::telemetry::recent;
use blockgate_rules::event::Upkeep;
use std::collections::BTreeSet;

const PASSWORD: &str = "a long enough one";
const FORM: &str = "application/x-www-form-urlencoded";

/// Ids and names that would lead somewhere else where they became a path.
const CLIMBING: [&str; 12] = [
    "..",
    ".",
    "%2e%2e",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "%2fetc%2fpasswd",
    "a%00.css",
    "password",
    "known-browsers",
];

/// The fields of a form or a query, as a browser writes them.
fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn body_of(answer: &warp::http::Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}

impl House {
    fn as_person(cookie: &str, method: &str, path: &str) -> RequestBuilder {
        ask(method, path)
            .header("cookie", format!("session={cookie}"))
            .header("sec-fetch-site", "same-origin")
    }

    fn sent(cookie: &str, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        Self::as_person(cookie, "POST", path).header("content-type", FORM).body(encoded(fields))
    }

    /// Whether a cookie still opens a screen.
    async fn opens(&self, cookie: &str) -> bool {
        self.status(Self::as_person(cookie, "GET", "/me")).await == 200
    }
}

/// A body that a route takes, with the page's token.
fn right_body(path: &str, csrf: &str, request: RequestBuilder) -> RequestBuilder {
    if path.starts_with("/v1") {
        return with_command(request.header("x-csrf-token", csrf));
    }
    if path == "/backup/try" {
        let parts = format!(
            "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--b--\r\n"
        );
        return request.header("content-type", "multipart/form-data; boundary=b").body(parts);
    }
    let number = once(1);
    let fields = [("csrf", csrf), ("once", number.as_str())];
    // Before a login there is no token, and none is sent; a logout is no order.
    let fields = match path {
        "/login" | "/setup" => &[][..],
        "/logout" => &fields[..1],
        _ => &fields,
    };
    request.header("content-type", FORM).body(encoded(fields))
}

#[tokio::test]
async fn no_route_that_changes_something_takes_a_request_from_elsewhere() {
    let house = house(true).await;
    let mut routes = 0;
    for (_, template, _) in ROUTES.iter().filter(|(method, ..)| *method == "POST") {
        let path = filled(template);
        let cookie = || ("cookie", format!("session={}", house.cookie));
        let request = || ask("POST", &path).header(cookie().0, cookie().1);
        for (why, request) in [
            ("no origin", request()),
            ("null origin", request().header("origin", "null")),
            ("other origin", request().header("origin", "http://evil.test")),
            ("other port", request().header("origin", "http://127.0.0.1:8081")),
            ("cross-site", request().header("sec-fetch-site", "cross-site")),
            ("same-site", request().header("sec-fetch-site", "same-site")),
            ("typed in", request().header("sec-fetch-site", "none")),
            (
                "cross-site and our origin",
                request()
                    .header("sec-fetch-site", "cross-site")
                    .header("origin", "http://127.0.0.1:8080"),
            ),
        ] {
            let got = house.status(right_body(&path, &house.csrf, request)).await;
            assert_eq!(got, 403, "{why}: {path}");
        }
        if !matches!(path.as_str(), "/login" | "/setup") {
            for token in ["", "x", &"0".repeat(64), &house.csrf[..63]] {
                let request = request().header("sec-fetch-site", "same-origin");
                let got = house.status(right_body(&path, token, request)).await;
                assert_eq!(got, 403, "token {token:?}: {path}");
            }
        }
        routes += 1;
    }
    assert!(routes > 50, "{routes}");
    assert!(house.ordered.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_cookie_that_was_there_before_the_login_is_worth_nothing_after_it() {
    let house = house(true).await;
    let (known, _) = person_of(&house, "auditor", auth::Role::Auditor).await;
    let accounts = &house.shared.accounts;
    accounts.set_person("clerk", auth::Role::Finance, Some(PASSWORD)).await.unwrap();
    for planted in ["planted", known.as_str()] {
        let fields = [("user", "clerk"), ("password", PASSWORD)];
        let answer = House::sent(planted, "/login", &fields).reply(&house.routes).await;
        assert_eq!(answer.status(), 303);
        let given: Vec<&str> =
            answer.headers().get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
        let session = given.iter().find_map(|c| c.strip_prefix("session=")).unwrap();
        let session = session.split(';').next().unwrap();
        assert_ne!(session, planted);
        assert!(house.opens(session).await);
        assert!(!house.opens(planted).await, "the session before the login has ended");
        let person = accounts.person(session, true).unwrap();
        assert_eq!(person.user, "clerk");
        // What names the browser is no way in.
        let browser = given.iter().find_map(|c| c.strip_prefix("browser=")).unwrap();
        assert!(browser.contains("HttpOnly") && browser.contains("SameSite=Strict"), "{browser}");
        assert!(!house.opens(browser.split(';').next().unwrap()).await);
        accounts.log_out(&person);
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_from_everywhere_are_told_to_the_audit_trail_and_the_clerk_still_comes_in() {
    let house = house(true).await;
    let accounts = &house.shared.accounts;
    accounts.set_person("clerk", auth::Role::Finance, Some(PASSWORD)).await.unwrap();
    let login = async |last: u8, password: &str, browser: &str| {
        let fields = encoded(&[("user", "clerk"), ("password", password)]);
        let request = ask("POST", "/login")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", FORM)
            .header("accept-language", "zh-CN")
            .header("cookie", format!("browser={browser}"))
            .extension(serve::Peer([10, 0, 0, last].into()));
        request.body(fields).reply(&house.routes).await
    };
    let own = login(1, PASSWORD, "").await;
    assert_eq!(own.status(), 303);
    let cookies = own.headers().get_all("set-cookie").iter().map(|v| v.to_str().unwrap());
    let browser = cookies.filter_map(|c| c.strip_prefix("browser=")).next().unwrap();
    let browser = browser.split(';').next().unwrap();
    let mut last = None;
    for n in 2..9 {
        last = Some(login(n, "a wild guess", "").await);
    }
    let last = last.unwrap();
    assert_eq!(last.status(), 429);
    assert!(last.headers().contains_key("retry-after"));
    let html = body_of(&last);
    assert!(html.contains("有人在用错误的密码试这个用户名") && html.contains("秒"), "{html}");
    assert_eq!(login(1, PASSWORD, browser).await.status(), 303, "the clerk's own browser");
    let mut told = Vec::new();
    while let Ok(input) = house.told.lock().unwrap().try_recv() {
        told.push(input);
    }
    let braked = |input: &Input| matches!(input, Input::Upkeep { did: Upkeep::LoginsBraked { user, wrong: 5 }, .. } if user == "clerk");
    assert_eq!(told.iter().filter(|input| braked(input)).count(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_the_right_that_it_stood_for() {
    let house = house(true).await;
    let accounts = &house.shared.accounts;
    let fresh = async |name: &str| {
        let got = person_of(&house, name, auth::Role::Finance).await;
        assert!(house.opens(&got.0).await);
        got
    };
    let (cookie, csrf) = fresh("logout").await;
    let answer = House::sent(&cookie, "/logout", &[("csrf", &csrf)]).reply(&house.routes).await;
    assert_eq!(answer.status(), 303);
    let cleared = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cleared.starts_with("session=; Max-Age=0"), "{cleared}");
    assert!(!house.opens(&cookie).await, "after the logout");

    let (cookie, csrf) = fresh("own").await;
    let other = accounts.log_in(std::net::IpAddr::from([127, 0, 0, 2]), "own", PASSWORD).await;
    let other = other.unwrap().cookie;
    let new = "another long one";
    let typed = |old| [("csrf", csrf.as_str()), ("old", old), ("password", new), ("again", new)];
    let wrong = House::sent(&cookie, "/me/password", &typed("wrong"));
    assert_eq!(house.status(wrong).await, 422);
    assert!(house.opens(&cookie).await, "nothing was changed");
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert_eq!(house.status(House::sent(&cookie, "/me/password", &typed(PASSWORD))).await, 303);
    assert!(!house.opens(&cookie).await && !house.opens(&other).await, "after a new password");

    let (cookie, csrf) = fresh("role").await;
    let number = once(31);
    let save = |role| {
        let fields = [
            ("csrf", house.csrf.as_str()),
            ("once", number.as_str()),
            ("user", "role"),
            ("role", role),
            ("seen", "finance"),
        ];
        House::sent(&house.cookie, "/users/save", &fields)
    };
    assert_eq!(house.status(save("auditor")).await, 303);
    assert!(!house.opens(&cookie).await, "after another role");
    let pay = [("csrf", csrf.as_str()), ("once", number.as_str()), ("amount", "1")];
    assert_eq!(house.status(House::sent(&cookie, "/households/a-0101/pay", &pay)).await, 401);

    let (cookie, _) = fresh("removed").await;
    let fields = [("csrf", house.csrf.as_str()), ("once", &number), ("user", "removed")];
    assert_eq!(house.status(House::sent(&house.cookie, "/users/remove", &fields)).await, 303);
    assert!(!house.opens(&cookie).await, "after the removal");

    let (cookie, _) = fresh("idle").await;
    tokio::time::advance(auth::IDLE).await;
    assert!(!house.opens(&cookie).await, "after an hour without anybody");
    assert!(house.ordered.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_open_event_stream_says_nothing_more_once_its_session_is_over() {
    let house = house(true).await;
    let (cookie, _) = person_of(&house, "clerk", auth::Role::Finance).await;
    let person = house.shared.accounts.person(&cookie, true).unwrap();
    let streams = Arc::new(Semaphore::new(1));
    let mut stream = events::open(
        house.shared.clone(),
        house.ring.clone(),
        auth::Caller::Person(person.clone()),
        events::Wish { meters: None, durable: true },
        None,
        streams.clone().try_acquire_owned().unwrap(),
        house.stop.clone(),
    );
    let mut next = async || {
        std::future::poll_fn(|cx| warp::Stream::poll_next(std::pin::Pin::new(&mut stream), cx))
            .await
    };
    assert!(next().await.is_some_and(|begin| begin.unwrap().starts_with(b"retry:")));
    house.shared.accounts.log_out(&person);
    house.ring.push(1, Bytes::from_static(b"{\"secret\":\"of a household\"}"));
    while let Some(message) = next().await {
        assert!(!message.unwrap().windows(6).any(|w| w == b"secret"));
    }
}

#[tokio::test]
async fn no_path_and_no_name_of_a_file_leads_out_of_what_is_served() {
    let house = house(true).await;
    let mut asked = 0;
    for (method, template, _) in ROUTES.iter().filter(|(_, t, _)| t.contains("{}")) {
        for climbing in CLIMBING {
            let path = template.replace("{}", climbing);
            // A name of our own files is an id like any other, for the things that have ids.
            let plain = climbing.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            let request = house.person(method, &path);
            let answer = right_body(&path, &house.csrf, request).reply(&house.routes).await;
            let (status, body) = (answer.status().as_u16(), body_of(&answer));
            let refused = matches!(status, 400 | 404 | 405 | 415 | 422);
            assert!(refused || plain, "{method} {path}: {status}");
            assert!(status < 500, "{method} {path}: {status}");
            assert!(!body.contains("root:") && !body.contains("argon2"), "{method} {path}: {body}");
            asked += 1;
        }
    }
    assert!(asked > 500, "{asked}");
    // Fields that name a device or a file.
    let number = once(1);
    for place in ["/etc/passwd", "/dev/../etc/passwd", "/dev/..", "//dev/ttyS0", "/dev/tty\0S0"] {
        let fields = [
            ("csrf", house.csrf.as_str()),
            ("once", number.as_str()),
            ("place", place),
            ("protocol", "modbus"),
            ("units", "1-2"),
        ];
        let got = House::sent(&house.cookie, "/scan/begin", &fields).reply(&house.routes).await;
        assert_eq!(got.status(), 422, "{place}: {}", body_of(&got));
        let wanted = json!({ "port": place, "units": "1-2" }).to_string();
        let api = house.person("POST", "/v1/scans").header("x-csrf-token", &house.csrf);
        let api = api.header("content-type", "application/json").body(wanted);
        assert_eq!(house.status(api).await, 400, "{place}");
    }
    assert!(house.shared.scans.json()["scans"].as_array().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_sent_breaks_out_of_a_header_or_leads_to_another_site() {
    let house = house(true).await;
    let accounts = &house.shared.accounts;
    accounts.set_person("clerk", auth::Role::Finance, Some(PASSWORD)).await.unwrap();
    for to in [
        "/\r\nSet-Cookie: a=b",
        "/%0d%0aSet-Cookie: a=b",
        "/\u{560a}Set-Cookie: a=b",
        "//evil.test",
        "/\\evil.test",
        "/\t/evil.test",
        "https://evil.test/",
        "javascript:alert(1)",
        "\u{0}/",
        "",
    ] {
        let next = encoded(&[("back", to)]);
        let language = ask("GET", &format!("/language/en?{next}")).reply(&house.routes).await;
        let fields = [("user", "clerk"), ("password", PASSWORD), ("next", to)];
        let login = House::sent("none", "/login", &fields).reply(&house.routes).await;
        let fields = [("csrf", house.csrf.as_str()), ("password", PASSWORD), ("next", to)];
        let unlock = House::sent(&house.cookie, "/unlock", &fields).reply(&house.routes).await;
        for (what, answer) in [("language", language), ("login", login), ("unlock", unlock)] {
            let location = answer.headers().get("location");
            let location = location.map_or("/", |value| value.to_str().unwrap());
            assert!(
                location == "/" || location.starts_with("/%0d%0a"),
                "{what} {to:?} leads to {location}"
            );
            for cookie in answer.headers().get_all("set-cookie") {
                assert!(!cookie.to_str().unwrap().contains("a=b"), "{what} {to:?}: {cookie:?}");
            }
            assert!(answer.status().as_u16() < 500, "{what} {to:?}");
        }
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
    }
    // A path that nobody knows is asked for after the login, as it stood.
    let lost = ask("GET", "/meters%0d%0aSet-Cookie:a=b").reply(&house.routes).await;
    assert_eq!(lost.headers().get_all("set-cookie").iter().count(), 0);
    assert!(
        lost.headers()["location"].to_str().unwrap().starts_with("/login?next=%2Fmeters%250d%250a")
    );
}

/// An answer that is no fault of the gateway; nobody reads meters in this house.
fn is_sound(status: u16) -> bool {
    status < 500 || status == 503
}

/// What would run if it came through: a tag, an attribute, a scheme.
fn runs(html: &str) -> bool {
    let lower = html.to_ascii_lowercase();
    let tags = ["<img", "<svg onload", " onerror=\"", "<script>"];
    let links = ["href", "src", "action", "formaction"].map(|name| format!("{name}=\"javascript:"));
    tags.iter().any(|tag| lower.contains(tag)) || links.iter().any(|link| lower.contains(link))
}

#[tokio::test]
async fn text_of_every_field_of_every_form_comes_back_as_text() {
    let house = house(true).await;
    let mut fields_sent = BTreeSet::new();
    for (n, (_, template, _)) in ROUTES.iter().filter(|(m, ..)| *m == "POST").enumerate() {
        let path = filled(template);
        let Some(act) = page::Act::of(&path) else { continue };
        let number = once(1000 + n as u128);
        let tokens = [("csrf", house.csrf.as_str()), ("once", number.as_str())];
        let all = act.fields();
        // All of them at once, and each beside empty ones: whichever is looked at first.
        let mut sendings: Vec<Vec<(&str, &str)>> = vec![all.iter().map(|f| (*f, EVIL)).collect()];
        sendings.extend(all.iter().map(|field| vec![(*field, EVIL)]));
        for typed in sendings {
            if act == page::Act::Unlock && typed.iter().any(|(name, _)| *name == "password") {
                continue; // a wrong password makes the next one wait
            }
            let fields: Vec<(&str, &str)> =
                tokens.iter().copied().chain(typed.iter().copied()).collect();
            let answer = House::sent(&house.cookie, &path, &fields).reply(&house.routes).await;
            let html = body_of(&answer);
            assert!(is_sound(answer.status().as_u16()), "{path} {typed:?}: {html}");
            assert!(!runs(&html), "{path} {typed:?}: {html}");
            fields_sent.extend(typed.iter().map(|(name, _)| *name));
            if let Some(to) = answer.headers().get("location") {
                let next = house.person("GET", to.to_str().unwrap()).reply(&house.routes).await;
                assert!(!runs(&body_of(&next)), "after {path} {typed:?}");
            }
        }
    }
    assert!(fields_sent.len() > 60, "{fields_sent:?}");
}

#[tokio::test]
async fn text_of_every_query_of_every_screen_comes_back_as_text() {
    let house = house(true).await;
    let mut tried = 0;
    for (_, template, _) in ROUTES.iter().filter(|(m, t, _)| *m == "GET" && !t.starts_with("/v1")) {
        let path = filled(template);
        // A file is no page that a browser would run.
        if page::Screen::of(&path).is_none() || path.ends_with(".json") {
            continue;
        }
        // A screen names the fields that it knows where one is asked for that it does not.
        let request =
            house.person("GET", &format!("{path}?evil=1")).header("accept-language", "en");
        let told = body_of(&request.reply(&house.routes).await);
        let known = told.split("known here: ").nth(1).and_then(|rest| rest.split('<').next());
        for name in known.unwrap_or_default().split(", ").filter(|name| !name.is_empty()) {
            for text in [EVIL, "javascript:alert(1)", "' onerror='alert(1)"] {
                let query = encoded(&[(name, text)]);
                let answer =
                    house.person("GET", &format!("{path}?{query}")).reply(&house.routes).await;
                let html = body_of(&answer);
                assert!(!runs(&html) && answer.status().as_u16() < 500, "{path}?{query}: {html}");
                tried += 1;
            }
        }
        let query = encoded(&[(EVIL, EVIL)]);
        let answer = house.person("GET", &format!("{path}?{query}")).reply(&house.routes).await;
        assert!(!runs(&body_of(&answer)), "{path}?{query}");
    }
    assert!(tried > 30, "{tried}");
}

#[tokio::test]
async fn text_of_config_log_and_audit_trail_is_text_on_every_screen() {
    let house = house(true).await;
    let line = recent::Line {
        at: Noon.now(),
        level: "WARN",
        target: EVIL.to_owned(),
        text: format!("attacks {EVIL}"),
    };
    recent::keep(line);
    {
        let mut setup = house.shared.setup.write().unwrap();
        let account = blockgate_rules::setup::AccountSetup {
            building: EVIL.to_owned(),
            groups: vec![EVIL.to_owned()],
            ..Default::default()
        };
        let accounts = [("a-0101".parse().unwrap(), account)].into();
        *setup =
            Arc::new(Setup { accounts, zone: "Asia/Shanghai".to_owned(), ..Setup::clone(&setup) });
    }
    let mut seen = 0;
    for (_, template, _) in ROUTES.iter().filter(|(m, t, _)| *m == "GET" && !t.starts_with("/v1")) {
        let path = filled(template);
        for language in Lang::ALL {
            let request = house.person("GET", &path).header("accept-language", language.tag());
            let answer = request.reply(&house.routes).await;
            let kind = answer.headers().get("content-type");
            if kind.is_some_and(|kind| kind.to_str().unwrap().starts_with("text/html")) {
                let html = body_of(&answer);
                assert!(!runs(&html), "{path}: {html}");
                seen += usize::from(html.contains("&lt;img"));
            }
        }
    }
    assert!(seen >= 2 * 4, "the evil text is shown on {seen} screens: as text");
    let log = house.person("GET", "/log?q=attacks").reply(&house.routes).await;
    assert!(body_of(&log).contains("attacks &quot;&gt;&lt;img"));
    let audit = house.person("GET", "/audit").reply(&house.routes).await;
    assert!(body_of(&audit).contains("&lt;img"));
}

/// Secrets as they could come into a log or a state: by what names them, by what they look like.
#[tokio::test]
async fn the_diagnostics_and_the_log_hold_no_secret() {
    let house = house(true).await;
    let folder = tempfile::tempdir().unwrap();
    // Of the config: the files of a broker's and a camera's password, of PINs.
    for (name, secret) in [("broker", "kite-broker-77"), ("camera", "kite-camera-78")] {
        let file = folder.path().join(name);
        secret_file::write(&file, format!("{secret}\n").as_bytes()).unwrap();
        assert_eq!(crate::config::secret::password(&file).unwrap(), secret);
    }
    let secrets = [
        "kite-broker-77",
        "kite-camera-78",
        "759131",
        house.cookie.as_str(),
        house.csrf.as_str(),
        "kite-token-79",
        "MHcCAQEEIKite",
        "KITE-0C0D-E123",
        "kite-pass-80",
    ];
    let lines = [
        "the broker said: bad user gate/kite-broker-77".to_owned(),
        "digest of admin:kite-camera-78 failed".to_owned(),
        "uphppote set pin=759131 for card 101".to_owned(),
        format!("request Cookie: session={}", house.cookie),
        format!("form csrf={}&once=1", house.csrf),
        format!("header with {} somewhere", house.csrf),
        "Authorization: Bearer kite-token-79".to_owned(),
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIKite\n-----END EC PRIVATE KEY-----".to_owned(),
        "open /setup with the code KITE-0C0D-E123, it is valid once".to_owned(),
        "connect rtsp://admin:kite-pass-80@10.0.0.9/stream".to_owned(),
    ];
    let subscriber = {
        use tracing_subscriber::layer::SubscriberExt as _;
        tracing_subscriber::registry().with(recent::Recent)
    };
    tracing::subscriber::with_default(subscriber, || {
        for line in &lines {
            tracing::warn!(planted = true, "{line}");
            tracing::warn!(detail = %line, "planted in a field");
        }
    });
    {
        let mut meters = house.shared.board.meters();
        let meter = meters.get_mut(&MeterId::new("m-0101").unwrap()).unwrap();
        let what = lines[9].clone();
        let fault = ReadFault { class: FaultClass::Timeout, what, raw: vec![1, 0xAB] };
        meter.fault = Some((Noon.now(), fault));
    }
    *house.shared.board.mqtt() = crate::board::MqttBoard {
        broker: "gate:kite-broker-77@broker.example:8883".to_owned(),
        ..Default::default()
    };
    let file = house.person("GET", "/diagnostics.json").reply(&house.routes).await;
    assert_eq!(file.status(), 200);
    let text = body_of(&file);
    let document: Value = serde_json::from_str(&text).unwrap();
    for part in ["status", "meters", "outbox", "alarms", "log"] {
        assert!(document.get(part).is_some(), "{part} is announced");
    }
    assert_eq!(document.as_object().unwrap().len(), 5, "and nothing else is in it");
    let planted = text.matches("planted").count();
    assert!(planted >= 18, "the lines themselves are there: {planted}");
    let log = house.person("GET", "/log").reply(&house.routes).await;
    let log = body_of(&log);
    assert!(log.contains("planted in a field"), "{log}");
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is in the diagnostics: {text}");
        // The page itself has the token of its own forms.
        assert!(secret == house.csrf || !log.contains(secret), "{secret} is on the log's screen");
    }
    assert!(text.contains("[redacted]") && text.contains("0.0.0"), "{text}");
}
