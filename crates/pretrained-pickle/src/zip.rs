//! Zip archives as PyTorch writes them: every member stored, none compressed or encrypted.
//!
//! An archive says most things twice, and readers differ in which they believe: the parts that
//! scanners see and loaders do not. Here both have to agree.

use std::collections::BTreeMap;

use crate::{
    FormatError,
    source::{Failure, Source},
};

/// Where a member's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) crc: u32,
}

/// Reads the central directory, and compares it with what stands before each member.
pub(crate) fn members(source: &Source) -> Result<BTreeMap<String, Member>, Failure> {
    let directory = find_directory(source)?;
    let len = usize::try_from(directory.len).ok().filter(|it| *it <= MAX_DIRECTORY);
    let len = len.ok_or(FormatError::Archive("its directory is too long"))?;
    let bytes = source.read(directory.start, len)?;
    let mut entries = Vec::new();
    let mut rest = Fields(&bytes);
    while !rest.0.is_empty() {
        entries.push(central_entry(&mut rest)?);
    }
    if entries.len() as u64 != directory.count {
        return Err(FormatError::Archive("its directory has another number of members").into());
    }

    entries.sort_by_key(|it| it.header_start);
    let mut members = BTreeMap::new();
    let mut end = 0;
    for entry in entries {
        if entry.header_start < end {
            return Err(entry.problem("it overlaps another one").into());
        }
        let (start, member_end) = local_header(source, &entry, directory.start)?;
        if entry.header_start > end {
            return Err(entry.problem("bytes that belong to no member stand before it").into());
        }
        end = member_end;
        let member = Member { start, len: entry.len, crc: entry.crc };
        if members.insert(entry.name.clone(), member).is_some() {
            return Err(entry.problem("its name is there twice").into());
        }
    }
    // Another archive could be in the gaps, for other readers to find.
    if end != directory.start {
        let problem = "bytes that belong to no member stand before its directory";
        return Err(FormatError::Archive(problem).into());
    }
    Ok(members)
}

struct Directory {
    start: u64,
    len: u64,
    count: u64,
}

struct Entry {
    name: String,
    flags: u16,
    crc: u32,
    len: u64,
    header_start: u64,
}

impl Entry {
    fn problem(&self, problem: &'static str) -> FormatError {
        FormatError::Member { member: self.name.clone(), problem }
    }
}

fn find_directory(source: &Source) -> Result<Directory, Failure> {
    let wrong = |problem| Failure::Format(FormatError::Archive(problem));
    let no_end = || wrong("it does not end with its end record: cut short, or something appended");
    // PyTorch writes no comment, so that there is one place for the record, and one record.
    let end = source.len().checked_sub(END_LEN).ok_or_else(no_end)?;
    let bytes = source.read(end, END_LEN as usize)?;
    let mut fields = Fields(&bytes);
    if fields.u32()? != END || bytes[20..22] != [0, 0] {
        return Err(no_end());
    }
    let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
    let (disk_count, count) = (fields.u16()?, fields.u16()?);
    let (len, start) = (fields.u32()?, fields.u32()?);
    if disk != 0 || directory_disk != 0 || disk_count != count {
        return Err(wrong("it has several volumes"));
    }
    let narrow = Directory { start: start.into(), len: len.into(), count: count.into() };

    let locator = end.checked_sub(LOCATOR_LEN);
    let locator = locator.map(|at| source.read(at, LOCATOR_LEN as usize).map(|it| (at, it)));
    let (directory, end) = match locator.transpose()? {
        Some((at, bytes)) if bytes.starts_with(&LOCATOR.to_le_bytes()) => {
            wide_directory(source, &bytes, at, &narrow)?
        }
        _ => (narrow, end),
    };
    match directory.start.checked_add(directory.len) {
        Some(directory_end) if directory_end == end => Ok(directory),
        _ => Err(wrong("its directory is not where its end record says")),
    }
}

