//! When a CronJob is due: the five fields of cron, its short names, and fixed intervals.

use k8s_openapi::jiff::civil::DateTime;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp, ToSpan};

/// Minutes that are looked through for the next time: four years and a leap day, or a date that never comes.
const HORIZON: i64 = (4 * 366) * 24 * 60;

/// Where the search for the last time before another begins, in seconds: at most two times of a schedule of five fields are in it.
const LOOK_BACK: i64 = 120;

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) enum Schedule {
    /// So many seconds after the last time.
    Every(i64),
    /// At certain minutes.
    Fields(Fields),
}

/// The numbers that each field allows, as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both days of the month and of the week are restricted: either will do.
    either_day: bool,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads `minute hour day month weekday`, a name such as `@hourly`, or `@every` with a duration such as `1h30m`. The error says
    /// what is wrong.
    pub(in crate::runtime) fn parse(text: &str) -> Result<Self, String> {
        if let Some(interval) = text.trim().strip_prefix("@every ") {
            return every(interval.trim()).map(Self::Every);
        }
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text => text,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: {text:?}", fields.len()));
        };
        let mut weekdays = field(weekday, 0, 7, &WEEKDAYS, 0)?;
        // Sunday has two numbers.
        if weekdays & 1 << 7 != 0 {
            weekdays |= 1;
        }
        Ok(Self::Fields(Fields {
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 0)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            weekdays,
            either_day: !day.starts_with(['*', '?']) && !weekday.starts_with(['*', '?']),
        }))
    }

    /// The first time after `time`, which was one; `None` where there is none.
    pub(super) fn after(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(seconds) => time.checked_add(SignedDuration::from_secs(*seconds)).ok(),
            Self::Fields(fields) => fields.after(time, zone),
        }
    }

    /// The last time after `time` and not after `now`.
    pub(super) fn last(&self, time: Timestamp, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let fields = match self {
            Self::Every(seconds) => {
                let count = now.as_second().saturating_sub(time.as_second()) / seconds;
                return time.checked_add(SignedDuration::from_secs(count * seconds)).ok().filter(|_| count > 0);
            }
            Self::Fields(fields) => fields,
        };
        // From the end: whoever was away for a week does not walk through all of it.
        let mut back = LOOK_BACK;
        loop {
            let from = now.checked_sub(SignedDuration::from_secs(back)).map_or(time, |from| from.max(time));
            let next = |at: &Timestamp| fields.after(*at, zone).filter(|next| *next <= now);
            if let Some(last) = std::iter::successors(next(&from), next).last() {
                return Some(last);
            }
            if from == time {
                return None;
            }
            back = back.saturating_mul(2);
        }
    }
}

impl Fields {
    fn after(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at = time.to_zoned(zone.clone()).datetime();
        at = at.checked_sub(i64::from(at.second()).seconds()).ok()?;
        at = at.checked_sub(i64::from(at.subsec_nanosecond()).nanoseconds()).ok()?;
        let mut minutes = 0;
        while minutes < HORIZON {
            let step = if self.days_fit(at) { 1 } else { 24 * 60 - i64::from(at.hour()) * 60 - i64::from(at.minute()) };
            at = at.checked_add(step.minutes()).ok()?;
            minutes += step;
            if self.days_fit(at) && self.hours & 1 << at.hour() != 0 && self.minutes & 1 << at.minute() != 0 {
                // An hour that the clock shows twice is passed once.
                let due = at.to_zoned(zone.clone()).ok()?.timestamp();
                if due > time {
                    return Some(due);
                }
            }
        }
        None
    }

    fn days_fit(&self, at: DateTime) -> bool {
        let day = self.days & 1 << at.day() != 0;
        let weekday = self.weekdays & 1 << at.weekday().to_sunday_zero_offset() != 0;
        let days = if self.either_day { day || weekday } else { day && weekday };
        self.months & 1 << at.month() != 0 && days
    }
}

/// A duration of hours, minutes and seconds, in seconds; shorter ones than a second are one.
fn every(text: &str) -> Result<i64, String> {
    let bad = |error: k8s_openapi::jiff::Error| format!("{text:?} is no duration: {error}");
    let duration: SignedDuration = text.parse().map_err(bad)?;
    if duration.is_negative() || duration.is_zero() {
        return Err(format!("{text:?}: an interval is longer than nothing"));
    }
    Ok(duration.as_secs().max(1))
}

