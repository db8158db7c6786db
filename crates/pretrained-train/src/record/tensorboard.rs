//! TensorBoard's event files: records of protocol buffers, each with checksums.
//!
//! <https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto>

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use pretrained_fs::Error;

/// One file of events, to which events are appended.
#[derive(Debug)]
pub(super) struct EventFile {
    file: BufWriter<File>,
    path: PathBuf,
}

impl EventFile {
    pub(super) fn create(dir: &Path, now: SystemTime) -> Result<EventFile, Error> {
        // Several in one process get numbers.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        pretrained_fs::create_dir_all(dir)?;
        let (seconds, pid) = (seconds(now) as u64, std::process::id());
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("events.out.tfevents.{seconds}.{}.{pid}.{n}", host()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = BufWriter::new(file.map_err(|e| Error::new("create", &path, e))?);
        let mut events = EventFile { file, path };
        events.event(0, |event| event.bytes(3, b"brain.Event:2"))?;
        Ok(events)
    }

    /// What was recorded of `step` and later steps is recorded anew.
    pub(super) fn restart(&mut self, step: u64) -> Result<(), Error> {
        let mut session_log = Message::default();
        session_log.varint(1, 1);
        self.event(step, |event| event.bytes(7, &session_log.0))
    }

    pub(super) fn scalar(&mut self, tag: &str, value: f64, step: u64) -> Result<(), Error> {
        let mut summary = Message::default();
        summary.message(1, |it| {
            it.bytes(1, tag.as_bytes());
            it.float(2, value as f32);
        });
        self.event(step, |event| event.bytes(5, &summary.0))
    }

    pub(super) fn text(&mut self, tag: &str, text: &str) -> Result<(), Error> {
        let mut summary = Message::default();
        summary.message(1, |it| {
            it.bytes(1, tag.as_bytes());
            // A tensor of one string.
            it.message(8, |tensor| {
                tensor.varint(1, 7);
                tensor.message(2, |shape| shape.message(2, |dim| dim.varint(1, 1)));
                tensor.bytes(8, text.as_bytes());
            });
            it.message(9, |metadata| metadata.message(1, |plugin| plugin.bytes(1, b"text")));
        });
        self.event(0, |event| event.bytes(5, &summary.0))
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.file.flush().map_err(|e| Error::new("write", &self.path, e))
    }

    fn event(&mut self, step: u64, fill: impl FnOnce(&mut Message)) -> Result<(), Error> {
        let mut event = Message::default();
        event.double(1, seconds(SystemTime::now()));
        event.varint(2, step);
        fill(&mut event);
        let record = record(&event.0);
        self.file.write_all(&record).map_err(|e| Error::new("write", &self.path, e))
    }
}

/// Hugging Face's tag for a number of the log.
pub(super) fn tag(name: &str) -> String {
    for split in ["eval", "test"] {
        if let Some(name) = name.strip_prefix(split).and_then(|it| it.strip_prefix('_')) {
            return format!("{split}/{name}");
        }
    }
    format!("train/{name}")
}

/// `runs/Nov22_21-34-05_host` in the run's directory, in universal time.
pub(super) fn default_dir(output_dir: &Path, now: SystemTime) -> PathBuf {
    let seconds = seconds(now) as u64;
    let (month, day) = month_and_day(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let time = format!("{month}{day:02}_{hour:02}-{minute:02}-{second:02}");
    output_dir.join("runs").join(format!("{time}_{}", host()))
}

/// The month and its day of a day counted from 1970-01-01.
///
/// Howard Hinnant: "chrono-compatible low-level date algorithms", `civil_from_days`.
fn month_and_day(days: u64) -> (&'static str, u64) {
    // In eras of 400 years, and years that begin in March.
    let day_of_era = (days + 719_468) % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    (MONTHS[month as usize % 12], day_of_year - (153 * month + 2) / 5 + 1)
}

fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // It becomes part of file names.
    name.replace(['/', '\0'], "_")
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |it| it.as_secs_f64())
}

/// A record of TensorFlow: length, checksum, data, checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    [&len[..], &masked_crc(&len), data, &masked_crc(data)].concat()
}

/// A message of protocol buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, field: u8, value: u64) {
        self.0.push(field << 3);
        self.raw_varint(value);
    }

    fn double(&mut self, field: u8, value: f64) {
        self.0.push(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u8, value: f32) {
        self.0.push(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u8, value: &[u8]) {
        self.0.push(field << 3 | 2);
        self.raw_varint(value.len() as u64);
        self.0.extend(value);
    }

    fn message(&mut self, field: u8, fill: impl FnOnce(&mut Message)) {
        let mut message = Message::default();
        fill(&mut message);
        self.bytes(field, &message.0);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// CRC-32C, rotated and offset as TensorFlow stores it, lest a checksum of checksums be zero.
fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| CRC_TABLE[(crc as u8 ^ byte) as usize] ^ (crc >> 8))
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut bit) = (i as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

const MONTHS: [&str; 12] =
    ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{crc32c, default_dir, host, month_and_day, record, tag};

    #[test]
    fn checksums() {
        // Test vectors of RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(record(b"ab").len(), 18);
    }

    #[test]
    fn dates() {
        assert_eq!(month_and_day(0), ("Jan", 1));
        assert_eq!(month_and_day(59), ("Mar", 1));
        assert_eq!(month_and_day(11_016), ("Feb", 29));
        assert_eq!(month_and_day(20_779), ("Nov", 22));
        let time = UNIX_EPOCH + Duration::from_secs(20_779 * 86_400 + 21 * 3600 + 34 * 60 + 5);
        let dir = default_dir(std::path::Path::new("run"), time);
        assert_eq!(dir.display().to_string(), format!("run/runs/Nov22_21-34-05_{}", host()));
    }

    #[test]
    fn tags() {
        assert_eq!(tag("eval_loss"), "eval/loss");
        assert_eq!(tag("test_f1"), "test/f1");
        assert_eq!(tag("evaluated"), "train/evaluated");
        assert_eq!(tag("learning_rate"), "train/learning_rate");
    }
}
