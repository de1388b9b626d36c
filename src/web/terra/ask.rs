//! What is asked for: the parameters of a request, each checked. Pure.

use axum::http::Uri;
use jiff::civil::Date;
use url::form_urlencoded;
use uuid::Uuid;

use super::problem::Problem;
use crate::activity::UnixMs;
use crate::archive::Archive;
use crate::athlete::AthleteId;

/// Longest time that can be asked for at once, in days: without samples, and with them.
const DAYS_MAX: i64 = 366;
const DAYS_WITH_SAMPLES_MAX: i64 = 31;

/// Results on a page, when not given, and at most.
const PER_PAGE: usize = 500;
const PER_PAGE_MAX: usize = 1000;

/// The parameters of a request. Those that nobody knows are passed over, as Terra does.
pub(super) struct Parameters(Vec<(String, String)>);

/// Where what is asked for goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// Into the answer.
    Answer,
    /// To the destinations.
    Webhook,
}

/// Whether samples and beats are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Samples {
    Wanted,
    Not,
}

/// A range of time, and the local dates that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: UnixMs,
    /// Not of it any more.
    pub(super) to: UnixMs,
    pub(super) first: Date,
    pub(super) last: Date,
}

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// From 0.
    pub(super) number: usize,
    pub(super) size: usize,
}

impl Range {
    /// Of one moment.
    pub(super) fn at(now: UnixMs, archive: &Archive) -> Self {
        let date = archive.date(now);
        Self { from: now, to: now, first: date, last: date }
    }
}

impl Parameters {
    pub(super) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        Self(form_urlencoded::parse(query).into_owned().collect())
    }

    /// The text of a parameter; none if it is not there, or empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut found = self.0.iter().filter(|(given, _)| given == name);
        let value = found.next().map(|(_, value)| value.as_str());
        if found.next().is_some() {
            return Err(Problem::bad(format!("{name} is given more than once")));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// `user_id`, which has to be there.
    pub(super) fn user(&self) -> Result<AthleteId, Problem> {
        let text = self.text("user_id")?;
        user(text.ok_or_else(|| Problem::bad("user_id is missing"))?)
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Problem::bad(format!("invalid {name}: true or false"))),
        }
    }

    /// `to_webhook`, which is true when not given.
    pub(super) fn to(&self) -> Result<To, Problem> {
        let to_webhook = self.flag("to_webhook")?.unwrap_or(true);
        Ok(if to_webhook { To::Webhook } else { To::Answer })
    }

    /// `with_samples`, which is false when not given.
    pub(super) fn samples(&self) -> Result<Samples, Problem> {
        let with_samples = self.flag("with_samples")?.unwrap_or(false);
        Ok(if with_samples { Samples::Wanted } else { Samples::Not })
    }

    /// `start_date` and `end_date`: dates of the box's time zone, the last one included, or seconds since 1970, the last one
    /// not. Without `end_date` until now.
    pub(super) fn range(
        &self,
        archive: &Archive,
        now: UnixMs,
        samples: Samples,
    ) -> Result<Range, Problem> {
        let start =
            self.text("start_date")?.ok_or_else(|| Problem::bad("start_date is missing"))?;
        let start = moment("start_date", start)?;
        let end = self.text("end_date")?.map(|end| moment("end_date", end)).transpose()?;
        let day = |name, date| {
            archive.day(date).ok_or_else(|| Problem::bad(format!("invalid {name}: out of range")))
        };
        let from = match start {
            Moment::Date(date) => day("start_date", date)?.start(),
            Moment::At(at) => at,
        };
        let (to, ends_in_time) = match end {
            Some(Moment::Date(date)) => {
                let end = day("end_date", date)?.end();
                (end, end > from)
            }
            Some(Moment::At(at)) => (at, at >= from),
            None => (now, now >= from),
        };
        if !ends_in_time {
            let when = if end.is_some() { "" } else { ", which is now when it is not given" };
            return Err(Problem::bad(format!("start_date is later than end_date{when}")));
        }
        let most = match samples {
            Samples::Wanted => DAYS_WITH_SAMPLES_MAX,
            Samples::Not => DAYS_MAX,
        };
        let (first, last) = (archive.date(from), archive.date(to.plus_ms(-1).max(from)));
        let days = last.duration_since(first).as_hours() / 24 + 1;
        if days > most {
            let more = match samples {
                Samples::Wanted => format!(", {DAYS_MAX} without samples"),
                Samples::Not => String::new(),
            };
            return Err(Problem::bad(format!(
                "{days} days at once; {most} are allowed{more}: ask for one part after the other"
            )));
        }
        Ok(Range { from, to, first, last })
    }

    /// `page` and `per_page`; none if all is wanted.
    pub(super) fn page(&self) -> Result<Option<Page>, Problem> {
        let number = |name: &str| match self.text(name)? {
            None => Ok(None),
            Some(text) => {
                let parsed = text.parse::<usize>().map(Some);
                parsed.map_err(|_| Problem::bad(format!("invalid {name}: a whole number from 0")))
            }
        };
        let size = number("per_page")?.unwrap_or(PER_PAGE);
        if !(1..=PER_PAGE_MAX).contains(&size) {
            return Err(Problem::bad(format!("invalid per_page: from 1 to {PER_PAGE_MAX}")));
        }
        Ok(number("page")?.map(|number| Page { number, size }))
    }
}

