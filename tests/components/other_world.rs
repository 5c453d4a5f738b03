//! A component of some other contract, which imports nothing.

wit_bindgen::generate!({
    inline: "
        package acme:shop@1.0.0;
        interface till { total: func() -> u32; }
        world shop { export till; }
    ",
});

struct Shop;

impl exports::acme::shop::till::Guest for Shop {
    fn total() -> u32 {
        42
    }
}

export!(Shop);
