//! Whole-buffer compression in and out. Everything that is decompressed has a cap, so that a few bytes from outside can
//! never become many gigabytes. (De)compressors are kept for each thread.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

mod gzip;
pub mod snappy;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 1952, any number of members.
    Gzip,
    /// `deflate` of HTTP: zlib (RFC 1950); bare deflate (RFC 1951) is understood too.
    Deflate,
    /// The same under the collector's name.
    Zlib,
    /// RFC 8878.
    Zstd,
    /// Snappy's block format; its framing format is understood too.
    Snappy,
    /// Snappy's framing format.
    SnappyFramed,
}

impl Coding {
    /// Its name in `Content-Encoding` and `grpc-encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Zlib => "zlib",
            Coding::Zstd => "zstd",
            Coding::Snappy => "snappy",
            Coding::SnappyFramed => "x-snappy-framed",
        }
    }

    /// The coding of that name; `None` for `identity` and the empty name.
    ///
    /// # Errors
    /// `Unknown`.
    pub fn from_name(name: &str) -> Result<Option<Coding>, Error> {
        let name = name.trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        Ok(Some(if name.is_empty() || is("identity") || is("none") {
            return Ok(None);
        } else if is("gzip") || is("x-gzip") {
            Coding::Gzip
        } else if is("zstd") {
            Coding::Zstd
        } else if is("deflate") {
            Coding::Deflate
        } else if is("zlib") {
            Coding::Zlib
        } else if is("snappy") {
            Coding::Snappy
        } else if is("x-snappy-framed") {
            Coding::SnappyFramed
        } else {
            return Err(Error::Unknown(name.chars().take(40).collect()));
        }))
    }
}

/// Why a body cannot be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It would be larger than it may be.
    #[error("the body is larger than {most} bytes after decompression")]
    TooLarge {
        /// The most that was allowed.
        most: usize,
    },
    /// It is not what its encoding says.
    #[error("the body is not valid {0}")]
    Corrupt(&'static str),
    /// We do not have that encoding.
    #[error("the encoding {0:?} is not supported, use gzip, zstd, deflate, snappy or none")]
    Unknown(String),
}

/// A compression level that its coding has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level(i32);

impl Level {
    /// The level for a coding; 0 is ours: 1, the fastest, which compresses telemetry nearly as well as the codec's own.
    ///
    /// # Errors
    /// Levels the coding does not have.
    pub fn of(coding: Coding, level: i32) -> Result<Level, String> {
        let most = match coding {
            Coding::Gzip | Coding::Deflate | Coding::Zlib => 12,
            Coding::Zstd => 19,
            Coding::Snappy | Coding::SnappyFramed => 0,
        };
        match level {
            0 | -1 => Ok(Level(0)),
            1.. if level <= most => Ok(Level(level)),
            _ if most == 0 => Err(format!("{} has no levels, remove it", coding.name())),
            _ => Err(format!("{} has the levels 1 to {most}, not {level}", coding.name())),
        }
    }

    fn or_default(self) -> i32 {
        self.0.max(1)
    }
}

struct Tools {
    inflate: Decompressor,
    deflate: Option<(i32, Compressor)>,
    zstd_in: Option<zstd::bulk::Decompressor<'static>>,
    zstd_out: Option<(i32, zstd::bulk::Compressor<'static>)>,
    snappy: snap::raw::Encoder,
    /// Where snappy writes a block.
    scratch: Vec<u8>,
    places: Option<Box<snappy::Places>>,
}

thread_local! {
    static TOOLS: RefCell<Tools> =
        RefCell::new(Tools {
            inflate: Decompressor::new(),
            deflate: None,
            zstd_in: None,
            zstd_out: None,
            snappy: snap::raw::Encoder::new(),
            scratch: Vec::new(),
            places: None,
        });
}

/// The bytes as they are, if they are not too many.
///
/// # Errors
/// `TooLarge`.
pub fn within(bytes: Bytes, most: usize) -> Result<Bytes, Error> {
    if bytes.len() > most { Err(Error::TooLarge { most }) } else { Ok(bytes) }
}

/// Decompresses a whole body to at most `most` bytes.
///
/// # Errors
/// `TooLarge`, `Corrupt`.
pub fn decompress(coding: Coding, body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    TOOLS.with_borrow_mut(|tools| match coding {
        Coding::Gzip => gzip::decompress(&mut tools.inflate, body, most),
        Coding::Deflate | Coding::Zlib => inflate(&mut tools.inflate, body, most),
        Coding::Zstd => unzstd(tools, body, most),
        Coding::Snappy | Coding::SnappyFramed => unsnappy(body, most),
    })
}

/// Compresses a whole body.
///
/// # Errors
/// Those of the codec, which happen only for lack of memory.
pub fn compress(coding: Coding, level: Level, body: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Gzip => TOOLS.with_borrow_mut(|tools| {
            tools.deflate(level, |c| {
                let mut out = vec![0; c.gzip_compress_bound(body.len())];
                let len = c.gzip_compress(body, &mut out);
                (out, len)
            })
        }),
        Coding::Deflate | Coding::Zlib => TOOLS.with_borrow_mut(|tools| {
            tools.deflate(level, |c| {
                let mut out = vec![0; c.zlib_compress_bound(body.len())];
                let len = c.zlib_compress(body, &mut out);
                (out, len)
            })
        }),
        Coding::Zstd => TOOLS.with_borrow_mut(|tools| {
            let level = level.or_default();
            if tools.zstd_out.as_ref().is_none_or(|(l, _)| *l != level) {
                tools.zstd_out = Some((level, zstd::bulk::Compressor::new(level)?));
            }
            match &mut tools.zstd_out {
                Some((_, compressor)) => compressor.compress(body),
                None => Err(io::ErrorKind::OutOfMemory.into()),
            }
        }),
        Coding::Snappy => snappy::compress(body),
        Coding::SnappyFramed => {
            let mut writer = snap::write::FrameEncoder::new(Vec::new());
            writer.write_all(body)?;
            writer.into_inner().map_err(|e| io::Error::other(e.to_string()))
        }
    }
}

