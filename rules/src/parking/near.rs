//! Plates that a camera may have taken for one another.

use blockgate_types::Plate;

/// How a plate differs from another one, the likelier misreading first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Near {
    /// One character is one that looks alike: `8` and `B`.
    Confusable,
    /// The province's character is another one, or is missing.
    Province,
    /// One character is missing or too many.
    Missing,
    /// One character is another one that does not look alike.
    Substituted,
}

impl Near {
    /// Whether a stay is matched by it without asking: what does not look alike may be another car.
    #[must_use]
    pub fn is_likely(self) -> bool {
        match self {
            Self::Confusable | Self::Province | Self::Missing => true,
            Self::Substituted => false,
        }
    }
}

/// Characters that cameras take for one another.
const ALIKE: [&str; 10] =
    ["0ODQC", "1ILT7", "2Z7", "5S6", "8B3", "6G8", "UV", "MNH", "4A", "京亰津"];

fn alike(a: char, b: char) -> bool {
    ALIKE.iter().any(|group| group.contains(a) && group.contains(b))
}

/// How `read` differs from `known`; `None` for the same plate and for plates that differ by more than one
/// character.
#[must_use]
pub fn near(read: &Plate, known: &Plate) -> Option<Near> {
    let (a, b): (Vec<char>, Vec<char>) =
        (read.text().chars().collect(), known.text().chars().collect());
    if a.len() == b.len() {
        let mut different = a.iter().zip(&b).enumerate().filter(|(_, (x, y))| x != y);
        let (place, (x, y)) = different.next()?;
        if different.next().is_some() {
            return None;
        }
        return Some(if place == 0 && !x.is_ascii() {
            Near::Province
        } else if alike(*x, *y) {
            Near::Confusable
        } else {
            Near::Substituted
        });
    }
    let (longer, shorter) = if a.len() > b.len() { (&a, &b) } else { (&b, &a) };
    if longer.len() != shorter.len().saturating_add(1) {
        return None;
    }
    let same = longer.iter().zip(shorter.iter()).take_while(|(x, y)| x == y).count();
    let rest = longer.get(same.saturating_add(1)..)?;
    (rest == shorter.get(same..)?).then_some(if same == 0 { Near::Province } else { Near::Missing })
}

/// The plates of `known` that are nearest to `read`, all of one kind of nearness.
pub fn nearest<'p, T>(
    read: &Plate,
    known: impl Iterator<Item = (&'p Plate, T)>,
) -> (Option<Near>, Vec<T>) {
    let mut best: (Option<Near>, Vec<T>) = (None, Vec::new());
    for (plate, what) in known {
        let Some(how) = near(read, plate) else { continue };
        match best.0 {
            Some(before) if before < how => {}
            Some(before) if before == how => best.1.push(what),
            Some(_) | None => best = (Some(how), vec![what]),
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misread_plates_are_near_and_others_are_not() {
        let plate = |text: &str| Plate::new(text).unwrap();
        for (read, known, how) in [
            ("粤B12345", "粤B12345", None),
            ("粤B12B45", "粤B12845", Some(Near::Confusable)),
            ("粤BO2345", "粤B02345", Some(Near::Confusable)),
            ("奥B12345", "粤B12345", Some(Near::Province)),
            ("B12345", "粤B12345", Some(Near::Province)),
            ("粤B1245", "粤B12345", Some(Near::Missing)),
            ("粤BD12345", "粤B12345", Some(Near::Missing)),
            ("粤B12945", "粤B12345", Some(Near::Substituted)),
            ("粤B12954", "粤B12345", None),
            ("京A00001", "粤B12345", None),
        ] {
            assert_eq!(near(&plate(read), &plate(known)), how, "{read} {known}");
        }
    }

    #[test]
    fn nearness_is_mutual() {
        let plates: Vec<Plate> =
            ["粤B12345", "粤B1245", "粤B12B45", "B12345", "沪B12345", "粤B92345"]
                .iter()
                .map(|text| Plate::new(text).unwrap())
                .collect();
        for a in &plates {
            for b in &plates {
                assert_eq!(near(a, b), near(b, a), "{a:?} {b:?}");
            }
        }
    }
}
