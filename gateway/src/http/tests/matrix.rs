//! Who gets what of each route: one table. A route that is not in it fails, and so does a row without a
//! route.

use super::*;
use auth::Role::{self, Auditor, Caretaker, Finance, Installer, Operator};
use std::collections::BTreeSet;

const ALL: &[Role] = &[Operator, Installer, Caretaker, Finance, Auditor];
/// Who sees bills.
const MONEY: &[Role] = &[Operator, Caretaker, Finance, Auditor];
/// Who sees the box itself.
const SYSTEM: &[Role] = &[Operator, Installer, Auditor];
/// Who puts lines into service.
const LINES: &[Role] = &[Operator, Installer];
/// Who has a meter read, or opens something on the spot.
const SPOT: &[Role] = &[Operator, Installer, Caretaker];

/// Each operation of the API's document: who may, and the status they get in this house of invented data.
/// Everybody else gets 403, and whoever is not logged in 401.
const MATRIX: &[(&str, &str, &[Role], u16)] = &[
    ("GET", "/readyz", ALL, 200),
    ("GET", "/metrics", ALL, 200),
    ("GET", "/v1/openapi.json", ALL, 200),
    ("GET", "/v1/status", ALL, 200),
    ("GET", "/v1/meters", ALL, 200),
    ("GET", "/v1/meters/{id}", ALL, 200),
    ("GET", "/v1/meters/{id}/history", ALL, 404),
    ("GET", "/v1/bills", MONEY, 200),
    ("GET", "/v1/bills/{id}", MONEY, 200),
    ("GET", "/v1/alarms", ALL, 200),
    ("GET", "/v1/outbox", SYSTEM, 200),
    ("GET", "/v1/events", ALL, 200),
    ("GET", "/v1/accounts", MONEY, 200),
    ("GET", "/v1/accounts/{id}", MONEY, 404),
    ("GET", "/v1/accounts/{id}/trail", MONEY, 200),
    ("GET", "/v1/ledger", MONEY, 200),
    ("GET", "/v1/receipts", MONEY, 200),
    ("GET", "/v1/receipts/{id}", MONEY, 404),
    ("GET", "/v1/arrears", MONEY, 200),
    ("GET", "/v1/figures", MONEY, 200),
    ("GET", "/v1/consumption", MONEY, 200),
    ("GET", "/v1/export/{id}", MONEY, 200),
    ("GET", "/v1/days", MONEY, 200),
    ("GET", "/v1/cash-counts", MONEY, 200),
    ("GET", "/v1/reconciliations", MONEY, 200),
    ("GET", "/v1/settlements", MONEY, 200),
    ("GET", "/v1/corrections", MONEY, 200),
    ("GET", "/v1/rules", MONEY, 200),
    ("POST", "/v1/preview", MONEY, 400),
    ("POST", "/v1/commands", SPOT, 200),
    ("POST", "/v1/payment-status", ALL, 200),
    ("POST", "/v1/cameras/{camera}/{vendor}", &[Operator], 200),
    ("GET", "/v1/lanes", ALL, 200),
    ("GET", "/v1/lanes/{id}", ALL, 200),
    ("GET", "/v1/doors", ALL, 200),
    ("GET", "/v1/doors/{id}", ALL, 200),
    ("GET", "/v1/doors/{id}/who-may", ALL, 200),
    ("POST", "/v1/doors/{id}/open", SPOT, 200),
    ("GET", "/v1/controllers", ALL, 200),
    ("GET", "/v1/door-events", ALL, 200),
    ("GET", "/v1/stays", ALL, 404),
    ("GET", "/v1/areas", ALL, 404),
    ("GET", "/v1/unresolved", ALL, 404),
    ("GET", "/v1/scans", ALL, 200),
    ("POST", "/v1/scans", LINES, 400),
    ("GET", "/v1/scans/{id}", ALL, 404),
    ("POST", "/v1/scans/{id}/cancel", LINES, 404),
];

