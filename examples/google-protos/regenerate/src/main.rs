//! Writes `../src/generated` anew: `cargo run` in this folder.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = [
        "google/ai/generativelanguage/v1beta/generative_service.proto",
        "google/cloud/aiplatform/v1/prediction_service.proto",
        "inference/grpc_service.proto",
    ];
    // protox compiles in Rust, so no `protoc` has to be installed
    let files = protox::compile(protos, ["../proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir("../src/generated")
        .compile_fds(files)?;
    Ok(())
}
