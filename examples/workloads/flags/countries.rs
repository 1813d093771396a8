//! The 249 countries: codes, names and flags.
//!
//! ```text
//!   names.tsv   ye <tab> yemen          --+
//!               us <tab> united-states... |--> all(): [Country] by code --> by_code, by_name, find
//!   jpg/        ye.jpg us.jpg ...       --+
//! ```
//!
//! Owns      one table, made at the first use from files that are compiled in; read only from then on.
//! Holds     a code has one canonical name and one image; a name belongs to one country; no name is
//!           another country's code. The tests at the end of this file keep it so.
//! Cost      1.5 MB in the binary. By code a binary search; by name a scan of some 450 strings, which
//!           is nothing beside a request.
//! Source    `examples/data/flags/README.md`.

use include_dir::{Dir, include_dir};
use std::sync::LazyLock;

static JPEGS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/examples/data/flags/jpg");
static NAMES: &str = include_str!("../../data/flags/names.tsv");
static COUNTRIES: LazyLock<Vec<Country>> = LazyLock::new(|| {
    let rows = NAMES.lines().filter(|line| !line.starts_with('#'));
    rows.map(Country::from_row).collect()
});

/// A country of ISO 3166-1, and its flag.
#[derive(Debug)]
pub struct Country {
    /// Two lower-case letters: `ye`.
    pub code: &'static str,
    /// The canonical name, as it stands in the path of a URL: `yemen`, `cote-d-ivoire`.
    pub name: &'static str,
    /// Other names for it in the same spelling: `ivory-coast`.
    pub aliases: Vec<&'static str>,
    /// The flag, a JPEG of 320 by 240 pixels.
    pub image: &'static [u8],
}

impl Country {
    /// # Panics
    /// When the row is malformed or has no image: the data, not the user, is wrong.
    fn from_row(row: &'static str) -> Country {
        let (code, names) = row.split_once('\t').expect("names.tsv: code, tab, names");
        let (name, aliases) = names.split_once(' ').unwrap_or((names, ""));
        let image = JPEGS.get_file(format!("{code}.jpg"));
        Country {
            code,
            name,
            aliases: aliases.split_ascii_whitespace().collect(),
            image: image.expect("an image for every row").contents(),
        }
    }

    /// The canonical name, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// Every country, in the order of the codes.
///
/// ```
/// assert_eq!(workloads::flags::countries::all().len(), 249);
/// ```
pub fn all() -> &'static [Country] {
    &COUNTRIES
}

/// The country with exactly this code.
///
/// ```
/// use workloads::flags::countries::by_code;
/// assert_eq!(by_code("zm").unwrap().name, "zambia");
/// assert!(by_code("ZM").is_none()); // `find` is the forgiving one
/// ```
pub fn by_code(code: &str) -> Option<&'static Country> {
    let found = all().binary_search_by_key(&code, |country| country.code);
    found.ok().map(|index| &all()[index])
}

/// The country with exactly this name, canonical or alias.
pub fn by_name(name: &str) -> Option<&'static Country> {
    all()
        .iter()
        .find(|country| country.names().any(|known| known == name))
}

/// The country that a person means: a code, a name or an alias, in any case, with or without accents,
/// and with anything between the words.
///
/// ```
/// use workloads::flags::countries::find;
/// for text in ["ci", "CI", "ivory coast", "Ivory_Coast", "Côte d'Ivoire"] {
///     assert_eq!(find(text).unwrap().name, "cote-d-ivoire");
/// }
/// ```
pub fn find(text: &str) -> Option<&'static Country> {
    let name = slug(text);
    by_code(&name).or_else(|| by_name(&name))
}

/// The canonical name of the country with this code, see [`by_code`].
pub fn name(code: &str) -> Option<&'static str> {
    by_code(code).map(|country| country.name)
}

/// The flag of the country with this code, see [`by_code`].
pub fn image(code: &str) -> Option<&'static [u8]> {
    by_code(code).map(|country| country.image)
}

/// All 676 pairs of letters, from `aa` to `zz`; 249 of them are countries.
pub fn pairs() -> impl Iterator<Item = String> {
    ('a'..='z').flat_map(|first| ('a'..='z').map(move |second| format!("{first}{second}")))
}

/// The known name closest to one that [`find`] does not know, if one is close: at most one letter in
/// three added, dropped, changed, or swapped with its neighbour.
///
/// ```
/// use workloads::flags::countries::suggest;
/// assert_eq!(suggest("vietnma"), Some("vietnam"));
/// assert_eq!(suggest("atlantis"), None);
/// ```
pub fn suggest(text: &str) -> Option<&'static str> {
    let asked = slug(text);
    let limit = asked.chars().count() / 3;
    let names = all().iter().flat_map(Country::names);
    let distances = names.map(|name| (strsim::osa_distance(&asked, name), name));
    let (distance, name) = distances.min_by_key(|&(distance, _)| distance)?;
    (distance <= limit).then_some(name)
}

