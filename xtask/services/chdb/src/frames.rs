//! ClickHouse's compressed frames (`decompress=1`): checksum, method, sizes, data. Checked as the
//! server checks them, so that a wrong byte of the sink shows.

const CHECKSUM: usize = 16;
const HEADER: usize = 9;

/// The plain bytes of a body of frames.
///
/// # Errors
/// A frame is cut short, or its checksum or data is wrong: an exception's text.
pub(crate) fn plain(mut body: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    while !body.is_empty() {
        let Some((checksum, rest)) = body.split_first_chunk::<CHECKSUM>() else {
            return Err(wrong("a frame is cut short in its checksum"));
        };
        let Some((header, _)) = rest.split_first_chunk::<HEADER>() else {
            return Err(wrong("a frame is cut short in its header"));
        };
        let [method, a, b, c, d, e, f, g, h] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let size = u32::from_le_bytes([e, f, g, h]) as usize;
        let Some((frame, after)) = rest.split_at_checked(length) else {
            return Err(wrong("a frame is cut short in its data"));
        };
        let hash = cityhash_rs::cityhash_102_128(frame).rotate_right(64);
        if hash.to_le_bytes() != *checksum {
            return Err("Code: 40. DB::Exception: Checksum doesn't match: corrupted data".into());
        }
        let data = frame.get(HEADER..).unwrap_or(&[]);
        match method {
            0x82 => plain.extend(
                lz4_flex::block::decompress(data, size).map_err(|e| wrong(&e.to_string()))?,
            ),
            0x90 => {
                plain.extend(zstd::bulk::decompress(data, size).map_err(|e| wrong(&e.to_string()))?)
            }
            0x02 => plain.extend_from_slice(data),
            other => return Err(wrong(&format!("method {other:#x} is not known"))),
        }
        body = after;
    }
    Ok(plain)
}

fn wrong(what: &str) -> String {
    format!("Code: 271. DB::Exception: Cannot decompress: {what}")
}
