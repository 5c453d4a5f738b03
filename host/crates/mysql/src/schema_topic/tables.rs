//! What a statement did, as Debezium tells it: a record for each table, or one for a database.
//! Types have the numbers of `java.sql.Types`, as Debezium's parser gives them.

use serde_json::{Value, json};

use crate::catalog::TableName;
use crate::connect::quote;
use crate::ddl::Change;
use crate::definition::{ColumnDefinition, TableDefinition, TypeText};
use crate::settings::Settings;

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub database: String,
    /// Names of all tables of the statement. `None`: it is about a database.
    pub tables: Option<String>,
    pub ddl: String,
    pub changes: Vec<Value>,
}

/// The records of a statement; of those about tables that are captured.
pub(crate) fn told(sql: &str, changes: &[Change], settings: &Settings) -> Vec<Told> {
    let database = changes.iter().find_map(|change| match change {
        Change::Defined((database, table), _) | Change::Dropped((database, table)) => {
            table.is_empty().then_some(database)
        }
        _ => None,
    });
    if let Some(database) = database {
        let told = Told {
            database: database.clone(),
            tables: None,
            ddl: sql.to_owned(),
            changes: Vec::new(),
        };
        return settings.wants_database(database).then_some(told).into_iter().collect();
    }
    let creates = sql.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("create"));
    let verb = if creates { "CREATE" } else { "ALTER" };
    let mut steps: Vec<(&TableName, String, Vec<Value>)> = Vec::new();
    let mut from: Option<&TableName> = None;
    let wants = |name: &TableName| settings.wants(&name.0, &name.1);
    let comments = settings.include_schema_comments;
    for (i, change) in changes.iter().enumerate() {
        let of = match change {
            // The old name of a table that gets a new one with the next change.
            Change::Dropped(name)
                if matches!(
                    changes.get(i + 1),
                    Some(Change::Defined(..) | Change::Unclear(..))
                ) =>
            {
                from = Some(name);
                continue;
            }
            Change::Dropped(name) => {
                let changes = vec![changed("DROP", name, None, comments)];
                (name, format!("{}{}.{}", dropping(sql), quote(&name.0), quote(&name.1)), changes)
            }
            Change::Defined(name, table) => {
                (name, sql.to_owned(), vec![changed(verb, name, Some(table), comments)])
            }
            Change::Touched(name, table) => {
                (name, sql.to_owned(), vec![changed("ALTER", name, Some(table), comments)])
            }
            // What the table is now only the server knows: the statement has to do.
            Change::Unclear(name) => (name, sql.to_owned(), Vec::new()),
            Change::Truncated(_) => continue,
        };
        if wants(of.0) || from.take().is_some_and(wants) {
            steps.push(of);
        }
    }
    let names: Vec<&str> = steps.iter().map(|(name, ..)| name.1.as_str()).collect();
    let tables = names.join(",");
    let told = |(name, ddl, changes): (&TableName, String, Vec<Value>)| Told {
        database: name.0.clone(),
        tables: Some(tables.clone()),
        ddl,
        changes,
    };
    steps.into_iter().map(told).collect()
}

/// Several tables that are dropped together are told one by one.
fn dropping(sql: &str) -> &'static str {
    let mut words = sql.split_whitespace().skip(2).map(str::to_ascii_lowercase);
    let careful =
        words.next().as_deref() == Some("if") && words.next().as_deref() == Some("exists");
    if careful { "DROP TABLE IF EXISTS " } else { "DROP TABLE " }
}

/// A table after the statement; without its comments, unless they are asked for.
pub(super) fn changed(
    what: &str,
    name: &TableName,
    table: Option<&TableDefinition>,
    comments: bool,
) -> Value {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let id = format!("{}.{}", quoted(&name.0), quoted(&name.1));
    let table = table.map(|table| {
        let columns: Vec<Value> =
            table.columns.iter().zip(1_usize..).map(|(c, i)| column(c, i, comments)).collect();
        let charset = Some(&table.charset).filter(|charset| !charset.is_empty());
        json!({
            "defaultCharsetName": charset,
            "primaryKeyColumnNames": table.key,
            "columns": columns,
            "comment": comment(&table.comment, comments),
        })
    });
    json!({ "type": what, "id": id, "table": table })
}

/// None is told as null.
fn comment(text: &str, wanted: bool) -> Option<&str> {
    (wanted && !text.is_empty()).then_some(text)
}

