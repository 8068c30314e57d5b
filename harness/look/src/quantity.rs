//! Quantities as Kubernetes writes them: `500m`, `2Gi`, `1e3`.

/// A quantity in thousandths, or nothing when the text is none.
#[must_use]
pub fn thousandths(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || ".+-".contains(c))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    // An exponent, unless it is the suffix for 10^18.
    let (exponent, factor) = match suffix {
        "" => (0, 1_000),
        "m" => (0, 1),
        "k" => (3, 1_000),
        "M" => (6, 1_000),
        "G" => (9, 1_000),
        "T" => (12, 1_000),
        "P" => (15, 1_000),
        "Ki" => (0, 1_000 << 10),
        "Mi" => (0, 1_000 << 20),
        "Gi" => (0, 1_000 << 30),
        "Ti" => (0, 1_000_i128 << 40),
        "Pi" => (0, 1_000_i128 << 50),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse::<u32>().ok().filter(|e| *e <= 15)?, 1_000),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.pow(exponent);
    Some(digits * factor * scale / 10_i128.pow(u32::try_from(fraction.len()).ok()?))
}

/// A quantity of a JSON value: text, or a bare number.
#[must_use]
pub fn of(value: &serde_json::Value) -> i128 {
    match value {
        serde_json::Value::String(text) => thousandths(text).unwrap_or(0),
        serde_json::Value::Number(number) => thousandths(&number.to_string()).unwrap_or(0),
        _absent => 0,
    }
}

/// CPU for people: `1500m`.
#[must_use]
pub fn cpu(thousandths: i128) -> String {
    format!("{thousandths}m")
}

/// Memory for people: `4126Mi`.
#[must_use]
pub fn memory(thousandths: i128) -> String {
    format!("{}Mi", thousandths / 1_000 / (1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("500m", 500),
            ("2", 2_000),
            ("0.5", 500),
            ("1.5Gi", 1_610_612_736_000),
            ("16384Ki", 16_777_216_000),
            ("1e3", 1_000_000),
            ("2M", 2_000_000_000),
        ] {
            assert_eq!(thousandths(text), Some(expected), "{text}");
        }
        for text in ["", "Gi", "x", "1x", "1e99", "."] {
            assert_eq!(thousandths(text), None, "{text}");
        }
        assert_eq!(memory(thousandths("2Gi").expect("a quantity")), "2048Mi");
    }
}
