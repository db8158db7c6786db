//! How much memory it takes, counted by the allocator. One test after the other: they share the counter.

use std::{
    alloc::{GlobalAlloc, Layout as Block, System},
    fs::File,
    io::{self, Write as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pretrained_safetensors::{
    Dtype, Header, Layout, Metadata, TensorFile, TensorInfo, TensorSpec, WriteAt,
};

const MIB: usize = 1 << 20;

#[test]
fn case_3_a_header_of_99_megabytes_is_kept_once() {
    let _alone = alone();
    let text = "x".repeat(99_000_000);
    let bytes = file(format!(r#"{{"__metadata__":{{"a":"{text}"}}}}"#));
    let len = bytes.len();
    let (header, peak) = measure(|| Header::parse(&bytes, len as u64).expect("under the limit"));
    assert_eq!(header.metadata()["a"].len(), text.len());
    // The text, and what the guess at the number of tensors reserves without touching it.
    assert!(peak < 3 * len, "{peak} bytes for a header of {len}");
}

#[test]
fn case_3_a_header_of_99_megabytes_that_is_refused() {
    let _alone = alone();
    let bytes = file(format!(r#"{{"w":[{}1]}}"#, "1,".repeat(49_000_000)));
    let len = bytes.len();
    let (error, peak) = measure(|| Header::parse(&bytes, len as u64).expect_err("no entry"));
    assert!(error.to_string().contains("expected a map with dtype"), "{error}");
    assert!(peak < 3 * len, "{peak} bytes for a header of {len}");
}

#[test]
fn case_15_many_tensors_take_memory_in_proportion() {
    let _alone = alone();
    let count = if std::env::var_os("RUN_SLOW_TESTS").is_some() { 1_000_000 } else { 100_000 };
    let entry =
        |i| format!(r#""w{i}":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{}]}}"#, i + 1);
    let mut bytes = file(format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(",")));
    bytes.resize(bytes.len() + count, 0);
    let (header, peak) = measure(|| Header::parse(&bytes, bytes.len() as u64).expect("valid"));
    assert_eq!(header.tensors().len(), count);
    let entry = size_of::<(String, TensorInfo)>();
    assert!(peak < count * 10 * entry, "{} bytes for each of {count}", peak / count);
}

#[test]
#[allow(unsafe_code)]
fn a_mapped_file_takes_the_memory_of_its_header() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("sparse");
    let specs = (0..1000).map(|i| spec(&format!("model.layers.{i}.weight"), 1 << 19)).collect();
    let layout = Layout::new(specs, &Metadata::new()).expect("valid specs");
    let mut file = File::create_new(&path).expect("create");
    file.write_all(&prefix(&layout)).expect("write");
    // A hole of 2 GB, which takes no space and reads as zeros.
    file.set_len(layout.file_len()).expect("extend");
    let (mapped, peak) = measure(|| {
        // SAFETY: The file is private to this test.
        unsafe { TensorFile::map(&path) }.expect("valid")
    });
    let bytes: usize = mapped.tensors().map(|(_, view)| view.data().len()).sum();
    assert_eq!(bytes, layout.data_len());
    assert!(peak < MIB, "{peak} bytes");
}

#[test]
fn writing_takes_64_mib_whatever_is_written() {
    let _alone = alone();
    let specs: Vec<_> = (0..4).map(|i| spec(&format!("w{i}"), 32 << 20)).collect();
    let layout = Layout::new(specs, &Metadata::new()).expect("valid specs");
    let fill = |_: &TensorSpec, _: usize, piece: &mut [u8]| {
        piece.fill(1);
        Ok(())
    };
    let (written, peak) = measure(|| layout.write_pieces(&Nowhere, fill));
    written.expect("nothing can fail");
    assert!(peak < 64 * MIB, "{} MiB to write 512 MiB in pieces", peak / MIB);

    // However many there are to do it, all of whom wait for each other here.
    let crowd = rayon::ThreadPoolBuilder::new().num_threads(64).build().expect("threads");
    let (written, peak) = measure(|| {
        crowd.install(|| {
            layout.write_pieces(&Nowhere, |_, _, piece| {
                piece.fill(1);
                std::thread::sleep(Duration::from_millis(2));
                Ok(())
            })
        })
    });
    written.expect("nothing can fail");
    assert!(peak < 65 * MIB, "{} MiB to write 512 MiB by 64 threads", peak / MIB);

    let specs: Vec<_> = (0..64).map(|i| spec(&format!("w{i}"), 1 << 20)).collect();
    let layout = Layout::new(specs, &Metadata::new()).expect("valid specs");
    let (written, peak) = measure(|| layout.write_parallel(&Nowhere, |_| Ok(vec![1; 4 * MIB])));
    written.expect("nothing can fail");
    assert!(peak <= 65 * MIB, "{} MiB to write 256 MiB of tensors", peak / MIB);
}

struct Nowhere;

impl WriteAt for Nowhere {
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }
}

fn spec(name: &str, elements: usize) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype: Dtype::F32, shape: vec![elements] }
}

/// What comes before the data.
fn prefix(layout: &Layout) -> Vec<u8> {
    let mut start = Vec::new();
    let written = layout
        .write_to(&mut start, |_| -> io::Result<Vec<u8>> { Err(io::ErrorKind::Other.into()) });
    written.expect_err("there is no data");
    start
}

/// A file with this header.
fn file(header: String) -> Vec<u8> {
    let mut json = header.into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    bytes
}

/// Keeps the other tests from allocating.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `work` makes, and how many bytes more were allocated at one time than before it.
fn measure<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let made = work();
    (made, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

struct Counting;

// SAFETY: Every call is passed on to the system's allocator as it is.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        let now = NOW.fetch_add(block.size(), Ordering::Relaxed) + block.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: As the caller's.
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, at: *mut u8, block: Block) {
        NOW.fetch_sub(block.size(), Ordering::Relaxed);
        // SAFETY: As the caller's.
        unsafe { System.dealloc(at, block) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
