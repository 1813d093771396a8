//! Chunked bodies, read byte by byte where they are lines and in bulk where they are data.
//!
//! ```text
//!   Size --hex digits--> Extension --CR--> SizeEnd --LF--> Data --size bytes--> DataEnd --CR LF--+
//!    ^                                        |                                                  |
//!    |                                        +--LF, size 0--> Trailers --empty line--> Done     |
//!    +-------------------------------------------------------------------------------------------+
//! ```
//!
//! Holds     Any split of the same bytes gives the same body and the same error. No state waits for
//!           a byte it would refuse. Lines end in CR LF and nothing else: a bare LF accepted here
//!           and not elsewhere is how two readers come to see two different bodies.
//! Source    RFC 9112, section 7.1. httparse's chunk-size parser wants a whole line in one slice,
//!           which is why it is not used.

use super::error::{Part, Reason};
use super::head::{MAX_HEADERS, read_fields};
use super::headers::Headers;

/// A chunk's size line, extensions included. Nobody uses extensions; this is plenty for a nonce.
const MAX_SIZE_LINE: usize = 4096;

/// Where in the framing we are.
#[derive(Debug)]
enum State {
    /// In the digits of a size; how many so far.
    Size { size: u64, digits: usize },
    /// Behind the digits: skipped up to CR.
    Extension { size: u64 },
    /// Behind the CR.
    SizeEnd { size: u64 },
    /// In a chunk's data.
    Data { size: u64, left: u64 },
    /// Behind the data: CR, then LF.
    DataEnd { seen_cr: bool },
    /// Behind the last chunk: header lines up to an empty one.
    Trailers,
    /// Behind everything.
    Done,
}

/// Takes the chunks out of a body. `max_body` limits the data, `max_trailers` the trailers.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// Of the current size line, to limit it.
    line: usize,
    /// The raw trailer section.
    trailers: Vec<u8>,
    max_trailers: usize,
    max_body: u64,
}

impl Chunked {
    /// At the start of a chunked body.
    pub fn new(max_body: u64, max_trailers: usize) -> Chunked {
        let state = State::Size { size: 0, digits: 0 };
        Chunked {
            state,
            line: 0,
            trailers: Vec::new(),
            max_trailers,
            max_body,
        }
    }

    /// Reads from `input`, appends data to `body`, and says how much of `input` was used: all of
    /// it, unless the body ended within.
    pub fn read(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Reason> {
        let mut used = 0;
        while used < input.len() && !self.is_done() {
            if let State::Data { size, left } = self.state {
                let rest = &input[used..];
                let take = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                body.extend_from_slice(&rest[..take]);
                used += take;
                let left = left - take as u64;
                self.state = match left {
                    0 => State::DataEnd { seen_cr: false },
                    _ => State::Data { size, left },
                };
            } else {
                self.read_line_byte(input[used], body.len() as u64)?;
                used += 1;
            }
        }
        Ok(used)
    }

    /// Is the last byte of the trailers read?
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// What is missing when the stream ends here. Only while not done.
    pub fn truncated(&self) -> Reason {
        let (part, got, expected) = match self.state {
            State::Data { size, left } => (Part::Chunk, size - left, Some(size)),
            State::Trailers => (Part::Trailers, self.trailers.len() as u64, None),
            _ => (Part::ChunkLine, self.line as u64, None),
        };
        Reason::Truncated {
            part,
            got,
            expected,
        }
    }

    /// The fields behind the last chunk.
    pub fn trailers(&self) -> Result<Headers, Reason> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        match httparse::parse_headers(&self.trailers, &mut fields) {
            Ok(httparse::Status::Complete((_, fields))) => Ok(Headers::copy(fields)),
            Ok(httparse::Status::Partial) => Err(Reason::BadChunk("a trailer is not a header")),
            Err(error) => Err(read_fields(error)),
        }
    }

