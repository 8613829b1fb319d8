//! Round trips, several members, bombs and garbage.

use super::*;

const ALL: [Coding; 6] =
    [Coding::Gzip, Coding::Deflate, Coding::Zlib, Coding::Zstd, Coding::Snappy, Coding::SnappyFramed];

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| b"spans and points and records "[(i * 7 + i / 31) % 29]).collect()
}

fn packed(coding: Coding, body: &[u8]) -> Vec<u8> {
    compress(coding, Level::default(), body).unwrap()
}

#[test]
fn what_was_compressed_comes_back() {
    for coding in ALL {
        for len in [0, 1, 100, 70_000, 1_000_000] {
            let body = text(len);
            assert_eq!(decompress(coding, &packed(coding, &body), 1_000_000), Ok(body), "{coding:?} {len}");
        }
    }
}

#[test]
fn one_byte_above_the_cap_is_too_large() {
    for coding in ALL {
        let body = text(100_000);
        assert_eq!(
            decompress(coding, &packed(coding, &body), 99_999),
            Err(Error::TooLarge { most: 99_999 }),
            "{coding:?}"
        );
    }
}

#[test]
fn a_bomb_costs_no_more_than_the_cap() {
    for coding in ALL {
        let bomb = packed(coding, &vec![0; 50_000_000]);
        assert_eq!(decompress(coding, &bomb, 1 << 20), Err(Error::TooLarge { most: 1 << 20 }), "{coding:?}");
    }
}

#[test]
fn garbage_and_cut_bodies_are_corrupt() {
    for coding in ALL {
        let name = decompress(coding, b"not compressed at all, just text", 1000);
        assert!(matches!(name, Err(Error::Corrupt(_) | Error::TooLarge { .. })), "{coding:?} {name:?}");
        let whole = packed(coding, &text(100_000));
        for len in [1, 5, whole.len() / 2, whole.len() - 1] {
            let cut = decompress(coding, &whole[..len], 1_000_000);
            assert!(matches!(cut, Err(Error::Corrupt(_))), "{coding:?} cut at {len}: {:?}", cut.map(|c| c.len()));
        }
    }
}

#[test]
fn gzip_members_are_joined_even_when_they_are_equal_or_empty() {
    let (a, b) = (text(5000), text(300));
    for members in [vec![&a, &b], vec![&a, &a, &a], vec![&b, &Vec::new(), &a], vec![&Vec::new(), &Vec::new()]] {
        let body: Vec<u8> = members.iter().flat_map(|m| packed(Coding::Gzip, m)).collect();
        let joined: Vec<u8> = members.iter().flat_map(|m| m.iter().copied()).collect();
        assert_eq!(decompress(Coding::Gzip, &body, 1_000_000), Ok(joined));
    }
}

#[test]
fn a_gzip_member_inside_stored_data_is_data() {
    // Level 0 stores the inner member as it is, magic number and all.
    let inner = packed(Coding::Gzip, &text(100));
    let mut outer = vec![0; 1000];
    let len = Compressor::new(CompressionLvl::new(0).unwrap()).gzip_compress(&inner.repeat(3), &mut outer).unwrap();
    assert_eq!(decompress(Coding::Gzip, &outer[..len], 10_000), Ok(inner.repeat(3)));
}

#[test]
fn a_gzip_length_that_lies_makes_no_difference() {
    let body = text(100_000);
    let mut packed = packed(Coding::Gzip, &body);
    let member = packed.clone();
    let end = packed.len();
    for lie in [0, 1, u32::MAX, 99_999] {
        packed[end - 4..].copy_from_slice(&u32::to_le_bytes(lie));
        assert_eq!(decompress(Coding::Gzip, &packed, 1_000_000), Err(Error::Corrupt("gzip")), "{lie}");
        // As a last member's length it says nothing about the first.
        let two: Vec<u8> = [member.as_slice(), &self::packed(Coding::Gzip, b"x")].concat();
        assert_eq!(decompress(Coding::Gzip, &two, 1_000_000).unwrap().len(), 100_001);
    }
}

#[test]
fn zstd_without_a_content_size_and_in_several_frames_is_read() {
    let body = text(200_000);
    let mut stream = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    stream.write_all(&body).unwrap();
    let unsized_frame = stream.finish().unwrap();
    assert_eq!(decompress(Coding::Zstd, &unsized_frame, 200_000), Ok(body.clone()));
    let two = [unsized_frame.as_slice(), &packed(Coding::Zstd, &body)].concat();
    assert_eq!(decompress(Coding::Zstd, &two, 400_000), Ok(body.repeat(2)));
    assert_eq!(decompress(Coding::Zstd, &two, 399_999), Err(Error::TooLarge { most: 399_999 }));
}

#[test]
fn bare_deflate_is_understood() {
    let body = text(5000);
    let mut out = vec![0; 6000];
    let len = Compressor::new(CompressionLvl::new(6).unwrap()).deflate_compress(&body, &mut out).unwrap();
    assert_eq!(decompress(Coding::Deflate, &out[..len], 5000), Ok(body));
}

#[test]
fn encodings_are_known_by_name_and_others_named() {
    assert_eq!(Coding::from_name("identity"), Ok(None));
    assert_eq!(Coding::from_name(" GZIP "), Ok(Some(Coding::Gzip)));
    let unknown = Coding::from_name("br").unwrap_err();
    assert_eq!(unknown.to_string(), "the encoding \"br\" is not supported, use gzip, zstd, deflate, snappy or none");
}

#[test]
fn levels_are_checked() {
    assert!(Level::of(Coding::Gzip, 9).is_ok());
    assert_eq!(Level::of(Coding::Zstd, 23).unwrap_err(), "zstd has the levels 1 to 19, not 23");
    assert_eq!(Level::of(Coding::Snappy, 3).unwrap_err(), "snappy has no levels, remove it");
}
