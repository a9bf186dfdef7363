//! Torrents made by hand, each with one thing wrong or odd.
