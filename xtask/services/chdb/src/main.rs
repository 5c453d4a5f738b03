//! ClickHouse's engine as an HTTP server for tests: `wasmgate-chdb LIBCHDB.SO DIR [PORT]`.
//!
//! It answers what the sink and the tests ask of ClickHouse's HTTP interface: queries, inserts in
//! any format (plain, or in ClickHouse's own compressed frames), settings as parameters, error
//! codes in `X-ClickHouse-Exception-Code`. It is not ClickHouse's own front end: headers, auth and
//! errors in mid stream differ. Queries run one after the other. It is ended with a kill: the
//! library has no clean way out.

mod engine;
mod frames;
mod http;
mod serve;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(library), Some(dir)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: wasmgate-chdb LIBCHDB.SO DIR [PORT]");
        return ExitCode::from(2);
    };
    let port = arguments.next().and_then(|p| p.to_str()?.parse().ok()).unwrap_or(0);
    match run(&PathBuf::from(library), &PathBuf::from(dir), port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(library: &std::path::Path, dir: &std::path::Path, port: u16) -> Result<(), String> {
    let engine = engine::Engine::open(library, dir)?;
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| format!("bind: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let server = Arc::new(serve::Server::new(engine));
    println!("listening {address}");
    for stream in listener.incoming().flatten() {
        let server = Arc::clone(&server);
        std::thread::spawn(move || server.connection(stream));
    }
    Ok(())
}
