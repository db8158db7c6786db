//! Turns a panic inside the `tokenizers` crate into an error.
//!
//! The crate indexes and slices by numbers that come from tokenizer.json, and its regular
//! expressions give up by panicking. What can be checked is checked when a file is loaded; this is
//! for the rest.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

/// Runs `f`; a panic in it becomes its message, and is not printed.
pub(crate) fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    QUIET.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if GUARDS.get() == 0 {
                print(info);
            }
        }));
    });
    GUARDS.set(GUARDS.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    GUARDS.set(GUARDS.get() - 1);
    result.map_err(|payload| message(&*payload))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("the tokenizer gave up").to_owned()
}

static QUIET: Once = Once::new();

thread_local! {
    /// How many guards this thread is inside of.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
}
