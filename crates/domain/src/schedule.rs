//! `SYNC_SCHEDULE`, read as the Functions host reads it (`docs/specs/functions-host.md`, "6. Schedules and instances"):
//! when the timer is due, in UTC.
//!
//! NCRONTAB with six fields (second, minute, hour, day, month, day of the week) or five (the second is 0), or a
//! `TimeSpan` such as `00:30:00`. Unlike in other dialects of cron, a day must match both day fields, the days of the
//! week are 0 to 6, and `?`, `L`, `W` and `#` are not supported.

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, Time},
    tz::TimeZone,
};

/// Within 40 years February 29 falls on each day of the week.
const DAYS_MAX: usize = 41 * 366;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

/// When the timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cron(Cron),
    /// Counted from the last start.
    Every(SignedDuration),
}

/// The values of each field; none is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cron {
    seconds: Values,
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    weekdays: Values,
}

/// A set of numbers below 64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Values(u64);

/// What the values of a field may be.
struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 6] = [
    Field {
        name: "second",
        min: 0,
        max: 59,
        names: &[],
    },
    Field {
        name: "minute",
        min: 0,
        max: 59,
        names: &[],
    },
    Field {
        name: "hour",
        min: 0,
        max: 23,
        names: &[],
    },
    Field {
        name: "day",
        min: 1,
        max: 31,
        names: &[],
    },
    Field {
        name: "month",
        min: 1,
        max: 12,
        names: &MONTHS,
    },
    Field {
        name: "day of the week",
        min: 0,
        max: 6,
        names: &WEEKDAYS,
    },
];

/// Why the host does not start a timer with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("it has {0} {fields}, not six or five", fields = if *.0 == 1 { "field" } else { "fields" })]
    Fields(usize),
    #[error(
        "the {field} cannot be {text:?}; it is a number from {min} to {max}, a range, a list or a step"
    )]
    Field {
        field: &'static str,
        text: String,
        min: u8,
        max: u8,
    },
    #[error("no day is ever due")]
    NoDay,
    #[error("an interval must be longer than zero")]
    NoInterval,
}

impl Schedule {
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
        if matches!(fields.len(), 5 | 6) {
            return Cron::parse(&fields).map(|cron| Self(Kind::Cron(cron)));
        }
        match time_span(text.trim()) {
            Some(span) if span.is_positive() => Ok(Self(Kind::Every(span))),
            Some(_) => Err(ScheduleError::NoInterval),
            None => Err(ScheduleError::Fields(fields.len())),
        }
    }

    /// The first time after `time`.
    pub fn next(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Cron(cron) => cron.next(time),
            Kind::Every(span) => time.checked_add(*span).ok(),
        }
    }

    /// The next `count` times after `time`.
    pub fn upcoming(&self, time: Timestamp, count: usize) -> Vec<Timestamp> {
        let first = self.next(time);
        std::iter::successors(first, |time| self.next(*time))
            .take(count)
            .collect()
    }

    /// The time from the last occurrence at or before `time` to the next one.
    pub fn interval_at(&self, time: Timestamp) -> Option<SignedDuration> {
        match &self.0 {
            Kind::Cron(cron) => Some(cron.next(time)?.duration_since(cron.last(time)?)),
            Kind::Every(span) => Some(*span),
        }
    }

    /// The interval of a `TimeSpan`, which needs an App Service plan.
    pub fn interval(&self) -> Option<SignedDuration> {
        match self.0 {
            Kind::Cron(_) => None,
            Kind::Every(span) => Some(span),
        }
    }
}

