//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;
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
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Exit when every pipeline has reached the end of its source: with 0, or with 1 if one
        /// failed
        #[arg(long)]
        until_complete: bool,
    },
    /// Check a configuration and the modules it uses; exit with 78 if something is wrong
    Validate {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Look at the servers too, without changing anything
        #[arg(long)]
        online: bool,
    },
    /// Print the JSON Schema of the configuration
    Schema,
    /// Look at checkpoints, or remove one; the gateway must not run meanwhile
    Checkpoints {
        #[command(subcommand)]
        command: CheckpointsCommand,
    },
    /// Look at modules
    Module {
        #[command(subcommand)]
        command: ModuleCommand,
    },
    /// Compile a module within bounds; the gateway calls this
    #[command(name = wasmgate_wasm::COMPILE_COMMAND, hide = true)]
    Compile { input: PathBuf, output: PathBuf },
}

#[derive(Debug, Subcommand)]
enum ModuleCommand {
    /// Show what a module is and whether the gateway takes it
    Inspect {
        /// The module
        file: PathBuf,
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

/// Does what the command line says.
///
/// # Errors
/// The command failed; usage errors exit by themselves.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    match Cli::parse().command {
        Command::Run { config, until_complete } => commands::run::run(&config, until_complete)?,
        Command::Validate { config, online } => commands::validate::validate(&config, online)?,
        Command::Schema => commands::schema::schema()?,
        Command::Checkpoints { command } => match command {
            CheckpointsCommand::List { config } => commands::checkpoints::list(&config)?,
            CheckpointsCommand::Remove { config, pipeline } => {
                commands::checkpoints::remove(&config, &pipeline)?;
            }
        },
        Command::Module { command: ModuleCommand::Inspect { file } } => {
            commands::inspect::inspect(&file)?;
        }
        Command::Compile { input, output } => {
            return Ok(wasmgate_wasm::compile_child_main(&input, &output));
        }
    }
    Ok(ExitCode::SUCCESS)
}
