//! Messages as transcoding needs them: read from the descriptors once, so that requests don't need those.

use std::collections::HashMap;
use std::sync::Arc;

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind as Described, MessageDescriptor};

use crate::behavior::{IDENTIFIER, INPUT_ONLY, OUTPUT_ONLY, behaves};

/// All messages that the methods need.
#[derive(Debug, Default)]
pub struct Schema {
    messages: Vec<Message>,
    indices: HashMap<String, usize>,
}

/// How a message is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As an object of its fields.
    Object,
    /// As an RFC 3339 string.
    Timestamp,
    /// In the special form of a well-known type.
    WellKnown,
}

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its descriptor.
    pub descriptor: MessageDescriptor,
    /// Its JSON form.
    pub form: Form,
    /// Its fields in the order of declaration.
    pub fields: Vec<Field>,
    /// The number of its oneofs.
    pub oneofs: usize,
    names: HashMap<Box<str>, usize>,
    /// Fields by number, for the low numbers that nearly all fields have.
    low: Vec<Option<usize>>,
    high: HashMap<u32, usize>,
}

/// How many values a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// One.
    Singular,
    /// A list.
    Repeated,
    /// A map: its message is the entry, with the key as first field and the value as second.
    Map,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// Number.
    pub number: u32,
    /// Name in the contract.
    pub name: Box<str>,
    /// Name in JSON.
    pub json: Box<str>,
    /// The JSON name as the key of an object, colon included.
    pub key: Box<[u8]>,
    /// Its cardinality.
    pub label: Label,
    /// The type of its values.
    pub kind: Kind,
    /// Whether it distinguishes unset from the default.
    pub presence: bool,
    /// Whether it is never returned.
    pub hidden: bool,
    /// Whether only the server sets it.
    pub output_only: bool,
    /// The oneof that it belongs to.
    pub oneof: Option<usize>,
}

/// The type of a field's values.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A number, text, bytes or a boolean.
    Scalar(Scalar),
    /// An enum.
    Enum(Arc<Enum>),
    /// The message with this index.
    Message(usize),
}

/// The scalar types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "protobuf's own names")]
pub enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
}

/// An enum's values.
#[derive(Debug)]
pub struct Enum {
    /// Numbers by name.
    pub numbers: HashMap<Box<str>, i32>,
    /// Names by number; the first if several share one.
    pub names: HashMap<i32, Box<str>>,
}

/// A field of a message or of nested singular messages.
#[derive(Debug, Clone)]
pub struct FieldPath {
    /// Field numbers from the outermost message inwards.
    pub numbers: Vec<u32>,
    /// The message that it starts at.
    first: usize,
    /// The message and field that it ends at.
    last: (usize, usize),
}

impl Schema {
    /// Adds a message with all nested ones, and returns its index.
    pub fn add(&mut self, descriptor: &MessageDescriptor) -> usize {
        if let Some(index) = self.indices.get(descriptor.full_name()) {
            return *index;
        }
        let index = self.messages.len();
        self.indices.insert(descriptor.full_name().to_owned(), index);
        let form = form(descriptor);
        let (names, high, low) = (HashMap::new(), HashMap::new(), Vec::new());
        let oneofs = descriptor.oneofs().len();
        let message = Message { descriptor: descriptor.clone(), form, fields: Vec::new(), oneofs, names, low, high };
        // Added before its fields: one of them may be of the same message type.
        self.messages.push(message);
        if form == Form::Object {
            let fields: Vec<Field> = descriptor.fields().map(|field| self.field(&field)).collect();
            self.messages[index].set(fields);
        }
        index
    }

    fn field(&mut self, descriptor: &FieldDescriptor) -> Field {
        let label = if descriptor.is_map() {
            Label::Map
        } else if descriptor.cardinality() == Cardinality::Repeated {
            Label::Repeated
        } else {
            Label::Singular
        };
        let json = descriptor.json_name();
        let key = format!("{}:", serde_json::Value::from(json));
        Field {
            number: descriptor.number(),
            name: descriptor.name().into(),
            json: json.into(),
            key: key.into_bytes().into(),
            label,
            kind: self.kind(&descriptor.kind()),
            presence: descriptor.supports_presence(),
            hidden: behaves(descriptor, INPUT_ONLY),
            output_only: behaves(descriptor, OUTPUT_ONLY) || behaves(descriptor, IDENTIFIER),
            oneof: descriptor.containing_oneof().and_then(|oneof| {
                let mut all = descriptor.parent_message().oneofs();
                all.position(|other| other.name() == oneof.name())
            }),
        }
    }

