//! Which addresses a page may link to: places inside the run directory, and `http(s)`.

/// The link for a path below the run directory, percent-encoded; `None` when it would lead anywhere else.
pub(super) fn artifact(path: &str) -> Option<String> {
    let leads_out = path.is_empty()
        || path.starts_with(['/', '\\'])
        || path.contains(['\\', '\0'])
        || path.split('/').any(|part| part == ".." || part.is_empty());
    if leads_out {
        return None;
    }
    let mut link = String::with_capacity(path.len() + 2);
    // `./` so that a first part with a colon is no scheme.
    link.push_str("./");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => link.push(char::from(byte)),
            other => link.push_str(&format!("%{other:02X}")),
        }
    }
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_in_the_run_directory() {
        let table = [
            ("artifacts/default/log.txt", Some("./artifacts/default/log.txt")),
            ("a b/ü#?.txt", Some("./a%20b/%C3%BC%23%3F.txt")),
            ("javascript:alert(1)", Some("./javascript%3Aalert%281%29")),
            ("../other/secret", None),
            ("a/../../b", None),
            ("/etc/passwd", None),
            ("//host/x", None),
            ("\\\\host\\x", None),
            ("", None),
        ];
        for (path, wanted) in table {
            assert_eq!(artifact(path).as_deref(), wanted, "{path}");
        }
    }
}