/// The text as names are spelt: lower case, no accents, words joined by one hyphen.
fn slug(text: &str) -> String {
    let letters = text
        .chars()
        .flat_map(char::to_lowercase)
        .filter_map(without_accent);
    let mut slug = String::with_capacity(text.len());
    for letter in letters {
        if letter.is_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// The plain letter below the accents that country names use; `None` for an accent that stands alone.
fn without_accent(letter: char) -> Option<char> {
    match letter {
        '\u{300}'..='\u{36f}' => None,
        'à'..='å' => Some('a'),
        'ç' => Some('c'),
        'è'..='ë' => Some('e'),
        'ì'..='ï' => Some('i'),
        'ñ' => Some('n'),
        'ò'..='ö' => Some('o'),
        'ù'..='ü' => Some('u'),
        _ => Some(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::collections::HashSet;

    const SUMS: &str = include_str!("../../data/flags/SHA256SUMS");

    #[test]
    fn codes_are_249_sorted_pairs_of_letters() {
        let codes: Vec<_> = all().iter().map(|country| country.code).collect();
        assert_eq!(codes.len(), 249);
        assert!(codes.is_sorted_by(|a, b| a < b)); // and so each stands once
        let pair = |code: &&str| code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase());
        assert!(codes.iter().all(pair));
    }

    #[test]
    fn every_image_is_the_one_in_sha256sums() {
        let sums: Vec<_> = all()
            .iter()
            .map(|country| {
                let sum = Sha256::digest(country.image);
                let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{hex}  jpg/{}.jpg", country.code)
            })
            .collect();
        assert_eq!(sums, SUMS.lines().collect::<Vec<_>>());
        assert_eq!(JPEGS.files().count(), 249); // none without a name
    }

    #[test]
    fn images_are_237_distinct_jpegs() {
        let jpeg = |image: &[u8]| image.starts_with(b"\xff\xd8") && image.ends_with(b"\xff\xd9");
        assert!(all().iter().all(|country| jpeg(country.image)));
        let distinct: HashSet<_> = all().iter().map(|country| country.image).collect();
        assert_eq!(distinct.len(), 237);
    }

    #[test]
    fn a_name_belongs_to_one_country_and_is_no_code() {
        let mut seen = HashSet::new();
        for name in all().iter().flat_map(Country::names) {
            assert!(seen.insert(name), "{name} stands twice");
            assert!(by_code(name).is_none(), "{name} is a code");
        }
    }

    #[test]
    fn names_can_stand_in_a_url_and_be_found_again() {
        for country in all() {
            for name in country.names() {
                assert!(name.is_ascii());
                assert_eq!(slug(name), name);
                assert_eq!(find(name).unwrap().code, country.code);
            }
        }
    }

    #[test]
    fn people_find_what_they_mean() {
        for (text, code) in [
            ("Yemen", "ye"),
            ("YE", "ye"),
            ("united states", "us"),
            ("United_States", "us"),
            ("USA", "us"),
            ("U.S.A.", "us"),
            ("america", "us"),
            ("uk", "gb"),
            ("Great Britain", "gb"),
            ("turkey", "tr"),
            ("Türkiye", "tr"),
            ("TÜRKİYE", "tr"),
            ("ivory-coast", "ci"),
            ("Côte d’Ivoire", "ci"),
            ("co\u{302}te-divoire", "ci"),
            ("czechia", "cz"),
            ("Czech Republic", "cz"),
            ("swaziland", "sz"),
            ("Burma", "mm"),
            ("  Bosnia & Herzegovina ", "ba"),
            ("Curaçao", "cw"),
            ("St. Lucia", "lc"),
            ("Virgin Islands (U.S.)", "vi"),
        ] {
            assert_eq!(find(text).map(|country| country.code), Some(code), "{text}");
        }
        for text in ["", " ", "-", "zz", "atlantis", "ye men", "日本"] {
            assert!(find(text).is_none(), "{text}");
        }
    }

    #[test]
    fn pairs_are_676_of_which_249_are_countries() {
        let pairs: Vec<_> = pairs().collect();
        assert_eq!(pairs.len(), 676);
        assert!(pairs.is_sorted_by(|a, b| a < b));
        assert_eq!(
            pairs.iter().filter(|pair| image(pair).is_some()).count(),
            249
        );
    }

    #[test]
    fn a_misspelt_name_gets_its_neighbour() {
        for (text, name) in [
            ("yemn", Some("yemen")),
            ("Zambai", Some("zambia")),
            ("venezuella", Some("venezuela")),
            ("untied states", Some("united-states")),
            ("swizerland", Some("switzerland")),
            ("qq", None),
            ("", None),
            ("xyzzy-and-plugh", None),
        ] {
            assert_eq!(suggest(text), name, "{text}");
        }
    }
}
