//! Attacks on the pickle: 21 to 23, 25 and 26 of the list. See `archives` for those on the zip.

use std::path::Path;

use crate::{
    Error, FormatError, PickleFile, Value, object::Heap, opcode::*, zip_writer::ZipWriter,
};

/// An archive with this pickle, and one storage of 16 bytes.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut zip = ZipWriter::new(&mut out);
    zip.member("x/data.pkl", pickle).expect("writing to memory");
    zip.member("x/data/0", &[1; 16]).expect("writing to memory");
    zip.finish().expect("writing to memory");
    out
}

fn open(pickle: &[u8]) -> Result<Value, FormatError> {
    let opened = PickleFile::from_bytes(archive(pickle), Path::new("x.bin"));
    match opened {
        Ok(file) => Ok(file.value().clone()),
        Err(Error::Format { source, .. }) => Err(source),
        Err(other) => panic!("{other}"),
    }
}

#[track_caller]
fn check(parts: &[&[u8]], expected: FormatError) {
    let pickle = [&[PROTO, 2], parts.concat().as_slice()].concat();
    assert_eq!(open(&pickle), Err(expected));
}

fn problem(at: usize, problem: &'static str) -> FormatError {
    FormatError::Instruction { at, problem }
}

fn global(module: &str, name: &str) -> FormatError {
    FormatError::Global { module: module.to_owned(), name: name.to_owned() }
}

/// A reference to a storage of `count` floats.
fn storage(count: u8) -> Vec<u8> {
    let id = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK";
    [id.as_slice(), &[count], b"tQ"].concat()
}

/// A tensor: offset, shape and strides are pickled.
fn tensor(count: u8, offset: &[u8], shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 8] = [
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        &storage(count),
        offset,
        shape,
        strides,
        b"\x89",
        b"ccollections\nOrderedDict\n)R",
        b"tR.",
    ];
    parts.concat()
}

#[test]
fn case_21_globals_that_run_something() {
    check(&[b"cos\nsystem\nX\x02\0\0\0id\x85R."], global("os", "system"));
    check(&[b"cposix\nsystem\n."], global("posix", "system"));
    check(&[b"c__builtin__\neval\n."], global("__builtin__", "eval"));
    check(&[b"cbuiltins\ngetattr\n."], global("builtins", "getattr"));
    check(&[b"ctorch\nload\n."], global("torch", "load"));
    check(&[b"ctorch\nFakeStorage\n."], global("torch", "FakeStorage"));
    check(&[b"ctorch\nfloat32.__class__\n."], global("torch", "float32.__class__"));
    check(
        &[b"ctorch._utils\n_rebuild_sparse_tensor\n."],
        global("torch._utils", "_rebuild_sparse_tensor"),
    );
    check(&[b"X\x02\0\0\0osX\x06\0\0\0system\x93."], global("os", "system"));
    // Neither a screen nor a log is filled by a name.
    let long = [b"X\x02\0\0\0osX\0\0\x10\0".as_slice(), &[0x1b; 1 << 20], b"\x93."].concat();
    check(&[&long], global("os", &("\\u{1b}".repeat(200) + "…")));
    check(
        &[b"ctransformers.training_args\nTrainingArguments\n)\x81}b."],
        global("transformers.training_args", "TrainingArguments"),
    );
}

