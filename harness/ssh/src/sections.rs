//! Several commands in one round trip: a script that prints a section for each, and taking its output apart.

use std::collections::BTreeMap;

/// Commands as sections of one script. A command that fails leaves what it printed, and its status.
#[must_use]
pub fn section(commands: &[(&str, &str)]) -> String {
    let mut script = String::new();
    for (name, command) in commands {
        script.push_str(&format!("echo '== {name}'\n{{ {command}; }} 2>/dev/null\ns=$?\necho\necho \"=> $s\"\n"));
    }
    script
}

/// The sections of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections(BTreeMap<String, (String, Option<i32>)>);

impl Sections {
    /// Takes an output apart.
    #[must_use]
    pub fn parse(output: &str) -> Self {
        let mut sections: BTreeMap<String, (String, Option<i32>)> = BTreeMap::new();
        let mut current = None;
        for line in output.lines() {
            if let Some(name) = line.strip_prefix("== ") {
                current = Some(name.trim().to_owned());
                sections.entry(name.trim().to_owned()).or_default();
            } else if let Some((text, status)) = current.as_ref().and_then(|name| sections.get_mut(name)) {
                match line.strip_prefix("=> ").and_then(|s| s.trim().parse().ok()) {
                    Some(ended) => {
                        *status = Some(ended);
                        current = None;
                    }
                    None => {
                        text.push_str(line);
                        text.push('\n');
                    }
                }
            }
        }
        Self(sections)
    }

    /// A section without blanks around it; empty when there was none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map(|(text, _)| text.trim()).unwrap_or_default()
    }

    /// The status with which a command ended; nothing when its end was not seen.
    #[must_use]
    pub fn status(&self, name: &str) -> Option<i32> {
        self.0.get(name)?.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_has_its_text_and_its_status_or_neither() {
        let seen = Sections::parse("noise\n== a\none\n\ntwo\n\n=> 0\nnoise\n== b\n\n=> 127\n== c\ncut off");
        assert_eq!((seen.get("a"), seen.status("a")), ("one\n\ntwo", Some(0)));
        assert_eq!((seen.get("b"), seen.status("b")), ("", Some(127)));
        assert_eq!((seen.get("c"), seen.status("c")), ("cut off", None));
        assert_eq!((seen.get("d"), seen.status("d")), ("", None));
    }
}