/// The zip64 record, and where it starts.
fn wide_directory(
    source: &Source,
    locator: &[u8],
    locator_start: u64,
    narrow: &Directory,
) -> Result<(Directory, u64), Failure> {
    let wrong = |problem| Failure::Format(FormatError::Archive(problem));
    let mut fields = Fields(&locator[4..]);
    let (disk, at, disks) = (fields.u32()?, fields.u64()?, fields.u32()?);
    if disk != 0 || disks != 1 || at.checked_add(WIDE_END_LEN) != Some(locator_start) {
        return Err(wrong("its zip64 locator points elsewhere"));
    }
    let bytes = source.read(at, WIDE_END_LEN as usize)?;
    let mut fields = Fields(&bytes);
    let (signature, len) = (fields.u32()?, fields.u64()?);
    fields.take(4)?;
    let (disk, directory_disk) = (fields.u32()?, fields.u32()?);
    let (disk_count, count) = (fields.u64()?, fields.u64()?);
    let (directory_len, start) = (fields.u64()?, fields.u64()?);
    if signature != WIDE_END || len != WIDE_END_LEN - 12 || disk != 0 || directory_disk != 0 {
        return Err(wrong("its zip64 end record is not one"));
    }
    let agrees = |narrow: u64, wide, max: u64| narrow == wide || narrow == max;
    if disk_count != count
        || !agrees(narrow.count, count, u16::MAX.into())
        || !agrees(narrow.len, directory_len, u32::MAX.into())
        || !agrees(narrow.start, start, u32::MAX.into())
    {
        return Err(wrong("its two end records differ"));
    }
    Ok((Directory { start, len: directory_len, count }, at))
}

fn central_entry(fields: &mut Fields<'_>) -> Result<Entry, FormatError> {
    if fields.u32()? != CENTRAL {
        return Err(FormatError::Archive("its directory has something that is no entry"));
    }
    fields.take(4)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let (crc, stored, len) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let (name_len, extra_len, comment_len) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let disk = fields.u16()?;
    fields.take(6)?;
    let header_start = fields.u32()?;
    let name = String::from_utf8_lossy(fields.take(name_len.into())?).into_owned();
    let extra = fields.take(extra_len.into())?;
    fields.take(comment_len.into())?;

    let mut entry = Entry { name, flags, crc, len: len.into(), header_start: header_start.into() };
    let mut stored = u64::from(stored);
    let mut disk = u32::from(disk);
    if let Some(mut wide) = wide_extra(extra).map_err(|it| entry.problem(it))? {
        let mut widen = |it: &mut u64| -> Result<(), FormatError> {
            if *it == u64::from(u32::MAX) {
                *it = wide.u64()?;
            }
            Ok(())
        };
        widen(&mut entry.len)?;
        widen(&mut stored)?;
        widen(&mut entry.header_start)?;
        if disk == u32::from(u16::MAX) {
            disk = wide.u32()?;
        }
    }
    check_member_name(&entry)?;
    if flags & ENCRYPTED != 0 {
        return Err(entry.problem("it is encrypted"));
    }
    if flags & !(DESCRIPTOR | UTF8) != 0 {
        return Err(entry.problem("it has flags that PyTorch does not set"));
    }
    if method != 0 && entry.name.contains("/code/") {
        return Err(FormatError::Archive(TORCH_SCRIPT));
    }
    if method != 0 {
        return Err(entry.problem("it is compressed: PyTorch stores"));
    }
    if stored != entry.len || disk != 0 {
        return Err(entry.problem("it is stored in another length than its own"));
    }
    Ok(entry)
}

