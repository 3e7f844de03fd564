//! Points in time on the command line: RFC 3339, or seconds since 1970 behind `@`.

/// Parses `text` into nanoseconds since 1970: up to nine decimals, and years 1970 to 2554, the range of 64 bits.
pub fn parse(text: &str) -> Result<u64, String> {
    let nanoseconds = match text.strip_prefix('@') {
        Some(seconds) => decimal(seconds),
        None => rfc3339(text),
    };
    let nanoseconds =
        nanoseconds.ok_or("write it like 2026-01-01T00:00:00Z, 2026-01-01T01:00:00.5+01:00 or @1767225600")?;
    u64::try_from(nanoseconds).map_err(|_| "it must lie between the years 1970 and 2554".to_owned())
}

/// Seconds with decimals, in nanoseconds.
fn decimal(text: &str) -> Option<i128> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 || seconds.len() > 18 {
        return None;
    }
    let nanoseconds: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(seconds.parse::<i128>().ok()? * 1_000_000_000 + nanoseconds)
}

fn rfc3339(text: &str) -> Option<i128> {
    let number = |range: std::ops::Range<usize>, min: i64, max: i64| {
        let part = text.get(range)?;
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|it| digits && (min..=max).contains(it))
    };
    let separator = |at: usize, allowed: &[u8]| text.as_bytes().get(at).filter(|byte| allowed.contains(byte)).map(drop);
    let (year, month, day) = (number(0..4, 0, 9999)?, number(5..7, 1, 12)?, number(8..10, 1, 31)?);
    separator(4, b"-")?;
    separator(7, b"-")?;
    if day > days_of(year, month) {
        return None;
    }
    let midnight = i128::from(days_since_1970(year, month, day) * 86_400) * 1_000_000_000;
    if text.len() == 10 {
        return Some(midnight);
    }
    separator(10, b"Tt ")?;
    separator(13, b":")?;
    separator(16, b":")?;
    let (hour, minute) = (number(11..13, 0, 23)?, number(14..16, 0, 59)?);
    number(17..19, 0, 59)?;
    let zone = text.get(19..)?.find(['Z', 'z', '+', '-']).map(|at| at + 19)?;
    let seconds = decimal(text.get(17..zone)?)?;
    let offset = match text.as_bytes()[zone] {
        b'Z' | b'z' if text.len() == zone + 1 => 0,
        sign @ (b'+' | b'-') if text.len() == zone + 6 => {
            separator(zone + 3, b":")?;
            let minutes = number(zone + 1..zone + 3, 0, 23)? * 60 + number(zone + 4..zone + 6, 0, 59)?;
            if sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    Some(midnight + i128::from(hour * 3600 + (minute - offset) * 60) * 1_000_000_000 + seconds)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March, so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The day of a time in seconds since 1970, as `2026-01-31`. The inverse of [`days_since_1970`], from the same source.
#[must_use]
pub fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * march_month + 2) / 5 + 1, (march_month + 2) % 12 + 1);
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::{date, parse};

    #[test]
    fn dates_come_back() {
        for day in ["1970-01-01", "2000-02-29", "2026-01-01", "2026-12-31", "2100-03-01"] {
            assert_eq!(date(parse(day).unwrap() / 1_000_000_000), day);
        }
    }

    #[track_caller]
    fn check(text: &str, seconds: u64, nanoseconds: u64) {
        assert_eq!(parse(text), Ok(seconds * 1_000_000_000 + nanoseconds), "{text}");
    }

    #[test]
    fn accepted() {
        check("2026-01-01T00:00:00Z", 1_767_225_600, 0);
        check("2026-01-01", 1_767_225_600, 0);
        check("2026-01-01 01:30:00.25+01:30", 1_767_225_600, 250_000_000);
        check("2025-12-31t19:00:00-05:00", 1_767_225_600, 0);
        check("2000-02-29T12:00:00Z", 951_825_600, 0);
        check("1970-01-01T00:00:00Z", 0, 0);
        check("@0", 0, 0);
        check("@1767225600.000000001", 1_767_225_600, 1);
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "@",
            "@-1",
            "@1.",
            "now",
            "2026-13-01",
            "2026-02-29",
            "1900-02-29",
            "2026-01-01T",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00Zulu",
            "1969-12-31",
            "9999-01-01",
            "2026-01-01T00:00:0é",
            "@99999999999999999999",
            "+026-01-01",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
