//! People at the page, without scripts, against the real program: a day at the counter, and a box that
//! is put into service.

use blockgate_e2e::demo::Demo;
use blockgate_e2e::gateway::{Gateway, blockgate};
use blockgate_e2e::person::{Person, filled, location};
use blockgate_e2e::slave::{Act, Framing, Slave, profile};
use blockgate_e2e::{source, wait_until};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a long enough one";

fn json(person: &Person, path: &str) -> Value {
    serde_json::from_str(&person.see(path)).expect("JSON")
}

/// What stands between two texts for the first time.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}: {text}"));
    rest.split_once(after).expect("an end").0
}

fn fen(yuan: &str) -> i64 {
    yuan.replace('.', "").parse().expect("yuan with two decimals")
}

/// A household and what it owes.
fn debtors(person: &Person) -> Vec<(String, i64)> {
    let accounts = json(person, "/v1/accounts?limit=60");
    let rows = accounts["accounts"].as_array().expect("rows").iter();
    let one = |row: &Value| {
        let owed = row["owed_fen"].as_i64().filter(|owed| *owed > 0)?;
        Some((row["account"].as_str()?.to_owned(), owed))
    };
    rows.filter_map(one).collect()
}

/// Takes what a household owes in cash; the receipt's number.
fn pay(clerk: &Person, account: &str, owed: i64) -> u64 {
    let screen = format!("/households/{account}");
    let action = format!("{screen}/pay");
    let offered =
        between(&clerk.see(&screen), "name=\"amount\" type=\"text\" value=\"", "\"").to_owned();
    assert_eq!(fen(&offered), owed, "{account}: the form offers what is owed");
    let body = clerk.fill(
        &screen,
        &action,
        &[("channel", "cash"), ("toward", "bills"), ("tendered", "2000")],
    );
    let first = clerk.send(&action, &body);
    assert_eq!(first.status, 303, "{}", first.body);
    // The same form once more, as a nervous finger sends it: nothing is paid twice.
    let again = clerk.send(&action, &body);
    assert_eq!((again.status, location(&again)), (303, location(&first)));
    let of = location(&first).expect("a way");
    wait_until("the receipt is written", PATIENCE, || {
        let to = location(&clerk.get(&of))?;
        to.strip_prefix("/receipts/")?.parse().ok()
    })
}

/// Two at the counter open the same household's deposit; the first deducts from it, and the second, who would deduct
/// or give it back, is told what changed meanwhile. Gives the fen that came in.
fn deposits_are_locked(clerk: &Person, chief: &Person, (account, owed): &(String, i64)) -> i64 {
    let screen = format!("/households/{account}");
    let typed = [
        ("d_kind", "decoration"),
        ("d_amount", "300"),
        ("d_channel", "cash"),
        ("d_contract", "D-8"),
        ("d_condition", "the work is inspected"),
    ];
    let _ = clerk.submit(&screen, &format!("{screen}/deposit"), &typed);
    let (deduct, refund) = (format!("{screen}/deduct"), format!("{screen}/refund"));
    let html = clerk.see(&screen);
    let of = between(&html, "name=\"deposit\" value=\"", "\"");
    let (_, items) = html.split_once("name=\"item\"").expect("a choice of items");
    let item = between(items, "<option value=\"", "\"");
    let less = |reason| [("item", item), ("deduct", "1"), ("deduct_reason", reason)];
    let late = chief.fill(&screen, &deduct, &less("the second"));
    let back = [
        ("r_source", of),
        ("r_amount", "300"),
        ("r_channel", "cash"),
        ("r_reason", "the work is done"),
    ];
    let late_refund = chief.fill(&screen, &refund, &back);
    let _ = clerk.submit(&screen, &deduct, &less("the first"));
    let yuan = |fen: i64| format!("{}.{:02}", fen / 100, fen % 100);
    let told = format!(
        "owed {}, prepaid 0.00, deposits 1 with 300.00 in all; now: owed {}, prepaid 0.00, deposits 1 with 299.00 in all",
        yuan(*owed),
        yuan(owed - 100)
    );
    for (action, body) in [(&deduct, &late), (&refund, &late_refund)] {
        for _ in 0..2 {
            let refused = chief.send(action, body);
            assert_eq!(refused.status, 422, "{action}: {}", refused.body);
            assert!(refused.body.contains(&told), "{action}: {told}: {}", refused.body);
        }
    }
    assert!(
        chief.send(&deduct, &late).body.contains("value=\"the second\""),
        "what was typed stays"
    );
    let standing = json(clerk, &format!("/v1/accounts/{account}"));
    assert_eq!(standing["owed_fen"], owed - 100, "deducted once");
    30_000
}