fn column(column: &ColumnDefinition, place: usize, comments: bool) -> Value {
    let parsed = TypeText::parse(&column.column_type);
    let mut name = parsed.name.to_ascii_uppercase();
    if parsed.unsigned {
        name.push_str(" UNSIGNED");
    }
    if parsed.zerofill {
        name.push_str(" ZEROFILL");
    }
    let labels: Vec<String> =
        parsed.labels.iter().map(|label| format!("'{}'", label.replace('\'', "''"))).collect();
    let length = match parsed.name.as_str() {
        "enum" => Some(1),
        "set" => Some((labels.len() * 2).saturating_sub(1)),
        _ => parsed.argument(0).map(|n| n as usize),
    };
    let default = column.default.clone().filter(|_| !column.generated);
    // The time of the insert is told as the epoch.
    let default = default.or_else(|| column.default_now.then(|| EPOCH.to_owned()));
    json!({
        "name": column.name,
        "jdbcType": jdbc_type(&parsed.name),
        "nativeType": Value::Null,
        "typeName": name,
        "typeExpression": name,
        "charsetName": column.charset,
        "length": length,
        "scale": parsed.argument(1),
        "position": place,
        "optional": column.nullable,
        "autoIncremented": column.auto_increment,
        "generated": column.generated,
        "comment": comment(&column.comment, comments),
        "defaultValueExpression": default,
        "enumValues": (!labels.is_empty()).then_some(labels),
    })
}

const EPOCH: &str = "1970-01-01 00:00:00";

fn jdbc_type(name: &str) -> i32 {
    match name {
        "char" | "enum" | "set" => 1,
        "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => 12,
        "tinyint" | "smallint" => 5,
        "mediumint" | "int" | "year" => 4,
        "bigint" => -5,
        "double" => 8,
        "float" => 6,
        "decimal" => 3,
        "bit" => -7,
        "date" => 91,
        "time" => 92,
        "datetime" => 93,
        // With a time zone.
        "timestamp" => 2014,
        "binary" => -2,
        "varbinary" => -3,
        "tinyblob" | "blob" | "mediumblob" | "longblob" => 2004,
        _ => 1111,
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn name(table: &str) -> TableName {
        ("d".into(), table.into())
    }

    fn lines(sql: &str, changes: &[Change]) -> Vec<String> {
        let settings = Settings { databases: vec!["d".into()], ..Settings::default() };
        let line = |t: Told| {
            let kinds: Vec<String> =
                t.changes.iter().map(|c| format!("{} {}", c["type"], c["id"])).collect();
            format!("{} {:?} {} {}", t.database, t.tables, t.ddl, kinds.join(";"))
        };
        told(sql, changes, &settings).into_iter().map(line).collect()
    }

    #[test]
    fn statements_become_a_record_for_each_table() {
        let table = TableDefinition::default;
        let drops = [Change::Dropped(name("a")), Change::Dropped(name("b"))];
        assert_eq!(
            lines("drop table if exists a, b", &drops),
            [
                r#"d Some("a,b") DROP TABLE IF EXISTS `d`.`a` "DROP" "\"d\".\"a\"""#,
                r#"d Some("a,b") DROP TABLE IF EXISTS `d`.`b` "DROP" "\"d\".\"b\"""#,
            ]
        );
        let renames = [Change::Dropped(name("a")), Change::Defined(name("b"), table())];
        let sql = "rename table a to b";
        let want = r#"d Some("b") rename table a to b "ALTER" "\"d\".\"b\"""#;
        assert_eq!(lines(sql, &renames), [want]);
        let foreign = [Change::Dropped(("e".into(), "a".into()))];
        assert!(lines("drop table e.a", &foreign).is_empty());
        let database = [Change::Dropped(name("a")), Change::Dropped(name(""))];
        assert_eq!(lines("drop database d", &database), ["d None drop database d "]);
        assert_eq!(
            lines("alter table a x", &[Change::Unclear(name("a"))]),
            [r#"d Some("a") alter table a x "#]
        );
    }

    #[test]
    fn columns_are_told_as_debezium_does() {
        let mut enumeration = ColumnDefinition {
            name: "e".into(),
            column_type: "enum('a','b''c')".into(),
            charset: Some("utf8mb4".into()),
            nullable: false,
            default: Some("a".into()),
            default_now: false,
            auto_increment: false,
            generated: false,
            comment: "a or b".into(),
        };
        assert_eq!(column(&enumeration, 3, true)["comment"], "a or b");
        let told = column(&enumeration, 3, false);
        assert_eq!(told["comment"], Value::Null);
        assert_eq!(told["enumValues"], json!(["'a'", "'b''c'"]));
        assert_eq!((&told["length"], &told["jdbcType"]), (&json!(1), &json!(1)));
        enumeration.column_type = "decimal(10,2) unsigned".into();
        enumeration.comment.clear();
        let told = column(&enumeration, 3, true);
        assert_eq!(told["comment"], Value::Null);
        assert_eq!((&told["length"], &told["scale"]), (&json!(10), &json!(2)));
        assert_eq!(told["typeName"], "DECIMAL UNSIGNED");
    }
}
