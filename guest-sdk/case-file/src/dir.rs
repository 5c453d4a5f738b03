//! Case files of a folder. What lies beside a module came with it, so nothing is trusted: only
//! regular files, so many, so large.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::case::CaseFile;

/// Case files in one folder.
pub const CASE_FILES_MAX: usize = 256;
/// Bytes of one case file.
pub const CASE_BYTES_MAX: u64 = 1 << 20;

/// Reads every `*.yaml` and `*.yml` of a folder, in the order of their names; of a file, that one.
/// All of them are in memory then: where they are many, [`case_files`] and [`read_case`] take one
/// after the other.
///
/// # Errors
/// One cannot be read or is no case file, or there is none; the message names the file.
pub fn load(path: &Path) -> Result<Vec<CaseFile>, String> {
    case_files(path)?.iter().map(|file| read_case(file)).collect()
}

/// The files that [`load`] reads, in their order.
///
/// # Errors
/// The folder cannot be read, or holds none or too many; the message names it.
pub fn case_files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let kind = fs::metadata(path)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    if !kind.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let files = files(path)?;
    if files.is_empty() {
        return Err(format!("{}: there is no case file (*.yaml)", path.display()));
    }
    if files.len() > CASE_FILES_MAX {
        let (count, path) = (files.len(), path.display());
        return Err(format!("{path}: {count} case files, the limit is {CASE_FILES_MAX}"));
    }
    Ok(files)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error| format!("{}: cannot be read: {error}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let is_case = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if is_case && files.len() <= CASE_FILES_MAX {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one case file.
///
/// # Errors
/// It cannot be read or is no case file; the message names it.
pub fn read_case(path: &Path) -> Result<CaseFile, String> {
    let shown = path.display();
    let wrong = |error| format!("{shown}: cannot be read: {error}");
    if !fs::metadata(path).map_err(wrong)?.is_file() {
        return Err(format!("{shown}: is no regular file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(wrong)?;
    file.take(CASE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > CASE_BYTES_MAX {
        return Err(format!("{shown}: larger than {CASE_BYTES_MAX} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown}: is not UTF-8"))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    CaseFile::parse(&name, &text)
        .map_err(|problem| format!("{shown}:{}: {}", problem.line, problem.message))
}
