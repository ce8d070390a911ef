//! The trait of a setting's type: its kind, how it is read and how it is shown.

use config::ValueKind;

use crate::kind::Kind;

/// The type of one setting. Enums of words derive it with [`Setting`](crate::Setting).
pub trait SettingValue: Sized {
    /// What it takes.
    fn kind() -> Kind;

    /// Reads what a source gives.
    ///
    /// # Errors
    /// It is no value of this kind.
    fn read(given: Given<'_>) -> Result<Self, ValueError>;

    /// The value as a person would write it; a secret's mask.
    fn shown(&self) -> String;

    /// Whether both are the same setting.
    fn same(&self, other: &Self) -> bool {
        self.shown() == other.shown()
    }
}

/// A value as its source gives it. A variable is a text whatever it holds; a file may say more.
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

    /// A text. Numbers of a file aren't: a password of digits needs its quotes.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(self) -> Result<&'a str, ValueError> {
        match self.0 {
            Form::Text(text) => Ok(text),
            Form::Typed(_) => Err(ValueError::Kind),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is something else.
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
    /// It is something else.
    #[expect(clippy::cast_precision_loss, reason = "a setting that is a fraction has no use for 2^53")]
    pub fn number(self) -> Result<f64, ValueError> {
        match self.0 {
            Form::Text(text) => text.trim().parse().map_err(|_| ValueError::Kind),
            Form::Typed(ValueKind::Float(number)) => Ok(*number),
            Form::Typed(ValueKind::I64(number)) => Ok(*number as f64),
            Form::Typed(_) => Err(ValueError::Kind),
        }
    }

    /// True or false, in the words that people use for them.
    ///
    /// # Errors
    /// It is something else.
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
    /// It is something else.
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

/// Why a value isn't of its setting's kind. It never holds the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// It is of another kind.
    Kind,
    /// It is of the kind but out of this range: `from 0 to 255`.
    Range(String),
    /// It is of the kind but wrong: why.
    Because(String),
    /// The element at this place of a list, from 0, is.
    Element(usize, Box<ValueError>),
}

impl ValueError {
    /// What is wrong, and what is allowed.
    pub(crate) fn message(&self, kind: &Kind) -> String {
        match self {
            Self::Kind => format!("expected {kind}"),
            Self::Range(range) => format!("expected {kind} {range}"),
            Self::Because(reason) => format!("{reason}; expected {kind}"),
            Self::Element(at, unfit) => {
                let each = if let Kind::List(each) = kind { each } else { kind };
                format!("element {}: {}", at + 1, unfit.message(each))
            }
        }
    }
}