#[test]
fn a_day_at_the_counter_adds_up_to_the_fen() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), 3600);
    let admin = Person::log_in(demo.page, &demo.user, &demo.password);
    for (user, role) in [("clerk", "finance"), ("chief", "finance"), ("keeper", "caretaker")] {
        let typed = [("user", user), ("role", role), ("password", PASSWORD)];
        assert_eq!(admin.submit("/users", "/users/save", &typed), "/users");
    }
    let clerk = Person::log_in(demo.page, "clerk", PASSWORD);
    let chief = Person::log_in(demo.page, "chief", PASSWORD);
    let keeper = Person::log_in(demo.page, "keeper", PASSWORD);
    let debtors = wait_until("March is billed", PATIENCE, || {
        let all = debtors(&clerk);
        (all.len() > 40).then_some(all)
    });

    let mut receipts = Vec::new();
    let mut taken = 0;
    for (account, owed) in debtors.iter().take(20) {
        receipts.push(pay(&clerk, account, *owed));
        taken += owed;
        let standing = json(&clerk, &format!("/v1/accounts/{account}"));
        assert_eq!(standing["owed_fen"], 0, "{account} owes nothing any more");
    }
    let mut sorted = receipts.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!((sorted.len(), &sorted), (20, &receipts), "twenty receipts, each its own");
    // Two at the counter take the same household's money: the second is told what the first one did.
    let (twice, owed) = &debtors[20];
    let screen = format!("/households/{twice}");
    let action = format!("{screen}/pay");
    let late = chief.fill(&screen, &action, &[("channel", "cash"), ("toward", "bills")]);
    let _ = pay(&clerk, twice, *owed);
    taken += owed;
    for _ in 0..2 {
        let refused = chief.send(&action, &late);
        assert_eq!(refused.status, 422, "{}", refused.body);
        let saw = format!("You saw: owed {}.{:02}, prepaid 0.00", owed / 100, owed % 100);
        assert!(refused.body.contains(&saw), "{saw}: {}", refused.body);
        assert!(refused.body.contains("now: owed 0.00, prepaid 0.00"), "{}", refused.body);
    }
    assert_eq!(json(&clerk, &format!("/v1/accounts/{twice}"))["prepaid_fen"], 0, "paid once");
    // So with deposits: two that are taken for the same thing, and one that is deducted twice.
    let typed = [
        ("d_kind", "decoration"),
        ("d_amount", "300"),
        ("d_channel", "cash"),
        ("d_contract", "D-7"),
        ("d_condition", "the work is inspected"),
    ];
    let action = format!("{screen}/deposit");
    let late = chief.fill(&screen, &action, &typed);
    let _ = clerk.submit(&screen, &action, &typed);
    taken += 30_000;
    let refused = chief.send(&action, &late);
    assert_eq!(refused.status, 422, "{}", refused.body);
    let told =
        "deposits 0 with 0.00 in all; now: owed 0.00, prepaid 0.00, deposits 1 with 300.00 in all";
    assert!(refused.body.contains(told), "{}", refused.body);
    assert!(refused.body.contains("value=\"the work is inspected\""), "{}", refused.body);
    taken += deposits_are_locked(&clerk, &chief, &debtors[22]);
    let printed = clerk.see(&format!("/receipts/{}?paper=a4", receipts[0]));
    assert!(printed.contains("page/clerk") && printed.contains("paper a4"), "{printed}");
    // Who takes no money sees the household and no form, and is refused without one.
    let account = &debtors[0].0;
    let screen = format!("/households/{account}");
    assert!(!keeper.see(&screen).contains("/pay\""));
    let body =
        clerk.fill(&screen, &format!("{screen}/pay"), &[("amount", "1"), ("channel", "cash")]);
    assert_eq!(keeper.send(&format!("{screen}/pay"), &body).status, 403);

    // Prepaid money goes back: asked for by one, approved by another, paid out.
    let prepaid = [("amount", "50"), ("channel", "cash"), ("toward", "prepaid")];
    let _ = clerk.submit(&screen, &format!("{screen}/pay"), &prepaid);
    taken += 5000;
    let wish =
        [("r_source", "prepaid"), ("r_amount", "20"), ("r_channel", "cash"), ("r_reason", "moved")];
    let _ = clerk.submit(&screen, &format!("{screen}/refund"), &wish);
    let approve = "action=\"/refunds/approve\"";
    if chief.see("/counter").contains(approve) {
        // Nobody approves their own refund: there is no button, and without one it is refused.
        let queue = clerk.see("/counter");
        assert!(!queue.contains(approve) && queue.contains("approved by somebody else"), "{queue}");
        let refund = between(&chief.see("/counter"), "name=\"refund\" value=\"", "\"").to_owned();
        let own = clerk.fill("/counter", "/refunds/void", &[("refund", refund.as_str())]);
        let (own, _) = own.split_once("&void").expect("the reason, which this form has not");
        assert_eq!(clerk.send("/refunds/approve", own).status, 422);
        let _ = chief.submit("/counter", "/refunds/approve", &[]);
    }
    let _ = chief.submit("/counter", "/refunds/paid", &[("reference", "cash-1")]);
    assert_eq!(json(&clerk, &format!("/v1/accounts/{account}"))["prepaid_fen"], 3000);

    // A closing reading was misread: the difference follows as a bill of its own.
    let bills = json(&clerk, &format!("/v1/bills?account={}&item=electricity", debtors[1].0));
    let evidence = &bills["bills"][0]["bill"]["evidence"][0];
    let value: f64 =
        evidence["to"]["value"].as_str().and_then(|v| v.parse().ok()).expect("a value");
    let right = format!("{:.2}", value + 1.0);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (meter, register) = (text(&evidence["meter"]), text(&evidence["register"]));
    let reading = text(&evidence["to"]["reading"]);
    let typed = [
        ("meter", meter.as_str()),
        ("register", register.as_str()),
        ("reading", reading.as_str()),
        ("value", right.as_str()),
        ("reason", "misread"),
        ("evidence", "photo 17"),
        ("approver", "chief"),
        ("limit", "contract, clause 7"),
        ("since", "2026-01-01"),
        ("threshold", "0"),
    ];
    let _ = clerk.submit("/corrections", "/corrections/reading", &typed);
    // The lists follow the journal a moment later.
    let first = |path: &'static str| {
        wait_until("the record is listed", PATIENCE, || {
            Some(json(&clerk, path)["records"].get(0)?["record"].clone())
        })
    };
    let record = first("/v1/corrections");
    assert_eq!(record["correction"]["ground"]["evidence"], "photo 17", "{record:#}");
    assert!(clerk.see("/corrections").contains("photo 17"));

    // The day closes by itself; then its cash is counted against the books.
    let day = wait_until("the day is closed", PATIENCE, || {
        let days = json(&clerk, "/v1/days");
        let rows = days["records"].as_array()?.iter();
        let with_cash =
            rows.map(|row| &row["record"]).find(|day| day["channels"]["cash"].is_object());
        with_cash.cloned()
    });
    let cash = &day["channels"]["cash"];
    assert_eq!(cash["payments"], 24, "{day:#}");
    assert_eq!(cash["paid_fen"], taken);
    assert_eq!((&cash["refunds"], &cash["refunded_fen"]), (&1.into(), &2000.into()));
    let net = taken - 2000;
    let counted = format!("{}.{:02}", net / 100, net % 100);
    let typed = [("day", day["day"].as_str().expect("a day")), ("counted", counted.as_str())];
    let _ = clerk.submit("/counter", "/counter/cash", &typed);
    let count = first("/v1/cash-counts");
    assert_eq!(count["difference_fen"], 0, "{count:#}");

    // A household moves out: one document, made once however often the button is pressed.
    let screen = format!("/households/{}/move-out", debtors[21].0);
    let until = between(&clerk.see(&screen), "name=\"until\"", "</select>").to_owned();
    let tomorrow = until.rsplit_once("<option value=\"").expect("two days").1;
    let tomorrow = tomorrow.split('"').next().expect("a day");
    let typed = [
        ("until", tomorrow),
        ("deduct_owed", "yes"),
        ("damage", "35.50"),
        ("damage_reason", "a cracked window"),
        ("m_channel", ""),
    ];
    let body = clerk.fill(&screen, &screen, &typed);
    for _ in 0..2 {
        let sent = clerk.send(&screen, &body);
        assert_eq!((sent.status, location(&sent)), (303, Some(screen.clone())), "{}", sent.body);
    }
    let document = wait_until("the settlement is there", PATIENCE, || {
        let html = clerk.see(&screen);
        html.contains("MOVE-OUT SETTLEMENT").then_some(html)
    });
    assert_eq!(document.matches("MOVE-OUT SETTLEMENT").count(), 1, "{document}");
    for told in ["a cracked window", "35.50", "Last readings", "page/clerk"] {
        assert!(document.contains(told), "{told}: {document}");
    }
}

