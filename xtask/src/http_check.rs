//! The HTTP interface against its own description: schemathesis reads the OpenAPI document of a
//! running gateway and sends what fits it and what does not. A 5xx, an answer that the document
//! does not describe, or a route that forgets its token fails the run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::demo::{Gateway, http_get};
use crate::run::{is_ci, output, program, root, run as run_program, target};

/// Exact, so that a new release's new checks come when somebody looks at them.
const VERSION: &str = "4.32.5";
/// Requests per route and phase; the whole run takes well under a minute.
const EXAMPLES: &str = "80";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// 503 is what a probe is told of a pipeline that was paused. A query has no types: the text
/// `true`, sent as a wrong value of `dry_run`, is the right one.
const SETTINGS: &str = r#"
[[operations]]
include-path = "/readyz"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", 503]

[[operations]]
include-path = "/api/v1/modules/reload"
include-method = "PUT"
checks.negative_data_rejection.expected-statuses = ["4xx", 200]
"#;

/// What the description cannot tell: bodies that are components, and names that there are.
const HOOKS: &str = r#"
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

NAMES = {"pipeline": "sample", "module": "identity"}
COMPONENTS = [path.read_bytes() for path in sorted(Path("components").glob("*.wasm"))]

schemathesis.openapi.media_type("application/wasm", st.sampled_from(COMPONENTS))


@schemathesis.serializer("application/wasm")
def component(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_path_parameters(ctx, parameters):
    # Every other name is one that exists.
    return {
        name: NAMES.get(name, value) if len(str(value)) % 2 else value
        for name, value in (parameters or {}).items()
    }
"#;

/// Runs the check on the debug build. Without Python or a network it fails in CI, and says that
/// it is left out elsewhere.
pub(crate) fn run() -> Result<(), String> {
    let tool = match install() {
        Ok(tool) => tool,
        Err(why) if is_ci() => return Err(why),
        Err(why) => {
            println!("SKIPPED: the HTTP interface is not checked against its description: {why}");
            return Ok(());
        }
    };
    let dir = target().join("http-check");
    drop(fs::remove_dir_all(&dir));
    let config = workplace(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let gateway = Gateway::start(&config, &dir)?;
    let checked = check(&tool, &dir, &gateway.address);
    let alive = http_get(&gateway.address, "/healthz").is_ok_and(|(status, _)| status == 200);
    if !alive {
        return Err(format!("the gateway is gone; its log is {}/gateway.log", dir.display()));
    }
    checked
}

/// schemathesis in a virtual environment of its own.
fn install() -> Result<PathBuf, String> {
    let venv = target().join("schemathesis");
    let tool = venv.join("bin/schemathesis");
    let installed = |tool: &Path| {
        output(program(&tool.to_string_lossy()).arg("--version"))
            .is_ok_and(|said| said.trim().ends_with(VERSION))
    };
    if installed(&tool) {
        return Ok(tool);
    }
    let make = || {
        drop(fs::remove_dir_all(&venv));
        output(program("python3").args(["-m", "venv"]).arg(&venv))
    };
    make().or_else(|why| {
        if !is_ci() {
            return Err(format!("{why}\nto install: apt-get install python3-venv"));
        }
        let install = ["-qq", "-y", "--no-install-recommends", "install", "python3-venv"];
        run_program(program("apt-get").args(["-qq", "update"]))?;
        run_program(program("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(install))?;
        make()
    })?;
    let pip = venv.join("bin/pip");
    let package = format!("schemathesis=={VERSION}");
    let pip = pip.to_string_lossy();
    output(program(&pip).args(["install", "--quiet", "--disable-pip-version-check", &package]))?;
    Ok(tool)
}

/// A pipeline from the sample source to nowhere, with a module that requests may act on.
fn workplace(dir: &Path) -> std::io::Result<PathBuf> {
    fs::create_dir_all(dir.join("modules"))?;
    fs::create_dir_all(dir.join("components"))?;
    fs::write(dir.join("hooks.py"), HOOKS)?;
    fs::write(dir.join("schemathesis.toml"), SETTINGS)?;
    for (name, folder) in
        [("identity", "modules"), ("identity", "components"), ("route", "components")]
    {
        let file = format!("{name}.wasm");
        fs::copy(root().join("transforms").join(&file), dir.join(folder).join(&file))?;
    }
    let text = format!(
        "\
data_dir: {dir}/data
http: {{ listen: 127.0.0.1:0, tokens: [{TOKEN:?}] }}
modules: {{ dir: {dir}/modules }}
pipelines:
  sample:
    source: {{ sample: {{ system: orders, rate: 100 }} }}
    transforms: [ {{ module: identity }} ]
    sinks: [ {{ topics: '.*', blackhole: {{}} }} ]
",
        dir = dir.display(),
    );
    let path = dir.join("wasmgate.yaml");
    fs::write(&path, text)?;
    Ok(path)
}

fn check(tool: &Path, dir: &Path, address: &str) -> Result<(), String> {
    let mut schemathesis = program(&tool.to_string_lossy());
    // Its database of examples stays out of the checkout.
    schemathesis
        .current_dir(dir)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .arg("run")
        .arg(format!("http://{address}/api/v1/openapi.json"));
    schemathesis.args(["--header", &format!("Authorization: Bearer {TOKEN}")]);
    schemathesis.args(["--checks", "all", "--max-examples", EXAMPLES, "--seed", "1"]);
    schemathesis.args(["--request-timeout", "30", "--no-color"]);
    run_program(&mut schemathesis).map_err(|e| format!("{e}\nwhat it found stands above"))
}
