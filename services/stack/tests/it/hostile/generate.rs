//! Random messages of any type: valid ones with plausible values, and bytes.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// Nesting limit: a `Struct` can be nested without end.
const MAX_DEPTH: usize = 12;

pub(super) struct Random {
    rng: StdRng,
    /// Values that are valid in some field, such as an id.
    vocabulary: Vec<String>,
}

impl Random {
    pub(super) fn new(seed: u64, vocabulary: Vec<String>) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), vocabulary }
    }

    pub(super) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.rng.random_range(0..most);
        (0..count).map(|_| self.rng.random()).collect()
    }

    /// A message that can be decoded.
    pub(super) fn message(&mut self, of: &MessageDescriptor) -> DynamicMessage {
        self.filled(of, MAX_DEPTH)
    }

    /// A message with some bytes changed, removed or repeated.
    pub(super) fn mangled(&mut self, of: &MessageDescriptor) -> Vec<u8> {
        let mut bytes = self.message(of).encode_to_vec();
        for _ in 0..self.rng.random_range(1..5) {
            if bytes.is_empty() {
                break;
            }
            let at = self.rng.random_range(0..bytes.len());
            match self.rng.random_range(0..3) {
                0 => bytes[at] = self.rng.random(),
                1 => bytes.truncate(at),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    }

    fn filled(&mut self, of: &MessageDescriptor, deeper: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        for field in of.fields() {
            if self.rng.random_bool(0.3) {
                continue;
            }
            let is_message = matches!(field.kind(), Kind::Message(_));
            if is_message && deeper == 0 {
                continue;
            }
            let value = if field.is_map() {
                self.map(&field, deeper)
            } else if field.is_list() {
                let count = self.rng.random_range(0..4);
                Value::List((0..count).map(|_| self.value(&field.kind(), deeper)).collect())
            } else {
                self.value(&field.kind(), deeper)
            };
            message.set_field(&field, value);
        }
        message
    }

    fn map(&mut self, field: &FieldDescriptor, deeper: usize) -> Value {
        let kind = field.kind();
        let Kind::Message(entry) = &kind else { unreachable!("a map's entry is a message") };
        let count = self.rng.random_range(0..3);
        let entries = (0..count).map(|_| {
            let value = self.value(&entry.map_entry_value_field().kind(), deeper);
            (MapKey::String(self.text()), value)
        });
        Value::Map(entries.collect())
    }

    fn value(&mut self, kind: &Kind, deeper: usize) -> Value {
        match kind {
            Kind::Double => Value::F64(self.double()),
            Kind::Float => Value::F32(self.rng.random()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.whole() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.whole()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.whole() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.whole() as u64),
            Kind::Bool => Value::Bool(self.rng.random()),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes(self.bytes(64).into()),
            Kind::Enum(_) => Value::EnumNumber(self.rng.random_range(-1..6)),
            Kind::Message(of) => Value::Message(self.filled(of, deeper.saturating_sub(1))),
        }
    }

    fn whole(&mut self) -> i64 {
        match self.rng.random_range(0..4) {
            0 => *[i64::MIN, i64::MAX, i64::from(i32::MIN), -1, 253_402_300_800]
                .choose(&mut self.rng)
                .unwrap_or(&0),
            1 => self.rng.random(),
            _ => self.rng.random_range(0..100),
        }
    }

    fn double(&mut self) -> f64 {
        match self.rng.random_range(0..3) {
            0 => f64::from_bits(self.rng.random()),
            1 => *[f64::NAN, f64::INFINITY, -0.0, 1e308].choose(&mut self.rng).unwrap_or(&0.0),
            _ => self.rng.random(),
        }
    }

    fn text(&mut self) -> String {
        match self.rng.random_range(0..20) {
            0..10 => self.vocabulary.choose(&mut self.rng).cloned().unwrap_or_default(),
            10 => String::new(),
            11 => "x".repeat(self.rng.random_range(200..5_000)),
            12 => "\u{10FFFF}".repeat(self.rng.random_range(1..20_000)),
            13 => {
                let mut text = self.vocabulary.choose(&mut self.rng).cloned().unwrap_or_default();
                text.push(self.rng.random());
                text
            }
            _ => {
                let count = self.rng.random_range(1..40);
                (0..count).map(|_| self.letter()).collect()
            }
        }
    }

    fn letter(&mut self) -> char {
        if self.rng.random_bool(0.3) {
            *[
                '\0', '\'', '"', '\\', '%', '_', '*', '/', '-', ',', ' ', '\n', '\u{202e}', 'é',
                '{', '|',
            ]
            .choose(&mut self.rng)
            .unwrap_or(&'x')
        } else if self.rng.random_bool(0.5) {
            self.rng.random_range('0'..='9')
        } else {
            self.rng.random()
        }
    }
}