#[test]
fn case_21_opcodes_that_run_something() {
    for (bytes, name, at) in [
        (b"(S'id'\nios\nsystem\n.".as_slice(), "STRING", 3),
        (b"(ios\nsystem\n.", "INST", 3),
        (b"(K\x01o.", "OBJ", 5),
        (b"\x82\x01.", "EXT1", 2),
        (b"\x83\x01\0.", "EXT2", 2),
        (b"\x84\x01\0\0\0.", "EXT4", 2),
        (b"Pid\n.", "PERSID", 2),
        (b"\x97.", "NEXT_BUFFER", 2),
    ] {
        check(&[bytes], FormatError::Opcode { name, at });
    }
    check(&[b")}\x92."], FormatError::Opcode { name: "NEWOBJ_EX", at: 4 });
    check(&[b"\xff."], FormatError::UnknownOpcode { byte: 0xff, at: 2 });
    check(&[b"K\x01)R."], problem(5, "something that is not a function is called"));
    check(&[b"ctorch\nfloat32\n)R."], problem(18, "a class that is only named is called"));
    check(&[b"K\x01}b."], problem(5, "a state is set on something that has none"));
    check(&[b"K\x01Q."], problem(4, "arguments are not a tuple"));
    let latin1 = b"X\x04\0\0\0utf8";
    check(
        &[b"c_codecs\nencode\nX\x01\0\0\0a", latin1, b"\x86R."],
        problem(34, "text is encoded as something else than latin1"),
    );
}

