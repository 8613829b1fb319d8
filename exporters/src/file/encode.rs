//! How a request stands in the file.

use bytes::Bytes;
use pipeline::net::compress::{Coding, compress};
use pipeline::otlp::json;
use pipeline::{Refused, Signal};

use super::config::{Compression, Config, Format};

/// Appends one export request in the config's format.
///
/// # Errors
/// `Reject` when the request is malformed.
pub fn write(out: &mut Vec<u8>, config: &Config, signal: Signal, request: &Bytes) -> Result<(), Refused> {
    let text;
    let message: &[u8] = match config.format {
        Format::Proto => request,
        Format::Json => {
            text = json::from_proto(signal, request)?;
            &text
        }
    };
    match config.compression {
        Compression::Zstd => {
            let level = config.level().unwrap_or_default();
            let compressed = compress(Coding::Zstd, level, message)
                .map_err(|error| Refused::reject("zstd", format!("cannot compress: {error}")))?;
            write_behind_length(out, &compressed)
        }
        Compression::None if config.format == Format::Proto => write_behind_length(out, message),
        Compression::None => {
            out.extend_from_slice(message);
            out.push(b'\n');
            Ok(())
        }
    }
}

fn write_behind_length(out: &mut Vec<u8>, message: &[u8]) -> Result<(), Refused> {
    let length = u32::try_from(message.len())
        .map_err(|_| Refused::reject("too_large", "a request above 4 GiB cannot stand behind its length"))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    Ok(())
}
