//! A stage bound to the schema of a case: what the pipeline's binding checks for one stage.

use std::sync::Arc;

use wasmgate_case_file::{CaseFile, SchemaCase};
use wasmgate_connector::{Projection, Stage};
use wasmgate_model::{
    Fault, FaultKind, Field, FieldPath, Kind, Logical, Plan, PlanRead, Schema, Shape,
};

/// A schema, and what a stage does to its records.
#[derive(Debug)]
pub struct Bound {
    pub schema: Arc<Schema>,
    /// `None`: its records pass untouched.
    pub projection: Option<Projection>,
    /// What the decoder looks for.
    pub(crate) plan: Arc<Plan>,
}

impl Bound {
    /// Binds a stage to the schema of a case, as records of `topic` have it.
    ///
    /// # Errors
    /// The stage refuses the schema, or asks for what it does not have.
    pub fn new(
        stage: &mut dyn Stage,
        case: &CaseFile,
        topic: &str,
        id: u64,
    ) -> Result<Self, Fault> {
        let schema = Arc::new(schema(&case.schema, topic, id)?);
        let projection = stage.bind(&schema)?;
        let plan = match &projection {
            Some(projection) => plan(&schema, projection)?,
            None => Plan::default(),
        };
        Ok(Self { schema, projection, plan: Arc::new(plan) })
    }
}

fn schema(case: &SchemaCase, topic: &str, id: u64) -> Result<Schema, Fault> {
    let mut fields = Vec::with_capacity(case.fields.len());
    for field in &case.fields {
        let kind = kind(field.kind).ok_or_else(|| {
            Fault::new(FaultKind::Internal, format!("the contract has no kind {}", field.kind))
        })?;
        fields.push(Field::new(field.name.as_str(), kind, Logical::Plain, field.nullable));
    }
    let defaults = case.defaults.iter().map(|(name, value)| {
        let json: Arc<str> = value.to_string().into();
        (name.as_str().into(), json)
    });
    Ok(Schema {
        fields,
        key: case.key.iter().map(|name| name.as_str().into()).collect(),
        open: case.is_open(),
        defaults: defaults.collect(),
        ..Schema::open(id, topic.into(), case.envelope)
    })
}

fn kind(name: &str) -> Option<Kind> {
    let all = [
        Kind::Boolean,
        Kind::Integer,
        Kind::Float,
        Kind::Text,
        Kind::Bytes,
        Kind::Json,
        Kind::Decimal,
        Kind::Uuid,
        Kind::TimestampUs,
        Kind::DateDays,
        Kind::TimeUs,
    ];
    all.into_iter().find(|kind| kind.name() == name)
}

fn plan(schema: &Schema, projection: &Projection) -> Result<Plan, Fault> {
    let mut plan = Plan::default();
    for read in &projection.reads {
        let path = FieldPath::parse(&read.name, schema.envelope)
            .ok_or_else(|| refused(format!("reads {}, which is no such name", read.name)))?;
        readable(schema, &path, read)?;
        // Whether a field may be missing is looked at later: a tombstone lacks every one.
        plan.reads.push(PlanRead { path, kind: read.kind, optional: true, stage: "case".into() });
    }
    let removes = projection.removes.iter().filter(|name| !name.starts_with('$'));
    let renames = projection.renames.iter().map(|(from, _)| from);
    let writes = projection.writes.iter().map(|write| &write.name);
    let written = writes.filter(|name| !name.starts_with('$'));
    plan.edits =
        removes.chain(renames).chain(written).map(|name| Arc::from(name.as_str())).collect();
    plan.edits.sort();
    plan.edits.dedup();
    plan.image = projection.shape == Shape::Row && schema.envelope;
    Ok(plan)
}

/// Whether a schema with fields has this one, in a kind that converts.
fn readable(
    schema: &Schema,
    path: &FieldPath,
    read: &wasmgate_connector::Read,
) -> Result<(), Fault> {
    let (FieldPath::Current(name) | FieldPath::Before(name)) = path else { return Ok(()) };
    if schema.open {
        return Ok(());
    }
    match schema.field(name) {
        None if read.optional => Ok(()),
        None => {
            let have: Vec<&str> = schema.fields.iter().map(|field| &*field.name).collect();
            let (topic, have) = (&schema.topic, have.join(", "));
            let name = &read.name;
            Err(refused(format!(
                "reads field {name:?}, which {topic} does not have (it has {have})"
            )))
        }
        Some((_, field)) if !field.kind.converts_to(read.kind) => Err(refused(format!(
            "reads field {:?} of {} as {}; it is {}",
            read.name,
            schema.topic,
            read.kind.name(),
            field.kind.name()
        ))),
        Some(_) => Ok(()),
    }
}

fn refused(what: String) -> Fault {
    Fault::new(FaultKind::ModuleRefused, format!("the module {what}"))
}
