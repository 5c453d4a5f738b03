//! Geometries: four bytes of SRID and the well-known binary form, as Debezium's structs.

use super::{ValueError, not};
use crate::json;

/// Appends `{"wkb":..,"srid":..}`; a point has its coordinates before them.
pub(super) fn write(bytes: &[u8], point: bool, out: &mut Vec<u8>) -> Result<(), ValueError> {
    const WRONG: ValueError = not("a geometry");
    let (srid, wkb) = bytes.split_first_chunk::<4>().ok_or(WRONG)?;
    let srid = i32::from_le_bytes(*srid);
    out.push(b'{');
    if point {
        let (x, y) = coordinates(wkb).ok_or(not("a point"))?;
        out.extend_from_slice(b"\"x\":");
        json::write_float(x, out);
        out.extend_from_slice(b",\"y\":");
        json::write_float(y, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"wkb\":");
    json::write_base64(wkb, out);
    out.extend_from_slice(b",\"srid\":");
    match srid {
        0 => out.extend_from_slice(b"null"),
        srid => json::write_int(srid.into(), out),
    }
    out.push(b'}');
    Ok(())
}

/// Of a point in well-known binary form: byte order, type 1, x, y.
fn coordinates(wkb: &[u8]) -> Option<(f64, f64)> {
    let (order, rest) = wkb.split_first()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (x, rest) = rest.split_first_chunk::<8>()?;
    let y = rest.first_chunk::<8>()?;
    let little = *order == 1;
    let kind = if little { u32::from_le_bytes(*kind) } else { u32::from_be_bytes(*kind) };
    let read = |b: &[u8; 8]| if little { f64::from_le_bytes(*b) } else { f64::from_be_bytes(*b) };
    (kind == 1).then(|| (read(x), read(y)))
}

/// Appends a vector of single floats as a JSON array.
pub(super) fn write_vector(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let (floats, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(not("a vector"));
    }
    out.push(b'[');
    for (i, float) in floats.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write_float32(f32::from_le_bytes(*float), out);
    }
    out.push(b']');
    Ok(())
}
