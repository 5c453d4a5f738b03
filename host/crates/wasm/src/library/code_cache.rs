//! Order among the compiled code: what a killed process left half-made goes at the start, and
//! what was not used for longest goes when there is too much. Code that goes is only compiled
//! again; code that runs is mapped, and does not need its file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::drafts;

/// Bytes of all compiled code that is kept.
pub(super) const BYTES_MAX: u64 = 1 << 30;

const SUFFIX: &str = ".cwasm";

/// Removes what compilers did not finish: `.PROCESS-NUMBER` and, their input,
/// `.PROCESS-NUMBER.wasm`.
pub(super) fn clear(dir: &Path) -> io::Result<()> {
    drafts::clear_named(dir, |name| {
        let (process, number) = name.strip_prefix('.')?.split_once('-')?;
        number.strip_suffix(".wasm").unwrap_or(number).parse::<u64>().ok()?;
        process.parse().ok()
    })
}

/// Whether there is code of this digest.
pub(super) fn has(dir: &Path, sha256: &str) -> io::Result<bool> {
    Ok(!of_digests(dir, &[sha256.to_owned()].into())?.is_empty())
}

/// Removes the code of these digests.
pub(super) fn remove(dir: &Path, digests: &BTreeSet<String>) -> io::Result<()> {
    for path in of_digests(dir, digests)? {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn of_digests(dir: &Path, digests: &BTreeSet<String>) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let stem = file_name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        let digest = stem.and_then(|stem| stem.split('-').next());
        if digest.is_some_and(|digest| digests.contains(digest)) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Notes that the code of these digests is in use, and removes what was not used for longest
/// until the rest fits into `bytes_max`. Code in use stays.
pub(super) fn prune(dir: &Path, in_use: &BTreeSet<String>, bytes_max: u64) -> io::Result<()> {
    let mut bytes = 0;
    let mut unused: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(stem) = file_name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else {
            continue;
        };
        let file = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        bytes += file.len();
        if stem.split('-').next().is_some_and(|digest| in_use.contains(digest)) {
            fs::File::options().append(true).open(entry.path())?.set_modified(SystemTime::now())?;
        } else {
            unused.push((file.modified()?, file.len(), entry.path()));
        }
    }
    unused.sort();
    for (_, size, path) in unused {
        if bytes <= bytes_max {
            break;
        }
        fs::remove_file(&path)?;
        bytes -= size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::prune;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        for (name, age) in [("a-e", 40), ("b-e", 30), ("c-e", 20), ("d-e", 10)] {
            let path = dir.path().join(format!("{name}.cwasm"));
            fs::write(&path, [0; 100]).unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        }
        fs::write(dir.path().join("notes"), [0; 1000]).unwrap();
        let left = || {
            let files = fs::read_dir(dir.path()).unwrap();
            let mut names: Vec<_> =
                files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names.concat()
        };
        // The oldest is in use, which also makes it the youngest.
        prune(dir.path(), &["a".to_owned()].into(), 300).unwrap();
        assert_eq!(left(), "a-e.cwasmc-e.cwasmd-e.cwasmnotes");
        prune(dir.path(), &["x".to_owned()].into(), 200).unwrap();
        assert_eq!(left(), "a-e.cwasmd-e.cwasmnotes");
        prune(dir.path(), &["a".to_owned(), "d".to_owned()].into(), 0).unwrap();
        assert_eq!(left(), "a-e.cwasmd-e.cwasmnotes", "both are in use");
    }
}
