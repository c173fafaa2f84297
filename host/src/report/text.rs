//! Numbers and names as a page shows them.

/// Errors above this are called divergence.
pub const DIVERGED: f64 = 1e3;

/// Text with the five special characters of HTML escaped.
///
/// ```
/// assert_eq!(tinyfold::report::text::escape("<b>x & 'y'"), "&lt;b&gt;x &amp; &#39;y&#39;");
/// ```
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}

/// A whole exponent of ten: -14 as "10⁻¹⁴".
#[must_use]
pub fn power_of_ten(exponent: i32) -> String {
    let digits = exponent.to_string();
    let raised = digits.chars().map(|letter| match letter {
        '-' => '⁻',
        digit => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit.to_digit(10).unwrap_or(0) as usize],
    });
    format!("10{}", raised.collect::<String>())
}

/// Two significant digits and a power of ten, in spaces that do not break.
///
/// ```
/// use tinyfold::report::text::scientific;
/// assert_eq!(scientific(3.21e-14), "3.2\u{202f}×\u{202f}10⁻¹⁴");
/// assert_eq!(scientific(0.0), "0");
/// ```
#[must_use]
pub fn scientific(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let text = format!("{value:.1e}");
    match text.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse().ok()?))) {
        Some((digits, exponent)) => format!("{digits}\u{202f}×\u{202f}{}", power_of_ten(exponent)),
        None => text,
    }
}

/// A relative error: two significant digits in percent, tiny ones as a power of ten.
///
/// ```
/// use tinyfold::report::text::percent;
/// assert_eq!([percent(0.19), percent(0.013), percent(0.0027)], ["19\u{a0}%", "1.3\u{a0}%", "0.27\u{a0}%"]);
/// assert_eq!(percent(2e-6), "2.0\u{202f}×\u{202f}10⁻⁶");
/// assert_eq!(percent(1e300), "diverged");
/// ```
#[must_use]
pub fn percent(value: f64) -> String {
    let percents = 100.0 * value;
    match value {
        _ if value.is_nan() || value > DIVERGED => "diverged".into(),
        _ if percents >= 10.0 => format!("{percents:.0}\u{a0}%"),
        _ if percents >= 1.0 => format!("{percents:.1}\u{a0}%"),
        _ if percents >= 0.1 => format!("{percents:.2}\u{a0}%"),
        _ => scientific(value),
    }
}

/// A count with its thousands apart.
///
/// ```
/// assert_eq!(tinyfold::report::text::grouped(1_234_567), "1\u{202f}234\u{202f}567");
/// ```
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Names in a sentence: "a", "a and b", "a, b and c".
#[must_use]
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [many @ .., last] => format!("{} and {last}", many.join(", ")),
    }
}
