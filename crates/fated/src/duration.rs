//! Durations on the command line.

use std::time::Duration;

/// The units, with their nanoseconds. Longer names come first where one ends like another.
const UNITS: [(&str, f64); 6] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Parses a number with a unit; without one it is seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let (number, unit) =
        UNITS.iter().find_map(|&(name, ns)| text.strip_suffix(name).map(|number| (number, ns))).unwrap_or((text, 1e9));
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let ns = number.parse::<f64>().ok().filter(|_| plain).map(|number| number * unit);
    match ns {
        Some(ns) if (1.0..9e18).contains(&ns) => Ok(Duration::from_nanos(ns as u64)),
        Some(_) => Err("it must be longer than nothing and shorter than 285 years".to_owned()),
        None => Err("write it like 90, 1.5s, 200ms, 10m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, ms) in [("2", 2000), ("2s", 2000), ("1.5s", 1500), ("200ms", 200), ("3000us", 3), ("10m", 600_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
        for text in ["", "s", "0", "-1", "1e3", "inf", "1 s", "2d", "1..2", "999999h99"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
