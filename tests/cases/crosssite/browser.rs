//! Headless Chromium opens a page of another origin, which tries what a page can.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmgate_tests::{PATIENCE, wait_for};

use super::{TARGETS, gateway, state};

/// Debian's package, and names of others.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A name that this browser alone finds at this machine.
const ATTACKER: &str = "attacker.example";

/// A browser that is killed when it is dropped.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The browser's program, where it is installed.
fn program() -> Option<&'static str> {
    let runs = |program: &&&str| {
        let command = Command::new(program).arg("--version").stderr(Stdio::null()).output();
        command.is_ok_and(|done| done.status.success())
    };
    PROGRAMS.iter().find(runs).copied()
}

fn open(program: &str, profile: &Path, address: &str) -> Browser {
    let log = std::fs::File::create(profile.join("browser.log")).unwrap();
    let child = Command::new(program)
        .args(["--headless=new", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
        // Tests run as root in containers, where there is no sandbox.
        .args(["--no-sandbox", "--disable-background-networking", "--disable-component-update"])
        // The gateway is under test, not what this version of the browser keeps away from it.
        .arg("--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests")
        .arg(format!("--host-resolver-rules=MAP {ATTACKER} 127.0.0.1"))
        .arg(format!("--user-data-dir={}", profile.join("profile").display()))
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Browser(child)
}

/// The page: `gateways` are the gateway under its address and under a rebound name. It says at
/// the end what it could read, and what worked.
fn page(gateways: &[String]) -> String {
    let targets: Vec<String> =
        TARGETS.iter().map(|(method, path)| format!("[{method:?},{path:?}]")).collect();
    let script = "
        const told = { read: [], sent: 0, failed: 0 };
        const quiet = 'text/plain';
        async function attempt(url, options) {
            try {
                const answer = await fetch(url, options);
                told.sent += 1;
                if (answer.type !== 'opaque') told.read.push(url + ' ' + answer.status);
            } catch (error) { told.failed += 1; }
        }
        function form(url, enctype) {
            const frame = document.createElement('iframe');
            frame.name = 'f' + Math.random();
            const form = document.createElement('form');
            Object.assign(form, { action: url, method: 'POST', enctype, target: frame.name });
            const field = document.createElement('input');
            Object.assign(field, { name: 'a', value: 'b' });
            form.append(field);
            document.body.append(frame, form);
            form.submit();
            // What the frame shows then is hidden from this page; the gateway's log has it.
            return new Promise(done => setTimeout(done, 50));
        }
        async function run() {
            for (const gateway of gateways) {
                for (const [method, path] of targets) {
                    const url = gateway + path;
                    await attempt(url, { method, body: method === 'DELETE' ? undefined : 'x' });
                    await attempt(url, { method, headers: { 'x-own': '1' } });
                    if (method !== 'POST') continue;
                    const headers = { 'content-type': quiet };
                    await attempt(url, { method, mode: 'no-cors', headers, body: 'x' });
                    navigator.sendBeacon(url, 'x');
                    for (const kind of [quiet, 'multipart/form-data',
                                        'application/x-www-form-urlencoded']) {
                        await form(url, kind);
                    }
                }
                for (const path of ['/api/v1/modules', '/api/v1/pipelines', '/metrics']) {
                    await attempt(gateway + path, {});
                }
            }
            await fetch('/done', { method: 'POST', body: JSON.stringify(told) });
        }
        window.onload = run;
    ";
    let gateways: Vec<String> = gateways.iter().map(|g| format!("{g:?}")).collect();
    format!(
        "<!doctype html><title>attack</title><body><script>\nconst gateways = [{}];\n\
         const targets = [{}];\n{script}</script>",
        gateways.join(","),
        targets.join(",")
    )
}

/// Serves the page until its script has said what became of it.
fn serve(listener: &TcpListener, page: &str) -> Option<Value> {
    let started = Instant::now();
    listener.set_nonblocking(true).unwrap();
    while started.elapsed() < PATIENCE {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Some(told) = answer(stream, page) {
                    return Some(told);
                }
            }
            Err(_) => std::thread::park_timeout(Duration::from_millis(5)),
        }
    }
    None
}

/// Answers one request; what a POST of the page says.
fn answer(stream: TcpStream, page: &str) -> Option<Value> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let size = page.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {size}\r\n\
         Connection: close\r\n\r\n{page}"
    );
    reader.get_mut().write_all(head.as_bytes()).ok()?;
    if first.starts_with("POST /done") { serde_json::from_slice(&body).ok() } else { None }
}

/// Status of every request that wanted to change something, as the gateway's log has them:
/// (method, target, status).
fn audited(log: &str) -> Vec<(String, String, u16)> {
    let of = |line: &str, name: &str| {
        let rest = line.split(&format!(" {name}=")).nth(1)?;
        let word = rest.split_whitespace().next()?;
        Some(word.trim_matches('"').to_owned())
    };
    let lines = log.lines().filter(|line| line.contains("request to change something"));
    lines
        .filter_map(|l| Some((of(l, "method")?, of(l, "target")?, of(l, "status")?.parse().ok()?)))
        .collect()
}

#[test]
fn crosssite_page_in_a_browser_changes_and_reads_nothing() {
    let missing = "no Chromium: Debian package chromium".to_owned();
    let Some(program) = program() else {
        assert!(wasmgate_tests::skipped(Some(missing)));
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let gateway = gateway(dir.path());
    let before = state(&gateway);
    // The upload before, whose line may come after its answer.
    let own = || Some(audited(&gateway.log()).len()).filter(|own| *own > 0);
    let own = wait_for("our own request in the log", own, || gateway.log());
    let port = gateway.address().rsplit(':').next().unwrap().to_owned();
    let gateways = [format!("http://{}", gateway.address()), format!("http://{ATTACKER}:{port}")];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{ATTACKER}:{}/", listener.local_addr().unwrap().port());
    let browser = open(program, dir.path(), &address);
    let told = serve(&listener, &page(&gateways));
    let said = std::fs::read_to_string(dir.path().join("browser.log")).unwrap_or_default();
    let told = told.unwrap_or_else(|| panic!("the page did not end\n{said}\n{}", gateway.log()));
    drop(browser);
    println!("the page: {told}");
    assert_eq!(told["read"], serde_json::json!([]), "the page could read an answer");
    assert_eq!(state(&gateway), before, "the page changed something");
    // It did reach the gateway, with everything, and was refused by us.
    let whole = |asked: &Vec<(String, String, u16)>| {
        let count = |method: &str, path: &str, status: u16| {
            asked
                .iter()
                .filter(|a| (a.0.as_str(), a.1.as_str(), a.2) == (method, path, status))
                .count()
        };
        let rebound = asked.iter().any(|a| a.2 == 421 && a.0 == "POST");
        let mut posts = TARGETS.iter().filter(|t| t.0 == "POST");
        // These have to ask first, and are refused then.
        let mut first = ["/api/v1/modules/guest", "/api/v1/modules/spare"].into_iter();
        let preflight = |path| asked.iter().any(|a| a.0 == "OPTIONS" && a.1 == path);
        rebound && posts.all(|(method, path)| count(method, path, 403) >= 4) && first.all(preflight)
    };
    let asked = wait_for(
        "the whole attack in the log",
        || Some(audited(&gateway.log()).split_off(own)).filter(whole),
        || gateway.log(),
    );
    for (method, path, status) in &asked {
        assert!(matches!(status, 403 | 421), "{method} {path}: {status}");
    }
}