/// Checks what stands before and behind a member's data, and gives the data's start and the
/// member's end.
fn local_header(source: &Source, entry: &Entry, directory: u64) -> Result<(u64, u64), Failure> {
    let outside = || Failure::Format(entry.problem("it reaches into the directory"));
    let end_of = |start: u64, len: u64| {
        start.checked_add(len).filter(|it| *it <= directory).ok_or_else(outside)
    };
    let names_start = end_of(entry.header_start, LOCAL_LEN)?;
    let bytes = source.read(entry.header_start, LOCAL_LEN as usize)?;
    let mut fields = Fields(&bytes);
    let signature = fields.u32()?;
    fields.take(2)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let (crc, stored, len) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let (name_len, extra_len) = (fields.u16()?, fields.u16()?);
    let start = end_of(names_start, u64::from(name_len) + u64::from(extra_len))?;
    let end = end_of(start, entry.len)?;
    let names = source.read(names_start, usize::from(name_len) + usize::from(extra_len))?;
    let (name, extra) = names.split_at(name_len.into());

    let differs = |problem| Err(Failure::Format(entry.problem(problem)));
    if signature != LOCAL || name != entry.name.as_bytes() {
        return differs("the directory has another name for it");
    }
    if flags != entry.flags || method != 0 {
        return differs("the directory has other flags for it");
    }
    let (mut stored, mut len) = (u64::from(stored), u64::from(len));
    let wide = wide_extra(extra).map_err(|it| entry.problem(it))?;
    if let Some(mut wide) = wide {
        len = if len == u64::from(u32::MAX) { wide.u64()? } else { len };
        stored = if stored == u64::from(u32::MAX) { wide.u64()? } else { stored };
    }
    if flags & DESCRIPTOR == 0 {
        if (crc, stored, len) != (entry.crc, entry.len, entry.len) {
            return differs("the directory has another length or checksum for it");
        }
        return Ok((start, end));
    }
    // Written before they were known: they stand behind the data.
    if (crc != 0 && crc != entry.crc) || [stored, len].iter().any(|it| *it != 0 && *it != entry.len)
    {
        return differs("the directory has another length or checksum for it");
    }
    let available = usize::try_from(directory - end).unwrap_or(usize::MAX);
    let descriptor = source.read(end, available.min(24))?;
    let narrow: Vec<u8> = [DESCRIPTOR_MARK, entry.crc, entry.len as u32, entry.len as u32]
        .iter()
        .flat_map(|it| it.to_le_bytes())
        .collect();
    let mut wide = narrow[..8].to_vec();
    wide.extend([entry.len.to_le_bytes(), entry.len.to_le_bytes()].concat());
    let fits = u32::try_from(entry.len).is_ok();
    if descriptor.starts_with(&wide) {
        return Ok((start, end + wide.len() as u64));
    }
    if fits && descriptor.starts_with(&narrow) {
        return Ok((start, end + narrow.len() as u64));
    }
    differs("the directory has another length or checksum for it")
}

fn check_member_name(entry: &Entry) -> Result<(), FormatError> {
    let name = entry.name.as_str();
    let bad = name.is_empty()
        || name.starts_with('/')
        || name.contains(|c: char| matches!(c, '\\' | ':' | '\u{fffd}') || c.is_control())
        || name.split('/').any(|it| matches!(it, "" | "." | ".."));
    if bad { Err(entry.problem("its name is no plain path")) } else { Ok(()) }
}

/// The zip64 part of an extra field, if there is one.
fn wide_extra(mut extra: &[u8]) -> Result<Option<Fields<'_>>, &'static str> {
    let cut = "its extra field is cut";
    let mut found = None;
    while !extra.is_empty() {
        let (&[a, b, c, d], rest) = extra.split_first_chunk().ok_or(cut)?;
        let (part, rest) = rest.split_at_checked(u16::from_le_bytes([c, d]).into()).ok_or(cut)?;
        match u16::from_le_bytes([a, b]) {
            WIDE_FIELD if found.is_some() => return Err("its zip64 field is there twice"),
            WIDE_FIELD => found = Some(Fields(part)),
            // Some readers believe this one, others the name itself.
            NAME_FIELD => return Err("its extra field has a second name"),
            _ => {}
        }
        extra = rest;
    }
    Ok(found)
}

/// Little-endian numbers, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let split = self.0.split_at_checked(len);
        let (taken, rest) = split.ok_or(FormatError::Archive("its directory is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

pub(crate) const LOCAL: u32 = 0x0403_4b50;
pub(crate) const CENTRAL: u32 = 0x0201_4b50;
pub(crate) const END: u32 = 0x0605_4b50;
pub(crate) const WIDE_END: u32 = 0x0606_4b50;
pub(crate) const LOCATOR: u32 = 0x0706_4b50;
const DESCRIPTOR_MARK: u32 = 0x0807_4b50;
const ENCRYPTED: u16 = 1;
const WIDE_FIELD: u16 = 1;
const NAME_FIELD: u16 = 0x7075;
const DESCRIPTOR: u16 = 1 << 3;
pub(crate) const UTF8: u16 = 1 << 11;
pub(crate) const LOCAL_LEN: u64 = 30;
pub(crate) const END_LEN: u64 = 22;
pub(crate) const WIDE_END_LEN: u64 = 56;
pub(crate) const LOCATOR_LEN: u64 = 20;
/// Some 800,000 members.
const MAX_DIRECTORY: usize = 64 << 20;

pub(crate) const TORCH_SCRIPT: &str =
    "it is a TorchScript program, not data: save the model's state_dict()";
