//! Header fields, in the order they came.

/// A list of name and value. Names compare without regard to case; a value is bytes, since HTTP
/// never promised UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Every field, in order, repeated ones as often as they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Every value of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The first value of `name`, when it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements of all values of `name`, read as one comma-separated list (RFC 9110, section
    /// 5.6.1): trimmed, empty ones left out. Not for fields whose elements may hold a comma.
    pub(super) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
    }

    /// Copies what httparse found. A value folded over several lines, which RFC 9112 (section
    /// 5.2) makes a client accept, becomes one line: each fold is replaced by a space.
    pub(super) fn copy(parsed: &[httparse::Header<'_>]) -> Headers {
        let owned = |header: &httparse::Header<'_>| {
            let lines = header.value.split(|byte| matches!(byte, b'\r' | b'\n'));
            let lines = lines
                .map(<[u8]>::trim_ascii)
                .filter(|line| !line.is_empty());
            (
                header.name.to_owned(),
                lines.collect::<Vec<_>>().join(&b' '),
            )
        };
        Headers(parsed.iter().map(owned).collect())
    }
}
