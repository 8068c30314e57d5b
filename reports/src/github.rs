//! Workflow commands for GitHub Actions: one annotation per cause, escaped, and never more than a step may have.

use gsh_model::outcome::Subject;
use gsh_model::run::RunState;

use crate::cause::{Cause, causes};
use crate::markdown::headline;
use crate::text::one_line;

/// Annotations of one level in a step, by GitHub's limit of 10 with one to say how many more there are.
const MOST: usize = 9;

/// Renders the annotations, one a line; the last line is the headline, as a notice.
#[must_use]
pub fn render(run: &RunState) -> String {
    let mut out = String::new();
    let all = causes(run);
    for (level, product) in [("error", true), ("warning", false)] {
        let of_level: Vec<&Cause> = all.iter().filter(|c| (c.blame == "product") == product).collect();
        for cause in of_level.iter().take(MOST) {
            out.push_str(&annotation(level, run, cause));
        }
        if of_level.len() > MOST {
            let more = format!("and {} more; report.html has them all", of_level.len() - MOST);
            out.push_str(&command(level, &[("title", "gsh")], &more));
        }
    }
    out.push_str(&command("notice", &[("title", "gsh")], &headline(run)));
    out
}

fn annotation(level: &str, run: &RunState, cause: &Cause) -> String {
    let f = &cause.finding;
    let title = format!("{} ({})", f.check, cause.blame);
    let file = cause.places.iter().find_map(|(_, subject)| match subject {
        Subject::Scenario(id) => {
            run.plan.iter().flat_map(|p| &p.scenarios).find(|s| s.id == *id).map(|s| s.file.as_str())
        }
        Subject::Provision | Subject::Install | Subject::Teardown => None,
    });
    let mut text = format!("expected {}\nobserved {}", one_line(&f.expected, 300), one_line(&f.observed, 600));
    if let Some((cell, subject)) = cause.places.first() {
        text.push_str(&format!("\nin {cell}, {subject}"));
    }
    if cause.places.len() > 1 {
        text.push_str(&format!(" and {} more places", cause.places.len() - 1));
    }
    let mut properties = vec![("title", title.as_str())];
    properties.extend(file.map(|f| ("file", f)));
    command(level, &properties, &text)
}

fn command(name: &str, properties: &[(&str, &str)], message: &str) -> String {
    let properties: Vec<String> = properties.iter().map(|(k, v)| format!("{k}={}", escape_property(v))).collect();
    format!("::{name} {}::{}\n", properties.join(","), escape(message))
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape(&one_line(text, 200)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_ends_the_command_or_begins_another() {
        let line = command("error", &[("title", "a:b,c\n::d")], "100%\n::set-output name=x::y\r\nend");
        assert_eq!(line, "::error title=a%3Ab%2Cc %3A%3Ad::100%25%0A::set-output name=x::y%0D%0Aend\n");
    }
}
