//! World `transform`, and standard output of a plain build: asks for it without end.

wit_bindgen::generate!({
    inline: "
        package acme:hoard@1.0.0;
        world hoard { import wasi:cli/stdout@0.2.12; export wasmgate:transform/stage@0.1.0; }
    ",
    path: ["../../../../../wit", "../../wit/stand-ins.wit"],
    generate_all,
});

use exports::wasmgate::transform::stage::{Batch, Description, Guest, Output, Projection, Schema};

struct Hoard;

impl Guest for Hoard {
    fn describe() -> Description {
        let held: Vec<_> = (0..20_000).map(|_| wasi::cli::stdout::get_stdout()).collect();
        let (name, version) = ("hoard".into(), format!("{}.0.0", held.len()));
        Description { name, version, summary: String::new(), config_schema: String::new() }
    }

    fn open(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn bind(_schema: Schema) -> Result<Option<Projection>, String> {
        Ok(None)
    }

    fn process(_batch: Batch) -> Result<Output, String> {
        Err("unbound".into())
    }

    fn close() {}
}

export!(Hoard);