impl Cron {
    fn parse(fields: &[&str]) -> Result<Self, ScheduleError> {
        let mut values = [Values(1); 6];
        let skipped = FIELDS.len() - fields.len();
        for (at, text) in fields.iter().enumerate() {
            let field = &FIELDS[at + skipped];
            values[at + skipped] = field.parse(text)?;
        }
        let [seconds, minutes, hours, days, months, weekdays] = values;
        let cron = Self {
            seconds,
            minutes,
            hours,
            days,
            months,
            weekdays,
        };
        // A leap year, since a schedule for February 29 is valid.
        let exists = |month: u8| {
            let month = i8::try_from(month).ok()?;
            let length = Date::new(2000, month, 1).ok()?.days_in_month();
            days.first()
                .filter(|day| i8::try_from(*day).is_ok_and(|day| day <= length))
        };
        let is_due = (1..=12).any(|month| months.has(month) && exists(month).is_some());
        is_due.then_some(cron).ok_or(ScheduleError::NoDay)
    }

    fn next(&self, time: Timestamp) -> Option<Timestamp> {
        let start = time.checked_add(1.second()).ok()?.to_zoned(TimeZone::UTC);
        let from = second_of_day(start.time());
        let days = std::iter::successors(Some(start.date()), |day| day.tomorrow().ok());
        let mut due = days.take(DAYS_MAX).filter(|day| self.is_due_on(*day));
        due.find_map(|day| {
            let from = if day == start.date() { from } else { 0 };
            at(day, self.time_from(from)?)
        })
    }

    fn last(&self, time: Timestamp) -> Option<Timestamp> {
        let start = time.to_zoned(TimeZone::UTC);
        let until = second_of_day(start.time());
        let days = std::iter::successors(Some(start.date()), |day| day.yesterday().ok());
        let mut due = days.take(DAYS_MAX).filter(|day| self.is_due_on(*day));
        due.find_map(|day| {
            let until = if day == start.date() {
                until
            } else {
                SECONDS - 1
            };
            at(day, self.time_until(until)?)
        })
    }

    fn is_due_on(&self, day: Date) -> bool {
        self.months.has(number(day.month()))
            && self.days.has(number(day.day()))
            && self
                .weekdays
                .has(number(day.weekday().to_sunday_zero_offset()))
    }

    /// The first second of the day that matches, from `from` on.
    fn time_from(&self, from: u32) -> Option<u32> {
        let (hour, minute, second) = parts(from);
        let first = |hour, minute| Some(whole(hour, minute, self.seconds.first()?));
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.from(second)
            {
                return Some(whole(hour, minute, second));
            }
            if let Some(minute) = self.minutes.from(minute + 1) {
                return first(hour, minute);
            }
        }
        first(self.hours.from(hour + 1)?, self.minutes.first()?)
    }

    /// The last second of the day that matches, up to `until`.
    fn time_until(&self, until: u32) -> Option<u32> {
        let (hour, minute, second) = parts(until);
        let last = |hour, minute| Some(whole(hour, minute, self.seconds.until(59)?));
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.until(second)
            {
                return Some(whole(hour, minute, second));
            }
            if let Some(before) = minute.checked_sub(1)
                && let Some(minute) = self.minutes.until(before)
            {
                return last(hour, minute);
            }
        }
        last(
            self.hours.until(hour.checked_sub(1)?)?,
            self.minutes.until(59)?,
        )
    }
}

const SECONDS: u32 = 24 * 60 * 60;

fn number(value: i8) -> u8 {
    value.unsigned_abs()
}

fn parts(second: u32) -> (u8, u8, u8) {
    let part = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
    (
        part(second / 3600),
        part(second / 60 % 60),
        part(second % 60),
    )
}

fn whole(hour: u8, minute: u8, second: u8) -> u32 {
    (u32::from(hour) * 60 + u32::from(minute)) * 60 + u32::from(second)
}

fn second_of_day(time: Time) -> u32 {
    whole(
        number(time.hour()),
        number(time.minute()),
        number(time.second()),
    )
}

fn at(day: Date, second: u32) -> Option<Timestamp> {
    let midnight = day.to_zoned(TimeZone::UTC).ok()?.timestamp();
    midnight.checked_add(i64::from(second).seconds()).ok()
}

