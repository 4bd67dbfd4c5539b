//! Months at the counter with the real program, whose clock is set from visit to visit: what is paid late
//! costs a fee that is charged or waived, and a refund that nobody approves goes back.

use blockgate_e2e::gateway::Gateway;
use blockgate_e2e::person::{Person, location};
use serde_json::Value;

/// 2026-04-02 10:00 in Shanghai, in Unix seconds: March is billed, due on the 17th.
const APRIL_2: i64 = 1_775_095_200;
const DAY: i64 = 86_400;
const APRIL_17: i64 = APRIL_2 + 15 * DAY;
/// April is billed, and with it what March's unpaid bills cost more.
const MAY_2: i64 = APRIL_2 + 30 * DAY;
const JUNE_2: i64 = APRIL_2 + 61 * DAY;

const PASSWORD: &str = "a long enough one";

/// 100 m² at 2.00: 200.00 a month. Each day late costs 0.1 % from the due day on.
const RULES: &str = r#"
[[tariff]]
id = "property-fee"
label = { zh = "物业费", en = "Property fee" }
currency = "CNY"
notice = "the contract"
[[tariff.revision]]
from = "2020-01-01"
kind = "per_area"
rounding = "per_line"
change_inside_period = "next_period"
price = "2.00"
proration = "full_month"
[tariff.revision.late_fee]
item = "late-fee"
label = { zh = "违约金", en = "Late fee" }
percent_per_day = "0.1"
grace_days = 5
days_from = "due"
cap_percent = "30"
rounding = "half_up"
"#;

/// Three households without a meter, and a counter whose refunds a second person approves within two weeks.
fn block() -> Gateway {
    let mut rest = "[dunning]\ndue_days = 15\n".to_owned();
    for account in ["a-1", "a-2", "a-3"] {
        rest.push_str(&format!(
            "[[account]]\nid = \"{account}\"\narea_m2 = \"100\"\ncharges = [\n\
             {{ item = \"property-fee\", tariff = \"property-fee\" }},\n]\n"
        ));
    }
    let gateway = Gateway::new(&rest);
    let config = std::fs::read_to_string(gateway.config()).expect("the config");
    let grace = "close_grace = \"1h\"\n";
    assert!(config.contains(grace), "{config}");
    let config = config.replace(grace, &format!("{grace}refund_decide_days = 14\n"));
    gateway.write("blockgate.toml", &config);
    gateway.write("rules.d/property.toml", RULES);
    gateway
}

/// Its two people at the counter.
fn people(gateway: &Gateway) -> [Person; 2] {
    ["clerk", "chief"].map(|user| Person::log_in(gateway.address(), user, PASSWORD))
}

/// Starts it for the first time, in March, and again on the second of April; waits for March's bills.
fn opens(gateway: &mut Gateway) {
    gateway.start_at(APRIL_2 - 4 * DAY);
    let admin = Person::log_in(gateway.address(), "admin", "a long password");
    for user in ["clerk", "chief"] {
        let typed = [("user", user), ("role", "finance"), ("password", PASSWORD)];
        assert_eq!(admin.submit("/users", "/users/save", &typed), "/users");
    }
    gateway.stop();
    gateway.start_at(APRIL_2);
    billed(gateway, "2026-03", 3);
}

/// Waits until a month has so many bills of the property fee.
fn billed(gateway: &Gateway, month: &str, count: usize) {
    gateway.wait(&format!("{month} is billed"), |gateway| {
        let bills = bills(gateway, "property-fee");
        let of_month = |bill: &&Value| {
            bill["period"]["from"].as_str().is_some_and(|from| from.starts_with(month))
        };
        (bills.iter().filter(of_month).count() == count).then_some(())
    });
}

fn bills(gateway: &Gateway, item: &str) -> Vec<Value> {
    let bills = gateway.json(&format!("/v1/bills?item={item}"));
    let rows = bills["bills"].as_array().expect("rows").iter();
    rows.map(|row| row["bill"].clone()).collect()
}

/// The late fees of a household, with what each comes to.
fn late_fees(gateway: &Gateway, account: &str) -> Vec<Value> {
    let all = bills(gateway, "late-fee");
    all.into_iter().filter(|bill| bill["account"] == account).collect()
}

