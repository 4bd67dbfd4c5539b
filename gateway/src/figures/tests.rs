//! Sums over bills and movements.

use super::*;

#[test]
fn parking_is_told_by_the_item_and_a_rate_is_never_rounded_up_to_all() {
    assert!(is_parking("parking") && is_parking("overtime-parking") && is_parking("parking-space"));
    assert!(!is_parking("sparking") && !is_parking("park"));
    assert_eq!(permille(Fen(100_000), Fen(1)), Some(999));
    assert_eq!(permille(Fen(100), Fen(0)), Some(1000));
    assert_eq!(permille(Fen(0), Fen(0)), None);
}