    fn read_line_byte(&mut self, byte: u8, body: u64) -> Result<(), Reason> {
        self.line += 1;
        if self.line > MAX_SIZE_LINE && !matches!(self.state, State::Trailers) {
            return Err(Reason::BadChunk("the line of a chunk's size is too long"));
        }
        self.state = match (&self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => State::Size {
                size: append_digit(*size, byte)?,
                digits: digits + 1,
            },
            (State::Size { digits: 0, .. }, _) => {
                return Err(Reason::BadChunk("a chunk without a size"));
            }
            (State::Size { size, .. }, b'\r') => State::SizeEnd { size: *size },
            // Spaces before the CR are no extension, but old servers pad with them.
            (State::Size { size, .. }, b';' | b' ' | b'\t') => State::Extension { size: *size },
            (State::Size { .. }, _) => {
                return Err(Reason::BadChunk("a chunk's size is not hexadecimal"));
            }
            (State::Extension { size }, b'\r') => State::SizeEnd { size: *size },
            (State::Extension { size }, b'\t' | b' '..=b'~' | 0x80..) => {
                State::Extension { size: *size }
            }
            (State::Extension { .. }, _) => {
                return Err(Reason::BadChunk(
                    "a control character in a chunk's extension",
                ));
            }
            (State::SizeEnd { size: 0 }, b'\n') => State::Trailers,
            (State::SizeEnd { size }, b'\n') if *size > self.max_body.saturating_sub(body) => {
                return Err(Reason::BodyTooLarge(self.max_body));
            }
            (State::SizeEnd { size }, b'\n') => State::Data {
                size: *size,
                left: *size,
            },
            (State::SizeEnd { .. }, _) => {
                return Err(Reason::BadChunk("CR without LF after a chunk's size"));
            }
            (State::DataEnd { seen_cr: false }, b'\r') => State::DataEnd { seen_cr: true },
            (State::DataEnd { seen_cr: true }, b'\n') => {
                self.line = 0;
                State::Size { size: 0, digits: 0 }
            }
            (State::DataEnd { .. }, _) => {
                return Err(Reason::BadChunk("a chunk is longer than its size"));
            }
            (State::Trailers, _) => return self.read_trailer_byte(byte),
            (State::Data { .. } | State::Done, _) => unreachable!("read() handles these"),
        };
        Ok(())
    }

    fn read_trailer_byte(&mut self, byte: u8) -> Result<(), Reason> {
        if self.trailers.len() >= self.max_trailers {
            return Err(Reason::HeadTooLarge(self.max_trailers));
        }
        self.trailers.push(byte);
        if byte == b'\n' && !self.trailers.ends_with(b"\r\n") {
            return Err(Reason::BadChunk("LF without CR in the trailers"));
        }
        if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
            self.state = State::Done;
        }
        Ok(())
    }
}

fn append_digit(size: u64, digit: u8) -> Result<u64, Reason> {
    let value = char::from(digit).to_digit(16).map_or(0, u64::from);
    let size = size
        .checked_mul(16)
        .and_then(|size| size.checked_add(value));
    size.ok_or(Reason::BadChunk("a chunk's size overflows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<(Chunked, Vec<u8>, usize), Reason> {
        let mut chunked = Chunked::new(100, 100);
        let mut body = Vec::new();
        let used = chunked.read(input, &mut body)?;
        Ok((chunked, body, used))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_taken_apart() {
        let input = b"3\r\nabc\r\n00A;x=\"y\" ; z\r\n0123456789\r\n0 \r\nA: b\r\nC:d\r\n\r\nrest";
        let (chunked, body, used) = read(input).unwrap();
        assert!(chunked.is_done());
        assert_eq!(body, b"abc0123456789");
        assert_eq!(&input[used..], b"rest");
        let trailers = chunked.trailers().unwrap();
        assert_eq!(
            (trailers.text("a"), trailers.text("c")),
            (Some("b"), Some("d"))
        );
    }

    #[test]
    fn what_breaks_the_framing_is_refused_at_once() {
        for (input, rule) in [
            (&b"\r\n"[..], "without a size"),
            (b";x\r\n", "without a size"),
            (b"-1\r\n", "without a size"),
            (b" 1\r\n", "without a size"),
            (b"0x1\r\n", "not hexadecimal"),
            (b"1g", "not hexadecimal"),
            (b"1\n", "not hexadecimal"),
            (b"1;\n", "control character"),
            (b"1;a\0", "control character"),
            (b"1\rx", "CR without LF"),
            (b"11111111111111111", "overflows"),
            (b"65\r\n", "larger than 100"),
            (b"64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n1\r\n", "larger than 100"),
            (b"ffffffffffffffff\r\n", "larger than 100"),
            (b"1\r\nab", "longer than its size"),
            (b"1\r\na\n", "longer than its size"),
            (b"1\r\na\r\r", "longer than its size"),
            (b"0\r\na: b\n", "LF without CR"),
            (b"0\r\n\n", "LF without CR"),
        ] {
            let error = read(input).err().unwrap_or_else(|| panic!("{}", input.escape_ascii()));
            assert!(error.to_string().contains(rule), "{}: {error}", input.escape_ascii());
        }
        let endless = [b"1;".as_slice(), &[b'x'; MAX_SIZE_LINE]].concat();
        assert!(read(&endless).is_err_and(|error| error.to_string().contains("too long")));
        let endless = [b"0\r\n".as_slice(), &[b'x'; 101]].concat();
        assert!(matches!(read(&endless), Err(Reason::HeadTooLarge(100))));
        let (chunked, ..) = read(b"0\r\nno colon\r\n\r\n").unwrap();
        assert!(chunked.trailers().is_err());
    }
}
