//! What a machine has that this command needs: looked at, not judged. `doctor` judges.

use std::{
    env, fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
};

use pretrained::{
    artifact::cache_dir,
    fs::{FileSystem, StagedFile, with_causes},
    torch::Libtorch,
};

use crate::datasets;

/// All that is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Or why it does not say.
    pub(crate) libtorch: Result<Libtorch, String>,
    /// Why libtorch computes nothing, or nothing right.
    pub(crate) broken_compute: Option<String>,
    /// How many threads run at the same time.
    pub(crate) cores: usize,
    /// What the user says about threads.
    pub(crate) thread_limits: Vec<ThreadLimit>,
    pub(crate) cpu: Cpu,
    /// The directories in which files are made.
    pub(crate) places: Vec<Place>,
    /// Where models are that `huggingface_hub` downloaded; `None` if there is no home directory.
    pub(crate) model_cache: Option<Cache>,
    /// Where `train` keeps tokenized files; `None` if there is no home directory.
    pub(crate) data_cache: Option<Cache>,
}

/// A variable that says how many threads compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadLimit {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// Instructions that products are much faster with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// Whether it is of the family that has these at all.
    pub(crate) is_x86: bool,
    pub(crate) avx2: bool,
    pub(crate) avx512: bool,
    pub(crate) avx512_bf16: bool,
    pub(crate) amx: bool,
}

/// A directory.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    /// Or why it cannot be looked at.
    pub(crate) file_system: Result<FileSystem, String>,
    /// Why no file can be made there.
    pub(crate) refusal: Option<String>,
}

/// A directory that grows.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    pub(crate) path: PathBuf,
    /// Bytes of its files; `None` if it is not there.
    pub(crate) bytes: Option<u64>,
}

impl Machine {
    pub(crate) fn look() -> Machine {
        let current = env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        Machine {
            libtorch: Libtorch::of_this_process().map_err(|e| with_causes(&e)),
            broken_compute: Libtorch::check().err().map(|e| with_causes(&e)),
            cores: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            thread_limits: ["OMP_NUM_THREADS", "MKL_NUM_THREADS"]
                .into_iter()
                .filter_map(|name| Some((name, env::var_os(name).filter(|it| !it.is_empty())?)))
                .map(|(name, it)| ThreadLimit { name, value: it.to_string_lossy().into_owned() })
                .collect(),
            cpu: Cpu::look(),
            places: vec![
                Place::look(CURRENT, &current),
                Place::look("temporary files", &env::temp_dir()),
            ],
            model_cache: cache_dir().map(Cache::look),
            data_cache: datasets::user_cache_dir().map(Cache::look),
        }
    }
}

impl ThreadLimit {
    /// Whether it says a number of threads, or one for each level of nested parallel regions, as OpenMP
    /// has it.
    pub(crate) fn is_valid(&self) -> bool {
        self.value.split(',').all(|it| it.trim().parse::<u32>().is_ok_and(|it| it > 0))
    }
}

impl std::fmt::Display for ThreadLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl Cache {
    fn look(path: PathBuf) -> Cache {
        let bytes = path.is_dir().then(|| size_of(&path));
        Cache { path, bytes }
    }
}

impl Cpu {
    #[cfg(target_arch = "x86_64")]
    fn look() -> Cpu {
        use std::arch::is_x86_feature_detected as has;
        // The standard library does not ask for these yet.
        let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let amx = ["amx_tile", "amx_bf16"].iter().all(|it| flags.contains(it));
        Cpu {
            is_x86: true,
            avx2: has!("avx2") && has!("fma"),
            avx512: has!("avx512f"),
            avx512_bf16: has!("avx512bf16"),
            amx,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn look() -> Cpu {
        Cpu::default()
    }

    /// Each by its name.
    pub(crate) fn features(self) -> [(&'static str, bool); 4] {
        [
            ("avx2", self.avx2),
            ("avx512", self.avx512),
            ("avx512_bf16", self.avx512_bf16),
            ("amx", self.amx),
        ]
    }
}

impl Place {
    fn look(name: &'static str, path: &Path) -> Place {
        let file_system = FileSystem::of(path).map_err(|e| with_causes(&e));
        // Made and removed again: permissions alone do not say what a mount or a quota does.
        let refusal = StagedFile::create(&path.join(PROBE)).err().map(|e| with_causes(&e));
        Place { name, path: path.to_owned(), file_system, refusal }
    }
}

/// Bytes of the files below a directory. Links are not followed: what they lead to is elsewhere, or
/// counted there.
fn size_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|it| Some((it.path(), it.metadata().ok()?)))
        .map(|(path, it)| match it.is_dir() {
            true => size_of(&path),
            false if it.is_file() => it.len(),
            false => 0,
        })
        .fold(0, u64::saturating_add)
}

/// The place that this command is run in.
pub(crate) const CURRENT: &str = "current directory";

/// What a file is called that is made to see whether one can be.
const PROBE: &str = "pretrained-doctor";
