//! Logs ten megabytes in one line, and a thousand lines that draw on terminals.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn before(_batch: &guest::Batch) {
        guest::log::write(guest::log::Level::Warn, &"long ".repeat(2 << 20));
        for line in 0..1000 {
            guest::log::write(guest::log::Level::Warn, &format!("\u{1b}[31mred\r\n{line}"));
        }
    }
}

guest::component!(Rule);
