//! Operators of libtorch that tch does not bind; `ops.cpp` is the other half.

use std::ffi::c_char;

use tch::{Device, Kind, Tensor};

use crate::Error;

/// How one update of AdamW is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FusedAdamW {
    /// Counts from 1.
    pub(crate) step: f64,
    pub(crate) learning_rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) eps: f64,
}

/// What a parameter is updated with and from.
#[derive(Debug)]
pub(crate) struct Moments {
    pub(crate) param: Tensor,
    pub(crate) grad: Tensor,
    pub(crate) exp_avg: Tensor,
    pub(crate) exp_avg_sq: Tensor,
}

/// Updates parameters and moments in one pass over memory, as PyTorch's `adamw_torch_fused` does.
#[allow(unsafe_code)]
pub(crate) fn fused_adamw(c: &FusedAdamW, all: &[Moments]) -> Result<(), Error> {
    let Some(first) = all.first() else { return Ok(()) };
    let step = Tensor::from(c.step).to_kind(Kind::Float).to_device(first.param.device());
    let pointers = |of: fn(&Moments) -> &Tensor| {
        all.iter().map(|it| of(it).as_ptr().cast()).collect::<Vec<*const CTensor>>()
    };
    let (params, grads) = (pointers(|it| &it.param), pointers(|it| &it.grad));
    let (m, v) = (pointers(|it| &it.exp_avg), pointers(|it| &it.exp_avg_sq));
    let steps: Vec<*const CTensor> = vec![step.as_ptr().cast(); all.len()];

    let _guard = tch::no_grad_guard();
    // SAFETY: tch's tensors are `at::Tensor`s behind their pointers, and outlive the call; each list
    // has `all.len()` of them; the error has its length, and stays terminated.
    attempt(|error, error_len| unsafe {
        pretrained_fused_adamw(
            params.as_ptr(),
            grads.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            steps.as_ptr(),
            all.len(),
            c.learning_rate,
            c.beta1,
            c.beta2,
            c.weight_decay,
            c.eps,
            error,
            error_len,
        )
    })
}

/// Runs a function of `ops.cpp`, which returns whether it is done, and else writes why not.
pub(crate) fn attempt(run: impl FnOnce(*mut c_char, usize) -> bool) -> Result<(), Error> {
    let mut error: [c_char; 512] = [0; 512];
    if run(error.as_mut_ptr(), error.len()) {
        return Ok(());
    }
    // It was zeroes, of which the last is never written.
    let text: Vec<u8> = error.iter().take_while(|it| **it != 0).map(|it| *it as u8).collect();
    Err(Error::Torch(String::from_utf8_lossy(&text).into_owned()))
}

/// Memory that a device copies from on its own.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Of bytes, on the CPU, seen by nobody else.
    tensor: Tensor,
}

impl Staged {
    /// So many bytes; pinned, so that a GPU can fetch them, or not.
    #[allow(unsafe_code)]
    pub(crate) fn new(len: usize, is_pinned: bool) -> Result<Staged, Error> {
        let tensor = Tensor::f_empty([0], (Kind::Uint8, Device::Cpu))?;
        // SAFETY: tch's tensors are `at::Tensor`s behind their pointers; this one is ours alone, and
        // becomes another one.
        attempt(|error, error_len| unsafe {
            let tensor = tensor.as_ptr().cast::<CTensor>();
            pretrained_staged(tensor.cast_mut(), len, is_pinned, error, error_len)
        })?;
        Ok(Staged { tensor })
    }

    /// What is to be copied.
    #[allow(unsafe_code)]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        let (start, len) = (self.tensor.data_ptr().cast::<u8>(), self.tensor.numel());
        if len == 0 {
            return &mut [];
        }
        // SAFETY: So many bytes are there, on the CPU; the tensor is ours alone.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// Copies them, which may go on after this returns; libtorch keeps the memory until it has ended.
    #[allow(unsafe_code)]
    pub(crate) fn copy_to(self, to: &mut Tensor) -> Result<(), Error> {
        // SAFETY: Both are `at::Tensor`s behind their pointers.
        attempt(|error, error_len| unsafe {
            let (to, from) = (to.as_ptr().cast(), self.tensor.as_ptr().cast());
            pretrained_copy_async(to, from, error, error_len)
        })
    }
}

