//! What can be asked for: a few flags, every flag there is, or every pair of letters.
//! Next: `options.rs`.

use super::countries::{self, Country};

/// The five countries of the talk.
pub const TALK: [&str; 5] = ["yemen", "zambia", "vietnam", "venezuela", "ukraine"];

/// One thing to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The country's name, or the two letters when there is no such country.
    pub name: String,
    /// Two letters.
    pub cc: String,
}

impl Target {
    /// The template's path for it.
    pub fn fill(&self, template: &str) -> String {
        template
            .replace("{name}", &self.name)
            .replace("{cc}", &self.cc)
    }
}

impl From<&Country> for Target {
    fn from(country: &Country) -> Self {
        Self {
            name: country.name.into(),
            cc: country.code.into(),
        }
    }
}

/// The five of the talk.
pub fn talk() -> Vec<Target> {
    let countries = TALK.iter().filter_map(|name| countries::by_name(name));
    countries.map(Target::from).collect()
}

/// Every flag there is, by code.
pub fn all() -> Vec<Target> {
    countries::all().iter().map(Target::from).collect()
}

/// All pairs of letters, most of which are no country.
pub fn every() -> Vec<Target> {
    countries::pairs().map(pair).collect()
}

fn pair(cc: String) -> Target {
    match countries::by_code(&cc) {
        Some(country) => Target::from(country),
        None => Target {
            name: cc.clone(),
            cc,
        },
    }
}
