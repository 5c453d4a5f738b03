//! World `transform`, and more: imports something that no module gets.

wit_bindgen::generate!({
    inline: "
        package acme:greedy@1.0.0;
        world greedy { import acme:net/sockets@1.0.0; export wasmgate:transform/stage@0.1.0; }
        package acme:net@1.0.0 { interface sockets { connect: func(host: string) -> bool; } }
    ",
    path: "../../wit",
    generate_all,
});

use exports::wasmgate::transform::stage::{Batch, Description, Guest, Output, Projection, Schema};

struct Greedy;

impl Guest for Greedy {
    fn describe() -> Description {
        let (name, version) = ("greedy".into(), "1.0.0".into());
        Description { name, version, summary: String::new(), config_schema: String::new() }
    }

    fn open(_config: String) -> Result<(), String> {
        match acme::net::sockets::connect("example.org") {
            true => Ok(()),
            false => Err("offline".into()),
        }
    }

    fn bind(_schema: Schema) -> Result<Option<Projection>, String> {
        Ok(None)
    }

    fn process(_batch: Batch) -> Result<Output, String> {
        Err("unbound".into())
    }

    fn close() {}
}

export!(Greedy);
