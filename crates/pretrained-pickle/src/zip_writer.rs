use std::io::{self, Write};

use crate::{
    checksum::checksum,
    zip::{CENTRAL, END, LOCAL, LOCAL_LEN, LOCATOR, UTF8, WIDE_END, WIDE_END_LEN},
};

/// Writes an archive as PyTorch does: members stored, their data aligned.
pub(crate) struct ZipWriter<W> {
    out: W,
    at: u64,
    directory: Vec<u8>,
    count: u64,
}

impl<W: Write> ZipWriter<W> {
    pub(crate) fn new(out: W) -> ZipWriter<W> {
        ZipWriter { out, at: 0, directory: Vec::new(), count: 0 }
    }

    pub(crate) fn member(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        let name_len = u16::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let (crc, len, start) = (checksum(data), data.len() as u64, self.at);
        let mut local_extra = Vec::new();
        if narrow(len) == u32::MAX {
            local_extra.extend(wide_extra(&[len, len]));
        }
        let unpadded = start + LOCAL_LEN + name.len() as u64 + local_extra.len() as u64 + 4;
        let padding = (unpadded.next_multiple_of(ALIGNMENT) - unpadded) as u16;
        local_extra.extend(*b"FB");
        local_extra.extend(padding.to_le_bytes());
        local_extra.resize(local_extra.len() + usize::from(padding), b'Z');

        let mut header = LOCAL.to_le_bytes().to_vec();
        header.extend(common_fields(crc, len, name_len, local_extra.len() as u16));
        header.extend(name.as_bytes());
        header.extend(&local_extra);
        self.out.write_all(&header)?;
        self.out.write_all(data)?;
        self.at += header.len() as u64 + len;

        let mut wide = Vec::new();
        if narrow(len) == u32::MAX {
            wide.extend([len, len]);
        }
        if narrow(start) == u32::MAX {
            wide.push(start);
        }
        let extra = if wide.is_empty() { Vec::new() } else { wide_extra(&wide) };
        self.directory.extend(CENTRAL.to_le_bytes());
        self.directory.extend(0u16.to_le_bytes());
        self.directory.extend(common_fields(crc, len, name_len, extra.len() as u16));
        // Comment, disk, attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(narrow(start).to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.directory.extend(extra);
        self.count += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        let (start, len, count) = (self.at, self.directory.len() as u64, self.count);
        let mut end = std::mem::take(&mut self.directory);
        end.extend(WIDE_END.to_le_bytes());
        end.extend((WIDE_END_LEN - 12).to_le_bytes());
        end.extend([WIDE_VERSION.to_le_bytes(), WIDE_VERSION.to_le_bytes()].concat());
        end.extend([0; 8]);
        end.extend([count, count, len, start].iter().flat_map(|it| it.to_le_bytes()));
        end.extend(LOCATOR.to_le_bytes());
        end.extend(0u32.to_le_bytes());
        end.extend((start + len).to_le_bytes());
        end.extend(1u32.to_le_bytes());
        let short_count = u16::try_from(count).unwrap_or(u16::MAX);
        end.extend(END.to_le_bytes());
        end.extend([0; 4]);
        end.extend([short_count, short_count].iter().flat_map(|it| it.to_le_bytes()));
        end.extend([narrow(len), narrow(start)].iter().flat_map(|it| it.to_le_bytes()));
        end.extend([0; 2]);
        self.out.write_all(&end)?;
        self.out.flush()
    }
}

/// What a local header and a directory entry have in common.
fn common_fields(crc: u32, len: u64, name_len: u16, extra_len: u16) -> Vec<u8> {
    let version = if narrow(len) == u32::MAX { WIDE_VERSION } else { 20 };
    let mut fields = Vec::new();
    // Version, flags, method, time.
    fields.extend([version, UTF8, 0, 0, MIDNIGHT_1980].iter().flat_map(|it| it.to_le_bytes()));
    fields.extend([crc, narrow(len), narrow(len)].iter().flat_map(|it| it.to_le_bytes()));
    fields.extend([name_len, extra_len].iter().flat_map(|it| it.to_le_bytes()));
    fields
}

fn wide_extra(values: &[u64]) -> Vec<u8> {
    let mut extra = 1u16.to_le_bytes().to_vec();
    extra.extend((8 * values.len() as u16).to_le_bytes());
    extra.extend(values.iter().flat_map(|it| it.to_le_bytes()));
    extra
}

/// A number, or the sign that it stands in a zip64 field.
fn narrow(wide: u64) -> u32 {
    u32::try_from(wide).unwrap_or(u32::MAX)
}

/// PyTorch's, so that a tensor can be mapped whatever its dtype.
const ALIGNMENT: u64 = 64;
const WIDE_VERSION: u16 = 45;
/// The first date that the format has: the same contents give the same bytes.
const MIDNIGHT_1980: u16 = 0x21;
