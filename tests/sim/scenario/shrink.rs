//! A scenario that fails, made smaller while it goes on failing.

use serde_json::Value;

use super::{Failure, Scenario};
use crate::{Fault, Segmentation};

/// Outputs of all runs together after which the smallest so far has to do.
const OUTPUTS_MAX: u64 = 10_000_000;
/// What a run costs in any case, in outputs.
const RUN: u64 = 10_000;

impl Scenario {
    /// The smallest scenario found that fails as well, if this one does, and how it does.
    #[must_use]
    pub fn shrunk(&self) -> Option<(Self, Box<Failure>)> {
        let failure = self.run().err()?;
        let mut spent = failure.outputs;
        let mut smallest = (self.clone(), failure);
        let (mut next, mut helped) = (0, false);
        while spent < OUTPUTS_MAX {
            let Some(smaller) = smallest.0.smaller(next) else {
                if !helped {
                    break;
                }
                (next, helped) = (0, false);
                continue;
            };
            next += 1;
            if !smaller.is_sound() || smaller.size() >= smallest.0.size() {
                continue;
            }
            spent += RUN;
            match smaller.run() {
                Ok(report) => spent += report.outputs,
                Err(failure) => {
                    spent += failure.outputs;
                    smallest = (smaller, failure);
                    helped = true;
                    next -= 1; // where it was is the next one now
                }
            }
        }
        Some(smallest)
    }

    /// What of two scenarios makes the smaller one: first of all the one with fewer nodes, at last the shorter one.
    fn size(&self) -> (usize, usize, usize, u64, usize, u64) {
        let lean = self.lean();
        let bytes = self.files.iter().sum();
        (
            self.nodes.len(),
            self.strangers.len(),
            self.troubles.len(),
            bytes,
            lean.to_string().len(),
            sum(&lean),
        )
    }

    /// The `nth` way to make it smaller, the boldest first; `None` when there are no more.
    fn smaller(&self, nth: usize) -> Option<Self> {
        let mut nth = nth;
        let mut count = |ways: usize| {
            let place = (nth < ways).then_some(nth);
            nth = nth.saturating_sub(ways);
            place
        };
        let mut other = self.clone();
        if let Some(way) = count(4) {
            match way {
                0 => other.troubles.clear(),
                1 => other.strangers.clear(),
                2 => other.files = vec![self.files.iter().sum::<u64>() / 2],
                _ => other.segmentation = Segmentation::Natural,
            }
            return Some(other);
        }
        if let Some(half) = count(2) {
            let middle = self.troubles.len() / 2;
            other.troubles =
                self.troubles[if half == 0 { 0..middle } else { middle..self.troubles.len() }].to_vec();
            return Some(other);
        }
        // From the back: the first one has everything.
        if let Some(place) = count(self.nodes.len()) {
            other.drop_node(self.nodes.len() - 1 - place);
            return Some(other);
        }
        if let Some(place) = count(self.troubles.len()) {
            other.troubles.remove(place);
            return Some(other);
        }
        if let Some(place) = count(self.strangers.len()) {
            other.strangers.remove(place);
            return Some(other);
        }
        // Anything that is not as usual, made so; then any number halved.
        let lean = self.lean();
        for change in [forget as Change, halve] {
            let places = visit(&lean, None, change).1;
            if let Some(place) = count(places) {
                let value = visit(&lean, Some(place), change).0;
                return Some(Self::full(value).unwrap_or(other));
            }
        }
        None
    }

    fn drop_node(&mut self, place: usize) {
        let name = self.nodes.remove(place).name;
        self.strangers.retain(|stranger| stranger.dials.as_ref() != Some(&name));
        for trouble in &mut self.troubles {
            if let Fault::Partition { with, .. } = &mut trouble.fault {
                with.retain(|other| *other != name);
            }
        }
        self.troubles.retain(|trouble| !trouble.names().contains(&&name));
    }
}

/// Makes one thing of a value smaller, if it can be made so: `Some(None)` takes it out altogether.
type Change = fn(&Value) -> Option<Option<Value>>;

fn forget(value: &Value) -> Option<Option<Value>> {
    (!value.is_null()).then_some(None)
}

fn halve(value: &Value) -> Option<Option<Value>> {
    let number = value.as_u64().filter(|number| *number > 0)?;
    Some(Some((number / 2).into()))
}

/// All numbers in a value.
fn sum(value: &Value) -> u64 {
    let add = |sum: u64, value| sum.saturating_add(self::sum(value));
    match value {
        Value::Number(number) => number.as_u64().unwrap_or_default(),
        Value::Array(items) => items.iter().fold(0, add),
        Value::Object(fields) => fields.values().fold(0, add),
        _ => 0,
    }
}

/// The value with the change made at the `place`th of all places where it can be, and how many there are.
fn visit(value: &Value, place: Option<usize>, change: Change) -> (Value, usize) {
    fn within(value: &Value, place: Option<usize>, change: Change, seen: &mut usize) -> Option<Value> {
        if let Some(changed) = change(value) {
            *seen += 1;
            if place == Some(*seen - 1) {
                return changed;
            }
        }
        match value {
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields = fields
                    .filter_map(|(name, field)| Some((name.clone(), within(field, place, change, seen)?)));
                Some(Value::Object(fields.collect()))
            }
            Value::Array(items) => Some(Value::Array(
                items.iter().filter_map(|item| within(item, place, change, seen)).collect(),
            )),
            other => Some(other.clone()),
        }
    }
    let mut seen = 0;
    let changed = within(value, place, change, &mut seen).unwrap_or(Value::Null);
    (changed, seen)
}
