//! Service level indicators of the gateway: which outcomes of requests count, and how.
//!
//! They are measured here and not in the services, because here each request of a user is one event, however many hops
//! it takes.
//!
//! | end | availability |
//! |---|---|
//! | success; a refusal that is the answer (`NOT_FOUND`, `ALREADY_EXISTS`, `ABORTED`, `FAILED_PRECONDITION` by gRPC) | good |
//! | `UNKNOWN`, `INTERNAL`, `DATA_LOSS`, `UNAVAILABLE`, `UNIMPLEMENTED`, `DEADLINE_EXCEEDED`, 5xx; `OVERLOADED` | bad |
//! | what the request alone decides: `INVALID_ARGUMENT`, `UNAUTHENTICATED`, `PERMISSION_DENIED`, `RATE_LIMITED`, `CALLER_LIMIT`, `BODY_TIMEOUT`, other 4xx | not counted |
//! | the client went away; its deadline was shorter than what is promised; a stream that a drain ends, to be resumed | not counted |
//! | anything that is no call of a public method: unknown paths, wrong verbs or media types, pages, health | not counted |
//!
//! A flood of invalid requests thus makes the service look neither worse nor better. Acceptance counts orders that were
//! accepted, good within the threshold; a client that gave up later than that counts as bad; other ends count
//! for availability only.

use std::time::Duration;

use flotilla_telemetry::{Sli, SliEvents};
use http::StatusCode;
use prometheus::Registry;
use tonic::Code;

use crate::end::End;

/// The methods that accept an order, as routes are called.
const ACCEPT: [(&str, &str); 2] = [("POST", "flotilla.orders.v1.OrderService/PlaceOrder"), ("POST", "/v1/orders")];
/// The shortest deadline that counts: a client with a shorter one can't expect a response.
const SHORTEST: Duration = Duration::from_millis(250);

/// The indicators.
#[derive(Debug, Clone)]
pub struct Slis {
    availability: SliEvents,
    accept_latency: SliEvents,
}

/// How an outcome counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Good.
    Good,
    /// Bad.
    Bad,
    /// Bad, unless the client's deadline was too short.
    BadIfPatient,
    /// The client went away.
    GaveUp,
    /// Not counted.
    Uncounted,
}

/// The indicators that a route counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Acceptance of orders and availability.
    Accept,
    /// Availability, for a call of a public method.
    Call,
    /// None.
    Aside,
}

impl Kind {
    /// The kind of a public method by the route's name.
    pub fn of_call(method: &str, route: &str) -> Self {
        if ACCEPT.contains(&(method, route)) { Self::Accept } else { Self::Call }
    }
}

impl Slis {
    /// Registers them.
    ///
    /// # Errors
    /// The registry has them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            availability: SliEvents::register(Sli::Availability, registry)?,
            accept_latency: SliEvents::register(Sli::AcceptLatency, registry)?,
        })
    }

    /// Counts the outcome of a request.
    pub fn ended(&self, kind: Kind, verdict: Verdict, took: Duration) {
        if kind == Kind::Aside {
            return;
        }
        match verdict {
            Verdict::Good => self.availability.count(true),
            Verdict::Bad => self.availability.count(false),
            Verdict::BadIfPatient if took >= SHORTEST => self.availability.count(false),
            Verdict::BadIfPatient | Verdict::GaveUp | Verdict::Uncounted => {}
        }
        if kind != Kind::Accept {
            return;
        }
        match verdict {
            Verdict::Good => self.accept_latency.took(took),
            Verdict::GaveUp if took > SHORTEST => self.accept_latency.count(false),
            _ => {}
        }
    }
}

impl Verdict {
    /// How an outcome with this reason counts.
    pub fn of(end: End, reason: Option<&str>) -> Self {
        match (end, reason) {
            (_, Some("SERVER_DRAINING" | "BODY_TIMEOUT")) => Self::Uncounted,
            (_, Some("OVERLOADED")) => Self::Bad,
            (End::Grpc(code), _) => Self::of_code(code),
            (End::Http(status), _) => Self::of_status(status),
        }
    }

