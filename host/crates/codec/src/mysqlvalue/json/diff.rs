//! Differences of `binlog_row_value_options=PARTIAL_JSON`, applied to the document before. They
//! are a list of (operation, path, value), as `JSON_REPLACE`, `JSON_INSERT` (`JSON_ARRAY_INSERT`
//! in arrays) and `JSON_REMOVE` would do (MySQL's `sql/json_diff.h`).

use super::{DEPTH_MAX, Node, ValueError, not, write_json};
use crate::json::write_utf8;
use crate::mysqlvalue::cursor::Cursor;

const WRONG: ValueError = not("a list of JSON differences");
const MISFIT: ValueError = not("a difference to the document before it");

/// A document that can be changed; what stays is not copied.
enum Tree<'a> {
    Leaf(Node<'a>),
    Array(Vec<Tree<'a>>),
    Object(Vec<(Vec<u8>, Tree<'a>)>),
}

/// A step of a path.
enum Step {
    Member(Vec<u8>),
    Element(usize),
}

/// Appends the document `before` with `diffs` applied, as text.
///
/// # Errors
/// They do not fit together, or one is not what it should be.
pub fn apply_diffs(before: &[u8], diffs: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut cursor = Cursor(diffs);
    if cursor.is_empty() {
        return write_json(before, out);
    }
    let mut tree = parse(before)?;
    while !cursor.is_empty() {
        let operation = cursor.u8().ok_or(WRONG)?;
        let path = path(cursor.lenenc_bytes().ok_or(WRONG)?).ok_or(WRONG)?;
        let value = match operation {
            0 | 1 => Some(parse(cursor.lenenc_bytes().ok_or(WRONG)?)?),
            2 => None,
            _ => return Err(WRONG),
        };
        change(&mut tree, operation, &path, value).ok_or(MISFIT)?;
    }
    tree.write(out)
}

fn parse(document: &[u8]) -> Result<Tree<'_>, ValueError> {
    const NULL: Node<'static> = Node { kind: 4, bytes: &[0] };
    let Some((kind, bytes)) = document.split_first() else { return Ok(Tree::Leaf(NULL)) };
    grow(Node::new(*kind, bytes).ok_or(WRONG)?, DEPTH_MAX).ok_or(WRONG)
}

fn grow(node: Node<'_>, depth: u8) -> Option<Tree<'_>> {
    if node.kind > 3 {
        return Some(Tree::Leaf(node));
    }
    let depth = depth.checked_sub(1)?;
    let container = node.container()?;
    if container.object {
        let member = |i| Some((container.key(i)?.to_vec(), grow(container.value(i)?, depth)?));
        return (0..container.count).map(member).collect::<Option<_>>().map(Tree::Object);
    }
    let elements = (0..container.count).map(|i| grow(container.value(i)?, depth));
    elements.collect::<Option<_>>().map(Tree::Array)
}

/// `$.a[0]."b c"`
fn path(text: &[u8]) -> Option<Vec<Step>> {
    let mut cursor = Cursor(text);
    if cursor.u8()? != b'$' {
        return None;
    }
    let mut steps = Vec::new();
    while let Some(byte) = cursor.u8() {
        match (byte, cursor.0.first()?) {
            (b'.', b'"') => {
                let end = quoted_end(cursor.0)?;
                let quoted = cursor.take(end)?;
                let name: String = serde_json::from_slice(quoted).ok()?;
                steps.push(Step::Member(name.into_bytes()));
            }
            (b'.', _) => {
                let end = cursor.0.iter().position(|b| matches!(b, b'.' | b'['));
                let name = cursor.take(end.unwrap_or(cursor.0.len()))?;
                steps.push(Step::Member(name.to_vec()));
            }
            (b'[', _) => {
                let end = cursor.0.iter().position(|b| *b == b']')?;
                let digits = std::str::from_utf8(cursor.take(end)?).ok()?;
                steps.push(Step::Element(digits.parse().ok()?));
                cursor.u8()?;
            }
            _ => return None,
        }
    }
    Some(steps)
}

/// Where a JSON string ends, its quote included.
fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut escaped = true; // the first quote opens
    for (i, byte) in text.iter().enumerate() {
        match byte {
            b'"' if !escaped => return Some(i + 1),
            b'\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    None
}

fn change<'a>(
    tree: &mut Tree<'a>,
    operation: u8,
    path: &[Step],
    value: Option<Tree<'a>>,
) -> Option<()> {
    let Some((last, parents)) = path.split_last() else {
        *tree = value?;
        return Some(());
    };
    let mut at = tree;
    for step in parents {
        at = match (at, step) {
            (Tree::Object(members), Step::Member(name)) => {
                &mut members.iter_mut().find(|(key, _)| key == name)?.1
            }
            (Tree::Array(elements), Step::Element(i)) => elements.get_mut(*i)?,
            // A scalar is an array of itself.
            (at, Step::Element(0)) => at,
            _ => return None,
        };
    }
    match (at, last, operation) {
        (Tree::Object(members), Step::Member(name), 0) => {
            members.iter_mut().find(|(key, _)| key == name)?.1 = value?;
        }
        (Tree::Object(members), Step::Member(name), 1) => {
            // Keys are ordered by length, then by bytes.
            let place = members.partition_point(|(key, _)| (key.len(), key) < (name.len(), name));
            members.insert(place, (name.clone(), value?));
        }
        (Tree::Object(members), Step::Member(name), _) => {
            let place = members.iter().position(|(key, _)| key == name)?;
            members.remove(place);
        }
        (Tree::Array(elements), Step::Element(i), 0) => *elements.get_mut(*i)? = value?,
        (Tree::Array(elements), Step::Element(i), 1) => {
            elements.insert((*i).min(elements.len()), value?);
        }
        (Tree::Array(elements), Step::Element(i), _) => {
            (*i < elements.len()).then(|| elements.remove(*i))?;
        }
        (at, Step::Element(0), 0) => *at = value?,
        _ => return None,
    }
    Some(())
}

impl Tree<'_> {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        match self {
            Self::Leaf(node) => node.write(out, DEPTH_MAX),
            Self::Array(elements) => {
                out.push(b'[');
                for (i, element) in elements.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    element.write(out)?;
                }
                out.push(b']');
                Ok(())
            }
            Self::Object(members) => {
                out.push(b'{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    std::str::from_utf8(key).map_err(|_| WRONG)?;
                    write_utf8(key, out);
                    out.push(b':');
                    value.write(out)?;
                }
                out.push(b'}');
                Ok(())
            }
        }
    }
}
