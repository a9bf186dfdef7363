//! Where a torrent's files may go: whatever a stranger wrote becomes a path that is safe to create.
//!
//! One rule, the same on every system, so that two runs never disagree about a name. It starts from what
//! libtorrent does on Unix, so that the same data is found by both. Component by component:
//!
//! 1. `/`, `\` and the characters that change the direction of text are left out. Control characters, line and
//!    paragraph separators and each run of bytes that is not UTF-8 become `_`.
//! 2. A component longer than [`COMPONENT_LEN_MAX`] bytes is cut before its extension.
//! 3. `.`, `..`, any other component of nothing but dots and spaces, and one that is empty or of which the steps
//!    before left nothing, becomes `_`, so `../../etc/passwd` is `_/_/etc/passwd`.
//! 4. A name that is a device on Windows (`CON`, `COM1`, `aux.c`) gets `_` in front, and is cut again if need be.
//!
//! Dots and spaces at the end stay, since real folders have them (`R.E.M.`), and so do `:`, `?`, `*`, `<`, `>`,
//! `|` and `"`: Unix takes them, and data that another client downloaded has them. A driver for a system that
//! refuses them has to map them.
//!
//! Two files may not end up with one path, or one file with another's folder, on a system that ignores case or
//! dots and spaces at the end of a name. The first in the torrent's order keeps its name (a folder always does),
//! the others get a number before the extension: `a.txt`, `a.1.txt`. After [`COLLISIONS_MAX`] tries the torrent
//! is refused. Padding and symbolic links are never created and never collide.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::iter::FusedIterator;

use super::error::MetainfoError;
use super::fold::Walk;
use super::info::File;

/// Longest component of a path in bytes: file systems take 255, and programs add suffixes while they work.
pub const COMPONENT_LEN_MAX: usize = 240;

/// Names tried for files that collide, in all: hostile torrents have that many, real ones a handful.
pub const COLLISIONS_MAX: u32 = 500;

/// A relative path whose components are safe to create: none is empty, `.` or `..`, has a separator or control
/// character in it, or is longer than [`COMPONENT_LEN_MAX`] bytes.
///
/// ```
/// use pieceful_core::metainfo::SafePath;
///
/// let path = SafePath::mapped([&b"music"[..], b"..", b"R.E.M.", b"it/s\x07\xff.flac"]);
/// assert_eq!(path.to_string(), "music/_/R.E.M./its__.flac");
/// assert_eq!(path.file_name(), "its__.flac");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(Box<str>);

impl SafePath {
    /// The path of these components, outermost first, unless there is none or one of them is not safe as it is.
    pub fn new<C: AsRef<str>>(components: impl IntoIterator<Item = C>) -> Option<Self> {
        let mut path = PathBuilder::default();
        for name in components {
            let name = name.as_ref();
            if component(name.as_bytes()) != name {
                return None;
            }
            path.push(name.as_bytes());
        }
        (path.depth > 0).then(|| path.finish())
    }

    /// The safe path that `components`, as a stranger wrote them, are mapped to.
    #[must_use]
    pub fn mapped<C: AsRef<[u8]>>(components: impl IntoIterator<Item = C>) -> Self {
        let mut path = PathBuilder::default();
        for component in components {
            path.push(component.as_ref());
        }
        path.finish()
    }

    /// The safe path of one component that `name` is mapped to.
    #[must_use]
    pub fn single(name: &str) -> Self {
        Self::mapped([name])
    }

    /// Its components, outermost first; at least one.
    pub fn components(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator + Clone {
        let left = 1 + self.0.bytes().filter(|&b| b == b'/').count();
        Components { split: self.0.split('/'), left }
    }

    /// Its last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// All of it, components joined by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafePath {
    /// Components joined by `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[derive(Clone)]
struct Components<'a> {
    split: core::str::Split<'a, char>,
    left: usize,
}

impl<'a> Iterator for Components<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.left = self.left.saturating_sub(1);
        self.split.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Components<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.saturating_sub(1);
        self.split.next_back()
    }
}

impl ExactSizeIterator for Components<'_> {}
impl FusedIterator for Components<'_> {}

/// A [`SafePath`] being put together. Kept from file to file, so that only the path itself is allocated.
#[derive(Debug, Default)]
pub(super) struct PathBuilder {
    text: String,
    depth: usize,
}

impl PathBuilder {
    /// Begins again below `root`, which is a safe component.
    pub(super) fn restart(&mut self, root: &str) {
        self.text.clear();
        self.text.push_str(root);
        self.depth = 1;
    }

    /// Adds what `raw` is mapped to.
    pub(super) fn push(&mut self, raw: &[u8]) {
        if self.depth > 0 {
            self.text.push('/');
        }
        self.depth += 1;
        match as_is(raw) {
            Some(plain) => self.text.push_str(plain),
            None => push_mapped(&mut self.text, raw),
        }
    }

