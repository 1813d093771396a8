//! Files that are there whole or not at all: written aside, then renamed.
//!
//! ```text
//!   .yemen.jpg.4101-8342.part ──write──> ──rename──> yemen.jpg
//!        └── a worker killed here leaves it; `sweep` removes it when no worker runs any more
//! ```
//!
//! The name aside carries the run's id, so that runs side by side in one directory leave each
//! other's files alone. A reader of `yemen.jpg` sees the old picture or the new one. (Whole means
//! whole to other programs; a power cut is another matter, and fsync would cost more than the
//! download.) Source: rename(2). Next: `job.rs`.

use crate::stamp::Moment;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where one run saves its files.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Folder {
    path: PathBuf,
    /// Ends the name of every file aside; no other run has the same.
    ending: String,
}

impl Folder {
    /// For a run of this process, in a directory that exists.
    pub fn new(path: PathBuf) -> Self {
        let (pid, now) = (std::process::id(), Moment::now());
        let ending = format!(".{pid}-{}.part", now.nanoseconds());
        Self { path, ending }
    }

    /// Saves `bytes` as `name`, over what had that name. One caller at a time for a name.
    ///
    /// # Errors
    /// Those of creating, writing and renaming, as a sentence with the path; no part is left.
    pub fn save(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let aside = self.path.join(format!(".{name}{}", self.ending));
        let target = self.path.join(name);
        let saved = write_new(&aside, bytes).and_then(|()| fs::rename(&aside, &target));
        saved.map_err(|error| {
            let _ = fs::remove_file(&aside);
            format!("cannot save '{}': {error}", target.display())
        })
    }

    /// Removes what killed workers left aside. Call it when no worker runs.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return; // the directory is gone, and what was in it
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().ends_with(&self.ending) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tatkal-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder::new(path)
    }

    fn names(folder: &Folder) -> Vec<String> {
        let entries = fs::read_dir(&folder.path).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_with_nothing_beside_it() {
        let folder = folder("save");
        folder.save("yemen.jpg", b"old and longer").unwrap();
        folder.save("yemen.jpg", b"new").unwrap();
        assert_eq!(fs::read(folder.path.join("yemen.jpg")).unwrap(), b"new");
        assert_eq!(names(&folder), ["yemen.jpg"]);
        fs::remove_dir_all(&folder.path).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_saved_names_its_path_and_leaves_nothing() {
        let folder = folder("refuse");
        fs::create_dir(folder.path.join("yemen.jpg")).unwrap();
        let said = folder.save("yemen.jpg", b"new").unwrap_err();
        assert!(said.contains("yemen.jpg'"), "{said}");
        assert_eq!(names(&folder), ["yemen.jpg"]);
        fs::remove_dir_all(&folder.path).unwrap();
        folder.save("yemen.jpg", b"new").unwrap_err();
        folder.sweep();
    }

    #[test]
    fn a_sweep_takes_this_runs_parts_only() {
        let one = folder("sweep");
        let other = Folder::new(one.path.clone());
        for (folder, name) in [(&one, ".ye.jpg"), (&other, ".zm.jpg")] {
            fs::write(folder.path.join(format!("{name}{}", folder.ending)), b"par").unwrap();
        }
        fs::write(one.path.join("mine.part"), b"a user's file").unwrap();
        one.sweep();
        assert_eq!(
            names(&one),
            [format!(".zm.jpg{}", other.ending), "mine.part".into()]
        );
        fs::remove_dir_all(&one.path).unwrap();
    }
}
