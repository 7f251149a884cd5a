//! Mozilla's roots inside the library, as `build.rs` packed them.
//!
//! A fifth of their bytes occurs twice: names of authorities, and what stands before every key. The packed form is a list of
//! commands. A byte below 128 is followed by one more bytes than it says, which are to be taken as they are. Any other byte says
//! how many bytes to copy of what was unpacked already, 124 more than it says, and the two bytes after it how far back they
//! begin, high byte first.

use rustls_pki_types::{Der, TrustAnchor};

/// All of them, each with memory of its own.
pub(super) fn built_in() -> Vec<TrustAnchor<'static>> {
    let all = unpack(include_bytes!(concat!(env!("OUT_DIR"), "/roots")));
    let mut rest = all.as_slice();
    let mut part = || {
        let (len, tail) = rest.split_first_chunk()?;
        let (part, tail) = tail.split_at_checked(u16::from_be_bytes(*len).into())?;
        rest = tail;
        Some(part)
    };
    let owned = |part: &[u8]| Der::from(part.to_vec());
    std::iter::from_fn(|| {
        Some(TrustAnchor {
            subject: owned(part()?),
            subject_public_key_info: owned(part()?),
            name_constraints: Some(part()?).filter(|constraints| !constraints.is_empty()).map(owned),
        })
    })
    .collect()
}

fn unpack(mut packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * 1024);
    while let Some((&command, rest)) = packed.split_first() {
        let command = usize::from(command);
        packed = if command < 128 {
            let Some((taken, tail)) = rest.split_at_checked(command + 1) else { break };
            out.extend_from_slice(taken);
            tail
        } else {
            let Some((back, tail)) = rest.split_first_chunk() else { break };
            let Some(from) = out.len().checked_sub(u16::from_be_bytes(*back).into()) else { break };
            out.extend_from_within(from..out.len().min(from + command - 124));
            tail
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{built_in, unpack};

    #[test]
    fn the_packed_roots_are_those_of_webpki_roots() {
        assert_eq!(built_in(), webpki_roots::TLS_SERVER_ROOTS);
    }

    #[test]
    fn unpacks_what_is_taken_and_what_is_copied() {
        assert_eq!(unpack(&[3, b'a', b'b', b'c', b'd', 128, 0, 4, 0, b'!', 128, 0, 6]), b"abcdabcd!dabc");
        // Cut off, and further back than there is: the rest is left out.
        for odd in [&[3, b'a'][..], &[0, b'a', 128], &[0, b'a', 128, 0, 2]] {
            assert!(unpack(odd).len() <= 1);
        }
    }
}
