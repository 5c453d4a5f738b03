//! Files and sockets that a child should not have. Everything that the gateway opens is closed by
//! the kernel when a child starts (close-on-exec); what the gateway itself was started with, or a
//! library forgot, is closed here. The second place of this crate that is `unsafe`.

use std::fs;
use std::os::fd::RawFd;

/// The last of standard input, output and error.
const STANDARD_MAX: RawFd = 2;
/// Where there is no list of the descriptors: as many as most systems allow.
const GUESSED_MAX: RawFd = 1024;

/// Closes every descriptor but standard input, output and error.
pub(super) fn close_inherited() {
    for descriptor in open().into_iter().filter(|d| *d > STANDARD_MAX) {
        close(descriptor);
    }
}

/// The numbers of open descriptors, and of the one that listed them.
fn open() -> Vec<RawFd> {
    let Ok(list) = fs::read_dir("/proc/self/fd") else {
        return (0..GUESSED_MAX).collect();
    };
    list.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[expect(
    unsafe_code,
    reason = "descriptors that nobody in this process owns can only be closed by their number"
)]
fn close(descriptor: RawFd) {
    // SAFETY: the process has just started to compile and owns no descriptor yet: whatever is open
    // came with it. Closing one that is closed already is an error that nobody sees.
    unsafe { rustix::io::close(descriptor) }
}
