//! What two parts of a configuration cannot share: a replication slot, and a file that one of
//! them writes. Each would work alone, and would fail or spoil the other's data together.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

/// What a path is to the part that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Source,
    SinkFile,
    SinkDir,
    LettersFile,
    LettersDir,
}

/// A part of a pipeline and the path it uses.
struct Claim<'c> {
    pipeline: &'c str,
    field: Field,
    path: PathBuf,
    of: Use,
}

impl Claim<'_> {
    /// What both would use. Pipelines may share a directory of dead letters, where each has its
    /// own file; sinks of one pipeline may share a directory, where topics part them.
    fn clash(&self, other: &Self) -> Option<&'static str> {
        use Use::{LettersDir, LettersFile, SinkDir, SinkFile, Source};
        if self.path != other.path {
            return None;
        }
        match (self.of, other.of) {
            (SinkFile, SinkFile | Source | LettersFile) | (Source | LettersFile, SinkFile) => {
                Some("file")
            }
            (SinkDir, SinkDir) if self.pipeline != other.pipeline => Some("directory"),
            (SinkDir, LettersDir) | (LettersDir, SinkDir) => Some("directory"),
            _ => None,
        }
    }
}

impl Checks<'_> {
    /// `all` is the field of the pipelines, `letters` the default directory of dead letters.
    pub(super) fn conflicts(
        &mut self,
        all: &Field,
        pipelines: &BTreeMap<String, raw::Pipeline>,
        letters: &Path,
    ) {
        self.slots(all, pipelines);
        self.server_ids(all, pipelines);
        let claims: Vec<Claim<'_>> = pipelines
            .iter()
            .flat_map(|(name, pipeline)| claims(&all.member(name), name, pipeline, letters))
            .collect();
        for (index, claim) in claims.iter().enumerate() {
            let earlier = claims.iter().take(index);
            let clash = |first| Some((first, claim.clash(first)?));
            if let Some((first, what)) = earlier.into_iter().find_map(clash) {
                let message = format!("is the same {what} as in `{}`", first.field.dotted());
                let problem = Problem::new(message).help(format!("give each a {what} of its own"));
                self.refuse(&claim.field, problem);
            }
        }
    }

    /// A slot belongs to a server, whichever database it captures, and has one reader.
    fn slots(&mut self, all: &Field, pipelines: &BTreeMap<String, raw::Pipeline>) {
        let mut taken = BTreeMap::new();
        for (name, pipeline) in pipelines {
            let Some(source) = &pipeline.source.postgres else { continue };
            let field = all.member(name).member("source").member("postgres").member("slot");
            let slot = (source.host.to_lowercase(), source.port, source.slot.as_str());
            if let Some(first) = taken.get(&slot).map(Field::dotted) {
                let message = format!("is the same slot of the same server as in `{first}`");
                let problem = Problem::new(message).help("give each pipeline a `slot` of its own");
                self.refuse(&field, problem);
            } else {
                taken.insert(slot, field);
            }
        }
    }

    /// Of two replicas with one number a server throws the earlier out. Numbers that are not given
    /// are made of what no two pipelines share.
    fn server_ids(&mut self, all: &Field, pipelines: &BTreeMap<String, raw::Pipeline>) {
        let mut taken = BTreeMap::new();
        for (name, pipeline) in pipelines {
            let Some(source) = &pipeline.source.mysql else { continue };
            let Some(number) = source.server_id else { continue };
            let field = all.member(name).member("source").member("mysql").member("server_id");
            let reader = (host(&source.host), source.port, number);
            if let Some(first) = taken.get(&reader).map(Field::dotted) {
                let message = format!("is the same number at the same server as in `{first}`");
                let help = "give each pipeline a `server_id` of its own, or leave it out";
                self.refuse(&field, Problem::new(message).help(help));
            } else {
                taken.insert(reader, field);
            }
        }
    }
}

/// A host as it is compared: names of this machine are one.
fn host(name: &str) -> String {
    match name.to_lowercase().as_str() {
        "localhost" | "::1" => "127.0.0.1".into(),
        other => other.to_owned(),
    }
}

/// The paths that a pipeline uses.
fn claims<'c>(
    field: &Field,
    pipeline: &'c str,
    raw: &raw::Pipeline,
    letters: &Path,
) -> Vec<Claim<'c>> {
    let mut claims = Vec::new();
    let mut claim = |field: Field, path: &Path, of| {
        claims.push(Claim { pipeline, field, path: resolved(path), of });
    };
    if let Some(file) = &raw.source.file {
        let field = field.member("source").member("file").member("path");
        claim(field, &file.path, Use::Source);
    }
    for (index, sink) in raw.sinks.iter().enumerate() {
        let Some(file) = &sink.file else { continue };
        let field = field.member("sinks").entry(index).member("file");
        if let Some(path) = &file.path {
            claim(field.member("path"), path, Use::SinkFile);
        }
        if let Some(dir) = &file.dir {
            claim(field.member("dir"), dir, Use::SinkDir);
        }
    }
    let letters = match &raw.dead_letters {
        None => Some(letters),
        Some(raw) => raw.file.as_ref().map(|file| file.dir.as_path()),
    };
    if let Some(dir) = letters {
        let field = field.member("dead_letters").member("file").member("dir");
        claim(field.clone(), &dir.join(format!("{pipeline}.jsonl")), Use::LettersFile);
        claim(field, dir, Use::LettersDir);
    }
    claims
}

/// The path as the system sees it, as far as it is there: two spellings of one file are equal.
fn resolved(path: &Path) -> PathBuf {
    let Ok(path) = std::path::absolute(path) else { return path.to_owned() };
    let known = path.ancestors().find_map(|there| Some((there, there.canonicalize().ok()?)));
    let Some((there, real)) = known else { return path };
    match path.strip_prefix(there) {
        Ok(rest) if rest.as_os_str() != OsStr::new("") => real.join(rest),
        _ => real,
    }
}
