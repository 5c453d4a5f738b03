//! What users start from: the compose file, the init scripts, the examples, the alerts and the
//! pages that are made from the schema. Each is held against what it talks about.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use wasmgate_tests::gateway::binary;
use wasmgate_tests::root;

/// Variables of the examples, as `local.env` gives them.
fn variables(example: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(example.join("local.env")).unwrap();
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_once('=')).map(|(n, v)| (n.into(), v.into())).collect()
}

fn examples() -> Vec<PathBuf> {
    ["orders", "telecom-postgres"].map(|name| root().join("examples").join(name)).into()
}

/// `wasmgate` in the project's folder, where the modules of the examples lie.
fn wasmgate(arguments: &[&str], variables: Vec<(String, String)>) -> Output {
    Command::new(binary()).args(arguments).current_dir(root()).envs(variables).output().unwrap()
}

#[test]
fn deploy_examples_are_valid() {
    for example in examples() {
        let file = example.join("pipeline.yaml");
        let done = wasmgate(&["validate", "-c", file.to_str().unwrap()], variables(&example));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}: {said}", file.display());
    }
    let calls = wasmgate(&["validate", "-c", "examples/calls.yaml"], Vec::new());
    assert!(calls.status.success(), "{}", String::from_utf8_lossy(&calls.stderr));
}

#[test]
fn deploy_examples_name_each_variable_that_they_lack() {
    for example in examples() {
        let file = example.join("pipeline.yaml");
        let text = fs::read_to_string(&file).unwrap();
        for (name, _) in variables(&example) {
            assert!(text.contains(&format!("${{env:{name}}}")), "{name} is not used");
            let others = variables(&example).into_iter().filter(|(n, _)| *n != name).collect();
            let done = wasmgate(&["validate", "-c", file.to_str().unwrap()], others);
            let said = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(78), "{name}: {said}");
            assert!(said.contains(&format!("`{name}` is not set")), "{said}");
        }
    }
}

#[test]
fn deploy_init_scripts_run_and_capture_needs_no_more_rights() {
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return;
    }
    // Databases and roles are global: a server of its own.
    let server = wasmgate_services::postgres::Postgres::start(&Default::default()).unwrap();
    let mut scripts: Vec<PathBuf> = fs::read_dir(root().join("init-scripts/postgres"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    scripts.sort();
    for script in scripts {
        let sql = fs::read_to_string(&script).unwrap();
        server.psql("postgres", &sql).unwrap_or_else(|e| panic!("{}: {e}", script.display()));
    }
    for (database, publication, tables) in [
        ("telecom", "telecom_pub", 5),
        ("billing", "billing_pub", 3),
        ("sourcedb", "orders_pub", 1),
    ] {
        let count =
            format!("select count(*) from pg_publication_tables where pubname = '{publication}'");
        assert_eq!(server.psql(database, &count), Ok(tables.to_string()), "{publication}");
    }
    let rows = server.psql("telecom", "select count(*) from crm_schema.customer_profiles").unwrap();
    assert!(rows.parse::<u32>().unwrap() > 0, "no customer to try with");
    let port = server.port().to_string();
    let dir = tempfile::tempdir().unwrap();
    for example in examples() {
        let mut settings = variables(&example);
        settings.iter_mut().filter(|v| v.0 == "POSTGRES_PORT").for_each(|v| v.1.clone_from(&port));
        let file = dir.path().join("source.yaml");
        let text = fs::read_to_string(example.join("pipeline.yaml")).unwrap();
        fs::write(&file, source_alone(&text)).unwrap();
        let done = wasmgate(&["validate", "--online", "-c", file.to_str().unwrap()], settings);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}: {said}", example.display());
        let fine = String::from_utf8_lossy(&done.stdout);
        for finding in ["wal_level is logical", "may replicate", "has the tables"] {
            assert!(fine.contains(finding), "{finding}: {fine}");
        }
    }
}

/// The Postgres source of an example, and a sink that needs no server.
fn source_alone(text: &str) -> String {
    let depth = |line: &&str| line.len() - line.trim_start().len();
    let lines = text.lines().skip_while(|l| l.trim() != "postgres:");
    let block = lines.enumerate().take_while(|(n, l)| *n == 0 || depth(l) > 6);
    let block: Vec<&str> = block.map(|(_, line)| line).collect();
    format!(
        "pipelines:\n  p:\n    source:\n{}\n    sinks: [{{ topics: '.*', blackhole: {{}} }}]\n",
        block.join("\n")
    )
}

/// Host paths of a compose file: `./...` before the first colon of a mount.
fn mounts(compose: &str) -> BTreeSet<&str> {
    let lines = compose.lines().filter(|l| !l.trim_start().starts_with('#'));
    let starts = lines.flat_map(|l| l.split(['"', ' ']).filter(|word| word.starts_with("./")));
    starts.filter_map(|word| word.split(':').next()).collect()
}

