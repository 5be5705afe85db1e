//! What an exporter has to know of the metrics. Feature `metrics`.

/// The histogram of prompts' tokens by the provider's count, for each token that was estimated.
pub const INPUT_RATIO: &str = "llm_budget_input_ratio";

/// Boundaries for it: close to 1, where estimates mostly are.
pub const RATIO_BUCKETS: [f64; 12] = [
    0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0,
];