impl Tools {
    fn deflate<E: std::error::Error + Send + Sync + 'static>(
        &mut self,
        level: Level,
        run: impl FnOnce(&mut Compressor) -> (Vec<u8>, Result<usize, E>),
    ) -> io::Result<Vec<u8>> {
        let level = level.or_default();
        if self.deflate.as_ref().is_none_or(|(l, _)| *l != level) {
            let libdeflate_level = CompressionLvl::new(level).map_err(|_| io::ErrorKind::InvalidInput)?;
            self.deflate = Some((level, Compressor::new(libdeflate_level)));
        }
        let Some((_, compressor)) = &mut self.deflate else { return Err(io::ErrorKind::OutOfMemory.into()) };
        let (mut out, len) = run(compressor);
        out.truncate(len.map_err(io::Error::other)?);
        Ok(out)
    }
}

/// Runs `attempt` on an output buffer that doubles from `guess` up to `most` bytes until the result has room.
fn growing(
    guess: usize,
    most: usize,
    name: &'static str,
    mut attempt: impl FnMut(&mut [u8]) -> Result<usize, DecompressionError>,
) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; guess.clamp(1, most.max(1))];
    loop {
        match attempt(&mut out) {
            Ok(len) if len > most => return Err(Error::TooLarge { most }),
            Ok(len) => {
                out.truncate(len);
                return Ok(out);
            }
            Err(DecompressionError::BadData) => return Err(Error::Corrupt(name)),
            Err(DecompressionError::InsufficientSpace) if out.len() >= most => return Err(Error::TooLarge { most }),
            Err(DecompressionError::InsufficientSpace) => out = vec![0; (out.len() * 2).min(most)],
        }
    }
}

fn inflate(tool: &mut Decompressor, body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    // RFC 1950: method 8 in the low bits, and the two header bytes are a multiple of 31.
    let zlib = matches!(body, [a, b, ..] if a & 0x0f == 8 && u16::from_be_bytes([*a, *b]) % 31 == 0);
    growing(body.len().saturating_mul(6), most, "deflate", |out| {
        if zlib { tool.zlib_decompress(body, out) } else { tool.deflate_decompress(body, out) }
    })
}

fn unzstd(tools: &mut Tools, body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    if tools.zstd_in.is_none() {
        tools.zstd_in = zstd::bulk::Decompressor::new().ok();
    }
    let Some(tool) = &mut tools.zstd_in else { return Err(Error::Corrupt("zstd")) };
    let told = zstd::zstd_safe::get_frame_content_size(body).map_err(|_| Error::Corrupt("zstd"))?;
    let told = told.map_or(body.len().saturating_mul(6), |n| usize::try_from(n).unwrap_or(usize::MAX));
    // The announced size is trusted only as far as zstd's best ratio could go for a small body.
    let mut room = told.min(body.len().saturating_mul(64)).clamp(1024, most.max(1024));
    loop {
        let mut out = Vec::with_capacity(room);
        match tool.decompress_to_buffer(body, &mut out) {
            Ok(_) if out.len() > most => return Err(Error::TooLarge { most }),
            Ok(_) => return Ok(out),
            Err(error) if !is_too_small(&error) => return Err(Error::Corrupt("zstd")),
            Err(_) if room >= most => return Err(Error::TooLarge { most }),
            Err(_) => room = (room * 2).min(most.max(1024)),
        }
    }
}

/// zstd's `dstSize_tooSmall` (error 70), which reaches us only as its text.
fn is_too_small(error: &io::Error) -> bool {
    error.to_string().contains("Destination buffer is too small")
}

/// The stream identifier that opens Snappy's framing format.
const SNAPPY_FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";

fn unsnappy(body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    if body.starts_with(SNAPPY_FRAMES) {
        let mut out = Vec::new();
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let read = snap::read::FrameDecoder::new(body).take(limit).read_to_end(&mut out);
        return match read {
            Err(_) => Err(Error::Corrupt("snappy")),
            Ok(len) if len > most => Err(Error::TooLarge { most }),
            Ok(_) => Ok(out),
        };
    }
    let len = snap::raw::decompress_len(body).map_err(|_| Error::Corrupt("snappy"))?;
    if len > most {
        return Err(Error::TooLarge { most });
    }
    // Snappy's best ratio is below 24 (64 bytes from a 3-byte copy): a longer promise is a lie that would cost memory.
    if len > body.len().saturating_mul(24) {
        return Err(Error::Corrupt("snappy"));
    }
    let mut out = vec![0; len];
    let written = snap::raw::Decoder::new().decompress(body, &mut out).map_err(|_| Error::Corrupt("snappy"))?;
    out.truncate(written);
    Ok(out)
}

#[cfg(test)]
mod tests;
