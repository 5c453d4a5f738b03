//! A stage's breaker: counts the failures of one version of a module in one place of a chain, and
//! says when it is not called any more. Shared by the lanes; while it is closed it costs them one
//! relaxed load a batch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use wasmgate_connector::ModuleIdentity;
use wasmgate_model::{Fault, FaultKind};
use wasmgate_telemetry::StageMetrics;

use crate::spec::{GuardSpec, Then};
use crate::status::Breaker;

/// Digits of a digest that tell versions apart for people.
const DIGEST_SHOWN: usize = 12;

/// The version of a module, and the first digits of its digest if it has one.
pub(crate) fn version_and_digest(id: &ModuleIdentity) -> String {
    match id.sha256.get(..DIGEST_SHOWN) {
        Some(digest) => format!("{}@{digest}", id.version),
        None => id.version.clone(),
    }
}

/// What to do with a batch.
#[derive(Debug)]
pub(crate) enum Admit {
    /// The stage is called.
    Call,
    /// It is called once, with the whole batch; the breaker closes if that goes well.
    Probe,
    /// The rows become dead letters without a call.
    DeadLetter,
    /// The rows pass without a call.
    Bypass,
    /// The pipeline pauses.
    Pause,
}

pub(crate) struct Guard {
    pub(crate) spec: GuardSpec,
    /// Name, version, digest: as dead letters carry it.
    pub(crate) module: Arc<(String, String, String)>,
    who: String,
    open: AtomicBool,
    state: Mutex<State>,
    /// The first lane brings them.
    metrics: OnceLock<StageMetrics>,
}

#[derive(Default)]
struct State {
    /// Failures within the window; not more than open the breaker.
    recent: VecDeque<Instant>,
    /// When the breaker opened, or was probed last.
    since: Option<Instant>,
    last: String,
}

impl Guard {
    pub(crate) fn new(spec: GuardSpec, id: &ModuleIdentity) -> Self {
        Self {
            spec,
            module: Arc::new((id.name.clone(), id.version.clone(), id.sha256.clone())),
            who: format!("{} {}", id.name, version_and_digest(id)),
            open: AtomicBool::new(false),
            state: Mutex::default(),
            metrics: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the breaker shows in these metrics.
    pub(crate) fn show(&self, metrics: &StageMetrics) {
        let metrics = self.metrics.get_or_init(|| metrics.clone());
        metrics.breaker_open.set(i64::from(self.is_open()));
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Before a batch. One caller a window is told to probe.
    pub(crate) fn admit(&self) -> Admit {
        if !self.is_open() {
            return Admit::Call;
        }
        let mut state = self.lock();
        let waited = state.since.is_none_or(|since| since.elapsed() >= self.spec.window);
        match self.spec.then {
            Then::Pause => Admit::Pause,
            Then::DeadLetter | Then::Bypass if waited => {
                state.since = Some(Instant::now());
                Admit::Probe
            }
            Then::DeadLetter => Admit::DeadLetter,
            Then::Bypass => Admit::Bypass,
        }
    }

    /// One record, alone, made the stage fail; it is number `of_batch` in its batch. True if the
    /// breaker is open now: too many within the window, or in one batch however long that took.
    pub(crate) fn failed(&self, fault: &Fault, of_batch: u32) -> bool {
        let now = Instant::now();
        let most = self.spec.failures.max(1);
        let mut state = self.lock();
        let old = |at: &Instant| now.duration_since(*at) > self.spec.window;
        while state.recent.front().is_some_and(old) || state.recent.len() >= most as usize {
            state.recent.pop_front();
        }
        state.recent.push_back(now);
        state.last = fault.chain();
        if of_batch < most && state.recent.len() < most as usize {
            return self.is_open();
        }
        if !self.open.swap(true, Ordering::Relaxed) {
            state.since = Some(now);
            if let Some(metrics) = self.metrics.get() {
                metrics.breaker_open.set(1);
                metrics.breaker_trips.inc();
            }
            let (module, then) = (&self.who, self.spec.then.name());
            tracing::warn!(module, then, fault = state.last, "a module's breaker opened");
        }
        true
    }

    /// A probe failed.
    pub(crate) fn probe_failed(&self, fault: &Fault) {
        let mut state = self.lock();
        state.since = Some(Instant::now());
        state.last = fault.chain();
    }

    /// The stage is called again, and counting starts anew.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.recent.clear();
        state.since = None;
        if self.open.swap(false, Ordering::Relaxed) {
            tracing::info!(module = self.who, "a module's breaker closed");
        }
        if let Some(metrics) = self.metrics.get() {
            metrics.breaker_open.set(0);
        }
    }

    /// Why the stage is not called.
    pub(crate) fn fault(&self) -> Fault {
        let GuardSpec { failures, window, .. } = self.spec;
        let what = format!(
            "module {} failed on {failures} records within {window:?}; swap in another version, \
             or resume the pipeline",
            self.who
        );
        Fault::new(FaultKind::ModuleRefused, what).because(self.lock().last.clone())
    }

    /// As shown to operators.
    pub(crate) fn view(&self) -> Breaker {
        let state = self.lock();
        let now = Instant::now();
        let recent = state.recent.iter().filter(|at| now.duration_since(**at) <= self.spec.window);
        Breaker {
            open: self.is_open(),
            then: self.spec.then,
            failures: recent.count() as u32,
            last_fault: (!state.last.is_empty()).then(|| state.last.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasmgate_connector::Module as _;
    use wasmgate_connector::fakes::fn_module;

    use super::*;

    fn guard(then: Then, window: Duration) -> Guard {
        let module = fn_module("m", wasmgate_connector::Projection::default(), |_| {
            Ok(wasmgate_connector::StageOutput::default())
        });
        let spec = GuardSpec { failures: 3, window, then, ..GuardSpec::default() };
        Guard::new(spec, module.identity())
    }

    fn trap() -> Fault {
        Fault::new(FaultKind::ModuleTrap, "unreachable")
    }

    #[test]
    fn failures_out_of_the_window_do_not_count_but_those_of_one_batch_do() {
        let guard = guard(Then::Pause, Duration::ZERO);
        for _ in 0..10 {
            assert!(!guard.failed(&trap(), 1));
            // The clock has to move: a window of zero holds what happens in the same instant.
            while guard.view().failures > 0 {}
        }
        assert!(!guard.failed(&trap(), 2));
        assert!(guard.failed(&trap(), 3));
        assert!(matches!(guard.admit(), Admit::Pause));
        let reason = guard.fault().chain();
        assert!(reason.contains("module m 1.0.0") && reason.ends_with("unreachable"), "{reason}");
    }

    #[test]
    fn one_caller_a_window_probes() {
        let hour = Duration::from_secs(3600);
        for (then, shut) in [(Then::DeadLetter, "DeadLetter"), (Then::Bypass, "Bypass")] {
            let long = guard(then, hour);
            assert!(matches!(long.admit(), Admit::Call));
            assert_eq!([1, 1, 1].map(|n| long.failed(&trap(), n)), [false, false, true]);
            assert_eq!(format!("{:?}", long.admit()), shut);
            let short = guard(then, Duration::ZERO);
            assert!(short.failed(&trap(), 3));
            assert!(matches!(short.admit(), Admit::Probe));
            short.probe_failed(&trap());
            assert!(short.view().open);
            short.close();
            assert!(matches!(short.admit(), Admit::Call));
        }
    }
}