    /// Components so far.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The path so far, `_` when it has no component.
    pub(super) fn finish(&self) -> SafePath {
        SafePath(if self.depth == 0 { "_".into() } else { self.text.as_str().into() })
    }
}

/// The safe component that `raw` is mapped to.
pub(super) fn component(raw: &[u8]) -> String {
    let mut path = PathBuilder::default();
    path.push(raw);
    path.text
}

/// `raw` itself where it is seen at once that nothing has to be done: most names.
fn as_is(raw: &[u8]) -> Option<&str> {
    let seen = raw.iter().fold(0, |seen, &byte| seen | SIGNS[usize::from(byte)]);
    let plain = seen & SUSPECT == 0 && seen & LETTER != 0 && raw.len() <= COMPONENT_LEN_MAX;
    let name = if plain { core::str::from_utf8(raw).ok()? } else { return None };
    (!is_device(name)).then_some(name)
}

/// A byte that may be part of a character that has to go.
const SUSPECT: u8 = 1;
/// A byte that makes a name more than dots and spaces.
const LETTER: u8 = 2;

/// What each byte says about the name it is in: one look a byte, since large torrents have a million of them.
static SIGNS: [u8; 256] = {
    let mut signs = [LETTER; 256];
    let mut byte = 0;
    while byte < signs.len() {
        // In UTF-8 every character that has to go begins with one of these bytes, if it is not ASCII.
        signs[byte] = match byte as u8 {
            0..b' ' | b'/' | b'\\' | 0x7f | 0xc2 | 0xd8 | 0xe2 => SUSPECT,
            b' ' | b'.' => 0,
            _ => LETTER,
        };
        byte += 1;
    }
    signs
};

fn push_mapped(text: &mut String, raw: &[u8]) {
    let start = text.len();
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '/' | '\\' => {}
                _ if turns_text(c) => {}
                _ if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => text.push('_'),
                _ => text.push(c),
            }
        }
        if !chunk.invalid().is_empty() {
            text.push('_');
        }
    }
    // What makes a name more than dots, or another one than a device's, may be what is cut off.
    cut(text, start);
    let name = text.get(start..).unwrap_or_default();
    if name.bytes().all(|b| matches!(b, b'.' | b' ')) {
        text.truncate(start);
        text.push('_');
    } else if is_device(name) {
        text.insert(start, '_');
        cut(text, start);
    }
}

/// Cuts the component that begins at `start` if it is too long.
fn cut(text: &mut String, start: usize) {
    let name = text.get(start..).unwrap_or_default();
    if name.len() > COMPONENT_LEN_MAX {
        let cut = with_suffix(name, "");
        text.truncate(start);
        text.push_str(&cut);
    }
}

