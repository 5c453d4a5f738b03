//! Stand-ins for what a plain `wasm32-wasip2` build imports whether it is used or not: an empty
//! environment, a closed standard input, outputs whose lines go to the gateway's log at level
//! debug, and an exit that is a trap. None of it reads, writes or waits for anything outside.

use std::fmt;
use std::time::Instant;

use wasmtime::component::Resource;

use crate::bindings::stand_ins::wasi::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr,
    terminal_stdin, terminal_stdout,
};
use crate::bindings::stand_ins::wasi::io::{error, poll, streams};
use crate::host::GuestContext;
use crate::host::log::one_line;

use streams::{InputStream, OutputStream, StreamError};

/// Nothing is stored behind a handle: its number says what it stands for.
const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const POLLABLE: u32 = 3;
/// Bytes that a guest may write at once.
const WRITE_BYTES_MAX: u64 = 64 << 10;

type Answer<T> = wasmtime::Result<Result<T, StreamError>>;

/// The guest ended itself: a trap with this text.
#[derive(Debug)]
struct Exit(u8);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the module called exit({}), and a module may not end", self.0)
    }
}

impl std::error::Error for Exit {}

impl GuestContext {
    fn print(&mut self, stream: u32, contents: &[u8]) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let (name, console) = match stream {
            STDERR => ("stderr", &mut self.stderr),
            _ => ("stdout", &mut self.stdout),
        };
        let (module, version) = (self.identity.name.as_str(), self.identity.version.as_str());
        let (log, now) = (&self.log, Instant::now());
        console.write(contents, |line| {
            if let Some(dropped) = log.take(now) {
                let text = one_line(line);
                tracing::debug!(module, version, stream = name, text, dropped, "module prints");
            }
        });
    }
}

fn pollable() -> wasmtime::Result<Resource<poll::Pollable>> {
    Ok(Resource::new_own(POLLABLE))
}

fn closed<T>() -> Answer<T> {
    Ok(Err(StreamError::Closed))
}

impl environment::Host for GuestContext {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl exit::Host for GuestContext {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(Exit(u8::from(status.is_err())).into())
    }

    fn exit_with_code(&mut self, status_code: u8) -> wasmtime::Result<()> {
        Err(Exit(status_code).into())
    }
}

impl stdin::Host for GuestContext {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<InputStream>> {
        Ok(Resource::new_own(STDIN))
    }
}

impl stdout::Host for GuestContext {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        Ok(Resource::new_own(STDOUT))
    }
}

impl stderr::Host for GuestContext {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        Ok(Resource::new_own(STDERR))
    }
}

impl terminal_stdin::Host for GuestContext {
    fn get_terminal_stdin(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_input::TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for GuestContext {
    fn get_terminal_stdout(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for GuestContext {
    fn get_terminal_stderr(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_input::Host for GuestContext {}
impl terminal_output::Host for GuestContext {}

impl terminal_input::HostTerminalInput for GuestContext {
    fn drop(&mut self, _it: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl terminal_output::HostTerminalOutput for GuestContext {
    fn drop(&mut self, _it: Resource<terminal_output::TerminalOutput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl error::Host for GuestContext {}

impl error::HostError for GuestContext {
    fn to_debug_string(&mut self, _it: Resource<error::Error>) -> wasmtime::Result<String> {
        Ok(String::new())
    }

    fn drop(&mut self, _it: Resource<error::Error>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl poll::Host for GuestContext {
    /// Everything is ready: nobody waits here.
    fn poll(&mut self, pollables: Vec<Resource<poll::Pollable>>) -> wasmtime::Result<Vec<u32>> {
        Ok((0..).zip(pollables).map(|(number, _)| number).collect())
    }
}

impl poll::HostPollable for GuestContext {
    fn ready(&mut self, _it: Resource<poll::Pollable>) -> wasmtime::Result<bool> {
        Ok(true)
    }

    fn block(&mut self, _it: Resource<poll::Pollable>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn drop(&mut self, _it: Resource<poll::Pollable>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl streams::Host for GuestContext {}

impl streams::HostInputStream for GuestContext {
    fn read(&mut self, _it: Resource<InputStream>, _len: u64) -> Answer<Vec<u8>> {
        closed()
    }

    fn blocking_read(&mut self, _it: Resource<InputStream>, _len: u64) -> Answer<Vec<u8>> {
        closed()
    }

    fn skip(&mut self, _it: Resource<InputStream>, _len: u64) -> Answer<u64> {
        closed()
    }

    fn blocking_skip(&mut self, _it: Resource<InputStream>, _len: u64) -> Answer<u64> {
        closed()
    }

    fn subscribe(
        &mut self,
        _it: Resource<InputStream>,
    ) -> wasmtime::Result<Resource<poll::Pollable>> {
        pollable()
    }

    fn drop(&mut self, _it: Resource<InputStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl streams::HostOutputStream for GuestContext {
    fn check_write(&mut self, _it: Resource<OutputStream>) -> Answer<u64> {
        Ok(Ok(WRITE_BYTES_MAX))
    }

    fn write(&mut self, it: Resource<OutputStream>, contents: Vec<u8>) -> Answer<()> {
        self.print(it.rep(), &contents);
        Ok(Ok(()))
    }

    fn blocking_write_and_flush(
        &mut self,
        it: Resource<OutputStream>,
        contents: Vec<u8>,
    ) -> Answer<()> {
        self.print(it.rep(), &contents);
        Ok(Ok(()))
    }

    fn flush(&mut self, _it: Resource<OutputStream>) -> Answer<()> {
        Ok(Ok(()))
    }

    fn blocking_flush(&mut self, _it: Resource<OutputStream>) -> Answer<()> {
        Ok(Ok(()))
    }

    fn subscribe(
        &mut self,
        _it: Resource<OutputStream>,
    ) -> wasmtime::Result<Resource<poll::Pollable>> {
        pollable()
    }

    fn write_zeroes(&mut self, _it: Resource<OutputStream>, _len: u64) -> Answer<()> {
        Ok(Ok(()))
    }

    fn blocking_write_zeroes_and_flush(
        &mut self,
        _it: Resource<OutputStream>,
        _len: u64,
    ) -> Answer<()> {
        Ok(Ok(()))
    }

    fn splice(
        &mut self,
        _it: Resource<OutputStream>,
        _from: Resource<InputStream>,
        _len: u64,
    ) -> Answer<u64> {
        closed()
    }

    fn blocking_splice(
        &mut self,
        _it: Resource<OutputStream>,
        _from: Resource<InputStream>,
        _len: u64,
    ) -> Answer<u64> {
        closed()
    }

    fn drop(&mut self, _it: Resource<OutputStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}
