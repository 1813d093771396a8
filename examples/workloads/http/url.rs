//! Which URLs may be fetched, and where a redirect leads.
//!
//! Grammar, normal form and reference resolution are `fluent-uri`'s (RFC 3986, and strict: it
//! repairs nothing). On top of it this file refuses what an HTTP request must not carry: schemes
//! other than http and https, user names and passwords, an empty or percent-encoded host, port 0.
//!
//! Holds     A [`Url`] contains no CR, LF, space, control or non-ASCII character, anywhere. A
//!           request is written from a `Url` only, so nobody can inject a header through one.
//! Rejected  the `url` crate: it repairs silently what we must refuse (it drops CR and LF), and
//!           brings the Unicode tables of IDNA along.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use fluent_uri::component::{Authority, Scheme};
use fluent_uri::{ParseError, Uri, UriRef};

use super::error::{Error, Reason};

/// Whom to connect to: scheme, host and port. Connections are kept and reused by origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// TLS on the connection?
    pub https: bool,
    /// A lower-case name, or an IP address without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl Origin {
    /// The address when the host is one already, so that nobody needs to be asked.
    pub fn literal(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }

    fn default_port(https: bool) -> u16 {
        if https { 443 } else { 80 }
    }
}

impl fmt::Display for Origin {
    /// The value of a Host header: brackets around IPv6, no port when it is the scheme's own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        match self.port == Origin::default_port(self.https) {
            true => Ok(()),
            false => write!(f, ":{}", self.port),
        }
    }
}

/// An absolute http or https URL that is safe to put into a request. Cheap to clone.
///
/// Kept in normal form: lower-case scheme and host, no default port, no `.` and `..`, unreserved
/// characters not percent-encoded, no fragment (it is the reader's business and never sent).
///
/// ```
/// use workloads::http::url::Url;
///
/// let url = Url::parse("HTTP://Example.com:80/a/../flags?size=1#top").unwrap();
/// assert_eq!(url.as_str(), "http://example.com/flags?size=1");
/// assert_eq!(url.join("/ye.jpg").unwrap().as_str(), "http://example.com/ye.jpg");
/// assert!(Url::parse("http://example.com/a b").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    text: String,
    origin: Origin,
    /// Where in `text` path and query begin; they reach to its end.
    target: usize,
}

impl Url {
    /// Reads an absolute URL.
    ///
    /// # Errors
    ///
    /// [`Reason::BadUrl`], naming the rule that `text` breaks and where.
    pub fn parse(text: &str) -> Result<Url, Error> {
        Self::read(text).map_err(|why| Error {
            url: text.to_owned(),
            reason: Reason::BadUrl(why),
        })
    }

    /// Resolves `reference` as seen from this URL (RFC 3986, section 5): absolute, `//host/path`,
    /// `/path`, `path`, `../path` or `?query`.
    ///
    /// # Errors
    ///
    /// [`Reason::BadLocation`], when the result is not a URL that [`Url::parse`] accepts.
    pub fn join(&self, reference: &str) -> Result<Url, Error> {
        self.resolve(reference).map_err(|why| Error {
            url: self.as_str().to_owned(),
            reason: Reason::BadLocation {
                location: reference.to_owned(),
                why,
            },
        })
    }

    /// The whole URL, in normal form.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whom to connect to.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Path and query, as the request line carries them; never empty.
    pub fn target(&self) -> &str {
        &self.0.text[self.0.target..]
    }

    fn read(text: &str) -> Result<Url, String> {
        let uri = Uri::parse(text).map_err(|error| explain(text, error))?;
        Self::check(uri.strip_fragment().normalize())
    }

    fn resolve(&self, reference: &str) -> Result<Url, String> {
        let base = Uri::parse(self.as_str()).map_err(|error| explain(self.as_str(), error))?;
        let reference = UriRef::parse(reference).map_err(|error| explain(reference, error))?;
        let uri = reference
            .resolve_against(&base)
            .map_err(|error| error.to_string())?;
        Self::check(uri.strip_fragment().normalize())
    }

    fn check(uri: Uri<String>) -> Result<Url, String> {
        let https = match uri.scheme() {
            scheme if scheme == HTTP => false,
            scheme if scheme == HTTPS => true,
            other => {
                return Err(format!(
                    "scheme {} is neither http nor https",
                    other.as_str()
                ));
            }
        };
        let authority = uri.authority().ok_or("the URL has no host")?;
        let origin = Origin {
            https,
            host: host(&authority)?,
            port: port(&authority, https)?,
        };
        // Written anew rather than sliced out: an empty path becomes "/", and what is sent is
        // made of checked parts only.
        let scheme = if https { "https" } else { "http" };
        let path = if uri.path().is_empty() {
            "/"
        } else {
            uri.path().as_str()
        };
        let mut text = format!("{scheme}://{origin}");
        let target = text.len();
        text.push_str(path);
        if let Some(query) = uri.query() {
            text.push('?');
            text.push_str(query.as_str());
        }
        debug_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        Ok(Url(Arc::new(Parts {
            text,
            origin,
            target,
        })))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({})", self.as_str())
    }
}

impl std::str::FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Url, Error> {
        Url::parse(text)
    }
}

const HTTP: &Scheme = Scheme::new_or_panic("http");
const HTTPS: &Scheme = Scheme::new_or_panic("https");

