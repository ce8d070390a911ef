//! Who may call which method. What isn't listed is denied.

use std::collections::{HashMap, HashSet};

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone. A valid token, if there is one, still tells the caller.
    Public,
    /// Anyone with a valid token.
    Authenticated,
    /// Operators only.
    Operator,
}

/// The rules of a server by method path, such as `/flotilla.orders.v1.OrderService/PlaceOrder`.
#[derive(Debug, Clone, Default)]
pub struct AccessRules {
    pub(crate) rules: HashMap<&'static str, Access>,
    pub(crate) streaming: HashSet<&'static str>,
}

impl AccessRules {
    /// No rules: everything but health and reflection is denied.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows `method` to those whom `access` names.
    #[must_use]
    pub fn allow(mut self, method: &'static str, access: Access) -> Self {
        self.rules.insert(method, access);
        self
    }

    /// Declares `method` as long-lived: exempt from the default deadline. Methods that the descriptors of
    /// `flotilla-proto` know as streaming need no declaration.
    #[must_use]
    pub fn streaming(mut self, method: &'static str) -> Self {
        self.streaming.insert(method);
        self
    }
}
