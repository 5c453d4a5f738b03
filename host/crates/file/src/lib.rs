//! F3: records in files and on the screen.

mod settings;

pub use settings::{
    FileDeadLetterSettings, FileSinkSettings, FileSourceSettings, MAX_LINE, SampleSettings,
    SampleSystem, Target,
};
