//! A gateway that remembers what it was asked, and a client without a network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use tower::ServiceExt;
use wasmgate_admin::{
    Access, Action, ApiError, Component, Deletion, Gateway, ModuleState, ModuleView, NotReady,
    PipelineView, Readiness, ReloadView, Role, Signal, SignalView, Upload, UploadLimits,
    UploadState, Uploads, UseView,
};

pub(crate) const TOKEN: &str = "0123456789abcdef";

/// Answers and remembers.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) down: bool,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Fake {
    fn asked(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

fn pipeline() -> PipelineView {
    PipelineView {
        name: "orders".into(),
        state: "running".into(),
        reason: None,
        code: None,
        source: "file".into(),
        sinks: vec!["file".into()],
        phase: "reading".into(),
        records_in: 3,
        records_out: 2,
        dropped: 1,
        dead_letters: 0,
        in_flight: 0,
        lag_ms: None,
        copies: Vec::new(),
        quarantined: Vec::new(),
        checkpoint: Vec::new(),
        stages: Vec::new(),
        fields: Vec::new(),
        misfits: Vec::new(),
    }
}

fn module() -> ModuleView {
    ModuleView {
        name: "unwrap".into(),
        state: ModuleState::Active,
        world: Some("transform".into()),
        version: Some("0.1.0".into()),
        sha256: Some("ab".into()),
        summary: None,
        loaded_at_ms: Some(1),
        imports: Vec::new(),
        config_schema: None,
        rejected: None,
        used_by: vec!["orders".into()],
        uses: vec![UseView {
            pipeline: "orders".into(),
            stage: Some(0),
            version: "0.1.0".into(),
            sha256: "ab".into(),
            state: "running".into(),
            reason: None,
        }],
        previous: Vec::new(),
        aside: Vec::new(),
        stats: None,
    }
}

#[async_trait]
impl Gateway for Fake {
    fn ready(&self) -> Readiness {
        let reason = Some("the broker is away".to_owned());
        let not = NotReady { pipeline: "orders".into(), state: "retrying".into(), reason };
        Readiness { ready: !self.down, not_ready: if self.down { vec![not] } else { vec![] } }
    }

    fn metrics(&self) -> String {
        "wasmgate_records_in_total 3\n".into()
    }

    fn pipelines(&self) -> Vec<PipelineView> {
        vec![pipeline()]
    }

    async fn act(&self, name: &str, action: Action) -> Result<PipelineView, ApiError> {
        if name != "orders" {
            return Err(ApiError::pipeline_unknown(name));
        }
        self.asked(format!("{action:?} {name}"));
        Ok(pipeline())
    }

    async fn signal(&self, name: &str, signal: Signal) -> Result<SignalView, ApiError> {
        if name != "orders" {
            return Err(ApiError::pipeline_unknown(name));
        }
        let data = serde_json::to_string(&signal.data).unwrap();
        self.asked(format!("signal {name} {} {data}", signal.kind));
        Ok(SignalView { id: signal.id.unwrap_or_else(|| "made-up".to_owned()) })
    }

    fn modules(&self) -> Vec<ModuleView> {
        vec![module()]
    }

    async fn put_module(
        &self,
        name: &str,
        mut component: Component,
        dry_run: bool,
    ) -> Result<Upload, ApiError> {
        let content = component.read().unwrap();
        self.asked(format!("put {name} {}{}", content.len(), if dry_run { " dry" } else { "" }));
        if content.is_empty() {
            let details = vec!["import wasi:sockets".to_owned()];
            return Err(ApiError::new(422, "module-refused", "no").with_details(details));
        }
        Ok(Upload {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            sha256: component.sha256().to_owned(),
            state: if dry_run { UploadState::Checked } else { UploadState::Active },
            world: "transform".to_owned(),
            used_by: Vec::new(),
        })
    }

    async fn delete_module(&self, name: &str, force: bool) -> Result<Deletion, ApiError> {
        self.asked(format!("delete {name}{}", if force { " by force" } else { "" }));
        let paused = if force { vec!["orders".to_owned()] } else { Vec::new() };
        Ok(Deletion { name: name.to_owned(), paused })
    }

    async fn roll_back(&self, name: &str, sha256: Option<&str>) -> Result<ModuleView, ApiError> {
        self.asked(format!("rollback {name}{}", sha256.map_or("", |_| " by digest")));
        Ok(module())
    }

    async fn reload(&self) -> Result<ReloadView, ApiError> {
        self.asked("reload".to_owned());
        Ok(ReloadView { accepted: vec!["unwrap".into()], ..ReloadView::default() })
    }
}

/// Limits of uploads that a test can reach.
pub(crate) fn limits() -> UploadLimits {
    // An upload that a test holds half done is not given up meanwhile.
    let pace_time = Duration::from_secs(60);
    let (bytes, turn) = (64 << 10, Duration::ZERO);
    UploadLimits { bytes, turn, pace_time, ..UploadLimits::default() }
}

/// What a test talks to.
pub(crate) struct Place {
    pub(crate) router: Router,
    pub(crate) fake: Arc<Fake>,
    /// Where uploads are received.
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn open() -> Place {
    place(Fake::default(), &[], limits())
}

pub(crate) fn place(fake: Fake, tokens: &[(&str, Role)], limits: UploadLimits) -> Place {
    let fake = Arc::new(fake);
    let access = Access::new("127.0.0.1:8080".parse().unwrap(), tokens, &[]);
    let gateway: Arc<dyn Gateway> = Arc::<Fake>::clone(&fake);
    let dir = tempfile::tempdir().unwrap();
    let uploads = Uploads::open(dir.path().to_owned(), limits).unwrap();
    Place { router: wasmgate_admin::router(gateway, access, uploads), fake, dir }
}

impl Place {
    pub(crate) fn asked(&self) -> Vec<String> {
        self.fake.asked.lock().unwrap().clone()
    }

    /// Sends a request; `Host: localhost:8080` unless `headers` say otherwise.
    pub(crate) async fn ask(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> (u16, String) {
        let (status, _, body) = self.exchange(line, headers, body).await;
        (status, body)
    }

    /// As [`Place::ask`], with the answer's headers.
    pub(crate) async fn exchange(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> (u16, HeaderMap, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:8080");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
    }
}
