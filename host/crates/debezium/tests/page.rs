//! The reference of properties in the documentation is that of the table.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

/// Where the part of the page begins that is made from the table.
const GENERATED: &str = "<!-- from here on made from the table of properties -->\n";

#[test]
fn the_page_of_properties_equals_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/debezium-migration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, written) = page.split_once(GENERATED).unwrap();
    let made = format!("\n{}", wasmgate_debezium::page());
    if std::env::var_os("WASMGATE_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{GENERATED}{made}")).unwrap();
        return;
    }
    let command = "WASMGATE_WRITE_DOCS=1 cargo test -p wasmgate-debezium --test page";
    assert!(written == made, "docs/debezium-migration.md is not that of the table: {command}");
}
