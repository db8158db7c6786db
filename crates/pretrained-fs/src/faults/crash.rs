//! What a power loss may leave, computed from the operations that were made.
//!
//! The model is POSIX' with one addition that every journaling file system makes: a rename or an
//! exchange happens whole or not at all. Beyond that an entry of a directory is certain only after
//! the directory's sync and a file's bytes only after the file's; everything younger may be lost,
//! in any combination.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    faults::{
        Answer, Watch,
        loss::{Loss, subsets},
        observe,
    },
    seam::{Call, Op},
};

/// Records what is done below a directory. Syncs are noted, and not done unless asked for.
#[derive(Debug)]
pub struct Recording {
    trace: Arc<Mutex<Trace>>,
    _watch: Watch,
}

/// The operations of a [`Recording`].
#[derive(Debug, Clone)]
pub struct Trace {
    root: PathBuf,
    /// Directories have entries, files have none.
    initial: BTreeMap<Node, BTreeMap<OsString, Node>>,
    initial_data: BTreeMap<Node, Arc<[u8]>>,
    events: Vec<Event>,
    /// As the process sees it.
    entries: BTreeMap<Node, BTreeMap<OsString, Node>>,
    data: BTreeMap<Node, Arc<[u8]>>,
    links: BTreeMap<Node, PathBuf>,
    n_nodes: Node,
}

/// Files and directories as a crash may leave them, by their paths below the recorded directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tree(BTreeMap<PathBuf, Entry>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Entry {
    Dir,
    File(Arc<[u8]>),
    /// A symbolic link. What it says is as certain as that it is there.
    Link(PathBuf),
}

type Node = usize;
const ROOT: Node = 0;

#[derive(Debug, Clone)]
enum Event {
    /// Entries that change together.
    Entries(Vec<(Node, OsString, Option<Node>)>),
    /// A file's content from here on.
    Data(Node, Arc<[u8]>),
    SyncFile(Node),
    SyncDir(Node),
}

impl Recording {
    /// Takes what is below `root` as durable and records from here on.
    ///
    /// # Errors
    ///
    /// Something below `root` cannot be listed or read.
    pub fn start(root: &Path) -> io::Result<Recording> {
        Recording::start_with(root, |_| Answer::Pretend)
    }

