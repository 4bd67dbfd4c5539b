//! Dead letters on the page: who may have one sent again, and that two presses are one order.

use super::*;
use crate::outbox::Class;
use crate::store::journal::{Journal, Options};
use blockgate_rules::input::Order;

/// Two events that the cloud refused.
fn refuse_two(house: &House) {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    for _ in 0..2 {
        journal.append(b"{}").unwrap();
    }
    let committed = journal.cut().unwrap().unwrap().commit().unwrap();
    let records: Vec<_> = committed.records().map(|(seq, at)| (seq, Class::Event, at)).collect();
    let outbox = &house.shared.outbox;
    outbox.push(&records).unwrap();
    outbox.refused(1, EVIL).unwrap();
    outbox.refused(2, "too large").unwrap();
}

#[tokio::test]
async fn the_operator_has_a_dead_letter_sent_again_and_two_presses_are_one_order() {
    let house = house(true).await;
    refuse_two(&house);
    let screen = house.person("GET", "/outbox").reply(&house.routes).await;
    let html = String::from_utf8_lossy(screen.body()).into_owned();
    assert_eq!(html.matches("action=\"/outbox/retry\"").count(), 2, "{html}");
    assert!(html.contains("name=\"letter\" value=\"2\""), "{html}");
    let send = |letter: &str, csrf: &str, n: u128| {
        let body = format!("letter={letter}&csrf={csrf}&once={}", once(n));
        house
            .person("POST", "/outbox/retry")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    assert_eq!(house.status(send("2", "0", 7)).await, 403, "without the page's token");
    assert_eq!(house.status(send("x", &house.csrf, 7)).await, 422);
    assert!(house.ordered.lock().unwrap().is_empty());
    for _ in 0..2 {
        assert_eq!(house.status(send("2", &house.csrf, 7)).await, 303);
    }
    let ordered = house.ordered.lock().unwrap();
    let ids: Vec<String> = ordered.iter().map(|command| command.id.to_string()).collect();
    let id = format!("page-{}", once(7));
    assert_eq!(ids, [id.clone(), id], "the engine knows the second one by its id");
    assert_eq!(ordered[0].order, Order::RetryDeadLetter { seq: 2 });
}

#[tokio::test]
async fn who_is_no_operator_sees_dead_letters_and_no_button() {
    let house = house(true).await;
    refuse_two(&house);
    for role in [auth::Role::Installer, auth::Role::Auditor] {
        let (cookie, csrf) = person_of(&house, role.text(), role).await;
        let request = |method: &str, path: &str| {
            ask(method, path)
                .header("cookie", format!("session={cookie}"))
                .header("sec-fetch-site", "same-origin")
        };
        let screen = request("GET", "/outbox").reply(&house.routes).await;
        let html = String::from_utf8_lossy(screen.body()).into_owned();
        assert!(html.contains("too large") && !html.contains("/outbox/retry"), "{html}");
        let body = format!("letter=2&csrf={csrf}&once={}", once(8));
        let sent = request("POST", "/outbox/retry")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        assert_eq!(house.status(sent).await, 403, "{role:?}");
    }
    assert!(house.ordered.lock().unwrap().is_empty());
}