fn owed(gateway: &Gateway, account: &str) -> Value {
    gateway.json(&format!("/v1/accounts/{account}"))["owed_fen"].clone()
}

fn prepaid(gateway: &Gateway, account: &str) -> Value {
    gateway.json(&format!("/v1/accounts/{account}"))["prepaid_fen"].clone()
}

fn balanced(gateway: &Gateway) {
    let ledger = gateway.json("/v1/ledger");
    assert_eq!(ledger["trial_balance_fen"], 0, "{ledger:#}");
}

/// Sends a form twice, as a nervous finger does; both lead to the same place.
fn twice(person: &Person, screen: &str, action: &str, typed: &[(&str, &str)]) -> String {
    let body = person.fill(screen, action, typed);
    let first = person.send(action, &body);
    assert_eq!(first.status, 303, "{action}: {}", first.body);
    let again = person.send(action, &body);
    assert_eq!((again.status, location(&again)), (303, location(&first)), "{}", again.body);
    location(&first).expect("a way")
}

/// Takes money at the counter, once, and waits until the household owes so much.
fn pays(gateway: &Gateway, clerk: &Person, account: &str, amount: &str, left: i64) {
    let screen = format!("/households/{account}");
    let typed = [("amount", amount), ("channel", "cash"), ("toward", "bills")];
    let _ = twice(clerk, &screen, &format!("{screen}/pay"), &typed);
    gateway.wait("the payment is booked", |g| (owed(g, account) == left).then_some(()));
}

fn waive(clerk: &Person, bill: &str) {
    let typed = [
        ("right", "waived"),
        ("reason", "goodwill"),
        ("evidence", "letter 4"),
        ("approver", "chief"),
        ("limit", "contract, clause 7"),
        ("since", "2026-01-01"),
        ("threshold", "0"),
    ];
    let screen = format!("/corrections?late_bill={bill}");
    let _ = twice(clerk, &screen, "/corrections/late-fee", &typed);
}