/// Characters that change the direction of the text around them: with them `exe.gpj` is shown as `jpg.exe`.
pub(super) fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether Windows takes `name` for a device, whatever its extension.
fn is_device(name: &str) -> bool {
    if !matches!(
        name.as_bytes(),
        [b'A' | b'C' | b'L' | b'N' | b'P' | b'a' | b'c' | b'l' | b'n' | b'p', _, _, ..]
    ) {
        return false;
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let is = |device: &str| stem.eq_ignore_ascii_case(device);
    match stem.len() {
        3 => is("CON") || is("PRN") || is("AUX") || is("NUL"),
        4 | 5 => {
            let Some((port, number)) = stem.split_at_checked(3) else { return false };
            (port.eq_ignore_ascii_case("COM") || port.eq_ignore_ascii_case("LPT"))
                && matches!(
                    number,
                    "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
                )
        }
        6 => is("CONIN$") || is("CLOCK$"),
        7 => is("CONOUT$"),
        _ => false,
    }
}

/// `name` with `suffix` before its extension, cut before that to [`COMPONENT_LEN_MAX`] bytes.
fn with_suffix(name: &str, suffix: &str) -> String {
    /// Longer than this it is part of a sentence, not an extension.
    const EXTENSION_LEN_MAX: usize = 16;
    let dot = name.rfind('.').filter(|&dot| dot > 0 && name.len() - dot <= EXTENSION_LEN_MAX);
    let (stem, extension) = name.split_at_checked(dot.unwrap_or(name.len())).unwrap_or((name, ""));
    let room = COMPONENT_LEN_MAX - extension.len() - suffix.len();
    let stem = stem.get(..stem.floor_char_boundary(room)).unwrap_or(stem);
    [stem, suffix, extension].concat()
}

/// Gives files that would collide another name.
pub(super) fn keep_apart(files: &mut [File]) -> Result<(), MetainfoError> {
    let (mut names, mut folders) = (Vec::with_capacity(files.len()), Vec::new());
    let mut walk = Walk::default();
    for (index, file) in files.iter().enumerate() {
        if !file.padding && !file.symlink {
            names.push((walk.hash(file.path.as_str(), &mut folders), index));
        }
    }
    names.sort_unstable();
    folders.sort_unstable();
    folders.dedup();
    let mut before = None;
    let mut folder = folders.iter().peekable();
    let mut colliding = Vec::new();
    for &(hash, index) in &names {
        while folder.next_if(|&&folder| folder < hash).is_some() {}
        if before == Some(hash) || folder.peek() == Some(&&hash) {
            colliding.push((index, hash));
        }
        before = Some(hash);
    }
    if colliding.is_empty() {
        return Ok(());
    }
    colliding.sort_unstable();
    let taken = names.iter().map(|&(hash, _)| hash).chain(folders).collect();
    rename(files, &colliding, taken)
}

fn rename(
    files: &mut [File],
    colliding: &[(usize, u64)],
    mut taken: BTreeSet<u64>,
) -> Result<(), MetainfoError> {
    let mut tries = 0;
    let mut numbers: BTreeMap<u64, u32> = BTreeMap::new();
    for &(index, hash) in colliding {
        let Some(file) = files.get_mut(index) else { continue };
        let number = numbers.entry(hash).or_default();
        let (folder, name) = file.path.0.rsplit_once('/').unwrap_or(("", &file.path.0));
        loop {
            if tries == COLLISIONS_MAX {
                return Err(MetainfoError::TooManyCollisions { path: file.path.as_str().into() });
            }
            tries += 1;
            *number += 1;
            let mut suffix = String::new();
            write!(suffix, ".{number}").expect("metainfo: writing to a String does not fail");
            let mut path = PathBuilder::default();
            path.restart(folder);
            path.depth = usize::from(!folder.is_empty());
            path.push(with_suffix(name, &suffix).as_bytes());
            let path = path.finish();
            if taken.insert(Walk::default().hash(path.as_str(), &mut Vec::new())) {
                file.path = path;
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::{format, vec};

    use super::*;

    fn path(components: &[&str]) -> String {
        SafePath::mapped(components).to_string()
    }

    fn files(paths: &[&str]) -> Vec<File> {
        let file = |path: &&str| File {
            path: SafePath::mapped(path.split('/')),
            length: 1,
            padding: false,
            symlink: false,
            executable: false,
        };
        paths.iter().map(file).collect()
    }

    fn kept_apart(paths: &[&str]) -> Vec<String> {
        let mut files = files(paths);
        keep_apart(&mut files).unwrap();
        files.iter().map(|file| file.path.to_string()).collect()
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        assert_eq!(path(&["..", "..", "etc", "passwd"]), "_/_/etc/passwd");
        assert_eq!(path(&["a", ".", "b"]), "a/_/b");
        assert_eq!(path(&["../../etc/passwd"]), "....etcpasswd");
        assert_eq!(path(&["/etc/passwd"]), "etcpasswd");
        assert_eq!(path(&["..\\..\\x"]), "....x");
        assert_eq!(path(&["/.."]), "_");
        assert_eq!(path(&[".", ".."]), "_/_");
        assert_eq!(path(&["", "x", ""]), "_/x/_");
        assert_eq!(path(&[]), "_");
        assert_eq!(path(&["\u{202e}..", "a"]), "_/a");
        assert_eq!(path(&["NewSuperHeroMovie.../../../"]), "NewSuperHeroMovie.......");
    }

    #[test]
    fn dots_and_spaces_alone_never_stand_for_a_folder_on_any_system() {
        assert_eq!(path(&["...", ".. ", " ", ". .", "a"]), "_/_/_/_/a");
        assert_eq!(path(&["R.E.M.", "Vol 1 ", "a...b", ".hidden"]), "R.E.M./Vol 1 /a...b/.hidden");
    }

    #[test]
    fn control_characters_bad_utf8_and_tricks_with_direction_do_not_survive() {
        assert_eq!(path(&["a\0b\x1b[31m\x7f\u{85}\r\n\tc\u{2028}"]), "a_b_[31m_____c_");
        assert_eq!(path(&["photo\u{202e}gpj.exe\u{2066}\u{200f}"]), "photogpj.exe");
        assert_eq!(SafePath::mapped([&b"a\xffb\xc0\xafc\xed\xa0\x80"[..]]).to_string(), "a_b__c___");
        assert_eq!(path(&["日本語", "naïve ☃.txt"]), "日本語/naïve ☃.txt");
        assert_eq!(path(&["What? Yes: <No>*|\".mkv"]), "What? Yes: <No>*|\".mkv");
    }

    #[test]
    fn device_names_of_windows_are_not_taken_literally() {
        for name in ["CON", "com1", "Lpt9.txt", "aux.c", "nul .tar.gz", "COM\u{b9}", "conin$", "CONOUT$"] {
            assert_eq!(path(&[name]), format!("_{name}"));
        }
        for name in ["console", "com", "com10", "xCON", "aux-1.c", "lpt\u{e9}", "日本"] {
            assert_eq!(path(&[name]), name);
        }
    }

    #[test]
    fn a_long_component_is_cut_and_keeps_its_extension() {
        let ascii = path(&[&format!("{}.tar.gz", "x".repeat(300))]);
        assert_eq!(ascii, format!("{}.gz", "x".repeat(237)));
        let wide = path(&[&format!("{}.mkv", "語".repeat(100))]);
        assert!(wide.len() <= 240 && wide.len() > 236 && wide.ends_with("語.mkv"));
        let sentence = path(&[&format!("a. {}", "b".repeat(300))]);
        assert_eq!(sentence.len(), 240);
        assert_eq!(path(&[&"y".repeat(240)]).len(), 240);
    }

    #[test]
    fn what_a_cut_leaves_is_safe_as_it_is() {
        let (dots, spaces) = (".".repeat(250), " ".repeat(250));
        assert_eq!(path(&[&format!("{dots}a{dots}")]), "_");
        assert_eq!(path(&[&format!("{spaces}a. ")]), "_");
        let device = path(&[&format!("CON{spaces}x.txt")]);
        assert_eq!(device, format!("_CON{}.txt", " ".repeat(232)));
        assert_eq!(SafePath::new([&device]).map(|path| path.to_string()), Some(device));
    }

    #[test]
    fn files_with_the_same_path_are_numbered_before_the_extension() {
        assert_eq!(
            kept_apart(&["t/a.txt", "t/A.TXT", "t/a.1.txt", "t/a.txt", "t/b/a.txt"]),
            ["t/a.txt", "t/A.2.TXT", "t/a.1.txt", "t/a.3.txt", "t/b/a.txt"]
        );
        assert_eq!(kept_apart(&["t/Σας", "t/ΣΑΣ", "t/x.", "t/x"]), ["t/Σας", "t/ΣΑΣ.1", "t/x.", "t/x.1"]);
        let long = "z".repeat(240);
        let renamed = kept_apart(&[&long, &long]);
        assert_eq!(renamed[1], format!("{}.1", "z".repeat(238)));
    }

    #[test]
    fn a_file_makes_room_for_a_folder_of_its_name() {
        assert_eq!(kept_apart(&["t/a", "t/A/b", "t/A/c"]), ["t/a.1", "t/A/b", "t/A/c"]);
        assert_eq!(kept_apart(&["t/a/b/c", "t/a/b", "t/a"]), ["t/a/b/c", "t/a/b.1", "t/a.1"]);
        assert_eq!(kept_apart(&["t/x/a", "t/y", "t/X/b", "t/x"]), ["t/x/a", "t/y", "t/X/b", "t/x.1"]);
    }

    #[test]
    fn padding_and_links_may_share_a_path() {
        let mut same = files(&["t/.pad/1", "t/.pad/1", "t/l", "t/l"]);
        same[1].padding = true;
        same[3].symlink = true;
        let before = same.clone();
        keep_apart(&mut same).unwrap();
        assert_eq!(same, before);
    }

    #[test]
    fn five_hundred_collisions_are_resolved_and_one_more_is_refused() {
        assert_eq!(kept_apart(&vec!["a"; 501])[500], "a.500");
        let mut files = files(&vec!["a"; 502]);
        assert_eq!(keep_apart(&mut files), Err(MetainfoError::TooManyCollisions { path: "a".into() }));
    }

    #[test]
    fn a_path_is_made_of_components_only_when_each_is_safe_as_it_is() {
        assert_eq!(SafePath::new(["a b", ".c", "d."]).unwrap().to_string(), "a b/.c/d.");
        for unsafe_name in ["", ".", "..", "a/b", "a\\b", "CON", "\0", "..."] {
            assert_eq!(SafePath::new(["a", unsafe_name]), None, "{unsafe_name:?}");
        }
        assert_eq!(SafePath::new::<&str>([]), None);
    }

    #[test]
    fn components_are_counted_from_both_ends() {
        let path = SafePath::new(["a", "b", "c"]).unwrap();
        let mut components = path.components();
        assert_eq!((components.len(), components.next_back(), components.len()), (3, Some("c"), 2));
        assert_eq!(components.collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(SafePath::single("a/b").components().len(), 1);
    }
}