/// Adds to the gradients of all that a tensor was made of, given its own.
#[allow(unsafe_code)]
pub(crate) fn backward(tensor: &Tensor, gradient: &Tensor) -> Result<(), Error> {
    // SAFETY: Both are `at::Tensor`s behind their pointers.
    attempt(|error, error_len| unsafe {
        let (tensor, gradient) = (tensor.as_ptr().cast(), gradient.as_ptr().cast());
        pretrained_backward(tensor, gradient, error, error_len)
    })
}

/// Frees the gradient of a parameter, so that the next one need not be added to it.
#[allow(unsafe_code)]
pub(crate) fn clear_gradient(parameter: &Tensor) {
    // SAFETY: It is an `at::Tensor` behind its pointer.
    unsafe { pretrained_clear_gradient(parameter.as_ptr().cast()) };
}

/// Runs a closure in which matrices are multiplied in bfloat16; the rest, and what is remembered
/// for the gradient of the parameters, stays as it is.
pub(crate) fn autocast<T>(enabled: bool, device: Device, run: impl FnOnce() -> T) -> T {
    let _guard = enabled.then(|| Autocast::begin(device.is_cuda()));
    run()
}

/// Ends it also when a panic goes through.
struct Autocast {
    cuda: bool,
}

impl Autocast {
    #[allow(unsafe_code)]
    fn begin(cuda: bool) -> Autocast {
        // SAFETY: Sets this thread's mode; `drop` sets it back.
        unsafe { pretrained_autocast_begin(cuda) };
        Autocast { cuda }
    }
}

impl Drop for Autocast {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: It has begun, on this thread, since a guard cannot leave the closure's caller.
        unsafe { pretrained_autocast_end(self.cuda) };
    }
}

/// Runs a closure in which nothing is cast.
pub(crate) fn without_autocast<T>(run: impl FnOnce() -> T) -> T {
    struct Paused(bool);

    impl Drop for Paused {
        #[allow(unsafe_code)]
        fn drop(&mut self) {
            // SAFETY: Sets this thread's mode to what it was.
            unsafe { pretrained_autocast_set(self.0) };
        }
    }

    let was_enabled = autocast_is_enabled();
    // SAFETY: Sets this thread's mode; `drop` sets it back, also when a panic goes through.
    #[allow(unsafe_code)]
    let _paused = unsafe {
        pretrained_autocast_set(false);
        Paused(was_enabled)
    };
    run()
}

/// Whether operators remember, on this thread, what gradients need.
#[allow(unsafe_code)]
pub(crate) fn grad_is_enabled() -> bool {
    // SAFETY: Reads this thread's mode.
    unsafe { pretrained_grad_is_enabled() }
}

/// Whether operators on the CPU cast what they get, on this thread.
#[allow(unsafe_code)]
pub(crate) fn autocast_is_enabled() -> bool {
    // SAFETY: Reads this thread's mode.
    unsafe { pretrained_autocast_is_enabled() }
}

/// An `at::Tensor`.
pub(crate) enum CTensor {}

#[allow(unsafe_code)]
unsafe extern "C" {
    fn pretrained_fused_adamw(
        params: *const *const CTensor,
        grads: *const *const CTensor,
        exp_avgs: *const *const CTensor,
        exp_avg_sqs: *const *const CTensor,
        steps: *const *const CTensor,
        n: usize,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        error: *mut c_char,
        error_len: usize,
    ) -> bool;
    fn pretrained_staged(
        tensor: *mut CTensor,
        len: usize,
        is_pinned: bool,
        error: *mut c_char,
        error_len: usize,
    ) -> bool;
    fn pretrained_copy_async(
        to: *const CTensor,
        from: *const CTensor,
        error: *mut c_char,
        error_len: usize,
    ) -> bool;
    fn pretrained_backward(
        tensor: *const CTensor,
        gradient: *const CTensor,
        error: *mut c_char,
        error_len: usize,
    ) -> bool;
    fn pretrained_clear_gradient(parameter: *const CTensor);
    fn pretrained_autocast_begin(cuda: bool);
    fn pretrained_autocast_end(cuda: bool);
    fn pretrained_autocast_set(enabled: bool);
    fn pretrained_grad_is_enabled() -> bool;
    fn pretrained_autocast_is_enabled() -> bool;
}
