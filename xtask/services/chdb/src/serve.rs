//! Requests to statements, errors to codes, and faults on demand.
//!
//! `POST /fault?code=252&count=3` makes the next three inserts fail with that code before they do
//! anything; with `after=1` they do their work first and then fail, with `hang=1` they never
//! answer (after their work, with `after=1`). `table=NAME` limits it to statements that name it.
//! `GET /inserts` answers a line per insert that was taken: token, rows it brought, statement.

use std::borrow::Cow;
use std::io::{BufReader, BufWriter};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::Engine;
use crate::frames;
use crate::http::{Request, answer};

/// Parameters that are no settings.
const OWN: &[&str] = &[
    "query",
    "database",
    "decompress",
    "compress",
    "default_format",
    "query_id",
    "session_id",
    "wait_end_of_query",
    "user",
    "password",
    "quota_key",
    "role",
    "client_protocol_version",
    "http_write_exception_in_output_format",
];

pub(crate) struct Server {
    engine: Engine,
    fault: Mutex<Option<Fault>>,
    inserts: Mutex<String>,
    /// `user:password` that every request has to bring, where set.
    secret: Option<String>,
}

#[derive(Clone)]
struct Fault {
    code: String,
    left: u32,
    after: bool,
    hang: bool,
    table: String,
}

/// Status, exception code, body.
type Answer = (u16, Option<String>, Vec<u8>);

impl Server {
    pub(crate) fn new(engine: Engine) -> Self {
        let secret = std::env::var("WASMGATE_CHDB_SECRET").ok();
        Self { engine, fault: Mutex::default(), inserts: Mutex::default(), secret }
    }

    /// Serves one connection until it is closed.
    pub(crate) fn connection(&self, stream: TcpStream) {
        stream.set_nodelay(true).ok();
        let Ok(write) = stream.try_clone() else { return };
        let (mut from, mut to) = (BufReader::new(stream), BufWriter::new(write));
        // A broken connection ends: what it asked for was not complete.
        while let Ok(Some(request)) = Request::read(&mut from) {
            let Some((status, code, body)) = self.serve(&request) else {
                loop {
                    std::thread::park();
                }
            };
            let mut headers = vec![("Content-Type", "text/plain; charset=UTF-8")];
            if let Some(code) = &code {
                headers.push(("X-ClickHouse-Exception-Code", code));
            }
            if answer(&mut to, status, &headers, &body).is_err() {
                return;
            }
        }
    }

    /// `None`: it is never answered.
    fn serve(&self, request: &Request) -> Option<Answer> {
        match (request.method.as_str(), request.path.as_str()) {
            (_, "/ping") => return Some((200, None, b"Ok.\n".to_vec())),
            (_, "/inserts") => {
                return Some((200, None, lock(&self.inserts).clone().into_bytes()));
            }
            ("POST", "/fault") => {
                *lock(&self.fault) = fault(request);
                return Some((200, None, Vec::new()));
            }
            _ => {}
        }
        if !self.knows(request) {
            return Some(refused("Code: 516. DB::Exception: Authentication failed"));
        }
        // The body is data where the statement is in the address: megabytes that are no text.
        let given = || String::from_utf8_lossy(&request.body).trim().to_owned();
        let sql = request.parameter("query").map_or_else(given, str::to_owned);
        let insert = sql.trim_start().get(..6).is_some_and(|w| w.eq_ignore_ascii_case("insert"));
        let due = if insert { self.due(&sql) } else { None };
        if let Some(fault) = due.as_ref().filter(|f| !f.after) {
            return told(fault);
        }
        let done = self.run(request, &sql, insert);
        if let Some(fault) = due {
            return told(&fault);
        }
        Some(match done {
            Ok(body) => (200, None, body),
            Err(error) => refused(&error),
        })
    }

