//! Statements and what they make of the definitions.

use std::sync::Arc;

use super::*;
use crate::catalog::Charsets;
use wasmgate_model::Position;

/// Runs statements in database `d`; answers the columns of `t`, then its key.
fn after(statements: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let at = Position::new(1, 0);
    let mut history = History::load(dir.path(), "p", at).unwrap();
    let naming = Naming {
        settings: Arc::default(),
        maria: false,
        lower_names: false,
        charsets: Charsets::default(),
    };
    for sql in statements {
        for change in read(sql, "d", &history, &naming) {
            match change {
                Change::Defined(name, table) => history.set(at, &name, Some(table)).unwrap(),
                Change::Dropped(name) => history.set(at, &name, None).unwrap(),
                Change::Truncated(_) | Change::Touched(..) => {}
                Change::Unclear((_, name)) => return format!("unclear {name}"),
            }
        }
    }
    let Some(table) = history.get(&("d".into(), "t".into())) else { return "gone".into() };
    let column = |c: &crate::definition::ColumnDefinition| {
        let null = if c.nullable { "" } else { " not null" };
        let charset = c.charset.as_ref().map(|c| format!(" {c}")).unwrap_or_default();
        let default = c.default.as_ref().map(|d| format!(" ={d}")).unwrap_or_default();
        format!("{} {}{charset}{null}{default}", c.name, c.column_type)
    };
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    format!("{} | {}", columns.join(", "), table.key.join(","))
}

#[test]
fn statements_are_followed_or_told_to_be_unclear() {
    let base = "create table t (id int primary key, a varchar(10) default 'x') charset utf8mb4";
    let cases: &[(&[&str], &str)] = &[
        (&[base], "id int not null, a varchar(10) utf8mb4 =x | id"),
        (
            &[
                "CREATE TABLE `t` (`ID` bigint(20) unsigned NOT NULL AUTO_INCREMENT, e enum('a','b\'\'c') \
                 CHARACTER SET latin1 NOT NULL, d decimal(5), f float(7,3), g double precision, \
                 ts timestamp(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), \
                 v int GENERATED ALWAYS AS (`ID` + 1) STORED, KEY k (d), PRIMARY KEY (`ID`), \
                 CONSTRAINT c FOREIGN KEY (d) REFERENCES o (x) ON DELETE SET NULL) ENGINE=InnoDB \
                 DEFAULT CHARSET=utf8mb4 COMMENT='it''s'",
            ],
            "ID bigint(20) unsigned not null, e enum('a','b''c') latin1 not null, d decimal(5,0), \
             f float(7,3), g double, ts timestamp(3), v int | ID",
        ),
        (
            &[base, "alter table t add column b int not null default -5 after id, drop a"],
            "id int not null, b int not null =-5 | id",
        ),
        (
            &[base, "alter table t add (b bit, c char), rename column a to z"],
            "id int not null, z varchar(10) utf8mb4 =x, b bit(1), c char(1) utf8mb4 | id",
        ),
        (
            &[base, "alter table t modify a text(100) first, change id nr bigint"],
            "a text utf8mb4, nr bigint not null | nr",
        ),
        (
            &[
                base,
                "alter table d.t convert to character set latin1, engine=innodb, algorithm=copy",
            ],
            "id int not null, a varchar(10) latin1 =x | id",
        ),
        (&[base, "rename table t to o, o to t"], "id int not null, a varchar(10) utf8mb4 =x | id"),
        (&[base, "alter table t rename to o"], "gone"),
        (
            &[base, "create table o like t", "drop table t", "rename table o to t"],
            "id int not null, a varchar(10) utf8mb4 =x | id",
        ),
        (&[base, "drop database d"], "gone"),
        (
            &[base, "/*!50503 alter */ table t -- all\n drop column /* not id */ a"],
            "id int not null | id",
        ),
        (&["create table t(a int not null unique, b int)"], "a int not null, b int | a"),
        (
            &["create table t(s serial, b blob, x varbinary(5))"],
            "s bigint unsigned not null, b blob, x varbinary(5) | s",
        ),
        // What is not known is not guessed.
        (&["create table t(a text)"], "unclear t"),
        (&["create database d charset latin1", "create table t(a text)"], "a text latin1 | "),
        (&[base, "alter table t add b somewhat strange"], "unclear t"),
        (&[base, "alter table t drop primary key, add primary key(a)"], "unclear t"),
        (&["create table t as select 1"], "unclear t"),
        (
            &[base, "alter table t add index (a), comment 'x'", "truncate t", "analyze table t"],
            "id int not null, a varchar(10) utf8mb4 =x | id",
        ),
    ];
    for (statements, want) in cases {
        assert_eq!(after(statements), *want, "{statements:?}");
    }
}
