//! Rights at doors by the command line and on the page: given, taken, given back; and that arrears close
//! an entrance only when a named person says so.

use blockgate_e2e::gateway::{Gateway, Said};
use blockgate_e2e::person::Person;
use serde_json::{Value, json};

/// A door controller that nobody answers for: rights are the gateway's own.
const CONFIG: &str = r#"
[[account]]
id = "a-1"
building = "1"
[[controller]]
id = "north"
vendor = "uhppote"
serial = 405419896
host = "127.0.0.1"
port = 9
[[door]]
id = "b1"
controller = "north"
number = 1
exit = "button"
power_loss = "unlocked"
entrance = true
[[door_group]]
id = "home"
doors = ["b1"]
residents = true
[[person]]
id = "p-1"
account = "a-1"
cards = ["10058400"]
[arrears_doors]
doors = ["b1"]
overdue_days = 60
"#;

fn may(gateway: &Gateway) -> Vec<u64> {
    let all = gateway.json("/v1/doors/b1/who-may");
    let rows = all["may"].as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|row| row["card"].as_u64()).collect()
}

fn confirmed(gateway: &Gateway) -> Value {
    gateway.json("/v1/doors")["warnings"][0]["confirmed"].clone()
}

fn outcome(said: &Said) -> (i32, String) {
    (said.code, said.json()["outcome"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn rights_are_given_and_taken_by_the_command_line_and_on_the_page() {
    let mut gateway = Gateway::new(CONFIG);
    gateway.start();
    let order = |gateway: &Gateway, words: &[&str]| {
        gateway.command(&[&["order"][..], words, &["--json"]].concat())
    };
    let done = (0, "done".to_owned());
    let refused = (1, "refused".to_owned());
    let until = blockgate_e2e::gateway::succeeds(std::process::Command::new("date").args([
        "-u",
        "-d",
        "2 hours",
        "+%Y-%m-%dT%H:%M:%SZ",
    ]));
    let until = until.trim();
    assert_eq!(may(&gateway), [10_058_400]);
    let grant = [
        "grant", "visit-7", "--card", "20000001", "--group", "home", "--until", until, "--count",
        "2",
    ];
    assert_eq!(outcome(&order(&gateway, &grant)), done);
    assert_eq!(may(&gateway), [10_058_400, 20_000_001]);
    let lost = ["revoke", "--card", "10058400", "--reason", "lost"];
    assert_eq!(outcome(&order(&gateway, &lost)), done);
    assert_eq!(outcome(&order(&gateway, &lost)), refused, "it is shut out already");
    assert_eq!(may(&gateway), [20_000_001]);
    assert_eq!(outcome(&order(&gateway, &["restore", "--card", "10058400"])), done);
    assert_eq!(
        outcome(&order(&gateway, &["revoke", "--grant", "visit-7", "--reason", "left"])),
        done
    );
    assert_eq!(may(&gateway), [10_058_400]);
    assert_eq!(order(&gateway, &["revoke", "--reason", "x"]).code, 2, "nothing is named");
    let two = ["restore", "--card", "1", "--person", "p-1"];
    assert_eq!(order(&gateway, &two).code, 2, "one at a time");

    assert_eq!(confirmed(&gateway), json!(false));
    let by = ["--by", "Chen, 12", "--reason", "assembly"];
    let confirm = |words: &[&'static str]| -> Vec<&'static str> {
        [&["confirm-arrears"][..], words, &by].concat()
    };
    assert_eq!(outcome(&order(&gateway, &confirm(&[]))), refused, "the entrance is not named");
    assert_eq!(outcome(&order(&gateway, &confirm(&["--entrance", "b1"]))), done);
    assert_eq!(confirmed(&gateway), json!(true));
    assert_eq!(outcome(&order(&gateway, &confirm(&["--take-back"]))), done);
    assert_eq!(confirmed(&gateway), json!(false));

    // The same on the page.
    let person = Person::log_in(gateway.address(), "admin", "a long password");
    let fields = [
        ("grant", "visit-8"),
        ("grant_card", "20000002"),
        ("grant_group", "home"),
        ("grant_hours", "4"),
    ];
    // Another hand fills the same form with another card, and is told who came first.
    let other = [("grant_card", "20000003")];
    let other: Vec<_> = fields.iter().copied().chain(other).collect();
    let late = person.fill("/door-rights", "/door-rights/grant", &other);
    let _ = person.submit("/door-rights", "/door-rights/grant", &fields);
    let refused = person.send("/door-rights/grant", &late);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(
        refused.body.contains("You saw: nothing; now: visit-8: card 20000002, until"),
        "{}",
        refused.body
    );
    let seen = person.see("/door-rights");
    assert!(seen.contains("visit-8"), "{seen}");
    assert_eq!(may(&gateway), [10_058_400, 20_000_002]);
    let shut = [("of_kind", "person"), ("of", "p-1"), ("revoke_reason", "moved out")];
    let _ = person.submit("/door-rights", "/door-rights/revoke", &shut);
    assert_eq!(may(&gateway), [20_000_002]);
    let back = [("of_kind", "person"), ("of", "p-1")];
    // Let in and shut out once more by somebody else: that is not what was seen.
    let late = person.fill("/door-rights", "/door-rights/restore", &back);
    let _ = person.submit("/door-rights", "/door-rights/restore", &back);
    let _ = person.submit("/door-rights", "/door-rights/revoke", &shut);
    let refused = person.send("/door-rights/restore", &late);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("You saw: shut out since"), "{}", refused.body);
    assert_eq!(may(&gateway), [20_000_002]);
    let _ = person.submit("/door-rights", "/door-rights/restore", &back);
    assert_eq!(may(&gateway), [10_058_400, 20_000_002]);
    let named = [("by", "Chen, 12"), ("arrears_reason", "assembly")];
    let _ = person.submit("/door-rights", "/door-rights/confirm", &named);
    assert_eq!(confirmed(&gateway), json!(true));
    let said = gateway.command(&["doors"]);
    assert!(said.out.contains("confirm-arrears"), "{said:?}");
    gateway.stop();
}
