use std::marker::PhantomData;

/// Numbers that several threads write, each its own.
pub(crate) struct Output<'a, T> {
    start: *mut T,
    len: usize,
    _borrowed: PhantomData<&'a mut [T]>,
}

impl<'a, T> Output<'a, T> {
    pub(crate) fn new(numbers: &'a mut [T]) -> Output<'a, T> {
        Output { start: numbers.as_mut_ptr(), len: numbers.len(), _borrowed: PhantomData }
    }

    /// # Safety
    /// While this runs, no other thread sets the same number.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn set(&self, index: usize, number: T) {
        assert!(index < self.len, "within the output");
        // SAFETY: It is within numbers that are borrowed mutably as long as this lives, and the
        // caller promises that nobody else writes it.
        unsafe { self.start.add(index).write(number) };
    }
}

// SAFETY: All that can be done with a shared one is to `set`, whose caller sees to it that no two threads
// meet; numbers that may be sent to another thread may be written by it.
#[allow(unsafe_code)]
unsafe impl<T: Copy + Send> Sync for Output<'_, T> {}
