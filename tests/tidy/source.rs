//! The repository's own Rust files, and lines of code without what is said about them.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace").to_owned()
}

/// Every Rust file below `folder`, sorted.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files_named(folder, ".rs")
}

/// Every file below `folder` whose name ends so, sorted.
pub(crate) fn files_named(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                open.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A file's text.
pub(crate) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path as people write it.
pub(crate) fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Line numbers and code of a file up to its tests, comments and the contents of plain strings left out.
pub(crate) fn code(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        lines.push((number + 1, without_words(line)));
    }
    lines
}

fn without_words(line: &str) -> String {
    let (mut out, mut quoted, mut escaped, mut before) = (String::new(), false, false, ' ');
    for (place, char) in line.char_indices() {
        if quoted {
            quoted = escaped || char != '"';
            escaped = char == '\\' && !escaped;
        } else if line[place..].starts_with("//") {
            break;
        } else if char == '"' && before != '\'' {
            quoted = true;
        } else {
            out.push(char);
        }
        before = char;
    }
    out
}

/// Where `word` stands in `line` by itself, not as a part of a longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let in_name = |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
    line.match_indices(word).any(|(place, _)| {
        !in_name(line[..place].chars().next_back())
            && (!word.ends_with(char::is_alphanumeric) || !in_name(line[place + word.len()..].chars().next()))
    })
}

#[test]
fn comments_and_strings_are_not_code() {
    let found = code("let a = \"std::x \\\" y\"; // std::z\n#[cfg(test)]\nmod tests {}");
    assert_eq!(found, [(1, "let a = ; ".to_owned())]);
    assert!(has_word("use std::io", "std::") && !has_word("use nostd::io", "std::"));
    assert!(has_word("unsafe {", "unsafe") && !has_word("#![forbid(unsafe_code)]", "unsafe"));
}
