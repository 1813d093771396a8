//! Durations and sizes as people write them: `200ms`, `1.5s`, `16MiB`.
//!
//! A bare number is refused for a duration: nobody remembers whether it was seconds. Every refusal
//! says what to write instead, because it is printed as it is by the command line. Next: `stamp.rs`.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest duration an option takes: longer is a slip of the pen.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Units of time and their length in seconds; the longer name first where one ends in another.
const TIMES: [(&str, f64); 5] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("min", 60.0),
    ("s", 1.0),
];

/// Units of memory and their size in bytes.
const SIZES: [(&str, u64); 8] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("", 1),
];

/// Reads `200ms`, `1.5s`, `2min`.
///
/// # Errors
/// A sentence that names the cure: no unit, unknown unit, no number, longer than [`LONGEST`].
pub fn duration(text: &str) -> Result<Duration, String> {
    const CURE: &str = "write it as 200ms or 1.5s";
    let (number, unit) = split(text).ok_or_else(|| format!("not a duration: {CURE}"))?;
    if unit.is_empty() && number != 0.0 {
        return Err(format!("a duration needs a unit: {text}s or {text}ms"));
    }
    let seconds = match TIMES.iter().find(|(name, _)| *name == unit) {
        Some((_, length)) => number * length,
        None if unit.is_empty() => 0.0,
        None => return Err(format!("unknown unit of time '{unit}': {CURE}")),
    };
    if seconds > LONGEST.as_secs_f64() {
        return Err(format!("too long: at most {}", spell_duration(LONGEST)));
    }
    // Rounded to nanoseconds, so that 1.5s is exactly that.
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// Reads a duration that must be longer than nothing: a timeout.
///
/// # Errors
/// As [`duration`], and for zero.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero, for example 3.1s".into()),
        longer => Ok(longer),
    }
}

/// Reads `16MiB`, `512KiB`, `1000000`, up to `most` bytes.
///
/// # Errors
/// A sentence that names the cure: no number, unknown unit, zero, more than `most`.
pub fn size(text: &str, most: u64) -> Result<u64, String> {
    const CURE: &str = "write it as 16MiB or 512KiB";
    let (number, unit) = split(text).ok_or_else(|| format!("not a size: {CURE}"))?;
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("unknown unit of size '{unit}': {CURE}"));
    };
    let bytes = (number * *factor as f64).round();
    if bytes < 1.0 {
        return Err("must be at least one byte".into());
    }
    if bytes > most as f64 {
        return Err(format!("too large: at most {}", show_size(most)));
    }
    Ok(bytes as u64)
}

/// Reads a count within `range`; one that is past all counting is refused like any other.
///
/// # Errors
/// A sentence that says which counts are taken.
pub fn count(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let (least, most) = (range.start(), range.end());
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("not a whole number: give {least} to {most}"));
    }
    match text.parse() {
        Ok(count) if count < *least => Err(format!("too small: at least {least}")),
        Ok(count) if count <= *most => Ok(count),
        _ => Err(format!("too large: at most {most}")),
    }
}

/// Reads a seed: any whole number of 64 bits.
///
/// # Errors
/// A sentence that says which numbers are taken.
pub fn seed(text: &str) -> Result<u64, String> {
    let refuse = |_| format!("not a whole number: give 0 to {}", u64::MAX);
    text.parse().map_err(refuse)
}

/// Reads a share of one: `0.25` or `25%`.
///
/// # Errors
/// A sentence that says which shares are taken.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text, 1.0),
    };
    let share = number.parse::<f64>().unwrap_or(f64::NAN) * factor;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err("not a share of one: give 0 to 1, for example 0.25 or 25%".into())
}

/// A duration as one would type it: `200ms`, `1.5s`.
pub fn spell_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match (nanos % 1_000_000, nanos < 1_000_000_000) {
        (0, true) => format!("{}ms", nanos / 1_000_000),
        (_, true) => format!("{}us", nanos as f64 / 1e3),
        (_, false) => format!("{}s", nanos as f64 / 1e9),
    }
}

