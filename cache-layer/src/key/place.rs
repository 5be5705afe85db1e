//! Which members of a request change the answer, and which place them where they mean what they say.

use llm_exchange::Dialect;

/// Where in a request's JSON an object or a list stands, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The outermost object.
    Top,
    /// The object that holds the sampling parameters, where that is not the outermost one.
    Settings,
    /// Lists of tools, and a tool.
    Tools,
    /// Lists of messages or blocks, messages, and blocks: where Anthropic's `cache_control` stands.
    Blocks,
    /// The input of OpenAI's Responses, and an item of it.
    Input,
    /// Wherever a member means what the caller's own data means by it.
    Other,
}

/// Members of the outermost object that do not change what the answer says, in any dialect.
const NO_MATTER: [&[u8]; 15] = [
    b"cache_control",
    b"diagnostics",
    b"end_user",
    b"labels",
    b"metadata",
    b"prompt_cache_breakpoint",
    b"prompt_cache_key",
    b"prompt_cache_options",
    b"prompt_cache_retention",
    b"requestMetadata",
    b"safety_identifier",
    b"service_tier",
    b"store",
    b"stream",
    b"stream_options",
];

/// What a call goes on from is kept by the provider: its answer is not known by the body alone.
const STATEFUL: [&[u8]; 8] = [
    b"background",
    b"cachedContent",
    b"cached_content",
    b"container",
    b"conversation",
    b"previous_interaction_id",
    b"previous_response_id",
    b"thread",
];

impl Place {
    /// Whether a member may be left out of the key.
    pub(crate) fn ignores(self, dialect: Dialect, name: &[u8]) -> bool {
        match self {
            // who the end user is, by the names of OpenAI and DeepSeek
            Self::Top if matches!(name, b"user" | b"user_id") => true,
            Self::Top => NO_MATTER.contains(&name),
            Self::Tools | Self::Blocks => {
                dialect == Dialect::AnthropicMessages && name == b"cache_control"
            }
            Self::Settings | Self::Input | Self::Other => false,
        }
    }

    /// Where the value of a member stands.
    pub(crate) fn member(self, dialect: Dialect, name: &[u8]) -> Self {
        match (self, name) {
            (Self::Top, b"tools") => Self::Tools,
            (Self::Top, name) if settings(dialect).contains(&name) => Self::Settings,
            (Self::Top, b"input") => Self::Input,
            (Self::Top, b"messages" | b"system") | (Self::Blocks, b"content") => Self::Blocks,
            _ => Self::Other,
        }
    }

    /// Whether the sampling parameters stand here. Elsewhere a provider does not look at them.
    pub(crate) fn has_settings(self, dialect: Dialect) -> bool {
        match self {
            Self::Top => settings(dialect).is_empty(),
            Self::Settings => true,
            Self::Tools | Self::Blocks | Self::Input | Self::Other => false,
        }
    }

    /// Where the items of a list stand.
    pub(crate) const fn item(self) -> Self {
        self
    }
}

/// The members that hold the sampling parameters. None: they stand in the outermost object.
const fn settings(dialect: Dialect) -> &'static [&'static [u8]] {
    match dialect {
        Dialect::Gemini => &[b"generationConfig", b"generation_config"],
        Dialect::BedrockConverse => &[b"inferenceConfig"],
        Dialect::Ollama => &[b"options"],
        _ => &[],
    }
}

/// Whether the member says that the answer depends on what the provider keeps.
pub(crate) fn is_stateful(name: &[u8], value: &[u8]) -> bool {
    // Responses: a prompt that the provider keeps by its id
    (name == b"prompt" && value.starts_with(b"{"))
        || (STATEFUL.contains(&name) && !matches!(value, b"null" | b"false" | b"\"\"" | b"[]"))
}

/// Whether the member of an item of the input says that the item is kept by the provider.
pub(crate) fn is_reference(name: &[u8], value: &[u8]) -> bool {
    name == b"type" && value == b"\"item_reference\""
}

/// Whether the member, which is no tool, has the provider look something up while it answers.
pub(crate) fn is_look_up(name: &[u8], value: &[u8]) -> bool {
    let named = matches!(
        name,
        b"mcp_servers" | b"plugins" | b"search_parameters" | b"web_search_options"
    );
    named && !matches!(value, b"null" | b"[]")
}

/// Whether this member of a tool says that the provider carries it out, so that the answer is of its
/// moment: a search, a file, code that runs. Tools without a type, `function` and `custom` are the
/// caller's.
pub(crate) fn is_providers_tool(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"type" => !matches!(value, b"\"function\"" | b"\"custom\"" | b"null"),
        // Gemini names them
        b"codeExecution"
        | b"code_execution"
        | b"fileSearch"
        | b"file_search"
        | b"googleMaps"
        | b"google_maps"
        | b"googleSearch"
        | b"google_search"
        | b"googleSearchRetrieval"
        | b"google_search_retrieval"
        | b"retrieval"
        | b"urlContext"
        | b"url_context" => true,
        _ => false,
    }
}
