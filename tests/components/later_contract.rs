//! A component of a version of the contract that is not served.

wit_bindgen::generate!({
    inline: "
        package wasmgate:transform@0.2.0;
        interface stage { describe: func() -> string; }
        world transform { export stage; }
    ",
});

struct Later;

impl exports::wasmgate::transform::stage::Guest for Later {
    fn describe() -> String {
        "later".into()
    }
}

export!(Later);
