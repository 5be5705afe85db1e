//! Prints what criterion has measured as one plain table.
//!
//! `cargo run -p testkit --bin bench-table [DIRECTORY]`. The directory is criterion's; the default is
//! `criterion` in `$CARGO_TARGET_DIR`, else in `target`. Everything that lies there is printed, also
//! the results of benches that exist no more: remove the directory to forget them.

mod read;
mod table;

use std::{env, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let directory = env::args_os().nth(1).map_or_else(
        || {
            let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            PathBuf::from(target).join("criterion")
        },
        PathBuf::from,
    );
    match read::measurements(&directory) {
        Ok(found) if found.is_empty() => {
            eprintln!(
                "no results of criterion in {}: run `cargo bench` first",
                directory.display()
            );
            ExitCode::FAILURE
        }
        Ok(found) => {
            print!("{}", table::table(found));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
