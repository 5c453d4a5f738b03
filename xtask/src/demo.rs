//! `cargo xtask demo`: the gateway at work, from nothing. A throw-away Postgres (or, where there
//! is none, the built-in sample source, saying so), four modules, output in files.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wasmgate_services::postgres::{self, Postgres};

use crate::run::{cargo, run as run_program, target};
use crate::{install, modules};

const TABLE: &str = "create table orders (order_id serial primary key, customer_name varchar(255), \
    product varchar(255), quantity integer, price numeric(10,2), status varchar(20), \
    created_at timestamp default current_timestamp); \
    alter table orders replica identity full; \
    insert into orders (customer_name, product, quantity, price, status) values \
    ('Ada', 'keyboard', 1, 49.90, 'new'), ('Grace', 'monitor', 2, 310.00, 'paid');";

const TRAFFIC: &[&str] = &[
    "insert into orders (customer_name, product, quantity, price, status) values ('CDC Test', 'cable', 3, 7.50, 'new')",
    "update orders set status = 'shipped' where customer_name = 'Ada'",
    "insert into orders (customer_name, product, quantity, price, status) values ('Mallory', 'gpu', -5, 1999.00, 'new')",
    "delete from orders where customer_name = 'Grace'",
];

/// Runs the demonstration; with `keep` it stays up until Ctrl-C.
pub(crate) fn run(keep: bool) -> Result<(), String> {
    install::system(false)?;
    println!("== building the gateway and the modules (the first time takes minutes)");
    run_program(cargo().args(["build", "--quiet", "--package", "wasmgate"]))?;
    modules::build(&[])?;
    let dir = target().join("demo");
    drop(fs::remove_dir_all(&dir));
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let database = match postgres::missing() {
        Some(reason) => {
            println!("== no Postgres here ({reason}): the built-in sample source stands in");
            None
        }
        None => {
            println!("== starting a throw-away Postgres");
            let server = Postgres::start(&postgres::Options::default())?;
            server.psql("postgres", TABLE)?;
            Some(server)
        }
    };
    let config = write_config(&dir, database.as_ref())?;
    println!("== starting the gateway: wasmgate run -c {}", config.display());
    let gateway = Gateway::start(&config, &dir)?;
    gateway.wait_ready()?;
    show_flow(&dir, database.as_ref())?;
    println!(
        "\n== what the gateway says of it: GET http://{}/api/v1/pipelines/demo",
        gateway.address
    );
    println!("{}", http_get(&gateway.address, "/api/v1/pipelines/demo")?.1);
    if keep {
        println!("\n== still running; files are in {}; Ctrl-C ends", dir.display());
        gateway.wait_end()?;
    }
    println!("\n== done; files are in {}", dir.display());
    Ok(())
}

fn write_config(dir: &Path, database: Option<&Postgres>) -> Result<PathBuf, String> {
    let source = match database {
        Some(server) => format!(
            "postgres: {{ host: 127.0.0.1, port: {}, database: postgres, user: postgres, \
             topic_prefix: orders_db, tables: [public.orders], slot: demo, publication: demo, \
             decimals: double }}",
            server.port()
        ),
        None => "sample: { system: orders, rate: 20, seed: 7 }".to_owned(),
    };
    let root = crate::run::root();
    let text = format!(
        "\
data_dir: {dir}/data
http: {{ listen: 127.0.0.1:0 }}
modules: {{ dir: {root}/transforms }}
pipelines:
  demo:
    source:
      {source}
    transforms:
      - module: unwrap
        config: {{ delete.tombstone.handling.mode: rewrite, add.fields: op }}
      - module: quality-check
        config: {{ required: [order_id], ranges: {{ quantity: {{ min: 0 }} }} }}
      - module: route
        config: {{ fields: [ {{ field: status, equals: shipped, topic: orders_db.shipped }} ] }}
    sinks:
      - {{ topics: '.*', file: {{ dir: {dir}/out }} }}
    dead_letters: {{ file: {{ dir: {dir}/dead-letters }} }}
",
        dir = dir.display(),
        root = root.display(),
    );
    let path = dir.join("demo.yaml");
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

fn show_flow(dir: &Path, database: Option<&Postgres>) -> Result<(), String> {
    println!("\n== in: two rows that were there before, then");
    if let Some(server) = database {
        for statement in TRAFFIC {
            println!("   sql> {statement}");
            server.psql("postgres", statement)?;
        }
    }
    let expected = if database.is_some() { 5 } else { 10 };
    let seen = wait_lines(&dir.join("out"), expected)?;
    println!("\n== out: {}/out/*.jsonl, one flat row a change", dir.display());
    seen.iter().take(12).for_each(|line| println!("   {line}"));
    if database.is_some() {
        println!("\n== dead letters: what quality-check refused, with the reason");
        for line in wait_lines(&dir.join("dead-letters"), 1)? {
            println!("   {line}");
        }
    }
    Ok(())
}

/// Waits until the folder's files have so many lines.
fn wait_lines(dir: &Path, count: usize) -> Result<Vec<String>, String> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(30) {
        let mut lines = Vec::new();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            lines.extend(text.lines().map(str::to_owned));
        }
        if lines.len() >= count {
            return Ok(lines);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("fewer than {count} lines in {} after 30 s", dir.display()))
}

pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: String,
}

impl Gateway {
    pub(crate) fn start(config: &Path, dir: &Path) -> Result<Self, String> {
        let binary = target().join("debug/wasmgate");
        let mut child = Command::new(&binary)
            .args(["run", "-c"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", binary.display()))?;
        let Some(log) = child.stderr.take() else { return Err("no log".into()) };
        let path = dir.join("gateway.log");
        let address = listen_address(log, &path);
        match address {
            Some(address) => Ok(Self { child, address }),
            None => {
                drop(child.kill());
                let log = fs::read_to_string(&path).unwrap_or_default();
                Err(format!("the gateway did not start:\n{log}"))
            }
        }
    }

    fn wait_ready(&self) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            if http_get(&self.address, "/readyz").is_ok_and(|(status, _)| status == 200) {
                println!("== ready after {} ms", started.elapsed().as_millis());
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = http_get(&self.address, "/readyz").map(|(_, body)| body);
        Err(format!("the gateway is not ready after 60 s: {}", said.unwrap_or_default()))
    }

    fn wait_end(mut self) -> Result<(), String> {
        self.child.wait().map(drop).map_err(|e| e.to_string())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Copies the log to a file and finds `listens address=127.0.0.1:PORT` in it.
fn listen_address(log: impl Read + Send + 'static, path: &Path) -> Option<String> {
    let mut file = fs::File::create(path).ok()?;
    let (found, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            drop(writeln!(file, "{line}"));
            let Some((_, rest)) = line.split_once("listens address=") else { continue };
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
            let address = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            drop(found.send(address.to_owned()));
        }
    });
    address.recv_timeout(Duration::from_secs(60)).ok()
}

/// Status and body of a GET. HTTP/1.0, so that the answer ends with the connection.
pub(crate) fn http_get(address: &str, path: &str) -> Result<(u16, String), String> {
    let fault = |e: std::io::Error| format!("http://{address}{path}: {e}");
    let mut stream = TcpStream::connect(address).map_err(fault)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").map_err(fault)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(fault)?;
    let status = answer.split_whitespace().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}
