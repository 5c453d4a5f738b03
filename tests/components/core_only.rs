//! A core module that carries no contract.

#[unsafe(no_mangle)]
pub extern "C" fn add(left: u32, right: u32) -> u32 {
    left.wrapping_add(right)
}