fn host(authority: &Authority<'_>) -> Result<String, String> {
    if authority.has_userinfo() {
        return Err("user name and password in a URL are not supported".to_owned());
    }
    let host = authority.host();
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.trim_end_matches(']');
        // Anything in brackets that is not IPv6 is reserved for versions yet to come.
        let address: Ipv6Addr = inner
            .parse()
            .map_err(|_| format!("[{inner}] is not an IPv6 address"))?;
        return Ok(address.to_string());
    }
    if host.is_empty() {
        return Err("the URL has no host".to_owned());
    }
    let in_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if let Some(stranger) = host.chars().find(|c| !in_names(*c)) {
        return Err(format!("'{stranger}' is not allowed in a host name"));
    }
    // "::1" without brackets never gets here, and an address has one spelling only.
    Ok(match host.parse::<Ipv4Addr>() {
        Ok(address) => address.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    })
}

fn port(authority: &Authority<'_>, https: bool) -> Result<u16, String> {
    match authority.port_to_u16() {
        Ok(None) => Ok(Origin::default_port(https)),
        Ok(Some(0)) => Err("port 0 cannot be connected to".to_owned()),
        Ok(Some(port)) => Ok(port),
        Err(_) => Err("the port is larger than 65535".to_owned()),
    }
}

/// The parser names an index and a kind; people want to see the character.
fn explain(text: &str, error: ParseError) -> String {
    let at = error.index();
    match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some(' ') => format!("a space at byte {at} is not allowed in a URL (write %20)"),
        Some('%') => format!("'%' at byte {at} is not followed by two hexadecimal digits"),
        Some(c) => format!(
            "'{}' at byte {at} is not allowed there in a URL",
            c.escape_default()
        ),
        None => "it ends before it is an absolute URL (http://host/path)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        Url::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn a_url_is_taken_apart_and_put_into_normal_form() {
        for (text, normal, host, port, target) in [
            ("http://a", "http://a/", "a", 80, "/"),
            ("http://a:80/", "http://a/", "a", 80, "/"),
            ("http://a:/x", "http://a/x", "a", 80, "/x"),
            ("https://a/x?y=z", "https://a/x?y=z", "a", 443, "/x?y=z"),
            ("https://a:80?q", "https://a:80/?q", "a", 80, "/?q"),
            (
                "HTTPS://A.b-C:444/%7e%2f",
                "https://a.b-c:444/~%2F",
                "a.b-c",
                444,
                "/~%2F",
            ),
            (
                "http://[::0001]:8080/x",
                "http://[::1]:8080/x",
                "::1",
                8080,
                "/x",
            ),
            (
                "http://127.0.0.1/x#frag",
                "http://127.0.0.1/x",
                "127.0.0.1",
                80,
                "/x",
            ),
            ("http://a/b/../../../c/./d", "http://a/c/d", "a", 80, "/c/d"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.as_str(), normal);
            assert_eq!(
                (url.origin().host.as_str(), url.origin().port),
                (host, port),
                "{text}"
            );
            assert_eq!(url.target(), target, "{text}");
            assert_eq!(Url::parse(normal).unwrap(), url, "normal form is stable");
        }
    }

    #[test]
    fn every_character_that_could_break_a_request_is_refused() {
        for code in (0..=0x20)
            .chain(0x7f..=0x180)
            .chain([0x2028, 0xfeff, 0x1f600])
        {
            let c = char::from_u32(code).unwrap();
            for text in [
                format!("http://a/x{c}y"),
                format!("http://a/x?{c}y"),
                format!("http://a{c}b/"),
                format!("http://a:8{c}0/"),
                format!("ht{c}tp://a/"),
                format!("http://a/#{c}"),
                format!("{c}http://a/"),
                format!("http://a/{c}"),
            ] {
                let line = why(&text);
                assert!(
                    line.chars().all(|c| !c.is_control()),
                    "{line:?} is not one clean line"
                );
            }
        }
        assert!(why("http://a/x\r\nHost: b").contains("'\\r' at byte 10"));
        assert!(why("http://a/x y").contains("a space at byte 10"));
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_with_its_rule() {
        for (text, rule) in [
            ("ftp://a/x", "scheme ftp"),
            ("http:/x", "no host"),
            ("http:///x", "no host"),
            ("http://:80/x", "no host"),
            ("/x", "byte 0"),
            ("", "ends before"),
            ("http", "ends before"),
            ("http://user@a/", "user name"),
            ("http://user:pass@a/", "user name"),
            ("http://@a/", "user name"),
            ("http://a:0/", "port 0"),
            ("http://a:65536/", "larger than 65535"),
            ("http://a:99999999999999999999/", "larger than 65535"),
            ("http://a%0d%0ab/", "'%' is not allowed in a host"),
            ("http://a$b/", "'$' is not allowed in a host"),
            ("http://[v1.x]/", "not an IPv6"),
            ("http://[::1", "ends before"),
            ("http://a/%zz", "two hexadecimal"),
            ("http://a/%4", "two hexadecimal"),
            ("http://a/<b>", "'<' at byte 9"),
        ] {
            let line = why(text);
            assert!(line.contains(rule), "{text:?}: {line}");
        }
    }

    #[test]
    fn references_resolve_as_rfc_3986_section_5_4_says() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, result) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../../../g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("https://h:1/x#s", "https://h:1/x"),
        ] {
            assert_eq!(
                base.join(reference).unwrap().as_str(),
                result,
                "{reference:?}"
            );
        }
        for bad in [
            "mailto:x", "http:g", "//u@h/", "a b", "x\ny", "http://", "//h:0/", "é",
        ] {
            let error = base.join(bad).expect_err(bad).to_string();
            assert!(
                error.starts_with("http://a/b/c/d;p?q: redirect to"),
                "{error}"
            );
        }
    }
}
