//! A copy of everything a checkpoint holds, to be written behind the next steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pretrained_artifact::Unchanged;
use tch::{Device, Tensor};

use crate::{Error, ParamMap, optimizer::Writer, save::ModelFiles};

/// Buffers in host memory that a state is copied into, again and again.
#[derive(Debug)]
pub(crate) struct Snapshots {
    buffers: Arc<Mutex<Buffers>>,
    frozen: Frozen,
    unchanged: Arc<Mutex<Unchanged>>,
}

/// Parameters that nothing should change. If somebody does, it is noticed.
#[derive(Debug)]
struct Frozen {
    names: BTreeSet<String>,
    /// How often each had been written to when it was last copied, or saved.
    copied: BTreeMap<String, i64>,
    saved: BTreeMap<String, i64>,
}

#[derive(Debug, Default)]
struct Buffers {
    params: ParamMap,
    state: ParamMap,
}

impl Snapshots {
    pub(crate) fn new(frozen: &BTreeSet<String>) -> Snapshots {
        let unchanged = Arc::new(Mutex::new(Unchanged::new(frozen.clone())));
        let [copied, saved] = Default::default();
        let frozen = Frozen { names: frozen.clone(), copied, saved };
        Snapshots { buffers: Arc::default(), frozen, unchanged }
    }

    /// What saves of these have in common, those behind the steps and those in line.
    pub(crate) fn unchanged(&mut self, params: &ParamMap) -> MutexGuard<'_, Unchanged> {
        let mut unchanged = self.unchanged.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = self.frozen.versions(params);
        if versions != self.frozen.saved {
            unchanged.clear();
            self.frozen.saved = versions;
        }
        unchanged
    }

    /// Copies parameters, and an optimizer's state if there is one. What is given back writes them
    /// into a directory; until it has, nothing is copied over them.
    pub(crate) fn take(
        &mut self,
        files: ModelFiles,
        params: &ParamMap,
        state: Option<(&ParamMap, Writer)>,
    ) -> Result<impl FnOnce(&Path) -> Result<(), Error> + Send + use<>, Error> {
        if Arc::strong_count(&self.buffers) > 1 {
            // Somebody still writes from these.
            self.buffers = Arc::default();
            self.frozen.copied.clear();
        }
        drop(self.unchanged(params));
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        // What is frozen has been copied, unless somebody has written to it since.
        let versions = self.frozen.versions(params);
        let is_copied = |name: &String| {
            versions.get(name).is_some_and(|it| self.frozen.copied.get(name) == Some(it))
        };
        copy(&mut buffers.params, params.iter().filter(|(name, _)| !is_copied(name)))?;
        self.frozen.copied = versions;
        let writer = match state {
            Some((state, writer)) => {
                copy(&mut buffers.state, state.iter())?;
                Some(writer)
            }
            None => None,
        };
        drop(buffers);
        let (buffers, unchanged) = (Arc::clone(&self.buffers), Arc::clone(&self.unchanged));
        Ok(move |dir: &Path| {
            let buffers = buffers.lock().unwrap_or_else(PoisonError::into_inner);
            let mut unchanged = unchanged.lock().unwrap_or_else(PoisonError::into_inner);
            files.write_into(dir, &buffers.params, &mut unchanged)?;
            drop(unchanged);
            writer.map_or(Ok(()), |it| it.write(dir, &buffers.state))
        })
    }
}

impl Frozen {
    /// How often each has been written to.
    fn versions(&self, params: &ParamMap) -> BTreeMap<String, i64> {
        let frozen = self.names.iter().filter_map(|it| params.get_key_value(it));
        frozen.map(|(name, it)| (name.clone(), it.internal_version())).collect()
    }
}

fn copy<'a>(
    buffers: &mut ParamMap,
    tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
) -> Result<(), Error> {
    let _guard = tch::no_grad_guard();
    for (name, tensor) in tensors {
        if !buffers.contains_key(name) {
            let options = (tensor.kind(), Device::Cpu);
            buffers.insert(name.clone(), Tensor::f_empty(tensor.size(), options)?);
        }
        if let Some(buffer) = buffers.get_mut(name) {
            buffer.f_copy_(tensor)?;
        }
    }
    Ok(())
}
