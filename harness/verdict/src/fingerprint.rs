//! The same trouble has the same fingerprint: what a failure says, without what differs from run to run.

use gsh_model::outcome::Finding;

/// Twelve hex digits for a finding: its check and the shape of what was observed.
#[must_use]
pub fn of(finding: &Finding) -> String {
    let text = format!("{} {}", finding.check, shape(&finding.observed));
    crate::sha256(text.as_bytes())[..12].to_owned()
}

/// A text without numbers, hex, ids, times, the random part of pod names, and paths.
#[must_use]
pub fn shape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for token in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let bare = token.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
        if bare.starts_with('/') && bare.len() > 1 {
            out.push_str("<path>");
            continue;
        }
        let mut word = String::new();
        for c in token.chars() {
            if c.is_alphanumeric() {
                word.push(c);
            } else {
                close(&mut word, &mut out);
                out.push(c);
            }
        }
        close(&mut word, &mut out);
    }
    // Fractions, addresses and versions are one number.
    while out.contains("#.#") {
        out = out.replace("#.#", "#");
    }
    out
}

/// A word with a digit, or five letters of the alphabet that Kubernetes makes names from, says nothing that lasts.
fn close(word: &mut String, out: &mut String) {
    let random = word.len() == 5 && word.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c));
    if random || word.chars().any(|c| c.is_ascii_digit()) {
        out.push('#');
    } else {
        out.push_str(word);
    }
    word.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let one = shape("pod `ws-daemon-x7k2p`, container `c`: exit code 1: open /mnt/a1/x: after 4.2s at 10.1.2.3");
        let two = shape("pod `ws-daemon-bbqzw`, container `c`: exit code 9: open /mnt/zz/y: after 17s at 10.9.9.9");
        assert_eq!(one, two);
        assert_eq!(shape("digest 3f2a91bc of server-7d9f8b6c5-x2x9q"), "digest # of server-#-#");
        assert_eq!(shape("module shiftfs not found"), "module shiftfs not found");
    }
}
