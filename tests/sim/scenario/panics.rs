//! Panics as values: what breaks a rule in a simulated swarm ends that run, not the program.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// What to call the run on this thread, while panics on it are kept rather than printed.
    static RUN: RefCell<Option<String>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something that may panic; an error is what it said then, and where. `name` is printed where a panic cannot
/// be caught, because the program was built to abort.
pub(super) fn caught<T>(name: &str, run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| keep(info, &*usual)));
    });
    let outer = RUN.replace(Some(name.to_owned()));
    let result = catch_unwind(AssertUnwindSafe(run));
    RUN.set(outer);
    result.map_err(|_| LAST.take().unwrap_or_default())
}

fn keep(info: &PanicHookInfo<'_>, usual: &dyn Fn(&PanicHookInfo<'_>)) {
    let name = RUN.with_borrow(Clone::clone);
    let Some(name) = name else { return usual(info) };
    let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
    let said = info.payload_as_str().unwrap_or("something that is not text");
    if cfg!(panic = "abort") {
        eprintln!("{name}: {said}{place}");
    }
    LAST.set(Some(format!("{said}{place}")));
}
