//! The five bytes before each message: whether it is compressed, and its length.

use bytes::{Buf, Bytes};
use http_body::Body;

use super::status::{Code, Status};
use crate::net::body::{Pieces, ReadError, next_frame};
use crate::net::compress::{self, Coding};

/// Bytes of a message's prefix.
pub(super) const PREFIX: usize = 5;

/// The prefix of a message of `len` bytes; `None` above 4 GiB.
pub(super) fn prefix(compressed: bool, len: usize) -> Option<Bytes> {
    let len = u32::try_from(len).ok()?;
    let mut prefix = [u8::from(compressed), 0, 0, 0, 0];
    prefix[1..].copy_from_slice(&len.to_be_bytes());
    Some(Bytes::copy_from_slice(&prefix))
}

/// A message as it came.
#[derive(Debug)]
pub(super) struct Framed {
    /// Whether its compression flag is set.
    pub(super) compressed: bool,
    /// Its bytes.
    pub(super) bytes: Bytes,
}

/// What is known of a message after its prefix.
fn parse_prefix(prefix: [u8; PREFIX], most: usize) -> Result<(bool, usize), Status> {
    let [flag, a, b, c, d] = prefix;
    let compressed = match flag {
        0 => false,
        1 => true,
        _ => return Err(Status::new(Code::Internal, format!("the message's compression flag is {flag}, not 0 or 1"))),
    };
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    if len > most {
        return Err(too_large(len, most));
    }
    Ok((compressed, len))
}

fn too_large(len: usize, most: usize) -> Status {
    Status::new(Code::ResourceExhausted, format!("the message has {len} bytes, the most is {most}"))
}

/// The one message of a whole body; `None` for an empty body.
///
/// # Errors
/// `INTERNAL` for a body that is not one message, `RESOURCE_EXHAUSTED` for one that is too large.
pub(super) fn split(mut body: Bytes, most: usize) -> Result<Option<Framed>, Status> {
    if body.is_empty() {
        return Ok(None);
    }
    let prefix = *body.first_chunk::<PREFIX>().ok_or_else(cut)?;
    let (compressed, len) = parse_prefix(prefix, most)?;
    body.advance(PREFIX);
    match body.len() {
        left if left < len => Err(cut()),
        left if left > len => Err(several()),
        _ => Ok(Some(Framed { compressed, bytes: body })),
    }
}

/// Reads the one message of a request's body, refusing it as soon as its length is known. `admit` is given that length
/// and may wait for room.
///
/// # Errors
/// As [`split`]; and `INVALID_ARGUMENT` for a body without a message, `CANCELLED` for one that broke off,
/// `DEADLINE_EXCEEDED` for one that stopped coming.
pub(super) async fn read<B, A>(
    body: &mut B,
    most: usize,
    patience: Option<std::time::Duration>,
    admit: impl FnOnce(usize) -> A,
) -> Result<Framed, Status>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
    A: Future<Output = Result<(), Status>>,
{
    let mut prefix = [0; PREFIX];
    let mut have = 0;
    let mut rest = Bytes::new();
    while have < PREFIX {
        let Some(frame) = next_frame(body, patience).await.map_err(|e| broken(&e))? else {
            return Err(if have == 0 { Status::new(Code::Internal, "the request has no message") } else { cut() });
        };
        let Ok(mut data) = frame.into_data() else { continue };
        let take = data.len().min(PREFIX - have);
        prefix[have..have + take].copy_from_slice(&data[..take]);
        have += take;
        data.advance(take);
        rest = data;
    }
    let (compressed, len) = parse_prefix(prefix, most)?;
    admit(len).await?;
    let mut pieces = Pieces::new(len);
    pieces.push(rest);
    while let Some(frame) = next_frame(body, patience).await.map_err(|e| broken(&e))? {
        let Ok(data) = frame.into_data() else { continue };
        pieces.push(data);
        if pieces.len() > len {
            return Err(several());
        }
    }
    match pieces.len() {
        have if have < len => Err(cut()),
        have if have > len => Err(several()),
        _ => Ok(Framed { compressed, bytes: pieces.into_bytes() }),
    }
}

/// The message without its compression.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` above `most` bytes, `INTERNAL` where it is not in its coding.
pub(super) fn decode(framed: Framed, coding: Option<Coding>, most: usize) -> Result<Bytes, Status> {
    if !framed.compressed {
        return Ok(framed.bytes);
    }
    let Some(coding) = coding else {
        return Err(Status::new(Code::Internal, "the message is compressed, but grpc-encoding does not say how"));
    };
    compress::decompress(coding, &framed.bytes, most).map(Bytes::from).map_err(|error| match error {
        compress::Error::TooLarge { .. } => Status::new(Code::ResourceExhausted, error.to_string()),
        compress::Error::Corrupt(_) | compress::Error::Unknown(_) => Status::new(Code::Internal, error.to_string()),
    })
}

fn cut() -> Status {
    Status::new(Code::Internal, "the body ends inside the message")
}

fn several() -> Status {
    Status::new(Code::Internal, "the body has bytes after its message, a unary call has one")
}

fn broken(error: &ReadError) -> Status {
    let code = match error {
        ReadError::TooLarge { .. } => Code::ResourceExhausted,
        ReadError::Stalled(_) => Code::DeadlineExceeded,
        ReadError::Broken(_) => Code::Cancelled,
    };
    Status::new(code, error.to_string())
}
