//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::commands::module::new::Kind;
use crate::commands::validate::Online;
use crate::config::{ConnectorFile, Files};
use crate::exit::Failure;

/// Captures changes, passes every record through WebAssembly modules, writes to Kafka or files.
#[derive(Debug, Parser)]
#[command(name = "wasmgate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the pipelines of a configuration until SIGINT or SIGTERM; then drain and exit with 0
    Run {
        #[command(flatten)]
        files: FileArgs,
        /// Exit when every pipeline has reached the end of its source: with 0, or with 1 if one
        /// failed
        #[arg(long)]
        until_complete: bool,
    },
    /// Check a configuration and the modules it uses; exit with 78 if something is wrong
    Validate {
        #[command(flatten)]
        files: FileArgs,
        /// Look at the servers too, without changing anything
        #[arg(long)]
        online: bool,
        /// Print what the servers look like as one JSON document
        #[arg(long, requires = "online")]
        json: bool,
    },
    /// Print the JSON Schema of the configuration
    Schema,
    /// Look at checkpoints, or remove one; the gateway must not run meanwhile
    Checkpoints {
        #[command(subcommand)]
        command: CheckpointsCommand,
    },
    /// Look at the replication slots of the Postgres pipelines, or drop one
    Slots {
        #[command(subcommand)]
        command: SlotsCommand,
    },
    /// Make, test, measure and look at modules
    Module {
        #[command(subcommand)]
        command: ModuleCommand,
    },
    /// Compile a module within bounds; the gateway calls this
    #[command(name = wasmgate_wasm::COMPILE_COMMAND, hide = true)]
    Compile { input: PathBuf, output: PathBuf },
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The configuration; may be left out with --connector
    #[arg(short, long, value_name = "FILE", required_unless_present = "connector")]
    config: Option<PathBuf>,
    /// A Debezium connector as it is posted to Kafka Connect, {"name", "config"}: one more
    /// pipeline. NAME= before it where the file does not say the name. May be given several times
    #[arg(long, value_name = "[NAME=]FILE.json")]
    connector: Vec<ConnectorFile>,
}

impl FileArgs {
    fn files(&self) -> Files<'_> {
        Files { base: self.config.as_deref(), connectors: &self.connector }
    }
}

#[derive(Debug, Subcommand)]
enum ModuleCommand {
    /// Make a folder with a new module: a crate, an example, a case
    New {
        /// Its name: lower-case letters, digits, dashes
        name: String,
        /// What it is an example of
        #[arg(long, value_enum, default_value_t = Kind::Rule)]
        kind: Kind,
        /// A checkout of wasmgate whose SDK is used by its path; without it the SDK's sources are
        /// put into the folder
        #[arg(long, value_name = "PATH")]
        sdk: Option<PathBuf>,
    },
    /// Run case files on a module; exit with 1 if something is not as expected
    Test {
        /// The module
        file: PathBuf,
        /// A folder of case files (*.yaml), or one; without it NAME.cases beside NAME.wasm
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
    },
    /// Measure what a module costs per record and per call
    Bench {
        /// The module
        file: PathBuf,
        /// The configuration to open it with
        #[arg(long, value_name = "JSON")]
        config: Option<String>,
        /// A case file: its schema, its records and, without --config, its configuration
        #[arg(long, value_name = "CASE")]
        schema: Option<PathBuf>,
    },
    /// Show what a module is and whether the gateway takes it
    Inspect {
        /// The module
        file: PathBuf,
        /// A case file: what the module reads and writes under its configuration and schema
        #[arg(long, value_name = "CASE")]
        schema: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum CheckpointsCommand {
    /// Show partitions and positions of every pipeline
    List {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Remove a pipeline's checkpoint and show what it was
    Remove {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// The pipeline's name
        pipeline: String,
    },
}

#[derive(Debug, Subcommand)]
enum SlotsCommand {
    /// Show who reads each slot, what is settled, how much log it keeps
    List {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Drop a pipeline's slot, and end whoever reads it: what was not read is lost to the pipeline
    Drop {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// The pipeline's name
        pipeline: String,
        /// Drop its publication too
        #[arg(long)]
        publication: bool,
    },
}

/// Does what the command line says.
///
/// # Errors
/// The command failed; usage errors exit by themselves.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    match Cli::parse().command {
        Command::Run { files, until_complete } => {
            commands::run::run(files.files(), until_complete)?;
        }
        Command::Validate { files, online, json } => {
            let online = match (online, json) {
                (false, _) => Online::No,
                (true, false) => Online::Lines,
                (true, true) => Online::Json,
            };
            commands::validate::validate(files.files(), online)?;
        }
        Command::Schema => commands::schema::schema()?,
        Command::Checkpoints { command } => match command {
            CheckpointsCommand::List { config } => commands::checkpoints::list(&config)?,
            CheckpointsCommand::Remove { config, pipeline } => {
                commands::checkpoints::remove(&config, &pipeline)?;
            }
        },
        Command::Slots { command } => match command {
            SlotsCommand::List { config } => commands::slots::list(&config)?,
            SlotsCommand::Drop { config, pipeline, publication } => {
                commands::slots::drop(&config, &pipeline, publication)?;
            }
        },
        Command::Module { command } => return module(command),
        Command::Compile { input, output } => {
            return Ok(wasmgate_wasm::compile_child_main(&input, &output));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn module(command: ModuleCommand) -> Result<ExitCode, Failure> {
    match command {
        ModuleCommand::New { name, kind, sdk } => {
            commands::module::new::new(&name, kind, sdk.as_deref())?;
        }
        ModuleCommand::Test { file, cases } => {
            return commands::module::test::test(&file, cases.as_deref());
        }
        ModuleCommand::Bench { file, config, schema } => {
            commands::module::bench::bench(&file, config.as_deref(), schema.as_deref())?;
        }
        ModuleCommand::Inspect { file, schema } => {
            commands::inspect::inspect(&file, schema.as_deref())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
