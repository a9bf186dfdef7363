//! What is typed wrong, and what helps to type it right.

use super::run;

#[test]
fn a_wrong_command_line_ends_with_status_2() {
    for wrong in [
        &["get"][..],
        &["fetch"],
        &["get", "x.torrent", "--no-such-option"],
        &["get", "x.torrent", "--max-download", "fast"],
        &["get", "x.torrent", "--max-download", "0"],
        &["get", "x.torrent", "--peer", "localhost"],
        &["get", "x.torrent", "--listen", "6881"],
        &["get", "x.torrent", "--dht-bootstrap", "router.example"],
        &["get", "x.torrent", "--dht-bootstrap", "router.example:1", "--no-dht"],
        &["get", "x.torrent", "--dht-port", "0"],
        &["get", "x.torrent", "--dht-port", "65536"],
        &["get", "x.torrent", "--max-peers", "0"],
        &["get", "x.torrent", "--allocation", "some"],
        &["get", "x.torrent", "--ratio", "1"],
        &["seed", "x.torrent"],
        &["seed", "x.torrent", "dir", "--seed-time", "5"],
        &["get", "x.torrent", "--seed-time", "5m"],
        &["seed", "x.torrent", "dir", "--ratio", "0"],
        &["seed", "x.torrent", "dir", "--ratio", "much"],
        &["create", "x"],
        &["create", "x", "-o", "y", "--piece-length", "100000"],
        &["info"],
        &["files"],
        &["get", "x.torrent", "--files", "5-2"],
        &["verify", "x.torrent"],
        &["completions", "cmd"],
    ] {
        let ran = run(wrong);
        assert_eq!(ran.status, 2, "{wrong:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{wrong:?}");
    }
}

#[test]
fn help_and_version_are_answers_not_errors() {
    let help = run(["--help"]).done().stdout;
    for subcommand in
        ["get", "seed", "info", "files", "create", "magnet", "verify", "demo", "completions", "man"]
    {
        assert!(help.contains(&format!("\n  {subcommand}")), "{subcommand} is not in\n{help}");
        assert!(run([subcommand, "--help"]).done().stdout.contains("Usage:"));
    }
    assert!(run(["--version"]).done().stdout.starts_with("pieceful "));
}

#[test]
fn help_fits_a_terminal() {
    for args in
        [&["--help"][..], &["get", "--help"], &["seed", "--help"], &["create", "--help"], &["info", "--help"]]
    {
        for line in run(args).done().stdout.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn completions_are_there_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(["completions", shell]).done().stdout;
        assert!(script.contains("pieceful") && script.contains("max-download"), "{shell}");
    }
}

#[test]
fn the_manual_is_one_page_or_one_per_subcommand() {
    let page = run(["man"]).done().stdout;
    assert!(page.contains(".TH pieceful 1"), "{page}");
    let place = tempfile::tempdir().unwrap();
    run(["man", "--output", super::text(&place.path().join("man1"))]).done();
    for name in ["pieceful.1", "pieceful-get.1", "pieceful-verify.1"] {
        assert!(place.path().join("man1").join(name).is_file(), "{name}");
    }
}
