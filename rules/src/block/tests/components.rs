//! Components with tiers of their own in the Block: one counter, and everything that follows bills.

use super::correcting::{bills, correct, correction, misread, year};
use super::*;
use crate::correction::What;
use crate::event::Bill;

/// Four months: a price that a bound of 100 doubles, and sewage on nine tenths, free up to 30.
fn water(more: &str, price: &str) -> Tariff {
    let text = format!(
        "[[tariff]]\nid = \"tiered\"\nlabel = {{ zh = \"水\", en = \"w\" }}\ncurrency = \"CNY\"\n\
         notice = \"example\"\n[[tariff.revision]]\nfrom = \"2020-01-01\"\nkind = \"graduated\"\n\
         rounding = \"per_component\"\nchange_inside_period = \"by_days\"\nunit = \"kWh\"\n\
         tier_period = \"4_months\"\ntier_reset = \"01-01\"\npart_quota = \"whole\"\n\
         new_occupant = \"inherit\"\ncomponents = [\n\
         {{ name = \"water\", label = {{ zh = \"水\", en = \"w\" }}, factor = \"1\" }},\n\
         {{ name = \"sewage\", label = {{ zh = \"污\", en = \"s\" }}, factor = \"0.9\", \
         bounds_on = \"metered\", free = \"30\", price = \"{price}\" }},\n]\n\
         tiers = [{{ up_to = \"100\", prices = {{ water = \"1\" }} }}, {{ prices = {{ water = \"2\" }} }}]\n{more}"
    );
    let tariffs = TariffFile::parse(&text, "f").unwrap();
    tariffs.into_iter().next().unwrap().1
}

fn shown_bill(bill: &Bill) -> Vec<String> {
    let line = |line: &crate::event::BillLine| {
        let tier = line.tier.map_or_else(String::new, |tier| tier.to_string());
        let component = line.component.as_deref().unwrap_or_default();
        format!("{component} {tier} {} = {}", line.quantity.normalize(), line.amount_fen)
    };
    bill.lines.iter().map(line).collect()
}

#[test]
fn bills_of_a_tier_period_go_on_in_the_components_tiers_and_the_next_begins_anew() {
    let world = year(water("", "0.5"), &["0", "20", "80", "120", "160", "170"]);
    let lines: Vec<Vec<String>> = bills(&world).iter().map(shown_bill).collect();
    assert_eq!(
        lines,
        [
            vec!["water 1 20 = 20.00", "sewage 1 18 = 0.00"],
            vec!["water 1 60 = 60.00", "sewage 1 9 = 0.00", "sewage 2 45 = 22.50"],
            vec!["water 1 20 = 20.00", "water 2 20 = 40.00", "sewage 2 36 = 18.00"],
            vec!["water 2 40 = 80.00", "sewage 2 36 = 18.00"],
            vec!["water 1 10 = 10.00", "sewage 1 9 = 0.00"],
        ]
    );
}

#[test]
fn a_corrected_reading_moves_the_component_in_the_later_bills_too() {
    let mut world = year(water("", "0.5"), &["0", "20", "80", "120", "160"]);
    let wrong = bills(&world)[0].evidence[0].to.reading;
    correct(&mut world, "c-1", &misread(wrong, "50"));
    let right = year(water("", "0.5"), &["0", "50", "80", "120", "160"]);
    assert_eq!(correcting::billed(&world), correcting::billed(&right));
    let again = correct(&mut world, "c-2", &misread(wrong, "50"));
    assert_eq!(again.last().unwrap(), "outcome Done 0 differences, 0.00");
}

#[test]
fn a_price_of_the_component_changes_by_days_and_is_rated_again_when_it_came_late() {
    // From 16 January (15 of 31 days) the free part is followed by another price.
    let later = water("", "0.5").revisions.remove(0);
    let mut changed = water("", "0.5");
    let mut second = later;
    second.from = crate::calendar::parse_day("2026-01-16").unwrap();
    let Pricing::Metered(metered) = &mut second.pricing else { panic!() };
    let own = metered.components[1].own.as_mut().unwrap();
    own.tiers[1].price = d("1.5");
    changed.revisions.push(second);
    let world = year(changed.clone(), &["0", "62"]);
    // 30 before the change, which is the free part; 32 after it, of which the meter's 0 are free.
    assert_eq!(
        shown_bill(&bills(&world)[0]),
        ["water 1 30 = 30.00", "sewage 1 27 = 0.00", "water 1 32 = 32.00", "sewage 2 28.8 = 43.20"]
    );
    let mut late = year(water("", "0.5"), &["0", "62"]);
    let mut setup = late.block.setup().clone();
    setup.tariffs.insert(TariffId::new("tiered").unwrap(), changed);
    late.setup("2026-02-02T00:00:00+08:00", &setup);
    let tariff = TariffId::new("tiered").unwrap();
    correct(&mut late, "c-1", &correction(What::Tariff { tariff }));
    assert_eq!(correcting::billed(&late), correcting::billed(&world));
}

#[test]
fn a_preview_and_a_discount_price_the_component_by_its_own_tiers() {
    let adjust = "[[tariff.adjust]]\naccounts = [\"a-1\"]\nfrom = \"2020-01-01\"\n\
                  reason = { zh = \"低保\", en = \"low income\" }\ndiscount_percent = \"50\"\n";
    let world = year(water(adjust, "0.5"), &["0", "80"]);
    assert_eq!(
        shown_bill(&bills(&world)[0]),
        ["water 1 80 = 80.00", "sewage 1 27 = 0.00", "sewage 2 45 = 22.50", "  1 = -51.25"]
    );
    let world = year(water("", "0.5"), &["0", "80"]);
    let text = "[[tariff]]\nid = \"tiered\"\nlabel = { zh = \"水\", en = \"w\" }\ncurrency = \"CNY\"\n\
                notice = \"example\"\n[[tariff.revision]]\nfrom = \"2020-01-01\"\nkind = \"graduated\"\n\
                rounding = \"per_component\"\nchange_inside_period = \"by_days\"\nunit = \"kWh\"\n\
                tier_period = \"4_months\"\ntier_reset = \"01-01\"\npart_quota = \"whole\"\n\
                new_occupant = \"inherit\"\ncomponents = [\n\
                { name = \"water\", label = { zh = \"水\", en = \"w\" }, factor = \"1\" },\n\
                { name = \"sewage\", label = { zh = \"污\", en = \"s\" }, factor = \"0.9\", \
                bounds_on = \"charged\", free = \"30\", price = \"1\" },\n]\n\
                tiers = [{ prices = { water = \"1\" } }]\n";
    let zone = Zone::new("Asia/Shanghai").unwrap();
    let day = |text| crate::calendar::parse_day(text).unwrap();
    let preview = crate::preview::preview(
        world.block.setup(),
        &zone,
        ("f", text),
        &bills(&world),
        (day("2026-01-01"), day("2026-02-01")),
        t("2026-02-02T00:00:00+08:00"),
    )
    .unwrap();
    // 72 charged, 30 of them free.
    assert_eq!(preview.was_fen.to_string(), "102.50");
    assert_eq!(preview.now_fen.to_string(), "122.00");
}
