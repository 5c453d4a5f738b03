//! Where the fields of one document lie: as the walk noted it, else by walking again.

use wasmgate_model::{Batch, Documents, Member};

use super::DocumentError;
use super::scan::{MAX_DEPTH, members};
use super::text::is_name;

/// Where a field lies.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Every occurrence.
    pub(super) all: Vec<Member>,
    /// The one that counts, the last; `None` also where a later object around it lacks the field.
    pub(super) current: Option<Member>,
}

/// What the walk noted about one row.
pub(super) struct Places<'a> {
    pub(super) batch: &'a Batch,
    pub(super) documents: &'a Documents,
    pub(super) row: usize,
}

impl Places<'_> {
    /// Every occurrence of a field of the image. `places` is replaced.
    pub(super) fn find(
        &self,
        document: &[u8],
        image: Member,
        name: &str,
        places: &mut Found,
    ) -> Result<(), DocumentError> {
        places.all.clear();
        places.current = None;
        let names = &self.batch.plan.edits;
        let known = names.iter().position(|n| **n == *name);
        let noted = known.and_then(|n| {
            let member = *self.documents.edits.get(self.row * names.len() + n)?;
            Some((n as u32, member))
        });
        let Some((number, member)) = noted else {
            return search(document, image, name, places);
        };
        if member.found() {
            places.all.push(member);
            places.current = Some(member);
        }
        let duplicates = &self.documents.duplicates;
        let row = self.row as u32;
        let first = duplicates.partition_point(|(r, _, _)| *r < row);
        let of_row = duplicates.iter().skip(first).take_while(|(r, _, _)| *r == row);
        places.all.extend(of_row.filter(|(_, n, _)| *n == number).map(|(_, _, member)| *member));
        Ok(())
    }
}

/// Every occurrence of a field, by walking the object; a literal dotted name hides nested ones.
fn search(
    document: &[u8],
    object: Member,
    name: &str,
    places: &mut Found,
) -> Result<(), DocumentError> {
    places.current = None;
    let mut parents = Vec::new();
    let (head, tail) = name.split_once('.').map_or((None, ""), |(h, t)| (Some(h), t));
    members(document, object.value as usize, |member, token| {
        if is_name(token, name) {
            places.all.push(member);
            places.current = Some(member);
        } else if head.is_some_and(|head| is_name(token, head)) {
            parents.push(member);
        }
    })?;
    if places.current.is_some() {
        return Ok(());
    }
    for parent in parents {
        places.current = None;
        if document.get(parent.value as usize) == Some(&b'{') {
            search(document, parent, tail, places)?;
        }
    }
    Ok(())
}

/// Where a new field goes.
pub(super) struct NewPlace {
    /// The end of an object's content (`at == end`), or a null that becomes an object.
    pub(super) at: usize,
    pub(super) end: usize,
    /// Where in the field's name its name inside that object starts.
    pub(super) from: usize,
    /// The rest of the name is one name, dots and all.
    pub(super) literal: bool,
}

/// Finds the object that a new field belongs to: for `a.b`, `a` if it is an object. `gone` says
/// which members are being removed.
pub(super) fn parent_of(
    document: &[u8],
    image: Member,
    name: &str,
    gone: impl Fn(&Member) -> bool,
) -> Result<NewPlace, DocumentError> {
    let at_end = |object: Member, from, literal| {
        let inside = document.get(..(object.end as usize).saturating_sub(1)).unwrap_or(&[]);
        let at = inside.trim_ascii_end().len();
        NewPlace { at, end: at, from, literal }
    };
    if name.bytes().filter(|b| *b == b'.').count() >= MAX_DEPTH as usize {
        return Ok(at_end(image, 0, true));
    }
    let (mut object, mut rest) = (image, name);
    while let Some((head, tail)) = rest.split_once('.') {
        let mut parent = None;
        members(document, object.value as usize, |member, token| {
            if is_name(token, head) {
                parent = Some(member);
            }
        })?;
        let Some(parent) = parent.filter(|p| !gone(p)) else {
            break;
        };
        match document.get(parent.value as usize) {
            Some(b'{') => {}
            Some(b'n') => {
                let (at, end) = (parent.value as usize, parent.end as usize);
                return Ok(NewPlace { at, end, from: name.len() - tail.len(), literal: false });
            }
            _ => return Ok(at_end(image, 0, true)),
        }
        (object, rest) = (parent, tail);
    }
    Ok(at_end(object, name.len() - rest.len(), false))
}
