use std::path::PathBuf;

use super::*;
use crate::machine::{Cache, ThreadLimit};

/// A machine with nothing to find fault with.
fn sound() -> Machine {
    let file_system = FileSystem {
        kind: Some("ext4".to_owned()),
        free: 50_000_000_000,
        total: 100_000_000_000,
        durability: Durability::Durable,
    };
    let place = |name, path| Place {
        name,
        path: PathBuf::from(path),
        file_system: Ok(file_system.clone()),
        refusal: None,
    };
    Machine {
        libtorch: Ok(Libtorch {
            version: "2.11.0".to_owned(),
            built_for: "2.11.0".to_owned(),
            dir: Some(PathBuf::from("/opt/libtorch/lib")),
            has_cxx11_abi: true,
            cpu_capability: "AVX2".to_owned(),
            threads: 8,
            cuda: Cuda::NoDriver,
        }),
        broken_compute: None,
        cores: 8,
        thread_limits: Vec::new(),
        cpu: Cpu { is_x86: true, avx2: true, ..Cpu::default() },
        places: vec![place(CURRENT, "/home/u"), place("temporary files", "/tmp")],
        model_cache: Some(Cache { path: PathBuf::from("/home/u/.cache"), bytes: Some(1 << 30) }),
        data_cache: Some(Cache { path: PathBuf::from("/home/u/.cache/pretrained"), bytes: None }),
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Machine), is_broken: bool, problem: &str) {
    let mut machine = sound();
    change(&mut machine);
    let found = faults(&machine);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&*found[0].problem, found[0].is_broken), (problem, is_broken));
    assert!(!found[0].fix.is_empty());
    let text = to_text(&machine, &found, None);
    assert!(text.contains(&format!("{problem}; fix: {}", found[0].fix)), "{text}");
    assert_eq!(text.contains("all is well"), !is_broken, "{text}");
    assert_eq!(to_json(&machine, &found)["well"], !is_broken);
}

#[test]
fn a_sound_machine_has_no_faults() {
    let machine = sound();
    assert_eq!(faults(&machine), []);
    let text = to_text(&machine, &[], None);
    let expected = format!(
        "\
pretrained         {}
libtorch           2.11.0
  from             /opt/libtorch/lib
  ABI              C++11
  kernels for      AVX2
GPU                none: there is no NVIDIA driver (libcuda.so.1)
threads            8, on 8 cores
CPU                avx2 yes, avx512 no, avx512_bf16 no, amx no
current directory  /home/u
  disk             50.0 GB free of 100 GB, ext4: saves are durable
temporary files    /tmp
  disk             50.0 GB free of 100 GB, ext4: saves are durable
tokenized data     /home/u/.cache/pretrained
  size             not there
downloaded models  /home/u/.cache
  size             1.07 GB

",
        env!("CARGO_PKG_VERSION")
    );
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.contains("all is well"), "{text}");
}

#[test]
fn one_thread_for_each_core_of_two_is_as_it_should_be() {
    let mut machine = sound();
    machine.libtorch.as_mut().expect("there is one").threads = 4;
    assert_eq!(faults(&machine), []);
}

fn limit(name: &'static str, value: &str) -> ThreadLimit {
    ThreadLimit { name, value: value.to_owned() }
}

#[test]
fn a_number_of_threads_that_is_none_is_told() {
    for value in ["0", "-1", "all", "2x", "4,", "4,0", "99999999999999"] {
        let problem = format!("MKL_NUM_THREADS={value} is no number of threads, and not obeyed");
        check(|it| it.thread_limits = vec![limit("MKL_NUM_THREADS", value)], false, &problem);
    }
    for value in ["8", " 8 ", "8,2", "8, 2, 1"] {
        let mut machine = sound();
        machine.thread_limits = vec![limit("OMP_NUM_THREADS", value)];
        assert_eq!(faults(&machine), [], "{value}");
    }
    // One that is obeyed is told beside one that is not.
    let mut machine = sound();
    machine.thread_limits = vec![limit("OMP_NUM_THREADS", "0"), limit("MKL_NUM_THREADS", "2")];
    machine.libtorch.as_mut().expect("there is one").threads = 2;
    assert_eq!(faults(&machine).len(), 2);
}

#[test]
fn a_narrow_terminal_has_whole_words_and_whole_paths() {
    let mut machine = sound();
    machine.cpu.avx2 = false;
    machine.libtorch.as_mut().expect("there is one").cuda = Cuda::NoDevice;
    let faults = faults(&machine);
    let whole = to_text(&machine, &faults, None);
    let narrow = to_text(&machine, &faults, Some(50));
    assert!(narrow.lines().all(|it| it.chars().count() <= 50), "{narrow}");
    assert!(narrow.lines().count() > whole.lines().count(), "{narrow}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&narrow), words(&whole));
    assert!(narrow.contains("\n                   "), "values stay in their column: {narrow}");
}

#[test]
fn every_fault_is_told_with_its_fix() {
    let with_libtorch = |change: fn(&mut Libtorch)| {
        move |it: &mut Machine| it.libtorch.as_mut().map(change).expect("there is one")
    };
    let with_disk = |change: fn(&mut FileSystem)| {
        move |it: &mut Machine| it.places[0].file_system.as_mut().map(change).expect("there is one")
    };
    check(|it| it.libtorch = Err("no".to_owned()), true, "libtorch does not answer: no");
    check(
        with_libtorch(|it| it.version = "2.10.0".to_owned()),
        true,
        "libtorch 2.10.0 is loaded, this was built for 2.11.0",
    );
    check(
        |it| it.broken_compute = Some("wrong".to_owned()),
        true,
        "libtorch does not compute: wrong",
    );
    check(
        with_libtorch(|it| it.cuda = Cuda::NotBuilt),
        true,
        "there is an NVIDIA driver, and this libtorch is without CUDA",
    );
    check(
        with_libtorch(|it| it.cuda = Cuda::NoDevice),
        true,
        "there is an NVIDIA driver, and libtorch finds no GPU",
    );
    check(
        |it| {
            it.thread_limits = vec![limit("OMP_NUM_THREADS", "1")];
            with_libtorch(|it| it.threads = 1)(it);
        },
        false,
        "OMP_NUM_THREADS=1: 1 of 8 cores compute",
    );
    check(
        |it| it.cpu.avx2 = false,
        false,
        "the CPU has no AVX2: products take several times as long",
    );
    check(
        with_disk(|it| it.free = 10_000_000),
        true,
        "only 10.0 MB are free in the current directory, /home/u",
    );
    check(
        with_disk(|it| (it.kind, it.durability) = (Some("tmpfs".into()), Durability::Volatile)),
        false,
        "/home/u is in memory (tmpfs): what is saved there is gone with a restart",
    );
    check(
        with_disk(|it| (it.kind, it.durability) = (Some("vfat".into()), Durability::NotAtomic)),
        false,
        "/home/u is on vfat: a power loss may leave a save half done",
    );
    check(
        |it| it.places[1].refusal = Some("full".to_owned()),
        false,
        "no file can be made in /tmp: full",
    );
}
