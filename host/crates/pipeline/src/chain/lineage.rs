//! What the chain tells about itself: its stages as they run, which module reads and writes which
//! field of which topic, and which one does not fit.

use super::{Chain, Place};
use crate::binding::{Bound, BoundStage};
use crate::status::{StageFields, StageStatus};

impl Chain {
    pub(crate) fn stages(&self) -> Vec<StageStatus> {
        let status = |place: &Place| {
            let id = place.spec.module.identity();
            StageStatus {
                name: id.name.clone(),
                version: id.version.clone(),
                sha256: id.sha256.clone(),
                breaker: place.guard.view(),
            }
        };
        self.places().iter().map(status).collect()
    }

    /// What each stage does to fields, by topic.
    pub(crate) fn fields(&self) -> Vec<(String, Vec<StageFields>)> {
        self.by_topic(|places, bound| {
            let pairs = places.iter().zip(&bound.stages);
            let fields = pairs.filter_map(|(p, stage)| Some(fields(p.name(), stage.as_ref()?)));
            Some(fields.collect())
        })
    }

    /// Topics whose schema a stage does not fit, and why.
    pub(crate) fn misfits(&self) -> Vec<(String, String)> {
        self.by_topic(|_, bound| bound.misfit.as_ref().map(|m| m.reason.clone()))
    }

    /// Looks at the binding of every topic's newest schema, in the order of the topics.
    fn by_topic<T>(&self, look: impl Fn(&[Place], &Bound) -> Option<T>) -> Vec<(String, T)> {
        let state = self.lock();
        let places = state.places();
        let schemas = state.schemas.values();
        let mut topics: Vec<_> = schemas
            .filter_map(|schema| {
                let bound = state.bound.get(&(state.version, schema.id))?;
                Some((schema.topic.to_string(), look(&places, bound)?))
            })
            .collect();
        topics.sort_by(|a, b| a.0.cmp(&b.0));
        topics
    }
}

fn fields(name: &str, stage: &BoundStage) -> StageFields {
    let projection = &stage.projection;
    let (reads, writes) = (&projection.reads, &projection.writes);
    StageFields {
        stage: name.to_owned(),
        reads: reads.iter().map(|r| r.name.clone()).collect(),
        read_kinds: reads.iter().map(|r| r.kind.name()).collect(),
        writes: writes.iter().map(|w| w.name.clone()).collect(),
        write_kinds: writes.iter().map(|w| w.kind.name()).collect(),
        removes: projection.removes.clone(),
        renames: projection.renames.clone(),
    }
}
