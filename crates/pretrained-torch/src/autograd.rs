//! Steps of a network whose gradient is made here and not by libtorch's operators one by one.
//!
//! libtorch remembers for each operator what its gradient needs. What is cheap to make again need not be
//! remembered, and what one pass over memory can do need not take five.

use std::{
    ffi::{c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
};

use tch::Tensor;

use crate::{
    Error,
    ops::{self, CTensor, attempt},
};

/// Makes `output` a function of `inputs` whose gradient is `backward`'s: given the gradient of the output, it
/// returns that of each input, in their order; `None` for one that has none, or to which it has been added
/// already.
///
/// The output has been made with nothing remembered. `backward` is called once at most, and holds
/// inputs only by [`Tensor::detach`], or they would never be freed.
///
/// Panics where libtorch throws, as tch's operators do; see [`guarded`](crate::guard::guarded).
pub(crate) fn function(
    inputs: &[&Tensor],
    output: Tensor,
    backward: impl FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>, Error> + Send + 'static,
) -> Tensor {
    if !is_remembered(inputs) {
        return output;
    }
    let it: Box<Backward> = Box::new(Some(Box::new(backward)));
    let pointers: Vec<*const CTensor> = inputs.iter().map(|it| it.as_ptr().cast()).collect();
    // SAFETY: tch's tensors are `at::Tensor`s behind their pointers, and outlive the call. The closure is
    // given away, to be called by `call` and dropped by `discard`, also where this fails.
    #[allow(unsafe_code)]
    let done = attempt(|error, error_len| unsafe {
        pretrained_function(
            pointers.as_ptr(),
            pointers.len(),
            output.as_ptr().cast(),
            Box::into_raw(it).cast(),
            call,
            discard,
            error,
            error_len,
        )
    });
    match done {
        Ok(()) => output,
        Err(e) => panic!("{e}"),
    }
}

/// Whether what is made of these is remembered for a gradient.
pub(crate) fn is_remembered(inputs: &[&Tensor]) -> bool {
    ops::grad_is_enabled() && inputs.iter().any(|it| it.requires_grad())
}

type Backward =
    Option<Box<dyn FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>, Error> + Send + 'static>>;

/// # Safety
/// The first is a [`Backward`] that nobody else uses; the gradient is an `at::Tensor`; there are `n` slots,
/// `at::Tensor`s, and `error_len` bytes, zeroes.
#[allow(unsafe_code)]
unsafe extern "C" fn call(
    backward: *mut c_void,
    gradient: *const CTensor,
    slots: *mut CTensor,
    n: usize,
    error: *mut c_char,
    error_len: usize,
) -> bool {
    // SAFETY: The caller's promise.
    let (backward, gradient) = unsafe {
        (&mut *backward.cast::<Backward>(), Tensor::clone_from_ptr(gradient.cast_mut().cast()))
    };
    let run = || {
        let backward = backward.take().ok_or_else(|| Error::Torch(TWICE.to_owned()))?;
        let _guard = tch::no_grad_guard();
        backward(&gradient)
    };
    let grads = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map_or("a panic", String::as_str);
        Err(Error::Torch(text.to_owned()))
    });
    match grads {
        Ok(grads) => {
            for (i, grad) in grads.iter().take(n).enumerate() {
                if let Some(grad) = grad {
                    // SAFETY: There are so many slots, and the gradient outlives the call.
                    unsafe { pretrained_assign(slots, i, grad.as_ptr().cast()) };
                }
            }
            true
        }
        Err(e) => {
            let text = e.to_string();
            for (i, &byte) in text.as_bytes().iter().take(error_len.saturating_sub(1)).enumerate() {
                // SAFETY: There are so many bytes, and the last stays zero.
                unsafe { error.add(i).write(byte as c_char) };
            }
            false
        }
    }
}

/// # Safety
/// It is a [`Backward`] from [`Box::into_raw`], and not used again.
#[allow(unsafe_code)]
unsafe extern "C" fn discard(backward: *mut c_void) {
    // What is dropped are tensors, whose drop does not panic; if it did, the process would have to end.
    // SAFETY: The caller's promise.
    drop(unsafe { Box::from_raw(backward.cast::<Backward>()) });
}

const TWICE: &str = "a gradient is asked for a second time";

#[allow(unsafe_code)]
unsafe extern "C" {
    fn pretrained_function(
        inputs: *const *const CTensor,
        n: usize,
        output: *const CTensor,
        backward: *mut c_void,
        call: unsafe extern "C" fn(
            *mut c_void,
            *const CTensor,
            *mut CTensor,
            usize,
            *mut c_char,
            usize,
        ) -> bool,
        discard: unsafe extern "C" fn(*mut c_void),
        error: *mut c_char,
        error_len: usize,
    ) -> bool;
    fn pretrained_assign(slots: *mut CTensor, i: usize, value: *const CTensor);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tch::{Device, Kind};

    use super::*;

    fn numbers(n: i64) -> Tensor {
        Tensor::arange(n, (Kind::Float, Device::Cpu))
    }

    /// `x · y`, in a way of its own.
    fn product(x: &Tensor, y: &Tensor, held: Arc<()>) -> Tensor {
        let (a, b) = (x.detach(), y.detach());
        let out = tch::no_grad(|| &a * &b);
        function(&[x, y], out, move |grad| {
            drop(held);
            Ok(vec![Some(grad * &b), Some(grad * &a)])
        })
    }

    #[test]
    fn gradients_are_those_of_the_closure_which_is_then_dropped() {
        let x = numbers(3).set_requires_grad(true);
        let y = (numbers(3) + 1.0).set_requires_grad(true);
        let held = Arc::new(());
        let z = product(&x, &(&y * 2.0), held.clone());
        assert_eq!(Arc::strong_count(&held), 2);
        (&z * 3.0).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(x.grad()).expect("numbers"), [6.0, 12.0, 18.0]);
        assert_eq!(Vec::<f32>::try_from(y.grad()).expect("numbers"), [0.0, 6.0, 12.0]);
        assert_eq!(Arc::strong_count(&held), 1);

        let unused = product(&x, &y, held.clone());
        drop(unused);
        assert_eq!(Arc::strong_count(&held), 1, "dropped with what it belongs to");
    }

    #[test]
    fn nothing_is_remembered_where_nothing_is_asked() {
        let (x, held) = (numbers(3), Arc::new(()));
        let z = product(&x, &x, held.clone());
        assert!(!z.requires_grad() && Arc::strong_count(&held) == 1);
    }

    #[test]
    fn a_failure_or_a_panic_in_the_closure_is_the_error_of_the_whole() {
        for panics in [false, true] {
            let x = numbers(3).set_requires_grad(true);
            let z = function(&[&x], numbers(3), move |_| {
                assert!(!panics, "it panicked");
                Err(Error::Torch("it failed".to_owned()))
            });
            let error = ops::backward(&z, &numbers(3)).expect_err("fails").to_string();
            let expected = if panics { "it panicked" } else { "it failed" };
            assert!(error.contains(expected) || panics && error.contains("a panic"), "{error}");
        }
    }
}
