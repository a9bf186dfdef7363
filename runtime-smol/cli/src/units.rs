//! Sizes, rates, spans and dates: how people type them, and how they are shown.

use std::time::Duration;

/// Bytes per second, as typed: `500K`, `1.5M`, `2MiB/s`, `10MB`.
pub(crate) fn parse_rate(typed: &str) -> Result<u64, String> {
    let size = typed.strip_suffix("/s").or_else(|| typed.strip_suffix("/S")).unwrap_or(typed);
    match parse_size(size) {
        Some(0) => Err(String::from("a rate of 0 would stop everything; leave the option out for no limit")),
        Some(rate) => Ok(rate),
        None => Err(String::from("not a rate in bytes per second such as 500K, 1.5M or 2MiB/s")),
    }
}

/// Bytes in a piece, as typed: `262144`, `256K`, `4M`.
pub(crate) fn parse_piece_length(typed: &str) -> Result<u32, String> {
    let length = parse_size(typed).and_then(|length| u32::try_from(length).ok());
    match length {
        Some(length) if length.is_power_of_two() && PIECE_LENGTHS.contains(&length) => Ok(length),
        _ => Err(String::from("not a power of two from 16K to 256M, such as 262144, 256K or 4M")),
    }
}

/// A block (16 KiB) at least, or requests would span pieces; 256 MiB at most, or one bad block costs too much.
const PIECE_LENGTHS: std::ops::RangeInclusive<u32> = (16 << 10)..=(256 << 20);

/// A number of bytes with an optional unit, in any case; a fraction is rounded down to whole bytes.
fn parse_size(typed: &str) -> Option<u64> {
    let digits = typed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(typed.len());
    let (number, unit) = typed.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    times(number, factor)
}

/// `number`, such as `1.5`, times `factor`, rounded down.
fn times(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / u128::from(scale);
    whole.checked_add(u64::try_from(part).ok()?)
}

/// How many times its size a torrent is to be given, as typed: `1`, `1.5`; in thousandths.
pub(crate) fn parse_ratio(typed: &str) -> Result<u32, String> {
    let plain = typed.chars().all(|c| c.is_ascii_digit() || c == '.');
    match plain.then(|| times(typed, 1_000)).flatten().and_then(|permille| u32::try_from(permille).ok()) {
        Some(0) => Err(String::from("a ratio below 0.001 would give nothing")),
        Some(permille) => Ok(permille),
        None => Err(String::from("not a ratio such as 1 or 1.5")),
    }
}

/// A time such as `90m`, `12h` or `2d`; a plain number is refused, since nobody knows of what.
pub(crate) fn parse_span(typed: &str) -> Result<Duration, String> {
    const NOT: &str = "not a time such as 90m, 12h or 2d";
    let unit = match typed.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(String::from(NOT)),
    };
    let number = &typed[..typed.len() - 1];
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    match plain.then(|| times(number, unit)).flatten() {
        Some(0) => Err(String::from("no time at all: leave out what is not to be served")),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(String::from(NOT)),
    }
}

/// `0.42`: how many times `size` was `sent`.
pub(crate) fn ratio(sent: u64, size: u64) -> String {
    permille(u64::try_from(u128::from(sent) * 1_000 / u128::from(size.max(1))).unwrap_or(u64::MAX))
}

/// `1.50` of 1,500 thousandths; a third decimal is left out.
pub(crate) fn permille(permille: u64) -> String {
    format!("{}.{:02}", count(permille / 1_000), permille % 1_000 / 10)
}

/// `1.50 GiB`: three digits that count, powers of 1024; `64 KiB` when it is just that.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.5 would be shown as "1024": the next unit reads better.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = if value.fract() == 0.0 {
        0
    } else if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// `12.4 MiB/s`.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", size(bytes_per_second))
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 peer`, `2 peers`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(words: &[String]) -> String {
    match words {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => words.concat(),
    }
}

/// `42s`, `3m 07s`, `2h 05m`, `4d 03h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Like [`span`], with tenths below ten seconds.
pub(crate) fn span_precise(took: Duration) -> String {
    if took < Duration::from_secs(10) { format!("{:.1}s", took.as_secs_f64()) } else { span(took) }
}

