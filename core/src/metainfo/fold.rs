//! Which paths are one on a system that ignores case, and dots and spaces at the end of a name.

use alloc::string::String;
use alloc::vec::Vec;

/// Hashes paths as such a system sees them. Paths that differ only in what it ignores have the same hash; so
/// might others, once in 2^64, and then one of them is renamed without need.
#[derive(Default)]
pub(super) struct Walk {
    /// The path hashed last, and where in it each folder ends, with the folder's hash.
    last: String,
    folders: Vec<(usize, u64)>,
    fold: Fold,
}

impl Walk {
    /// The hash of `path`, whose components are joined by `/`. Those of its folders are appended to `folders`,
    /// except for the ones that it shares with the path before.
    pub(super) fn hash(&mut self, path: &str, folders: &mut Vec<u64>) -> u64 {
        let shared = self.folders.iter().take_while(|(end, _)| {
            path.as_bytes().get(*end) == Some(&b'/') && path.get(..*end) == self.last.get(..*end)
        });
        let shared = shared.count();
        self.folders.truncate(shared);
        let (mut end, mut hash) = self.folders.last().map_or((0, 0), |&(end, hash)| (end + 1, hash));
        let mut rest = path.get(end..).unwrap_or_default();
        while let Some((folder, after)) = rest.split_once('/') {
            hash = self.fold.hash(hash, folder);
            folders.push(hash);
            self.folders.push((end + folder.len(), hash));
            end += folder.len() + 1;
            rest = after;
        }
        self.last.clear();
        self.last.push_str(path);
        self.fold.hash(hash, rest)
    }
}

/// Makes one text of all that differ only in case.
struct Fold {
    text: Vec<u8>,
    /// Letters seen before, each with what it became: looking one up in the tables of Unicode takes longer
    /// than all else that is done to it, and a torrent has few different ones.
    letters: [(char, char); 64],
}

impl Default for Fold {
    fn default() -> Self {
        Self { text: Vec::new(), letters: [('\0', '\0'); 64] }
    }
}

impl Fold {
    /// Continues the hash of a path's folders with one more component.
    fn hash(&mut self, folders: u64, component: &str) -> u64 {
        self.text.clear();
        let mut rest = component.trim_end_matches(['.', ' ']);
        while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii()) {
            let (ascii, after) = rest.split_at(at);
            self.text.extend_from_slice(ascii.as_bytes());
            let mut after = after.chars();
            after.next().into_iter().for_each(|letter| self.push(letter));
            rest = after.as_str();
        }
        self.text.extend_from_slice(rest.as_bytes());
        self.text.make_ascii_lowercase();
        let (words, rest) = self.text.as_chunks::<8>();
        let hash = words.iter().fold(mixed(folders, self.text.len() as u64), |hash, word| {
            mixed(hash, u64::from_le_bytes(*word))
        });
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        mixed(hash, u64::from_le_bytes(last))
    }

    /// Adds what a character beyond ASCII becomes.
    fn push(&mut self, c: char) {
        let mut utf8 = [0; 4];
        let known = self.letters.get_mut(c as usize % 64);
        if let Some((letter, folded)) = &known
            && *letter == c
        {
            self.text.extend_from_slice(folded.encode_utf8(&mut utf8).as_bytes());
            return;
        }
        // Upper case first, so that `ς` and `σ` are one, as `Σ`.
        let mut folded = c.to_uppercase().flat_map(char::to_lowercase);
        let first = folded.next().unwrap_or(c);
        let mut rest = folded.peekable();
        if let Some(known) = known.filter(|_| rest.peek().is_none()) {
            *known = (c, first);
        }
        for c in core::iter::once(first).chain(rest) {
            self.text.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
        }
    }
}

/// One step of a multiplicative hash: both halves of the product, so that each bit in moves every bit out.
fn mixed(hash: u64, word: u64) -> u64 {
    const START: u64 = 0x9e37_79b9_7f4a_7c15;
    const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;
    let product = u128::from(hash ^ word ^ START) * u128::from(FACTOR);
    (product >> 64) as u64 ^ (product as u64).rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(path: &str) -> u64 {
        Walk::default().hash(path, &mut Vec::new())
    }

    #[test]
    fn paths_that_differ_in_case_or_dots_at_an_end_are_one_and_others_are_not() {
        assert_eq!(hash("Straße/ΣΊΣΥΦΟΣ./Ÿ "), hash("STRASSE/σίσυφος/ÿ"));
        assert_ne!(hash("a/b"), hash("ab"));
        assert_ne!(hash("a/b"), hash("b/a"));
        assert_ne!(hash("日本語"), hash("日本"));
    }

    #[test]
    fn ten_thousand_names_that_differ_in_one_place_have_as_many_hashes() {
        let mut walk = Walk::default();
        let mut folders = Vec::new();
        let name = |n: u32| alloc::format!("Disc {}/Träck {n:05} of many.flac", n / 100);
        let mut hashes: Vec<u64> = (0..10_000).map(|n| walk.hash(&name(n), &mut folders)).collect();
        hashes.extend(folders);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 10_100);
    }

    #[test]
    fn what_was_seen_before_changes_nothing() {
        let mut walk = Walk::default();
        for path in ["é/Ł/日", "É/ł/日", "é/ß/ł", "Ż/ż"] {
            assert_eq!(walk.hash(path, &mut Vec::new()), hash(path), "{path}");
        }
    }
}
