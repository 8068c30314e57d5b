//! Insists that every call of the API in the provider's source is a place of the fault matrix.

use std::collections::BTreeMap;
use std::path::Path;

use crate::fault_sites::SITES;

/// How a function of the provider sends a request, or has one sent of which others are sent too.
const CALLS: [&str; 8] =
    ["api.send(", "api.read(", "api.read::<", "api.list(", "api.list::<", "create::<", "self.delete(", "self.scrap("];

/// Calls of the API by the function that makes them, `file::function`.
fn calls() -> BTreeMap<String, usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hetzner");
    let mut calls = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // How the API is asked is not a place where it is asked.
        if file == "api" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let source = text.split("#[cfg(test)]").next().unwrap_or_default();
        for piece in source.split("fn ").skip(1) {
            let name = piece.split(['(', '<']).next().unwrap_or_default();
            // A call may be broken over lines before its dot.
            let body: String = piece.split_whitespace().collect();
            let body = body.trim_start_matches(name);
            let n: usize = CALLS.iter().map(|call| body.matches(call).count()).sum();
            if n > 0 {
                *calls.entry(format!("{file}::{name}")).or_default() += n;
            }
        }
    }
    calls
}

#[test]
fn fault_matrix_has_every_call_of_the_source() {
    let mut claimed: BTreeMap<String, usize> = BTreeMap::new();
    for site in &SITES {
        for from in site.from.split(' ') {
            *claimed.entry(from.to_owned()).or_default() += 1;
        }
    }
    let calls = calls();
    assert!(calls.len() > 15, "the source is not where it is looked for: {calls:?}");
    for (place, n) in &calls {
        let places = claimed.get(place).copied().unwrap_or(0);
        assert!(places >= *n, "{place} calls the API {n} times; the matrix has {places} places for it");
    }
    for place in claimed.keys() {
        assert!(calls.contains_key(place), "{place} calls the API no more");
    }
}
