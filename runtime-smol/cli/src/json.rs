//! JSON on standard output: exact for a program, harmless on a terminal.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

use crate::errors::Failure;
use crate::output;
use crate::printable::is_unsafe;

/// Writes `value` as one line and flushes.
pub(crate) fn line(value: &impl Serialize) -> Result<(), Failure> {
    output::line(&to_string(value))
}

fn to_string(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut text, Escaping))
        .expect("json: plain structs with string keys, written to memory");
    String::from_utf8(text).expect("json: serde_json writes UTF-8")
}

/// Compact JSON in which every character a terminal would act upon is written as its number: the same value to
/// a program, no escape sequence to a screen.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some(place) = rest.find(is_unsafe) {
            let (plain, from) = rest.split_at(place);
            writer.write_all(plain.as_bytes())?;
            let mut after = from.chars();
            for unit in after.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reads_the_exact_text_and_a_terminal_sees_no_control() {
        let text = "a\u{1b}[2J\u{202e}b\u{9b}\u{e0001}\"é日\n";
        let written = to_string(&text);
        assert_eq!(written, r#""a\u001b[2J\u202eb\u009b\udb40\udc01\"é日\n""#);
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}