#[test]
fn who_tried_rules_that_somebody_else_has_changed_since_is_shown_both_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), 60);
    let admin = Person::log_in(demo.page, &demo.user, &demo.password);
    for user in ["clerk", "chief"] {
        let typed = [("user", user), ("role", "finance"), ("password", PASSWORD)];
        assert_eq!(admin.submit("/users", "/users/save", &typed), "/users");
    }
    let clerk = Person::log_in(demo.page, "clerk", PASSWORD);
    let chief = Person::log_in(demo.page, "chief", PASSWORD);
    wait_until("March is billed", PATIENCE, || (!debtors(&clerk).is_empty()).then_some(()));
    let shipped = source("rules/tariffs/property.toml");
    let shipped = std::fs::read_to_string(shipped).expect("the shipped rules");
    let (_, rest) = shipped.split_once("[[tariff]]").expect("a tariff");
    let (fee, _) = rest.split_once("[[tariff]]").expect("a second one");
    let tried = |person: &Person, price: &str| {
        let text =
            format!("[[tariff]]{fee}").replace("price = \"2.10\"", &format!("price = \"{price}\""));
        assert!(text.contains(price), "{text}");
        let typed = [("file", "property"), ("text", text.as_str()), ("month", "2026-03")];
        let shown = person.send("/rules/preview", &person.fill("/rules", "/rules/preview", &typed));
        assert_eq!(shown.status, 200, "{}", shown.body);
        filled(&shown.body, "/rules/apply", &[("reason", "the assembly of March")])
    };
    let late = tried(&chief, "2.40");
    let early = tried(&clerk, "2.30");
    // The second press of the same button is no change by somebody else.
    for _ in 0..2 {
        let applied = clerk.send("/rules/apply", &early);
        assert_eq!(applied.status, 303, "{}", applied.body);
    }
    let refused = chief.send("/rules/apply", &late);
    assert_eq!(refused.status, 422, "{}", refused.body);
    let told = "You saw: nothing; now: version 1 (page/clerk)";
    assert!(refused.body.contains(told), "{}", refused.body);
    let now = chief.see("/rules");
    assert!(now.contains("2.30") && !now.contains("2.40"), "{now}");
    assert_eq!(now.matches("page/clerk").count(), 1, "{now}");
    // Having seen it, the chief may.
    let applied = chief.send("/rules/apply", &tried(&chief, "2.40"));
    assert_eq!(applied.status, 303, "{}", applied.body);
    assert!(chief.see("/rules").contains("page/chief"));
}

