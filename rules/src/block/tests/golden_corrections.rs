//! The golden corrections: price changes, meter errors, prepaid money, credits.

use super::correcting::{billed, bills, by_month, correct, correction, tiers, year};
use super::*;
use crate::calendar::parse_day;
use crate::correction::What;
use crate::event::Bill;
use crate::ledger::{Channel, Ledger, Movement, Paid, Toward};
use serde_json::Value;

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number(value: &Value) -> Decimal {
    d(&text(value))
}

/// A price per unit, and another one from a day on.
fn priced(old: &str, new: Option<(&str, &str)>) -> Tariff {
    let mut tariff = tiers(Tiering::Single, "1");
    let at = |revision: &mut Revision, price: &str| {
        let Pricing::Metered(metered) = &mut revision.pricing else { panic!() };
        metered.tiers.truncate(1);
        metered.tiers[0].up_to = None;
        metered.tiers[0].prices = BTreeMap::from([("charge".into(), d(price))]);
    };
    tariff.revisions[0].change_inside_period = PriceChange::ByDays;
    at(&mut tariff.revisions[0], old);
    if let Some((price, from)) = new {
        let mut second = tariff.revisions[0].clone();
        second.from = parse_day(from).unwrap();
        at(&mut second, price);
        tariff.revisions.push(second);
    }
    tariff
}

/// A bill of an item, as far as the ledger looks at it.
fn bill(fen: Fen) -> Bill {
    serde_json::from_value(serde_json::json!({
        "bill": "bill-1", "account": "a-1", "item": "x",
        "period": { "from": "2026-02-01", "to": "2026-03-01", "zone": "Asia/Shanghai" },
        "tariff": "t", "tariff_revision": "r", "revision": 0, "currency": "CNY",
        "lines": [], "total_fen": fen, "issued_at": "2026-03-01T00:00:00Z",
    }))
    .unwrap()
}

fn pay(ledger: &mut Ledger, amount_fen: Fen) {
    let paid = Paid {
        payment: CommandId::new("p-1").unwrap(),
        amount_fen,
        channel: Channel::Cash,
        reference: String::new(),
        payer: None,
        toward: Toward::Prepaid,
        pending: false,
        receipt: ledger.next_receipt(),
        change_fen: None,
        paid_on: None,
    };
    ledger.apply(&AccountId::new("a-1").unwrap(), &Movement::Paid(paid));
}

fn fen(value: &Value) -> Fen {
    Fen::round(number(value)).unwrap()
}

/// Bills of whole months by the old price, then the new one from its day on.
fn late_price(input: &Value, want: &Value) {
    let (old, new) = (text(&input["old"]), text(&input["new"]));
    let effective = text(&input["effective"]);
    let months = input["bills"].as_array().unwrap();
    // January is not in the vector: nothing is used in it.
    let mut readings = vec![d("0"), d("0")];
    for month in months {
        readings.push(*readings.last().unwrap() + number(&month["qty"]));
    }
    let readings: Vec<String> = readings.iter().map(ToString::to_string).collect();
    let readings: Vec<&str> = readings.iter().map(String::as_str).collect();
    let mut world = year(priced(&old, None), &readings);
    let before = billed(&world);
    let mut setup = world.block.setup().clone();
    let tariff = TariffId::new("tiered").unwrap();
    setup.tariffs.insert(tariff.clone(), priced(&old, Some((&new, &effective))));
    world.setup("2026-12-01T00:00:00+08:00", &setup);
    correct(&mut world, "c-1", &correction(What::Tariff { tariff }));
    let after = billed(&world);
    let mut total = 0;
    for month in months {
        let key = format!("a-1 electricity {}-01", text(&month["period"]));
        let delta = after[&key] - before[&key];
        assert_eq!(Fen(delta), fen(&want["delta"][text(&month["id"])]), "{key}");
        total += delta;
    }
    assert_eq!(Fen(total), fen(&want["total"]));
}

#[test]
fn every_golden_correction_gives_its_amount() {
    let cases: Value =
        serde_json::from_str(include_str!("../../../tests/golden/corrections_meter.json")).unwrap();
    let mut seen = 0;
    for case in cases.as_array().unwrap() {
        let (input, want) = (&case["input"], &case["expected"]);
        match case["kind"].as_str().unwrap() {
            "rate_change" if input["bills"].is_array() => late_price(input, want),
            "rate_change" => {
                // A month of 30 days: April.
                let (old, new) = (text(&input["old"]), text(&input["new"]));
                let first = 1 + input["days_old"].as_i64().unwrap();
                assert_eq!(first - 1 + input["days_new"].as_i64().unwrap(), 30);
                let from = format!("2026-04-{first:02}");
                let readings = ["0", "0", "0", "0", &text(&input["qty"])];
                let world = year(priced(&old, Some((&new, &from))), &readings);
                let april = billed(&world)["a-1 electricity 2026-04-01"];
                assert_eq!(Fen(april), fen(&want["amount"]));
            }
            "meter_error" => {
                let metered = text(&input["metered_since_check"]);
                let mut world = year(by_month("1000000"), &["0", &metered]);
                assert_eq!(input["share_of_period"], "1/2");
                let error = d("100") + number(&input["error_percent"]);
                correct(
                    &mut world,
                    "c-1",
                    &correction(What::Quantity {
                        meter: MeterId::new("m-1").unwrap(),
                        register: RegisterName::new("energy_import").unwrap(),
                        times: d("100"),
                        over: error,
                        part: d("0.5"),
                    }),
                );
                let right = bills(&world).pop().unwrap().evidence[0].used;
                let refund = d(&metered) - right;
                assert_eq!(refund.round_dp(5), number(&want["refund_qty_rounded"]));
            }
            "prepayment" => {
                let mut ledger = Ledger::default();
                pay(&mut ledger, fen(&input["balance"]));
                let account = AccountId::new("a-1").unwrap();
                let mut owed = Fen::ZERO;
                for (n, amount) in input["bills"].as_array().unwrap().iter().enumerate() {
                    let before = ledger.standing(&account);
                    ledger.bill(&bill(fen(amount)), None);
                    let after = ledger.standing(&account);
                    let applied = before.prepaid_fen.0 - after.prepaid_fen.0;
                    assert_eq!(Fen(applied), fen(&want["applied"][n]));
                    assert_eq!(Fen(after.owed_fen.0 - owed.0), fen(&want["still_due"][n]));
                    owed = after.owed_fen;
                }
                assert_eq!(ledger.standing(&account).prepaid_fen, fen(&want["balance"]));
                assert_eq!(ledger.trial_balance(), 0);
            }
            "difference_bill" => {
                let mut ledger = Ledger::default();
                ledger.bill(&bill(fen(&input["billed"])), None);
                pay(&mut ledger, fen(&input["paid"]));
                let difference = Fen(fen(&input["corrected"]).0 - fen(&input["billed"]).0);
                assert_eq!(difference, fen(&want["credit_note"]));
                ledger.bill(&bill(difference), None);
                let standing = ledger.standing(&AccountId::new("a-1").unwrap());
                assert_eq!(standing.prepaid_fen, fen(&want["refund_or_credit"]));
            }
            // `the_golden_meter_events_come_out_as_printed`
            "rollover" | "multiplier" | "meter_replacement" => continue,
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
}