impl Values {
    fn has(self, value: u8) -> bool {
        value < 64 && self.0 >> value & 1 == 1
    }

    fn first(self) -> Option<u8> {
        self.from(0)
    }

    /// The smallest that is at least `value`.
    fn from(self, value: u8) -> Option<u8> {
        (value..64).find(|value| self.has(*value))
    }

    /// The largest that is at most `value`.
    fn until(self, value: u8) -> Option<u8> {
        (0..=value.min(63)).rev().find(|value| self.has(*value))
    }
}

impl Field {
    fn parse(&self, text: &str) -> Result<Values, ScheduleError> {
        let mut values = Values::default();
        for element in text.split(',') {
            let added = self.element(element).ok_or_else(|| ScheduleError::Field {
                field: self.name,
                text: text.to_owned(),
                min: self.min,
                max: self.max,
            })?;
            values.0 |= added.0;
        }
        Ok(values)
    }

    /// `*`, a value or a range, each with or without a step.
    fn element(&self, text: &str) -> Option<Values> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step.trim().parse::<i32>().ok()?)),
            None => (text, None),
        };
        let (first, last) = if range == "*" {
            (self.min, self.max)
        } else if let Some((first, last)) = range.split_once('-') {
            let (first, last) = (self.value(first)?, self.value(last)?);
            (first.min(last), first.max(last))
        } else {
            let value = self.value(range)?;
            (value, if step.is_some() { self.max } else { value })
        };
        // A step of 0 or less counts as 1.
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(1).max(1);
        let values = (first..=last).step_by(step);
        Some(Values(values.fold(0, |set, value| set | 1 << value)))
    }

    /// A number, or the beginning of a name.
    fn value(&self, text: &str) -> Option<u8> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let value = text.trim_end().parse().ok()?;
            return (self.min..=self.max).contains(&value).then_some(value);
        }
        let text = text.to_ascii_lowercase();
        let named = |name: &&str| !text.is_empty() && name.starts_with(&text);
        let at = self.names.iter().position(named)?;
        u8::try_from(at).ok().map(|at| at + self.min)
    }
}

/// As `TimeSpan.Parse` of .NET: `d`, `[d.]hh:mm[:ss[.f]]`, `d:hh:mm:ss[.f]`, and `d:hh:mm` if the first number cannot
/// be an hour.
pub fn time_span(text: &str) -> Option<SignedDuration> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let number = |text: &str| {
        let is_plain =
            !text.is_empty() && text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse::<i64>().ok()).flatten()
    };
    let parts: Vec<&str> = text.split(':').collect();
    let with_days = |hours: &str| match hours.split_once('.') {
        Some((days, hours)) => Some((number(days)?, number(hours)?)),
        None => Some((0, number(hours)?)),
    };
    let with_fraction = |seconds: &str| {
        let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
        let is_short = fraction.len() <= 7;
        Some((number(seconds)?, number(fraction).filter(|_| is_short)? > 0))
    };
    let (days, hours, minutes, (seconds, has_fraction)) = match *parts.as_slice() {
        [days] => (number(days)?, 0, 0, (0, false)),
        [hours, minutes] => {
            let (days, hours) = with_days(hours)?;
            (days, hours, number(minutes)?, (0, false))
        }
        [first, second, third] => match with_days(first)? {
            (0, days) if days > 23 => (days, number(second)?, number(third)?, (0, false)),
            (days, hours) => (days, hours, number(second)?, with_fraction(third)?),
        },
        [days, hours, minutes, seconds] => (
            number(days)?,
            number(hours)?,
            number(minutes)?,
            with_fraction(seconds)?,
        ),
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 || days > 10_000_000 {
        return None;
    }
    // A fraction of a second is rounded up, so the interval is never shorter than the text says.
    let seconds = ((days * 24 + hours) * 60 + minutes) * 60 + seconds + i64::from(has_fraction);
    Some(SignedDuration::from_secs(sign * seconds))
}

#[cfg(test)]
mod tests;
