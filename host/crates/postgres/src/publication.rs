//! The publication: which tables the server sends. Made where it is missing, verified, and changed
//! where the wanted tables changed, as far as the settings let us.

use wasmgate_model::{Fault, FaultKind};

use crate::catalog::{Catalog, Published, TableName, quote};
use crate::prepare::refused;
use crate::publication::found::{Found, look};
use crate::settings::Settings;
use crate::slot_care::PublicationMode;
use crate::table::topic;

pub(crate) mod found;
pub(crate) mod identity;

/// The tables that the settings name, in their order, and the signal table with them.
pub(crate) fn named_tables(settings: &Settings) -> Result<Vec<TableName>, Fault> {
    let parse = |text: &String| {
        TableName::parse(text).ok_or_else(|| {
            let message = format!("`tables`: \"{text}\" is not of the form schema.table");
            Fault::new(FaultKind::Config, message)
        })
    };
    let mut tables = Vec::with_capacity(settings.tables.len());
    let signals = settings.signals.table.iter().filter(|_| !settings.tables.is_empty());
    for table in settings.tables.iter().chain(signals).map(parse) {
        let table = table?;
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// The tables that a publication of ours is for: those that are named and take part; where none is
/// named and there are patterns, those of the database that fit.
pub(crate) async fn wanted_tables(
    catalog: &mut Catalog,
    settings: &Settings,
) -> Result<Vec<TableName>, Fault> {
    let mut named = named_tables(settings)?;
    let filters = &settings.filters;
    let free = filters.schemas.is_empty() && filters.tables.is_empty();
    if named.is_empty() && !free && settings.slot_care.publication == PublicationMode::Filtered {
        named = found::all_tables(catalog).await?;
    }
    named.retain(|table| filters.wants(table));
    Ok(named)
}

/// Operations that records are made of, for `publish`: what is skipped is not even sent.
pub(crate) fn operations(settings: &Settings) -> Vec<&'static str> {
    let skipped = settings.shape.skipped;
    let all = [
        ("insert", skipped.create),
        ("update", skipped.update),
        ("delete", skipped.delete),
        ("truncate", skipped.truncate),
    ];
    all.into_iter().filter(|(_, skipped)| !skipped).map(|(name, _)| name).collect()
}

/// The statement that makes the publication.
pub(crate) fn create_publication(
    settings: &Settings,
    tables: &[TableName],
    partitioned: bool,
) -> String {
    let care = &settings.slot_care;
    let target = match care.publication {
        PublicationMode::AllTables => " FOR ALL TABLES".to_owned(),
        PublicationMode::NoTables => String::new(),
        PublicationMode::Filtered | PublicationMode::Disabled => {
            format!(" FOR TABLE {}", list(tables))
        }
    };
    let mut options = vec![format!("publish = '{}'", operations(settings).join(", "))];
    if care.via_partition_root.unwrap_or(partitioned) {
        options.push("publish_via_partition_root = true".into());
    }
    format!(
        "CREATE PUBLICATION {}{target} WITH ({})",
        quote(&settings.publication),
        options.join(", ")
    )
}

fn list(tables: &[TableName]) -> String {
    tables.iter().map(TableName::quoted).collect::<Vec<_>>().join(", ")
}

/// The tables to read, as the settings order them, else by name: as with Debezium the snapshot
/// reads them in this order.
pub(crate) async fn publication(
    catalog: &mut Catalog,
    settings: &Settings,
) -> Result<Vec<Published>, Fault> {
    let named = wanted_tables(catalog, settings).await?;
    identity::set(catalog, settings, &named).await?;
    let name = &settings.publication;
    let found = match look(catalog, name).await? {
        Some(found) => adapt(catalog, settings, &named, found).await?,
        None => create(catalog, settings, &named).await?,
    };
    if let Some(fix) = missing_tables(settings, &named_tables(settings)?, &found) {
        return Err(refused(fix));
    }
    let place = |p: &Published| named.iter().position(|name| *name == p.name);
    let mut tables = found.tables;
    let wanted = |p: &Published| settings.filters.wants(&p.name);
    let listed = !settings.tables.is_empty();
    tables.retain(|p| (!listed || place(p).is_some()) && wanted(p));
    tables.sort_by_key(place);
    warn_of_shared_topics(settings, &tables);
    identity::warn(catalog, &tables).await?;
    Ok(tables)
}

async fn create(
    catalog: &mut Catalog,
    settings: &Settings,
    named: &[TableName],
) -> Result<Found, Fault> {
    let name = &settings.publication;
    let mode = settings.slot_care.publication;
    let nothing = named.is_empty() && mode == PublicationMode::Filtered;
    if nothing || mode == PublicationMode::Disabled {
        let sql = match named {
            [] => format!("CREATE PUBLICATION {} FOR TABLE SCHEMA.TABLE", quote(name)),
            named => create_publication(settings, named, false),
        };
        let advice = if nothing { "name the `tables`, or run" } else { "run" };
        return Err(refused(format!("publication \"{name}\" does not exist; {advice}: {sql}")));
    }
    let partitioned = found::any_partitioned(catalog, named).await?;
    let sql = create_publication(settings, named, partitioned);
    catalog.query(&format!("cannot create the publication with {sql}"), &sql).await?;
    tracing::info!(publication = name, "publication created");
    Ok(look(catalog, name).await?.unwrap_or_default())
}

/// Changes what the settings want otherwise; each change is one statement and one line in the log.
async fn adapt(
    catalog: &mut Catalog,
    settings: &Settings,
    named: &[TableName],
    found: Found,
) -> Result<Found, Fault> {
    let (care, name) = (&settings.slot_care, &settings.publication);
    let mut changes = Vec::new();
    if let Some(wanted) = care.via_partition_root.filter(|wanted| *wanted != found.via_root) {
        let sql = format!(
            "ALTER PUBLICATION {} SET (publish_via_partition_root = {wanted})",
            quote(name)
        );
        if care.publication == PublicationMode::Disabled {
            let root = found.via_root;
            return Err(refused(format!(
                "publication \"{name}\" has publish_via_partition_root = {root}; run: {sql}"
            )));
        }
        changes.push(sql);
    }
    // Once it publishes by the root, the list of what it holds is another one.
    let lists = changes.is_empty() && care.publication == PublicationMode::Filtered && !found.all;
    let mut missing = found.lacks(named);
    if settings.tables.is_empty() {
        // By patterns: what is not ours to publish stays out, as whoever made it meant.
        missing = found::own(catalog, name, missing).await?;
    }
    if lists && !missing.is_empty() && !found::any_partitioned(catalog, &missing).await? {
        changes.push(format!("ALTER PUBLICATION {} ADD TABLE {}", quote(name), list(&missing)));
        let tables = list(&missing);
        tracing::warn!(
            publication = name,
            tables,
            "tables added to the publication: rows that they hold already come with a snapshot \
             that is asked for (signals), their changes from now on"
        );
    }
    let surplus = found.surplus(named);
    if lists && care.drop_surplus && !named.is_empty() && !surplus.is_empty() {
        changes.push(format!("ALTER PUBLICATION {} DROP TABLE {}", quote(name), list(&surplus)));
    }
    publish_more(catalog, settings, &found).await;
    if changes.is_empty() {
        return Ok(found);
    }
    for sql in &changes {
        catalog.query(&format!("cannot change the publication with {sql}"), sql).await?;
        tracing::info!(publication = name, sql, "publication changed");
    }
    Ok(look(catalog, name).await?.unwrap_or_default())
}

/// An operation that gives records now and is not sent yet is added; where that is not ours to do
/// it is said.
async fn publish_more(catalog: &mut Catalog, settings: &Settings, found: &Found) {
    let wanted = operations(settings);
    if wanted.iter().all(|op| found.operations.contains(op)) {
        return;
    }
    let name = &settings.publication;
    let sql = found.publish(name, &wanted);
    if settings.slot_care.publication != PublicationMode::Disabled
        && catalog.query("cannot publish more operations", &sql).await.is_ok()
    {
        tracing::info!(publication = name, sql, "publication changed");
        return;
    }
    tracing::warn!(publication = name, sql, "operations are not published; run");
}

/// Names that differ only in characters that topics cannot have lead to one topic, as in Debezium.
fn warn_of_shared_topics(settings: &Settings, tables: &[Published]) {
    let delimiter = &settings.shape.names.delimiter;
    let mut topics = std::collections::HashMap::new();
    for table in tables {
        let topic = topic(&settings.topic_prefix, &table.name, delimiter);
        if let Some(other) = topics.insert(topic.clone(), &table.name) {
            let (one, two) = (other.to_string(), table.name.to_string());
            tracing::warn!(topic, one, two, "two tables share a topic; their keys may collide");
        }
    }
}

/// What a publication lacks, with the statement that adds it.
pub(crate) fn missing_tables(
    settings: &Settings,
    named: &[TableName],
    found: &Found,
) -> Option<String> {
    let name = &settings.publication;
    let alter = format!("ALTER PUBLICATION {}", quote(name));
    if named.is_empty() && found.tables.is_empty() {
        return Some(format!(
            "publication \"{name}\" holds no table; run: {alter} ADD TABLE SCHEMA.TABLE"
        ));
    }
    let missing = found.lacks(named);
    if missing.is_empty() {
        return None;
    }
    let by_parts = missing.iter().any(|table| found.roots.contains(table));
    let tables = list(&missing);
    Some(if by_parts {
        format!(
            "publication \"{name}\" contains {tables} by its partitions; name these, or run: \
             {alter} SET (publish_via_partition_root = true)"
        )
    } else {
        format!("publication \"{name}\" does not contain {tables}; run: {alter} ADD TABLE {tables}")
    })
}
