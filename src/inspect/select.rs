//! Which entries are asked for: as the command line says it, and as it travels in a query.

use jiff::Timestamp;

use super::point::Point;
use crate::reading::{EntryId, StrapId};

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Log {
    /// In the log.
    #[default]
    Kept,
    /// In what the far sides refused for good: of one sink, or of all.
    Rejected {
        /// Of this sink only.
        sink: Option<String>,
    },
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Where to look.
    pub log: Log,
    /// From here on.
    pub from: Option<Point>,
    /// Up to, not including, this.
    pub to: Option<Point>,
    /// Of this strap only.
    pub strap: Option<StrapId>,
    /// At most so many.
    pub limit: Option<u64>,
}

/// A parameter that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name:?}: {why}")]
pub struct BadParameter {
    /// Which.
    pub name: String,
    /// Why not.
    pub why: String,
}

impl Selection {
    /// Reads a query. Every parameter is optional, and may be given once.
    ///
    /// # Errors
    /// For the first parameter that cannot be understood.
    pub fn from_query(pairs: &[(String, String)], now: Timestamp) -> Result<Self, BadParameter> {
        let mut selection = Self::default();
        for (n, (name, text)) in pairs.iter().enumerate() {
            let bad = |why: String| BadParameter { name: name.clone(), why };
            if pairs[..n].iter().any(|(before, _)| before == name) {
                return Err(bad("given twice".to_owned()));
            }
            let seq = || text.parse().map(|seq| Point::Place(EntryId(seq)));
            let seq = || seq().map_err(|_| bad(format!("{text:?} is no place in the log")));
            let point = || Point::parse(text, now).map_err(|error| bad(error.to_string()));
            let taken = |there: &Option<Point>| match there {
                Some(_) => Err(bad("a place and a time cannot both be given".to_owned())),
                None => Ok(()),
            };
            match name.as_str() {
                "from_seq" | "from" => {
                    taken(&selection.from)?;
                    selection.from = Some(if name == "from" { point()? } else { seq()? });
                }
                "to_seq" | "to" => {
                    taken(&selection.to)?;
                    selection.to = Some(if name == "to" { point()? } else { seq()? });
                }
                "strap" => {
                    let strap = StrapId::new(text).map_err(|error| bad(error.to_string()))?;
                    selection.strap = Some(strap);
                }
                "limit" => {
                    let limit = text.parse().ok().filter(|&limit| limit > 0);
                    let limit = limit.ok_or_else(|| bad(format!("{text:?} is no count")))?;
                    selection.limit = Some(limit);
                }
                "rejected" => match text.as_str() {
                    // Whose is said by another parameter, which may have come before.
                    "true" if selection.log == Log::Kept => {
                        selection.log = Log::Rejected { sink: None };
                    }
                    "true" | "false" => {}
                    _ => return Err(bad(format!("{text:?} is neither true nor false"))),
                },
                "sink" => selection.log = Log::Rejected { sink: Some(text.clone()) },
                _ => {
                    let known = "from, from_seq, to, to_seq, strap, limit, rejected, sink";
                    return Err(bad(format!("unknown; there are {known}")));
                }
            }
        }
        Ok(selection)
    }

    /// The same as a query.
    pub fn to_query(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.from.map(|from| ("from", from.to_string())));
        pairs.extend(self.to.map(|to| ("to", to.to_string())));
        pairs.extend(self.strap.iter().map(|strap| ("strap", strap.to_string())));
        pairs.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        if let Log::Rejected { sink } = &self.log {
            pairs.push(("rejected", "true".to_owned()));
            pairs.extend(sink.iter().map(|sink| ("sink", sink.clone())));
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_selection_is_the_same_after_it_has_travelled() {
        let strap = StrapId::new("9F6E5322").unwrap();
        for selection in [
            Selection::default(),
            Selection {
                from: Some(Point::Time(1_795_253_410_250_001)),
                to: Some(Point::Place(EntryId(7))),
                strap: Some(strap),
                limit: Some(3),
                ..Selection::default()
            },
            Selection { log: Log::Rejected { sink: None }, ..Selection::default() },
            Selection {
                log: Log::Rejected { sink: Some("club & co".into()) },
                ..Selection::default()
            },
        ] {
            let pairs = selection.to_query();
            let pairs: Vec<_> = pairs.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let again = Selection::from_query(&owned(&pairs), Timestamp::now());
            assert_eq!(again, Ok(selection));
        }
    }

    #[test]
    fn a_parameter_that_cannot_be_understood_is_named() {
        for (pairs, name) in [
            (&[("from", "noon")][..], "from"),
            (&[("from_seq", "-1")], "from_seq"),
            (&[("to", "1"), ("to_seq", "1")], "to"),
            (&[("to", "-1h"), ("to_seq", "1")], "to_seq"),
            (&[("strap", "a b")], "strap"),
            (&[("limit", "0")], "limit"),
            (&[("limit", "1"), ("limit", "2")], "limit"),
            (&[("rejected", "maybe")], "rejected"),
            (&[("form", "x")], "form"),
        ] {
            let error = Selection::from_query(&owned(pairs), Timestamp::now()).unwrap_err();
            assert_eq!(error.name, name, "{error}");
        }
    }
}