/// The id of a user.
pub(super) fn user(text: &str) -> Result<AthleteId, Problem> {
    let id = Uuid::try_parse(text).map_err(|_| Problem::bad("invalid user_id: a UUID"))?;
    Ok(AthleteId(id))
}

/// What a date may be given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Date(Date),
    At(UnixMs),
}

fn moment(name: &str, text: &str) -> Result<Moment, Problem> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_seconds = text.len() == 10 && digits(text);
    if let Some(seconds) = text.parse().ok().filter(|_| is_seconds) {
        return Ok(Moment::At(UnixMs::from_seconds(seconds)));
    }
    let parts: Vec<&str> = text.split('-').collect();
    let date = match parts[..] {
        [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => {
            let is_plain = [year, month, day].into_iter().all(digits);
            is_plain.then(|| text.parse::<Date>().ok()).flatten()
        }
        _ => None,
    };
    let rule = "YYYY-MM-DD, or seconds since 1970 in 10 digits";
    date.map(Moment::Date).ok_or_else(|| Problem::bad(format!("invalid {name}: {rule}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::of(&format!("/v2/activity?{query}").parse().unwrap())
    }

    #[test]
    fn a_date_is_a_date_or_ten_digits_and_nothing_else() {
        let read = |text| moment("start_date", text).ok();
        assert_eq!(read("2026-06-01"), Some(Moment::Date(jiff::civil::date(2026, 6, 1))));
        assert_eq!(read("1780315200"), Some(Moment::At(UnixMs(1_780_315_200_000))));
        for bad in [
            "",
            "0",
            "178031520",
            "17803152000",
            "-178031520",
            "2026-6-1",
            "2026-02-30",
            "2026-06-01T00:00:00Z",
            "20260601",
            "+026-06-01",
            "yesterday",
            "１780315200",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn flags_have_terras_defaults_and_are_true_or_false() {
        let none = parameters("");
        assert_eq!((none.to(), none.samples()), (Ok(To::Webhook), Ok(Samples::Not)));
        let both = parameters("to_webhook=False&with_samples=true");
        assert_eq!((both.to(), both.samples()), (Ok(To::Answer), Ok(Samples::Wanted)));
        for bad in ["to_webhook=0", "to_webhook=no", "to_webhook=true&to_webhook=true"] {
            assert!(parameters(bad).to().is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_are_counted_from_zero_and_bounded() {
        let page = |query| parameters(query).page().map_err(|problem| problem.detail);
        assert_eq!(page("per_page=3"), Ok(None), "without a page everybody is wanted");
        assert_eq!(page("page=0"), Ok(Some(Page { number: 0, size: 500 })));
        assert_eq!(page("page=2&per_page=7"), Ok(Some(Page { number: 2, size: 7 })));
        for bad in ["page=-1", "page=x", "page=0&per_page=0", "per_page=1001"] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }
}
