//! Reads the components of a metered price: what rides on one reading (switch 11). A component has a
//! price in each of the tariff's tiers, or tiers of its own:
//!
//! ```toml
//! components = [
//!   { name = "water", label = { zh = "水费", en = "water" }, factor = "1" },
//!   { name = "sewage", label = { zh = "污水处理费", en = "sewage" }, factor = "0.9", bounds_on = "metered", free = "12", price = "2.92" },
//! ]
//! ```
//!
//! | key | what |
//! |---|---|
//! | `factor` | the share of the metered quantity that is charged for |
//! | `tiers` | its own: `[ { up_to = "12", price = "0" }, { price = "2.92" } ]` |
//! | `free`, `price` | the same in short: nothing for the first `free` of a tier period, then one price |
//! | `bounds_on` | which quantity own bounds are of: `metered`, or `charged` (× `factor`); needed where the factor is not 1 |
//! | `household_quota` | of the own bounds, like the tariff's, or `"none"`; needed where the tariff has one |

use super::parse::{ONE_PRICE, household_quota, name, not_negative, required_amount, stepped};
use super::read::{Faults, Table};
use super::{BoundsOn, Component, OwnTier, OwnTiers};
use blockgate_types::Decimal;

/// Names of what has a price.
pub(super) struct Names<'a> {
    /// Those with a price in each of the tariff's tiers.
    pub(super) priced: Vec<&'a str>,
    /// Components with tiers of their own.
    pub(super) own: Vec<&'a str>,
}

impl<'a> Names<'a> {
    pub(super) fn of(components: &'a [Component]) -> Self {
        let (own, priced) = components.iter().partition::<Vec<_>, _>(|c| c.own.is_some());
        let name = |component: &'a Component| component.name.as_str();
        Self {
            priced: priced.into_iter().map(name).collect(),
            own: own.into_iter().map(name).collect(),
        }
    }

    /// Whether there is one price without a name.
    pub(super) fn is_one(&self) -> bool {
        self.priced == [ONE_PRICE]
    }
}

/// The components of a price; `has_period` where its kind counts quantities over a tier period.
pub(super) fn components(
    table: &Table<'_, '_>,
    has_period: bool,
    faults: &mut Faults<'_>,
) -> Vec<Component> {
    const LIKE: &str = "[ { name = \"sewage\", label = { … }, factor = \"1\" } ]";
    let mut components: Vec<Component> = Vec::new();
    for entry in table.tables("components", LIKE, faults) {
        entry.only(
            &["name", "label", "factor", "tiers", "free", "price", "bounds_on", "household_quota"],
            faults,
        );
        let name = name(&entry, faults);
        let label = entry.label("label", faults);
        let factor = required_amount(&entry, "factor", faults);
        let own = own_tiers(&entry, factor, (has_period, table.has("household_quota")), faults);
        // With a fault in them no file is taken; the tariff's tiers need no price for it all the same.
        let faulty = own.is_none() && (entry.has("tiers") || entry.has("free"));
        let (bounds_on, tiers, quota_shift) = (BoundsOn::Metered, Vec::new(), Vec::new());
        let own = own.or_else(|| faulty.then_some(OwnTiers { bounds_on, tiers, quota_shift }));
        if let (Some(name), Some(label), Some(factor)) = (name, label, factor) {
            if components.iter().any(|known| known.name == name) {
                faults.at(&entry.place_of("name"), format!("there are two \"{name}\""));
            }
            components.push(Component { name, label, factor, own: own.map(Box::new) });
        }
    }
    if components.is_empty() {
        faults.at(&table.place_of("components"), "there is no component");
    } else if components.iter().all(|component| component.own.is_some()) {
        let message = "every component has tiers of its own: give one the tariff's tiers";
        faults.at(&table.place_of("components"), message);
    }
    components
}

/// The own tiers of a component, where it has some.
fn own_tiers(
    entry: &Table<'_, '_>,
    factor: Option<Decimal>,
    (has_period, shifts): (bool, bool),
    faults: &mut Faults<'_>,
) -> Option<OwnTiers> {
    let (has_tiers, has_free) = (entry.has("tiers"), entry.has("free"));
    if !has_tiers && !has_free {
        for key in ["price", "bounds_on", "household_quota"].iter().filter(|key| entry.has(key)) {
            let message = format!("\"{key}\" goes with \"tiers\" or \"free\" of a component");
            faults.at(&entry.place_of(key), message);
        }
        return None;
    }
    let key = if has_free { "free" } else { "tiers" };
    if !has_period {
        let message = format!("\"{key}\" of a component needs a tier period: kind \"graduated\"");
        faults.at(&entry.place_of(key), message);
        return None;
    }
    if has_free && has_tiers {
        let message = "\"free\" is short for a first tier at 0: give \"tiers\" or \"free\"";
        faults.at(&entry.place_of("free"), message);
        return None;
    }
    let tiers = if has_free { free_part(entry, faults) } else { listed(entry, faults) };
    let words = [("metered", BoundsOn::Metered), ("charged", BoundsOn::Charged)];
    let is_one = factor.is_none_or(|factor| factor == Decimal::ONE);
    let bounds_on = match (is_one, entry.has("bounds_on")) {
        (true, false) => Some(BoundsOn::Metered),
        // What is charged for is what was metered: the word says nothing, and is not wrong.
        (true, true) => {
            entry.choice("bounds_on", &words, faults).map(|_: BoundsOn| BoundsOn::Metered)
        }
        (false, _) => entry.choice("bounds_on", &words, faults),
    };
    let bounds: Vec<Decimal> = tiers.iter().flatten().filter_map(|tier| tier.up_to).collect();
    let quota_shift = if entry.is_text("household_quota", "none") {
        Vec::new()
    } else if entry.has("household_quota") || shifts {
        household_quota(entry, &bounds, faults)
    } else {
        Vec::new()
    };
    Some(OwnTiers { bounds_on: bounds_on?, tiers: tiers?, quota_shift })
}

/// `free` and the `price` after it.
fn free_part(entry: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Vec<OwnTier>> {
    let free = required_amount(entry, "free", faults);
    if free.is_some_and(|free| free.is_zero()) {
        faults.at(&entry.place_of("free"), "a free part of nothing: leave \"free\" out");
    }
    let price = required_amount(entry, "price", faults)?;
    let first = OwnTier { up_to: Some(free?), price: Decimal::ZERO };
    Some(vec![first, OwnTier { up_to: None, price }])
}

/// `tiers`, each with one price.
fn listed(entry: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Vec<OwnTier>> {
    if entry.has("price") {
        let message = "there are several prices: they stand in \"tiers\"";
        faults.at(&entry.place_of("price"), message);
    }
    stepped(entry, &["up_to", "price"], faults, |tier, up_to, faults| {
        let price = tier.decimal("price", faults)?;
        let price = not_negative(price, &tier.place_of("price"), faults)?;
        Some(OwnTier { up_to, price })
    })
}
