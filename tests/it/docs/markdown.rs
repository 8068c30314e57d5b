//! The commands of a page: what stands in its `sh` blocks, what stands behind `$` in blocks that show what a command prints, and
//! what it names in passing.

/// A command as the page has it.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) line: usize,
    /// The name of its block, where that is one script; else the line itself, without its remark.
    pub(super) is: String,
    pub(super) script: String,
    /// Lines that the page says it prints.
    pub(super) shown: Vec<String>,
}

/// A fenced block: the line of its fence, what stands behind the fence, and its lines.
struct Block<'a> {
    line: usize,
    info: &'a str,
    lines: Vec<&'a str>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((fence, line)) = lines.next() {
        if let Some(info) = fence.trim_start().strip_prefix("```") {
            let inside = lines.by_ref().map(|(text, _)| text).take_while(|l| l.trim() != "```").collect();
            blocks.push(Block { line, info: info.trim(), lines: inside });
        }
    }
    blocks
}

/// The blocks of a language, as texts.
pub(super) fn written_in(language: &str, text: &str) -> Vec<String> {
    blocks(text).iter().filter(|b| b.info == language).map(|b| b.lines.join("\n")).collect()
}

/// Every command of a page that stands in a block, in order.
pub(super) fn commands(page: &str, text: &str) -> Vec<Command> {
    let mut all = Vec::new();
    for Block { line, info, lines } in blocks(text) {
        match info.split_once(' ').unwrap_or((info, "")) {
            ("sh", "") => all.extend(singly(line, &lines)),
            ("sh", name) => {
                let script = lines.join("\n");
                all.push(Command { line, is: name.to_owned(), script, shown: Vec::new() });
            }
            ("", "") => all.extend(shown(page, line, &lines)),
            (other, _) => {
                let known = ["toml", "json", "rust", "text"].contains(&other);
                assert!(known, "{page}:{line}: commands stand in blocks of `sh`, not of `{other}`");
            }
        }
    }
    all
}

/// The lines of a block, those that are continued put together.
fn singly(fence: usize, lines: &[&str]) -> Vec<Command> {
    let mut all = Vec::new();
    let mut begun = String::new();
    for (text, line) in lines.iter().zip(fence + 1..) {
        if let Some(part) = text.strip_suffix('\\') {
            begun.push_str(part);
            continue;
        }
        let whole = format!("{begun}{text}");
        begun.clear();
        let is = whole.split_once(" # ").map_or(whole.as_str(), |(command, _)| command).trim().to_owned();
        if !is.is_empty() && !is.starts_with('#') {
            all.push(Command { line, script: is.clone(), is, shown: Vec::new() });
        }
    }
    all
}

/// The commands behind `$`, each with the lines below it.
fn shown(page: &str, fence: usize, lines: &[&str]) -> Vec<Command> {
    let mut all: Vec<Command> = Vec::new();
    for (text, line) in lines.iter().zip(fence + 1..) {
        if let Some(command) = text.strip_prefix("$ ") {
            all.push(Command { line, is: command.to_owned(), script: command.to_owned(), shown: Vec::new() });
        } else if let Some(last) = all.last_mut() {
            last.shown.push((*text).to_owned());
        } else {
            let first = text.split(' ').find(|word| !word.contains('=')).unwrap_or_default();
            let command = ["gsh", "gsh-verify", "cargo", "export", "kubectl"].contains(&first);
            assert!(!command, "{page}:{line}: a command stands in a block of `sh`, or behind `$`");
        }
    }
    all
}

/// What a page names between backticks outside of its blocks, with the lines.
pub(super) fn named(text: &str) -> Vec<(usize, &str)> {
    let mut all = Vec::new();
    let mut inside = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            all.extend(line.split('`').skip(1).step_by(2).map(|name| (number, name)));
        }
    }
    all
}

#[test]
fn commands_are_found_where_pages_have_them() {
    let page = "Say `gsh x`.\n```sh\ngsh a \\\n  b   # remark\n# only a remark\n```\n```sh name\nx=1\necho $x\n```\n\
                ```\n$ gsh c\nout\n$ gsh d\n```\n```toml\ne = 1\n```\n";
    let found: Vec<(usize, String, String, usize)> =
        commands("page", page).into_iter().map(|c| (c.line, c.is, c.script, c.shown.len())).collect();
    let is = |line, is: &str, script: &str, shown| (line, is.to_owned(), script.to_owned(), shown);
    let wanted = [
        is(4, "gsh a   b", "gsh a   b", 0),
        is(7, "name", "x=1\necho $x", 0),
        is(12, "gsh c", "gsh c", 1),
        is(14, "gsh d", "gsh d", 0),
    ];
    assert_eq!(found, wanted);
    assert_eq!(named(page), [(1, "gsh x")]);
    for bad in ["```bash\ngsh a\n```\n", "```\nA=1 gsh a\n```\n"] {
        assert!(std::panic::catch_unwind(|| commands("page", bad)).is_err(), "{bad}");
    }
}