#[test]
fn a_new_box_is_put_into_service_from_the_page() {
    let slave = Slave::tcp(Framing::Rtu);
    let mut gateway =
        Gateway::new("[meter_defaults]\npoll_every = \"1s\"\nmax_per_hour = \"1000000000\"\n");
    gateway.write("profiles.d/scripted-meter.toml", &profile());
    // First run: the code of the log and a password of one's own (`Gateway::start` does it).
    gateway.start();
    let installer = Person::log_in(gateway.address(), "admin", "a long password");
    let start = installer.see("/start");
    assert!(start.contains("Cloud check") && start.contains("0 of 0 meters"), "{start}");

    // Scan: every address from 1 to 20 answers, if only to say that it has no such register.
    for unit in 1..=20 {
        slave.set(unit, 0, Act::Exception(2));
    }
    let line = slave.line("stair-1");
    let port = between(&line, "port = ", "\n");
    let place = format!("127.0.0.1:{port}");
    let wish = [("line", ""), ("place", place.as_str()), ("protocol", "modbus"), ("units", "1-20")];
    let scan = installer.submit("/scan", "/scan/begin", &wish);
    let found = wait_until("the scan is done", PATIENCE, || {
        let html = installer.see(&scan);
        let running = html.contains("http-equiv=\"refresh\"");
        (!running).then_some(html)
    });
    assert_eq!(found.matches("<span class=\"pill late\">new</span>").count(), 20, "{found}");

    // One tap each, or one for all. Whoever may not is refused, and nothing is written without a profile.
    let (add, add_all) = (format!("{scan}/add"), format!("{scan}/add-all"));
    let installer_saves = [("user", "keeper"), ("role", "caretaker"), ("password", PASSWORD)];
    assert_eq!(installer.submit("/users", "/users/save", &installer_saves), "/users");
    let keeper = Person::log_in(gateway.address(), "keeper", PASSWORD);
    assert!(!keeper.see(&scan).contains("/add\""));
    let body = installer.fill(&scan, &add, &[("profile", "scripted-meter"), ("meter_id", "m-01")]);
    assert_eq!(keeper.send(&add, &body).status, 403);
    let bad = installer.send(&add, &installer.fill(&scan, &add, &[("profile", "")]));
    assert_eq!(bad.status, 422, "{}", bad.body);
    assert!(bad.body.contains("choose a profile"), "{}", bad.body);
    let page_file = gateway.path("state/meters.d/page.toml");
    assert!(!page_file.exists());
    let first = installer.send(&add, &body);
    assert_eq!((first.status, location(&first)), (303, Some(scan.clone())), "{}", first.body);
    let again = installer.send(&add, &body);
    assert_eq!(again.status, 303, "a nervous finger adds nothing twice: {}", again.body);
    let other = installer.send(&add, &body.replace("m%2D01", "m%2D99"));
    assert_eq!(other.status, 422, "{}", other.body);
    assert!(other.body.contains("This device is meter m-01 now, not m-99"), "{}", other.body);
    // The reload keeps the session and what the scan found.
    gateway.wait("the new config runs", |g| g.log().contains("the config changed").then_some(()));
    let html = installer.see(&scan);
    assert_eq!(html.matches("<span class=\"pill late\">new</span>").count(), 19, "{html}");
    assert!(html.contains("href=\"/meters/m-01\""), "{html}");
    // Others of the file stay as a person wrote them.
    let text = std::fs::read_to_string(&page_file).expect("the file");
    std::fs::write(&page_file, format!("{text}# the hall's own\n")).expect("the file");
    assert_eq!(installer.submit(&scan, &add_all, &[("profile", "scripted-meter")]), scan);
    wait_until("all meters are read", PATIENCE, || {
        installer.see("/start").contains("20 of 20 meters").then_some(())
    });
    let text = std::fs::read_to_string(&page_file).expect("the file");
    assert!(text.contains("# the hall's own"), "{text}");
    assert_eq!(text.matches("[[meter]]").count(), 20, "{text}");
    assert_eq!(gateway.command(&["check"]).code, 0);
    let audit = installer.see("/audit");
    for told in ["meters-added", "m-01", "user-saved", "page/admin"] {
        assert!(audit.contains(told), "{told}: {audit}");
    }

    // A test read shows the frames; what the meter says is in them.
    let read =
        installer.send("/meters/m-7/test", &installer.fill("/meters/m-7", "/meters/m-7/test", &[]));
    assert_eq!(read.status, 200, "{}", read.body);
    assert!(read.body.contains("It was read.") && read.body.contains("07 04"), "{}", read.body);
    let sheet = installer.see("/sheet");
    assert_eq!(sheet.matches("☐").count(), 20);
    assert!(sheet.contains("20 of 20 meters"), "{sheet}");

    // An exchange in three steps: the addresses lead from one to the next.
    let step = installer.see("/meters/m-7/exchange");
    assert!(step.contains("Step 1 of 3"), "{step}");
    let shown: u64 = between(&step, "name=\"final_value\" type=\"text\" value=\"", "\"")
        .parse()
        .expect("the old device's counter is offered");
    // A little more has passed until the device is out.
    let second = format!("/meters/m-7/exchange?register=counter_10&final_value={}", shown + 1000);
    assert!(installer.see(&second).contains("Step 2 of 3"));
    let third = format!("{second}&initial_value=0");
    assert!(installer.see(&third).contains("Step 3 of 3"));
    assert_eq!(installer.submit(&third, "/meters/m-7/exchange", &[]), "/meters/m-7");
    assert!(installer.see("/audit").contains("exchange-meter"));
}