/// `*`, `a`, `a-b`, `*/n`, `a-b/n`, and lists of them.
fn field(text: &str, least: u32, most: u32, names: &[&str], first_name: u32) -> Result<u64, String> {
    let bad = || format!("{text:?}: expected numbers from {least} to {most}");
    let number = |word: &str| {
        let lower = word.to_ascii_lowercase();
        let named = names.iter().position(|name| *name == lower).and_then(|at| u32::try_from(at).ok());
        let number = named.map(|at| at + first_name).or_else(|| word.parse().ok());
        number.filter(|number| (least..=most).contains(number)).ok_or_else(bad)
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0).ok_or_else(bad)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(bad());
        }
        for number in (from..=to).step_by(usize::try_from(step).unwrap_or(1)) {
            bits |= 1_u64 << number;
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_that_of_cron() {
        for (schedule, after, expected) in [
            ("*/5 * * * *", "2026-11-23T13:02:30Z", "2026-11-23T13:05:00Z"),
            ("* * * * *", "2026-11-23T13:02:00Z", "2026-11-23T13:03:00Z"),
            ("@hourly", "2026-11-23T13:02:30Z", "2026-11-23T14:00:00Z"),
            ("30 4 1,15 * *", "2026-11-23T13:02:30Z", "2026-12-01T04:30:00Z"),
            ("0 0 * * mon-fri", "2026-11-27T13:00:00Z", "2026-11-30T00:00:00Z"),
            ("0 0 13 * 5", "2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("0 0 29 feb *", "2026-11-23T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("@every 1h30m", "2026-11-23T13:02:30Z", "2026-11-23T14:32:30Z"),
        ] {
            let next = Schedule::parse(schedule).unwrap().after(after.parse().unwrap(), &TimeZone::UTC);
            assert_eq!(next, Some(expected.parse().unwrap()), "{schedule} after {after}");
        }
        let never = Schedule::parse("0 0 31 2 *").unwrap();
        assert_eq!(never.after("2026-11-23T00:00:00Z".parse().unwrap(), &TimeZone::UTC), None);
        for wrong in [
            "",
            "* * * *",
            "60 * * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "x * * * *",
            "@reboot",
            "@every -1s",
            "@every x",
        ] {
            assert!(Schedule::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_many_missed_times_the_last_is_found() {
        let now: Timestamp = "2026-11-23T13:02:30Z".parse().unwrap();
        for (schedule, since, expected) in [
            ("* * * * *", "2020-01-01T00:00:00Z", Some("2026-11-23T13:02:00Z")),
            ("* * * * *", "2026-11-23T13:02:00Z", None),
            ("*/5 * * * *", "2026-11-16T00:00:00Z", Some("2026-11-23T13:00:00Z")),
            ("0 3 * * *", "2026-11-01T00:00:00Z", Some("2026-11-23T03:00:00Z")),
            ("0 3 * * *", "2026-11-23T03:00:00Z", None),
            ("0 0 29 feb *", "2023-01-01T00:00:00Z", Some("2024-02-29T00:00:00Z")),
            ("@every 1h", "2026-11-23T10:30:00Z", Some("2026-11-23T12:30:00Z")),
            ("@every 1h", "2026-11-23T12:30:00Z", None),
        ] {
            let last = Schedule::parse(schedule).unwrap().last(since.parse().unwrap(), now, &TimeZone::UTC);
            assert_eq!(last, expected.map(|time| time.parse().unwrap()), "{schedule} since {since}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_is_passed_once() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let minutes = Schedule::parse("*/30 * * * *").unwrap();
        let times =
            std::iter::successors(Some("2026-10-24T23:45:00Z".parse().unwrap()), |at| minutes.after(*at, &zone));
        let times: Vec<String> = times.skip(1).take(4).map(|time| time.to_string()).collect();
        let expected = ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"];
        assert_eq!(times, expected);
        let second = "2026-10-25T01:10:00Z".parse().unwrap();
        assert_eq!(minutes.after(second, &zone), Some("2026-10-25T02:00:00Z".parse().unwrap()));
    }
}
