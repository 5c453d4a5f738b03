//! Asks for something that no module gets.

wit_bindgen::generate!({
    inline: "
        package acme:net@1.0.0;
        interface sockets { connect: func(host: string) -> bool; }
        interface stage { run: func() -> bool; }
        world greedy { import sockets; export stage; }
    ",
});

struct Greedy;

impl exports::acme::net::stage::Guest for Greedy {
    fn run() -> bool {
        acme::net::sockets::connect("example.org")
    }
}

export!(Greedy);
