//! Who may call what at the edge. The services have their own rules and decide; this table lets the gateway refuse
//! early what can't succeed, and a method that it doesn't list keeps the gateway from starting.

use flotilla_rpc::Access::{self, Authenticated, Operator, Public};

/// One line for each public method, by service and name.
const RULES: &[(&str, Access)] = &[
    ("flotilla.identity.v1.AuthService/Login", Public),
    ("flotilla.identity.v1.AuthService/GetJsonWebKeySet", Public),
    ("flotilla.identity.v1.UserService/CreateUser", Public),
    ("flotilla.identity.v1.UserService/GetUser", Authenticated),
    ("flotilla.identity.v1.UserService/ListUsers", Operator),
    ("flotilla.identity.v1.UserService/UpdateUser", Authenticated),
    ("flotilla.identity.v1.UserService/DeleteUser", Authenticated),
    ("flotilla.inventory.v1.CatalogService/CreateProduct", Operator),
    ("flotilla.inventory.v1.CatalogService/GetProduct", Public),
    ("flotilla.inventory.v1.CatalogService/ListProducts", Public),
    ("flotilla.inventory.v1.CatalogService/BatchGetProducts", Public),
    ("flotilla.inventory.v1.CatalogService/UpdateProduct", Operator),
    ("flotilla.inventory.v1.CatalogService/DeleteProduct", Operator),
    ("flotilla.inventory.v1.StockService/GetStock", Operator),
    ("flotilla.inventory.v1.StockService/AdjustStock", Operator),
    ("flotilla.orders.v1.OrderService/PlaceOrder", Authenticated),
    ("flotilla.orders.v1.OrderService/GetOrder", Authenticated),
    ("flotilla.orders.v1.OrderService/ListOrders", Authenticated),
    ("flotilla.orders.v1.OrderService/CancelOrder", Authenticated),
    ("flotilla.orders.v1.OrderService/WatchOrder", Authenticated),
    ("flotilla.payments.v1.PaymentService/GetAccount", Authenticated),
    ("flotilla.payments.v1.PaymentService/TopUpAccount", Operator),
    ("flotilla.payments.v1.PaymentService/ListPostings", Authenticated),
    ("flotilla.notification.v1.NotificationService/ListDeliveries", Authenticated),
    ("flotilla.notification.v1.NotificationService/StreamDeliveries", Authenticated),
];

/// The rule of a method, given as `package.Service/Method`.
pub fn rule(method: &str) -> Option<Access> {
    RULES.iter().find(|(listed, _)| *listed == method).map(|(_, access)| *access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_exactly_the_annotated_methods() {
        let pool = flotilla_proto::descriptors::pool().unwrap();
        let mut annotated: Vec<String> = crate::routes::annotated(&pool)
            .unwrap()
            .into_iter()
            .map(|(method, _)| crate::routes::rpc_name(&method))
            .collect();
        annotated.sort();
        let mut listed: Vec<String> = RULES.iter().map(|(method, _)| (*method).to_owned()).collect();
        listed.sort();
        assert_eq!(listed, annotated);
    }
}