    fn kind(&mut self, kind: &Described) -> Kind {
        let scalar = match kind {
            Described::Message(message) => return Kind::Message(self.add(message)),
            Described::Enum(values) => return Kind::Enum(Arc::new(Enum::new(values))),
            Described::Double => Scalar::Double,
            Described::Float => Scalar::Float,
            Described::Int32 => Scalar::Int32,
            Described::Int64 => Scalar::Int64,
            Described::Uint32 => Scalar::Uint32,
            Described::Uint64 => Scalar::Uint64,
            Described::Sint32 => Scalar::Sint32,
            Described::Sint64 => Scalar::Sint64,
            Described::Fixed32 => Scalar::Fixed32,
            Described::Fixed64 => Scalar::Fixed64,
            Described::Sfixed32 => Scalar::Sfixed32,
            Described::Sfixed64 => Scalar::Sfixed64,
            Described::Bool => Scalar::Bool,
            Described::String => Scalar::String,
            Described::Bytes => Scalar::Bytes,
        };
        Kind::Scalar(scalar)
    }

    /// The message with this index.
    pub fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    /// Resolves a dotted path in either spelling, through singular messages; `None` if a part is missing.
    pub fn resolve(&self, message: usize, path: &str) -> Option<FieldPath> {
        let mut found = FieldPath { numbers: Vec::new(), first: message, last: (message, 0) };
        let mut parent = Some(message);
        for name in path.split('.') {
            let message = parent?;
            let index = self.messages[message].named(name)?;
            let field = &self.messages[message].fields[index];
            found.numbers.push(field.number);
            found.last = (message, index);
            parent = match field.kind {
                Kind::Message(inner) if field.label == Label::Singular => Some(inner),
                _ => None,
            };
        }
        Some(found)
    }

    /// The same, if it ends at a singular text field.
    pub fn resolve_text(&self, message: usize, path: &str) -> Option<FieldPath> {
        let found = self.resolve(message, path)?;
        let field = self.at(&found);
        let fits = matches!(field.kind, Kind::Scalar(Scalar::String)) && field.label == Label::Singular;
        fits.then_some(found)
    }

    /// A path in JSON names: `product.displayName`.
    pub fn json_path(&self, path: &FieldPath) -> String {
        let (mut message, mut names) = (path.first, Vec::new());
        for number in &path.numbers {
            let found = self.messages[message].numbered(*number).map(|index| &self.messages[message].fields[index]);
            let Some(field) = found else { break };
            names.push(field.json.as_ref());
            if let Kind::Message(inner) = field.kind {
                message = inner;
            }
        }
        names.join(".")
    }

    /// The field at the end of a path.
    pub fn at(&self, path: &FieldPath) -> &Field {
        let (message, field) = path.last;
        &self.messages[message].fields[field]
    }
}

impl FieldPath {
    /// The numbers of the messages around the field.
    pub fn parents(&self) -> &[u32] {
        &self.numbers[..self.numbers.len() - 1]
    }
}

impl Message {
    fn set(&mut self, fields: Vec<Field>) {
        for (index, field) in fields.iter().enumerate() {
            self.names.insert(field.json.clone(), index);
            match usize::try_from(field.number) {
                Ok(number) if number < 64 => {
                    if self.low.len() <= number {
                        self.low.resize(number + 1, None);
                    }
                    self.low[number] = Some(index);
                }
                _ => {
                    self.high.insert(field.number, index);
                }
            }
        }
        // JSON names take precedence over the contract's names of other fields.
        for (index, field) in fields.iter().enumerate() {
            self.names.entry(field.name.clone()).or_insert(index);
        }
        self.fields = fields;
    }

    /// The field with this JSON name or name in the contract.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The field with this number.
    pub fn numbered(&self, number: u32) -> Option<usize> {
        match self.low.get(number as usize) {
            Some(index) => *index,
            None => self.high.get(&number).copied(),
        }
    }
}

impl Enum {
    fn new(descriptor: &EnumDescriptor) -> Self {
        let mut names = HashMap::new();
        for value in descriptor.values() {
            names.entry(value.number()).or_insert_with(|| value.name().into());
        }
        Self { numbers: descriptor.values().map(|value| (value.name().into(), value.number())).collect(), names }
    }
}

fn form(message: &MessageDescriptor) -> Form {
    match message.full_name() {
        "google.protobuf.Timestamp" => Form::Timestamp,
        "google.protobuf.Empty" => Form::Object,
        _ if message.package_name() == "google.protobuf" => Form::WellKnown,
        _ => Form::Object,
    }
}
