//! Bounds on what the compiler will be asked to do, and on what a component may consist of. Read
//! from the bytes before anything is compiled: all of these modules are valid WebAssembly, and a
//! few hundred kilobytes of the wrong shape cost a compiler minutes and gigabytes. The numbers
//! leave room for the largest modules that toolchains make (CPython, SpiderMonkey).

use wasmgate_model::Fault;
use wasmparser::{
    BinaryReaderError, CanonicalFunction, CanonicalOption, ComponentType, FunctionBody, Operator,
    Parser, Payload,
};

use super::{invalid, refused};

/// Bytes of one function's body; compile time grows faster than this. The interpreter loop of
/// CPython has 427 kB.
const BODY_BYTES_MAX: u64 = 512 << 10;
/// Locals of one function. Each is initialised, and lives across every branch.
const LOCALS_MAX: u64 = 10_000;
/// Targets of one `br_table`.
const BRANCH_TARGETS_MAX: u32 = 8192;
/// Blocks, loops and branches inside each other; a `switch` has one per case.
const NESTING_MAX: u32 = 4096;
/// Modules and components inside each other. Toolchains need 2, composed components 4.
const DEPTH_MAX: u32 = 8;

/// What is counted over all parts of a module together.
#[derive(Clone, Copy)]
enum Part {
    Functions,
    Locals,
    Types,
    Imports,
    Exports,
    Tables,
    Memories,
    Globals,
    Elements,
    DataSegments,
    Modules,
    Components,
    Instances,
    Aliases,
    Canonicals,
}

impl Part {
    const COUNT: usize = Self::Canonicals as usize + 1;

    /// Its name, and how many there may be.
    fn limit(self) -> (&'static str, u64) {
        match self {
            Self::Functions => ("functions", 50_000),
            Self::Locals => ("locals", 4_000_000),
            Self::Types => ("types", 50_000),
            Self::Imports => ("imports", 50_000),
            Self::Exports => ("exports", 100_000),
            Self::Tables => ("tables", 64),
            Self::Memories => ("memories", 64),
            Self::Globals => ("globals", 100_000),
            Self::Elements => ("element segments", 20_000),
            Self::DataSegments => ("data segments", 50_000),
            Self::Modules => ("nested modules", 64),
            Self::Components => ("nested components", 64),
            Self::Instances => ("instances", 1_000),
            Self::Aliases => ("aliases", 100_000),
            Self::Canonicals => ("lifted and lowered functions", 20_000),
        }
    }
}

/// Counts while a module is read.
#[derive(Default)]
struct Tally {
    counts: [u64; Part::COUNT],
    depth: u32,
}

