//! KServe's open inference protocol, as Triton speaks it: tensors, of which nobody knows the tokens.

use super::{
    google_grpc,
    wire::{Place, Seen, Wire},
};
use crate::{
    ProviderError,
    call::{Facts, Unreadable},
    grpc::{Malformed, fields},
    meter::{Reading, StreamEvent},
    route::Asked,
};

pub(super) const WIRE: Wire = Wire {
    name: "kserve_grpc",
    route: |path| path.grpc(SERVICE, "ModelInfer", None),
    facts: |message| facts(message).map_err(|Malformed| Unreadable::Syntax),
    model: Place::Field(&[MODEL_NAME]),
    output_cap: &[],
    read_event,
    // tensors are no text
    deltas: |_, _| {},
    ended_by_limit: |_, _, _| Vec::new(),
    ..google_grpc::VERTEX
};

/// Triton's stream of answers.
pub(super) const STREAM: Wire = Wire {
    name: "kserve_stream_grpc",
    route: |path| {
        let asked = path.grpc(SERVICE, "ModelStreamInfer", None);
        asked.map(|_| Asked::default())
    },
    goes_both_ways: true,
    reads_comments: true,
    // the requests are not read
    facts: |_| Ok(Facts::default()),
    model: Place::Nowhere,
    read_event: read_streamed,
    ..WIRE
};

const SERVICE: &str = "inference.GRPCInferenceService";
const MODEL_NAME: u32 = 1;
/// Of the request `inputs`, of the response `outputs`.
const TENSORS: u32 = 5;
/// The same as plain bytes.
const RAW_INPUTS: u32 = 7;
const RAW_OUTPUTS: u32 = 6;

fn facts(message: &[u8]) -> Result<Facts, Malformed> {
    let mut facts = Facts {
        choices: 1,
        ..Facts::default()
    };
    for field in fields(message) {
        let (number, value) = field?.into_parts();
        match number {
            MODEL_NAME => facts.model = Some(value.text().ok_or(Malformed)?.into()),
            TENSORS | RAW_INPUTS => facts.prompt_bytes += value.bytes().len(),
            _ => {}
        }
    }
    Ok(facts)
}

fn read_event(message: &[u8], reading: &mut Reading) -> Seen {
    let mut content = false;
    for field in fields(message).map_while(Result::ok) {
        match field.number {
            MODEL_NAME => {
                if let Some(model) = field.value.text() {
                    reading.set_model(model);
                }
            }
            3 => {
                if let Some(id) = field.value.text() {
                    reading.set_id(id);
                }
            }
            TENSORS | RAW_OUTPUTS => content = true,
            _ => {}
        }
    }
    if content {
        StreamEvent::Content.into()
    } else {
        StreamEvent::Nothing.into()
    }
}

/// `ModelStreamInferResponse`: an error's text, or an answer. The call itself stays OK.
fn read_streamed(message: &[u8], reading: &mut Reading) -> Seen {
    const ERROR_MESSAGE: u32 = 1;
    const INFER_RESPONSE: u32 = 2;

    let mut seen = Seen::default();
    for field in fields(message).map_while(Result::ok) {
        match field.number {
            ERROR_MESSAGE if !field.value.bytes().is_empty() => {
                let text = String::from_utf8_lossy(field.value.bytes());
                reading.fail(ProviderError::from_text(&text));
                return StreamEvent::Error.into();
            }
            INFER_RESPONSE => seen = read_event(field.value.bytes(), reading),
            _ => {}
        }
    }
    seen
}
