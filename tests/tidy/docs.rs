//! The documents: nothing in them leads nowhere, and something leads to each of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::source::{files_named, name, root, rust_files, text};

#[test]
fn every_link_of_a_document_leads_to_a_file() {
    let mut broken = Vec::new();
    for document in documents() {
        for link in links(&text(&document)) {
            let Some(target) = in_the_repository(&document, &link) else { continue };
            if !target.exists() {
                broken.push(format!("{}: {link}", name(&document)));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_document_can_be_found() {
    let mut known: BTreeSet<PathBuf> = ["README.md", "CHANGELOG.md"].map(|file| root().join(file)).into();
    for document in documents() {
        known.extend(links(&text(&document)).iter().filter_map(|link| in_the_repository(&document, link)));
    }
    for file in rust_files(&root()) {
        for path in text(&file).split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            known.insert(tidied(&file.parent().expect("a file lies in a folder").join(path)));
        }
    }
    // Whoever opens a package's folder sees its README.
    let lost: Vec<String> = documents()
        .into_iter()
        .filter(|document| !known.contains(document) && !document.ends_with("README.md"))
        .map(|document| name(&document))
        .collect();
    assert!(lost.is_empty(), "documents that nothing leads to:\n{}", lost.join("\n"));
}

#[test]
fn every_command_of_a_document_names_packages_and_tests_there_are() {
    let manifests: Vec<String> = files_named(&root(), "Cargo.toml").iter().map(|path| text(path)).collect();
    let is_named = |name: &str| manifests.iter().any(|text| text.contains(&format!("name = \"{name}\"")));
    let mut unknown = Vec::new();
    for document in documents() {
        for line in text(&document).lines().filter(|line| line.contains("cargo ")) {
            let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('`')).collect();
            for pair in words.windows(2) {
                if matches!(pair[0], "-p" | "--package" | "--test" | "--bin") && !is_named(pair[1]) {
                    unknown.push(format!("{}: {line}", name(&document)));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "commands that name what there is not:\n{}", unknown.join("\n"));
}

fn documents() -> Vec<PathBuf> {
    files_named(&root(), ".md")
}

/// What stands between `](` and `)`, code left out.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if !in_code {
            let ends = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(ends.map(str::to_owned));
        }
    }
    found
}

/// The file that a link of `document` means; none for what lies elsewhere: the web, rustdoc, the same document.
fn in_the_repository(document: &Path, link: &str) -> Option<PathBuf> {
    let path = link.split('#').next().unwrap_or_default();
    let elsewhere =
        path.is_empty() || path.contains("::") || path.contains("//") || path.starts_with("mailto:");
    (!elsewhere).then(|| tidied(&document.parent().expect("a file lies in a folder").join(path)))
}

/// The path without `..`.
fn tidied(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            tidy.pop();
        } else {
            tidy.push(part);
        }
    }
    tidy
}

#[test]
fn links_are_found_outside_of_code() {
    assert_eq!(links("a [b](c.md) and [d](e#f).\n```\n[g](h)\n```\n[i](j)"), ["c.md", "e#f", "j"]);
    let document = Path::new("/r/docs/a.md");
    assert_eq!(in_the_repository(document, "../b.md#c"), Some("/r/b.md".into()));
    assert_eq!(in_the_repository(document, "https://b.example/c"), None);
    assert_eq!(in_the_repository(document, "crate::b"), None);
}
