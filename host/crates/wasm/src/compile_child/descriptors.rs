//! Files and sockets that a child should not have. Everything that the gateway opens is closed by
//! the kernel when a child starts (close-on-exec); what the gateway itself was started with, or a
//! library forgot, is closed here. The second place of this crate that is `unsafe`.

use std::fs;
use std::os::fd::RawFd;

/// The last of standard input, output and error.
const STANDARD_MAX: RawFd = 2;
/// One entry for each open descriptor.
const LIST: &str = "/proc/self/fd";

/// Closes every descriptor but standard input, output and error. Where the system has no list of
/// them, the kernel's close-on-exec has to do.
pub(super) fn close_inherited() {
    let Ok(list) = fs::read_dir(LIST) else {
        return;
    };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<RawFd>().ok();
    let open: Vec<RawFd> = list.flatten().filter_map(number).collect();
    for descriptor in open.into_iter().filter(|d| *d > STANDARD_MAX) {
        // The list was one of them and is closed by now.
        if fs::symlink_metadata(format!("{LIST}/{descriptor}")).is_ok() {
            close(descriptor);
        }
    }
}

#[expect(
    unsafe_code,
    reason = "descriptors that nobody in this process owns can only be closed by their number"
)]
fn close(descriptor: RawFd) {
    // SAFETY: the descriptor is open, and nobody in this process owns it: the process has just
    // started to compile and has opened nothing, so it came with the process.
    unsafe { rustix::io::close(descriptor) }
}
