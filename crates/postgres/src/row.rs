//! Rows that are read without panics: a missing column or a wrong type is an error that names the statement, the
//! column, and what was expected and found.

use std::any::type_name;
use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::types::{FromSql, WasNull, WrongType};

use crate::error::{Error, ErrorKind};
use crate::trace;

/// A row that a statement returned.
pub struct Row {
    row: tokio_postgres::Row,
    statement: &'static str,
    /// The index after the column that was read last.
    next: AtomicUsize,
}

impl Row {
    /// The rows of a statement.
    pub(crate) fn all(rows: Vec<tokio_postgres::Row>, statement: &'static str) -> Vec<Self> {
        rows.into_iter().map(|row| Self::new(row, statement)).collect()
    }

    pub(crate) fn new(row: tokio_postgres::Row, statement: &'static str) -> Self {
        Self { row, statement, next: AtomicUsize::new(0) }
    }

    /// The value of a column, by its name or index. Fastest in the order of the statement.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if there is no such column, or its value isn't a `T`.
    pub fn get<'a, T: FromSql<'a>>(&'a self, column: impl Column) -> Result<T, Error> {
        let Some(place) = column.place(self) else {
            let names: Vec<&str> = self.row.columns().iter().map(tokio_postgres::Column::name).collect();
            return Err(self.wrong(&format!("no column {column} among {}", names.join(", "))));
        };
        self.row.try_get(place).map_err(|error| self.unfit::<T>(place, &error))
    }

    fn unfit<T>(&self, place: usize, error: &tokio_postgres::Error) -> Error {
        let column = &self.row.columns()[place];
        let found = match error.source() {
            Some(cause) if cause.is::<WasNull>() => "null".to_owned(),
            Some(cause) if cause.is::<WrongType>() => column.type_().to_string(),
            Some(cause) => format!("{} that can't be read: {cause}", column.type_()),
            None => error.to_string(),
        };
        self.wrong(&format!("column {}: expected {}, found {found}", column.name(), type_name::<T>()))
    }

    fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorKind::Other, format!("{}: {what}", trace::summary(self.statement)))
    }

    /// The index of a column.
    fn find(&self, name: &str) -> Option<usize> {
        let columns = self.row.columns();
        let next = self.next.load(Ordering::Relaxed);
        let place = match columns.get(next) {
            Some(column) if column.name() == name => next,
            _ => columns.iter().position(|column| column.name() == name)?,
        };
        self.next.store(place + 1, Ordering::Relaxed);
        Some(place)
    }
}

impl fmt::Debug for Row {
    /// Only the columns: their values may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.row.columns().iter().map(tokio_postgres::Column::name)).finish()
    }
}

/// Identifies a column by its name, or by its index from 0.
pub trait Column: fmt::Display + Copy + sealed::Column {
    /// The column's index, if the row has the column.
    fn place(self, row: &Row) -> Option<usize>;
}

impl Column for usize {
    fn place(self, row: &Row) -> Option<usize> {
        Some(self).filter(|place| *place < row.row.len())
    }
}

impl Column for &str {
    fn place(self, row: &Row) -> Option<usize> {
        row.find(self)
    }
}

mod sealed {
    pub trait Column {}
    impl Column for usize {}
    impl Column for &str {}
}