#[test]
fn deploy_compose_mounts_what_is_there() {
    let compose = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let found = mounts(&compose);
    assert!(found.len() >= 9, "{found:?}");
    for path in found {
        assert!(root().join(path).exists(), "{path} is not there");
    }
    let images = compose.lines().filter_map(|l| l.trim().strip_prefix("image: "));
    for image in images {
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        assert!(tag.contains('.'), "{image} is not pinned to a version");
    }
    let services = ["postgres", "mysql", "kafka-1", "kafka-2", "kafka-3", "clickhouse", "wasmgate"];
    for service in services.into_iter().chain(["prometheus", "grafana"]) {
        assert!(compose.contains(&format!("\n  {service}:\n")), "{service} is missing");
    }
    for example in examples() {
        for (name, _) in variables(&example) {
            assert!(compose.contains(&format!("\n      {name}: ")), "{name} is not set");
        }
    }
}

#[test]
fn deploy_topics_of_the_examples_are_created() {
    let script = fs::read_to_string(root().join("init-scripts/kafka/create-topics.sh")).unwrap();
    for topic in [
        "orders_db.public.orders",
        "crm_schema.customer_profiles",
        "crm_schema.device_information",
        "billing_schema.payment_transactions",
        "billing_schema.customer_behavior",
        "care_schema.complaints_feedback",
    ] {
        assert!(script.contains(topic), "{topic}");
    }
    // Brokers of the compose file create no topic by themselves.
    for example in examples() {
        let text = fs::read_to_string(example.join("pipeline.yaml")).unwrap();
        let values =
            text.split(['{', '}', ',', '\n']).filter_map(|part| part.trim().split_once(": "));
        for (name, topic) in values.filter(|(n, _)| n.ends_with("topic") || *n == "default") {
            assert!(script.contains(topic), "{topic} ({name}) is not created");
        }
    }
}