#[test]
fn case_22_lengths_beyond_the_file() {
    let end = |at| FormatError::Truncated { at };
    check(&[b"X\xff\xff\xff\xff", &[b'a'; 93]], end(100));
    check(&[b"\x8d\0\0\0\0\0\0\0\x80"], end(11));
    check(&[b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff"], end(11));
    check(&[b"\x8b\xff\xff\xff\x7f"], end(7));
    check(&[b"\x95\0"], end(4));
    check(&[b"K"], end(3));
    check(&[b""], end(2));
    check(&[b"cos"], problem(2, "a global's name does not end"));
}

#[test]
fn case_22_stack_and_marks() {
    check(&[b"."], problem(2, "the stack is empty"));
    check(&[b"t."], problem(2, "there is no mark"));
    check(&[b"(."], problem(3, "the stack is empty"));
    check(&[b"N(0."], problem(4, "the stack is empty"));
    check(&[b"NN."], problem(4, "something is left on the stack"));
    check(&[b"(NN."], problem(5, "something is left on the stack"));
    check(&[b"}(Nu."], problem(5, "a key has no value"));
    check(&[b"h\x07."], problem(2, "nothing is remembered under this key"));
    check(&[b"N.N"], problem(4, "something follows"));
    check(&[b"X\x01\0\0\0\xff."], problem(2, "a string is not UTF-8"));
    check(&[b"ctorch\nfloat32\n}s."], problem(18, "the stack is empty"));
}

#[test]
fn case_22_memo_bomb() {
    // A list of ten lists of ten lists …: 10^12 values in some 300 bytes.
    let mut pickle = b"]q\x00".to_vec();
    for level in 1..13u8 {
        pickle.extend(b"](");
        for _ in 0..10 {
            pickle.extend([BINGET, level - 1]);
        }
        pickle.extend([APPENDS, BINPUT, level]);
    }
    // What was made on the way is left on the stack: gather it up.
    let pickle = [b"(".as_slice(), &pickle, b"t."].concat();
    check(&[&pickle], FormatError::Budget("number of values"));
    // A string of a mebibyte, a thousand times.
    let text = [b"X\0\0\x10\0".as_slice(), &vec![b'a'; 1 << 20], b"q\x00"].concat();
    let many = [BINGET, 0].repeat(1000);
    check(&[b"(", &text, &many, b"t."], FormatError::Budget("length of strings"));
    // Encoding it again and again makes bytes each time.
    let encode = b"c_codecs\nencode\nh\x00X\x06\0\0\0latin1\x86R".repeat(20);
    check(&[b"(", &text, &encode, b"t."], FormatError::Budget("length of strings"));
    // Copying a list again and again makes lists.
    let list = [b"(".as_slice(), &[b'N'; 1 << 16], b"tq\x00"].concat();
    let copies = b"c__builtin__\nlist\nh\x00\x85R".repeat(1000);
    check(&[b"(", &list, &copies, b"t."], FormatError::Budget("length of strings"));
}

#[test]
fn case_22_memo_keys_take_no_room() {
    let pickle = [b"\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff0.".as_slice()].concat();
    assert_eq!(open(&pickle), Ok(Value::None));
}

#[test]
fn case_22_budgets_of_the_machine() {
    check(&[&b"(".repeat(2000)], FormatError::Budget("number of marks"));
    check(&[b"(", &b"N".repeat((1 << 20) + 1)], FormatError::Budget("height of the stack"));
    assert_eq!(Heap::new(0).take(17 << 20), Err(FormatError::Budget("memory")));
    assert_eq!(Heap::new(1 << 30).take(3 << 30), Err(FormatError::Budget("memory")));
    if std::env::var_os("RUN_SLOW_TESTS").is_some() {
        let memo = b"\x94".repeat((8 << 20) + 1);
        check(&[b"N", &memo], FormatError::Budget("number of memo entries"));
    }
    // A list of a mebibyte of nothing is put into a list over and over: references, no copies.
    let list = [b"](".as_slice(), &[b'N'; 1 << 16], b"eq\x00"].concat();
    let copies = b"c__builtin__\ntuple\nh\x00\x85R0".repeat(1000);
    check(&[&list, &copies, b"."], FormatError::Budget("length of strings"));
}

#[test]
fn case_22_depth_and_cycles() {
    let deep = [b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()].concat();
    check(&[&deep], FormatError::Budget("depth of nesting"));
    check(&[b"]q\x00h\x00a."], FormatError::Budget("depth of nesting"));
    check(&[b"}q\x00K\x01h\x00s."], FormatError::Budget("depth of nesting"));
}

#[test]
fn case_22_a_long_list_that_holds_itself_takes_no_room_each_time() {
    // Itself, and a million times nothing; a copy for each of a hundred levels is 800 MB.
    let half = [b"(".as_slice(), &b"N".repeat(1 << 19), b"e"].concat();
    let list = [b"]q\x00(h\x00e".as_slice(), &half, &half, b"."].concat();
    let before = peak_memory();
    check(&[&list], FormatError::Budget("depth of nesting"));
    // Other tests run at the same time.
    assert!(peak_memory() - before < 400 << 20, "{} MiB", (peak_memory() - before) >> 20);
}

/// What this process has had at most, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn case_23_arguments_of_the_wrong_number_or_kind() {
    let rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n";
    let other = "a function is called with other arguments than it takes";
    check(&[rebuild, b")R."], problem(36, other));
    check(&[rebuild, b"K\x01\x85R."], problem(38, other));
    check(&[rebuild, b"NR."], problem(36, "arguments are not a tuple"));
    check(&[rebuild, b"(NNNNNNtR."], problem(43, "a tensor has no typed storage"));
    let id = |id: &[u8], at| {
        check(&[id, b"Q."], problem(at, "a persistent id is not that of a storage"));
    };
    id(b"(NNNNNt", 9);
    id(b"(X\x07\0\0\0storaget", 16);
    id(b"(X\x07\0\0\0storagectorch\nfloat32\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01t", 47);
    check(
        &[b"ctorch._utils\n_rebuild_parameter\nN\x88N\x87R."],
        problem(39, "a parameter is made of something else than a tensor"),
    );
}

#[test]
fn case_23_tensors_that_do_not_fit_their_storage() {
    let find = |pickle: Vec<u8>| match open(&[b"\x80\x02".as_slice(), &pickle].concat()) {
        Err(FormatError::Instruction { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    let beyond = "a tensor reaches beyond its storage";
    let negative = "a dimension or stride is negative, or no integer";
    let overflow = "a tensor's size overflows";
    let minus_one = b"J\xff\xff\xff\xff".as_slice();
    let max = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f".as_slice();
    let tuple = |it: &[u8]| [it, b"\x85"].concat();
    assert_eq!(find(tensor(4, b"K\x01", b"K\x04\x85", b"K\x01\x85")), beyond);
    assert_eq!(find(tensor(4, b"K\0", b"K\x02\x85", b"K\x04\x85")), beyond);
    assert_eq!(find(tensor(4, b"K\x04", b")", b")")), beyond);
    let offset = "a tensor's offset is negative, or no integer";
    assert_eq!(find(tensor(4, minus_one, b"K\x01\x85", b"K\x01\x85")), offset);
    assert_eq!(find(tensor(4, b"N", b"K\x01\x85", b"K\x01\x85")), offset);
    assert_eq!(find(tensor(4, b"K\0", &tuple(minus_one), b"K\x01\x85")), negative);
    assert_eq!(find(tensor(4, b"K\0", b"K\x02\x85", &tuple(minus_one))), negative);
    assert_eq!(find(tensor(4, b"K\0", &tuple(max), b"K\x01\x85")), overflow);
    assert_eq!(find(tensor(4, b"K\0", b"K\x03\x85", &tuple(max))), overflow);
    assert_eq!(find(tensor(4, max, b"K\x02\x85", b"K\x01\x85")), overflow);
    let dims = [b"(".as_slice(), &b"K\x01".repeat(65), b"t"].concat();
    assert_eq!(find(tensor(4, b"K\0", &dims, &dims)), "a tensor has more than 64 dimensions");
    let strides = "a tensor has more or fewer strides than dimensions";
    assert_eq!(find(tensor(4, b"K\0", b"K\x01\x85", b")")), strides);
    // An empty tensor has no element to be outside.
    let empty = tensor(4, max, b"K\0\x85", &tuple(max));
    open(&[b"\x80\x02".as_slice(), &empty].concat()).expect("empty");
}

#[test]
fn case_23_storages_of_another_length() {
    let pickle = tensor(3, b"K\0", b"K\x03\x85", b"K\x01\x85");
    let lied = FormatError::Storage {
        key: "0".to_owned(),
        problem: "it is shorter or longer than its tensors were told",
    };
    check(&[&pickle], lied.clone());
    let pickle = tensor(5, b"K\0", b"K\x05\x85", b"K\x01\x85");
    check(&[&pickle], lied);
    let two = FormatError::Storage {
        key: "0".to_owned(),
        problem: "it is named with two different lengths",
    };
    check(&[&storage(4), &storage(3), b"."], two);
    let pickle = storage(4);
    let missing = [&pickle[..pickle.len() - 4], b"K\x04tQ."].concat();
    let missing = String::from_utf8_lossy(&missing).replace("\u{1}\0\0\x000", "\u{1}\0\0\x007");
    // The storage itself is no data: it is a part of what tensors are made of.
    check(&[missing.as_bytes()], problem(0, "a part is left over"));
}

#[test]
fn case_23_a_view_that_repeats_its_storage() {
    // One element, 2^40 times.
    let shape = b"\x8a\x06\0\0\0\0\0\x01\x85";
    let pickle = [b"\x80\x02".as_slice(), &tensor(4, b"K\0", shape, b"K\0\x85")].concat();
    let file = PickleFile::from_bytes(archive(&pickle), Path::new("x.bin")).expect("a view");
    let tensor = file.value().as_tensor().expect("one").clone();
    let Err(Error::Format { source, .. }) = file.read(&tensor) else { panic!("4 TiB") };
    let problem = "a tensor repeats it beyond the budget";
    assert_eq!(source, FormatError::Storage { key: "0".to_owned(), problem });
}

/// A dictionary of tensors that all view the storage in the same way.
fn views(count: usize, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    for i in 0..count {
        pickle.extend(b"X\x06\0\0\0");
        pickle.extend(format!("{i:06}").as_bytes());
        let tensor = tensor(4, b"K\0", shape, strides);
        pickle.extend(&tensor[..tensor.len() - 1]);
    }
    pickle.extend(b"u.");
    pickle
}

fn named(pickle: &[u8]) -> Result<Vec<String>, FormatError> {
    let file = PickleFile::from_bytes(archive(pickle), Path::new("x.bin")).expect("data");
    match file.named_tensors() {
        Ok(named) => Ok(named.tensors.into_iter().map(|(name, _)| name).collect()),
        Err(Error::Format { source, .. }) => Err(source),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn case_23_views_that_repeat_their_storage_are_refused_by_their_total() {
    // A thousand of a MiB each, from a file of 200 kB.
    let many = views(1000, b"J\0\0\x04\0\x85", b"K\0\x85");
    let limit = archive(&many).len() as u64 * 32 + (64 << 20);
    assert_eq!(named(&many), Err(FormatError::Repeated { total: 1000 << 20, limit }));
    // One of 4 TiB.
    let one = views(1, b"\x8a\x06\0\0\0\0\0\x01\x85", b"K\0\x85");
    let limit = archive(&one).len() as u64 * 32 + (64 << 20);
    assert_eq!(named(&one), Err(FormatError::Repeated { total: 4 << 40, limit }));
    // Within reason it is not a bomb.
    assert_eq!(named(&views(50, b"K\x04\x85", b"K\x01\x85")).map(|it| it.len()), Ok(50));
}

#[test]
fn case_23_tensors_that_would_be_another_tensor_to_torch() {
    let tensor = tensor(4, b"K\0", b"K\x04\x85", b"K\x01\x85");
    let with = |metadata: &[u8]| [&tensor[..tensor.len() - 3], metadata, b"tR."].concat();
    check(
        &[&with(b"}X\x04\0\0\0conj\x88s")],
        problem(136, "a tensor is conjugated or negated lazily: save a clone of it"),
    );
    let harmless = [b"\x80\x02".as_slice(), &with(b"}X\x03\0\0\0neg\x89s")].concat();
    open(&harmless).expect("as it is");
}

#[test]
fn case_23_tensors_that_no_name_leads_to() {
    let tensor = tensor(4, b"K\0", b"K\x04\x85", b"K\x01\x85");
    let tensor = &tensor[..tensor.len() - 1];
    let hidden = FormatError::Unnamed {
        path: "?".to_owned(),
        problem: "it is an attribute of something, or nothing uses it",
    };
    // An attribute of the state dict, one that is thrown away, and an element of a set.
    let attribute = [b"\x80\x02}}X\x01\0\0\0a".as_slice(), tensor, b"sb."].concat();
    assert_eq!(named(&attribute), Err(hidden.clone()));
    assert_eq!(named(&[b"\x80\x02", tensor, b"0}."].concat()), Err(hidden));
    let unnamed =
        |path: &str, problem| Err(FormatError::Unnamed { path: path.to_owned(), problem });
    let in_set = [b"\x80\x02}X\x01\0\0\0a\x8f(".as_slice(), tensor, b"\x90s."].concat();
    assert_eq!(named(&in_set), unnamed("a", "it is in a set, which has no order"));
    let alone = [b"\x80\x02", tensor, b"."].concat();
    let problem = "it is all there is; save a dictionary of it: {\"name\": tensor}";
    assert_eq!(named(&alone), unnamed("", problem));
    let tuple = [b"\x80\x02}K\x01K\x02\x86".as_slice(), tensor, b"s."].concat();
    let problem = "its key is neither a string nor an integer";
    assert_eq!(named(&tuple), unnamed("", problem));
    let empty = [b"\x80\x02}X\0\0\0\0".as_slice(), tensor, b"s."].concat();
    assert_eq!(named(&empty), unnamed("", "its key is empty"));
    let long = [b"\x80\x02}X\x01\x10\0\0".as_slice(), &[b'a'; 4097], tensor, b"s."].concat();
    assert_eq!(named(&long), unnamed("", "its name would be over 4096 bytes"));
    check(&[b"}", tensor, b"Ns."], problem_of_key());
    // Two ways to the same name.
    let twice = [b"\x80\x02}(K\x01".as_slice(), tensor, b"X\x01\0\0\x001", tensor, b"u."];
    assert_eq!(named(&twice.concat()), Err(FormatError::DuplicateName("1".to_owned())));
    // A long key over many tensors would be in each of their names.
    let key = [b"X\xff\x0f\0\0".as_slice(), &[b'a'; 4095 - 100]].concat();
    let key = [b"X".as_slice(), &(4095u32 - 100).to_le_bytes(), &key[5..]].concat();
    let mut many = [b"\x80\x02}".as_slice(), &key, b"]("].concat();
    many.extend(tensor);
    many.extend(b"q\x00");
    many.extend(b"h\x00".repeat(40_000));
    many.extend(b"es.");
    assert_eq!(named(&many), Err(FormatError::Budget("length of names")));
}

fn problem_of_key() -> FormatError {
    problem(0, "a tensor is a key")
}

#[test]
fn case_23_items_for_something_else() {
    check(&[b"NK\x01K\x01s."], problem(7, "entries for something that is not a dictionary"));
    check(&[b"](NNu."], problem(6, "entries for something that is not a dictionary"));
    check(&[b"}Na."], problem(4, "elements for something that is not a list"));
    check(&[b"}(Ne."], problem(5, "elements for something that is not a list"));
    check(&[b"](N\x90."], problem(5, "elements for something that is not a set"));
    let twice = FormatError::DuplicateKey("a".to_owned());
    check(&[b"}(X\x01\0\0\0aNX\x01\0\0\0aNu."], twice);
}

#[test]
fn case_25_other_forms() {
    let open = |bytes: Vec<u8>| match PickleFile::from_bytes(bytes, Path::new("x.bin")) {
        Err(Error::Format { source, .. }) => source,
        other => panic!("{other:?}"),
    };
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    assert_eq!(open(tar), FormatError::Tar);
    assert_eq!(open(b"{\"a\": 1}".to_vec()), FormatError::NotAPickle);
    assert_eq!(open(Vec::new()), FormatError::Truncated { at: 0 });
    assert_eq!(open(b"\x80\x02K\x01.".to_vec()), FormatError::NotAPickle);

    let mut out = Vec::new();
    let mut zip = ZipWriter::new(&mut out);
    zip.member("x/data.pkl", b"\x80\x02N.").expect("writing to memory");
    zip.member("x/byteorder", b"big").expect("writing to memory");
    zip.finish().expect("writing to memory");
    assert_eq!(open(out), FormatError::Endianness);
}

#[test]
fn case_25_legacy_file_cut_short_or_appended_to() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/views-legacy.bin");
    let bytes = std::fs::read(path).expect("a fixture");
    let open = |bytes: &[u8]| match PickleFile::from_bytes(bytes.to_vec(), Path::new("x.bin")) {
        Err(Error::Format { source, .. }) => Some(source),
        Ok(_) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(open(&bytes), None);
    for len in 0..bytes.len() {
        assert_ne!(open(&bytes[..len]), None, "{len}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert_eq!(open(&longer), Some(FormatError::Archive("something is appended to it")));
}

#[test]
fn case_26_protocols_0_and_1() {
    let open = |bytes: &[u8]| match PickleFile::from_bytes(bytes.to_vec(), Path::new("x.bin")) {
        Err(Error::Format { source, .. }) => source,
        other => panic!("{other:?}"),
    };
    assert_eq!(open(b"cos\nsystem\n(S'id'\ntR."), FormatError::NotAPickle);
    assert_eq!(open(b"(dp0\n."), FormatError::NotAPickle);
    assert_eq!(open(b"\x80\x01}q\x00."), FormatError::Protocol(1));
    assert_eq!(open(b"\x80\x06}."), FormatError::Protocol(6));
}