    fn knows(&self, request: &Request) -> bool {
        let Some(secret) = &self.secret else { return true };
        let (user, password) = secret.split_once(':').unwrap_or((secret, ""));
        let bearer = format!("Bearer {password}");
        request.header("authorization") == Some(&bearer)
            || (request.header("x-clickhouse-user") == Some(user)
                && request.header("x-clickhouse-key") == Some(password))
    }

    fn run(&self, request: &Request, sql: &str, insert: bool) -> Result<Vec<u8>, String> {
        if let Some(database) = request.parameter("database") {
            self.engine.query(&format!("USE `{database}`"), "Null")?;
        }
        let settings: Vec<String> = request
            .parameters
            .iter()
            .filter(|(name, _)| !OWN.contains(&name.as_str()))
            .map(|(name, value)| format!("{name} = '{}'", value.replace('\'', "\\'")))
            .collect();
        let settings = match settings.is_empty() {
            true => String::new(),
            false => format!(" SETTINGS {}", settings.join(", ")),
        };
        let data = match request.parameter("decompress") {
            Some("1") => Cow::Owned(frames::plain(&request.body)?),
            _ => Cow::Borrowed(request.body.as_slice()),
        };
        let format =
            sql.rfind(" FORMAT ").filter(|_| insert && request.parameter("query").is_some());
        if let Some((head, format)) =
            format.and_then(|at| Some((sql.get(..at)?, sql.get(at + 8..)?)))
        {
            self.engine.insert(&format!("{head}{settings}"), format.trim(), &data)?;
            let token = request.parameter("insert_deduplication_token").unwrap_or("-");
            let mut inserts = lock(&self.inserts);
            inserts.push_str(&format!("{token}\t{}\t{head}\n", data.len()));
            return Ok(Vec::new());
        }
        let format = request.parameter("default_format").unwrap_or("TabSeparated");
        let selects = ["select", "with", "show", "describe", "exists"];
        let first = sql.split_whitespace().next().unwrap_or_default().to_lowercase();
        let settings = if selects.contains(&first.as_str()) { settings } else { String::new() };
        self.engine.query(&format!("{}{settings}", with_settings_place(sql, &settings)), format)
    }

    /// The fault that this insert is to meet, counted off.
    fn due(&self, sql: &str) -> Option<Fault> {
        let mut held = lock(&self.fault);
        let fault = held.as_mut().filter(|f| sql.contains(&f.table))?;
        fault.left = fault.left.checked_sub(1)?;
        Some(fault.clone())
    }
}

/// A query whose settings are appended must not have a FORMAT clause before them.
fn with_settings_place(sql: &str, settings: &str) -> String {
    match sql.rfind(" FORMAT ").filter(|_| !settings.is_empty()) {
        Some(at) => sql.get(..at).unwrap_or(sql).to_owned(),
        None => sql.trim_end_matches(';').to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fault(request: &Request) -> Option<Fault> {
    let flag = |name| request.parameter(name) == Some("1");
    Some(Fault {
        code: request.parameter("code").unwrap_or("0").to_owned(),
        left: request.parameter("count").and_then(|c| c.parse().ok()).unwrap_or(1),
        after: flag("after"),
        hang: flag("hang"),
        table: request.parameter("table").unwrap_or_default().to_owned(),
    })
}

fn told(fault: &Fault) -> Option<Answer> {
    if fault.hang {
        return None;
    }
    Some(refused(&format!("Code: {}. DB::Exception: made by the test", fault.code)))
}

/// The status that ClickHouse gives an exception.
fn refused(error: &str) -> Answer {
    let code = error.split_once("Code: ").map_or("", |(_, rest)| rest);
    let code: String = code.chars().take_while(char::is_ascii_digit).collect();
    let status = match code.as_str() {
        "60" | "81" | "16" | "47" | "115" => 404,
        "193" | "194" | "516" => 403,
        "202" | "203" => 503,
        "" | "1001" => 500,
        _ => 500,
    };
    (status, Some(code).filter(|c| !c.is_empty()), format!("{error}\n").into_bytes())
}