#[test]
fn a_bill_that_is_paid_late_costs_a_fee_that_is_paid_once_or_waived_once() {
    let mut gateway = block();
    opens(&mut gateway);
    let [clerk, _] = people(&gateway);
    // One household pays in time. What the others would pay more stands on their bills.
    pays(&gateway, &clerk, "a-3", "200", 0);
    let first = bills(&gateway, "property-fee");
    let of = |account: &str| {
        let bill = first.iter().find(|bill| bill["account"] == account).expect("a bill");
        bill["bill"].as_str().expect("its id").to_owned()
    };
    for (language, terms) in [
        ("en", "0.1% a day, 5 days of grace, at most 30%"),
        ("zh-CN", "每日 0.1%，宽限 5 天，最多 30%"),
    ] {
        let shown = gateway.page(&format!("/bills/{}", of("a-1")), language);
        assert!(shown.contains(terms) && shown.contains("2026-04-17"), "{shown}");
    }
    gateway.stop();

    // The 18th to the 30th: 13 days × 200.00 × 0.1 % = 2.60, beside April's 200.00.
    gateway.start_at(MAY_2);
    billed(&gateway, "2026-04", 3);
    let fees = gateway.wait("two fees are billed", |gateway| {
        let fees = ["a-1", "a-2"].map(|account| late_fees(gateway, account));
        fees.iter().all(|of| of.len() == 1).then_some(fees)
    });
    for fee in fees.iter().flatten() {
        assert_eq!(fee["total_fen"], 260, "{fee:#}");
    }
    assert!(late_fees(&gateway, "a-3").is_empty());
    for (account, due) in [("a-1", 40_260), ("a-2", 40_260), ("a-3", 20_000)] {
        assert_eq!(owed(&gateway, account), due, "{account}");
    }
    let fee = fees[0][0]["bill"].as_str().expect("its id");
    for (language, name, why) in [
        (
            "en",
            "late fee",
            "Late fee, due 2026-04-17, 200.00 yuan unpaid, 0.1% a day, 2026-04-18 to 2026-04-30",
        ),
        (
            "zh-CN",
            "违约金",
            "违约金，应于 2026-04-17 前缴清，欠 200.00 元，每日 0.1%，2026-04-18 至 2026-04-30",
        ),
    ] {
        let household = gateway.page("/households/a-1", language);
        assert!(household.contains(name) && household.contains("2.60"), "{household}");
        let bill = gateway.page(&format!("/bills/{fee}"), language);
        assert!(bill.contains(why) && bill.contains(&of("a-1")), "{bill}");
    }
    balanced(&gateway);

    // One household pays it; the other's is waived, and with it what the next days would have cost.
    let [clerk, chief] = people(&gateway);
    let link = format!("/corrections?late_bill={}#late-fee", of("a-2"));
    let other = fees[1][0]["bill"].as_str().expect("its id");
    assert!(clerk.see(&format!("/bills/{other}")).contains(&link), "the bill leads to its waiver");
    pays(&gateway, &clerk, "a-1", "402.60", 0);
    waive(&chief, &of("a-2"));
    let back = gateway.wait("it is waived", |gateway| {
        let fees = late_fees(gateway, "a-2");
        (fees.len() == 2).then_some(fees)
    });
    assert_eq!(back.iter().map(|fee| fee["total_fen"].as_i64().unwrap_or(0)).sum::<i64>(), 0);
    assert_eq!(owed(&gateway, "a-2"), 40_000);
    let done = gateway.json("/v1/corrections");
    assert_eq!(done["records"].as_array().expect("rows").len(), 1, "waived once: {done:#}");
    for (language, why) in [("en", "waived"), ("zh-CN", "经批准减免")] {
        let shown = gateway.page("/corrections", language);
        assert!(shown.contains(why) && shown.contains("letter 4"), "{shown}");
    }
    balanced(&gateway);
    gateway.stop();

    // A month later. The first paid on 2 May: two days more, 15 × 0.20. March's bill of the second costs
    // nothing for good. April's bills of the second and third were due on 17 May: the 18th to the 31st, 14 × 0.20.
    gateway.start_at(JUNE_2);
    billed(&gateway, "2026-05", 3);
    let fees = gateway.wait("May's fees are billed", |gateway| {
        let fees = ["a-1", "a-2", "a-3"].map(|account| late_fees(gateway, account));
        (fees.iter().map(Vec::len).sum::<usize>() >= 6).then_some(fees)
    });
    let sums =
        fees.map(|of| of.iter().map(|fee| fee["total_fen"].as_i64().unwrap_or(0)).sum::<i64>());
    assert_eq!(sums, [300, 280, 280]);
    balanced(&gateway);
    gateway.stop();
}

/// Prepays 50.00 for a household and asks 20.00 back, each once.
fn asks_back(gateway: &Gateway, clerk: &Person, account: &str) {
    let screen = format!("/households/{account}");
    pays(gateway, clerk, account, "200", 0);
    let typed = [("amount", "50"), ("channel", "cash"), ("toward", "prepaid")];
    let _ = twice(clerk, &screen, &format!("{screen}/pay"), &typed);
    gateway.wait("50.00 are prepaid", |g| (prepaid(g, account) == 5_000).then_some(()));
    ask_back(gateway, clerk, account);
}

fn ask_back(gateway: &Gateway, clerk: &Person, account: &str) {
    let screen = format!("/households/{account}");
    let typed = [
        ("r_source", "prepaid"),
        ("r_amount", "20"),
        ("r_channel", "cash"),
        ("r_reason", "too much"),
    ];
    let _ = twice(clerk, &screen, &format!("{screen}/refund"), &typed);
    gateway.wait("it is asked for", |g| {
        let shown = g.page(&screen, "en");
        (shown.matches("waits for another person's approval").count() == 1).then_some(())
    });
}

/// How often a text stands on a screen.
fn times(gateway: &Gateway, screen: &str, language: &str, text: &str) -> usize {
    gateway.page(screen, language).matches(text).count()
}