    /// Like [`start`](Recording::start), on a file system that answers like this.
    ///
    /// # Errors
    ///
    /// As for [`start`](Recording::start).
    pub fn start_with(
        root: &Path,
        answer: impl Fn(&Call<'_>) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Recording> {
        let mut trace = Trace {
            root: root.to_owned(),
            initial: BTreeMap::new(),
            initial_data: BTreeMap::new(),
            events: Vec::new(),
            entries: BTreeMap::from([(ROOT, BTreeMap::new())]),
            data: BTreeMap::new(),
            links: BTreeMap::new(),
            n_nodes: 1,
        };
        trace.take(root, ROOT)?;
        trace.initial = trace.entries.clone();
        trace.initial_data = trace.data.clone();
        let trace = Arc::new(Mutex::new(trace));
        let seen = Arc::clone(&trace);
        let watch = observe(root, answer, move |call| lock(&seen).push(call));
        Ok(Recording { trace, _watch: watch })
    }

    /// The number of events so far.
    pub fn n_events(&self) -> usize {
        lock(&self.trace).events.len()
    }

    /// Ends the recording.
    pub fn finish(self) -> Trace {
        lock(&self.trace).clone()
    }
}

fn lock(trace: &Mutex<Trace>) -> MutexGuard<'_, Trace> {
    trace.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trace {
    /// The number of events after each of which a crash can be replayed.
    pub fn n_events(&self) -> usize {
        self.events.len()
    }

    /// What a power loss after the first `n` events may leave: every subset of few unsynced
    /// changes; of many, each one alone lost, each one alone kept, each prefix, and a sample.
    pub fn after_power_loss(&self, n: usize) -> BTreeSet<Tree> {
        let events = &self.events[..n];
        let pending = self.pending(events);
        let has_dirty_data = events.iter().enumerate().any(|(i, event)| match event {
            Event::Data(node, _) => !is_file_synced(&events[i..], *node),
            _ => false,
        });
        let losses: &[Loss] = match has_dirty_data {
            true => {
                &[Loss::All, Loss::Nothing, Loss::Bytes, Loss::Half, Loss::Mixed(1), Loss::Mixed(2)]
            }
            false => &[Loss::Nothing],
        };
        let mut trees = BTreeSet::new();
        for kept in subsets(pending.len()) {
            let kept: BTreeSet<usize> =
                pending.iter().zip(&kept).filter(|it| *it.1).map(|it| *it.0).collect();
            let kept = self.with_predecessors(kept, &pending);
            for loss in losses {
                trees.insert(self.replay(events, &pending, &kept, *loss));
            }
        }
        trees
    }

    /// What is there after the first `n` events if only the process dies.
    pub fn after_process_death(&self, n: usize) -> Tree {
        self.replay(&self.events[..n], &[], &BTreeSet::new(), Loss::Nothing)
    }

    /// The changes of entries that no sync has made certain.
    fn pending(&self, events: &[Event]) -> Vec<usize> {
        let is_pending = |i: &usize| match &events[*i] {
            Event::Entries(changes) => !events[*i..].iter().any(|later| match later {
                Event::SyncDir(dir) => changes.iter().any(|it| it.0 == *dir),
                _ => false,
            }),
            _ => false,
        };
        (0..events.len()).filter(is_pending).collect()
    }

    /// A directory has one place: if a later move of it is kept, the earlier ones are.
    fn with_predecessors(&self, kept: BTreeSet<usize>, pending: &[usize]) -> BTreeSet<usize> {
        let dirs_of = |i: usize| -> BTreeSet<Node> {
            match &self.events[i] {
                Event::Entries(changes) => {
                    let nodes = changes.iter().filter_map(|it| it.2);
                    nodes.filter(|it| self.entries.contains_key(it)).collect()
                }
                _ => BTreeSet::new(),
            }
        };
        let mut res = kept.clone();
        for &later in kept.iter().rev() {
            let dirs = dirs_of(later);
            let earlier = pending.iter().filter(|it| **it < later);
            res.extend(earlier.filter(|it| !dirs_of(**it).is_disjoint(&dirs)));
        }
        res
    }

    fn replay(
        &self,
        events: &[Event],
        pending: &[usize],
        kept: &BTreeSet<usize>,
        loss: Loss,
    ) -> Tree {
        let mut entries = self.initial.clone();
        let mut durable = self.initial_data.clone();
        let mut current = self.initial_data.clone();
        for (i, event) in events.iter().enumerate() {
            match event {
                Event::Entries(_) if pending.contains(&i) && !kept.contains(&i) => (),
                Event::Entries(changes) => {
                    for (dir, name, node) in changes {
                        let dir = entries.entry(*dir).or_default();
                        match node {
                            Some(node) => dir.insert(name.clone(), *node),
                            None => dir.remove(name),
                        };
                    }
                }
                Event::Data(node, bytes) => {
                    current.insert(*node, Arc::clone(bytes));
                }
                Event::SyncFile(node) => {
                    let bytes = current.get(node).cloned();
                    bytes.map(|it| durable.insert(*node, it));
                }
                Event::SyncDir(_) => (),
            }
        }
        let mut tree = Tree(BTreeMap::new());
        let bytes_of = |node: Node| {
            let none: Arc<[u8]> = Arc::from([]);
            let durable = durable.get(&node).unwrap_or(&none);
            let current = current.get(&node).unwrap_or(&none);
            loss.of(node as u64, durable, current)
        };
        let is_dir = |node: Node| self.entries.contains_key(&node);
        let mut open = vec![(ROOT, PathBuf::new())];
        while let Some((node, path)) = open.pop() {
            for (name, child) in entries.get(&node).into_iter().flatten() {
                let path = path.join(name);
                if is_dir(*child) {
                    tree.0.insert(path.clone(), Entry::Dir);
                    open.push((*child, path));
                } else if let Some(target) = self.links.get(child) {
                    tree.0.insert(path, Entry::Link(target.clone()));
                } else {
                    tree.0.insert(path, Entry::File(bytes_of(*child)));
                }
            }
        }
        tree
    }

    /// Adds what is on disk now.
    fn take(&mut self, path: &Path, node: Node) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let child = self.new_node();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.entries.insert(child, BTreeMap::new());
                self.take(&entry.path(), child)?;
            } else if kind.is_symlink() {
                self.links.insert(child, fs::read_link(entry.path())?);
            } else {
                self.data.insert(child, fs::read(entry.path())?.into());
            }
            self.entries.entry(node).or_default().insert(entry.file_name(), child);
        }
        Ok(())
    }

    fn push(&mut self, call: &Call<'_>) {
        match call.op {
            Op::CreateDir | Op::CreateFile | Op::Symlink => {
                let Some((dir, name)) = self.place(call.path) else { return };
                if self.child(dir, &name).is_some() {
                    return;
                }
                let node = self.new_node();
                match (call.op, call.to) {
                    (Op::CreateDir, _) => drop(self.entries.insert(node, BTreeMap::new())),
                    (Op::Symlink, Some(to)) => drop(self.links.insert(node, to.to_owned())),
                    _ => drop(self.data.insert(node, Arc::from([]))),
                }
                self.change(vec![(dir, name, Some(node))]);
            }
            Op::Write => {
                let Some(node) = self.find(call.path) else { return };
                let mut bytes = self.data.get(&node).map(|it| it.to_vec()).unwrap_or_default();
                let offset = call.offset.map_or(bytes.len(), |it| it as usize);
                let end = offset + call.bytes.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[offset..end].copy_from_slice(call.bytes);
                self.set_data(node, bytes.into());
            }
            Op::Truncate => {
                if let Some(node) = self.find(call.path) {
                    self.set_data(node, Arc::from([]));
                }
            }
            Op::Clone => {
                let to = call.to.and_then(|it| self.find(it));
                let from = self.find(call.path).and_then(|it| self.data.get(&it).cloned());
                if let Some((to, bytes)) = to.zip(from) {
                    self.set_data(to, bytes);
                }
            }
            Op::SyncFile => {
                if let Some(node) = self.find(call.path) {
                    self.events.push(Event::SyncFile(node));
                }
            }
            Op::SyncDir => {
                if let Some(node) = self.find(call.path) {
                    self.events.push(Event::SyncDir(node));
                }
            }
            Op::Rename | Op::Exchange | Op::Link => {
                let from = self.place(call.path);
                let to = call.to.and_then(|it| self.place(it));
                let Some((from, to)) = from.zip(to) else { return };
                let node = self.child(from.0, &from.1);
                let back = match call.op {
                    Op::Exchange => self.child(to.0, &to.1),
                    _ => None,
                };
                let mut changes = vec![(to.0, to.1, node)];
                if call.op != Op::Link {
                    changes.push((from.0, from.1, back));
                }
                self.change(changes);
            }
            Op::RemoveFile | Op::RemoveDir => {
                if let Some((dir, name)) = self.place(call.path) {
                    self.change(vec![(dir, name, None)]);
                }
            }
            _ => (),
        }
    }

    fn change(&mut self, changes: Vec<(Node, OsString, Option<Node>)>) {
        for (dir, name, node) in &changes {
            let dir = self.entries.entry(*dir).or_default();
            match node {
                Some(node) => dir.insert(name.clone(), *node),
                None => dir.remove(name),
            };
        }
        self.events.push(Event::Entries(changes));
    }

    fn set_data(&mut self, node: Node, bytes: Arc<[u8]>) {
        self.data.insert(node, Arc::clone(&bytes));
        self.events.push(Event::Data(node, bytes));
    }

    fn new_node(&mut self) -> Node {
        self.n_nodes += 1;
        self.n_nodes - 1
    }

    fn find(&self, path: &Path) -> Option<Node> {
        let path = path.strip_prefix(&self.root).ok()?;
        path.iter().try_fold(ROOT, |node, name| self.entries.get(&node)?.get(name).copied())
    }

    /// A path's directory, and its name there.
    fn place(&self, path: &Path) -> Option<(Node, OsString)> {
        Some((self.find(path.parent()?)?, path.file_name()?.to_owned()))
    }

    fn child(&self, dir: Node, name: &OsString) -> Option<Node> {
        self.entries.get(&dir)?.get(name).copied()
    }
}

impl Tree {
    /// Makes it real in an empty directory.
    ///
    /// # Errors
    ///
    /// Something of it is in `dir` already, or cannot be written there.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        for (path, bytes) in &self.0 {
            match bytes {
                Entry::Dir => fs::create_dir(dir.join(path))?,
                Entry::File(bytes) => fs::write(dir.join(path), bytes)?,
                Entry::Link(target) => std::os::unix::fs::symlink(target, dir.join(path))?,
            }
        }
        Ok(())
    }
}

fn is_file_synced(later: &[Event], node: Node) -> bool {
    later.iter().any(|it| matches!(it, Event::SyncFile(synced) if *synced == node))
}
