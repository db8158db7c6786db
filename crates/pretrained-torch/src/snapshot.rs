//! A copy of everything a checkpoint holds, to be written behind the next steps.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use tch::{Device, Tensor};

use crate::{Error, ParamMap, optimizer::Writer, save::ModelFiles};

/// Buffers in host memory that a state is copied into, again and again.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    buffers: Arc<Mutex<Buffers>>,
}

#[derive(Debug, Default)]
struct Buffers {
    params: ParamMap,
    state: ParamMap,
}

impl Snapshots {
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
        copy(&mut buffers.params, params)?;
        let writer = match state {
            Some((state, writer)) => {
                copy(&mut buffers.state, state)?;
                Some(writer)
            }
            None => None,
        };
        drop(buffers);
        let buffers = Arc::clone(&self.buffers);
        Ok(move |dir: &Path| {
            let buffers = buffers.lock().unwrap_or_else(PoisonError::into_inner);
            files.write_into(dir, &buffers.params)?;
            writer.map_or(Ok(()), |it| it.write(dir, &buffers.state))
        })
    }
}

fn copy(buffers: &mut ParamMap, tensors: &ParamMap) -> Result<(), Error> {
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