    fn of_code(code: Code) -> Self {
        match code {
            Code::Ok | Code::NotFound | Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => Self::Good,
            Code::Cancelled => Self::GaveUp,
            Code::DeadlineExceeded => Self::BadIfPatient,
            Code::Unknown | Code::Internal | Code::DataLoss | Code::Unavailable | Code::Unimplemented => Self::Bad,
            _ => Self::Uncounted,
        }
    }

    fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            404 | 409 | 412 => Self::Good,
            499 => Self::GaveUp,
            504 => Self::BadIfPatient,
            200..=399 => Self::Good,
            500.. => Self::Bad,
            _ => Self::Uncounted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slis() -> Slis {
        Slis::register(&Registry::new()).unwrap()
    }

    /// An end by its label.
    fn end(label: &str) -> End {
        let code = || (0..17).map(Code::from_i32).find(|code| flotilla_rpc::code_name(*code) == label).unwrap();
        label.parse().map_or_else(|_| End::Grpc(code()), End::Http)
    }

    #[test]
    fn only_failures_of_the_fleet_count_as_bad() {
        for (statuses, reason, verdict) in [
            (&["OK", "200", "304", "NOT_FOUND", "404", "409", "FAILED_PRECONDITION"][..], None, Verdict::Good),
            (&["INTERNAL", "500", "UNAVAILABLE", "503", "501"], None, Verdict::Bad),
            (&["RESOURCE_EXHAUSTED", "429"], Some("OVERLOADED"), Verdict::Bad),
            (&["RESOURCE_EXHAUSTED", "429"], Some("RATE_LIMITED"), Verdict::Uncounted),
            (&["RESOURCE_EXHAUSTED", "429"], Some("CALLER_LIMIT"), Verdict::Uncounted),
            (&["DEADLINE_EXCEEDED", "408"], Some("BODY_TIMEOUT"), Verdict::Uncounted),
            (&["RESOURCE_EXHAUSTED", "413"], None, Verdict::Uncounted),
            (
                &["INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "400", "401", "403"],
                None,
                Verdict::Uncounted,
            ),
            (&["UNAVAILABLE", "503"], Some("SERVER_DRAINING"), Verdict::Uncounted),
            (&["CANCELLED", "499"], None, Verdict::GaveUp),
            (&["DEADLINE_EXCEEDED", "504"], None, Verdict::BadIfPatient),
        ] {
            for status in statuses {
                assert_eq!(Verdict::of(end(status), reason), verdict, "{status} {reason:?}");
            }
        }
    }

    #[test]
    fn an_order_counts_for_both_indicators_by_its_latency() {
        let slis = slis();
        let (soon, late) = (Duration::from_millis(250), Duration::from_millis(251));
        for (verdict, took) in [
            (Verdict::Good, soon),
            (Verdict::Good, late),
            (Verdict::GaveUp, soon),
            (Verdict::GaveUp, late),
            (Verdict::Bad, late),
            (Verdict::BadIfPatient, Duration::from_millis(1)),
            (Verdict::BadIfPatient, late),
            (Verdict::Uncounted, late),
        ] {
            slis.ended(Kind::Accept, verdict, took);
        }
        assert_eq!(slis.availability.so_far(), (2, 2));
        assert_eq!(slis.accept_latency.so_far(), (1, 2));
    }

    #[test]
    fn other_calls_count_for_availability_and_the_rest_for_nothing() {
        let slis = slis();
        slis.ended(Kind::Call, Verdict::Good, Duration::from_secs(1));
        slis.ended(Kind::Aside, Verdict::Bad, Duration::ZERO);
        assert_eq!((slis.availability.so_far(), slis.accept_latency.so_far()), ((1, 0), (0, 0)));
    }

    #[test]
    fn orders_are_accepted_where_the_contracts_say() {
        let pool = flotilla_proto::descriptors::pool().unwrap();
        let routes = crate::routes::RouteTable::from_pool(&pool).unwrap();
        let [(_, method), (verb, path)] = ACCEPT;
        assert!(routes.method(&format!("/{method}")).is_some());
        let binding = routes.bindings().iter().find(|binding| binding.method.name == method).unwrap();
        assert_eq!((binding.verb.as_str(), binding.pattern.as_str()), (verb, path));
    }
}
