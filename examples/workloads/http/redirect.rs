//! Where a redirect leads, or why it is not followed.
//!
//! Only GET and HEAD are ever sent, so the differences between 301, 302, 303, 307 and 308, which
//! are about changing the method, vanish: each asks for the same thing elsewhere.

use super::error::Reason;
use super::head::Head;
use super::url::Url;

/// The URL to go on with, when `head` came from `url` and redirects; `None` when it does not.
///
/// `visited` holds every URL of this fetch so far, `url` last. A loop is found by coming back to
/// one of them: without cookies the same URL gives the same redirect, so waiting for the limit
/// would only cost requests.
pub fn follow(
    head: &Head,
    url: &Url,
    visited: &[Url],
    max_redirects: usize,
) -> Result<Option<Url>, Reason> {
    if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let mut locations = head.headers.all("location");
    let location = locations.next().ok_or(Reason::NoLocation(head.status))?;
    let location = String::from_utf8_lossy(location).into_owned();
    if locations.any(|other| other != location.as_bytes()) {
        let why = "and to another place in the same answer".to_owned();
        return Err(Reason::BadLocation { location, why });
    }
    let next = url.join(&location).map_err(|error| error.reason)?;
    if visited.contains(&next) {
        return Err(Reason::RedirectLoop(next.to_string()));
    }
    if url.origin().https && !next.origin().https {
        return Err(Reason::Downgrade(next.to_string()));
    }
    // `visited` begins with the URL that was asked for, to which no redirect led.
    if visited.len() > max_redirects {
        return Err(Reason::TooManyRedirects(max_redirects));
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &str) -> Head {
        let text = format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
        Head::read(text.as_bytes()).unwrap().unwrap().0
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn five_statuses_redirect_and_no_other_does() {
        let from = url("https://a/x/y");
        for status in 200..=599 {
            let head = head(status, "Location: ../z\r\n");
            let next = follow(&head, &from, std::slice::from_ref(&from), 10).unwrap();
            let expected = [301, 302, 303, 307, 308]
                .contains(&status)
                .then(|| url("https://a/z"));
            assert_eq!(next, expected, "{status}");
        }
    }

    #[test]
    fn a_redirect_that_leads_nowhere_good_is_an_error() {
        let here = url("https://a/x");
        let told = |fields: &str, visited: &[Url], limit| {
            follow(&head(302, fields), &here, visited, limit)
                .unwrap_err()
                .to_string()
        };
        let one = [here.clone()];
        assert_eq!(told("", &one, 10), "redirect 302 without a Location");
        assert!(told("Location: /x#again\r\n", &one, 10).contains("loop back to https://a/x"));
        assert!(told("Location: http://a/y\r\n", &one, 10).contains("refused"));
        assert!(told("Location: ftp://a/y\r\n", &one, 10).contains("scheme ftp"));
        assert!(told("Location: /a b\r\n", &one, 10).contains("space"));
        assert!(told("Location: /\u{1f600}\r\n", &one, 10).contains("not allowed"));
        assert!(told("Location: /y\r\nLocation: /z\r\n", &one, 10).contains("another place"));
        assert!(told("Location: /y\r\n", &one, 0).contains("more than 0 redirects"));
        let two = [url("http://b/"), here.clone()];
        assert!(told("Location: http://b/\r\n", &two, 10).contains("loop"));
        assert!(told("Location: /y\r\n", &two, 1).contains("more than 1 redirects"));
    }

    #[test]
    fn plain_may_become_secure_and_a_limit_of_n_allows_n() {
        let visited = [url("http://b/"), url("http://a/x")];
        let head = head(301, "Location: https://a/y\r\n");
        let next = follow(&head, &visited[1], &visited, 2).unwrap();
        assert_eq!(next, Some(url("https://a/y")));
    }
}
