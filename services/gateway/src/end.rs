//! How a request ended, in terms of its protocol: an HTTP status or a gRPC code.

use flotilla_rpc::code_name;
use http::StatusCode;
use tonic::Code;

/// The end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a gRPC code; also for a request whose client went away.
    Grpc(Code),
    /// With an HTTP status.
    Http(StatusCode),
}

impl End {
    /// The client went away.
    pub const DISCONNECTED: Self = Self::Grpc(Code::Cancelled);

    /// Its name in metrics, traces and logs.
    pub fn label(&self) -> &str {
        match self {
            Self::Grpc(code) => code_name(*code),
            Self::Http(status) => status.as_str(),
        }
    }

    /// Whether it is a fault of the fleet.
    pub fn is_fault(self) -> bool {
        match self {
            Self::Http(status) => status.is_server_error(),
            Self::Grpc(code) => matches!(
                code,
                Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            ),
        }
    }
}
