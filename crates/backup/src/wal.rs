//! The archive's WAL segments, and which of them a complete replay must have reached.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// The size of a WAL page. The first page of a segment has a long header, the others a short one.
const PAGE: u64 = 8_192;
const LONG_HEADER: u64 = 40;
const SHORT_HEADER: u64 = 24;
/// Flag: the page begins with the rest of a record, whose length is in the header.
const CONTINUES: u16 = 1;

/// The name of a closed WAL segment; on one timeline, names sort in order of time.
pub fn is_segment(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a replay that ended in the segment `reached`, on any timeline, has replayed the whole archive.
pub fn is_whole(reached: &str, newest: &str) -> bool {
    reached.get(8..) >= newest.get(8..)
}

/// The newest segment in which a record ends. The open segment may contain none yet, or only a part of one, which can't
/// be replayed.
pub fn newest(wal: &Path) -> Result<Option<String>> {
    let mut newest = None;
    for entry in fs::read_dir(wal)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let segment = name.trim_end_matches(".partial");
        if !is_segment(segment) || newest.as_deref().is_some_and(|newest| segment <= newest) {
            continue;
        }
        if is_segment(&name) || ends_a_record(&entry.path())? {
            newest = Some(segment.to_owned());
        }
    }
    Ok(newest)
}

/// Whether the first record of an open segment is complete; the rest of the segment is filled with zeros.
fn ends_a_record(segment: &Path) -> Result<bool> {
    let bytes = fs::read(segment).with_context(|| format!("can't read {}", segment.display()))?;
    let Some(header) = bytes.first_chunk::<40>() else { return Ok(false) };
    // In the byte order of the machine that wrote it; only such a machine can restore it.
    let info = u16::from_ne_bytes([header[2], header[3]]);
    let rest = u32::from_ne_bytes([header[16], header[17], header[18], header[19]]);
    let rest = if info & CONTINUES == 0 { 0 } else { u64::from(rest) };
    let further_pages = rest.saturating_sub(PAGE - LONG_HEADER).div_ceil(PAGE - SHORT_HEADER);
    let arrived = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    Ok(arrived > LONG_HEADER + rest + further_pages * SHORT_HEADER)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    /// An open segment whose first page begins with `rest` bytes of an older record, with this much received.
    fn open_segment(rest: u32, arrived: usize) -> Vec<u8> {
        let mut bytes = vec![7; arrived];
        bytes[2..4].copy_from_slice(&u16::from(rest > 0).to_ne_bytes());
        bytes[16..20].copy_from_slice(&rest.to_ne_bytes());
        bytes.resize(65_536, 0);
        bytes
    }

    #[test]
    fn an_open_segment_counts_once_a_record_ends_in_it() {
        let room = tempfile::tempdir().unwrap();
        let name = |number: u32| format!("0000000100000000{number:08X}");
        assert_eq!(newest(room.path()).unwrap(), None);
        fs::write(room.path().join(name(0xfe)), b"").unwrap();
        fs::write(room.path().join("00000002.history"), b"").unwrap();
        let with = |open: Vec<u8>| {
            fs::write(room.path().join(name(0xff) + ".partial"), open).unwrap();
            newest(room.path()).unwrap().unwrap()
        };
        assert_eq!(with(vec![0; 65_536]), name(0xfe), "nothing has arrived");
        assert_eq!(with(open_segment(100, 90)), name(0xfe), "a part of a record");
        assert_eq!(with(open_segment(10_000, 10_060)), name(0xfe), "the header of the second page counts as well");
        assert_eq!(with(open_segment(10_000, 10_080)), name(0xff));
        assert_eq!(with(open_segment(100, 200)), name(0xff));
        assert_eq!(with(open_segment(0, 200)), name(0xff));
    }

    #[test]
    fn a_replay_that_stopped_before_the_newest_segment_is_incomplete() {
        let newest = "000000010000000000000007";
        assert!(!is_whole("000000020000000000000006", newest));
        assert!(is_whole("000000020000000000000007", newest));
        assert!(is_whole("000000020000000100000000", newest));
    }
}
