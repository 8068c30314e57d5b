//! Text from the outside made fit for XML and for terminals.

/// Removes ANSI escape sequences, normalises line ends, and replaces every character that XML 1.0 forbids by U+FFFD.
///
/// Tabs and line feeds stay. Nothing is dropped silently but escape sequences and carriage returns: a reader sees that
/// something stood there. (junit-report 0.9 filters nothing; one colour code makes the whole file unreadable.)
#[must_use]
pub fn sanitise(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    clean.push('\n');
                }
            }
            '\t' | '\n' | '\u{85}' => clean.push(c),
            c if is_legal(c) => clean.push(c),
            _ => clean.push('\u{fffd}'),
        }
    }
    clean
}

/// XML 1.0's legal characters, without DEL and the C1 controls, which are legal but better removed.
fn is_legal(c: char) -> bool {
    matches!(c, '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Skips what follows an ESC: a CSI sequence up to its final byte, an OSC sequence up to BEL or ST, else one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            while let Some(c) = chars.peek() {
                let c = *c;
                if !('\u{20}'..='\u{7e}').contains(&c) {
                    return;
                }
                chars.next();
                if ('@'..='~').contains(&c) {
                    return;
                }
            }
        }
        Some(']') => {
            chars.next();
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    return;
                }
            }
        }
        Some(c) if c.is_ascii_graphic() => {
            chars.next();
        }
        Some(_) | None => {}
    }
}

/// One line of at most `most` characters; what is cut off is marked.
#[must_use]
pub fn one_line(text: &str, most: usize) -> String {
    // Nobody reads megabytes for one line; what this leaves aside is marked like anything that is cut off.
    let enough = text.floor_char_boundary(most.saturating_mul(8).saturating_add(4096));
    let flat: String = sanitise(&text[..enough]).split_whitespace().collect::<Vec<_>>().join(" ");
    if enough == text.len() && flat.chars().count() <= most {
        return flat;
    }
    let mut cut: String = flat.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Milliseconds as people read them: `850 ms`, `12.3 s`, `4 min 05 s`, `1 h 02 min`.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_terminals_and_xml_cannot_take_is_gone_and_the_rest_stays() {
        let table = [
            ("plain\ttab\nline", "plain\ttab\nline"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("nul\0 ffff\u{ffff} bel\u{7}", "nul\u{fffd} ffff\u{fffd} bel\u{fffd}"),
            ("broken \u{1b}[31", "broken "),
            ("]]> & <x>", "]]> & <x>"),
        ];
        for (given, wanted) in table {
            assert_eq!(sanitise(given), wanted, "{given:?}");
        }
    }

    #[test]
    fn durations_read_well() {
        let read: Vec<String> = [0, 850, 12_345, 245_000, 3_725_000].map(duration).to_vec();
        assert_eq!(read, ["0 ms", "850 ms", "12.3 s", "4 min 05 s", "1 h 02 min"]);
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line("a\n  b\tc", 10), "a b c");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line(&" ".repeat(1 << 20), 4), "…", "what was not looked at is marked");
    }
}