#[test]
fn a_refund_whose_time_is_over_is_shown_as_expired_once_and_its_money_is_the_households_again() {
    let mut gateway = block();
    opens(&mut gateway);
    let [clerk, chief] = people(&gateway);
    // One is approved: its money is set aside for the payout. Another waits for the chief.
    asks_back(&gateway, &clerk, "a-2");
    let _ = twice(&chief, "/counter", "/refunds/approve", &[]);
    gateway.wait("20.00 are set aside", |g| (prepaid(g, "a-2") == 3_000).then_some(()));
    asks_back(&gateway, &clerk, "a-1");
    for (language, waits) in
        [("en", "waits for another person's approval"), ("zh-CN", "等待另一人批准")]
    {
        for screen in ["/counter", "/households/a-1"] {
            let shown = gateway.page(screen, language);
            assert_eq!(shown.matches(waits).count(), 1, "asked for once: {shown}");
            assert!(shown.contains("2026-04-16"), "until when: {shown}");
        }
    }
    balanced(&gateway);
    let screen = chief.see("/counter");
    let (_, form) = screen.split_once("action=\"/refunds/approve\"").expect("the form");
    let (_, refund) = form.split_once("name=\"refund\" value=\"").expect("its refund");
    let refund = refund.split_once('"').expect("an end").0.to_owned();
    gateway.stop();

    gateway.start_at(APRIL_17);
    gateway.wait("it has expired", |g| {
        (times(g, "/counter", "en", "not approved in time") == 1).then_some(())
    });
    for (language, gone, why) in
        [("en", "expired", "not approved in time"), ("zh-CN", "过期", "没有人按时批准")]
    {
        for screen in ["/counter", "/households/a-1"] {
            let shown = gateway.page(screen, language);
            for told in [gone, why, "20.00", "too much", "2026-04-16"] {
                assert!(shown.contains(told), "{told}: {shown}");
            }
        }
    }
    assert_eq!(prepaid(&gateway, "a-1"), 5_000);
    balanced(&gateway);
    // There is no button any more; whoever approves it without one is told, and nothing is given back.
    let [clerk, chief] = people(&gateway);
    let late = chief.fill("/counter", "/refunds/void", &[("refund", refund.as_str())]);
    let (late, _) = late.split_once("&void").expect("the reason, which this form has not");
    for _ in 0..2 {
        let refused = chief.send("/refunds/approve", late);
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert!(refused.body.contains("there is no open refund of this id"), "{}", refused.body);
    }
    assert!(!chief.see("/counter").contains("action=\"/refunds/approve\""));
    // It can be asked for again, and lies again. The other one waits for its payout, and is not fetched.
    ask_back(&gateway, &clerk, "a-1");
    assert_eq!(prepaid(&gateway, "a-2"), 3_000);
    gateway.stop();

    // On 3 May the bills of April have taken all that the two had prepaid: 200.00 − 50.00 are owed.
    gateway.start_at(MAY_2 + DAY);
    billed(&gateway, "2026-04", 3);
    for (account, why) in
        [("a-1", "not approved in time"), ("a-2", "approved and not paid out in time")]
    {
        gateway.wait("the money pays the bill", |g| (owed(g, account) == 15_000).then_some(()));
        let shown = gateway.page(&format!("/households/{account}"), "en");
        assert!(shown.contains(why), "{shown}");
    }
    assert!(gateway.page("/households/a-2", "zh-CN").contains("批准后没有按时付出"));
    assert_eq!(times(&gateway, "/counter", "en", "3 have expired"), 1);
    balanced(&gateway);
    let [_, chief] = people(&gateway);
    for form in ["/refunds/approve", "/refunds/paid", "/refunds/void"] {
        assert!(!chief.see("/counter").contains(&format!("action=\"{form}\"")), "{form}");
    }
    for account in ["a-1", "a-2"] {
        assert_eq!(
            (owed(&gateway, account), prepaid(&gateway, account)),
            (15_000.into(), 0.into())
        );
    }
    balanced(&gateway);
    gateway.stop();
    // Each household was told each time.
    let journal = gateway.journal();
    let told = |account: &str| {
        let notices = journal.iter().filter(|record| record["data"]["kind"] == "notice");
        notices
            .filter(|notice| notice.to_string().contains("has expired"))
            .filter(|notice| notice["data"]["account"] == account)
            .count()
    };
    assert_eq!((told("a-1"), told("a-2"), told("a-3")), (2, 1, 0));
}