/// Whole percents, and 100 only when nothing is missing.
pub(crate) fn percent(done: u64, total: u64) -> u64 {
    if total == 0 || done >= total {
        return 100;
    }
    u64::try_from(u128::from(done) * 100 / u128::from(total)).unwrap_or(100)
}

/// How long the rest takes at this rate; `None` when that cannot be said or is beyond 100 days.
pub(crate) fn time_left(bytes_missing: u64, bytes_per_second: u64) -> Option<Duration> {
    let seconds = bytes_missing.checked_div(bytes_per_second)?.saturating_add(1);
    (seconds < 100 * 86_400).then(|| Duration::from_secs(seconds))
}

/// `2024-04-25 14:03:59 UTC` of seconds since 1970; `None` outside the years 0 to 9999.
pub(crate) fn date(unix_seconds: i64) -> Option<String> {
    let (days, second) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days)?;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"))
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counted from 1 March of year 0, so that the leap day is the last day of its year.
fn civil(days_since_1970: i64) -> Option<(i64, i64, i64)> {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let days = days_since_1970.checked_add(DAYS_TO_1970)?;
    let (era, day_of_era) = (days.div_euclid(DAYS_IN_400_YEARS), days.rem_euclid(DAYS_IN_400_YEARS));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (0..=9_999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        for (typed, seconds) in [("90m", 5_400), ("12h", 43_200), ("1.5d", 129_600), ("7s", 7)] {
            assert_eq!(parse_span(typed), Ok(Duration::from_secs(seconds)), "{typed}");
        }
        for typed in ["", "5", "m", "-1h", "1 h", "1w", "0s", "1é", "99999999999999999999d"] {
            assert!(parse_span(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (typed, want) in [
            ("1", 1),
            ("500K", 500 << 10),
            ("500k", 500 << 10),
            ("1.5M", 3 << 19),
            ("2MiB/s", 2 << 20),
            ("2 mib/s", 2 << 20),
            ("10MB", 10_000_000),
            ("0.5kB/s", 500),
            ("3G", 3 << 30),
        ] {
            assert_eq!(parse_rate(typed), Ok(want), "{typed}");
        }
        for wrong in ["", "K", "-1", "1.K", "1.2.3M", "5Mbit", "0", "0.0001K", "fast", "99999999999999999999"]
        {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_ratio_is_a_number_above_nothing() {
        for (typed, want) in [("1", 1_000), ("1.5", 1_500), ("0.001", 1), ("2.3456", 2_345)] {
            assert_eq!(parse_ratio(typed), Ok(want), "{typed}");
        }
        for wrong in ["", "0", "0.0001", "-1", "1,5", "one", "+1", "99999999", "nan", "1e3", "50%"] {
            assert!(parse_ratio(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ratio(1_999, 1_000), "1.99");
        assert_eq!(ratio(7, 0), "7.00");
        assert_eq!(ratio(u64::MAX, 1), "18,446,744,073,709,551.61");
    }

    #[test]
    fn a_piece_length_is_a_power_of_two_of_at_least_a_block() {
        assert_eq!(parse_piece_length("16K"), Ok(16_384));
        assert_eq!(parse_piece_length("262144"), Ok(262_144));
        for wrong in ["0", "8K", "100000", "512M", "3M"] {
            assert!(parse_piece_length(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, want) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1025, "1.00 KiB"),
            (1_023_488, "0.98 MiB"),
            (1_572_864, "1.50 MiB"),
            (13_002_342, "12.4 MiB"),
            (268_435_456, "256 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), want);
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, want) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_714_053_839, "2024-04-25 14:03:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds).as_deref(), Some(want));
        }
        assert_eq!(date(i64::MAX), None);
        assert_eq!(date(i64::MIN), None);
    }

    #[test]
    fn the_time_left_is_unknown_while_nothing_arrives() {
        assert_eq!(time_left(1_000, 0), None);
        assert_eq!(time_left(u64::MAX, 1), None);
        assert_eq!(time_left(1_000, 500).map(span).as_deref(), Some("3s"));
        assert_eq!(span(Duration::from_secs(187)), "3m 07s");
        assert_eq!(span(Duration::from_secs(7_500)), "2h 05m");
    }
}
