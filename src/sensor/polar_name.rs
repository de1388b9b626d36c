//! The name that a Polar device advertises: `Polar <model> <id>`, where the model may hold spaces.
//!
//! The id is what is printed on the strap and what people type. (Polar BLE SDK, `PolarAdvDataUtility`,
//! `BlePolarDeviceIdUtility` and their tests.)

use crate::reading::StrapId;

/// Model and id out of an advertised name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolarName {
    /// Such as `H10` or `Loop Gen 2`.
    pub model: String,
    /// As printed on the device.
    pub id: StrapId,
}

/// Reads an advertised name; `None` when it is not of Polar's form (which is no error).
pub fn parse(name: &str) -> Option<PolarName> {
    let rest = name.trim().strip_prefix("Polar ")?;
    let (model, id) = rest.rsplit_once(' ')?;
    let model = model.trim();
    if model.is_empty() {
        return None;
    }
    Some(PolarName { model: model.to_owned(), id: StrapId::new(id).ok()? })
}

/// What the check digit of a typed id says. Only a warning: straps of the H7 generation do not follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDigit {
    /// Eight hex digits, and the last fits the others.
    Fits,
    /// Eight hex digits, and the last does not fit: probably mistyped.
    Differs,
    /// Not eight hex digits: nothing to check.
    NotApplicable,
}

/// Checks the last of eight hex digits c1…c8: (3·(c1+c3+c5+c7) + c2+c4+c6) mod 16 = c8.
pub fn check_digit(id: &StrapId) -> CheckDigit {
    let digits: Option<Vec<u32>> = id.as_str().chars().map(|c| c.to_digit(16)).collect();
    let Some([c1, c2, c3, c4, c5, c6, c7, c8]) = digits.as_deref() else {
        return CheckDigit::NotApplicable;
    };
    let expected = (3 * (c1 + c3 + c5 + c7) + c2 + c4 + c6) % 16;
    if expected == *c8 { CheckDigit::Fits } else { CheckDigit::Differs }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Option<(String, String)> {
        parse(name).map(|polar| (polar.model, polar.id.to_string()))
    }

    #[test]
    fn the_last_word_is_the_id_and_what_is_between_is_the_model() {
        let some = |model: &str, id: &str| Some((model.to_owned(), id.to_owned()));
        assert_eq!(parsed("Polar H10 9F6E5322"), some("H10", "9F6E5322"));
        assert_eq!(parsed("Polar GritX Pro aa123459"), some("GritX Pro", "AA123459"));
        assert_eq!(parsed("Polar Loop Gen 2 AABBCCDD"), some("Loop Gen 2", "AABBCCDD"));
        for other in ["Polar", "Polar H10", "Polar ", "ABC EDE aa123459", "", "Polar H10 a/b"] {
            assert_eq!(parsed(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_check_digit_warns_of_a_mistyped_id() {
        let check = |id| check_digit(&StrapId::new(id).unwrap());
        assert_eq!(check("9F6E5322"), CheckDigit::Fits);
        assert_eq!(check("9F6E5323"), CheckDigit::Differs);
        assert_eq!(check("F64D7353496E"), CheckDigit::NotApplicable);
        assert_eq!(check("CBS12345"), CheckDigit::NotApplicable);
    }
}
