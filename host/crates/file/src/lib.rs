//! F3: records in files and on the screen.
//!
//! [`FileSource`] and [`FileSink`] speak the same lines, one JSON object per record;
//! [`FileDeadLetters`] writes those lines with the reason beside the original bytes.
//! [`SampleSource`] makes the reference systems' records, [`ConsoleSink`] shows records,
//! [`BlackholeSink`] counts them.

mod ahead;
mod assemble;
mod blackhole;
mod console;
mod dead_letters;
mod disk;
mod input;
mod output;
mod sample;
mod settings;
mod sink;
mod source;
mod strict;
mod worker;

pub use blackhole::BlackholeSink;
pub use console::ConsoleSink;
pub use dead_letters::FileDeadLetters;
pub use sample::SampleSource;
pub use settings::{
    FileDeadLetterSettings, FileSinkSettings, FileSourceSettings, MAX_LINE, SampleSettings,
    SampleSystem, Target,
};
pub use sink::FileSink;
pub use source::FileSource;
