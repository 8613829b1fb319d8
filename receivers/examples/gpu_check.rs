//! Prints each reading of the machine's GPUs beside `nvidia-smi`'s and fails where they disagree. It needs nothing but
//! the driver, so it can be copied to any machine: `gpu_check [LIBRARY [NVIDIA_SMI]]`.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &str| arguments.get(at).cloned().unwrap_or_else(|| default.to_owned());
    let (library, nvidia_smi) = (argument(0, "libnvidia-ml.so.1"), argument(1, "nvidia-smi"));
    match receivers::nvml::check::run(&library, &nvidia_smi) {
        Ok(checked) => {
            print!("{}", checked.text);
            println!("{} readings disagree", checked.disagreements);
            if checked.disagreements == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("gpu_check: {error}");
            ExitCode::FAILURE
        }
    }
}