#[test]
fn passwords_that_nobody_knows_are_forgotten_at_the_console_and_the_audit_trail_says_so() {
    let mut gateway = Gateway::new("");
    gateway.start();
    let before = Person::log_in(gateway.address(), "admin", "a long password");
    assert_eq!(gateway.command(&["reset-logins"]).code, 1, "it wants to be asked for");
    assert_eq!(before.get("/me").status, 200, "nothing was changed");
    let said = gateway.command(&["reset-logins", "--yes"]);
    assert_eq!((said.code, said.out.trim().len()), (0, 14), "{said:?}");
    gateway.stop();
    // The first set-up takes its code from the log; this one was printed on the console.
    let log = format!("{}code={}\n", gateway.log(), said.out.trim());
    gateway.write("daemon.log", &log);
    gateway.start();
    let admin = Person::log_in(gateway.address(), "admin", "a long password");
    let audit = admin.see("/audit");
    assert!(audit.contains("logins-reset") && audit.contains("console/"), "{audit}");
}

/// A form with a file, as a browser sends it.
fn multipart(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in fields {
        let file = if *name == "file" { "; filename=\"a.backup\"" } else { "" };
        let head =
            format!("--e2e\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--e2e--\r\n");
    body
}

#[test]
fn a_backup_is_taken_at_the_page_and_a_try_of_it_changes_nothing() {
    const FORM: &str = "application/x-www-form-urlencoded";
    const PASSPHRASE: &str = "swans on a cold lake";
    let mut gateway = Gateway::new("");
    gateway.start();
    let admin = Person::log_in(gateway.address(), "admin", "a long password");
    for (user, role) in [("fitter", "installer"), ("keeper", "caretaker")] {
        let typed = [("user", user), ("role", role), ("password", PASSWORD)];
        assert_eq!(admin.submit("/users", "/users/save", &typed), "/users");
    }
    // Two edit the same user: the second one is told what the first one did, and changes nothing.
    let late = admin.fill(
        "/users",
        "/users/save",
        &[("user", "keeper"), ("role", "finance"), ("seen", "auditor")],
    );
    let late = admin.send("/users/save", &late);
    assert_eq!(late.status, 422, "{}", late.body);
    assert!(
        late.body.contains("you saw &quot;auditor&quot;, now it is &quot;caretaker&quot;"),
        "{}",
        late.body
    );
    let take = "/backup/take";
    let short = [("passphrase", "short"), ("again", "other"), ("keys", "no")];
    let refused = admin.send(take, &admin.fill("/backup", take, &short));
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(!refused.body.contains("value=\"short\""), "a passphrase comes back to nobody");
    let typed = [("passphrase", PASSPHRASE), ("again", PASSPHRASE), ("keys", "yes")];
    let body = admin.fill("/backup", take, &typed);
    let (answer, file) = admin.fetch(take, FORM, body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.head.contains("attachment; filename=\"blockgate-gw-"), "{}", answer.head);
    let left = std::fs::read_dir(gateway.path("state")).expect("the state").flatten();
    assert!(
        left.into_iter().all(|row| row.file_name() != "page-backup.new"),
        "nothing stays behind"
    );
    // The console reads what the page gave.
    let (backup, pass) = (gateway.path("a.backup"), gateway.path("pass"));
    std::fs::write(&backup, &file).expect("a file");
    std::fs::write(&pass, PASSPHRASE).expect("a file");
    let words = [backup.display().to_string(), pass.display().to_string()];
    let [backup, pass] = words.each_ref().map(String::as_str);
    let read =
        blockgate(&["restore", backup, "--dry-run", "--passphrase-file", pass, "--json"]).json();
    assert_eq!((&read["gateway"], &read["keys"]), (&"gw".into(), &true.into()), "{read}");
    // The page reads it too, and says what would be lost.
    let audit = admin.see("/audit");
    assert!(audit.contains("backup-taken"), "{audit}");
    let media = "multipart/form-data; boundary=e2e";
    let csrf = between(&body, "csrf=", "&").to_owned();
    let tried = |person: &Person, csrf: &str, passphrase: &str, file: &[u8]| {
        let fields: [(&str, &[u8]); 3] =
            [("csrf", csrf.as_bytes()), ("passphrase", passphrase.as_bytes()), ("file", file)];
        person.fetch("/backup/try", media, &multipart(&fields)).0
    };
    let good = tried(&admin, &csrf, PASSPHRASE, &file);
    assert_eq!(good.status, 200, "{}", good.body);
    for told in [
        "this gateway",
        "would be lost",
        "blockgate.toml",
        "leave it the same",
        "nothing was changed",
    ] {
        assert!(good.body.contains(told), "{told}: {}", good.body);
    }
    for (passphrase, bytes) in
        [("another passphrase", &file[..]), (PASSPHRASE, &file[..file.len() / 2])]
    {
        let bad = tried(&admin, &csrf, passphrase, bytes);
        assert_eq!(bad.status, 422, "{}", bad.body);
        assert!(bad.body.contains("cannot be used"), "{}", bad.body);
    }
    // Only the operator, only from the page itself.
    assert_eq!(tried(&admin, "0000", PASSPHRASE, &file).status, 403);
    let fitter = Person::log_in(gateway.address(), "fitter", PASSWORD);
    let own = fitter.see("/me");
    let own = between(&own, "name=\"csrf\" value=\"", "\"");
    assert_eq!(tried(&fitter, own, PASSPHRASE, &file).status, 403);
    assert!(!fitter.see("/backup").contains("/backup/take"));
    assert_eq!(Person::log_in(gateway.address(), "keeper", PASSWORD).get("/backup").status, 403);
}
