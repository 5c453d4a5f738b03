//! The component's exports: from the contract's free functions to an author's type.

use std::cell::RefCell;

use crate::config::{self, Config};
use crate::contract::{Batch, Description, Output, Projection, Schema};
use crate::host::log;
use crate::policy::{Decision, Failure, Policy};
use crate::stage::Transform;

/// The one instance that a component holds.
#[derive(Debug)]
pub struct Instance<T>(RefCell<Option<T>>);

impl<T> Default for Instance<T> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<T> Instance<T> {
    fn with<R>(&self, call: impl FnOnce(&mut T) -> Result<R, String>) -> Result<R, String> {
        match self.0.borrow_mut().as_mut() {
            Some(instance) => call(instance),
            None => Err("the module is not open: call `open` first".to_owned()),
        }
    }
}

impl<T: Transform> Instance<T> {
    /// `stage.open`.
    ///
    /// # Errors
    /// The configuration is refused.
    pub fn open(&self, config: &str) -> Result<(), String> {
        report_panics();
        *self.0.borrow_mut() = Some(T::open(config::from_text(config)?)?);
        Ok(())
    }

    /// `stage.bind`.
    ///
    /// # Errors
    /// The schema is refused, or the module is not open.
    pub fn bind(&self, schema: &Schema) -> Result<Option<Projection>, String> {
        self.with(|stage| stage.bind(schema))
    }

    /// `stage.process`.
    ///
    /// # Errors
    /// The batch failed, or the module is not open.
    pub fn process(&self, batch: &Batch) -> Result<Output, String> {
        self.with(|stage| stage.process(batch.schema, batch))
    }

    /// `stage.close`.
    pub fn close(&self) {
        if let Some(mut stage) = self.0.borrow_mut().take() {
            stage.close();
        }
    }
}

impl<T: Policy> Instance<T> {
    /// `policy.open`.
    ///
    /// # Errors
    /// The configuration is refused.
    pub fn open_policy(&self, config: &str) -> Result<(), String> {
        report_panics();
        *self.0.borrow_mut() = Some(T::open(config::from_text(config)?)?);
        Ok(())
    }

    /// `policy.decide`. A policy that is not open keeps every record.
    pub fn decide(&self, failures: &[Failure]) -> Vec<Decision> {
        match self.0.borrow_mut().as_mut() {
            Some(policy) => failures.iter().map(|failure| policy.decide(failure)).collect(),
            None => failures.iter().map(|_| Decision::DeadLetter(None)).collect(),
        }
    }
}

/// `describe`.
#[must_use]
pub fn describe<C: Config>(name: &str, version: &str, summary: &str) -> Description {
    Description {
        name: name.to_owned(),
        version: version.to_owned(),
        summary: summary.trim().to_owned(),
        config_schema: C::schema().to_string(),
    }
}

/// A panic becomes a trap, and a trap carries no text: say it in the log first.
fn report_panics() {
    if cfg!(target_arch = "wasm32") {
        std::panic::set_hook(Box::new(|panic| {
            log::write(log::Level::Error, &panic.to_string());
        }));
    }
}

/// Exports a [`Transform`](crate::Transform) as the component's stage. Name, version and summary
/// are the package's unless given: `export_transform!(Mask, name = "mask", summary = "Hides.")`.
#[macro_export]
macro_rules! export_transform {
    ($type:ty) => {
        $crate::export_transform!(
            $type,
            name = ::core::env!("CARGO_PKG_NAME"),
            summary = ::core::env!("CARGO_PKG_DESCRIPTION")
        );
    };
    ($type:ty, name = $name:expr, summary = $summary:expr) => {
        // A native build exports nothing, yet the rule is in use.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(
            <$type as $crate::Transform>::Config,
        ) -> ::core::result::Result<$type, ::std::string::String> =
            <$type as $crate::Transform>::open;
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::transform::exports::wasmgate::transform::stage;
            ::std::thread_local! {
                static INSTANCE: $crate::export::Instance<$type> =
                    $crate::export::Instance::default();
            }
            struct Component;
            impl stage::Guest for Component {
                fn describe() -> stage::Description {
                    $crate::export::describe::<<$type as $crate::Transform>::Config>(
                        $name,
                        ::core::env!("CARGO_PKG_VERSION"),
                        $summary,
                    )
                }
                fn open(config: ::std::string::String) -> Result<(), ::std::string::String> {
                    INSTANCE.with(|instance| instance.open(&config))
                }
                fn bind(
                    schema: stage::Schema,
                ) -> Result<Option<stage::Projection>, ::std::string::String> {
                    INSTANCE.with(|instance| instance.bind(&schema))
                }
                fn process(batch: stage::Batch) -> Result<stage::Output, ::std::string::String> {
                    INSTANCE.with(|instance| instance.process(&batch))
                }
                fn close() {
                    INSTANCE.with(|instance| instance.close());
                }
            }
            $crate::bindings::transform::export_stage!(
                Component with_types_in $crate::bindings::transform
            );
        };
    };
}

/// Exports a [`Policy`](crate::policy::Policy) as the component's policy; like
/// [`export_transform!`](crate::export_transform).
#[macro_export]
macro_rules! export_policy {
    ($type:ty) => {
        $crate::export_policy!(
            $type,
            name = ::core::env!("CARGO_PKG_NAME"),
            summary = ::core::env!("CARGO_PKG_DESCRIPTION")
        );
    };
    ($type:ty, name = $name:expr, summary = $summary:expr) => {
        // A native build exports nothing, yet the policy is in use.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(
            <$type as $crate::policy::Policy>::Config,
        ) -> ::core::result::Result<$type, ::std::string::String> =
            <$type as $crate::policy::Policy>::open;
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::policy::exports::wasmgate::transform::policy;
            ::std::thread_local! {
                static INSTANCE: $crate::export::Instance<$type> =
                    $crate::export::Instance::default();
            }
            struct Component;
            impl policy::Guest for Component {
                fn describe() -> policy::Description {
                    $crate::export::describe::<<$type as $crate::policy::Policy>::Config>(
                        $name,
                        ::core::env!("CARGO_PKG_VERSION"),
                        $summary,
                    )
                }
                fn open(config: ::std::string::String) -> Result<(), ::std::string::String> {
                    INSTANCE.with(|instance| instance.open_policy(&config))
                }
                fn decide(
                    failures: ::std::vec::Vec<policy::Failure>,
                ) -> ::std::vec::Vec<policy::Decision> {
                    INSTANCE.with(|instance| instance.decide(&failures))
                }
            }
            $crate::bindings::policy::export_policy!(
                Component with_types_in $crate::bindings::policy
            );
        };
    };
}
