//! The members of an object and the elements of an array, one after the other, for sinks that
//! take documents apart by a schema of their own. The whole text is checked on the way.

use std::borrow::Cow;

use wasmgate_model::{Column, Kind};

use super::scan::{Scanner, members};
use super::text::{decoded, inner};
use super::{DocumentError, Reason, convert};

/// Calls `each` with the name and the value's token of every member of the object that `document`
/// is. Of duplicate names every one is told, in order.
///
/// # Errors
/// The document is not one JSON object in UTF-8. Some members may have been told.
pub fn object<'a>(
    document: &'a [u8],
    mut each: impl FnMut(Cow<'a, [u8]>, &'a [u8]),
) -> Result<(), DocumentError> {
    let mut scan = start(document)?;
    scan.at = members(document, scan.at, |member, name| {
        let token = document.get(member.value as usize..member.end as usize).unwrap_or(&[]);
        each(decoded(inner(name)), token);
    })?;
    scan.finish().map_err(|reason| scan.error(reason))
}

/// Calls `each` with the token of every element of the array that `document` is.
///
/// # Errors
/// The document is not one JSON array in UTF-8. Some elements may have been told.
pub fn array<'a>(document: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Result<(), DocumentError> {
    let mut scan = start(document)?;
    let mut walk = |scan: &mut Scanner<'a>| {
        if scan.peek() != b'[' {
            return Err(Reason::Value);
        }
        scan.at += 1;
        scan.space();
        if scan.peek() == b']' {
            scan.at += 1;
            return scan.finish();
        }
        loop {
            let from = scan.at;
            scan.value(1)?;
            each(scan.slice(from, scan.at));
            scan.space();
            let more = scan.peek() == b',';
            if !more && scan.peek() != b']' {
                return Err(Reason::CommaOrEnd);
            }
            scan.at += 1;
            if !more {
                return scan.finish();
            }
            scan.space();
        }
    };
    walk(&mut scan).map_err(|reason| scan.error(reason))
}

/// A scanner at the first byte that is not white space.
fn start(document: &[u8]) -> Result<Scanner<'_>, DocumentError> {
    if let Err(error) = std::str::from_utf8(document) {
        return Err(DocumentError { offset: error.valid_up_to(), reason: Reason::Utf8 });
    }
    let mut scan = Scanner::new(document, 0);
    scan.space();
    Ok(scan)
}

/// Appends the value of a token that `object` or `array` told to a column of this kind.
///
/// # Errors
/// It is another kind of value: what it is, for people. Nothing was appended.
pub fn push_token(column: &mut Column, kind: Kind, token: &[u8]) -> Result<(), &'static str> {
    if token == b"null" {
        column.push_null();
        return Ok(());
    }
    convert::push(column, kind, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(document: &str) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let result = match document.trim_start().starts_with('[') {
            true => array(document.as_bytes(), |token| told.push(text(token))),
            false => object(document.as_bytes(), |name, token| {
                told.push(format!("{}={}", text(&name), text(token)));
            }),
        };
        result.map(|()| told).map_err(|error| error.to_string())
    }

    #[test]
    fn members_and_elements_are_told_in_order() {
        let cases: [(&str, &[&str]); 6] = [
            (r#" {"a":1,"b" : {"c":[2]} ,"\u0061":null} "#, &["a=1", r#"b={"c":[2]}"#, "a=null"]),
            ("{}", &[]),
            ("[]", &[]),
            (" [ 1 , \"x,]\" , [2,3], null ] ", &["1", "\"x,]\"", "[2,3]", "null"]),
            ("[[]]", &["[]"]),
            (r#"[{"a":1}]"#, &[r#"{"a":1}"#]),
        ];
        for (document, want) in cases {
            assert_eq!(told(document).as_deref(), Ok(want.map_owned().as_slice()), "{document}");
        }
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn what_is_broken_is_an_error() {
        for document in ["", "7", "{\"a\":1", "{\"a\":1}x", "[1", "[1,]", "[1]x", "[1 2]", "[,]"] {
            assert!(told(document).is_err(), "{document}");
        }
        assert!(object(b"{\"a\":\"\xff\"}", |_, _| {}).is_err());
    }
}
