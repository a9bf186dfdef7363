//! What other people's code may be in here: `.config/deny.toml`, held against `cargo metadata`.

use std::process::Command;

use serde_json::Value;

use crate::source::{root, text};

#[test]
fn every_dependency_has_a_licence_we_accept() {
    let allowed = quoted(&section("[licenses]"));
    let mut wrong = Vec::new();
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or_default();
        if !accepts(&allowed, licence) {
            wrong.push(format!("{} {}: {licence:?}", package["name"], package["version"]));
        }
    }
    assert!(wrong.is_empty(), "not among the licences of .config/deny.toml:\n{}", wrong.join("\n"));
}

#[test]
fn no_dependency_is_banned_and_all_come_from_the_registry() {
    let banned = quoted(&section("[bans]"));
    assert!(banned.contains(&"openssl-sys".to_owned()), "the list of bans was not understood: {banned:?}");
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default();
        assert!(!banned.iter().any(|banned| banned == name), "{name} is banned in .config/deny.toml");
        let source = package["source"].as_str();
        let registry = source.is_none_or(|source| source.starts_with("registry+"));
        assert!(registry, "{name} comes from {source:?}");
    }
}

/// Every package that any of ours needs on any platform.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("metadata has packages").clone()
}

/// The lines of one section of deny.toml, comments left out.
fn section(header: &str) -> String {
    let all = text(&root().join(".config/deny.toml"));
    let inside =
        all.lines().skip_while(|line| *line != header).skip(1).take_while(|line| !line.starts_with('['));
    inside.filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

fn quoted(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met: any side of an `OR`, all sides of an `AND`, brackets first.
fn accepts(allowed: &[String], expression: &str) -> bool {
    let expression = expression.replace('/', " OR "); // how it was written before SPDX
    let expression = expression.trim();
    if let Some((left, right)) = cut(expression, " OR ") {
        return accepts(allowed, left) || accepts(allowed, right);
    }
    if let Some((left, right)) = cut(expression, " AND ") {
        return accepts(allowed, left) && accepts(allowed, right);
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => accepts(allowed, inner),
        None => allowed.iter().any(|licence| licence == expression),
    }
}

/// Cuts at the first `operator` outside of brackets.
fn cut<'a>(expression: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    let outside = |place: usize| {
        let before = &expression[..place];
        before.matches('(').count() == before.matches(')').count()
    };
    let (place, _) = expression.match_indices(operator).find(|(place, _)| outside(*place))?;
    Some((&expression[..place], &expression[place + operator.len()..]))
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for good in
        ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND ISC", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(accepts(&allowed, good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR MIT) AND Zlib", "Apache-2.0"] {
        assert!(!accepts(&allowed, bad), "{bad}");
    }
}
