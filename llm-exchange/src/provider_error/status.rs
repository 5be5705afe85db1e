/// The status that goes with a name. Names in lower case, since the same name is written in several
/// ways (`INTERNAL`, `InternalServerException`).
pub(super) fn status_of(name: &str) -> Option<u16> {
    let name = name.to_ascii_lowercase();
    Some(match &*name {
        "invalid_request_error"
        | "invalid_argument"
        | "failed_precondition"
        | "out_of_range"
        | "validationexception"
        | "servicequotaexceededexception"
        | "badrequesterror"
        | "context_length_exceeded"
        | "content_filter"
        | "content_policy_violation"
        | "invalid_prompt"
        | "cyber_policy" => 400,
        "authentication_error" | "unauthenticated" => 401,
        "billing_error" => 402,
        "permission_error" | "permission_denied" => 403,
        "accessdeniedexception" => 403,
        "resourcenotfoundexception" => 404,
        "modeltimeoutexception" => 408,
        "modelerrorexception" | "modelstreamerrorexception" => 424,
        "modelnotreadyexception" => 429,
        "not_found_error" | "not_found" | "notfounderror" | "model_not_found" => 404,
        "conflict_error" | "aborted" | "already_exists" => 409,
        "request_too_large" => 413,
        "validation" => 422,
        "generation" => 424,
        "resource_exhausted"
        | "throttlingexception"
        | "slow_down"
        | "ramp_limit_exceeded"
        | "insufficient_quota" => 429,
        name if name.starts_with("rate_limit") => 429,
        "capacity_exceeded" => 498,
        "api_error"
        | "server_error"
        | "internalservererror"
        | "internalserverexception"
        | "internal"
        | "incomplete_generation" => 500,
        "unimplemented" => 501,
        "server_is_overloaded"
        | "service_unavailable_error"
        | "serviceunavailableexception"
        | "unavailable" => 503,
        "timeout_error" | "deadline_exceeded" | "stream_timeout" => 504,
        "overloaded_error" | "overloaded" | "provider_overloaded" => 529,
        _ => return None,
    })
}
