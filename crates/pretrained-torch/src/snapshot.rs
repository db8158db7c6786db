//! A copy of everything a checkpoint holds, to be written behind the next steps.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pretrained_artifact::Unchanged;
use tch::{Device, Tensor};

use crate::{Error, ParamMap, frozen, optimizer::Writer, save::ModelFiles};

/// Buffers in host memory that a state is copied into, again and again.
#[derive(Debug)]
pub(crate) struct Snapshots {
    buffers: Arc<Mutex<Buffers>>,
    /// Parameters that are not copied, as nothing changes them.
    frozen: BTreeSet<String>,
    unchanged: Arc<Mutex<Unchanged>>,
}

#[derive(Debug, Default)]
struct Buffers {
    params: ParamMap,
    state: ParamMap,
}

impl Snapshots {
    pub(crate) fn new(frozen: &BTreeSet<String>) -> Snapshots {
        let unchanged = Arc::new(Mutex::new(Unchanged::new(frozen.clone())));
        Snapshots { buffers: Arc::default(), frozen: frozen.clone(), unchanged }
    }

    /// What saves have in common, those behind the steps and those in line.
    pub(crate) fn unchanged(&self) -> MutexGuard<'_, Unchanged> {
        self.unchanged.lock().unwrap_or_else(PoisonError::into_inner)
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
        }
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let [trained, frozen] = frozen::split(params, &self.frozen);
        copy(&mut buffers.params, trained)?;
        buffers
            .params
            .extend(frozen.into_iter().map(|(name, it)| (name.clone(), it.shallow_clone())));
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