/// `0.21 s`, `12.3 ms`, `3600 s`: three digits or so, one space, a unit.
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        0.0 => "0 s".into(),
        1000.0.. => format!("{seconds:.0} s"),
        100.0.. => format!("{seconds:.1} s"),
        0.1.. => format!("{seconds:.2} s"),
        0.001.. => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.1} us", seconds * 1e6),
    }
}

/// `16 MiB`, `1.5 KiB`, `733 B`.
pub fn show_size(bytes: u64) -> String {
    let (name, unit) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => ("KiB", 1_u64 << 10),
        1_048_576..1_073_741_824 => ("MiB", 1 << 20),
        _ => ("GiB", 1 << 30),
    };
    let size = bytes as f64 / unit as f64;
    let shown = format!("{size:.1}");
    format!("{} {name}", shown.strip_suffix(".0").unwrap_or(&shown))
}

/// `1.5s` into 1.5 and `s`. Digits and one point only: no sign, no exponent, no `inf`.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2min"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration(".5 s"), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn a_refused_duration_names_the_cure() {
        for (text, cure) in [
            ("200", "200s or 200ms"),
            ("-1s", "200ms or 1.5s"),
            ("soon", "200ms or 1.5s"),
            ("", "200ms or 1.5s"),
            ("1e3s", "unknown unit of time 'e3s'"),
            ("1.2.3s", "200ms or 1.5s"),
            ("9999999999999999999999s", "at most 3600s"),
            ("2h", "unknown unit of time 'h'"),
        ] {
            let said = duration(text).unwrap_err();
            assert!(said.contains(cure), "{text}: {said}");
        }
        assert!(positive_duration("0s").unwrap_err().contains("longer"));
    }

    #[test]
    fn sizes_are_read_exactly() {
        let most = 1 << 30;
        assert_eq!(size("16MiB", most), Ok(16 << 20));
        assert_eq!(size("1.5KiB", most), Ok(1536));
        assert_eq!(size("512", most), Ok(512));
        assert_eq!(size("2MB", most), Ok(2_000_000));
        assert_eq!(size("1GiB", most), Ok(1 << 30));
        for (text, cure) in [
            ("0", "at least one byte"),
            ("2GiB", "at most 1 GiB"),
            ("99999999999999999999999999", "at most 1 GiB"),
            ("16mb", "16MiB"),
            ("-1", "16MiB"),
        ] {
            let said = size(text, most).unwrap_err();
            assert!(said.contains(cure), "{text}: {said}");
        }
    }

    #[test]
    fn counts_and_shares_say_what_they_take() {
        assert_eq!(count("7", 1..=9), Ok(7));
        assert!(count("0", 1..=9).unwrap_err().contains("at least 1"));
        assert!(count("10", 1..=9).unwrap_err().contains("at most 9"));
        let said = count("99999999999999999999999999", 1..=9).unwrap_err();
        assert!(said.contains("at most 9"), "{said}");
        assert!(count("-3", 1..=9).unwrap_err().contains("1 to 9"));
        assert_eq!(share("25%"), Ok(0.25));
        assert_eq!(share("1"), Ok(1.0));
        for refused in ["1.01", "-0.1", "NaN", "inf", "half", ""] {
            assert!(share(refused).unwrap_err().contains("0.25"), "{refused}");
        }
    }

    #[test]
    fn what_is_shown_has_about_three_digits() {
        assert_eq!(show_duration(Duration::from_millis(1034)), "1.03 s");
        assert_eq!(show_duration(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(show_duration(Duration::from_nanos(800)), "0.8 us");
        assert_eq!(show_duration(Duration::ZERO), "0 s");
        assert_eq!(spell_duration(Duration::from_millis(200)), "200ms");
        assert_eq!(spell_duration(Duration::from_millis(1500)), "1.5s");
        assert_eq!(spell_duration(Duration::from_micros(1500)), "1500us");
        assert_eq!(spell_duration(Duration::ZERO), "0ms");
        assert_eq!(show_size(16 << 20), "16 MiB");
        assert_eq!(show_size(1536), "1.5 KiB");
        assert_eq!(show_size(733), "733 B");
    }
}