/// What create-topics.sh asks Kafka's own script to do, one command a line.
fn topic_commands(dir: &Path, bootstrap: &str) -> Vec<String> {
    let (bin, asked) = (dir.join("bin"), dir.join("asked"));
    fs::create_dir(&bin).unwrap();
    let stand_in = bin.join("kafka-topics.sh");
    fs::write(&stand_in, format!("#!/bin/sh\necho \"$*\" >> {}\n", asked.display())).unwrap();
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    let done = Command::new("bash")
        .arg(root().join("init-scripts/kafka/create-topics.sh"))
        .envs([("BOOTSTRAP", bootstrap), ("REPLICATION", "1"), ("PARTITIONS", "2")])
        .env("KAFKA_HOME", dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::read_to_string(asked).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn deploy_topic_script_is_taken_by_a_real_broker() {
    if wasmgate_tests::skipped(wasmgate_services::kafka::missing()) {
        return;
    }
    // Other tests may use the same names: a broker of its own.
    let broker = wasmgate_services::kafka::Kafka::start(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let commands = topic_commands(dir.path(), &broker.bootstrap());
    // Each start of Kafka's tool takes a second: one topic of each kind.
    let named = |name: &str| {
        let command = commands.iter().find(|c| c.contains(&format!("--topic {name} ")));
        command.unwrap_or_else(|| panic!("{name} is not created: {commands:?}"))
    };
    let topics = ["orders_db.public.orders", "telecom-cdr", "telecom-cdr-dlq"];
    for command in topics.iter().map(|t| named(t)).chain(commands.last()) {
        let words: Vec<&str> = command.split(' ').collect();
        let said = broker.tool("org.apache.kafka.tools.TopicCommand", &words).unwrap();
        if words.contains(&"--list") {
            let listed: BTreeSet<&str> = said.lines().collect();
            assert!(topics.iter().all(|t| listed.contains(t)), "{said}");
        }
    }
}

/// Words that begin with one of our metrics' prefixes.
fn metric_names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|w| w.starts_with("wasmgate_") || w.starts_with("process_"));
    ours.filter(|w| w.matches('_').count() > 1).collect()
}

/// The exposition with every family in use.
fn exposition() -> String {
    let telemetry = wasmgate_telemetry::Telemetry::new();
    let pipeline = telemetry.pipeline("p");
    pipeline.dropped("s", 1);
    pipeline.dead_letter("s", "c", 1);
    pipeline.restart("f");
    pipeline.stage("s", "1.0.0").took(std::time::Duration::from_millis(1));
    pipeline.checkpoint_seconds.observe(0.001);
    telemetry.process().module_loads.with_label_values(&["m", "accepted"]).inc();
    telemetry.render(&[])
}

#[test]
fn deploy_metrics_pass_promtool() {
    let promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let missing = promtool.as_ref().err().map(|e| format!("promtool: {e}"));
    if wasmgate_tests::skipped(missing) {
        return;
    }
    let mut promtool = promtool.unwrap();
    let own = vec![
        ("a".to_owned(), wasmgate_telemetry::OwnMetric::Counter(1)),
        ("b".to_owned(), wasmgate_telemetry::OwnMetric::Gauge(1.0)),
        ("c".to_owned(), wasmgate_telemetry::OwnMetric::Histogram(1, 1.0, vec![(1.0, 1)])),
    ];
    let sample = wasmgate_telemetry::ModuleSample {
        module: "m".to_owned(),
        version: "1".to_owned(),
        own,
        ..wasmgate_telemetry::ModuleSample::default()
    };
    let telemetry = wasmgate_telemetry::Telemetry::new();
    telemetry.pipeline("p").dead_letter("s", "c", 1);
    let text = telemetry.render(&[sample]);
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let done = promtool.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn deploy_alerts_dashboard_and_docs_name_real_metrics() {
    let exposition = exposition();
    let known: BTreeSet<&str> =
        exposition.lines().filter_map(|l| l.split(['{', ' ']).next()).collect();
    for (file, least) in [
        ("init-scripts/prometheus/alerts.yml", 9),
        ("init-scripts/grafana/dashboards/wasmgate.json", 14),
        ("docs/operations.md", 17),
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let named = metric_names(&text);
        assert!(named.len() >= least, "{file}: {named:?}");
        let families: BTreeSet<String> = exposition
            .lines()
            .filter_map(|l| Some(l.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned()))
            .collect();
        for name in named {
            assert!(known.contains(name) || families.contains(name), "{file}: no metric {name}");
        }
        if file.ends_with(".md") {
            for family in families {
                assert!(text.contains(&family), "{file} does not tell of {family}");
            }
        }
    }
    let alerts = fs::read_to_string(root().join("init-scripts/prometheus/alerts.yml")).unwrap();
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for alert in alerts.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")) {
        assert!(page.contains(alert), "docs/operations.md does not say what to do about {alert}");
    }
    let dashboard = root().join("init-scripts/grafana/dashboards/wasmgate.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(dashboard).unwrap()).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["name"], "datasource");
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

mod reference;

/// Where the part of docs/configuration.md begins that is made from the schema.
const GENERATED: &str = "<!-- from here on made from `wasmgate schema` -->\n";

#[test]
fn deploy_configuration_page_equals_the_schema() {
    let done = wasmgate(&["schema"], Vec::new());
    let schema: Value = serde_json::from_slice(&done.stdout).unwrap();
    let made = reference::reference(&schema);
    let path = root().join("docs/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, written) = page.split_once(GENERATED).unwrap();
    if std::env::var_os("WASMGATE_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{head}{GENERATED}{made}")).unwrap();
        return;
    }
    let command = "WASMGATE_WRITE_DOCS=1 cargo test -p wasmgate-tests deploy_configuration";
    assert!(written == made, "docs/configuration.md is not that of the schema: {command}");
}

/// The options of a connector stand on its own page, too: those of the groups that begin so, but
/// for one that repeats another.
fn page_equals_the_schema(page: &str, group: &str, repeated: Option<&str>, known: &[&str]) {
    let done = wasmgate(&["schema"], Vec::new());
    let schema: Value = serde_json::from_slice(&done.stdout).unwrap();
    let all = reference::reference(&schema);
    let groups = all.split("\n### ").filter(|title| title.starts_with(group));
    let told = groups.filter(|title| !repeated.is_some_and(|known| title.starts_with(known)));
    let made: String = told.map(|group| format!("\n### {group}")).collect();
    assert!(known.iter().all(|option| made.contains(option)), "{made}");
    let path = root().join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (head, written) = text.split_once(GENERATED).unwrap();
    if std::env::var_os("WASMGATE_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{head}{GENERATED}{made}")).unwrap();
        return;
    }
    let command = "WASMGATE_WRITE_DOCS=1 cargo test -p wasmgate-tests --test end_to_end deploy_";
    assert!(written == made, "{page} is not that of the schema: {command}");
}

#[test]
fn deploy_postgres_page_equals_the_schema() {
    let known = ["slot_care", "channel_binding"];
    page_equals_the_schema("docs/postgres.md", "`pipelines.NAME.source.postgres", None, &known);
}

#[test]
fn deploy_clickhouse_page_equals_the_schema() {
    let known = ["unknown_fields", "order_by", "interval"];
    let group = "`pipelines.NAME.sinks[].clickhouse";
    // The options of `table` once more.
    let repeated = format!("{group}.tables[].table`");
    page_equals_the_schema("docs/clickhouse.md", group, Some(&repeated), &known);
}

/// Links of a page to files of the project: `](path)`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|t| !t.contains("://") && !t.starts_with('#'));
    local.filter_map(|t| t.split('#').next()).collect()
}

#[test]
fn deploy_pages_link_to_what_is_there() {
    let mut pages = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    for dir in [
        "docs",
        "docs/decisions",
        "examples/orders",
        "examples/telecom-postgres",
        "examples/orders-clickhouse",
        "examples/telecom-full",
    ] {
        let entries = fs::read_dir(root().join(dir)).unwrap().map(|e| e.unwrap().path());
        pages.extend(entries.filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    let mut links_seen = 0;
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for link in links(&text) {
            links_seen += 1;
            let target = page.parent().unwrap().join(link);
            assert!(target.exists(), "{}: {link} is not there", page.display());
        }
    }
    assert!(links_seen > 20 && pages.len() > 15, "{links_seen} links on {} pages", pages.len());
}
