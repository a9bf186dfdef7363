//! Scenarios for people: JSON without what is as usual, a line for each node and each trouble.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Node, Scenario};

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Value::Object(fields) = self.lean() else { return Err(fmt::Error) };
        let mut before = "{\n";
        for (name, value) in &fields {
            match value {
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    let lines: Vec<String> = items.iter().map(|item| format!("    {item}")).collect();
                    write!(f, "{before}  \"{name}\": [\n{}\n  ]", lines.join(",\n"))?;
                }
                other => write!(f, "{before}  \"{name}\": {other}")?,
            }
            before = ",\n";
        }
        write!(f, "\n}}")
    }
}

impl Scenario {
    /// Reads what was printed.
    ///
    /// # Errors
    /// When it is something else, or makes no swarm that could run.
    pub fn read(text: &str) -> Result<Self, String> {
        let value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let scenario = Self::full(value)?;
        if scenario.is_sound() { Ok(scenario) } else { Err("there is no such swarm".to_owned()) }
    }

    /// As JSON, without what is as usual.
    pub(super) fn lean(&self) -> Value {
        let mut value = without(plain(&value_of(self)), &plain(&value_of(&Self::default())));
        let usual = plain(&value_of(&Node::default()));
        if let Some(Value::Array(nodes)) = value.get_mut("nodes") {
            nodes.iter_mut().for_each(|node| *node = without(node.take(), &usual));
        }
        value
    }

    /// The inverse of [`lean`](Self::lean).
    pub(super) fn full(mut value: Value) -> Result<Self, String> {
        let usual = plain(&value_of(&Node::default()));
        if let Some(Value::Array(nodes)) = value.get_mut("nodes") {
            nodes.iter_mut().for_each(|node| *node = with(node.take(), &usual));
        }
        let value = with(value, &plain(&value_of(&Self::default())));
        serde_json::from_value(timed(value)?).map_err(|error| error.to_string())
    }
}

fn value_of(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("scenarios hold nothing that JSON cannot")
}

/// Leaves out what is as in `usual`.
fn without(value: Value, usual: &Value) -> Value {
    let (Value::Object(fields), Value::Object(usual)) = (&value, usual) else { return value };
    let differs = fields.iter().filter(|(name, field)| usual.get(*name) != Some(field));
    let left = differs.map(|(name, field)| {
        let field = usual.get(name).map_or(field.clone(), |usual| without(field.clone(), usual));
        (name.clone(), field)
    });
    Value::Object(left.collect())
}

/// Adds what is as in `usual`.
fn with(value: Value, usual: &Value) -> Value {
    let (Value::Object(mut fields), Value::Object(usual)) = (value.clone(), usual) else { return value };
    for (name, usual) in usual {
        let field = fields.remove(name).map_or(usual.clone(), |field| with(field, usual));
        fields.insert(name.clone(), field);
    }
    Value::Object(fields)
}

/// Writes spans of time as people do: `"2.5 s"`.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            if let (2, Some(secs), Some(nanos)) = (
                fields.len(),
                fields.get("secs").and_then(Value::as_u64),
                fields.get("nanos").and_then(Value::as_u64),
            ) {
                let text = format!("{secs}.{nanos:09}");
                return format!("{} s", text.trim_end_matches('0').trim_end_matches('.')).into();
            }
            Value::Object(fields.iter().map(|(name, field)| (name.clone(), plain(field))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// The inverse of [`plain`].
fn timed(value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) if text.ends_with(" s") => {
            let number = text.trim_end_matches(" s");
            let (secs, nanos) = number.split_once('.').unwrap_or((number, "0"));
            let nanos = format!("{nanos:0<9}");
            match (secs.parse::<u64>(), nanos.parse::<u32>()) {
                (Ok(secs), Ok(nanos)) if nanos < 1_000_000_000 => Ok(json!({"secs": secs, "nanos": nanos})),
                _ => Err(format!("{text:?} is no span of time")),
            }
        }
        Value::Object(fields) => {
            let fields: Result<Map<String, Value>, String> =
                fields.into_iter().map(|(name, field)| Ok((name, timed(field)?))).collect();
            Ok(Value::Object(fields?))
        }
        Value::Array(items) => items.into_iter().map(timed).collect::<Result<_, _>>().map(Value::Array),
        other => Ok(other),
    }
}
