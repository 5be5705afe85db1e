//! Errors: the type is in a header, and in a stream the name of an exception.

use serde_json::Value;

use super::{Event, Problem, put};
use crate::{ask::quoted, event_stream, failure::Kind};

/// What AWS puts behind the name of an error in its header.
const NAMESPACE: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";

pub(super) fn problem(kind: &Kind, padding: &str) -> Problem {
    let (status, name, message) = match kind {
        Kind::RateLimited => (
            429,
            "ThrottlingException",
            "Too many requests, please wait before trying again.",
        ),
        Kind::Quota => (
            400,
            "ServiceQuotaExceededException",
            "Your request exceeds the service quota for your account.",
        ),
        Kind::Overloaded => (
            503,
            "ServiceUnavailableException",
            "Bedrock is unable to process your request.",
        ),
        Kind::ContextTooLong => (
            400,
            "ValidationException",
            "Input is too long for requested model.",
        ),
        Kind::Invalid(message) => (400, "ValidationException", message.as_str()),
        Kind::MissingKey => (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        Kind::UnknownPath(message) => (404, "UnknownOperationException", message.as_str()),
        Kind::Status(status) => {
            let (name, message) = match status {
                401 | 403 => (
                    "AccessDeniedException",
                    "You don't have access to the model with the specified model ID.",
                ),
                404 => ("ResourceNotFoundException", "Could not resolve the model."),
                408 => ("ModelTimeoutException", "Model processing timed out."),
                424 => (
                    "ModelErrorException",
                    "The request failed due to an error while processing the model.",
                ),
                503 => (
                    "ServiceUnavailableException",
                    "Bedrock is unable to process your request.",
                ),
                500.. => (
                    "InternalServerException",
                    "The system encountered an unexpected error during processing. Try your request again.",
                ),
                _ => ("ValidationException", "The request was refused."),
            };
            (*status, name, message)
        }
    };
    let message = format!("{message}{padding}");
    let mut problem = Problem::new(status, format!(r#"{{"message":{}}}"#, quoted(&message)));
    let header = format!("{name}:{NAMESPACE}");
    put(&mut problem.headers, "x-amzn-errortype", &header);
    problem
}

/// The frame by which a stream tells of an error, and ends.
pub(super) fn exception(problem: &Problem) -> Event {
    let name = match problem.status {
        429 => "throttlingException",
        503 => "serviceUnavailableException",
        408 | 424 => "modelStreamErrorException",
        500.. => "internalServerException",
        _ => "validationException",
    };
    let mut body: Value = serde_json::from_str(&problem.body).unwrap_or_default();
    if name == "modelStreamErrorException" {
        body["originalStatusCode"] = problem.status.into();
        body["originalMessage"] = body["message"].clone();
    }
    Event::of_frame(event_stream::Kind::Exception, name, body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_error_is_in_its_header_before_a_colon() {
        for (kind, status, name) in [
            (Kind::RateLimited, 429, "ThrottlingException"),
            (Kind::Quota, 400, "ServiceQuotaExceededException"),
            (Kind::Overloaded, 503, "ServiceUnavailableException"),
            (Kind::ContextTooLong, 400, "ValidationException"),
            (Kind::Status(424), 424, "ModelErrorException"),
            (Kind::Status(529), 529, "InternalServerException"),
        ] {
            let problem = problem(&kind, "");
            let header = problem.headers["x-amzn-errortype"].to_str().unwrap();
            assert_eq!(
                (problem.status, header.split(':').next()),
                (status, Some(name))
            );
        }
    }
}
