//! What goes wrong, as a gRPC status: with `google.rpc.Status` in the details.

use http::HeaderMap;
use prost::Message;
use tonic::{Code, Status, metadata::MetadataMap};

use crate::{
    dialect::named,
    failure::{Failure, Kind},
};

/// `google.rpc.Status`.
#[derive(Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

#[derive(Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Message)]
struct QuotaFailure {
    #[prost(message, repeated, tag = "1")]
    violations: Vec<Violation>,
}

#[derive(Message)]
struct Violation {
    #[prost(string, tag = "5")]
    quota_id: String,
}

fn any(name: &str, message: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value: message.encode_to_vec(),
    }
}

pub(super) fn status(failure: &Failure) -> Status {
    let said = named(&failure.kind);
    let mut details = Vec::new();
    if failure.kind == Kind::Quota {
        let violation = Violation {
            quota_id: "GenerateRequestsPerDayPerProjectPerModel-FreeTier".into(),
        };
        let failure = QuotaFailure {
            violations: vec![violation],
        };
        details.push(any("QuotaFailure", &failure));
    }
    if let Some(wait) = failure.retry_info() {
        let wait = Duration {
            seconds: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(wait.subsec_nanos()).unwrap_or(0),
        };
        let info = RetryInfo {
            retry_delay: Some(wait),
        };
        details.push(any("RetryInfo", &info));
    }
    let mut trailers = HeaderMap::new();
    failure
        .hints
        .iter()
        .for_each(|hint| hint.write(&mut trailers));
    for (name, value) in &failure.headers {
        trailers.append(name, value.clone());
    }
    let bytes = if details.is_empty() {
        Vec::new()
    } else {
        let status = RpcStatus {
            code: said.code,
            message: said.message.to_owned(),
            details,
        };
        status.encode_to_vec()
    };
    Status::with_details_and_metadata(
        Code::from_i32(said.code),
        said.message,
        bytes.into(),
        MetadataMap::from_headers(trailers),
    )
}
