//! The trait of the types that a setting's value can have.

use config::ValueKind;

use crate::kind::Kind;

/// The type of a setting's value. Enums of words derive it with [`Setting`](crate::Setting).
pub trait SettingValue: Sized {
    /// The kind of its values, for references and errors.
    fn kind() -> Kind;

    /// Reads a value from a source.
    ///
    /// # Errors
    /// It isn't a value of this kind.
    fn read(given: Given<'_>) -> Result<Self, ValueError>;

    /// The value as a user would write it, or the mask if it is a secret.
    fn shown(&self) -> String;

    /// Whether both values are the same.
    fn same(&self, other: &Self) -> bool {
        self.shown() == other.shown()
    }
}

/// A value as given by its source. Variables are always strings; values in files have types.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a>(Form<'a>);

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Text(&'a str),
    Typed(&'a ValueKind),
}

impl<'a> Given<'a> {
    pub(crate) fn of(value: &'a ValueKind) -> Self {
        Self(match value {
            ValueKind::String(text) => Form::Text(text),
            typed => Form::Typed(typed),
        })
    }

    /// A string. A number in a file isn't one, so a password of digits needs quotes.
    ///
    /// # Errors
    /// It isn't a string.
    pub fn text(self) -> Result<&'a str, ValueError> {
        match self.0 {
            Form::Text(text) => Ok(text),
            Form::Typed(_) => Err(ValueError::Kind),
        }
    }

    /// An integer.
    ///
    /// # Errors
    /// It isn't an integer.
    pub fn integer(self) -> Result<i128, ValueError> {
        match self.0 {
            Form::Text(text) => text.trim().parse().map_err(|_| ValueError::Kind),
            Form::Typed(ValueKind::I64(number)) => Ok((*number).into()),
            Form::Typed(ValueKind::U64(number)) => Ok((*number).into()),
            Form::Typed(_) => Err(ValueError::Kind),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// It isn't a number.
    #[expect(clippy::cast_precision_loss, reason = "no setting that is a fraction needs integers above 2^53")]
    pub fn number(self) -> Result<f64, ValueError> {
        match self.0 {
            Form::Text(text) => text.trim().parse().map_err(|_| ValueError::Kind),
            Form::Typed(ValueKind::Float(number)) => Ok(*number),
            Form::Typed(ValueKind::I64(number)) => Ok(*number as f64),
            Form::Typed(_) => Err(ValueError::Kind),
        }
    }

    /// A boolean: `true`, `1`, `yes` or `on`, and their opposites.
    ///
    /// # Errors
    /// It isn't a boolean.
    pub fn flag(self) -> Result<bool, ValueError> {
        match self.0 {
            Form::Typed(ValueKind::Boolean(value)) => Ok(*value),
            Form::Typed(_) => Err(ValueError::Kind),
            Form::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(ValueError::Kind),
            },
        }
    }

    /// The elements of a list; in a variable they are separated by commas.
    ///
    /// # Errors
    /// It isn't a list.
    pub fn list(self) -> Result<Vec<Given<'a>>, ValueError> {
        match self.0 {
            Form::Typed(ValueKind::Array(values)) => Ok(values.iter().map(|value| Given::of(&value.kind)).collect()),
            Form::Typed(_) => Err(ValueError::Kind),
            Form::Text(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(parts.map(|part| Given(Form::Text(part))).collect())
            }
        }
    }
}

/// Why a value doesn't have its setting's type. It never contains the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// It has another type.
    Kind,
    /// It is outside this range: `from 0 to 255`.
    Range(String),
    /// It is invalid for this reason.
    Because(String),
    /// The element at this index of a list is invalid.
    Element(usize, Box<ValueError>),
}

impl ValueError {
    /// What is wrong, and what is allowed.
    pub(crate) fn message(&self, kind: &Kind) -> String {
        match self {
            Self::Kind => format!("expected {kind}"),
            Self::Range(range) => format!("expected {kind} {range}"),
            Self::Because(reason) => format!("{reason}; expected {kind}"),
            Self::Element(index, error) => {
                let each = if let Kind::List(each) = kind { each } else { kind };
                format!("element {}: {}", index + 1, error.message(each))
            }
        }
    }
}
