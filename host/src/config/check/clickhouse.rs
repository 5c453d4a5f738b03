//! The ClickHouse sink: raw to the connector's settings.

use wasmgate_clickhouse::{
    BatchSettings, Compression, Engine, Epoch, SinkSettings, TableSettings, Truncate, native::Times,
};

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, checked, raw};

impl Checks<'_> {
    pub(super) fn clickhouse(&mut self, field: &Field, raw: raw::ClickHouse) -> checked::SinkKind {
        self.bounds(&field.member("parallel"), raw.parallel, 1, 64);
        let batch = field.member("batch");
        self.bounds(&batch.member("rows"), raw.batch.rows, 1, 1_000_000);
        let interval = batch.member("interval");
        let (timeout, connect) = (field.member("timeout"), field.member("connect_timeout"));
        if let Some(path) = raw.ca_file.as_ref().filter(|path| !path.is_file()) {
            let message = format!("the file `{}` is not there", path.display());
            self.refuse(&field.member("ca_file"), Problem::new(message));
        }
        let table = overlaid(&TableSettings::default(), raw.table);
        let tables = raw.tables.into_iter();
        let tables = tables.map(|t| (t.topics.0, overlaid(&table, t.table))).collect();
        let settings = SinkSettings {
            hosts: raw.hosts,
            user: raw.user,
            password: raw.password.map(|secret| secret.0),
            token: raw.token.map(|secret| secret.0),
            ca_file: raw.ca_file,
            database: raw.database,
            table,
            tables,
            batch: BatchSettings {
                rows: raw.batch.rows as usize,
                bytes: self.size(&batch.member("bytes"), raw.batch.bytes, 64 << 10, 12 << 20),
                interval: self.time_ms(&interval, raw.batch.interval, 0, 60_000),
            },
            parallel: raw.parallel as usize,
            compression: match raw.compression {
                raw::ClickHouseCompression::Auto => Compression::Auto,
                raw::ClickHouseCompression::None => Compression::None,
                raw::ClickHouseCompression::Lz4 => Compression::Lz4,
                raw::ClickHouseCompression::Zstd => Compression::Zstd(1),
            },
            async_insert: raw.async_insert,
            timeout: self.time_ms(&timeout, raw.timeout, 1000, 3_600_000),
            connect_timeout: self.time_ms(&connect, raw.connect_timeout, 100, 300_000),
        };
        self.accepted(field, settings.validate());
        checked::SinkKind::ClickHouse(Box::new(settings))
    }
}

/// `over` where it says something, else `under`.
fn overlaid(under: &TableSettings, over: raw::ClickHouseTable) -> TableSettings {
    let under = under.clone();
    TableSettings {
        name: over.name.unwrap_or(under.name),
        create: over.create.unwrap_or(under.create),
        evolve: over.evolve.unwrap_or(under.evolve),
        engine: over.engine.map_or(under.engine, engine),
        truncate: over.truncate.map_or(under.truncate, truncate),
        times: over.times.map_or(under.times, times),
        epoch: over.epoch.map_or(under.epoch, epoch),
        json: over.json.unwrap_or(under.json),
        include: over.include.unwrap_or(under.include),
        exclude: over.exclude.unwrap_or(under.exclude),
        ignore_unknown: over
            .unknown_fields
            .map_or(under.ignore_unknown, |unknown| unknown == raw::ClickHouseUnknown::Ignore),
        order_by: over.order_by.unwrap_or(under.order_by),
        partition_by: over.partition_by.or(under.partition_by),
        settings: over.settings.unwrap_or(under.settings),
        table_settings: over.table_settings.unwrap_or(under.table_settings),
    }
}

fn engine(raw: raw::ClickHouseEngine) -> Engine {
    match raw {
        raw::ClickHouseEngine::Replacing => Engine::Replacing,
        raw::ClickHouseEngine::Append => Engine::Append,
        raw::ClickHouseEngine::Collapsing => Engine::Collapsing,
    }
}

fn truncate(raw: raw::ClickHouseTruncate) -> Truncate {
    match raw {
        raw::ClickHouseTruncate::Refuse => Truncate::Refuse,
        raw::ClickHouseTruncate::Ignore => Truncate::Ignore,
        raw::ClickHouseTruncate::Apply => Truncate::Apply,
    }
}

fn times(raw: raw::ClickHouseTimes) -> Times {
    match raw {
        raw::ClickHouseTimes::Refuse => Times::Refuse,
        raw::ClickHouseTimes::Clamp => Times::Clamp,
        raw::ClickHouseTimes::Null => Times::Null,
    }
}

fn epoch(raw: raw::ClickHouseEpoch) -> Epoch {
    match raw {
        raw::ClickHouseEpoch::Microseconds => Epoch::Microseconds,
        raw::ClickHouseEpoch::Milliseconds => Epoch::Milliseconds,
        raw::ClickHouseEpoch::Seconds => Epoch::Seconds,
    }
}
