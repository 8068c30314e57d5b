//! Names for workspaces, in the form that Gitpod's proxies route.

use rand::Rng;

const COLOURS: [&str; 12] =
    ["amber", "aqua", "azure", "beige", "black", "blue", "coral", "green", "olive", "pink", "teal", "white"];
const ANIMALS: [&str; 12] =
    ["badger", "bear", "crane", "eagle", "ferret", "heron", "ibex", "lynx", "marten", "otter", "tapir", "wolf"];
/// Lower-case letters and digits, as Gitpod's own generator uses them.
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A fresh workspace id such as `amber-lynx-1a2b3c4d`. Anything but colour, animal and eight characters is not routed.
#[must_use]
pub fn workspace_id() -> String {
    let mut rng = rand::rng();
    let colour = COLOURS[rng.random_range(0..COLOURS.len())];
    let animal = ANIMALS[rng.random_range(0..ANIMALS.len())];
    let tail: String = (0..8).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
    format!("{colour}-{animal}-{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_fits_the_routed_form() {
        let letters = |w: &&str, most| (2..=most).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase());
        assert!(COLOURS.iter().all(|w| w.len() >= 3 && letters(w, 12)));
        assert!(ANIMALS.iter().all(|w| letters(w, 16)));
        let id = workspace_id();
        let parts: Vec<&str> = id.split('-').collect();
        assert_eq!(parts.len(), 3, "{id}");
        assert!(parts[2].len() == 8 && parts[2].bytes().all(|b| ALPHABET.contains(&b)), "{id}");
    }
}