fn operations() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(answer::OPENAPI).unwrap();
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        // Says that the process lives, to whoever asks.
        if path != "/healthz" {
            let methods = operations.as_object().unwrap().keys();
            all.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
        }
    }
    all
}

#[tokio::test]
async fn each_role_gets_of_each_operation_what_the_table_says() {
    let house = house(true).await;
    let documented: BTreeSet<(String, String)> = operations().into_iter().collect();
    let rows: BTreeSet<(String, String)> =
        MATRIX.iter().map(|(m, p, ..)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(documented, rows, "each operation has its row, each row its operation");
    assert_eq!(rows.len(), MATRIX.len());
    let mut people = Vec::new();
    for (n, role) in ALL.iter().enumerate() {
        people.push((*role, person_of(&house, &format!("user-{n}"), *role).await));
    }
    assert_eq!(ALL.len(), Role::ALL.len());
    // A stream has no end of its own.
    house.stop.cancel();
    for (n, (method, path, who, status)) in MATRIX.iter().enumerate() {
        let template = path.replace("{id}", "{}").replace("{camera}/{vendor}", "{}/{}");
        let request = |key: String| {
            let request = ask(method, &filled(&template)).header("sec-fetch-site", "same-origin");
            let json = |body: &'static str| {
                ask(method, &filled(&template))
                    .header("sec-fetch-site", "same-origin")
                    .header("content-type", "application/json")
                    .body(body)
            };
            let request = match *path {
                "/v1/payment-status" => json(r#"{"lane":"m-0101","plate":"粤B12345"}"#),
                "/v1/doors/{id}/open" => json(r#"{"reason":"forgot the card"}"#),
                "/v1/cameras/{camera}/{vendor}" => json(r#"{"serialno":"x"}"#),
                _ if *method == "POST" => with_command(request),
                _ => request,
            };
            request.header("idempotency-key", key)
        };
        for (role, (cookie, csrf)) in &people {
            let request = request(format!("{n}-{}", role.text()))
                .header("cookie", format!("session={cookie}"))
                .header("x-csrf-token", csrf);
            let want = if who.contains(role) { *status } else { 403 };
            assert_eq!(house.status(request).await, want, "{role:?}: {method} {path}");
        }
        assert_eq!(house.status(request(format!("{n}-nobody"))).await, 401, "{method} {path}");
    }
}

/// The paths that a source's `["meters", id, "read"] => Self::…` take, as templates.
fn patterns(source: &str, of: &str) -> BTreeSet<String> {
    let (_, body) = source.split_once(&format!("pub(in crate::http) enum {of} ")).unwrap();
    let (_, body) = body.split_once("Some(match words.as_slice() {").unwrap();
    let (body, _) = body.split_once("_ => return None").unwrap();
    let mut all = BTreeSet::new();
    for line in body.lines().filter_map(|line| line.trim().strip_prefix('[')) {
        let words = line.split(']').next().unwrap().split(", ");
        let one = |word: &str| match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
            Some(word) => word.to_owned(),
            None => "{}".to_owned(),
        };
        all.insert(format!("/{}", words.map(one).collect::<Vec<_>>().join("/")));
    }
    all
}

#[test]
fn the_list_of_routes_has_every_screen_and_every_form() {
    let source = include_str!("../page/screens.rs");
    for (of, method) in [("Screen", "GET"), ("Act", "POST")] {
        let all = patterns(source, of);
        assert!(all.len() > 40, "{all:?}");
        let listed: BTreeSet<String> = ROUTES
            .iter()
            .filter(|(m, t, _)| *m == method && all.contains(*t))
            .map(|(_, t, _)| (*t).to_owned())
            .collect();
        let missing: Vec<&String> = all.difference(&listed).collect();
        assert!(missing.is_empty(), "{method} {missing:?} are not in ROUTES, so no test asks them");
    }
    let mut once = BTreeSet::new();
    for (method, template, _) in ROUTES {
        assert!(once.insert((method, template)), "{method} {template} stands twice");
    }
}