/// Checks all parts of a module against the bounds.
///
/// # Errors
/// `ModuleRefused` with what was found and the limit.
pub(super) fn check(bytes: &[u8]) -> Result<(), Fault> {
    let mut tally = Tally::default();
    for payload in Parser::new(0).parse_all(bytes) {
        tally.payload(payload.map_err(invalid)?)?;
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, part: Part, more: u64) -> Result<(), Fault> {
        let (name, most) = part.limit();
        let mut count = more;
        if let Some(sum) = self.counts.get_mut(part as usize) {
            *sum += more;
            count = *sum;
        }
        within(count, most, || format!("the module has {count} {name}"))
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Fault> {
        let (part, count) = match payload {
            Payload::Version { .. } => return self.enter(),
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                return Ok(());
            }
            Payload::CodeSectionEntry(body) => return self.body(&body),
            Payload::ComponentStartSection { .. } => {
                return Err(refused("the component has a start function: remove it".into()));
            }
            Payload::ComponentTypeSection(section) => {
                self.add(Part::Types, section.count().into())?;
                return section.into_iter().try_for_each(component_type);
            }
            Payload::ComponentCanonicalSection(section) => {
                self.add(Part::Canonicals, section.count().into())?;
                return section.into_iter().try_for_each(canonical);
            }
            Payload::CodeSectionStart { count, .. } => (Part::Functions, count),
            Payload::TypeSection(section) => (Part::Types, section.count()),
            Payload::CoreTypeSection(section) => (Part::Types, section.count()),
            Payload::ImportSection(section) => (Part::Imports, section.count()),
            Payload::ComponentImportSection(section) => (Part::Imports, section.count()),
            Payload::ExportSection(section) => (Part::Exports, section.count()),
            Payload::ComponentExportSection(section) => (Part::Exports, section.count()),
            Payload::TableSection(section) => (Part::Tables, section.count()),
            Payload::MemorySection(section) => (Part::Memories, section.count()),
            Payload::GlobalSection(section) => (Part::Globals, section.count()),
            Payload::ElementSection(section) => (Part::Elements, section.count()),
            Payload::DataSection(section) => (Part::DataSegments, section.count()),
            Payload::InstanceSection(section) => (Part::Instances, section.count()),
            Payload::ComponentInstanceSection(section) => (Part::Instances, section.count()),
            Payload::ComponentAliasSection(section) => (Part::Aliases, section.count()),
            Payload::ModuleSection { .. } => (Part::Modules, 1),
            Payload::ComponentSection { .. } => (Part::Components, 1),
            _ => return Ok(()),
        };
        self.add(part, count.into())
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        // The outermost is not inside anything.
        let inside = self.depth - 1;
        within(inside.into(), DEPTH_MAX.into(), || {
            format!("the component nests modules and components {inside} deep")
        })
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> Result<(), Fault> {
        let size = body.range().end.saturating_sub(body.range().start);
        within(size, BODY_BYTES_MAX, || format!("a function has {size} bytes"))?;
        let mut locals = 0_u64;
        for group in body.get_locals_reader().map_err(invalid)? {
            let (count, _) = group.map_err(invalid)?;
            locals += u64::from(count);
        }
        within(locals, LOCALS_MAX, || format!("a function has {locals} locals"))?;
        self.add(Part::Locals, locals)?;
        instructions(body)
    }
}

/// Checks the shape of one function's code.
fn instructions(body: &FunctionBody<'_>) -> Result<(), Fault> {
    let mut nesting = 0_u32;
    for operator in body.get_operators_reader().map_err(invalid)? {
        match operator.map_err(invalid)? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                nesting += 1;
                within(nesting.into(), NESTING_MAX.into(), || {
                    format!("a function nests {nesting} blocks")
                })?;
            }
            Operator::End => nesting = nesting.saturating_sub(1),
            Operator::BrTable { targets } => {
                let count = targets.len();
                within(count.into(), BRANCH_TARGETS_MAX.into(), || {
                    format!("a function branches to {count} targets at once")
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn component_type(found: Result<ComponentType<'_>, BinaryReaderError>) -> Result<(), Fault> {
    match found.map_err(invalid)? {
        ComponentType::Func(function) if function.async_ => Err(refused_async()),
        _ => Ok(()),
    }
}

fn canonical(found: Result<CanonicalFunction, BinaryReaderError>) -> Result<(), Fault> {
    match found.map_err(invalid)? {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            let is_async = |o: &CanonicalOption| {
                matches!(o, CanonicalOption::Async | CanonicalOption::Callback(_))
            };
            if options.iter().any(is_async) { Err(refused_async()) } else { Ok(()) }
        }
        // Resources of its own never leave a component, for the contract has none; toolchains keep
        // some for what they stub out. How many handles there may be is bounded when it runs.
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceRep { .. }
        | CanonicalFunction::ResourceDrop { .. } => Ok(()),
        other => {
            let shown = format!("{other:?}");
            let name = shown.split([' ', '{', '(']).next().unwrap_or_default();
            Err(refused(format!("the component uses the built-in {name}, which is not lent")))
        }
    }
}

fn refused_async() -> Fault {
    refused("the component has async functions: build it with synchronous ones".into())
}

fn within(found: u64, most: u64, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if found <= most {
        return Ok(());
    }
    Err(refused(format!("{}, the limit is {most}", what())))
}
