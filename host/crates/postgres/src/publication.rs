//! The publication: which tables the server sends. Looked at at the start; created where it is
//! missing.

use wasmgate_model::{Fault, FaultKind};

use crate::catalog::{Catalog, Published, TableName, quote};
use crate::prepare::refused;
use crate::settings::Settings;
use crate::table::topic;

/// The tables that the settings name, in their order.
pub(crate) fn named_tables(settings: &Settings) -> Result<Vec<TableName>, Fault> {
    let parse = |text: &String| {
        TableName::parse(text).ok_or_else(|| {
            let message = format!("`tables`: \"{text}\" is not of the form schema.table");
            Fault::new(FaultKind::Config, message)
        })
    };
    let mut tables = Vec::with_capacity(settings.tables.len());
    for table in settings.tables.iter().map(parse) {
        let table = table?;
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// The statement that makes the publication.
pub(crate) fn create_publication(settings: &Settings, tables: &[TableName]) -> String {
    let list = tables.iter().map(TableName::quoted).collect::<Vec<_>>().join(", ");
    format!("CREATE PUBLICATION {} FOR TABLE {list}", quote(&settings.publication))
}

/// The tables to read, as the settings order them, else by name: as with Debezium the snapshot
/// reads them in this order. Creates the publication where it is missing.
pub(crate) async fn publication(
    catalog: &mut Catalog,
    settings: &Settings,
) -> Result<Vec<Published>, Fault> {
    let named = named_tables(settings)?;
    let name = &settings.publication;
    let published = match catalog.published(name).await? {
        Some(published) => published,
        None if named.is_empty() => {
            return Err(refused(format!(
                "publication \"{name}\" does not exist; name the `tables`, or run: CREATE \
                 PUBLICATION {} FOR TABLE SCHEMA.TABLE",
                quote(name)
            )));
        }
        None => {
            let sql = create_publication(settings, &named);
            catalog.query(&format!("cannot create the publication with {sql}"), &sql).await?;
            tracing::info!(publication = name, "publication created");
            catalog.published(name).await?.unwrap_or_default()
        }
    };
    if let Some(fix) = missing_tables(settings, &named, &published) {
        return Err(refused(fix));
    }
    let place = |p: &Published| named.iter().position(|name| *name == p.name);
    let mut tables = published;
    let wanted = |p: &Published| settings.filters.wants(&p.name);
    tables.retain(|p| (named.is_empty() || place(p).is_some()) && wanted(p));
    tables.sort_by_key(place);
    warn_of_shared_topics(settings, &tables);
    Ok(tables)
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
    published: &[Published],
) -> Option<String> {
    let lacks = |t: &&TableName| !published.iter().any(|p| p.name == **t);
    let missing: Vec<_> = named.iter().filter(lacks).map(TableName::quoted).collect();
    let (name, list) = (&settings.publication, missing.join(", "));
    let alter = format!("ALTER PUBLICATION {} ADD TABLE", quote(name));
    if named.is_empty() && published.is_empty() {
        return Some(format!("publication \"{name}\" holds no table; run: {alter} SCHEMA.TABLE"));
    }
    (!missing.is_empty())
        .then(|| format!("publication \"{name}\" does not contain {list}; run: {alter} {list}"))
}
