//! Panics on their way from a worker to a handle.
//!
//! A panic in a job unwinds to [`catch`] in the worker; its text, its place and (where RUST_BACKTRACE
//! asks for it) its backtrace travel to the pool, and the handle reports them. The worker prints nothing meanwhile: with many workers on one terminal
//! the same message would appear twice, torn, and in no order. (Compiled with `panic = "abort"`
//! there is no unwinding and nothing can travel, so there the message is printed.)
//!
//! Next: `wire.rs`.

use crate::error::{PanicReport, contain};
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

/// What crosses of a panic: the message, `file:line:column` where it is known, and the backtrace
/// where it was asked for.
pub(super) type PanicText = (String, Option<String>, Option<String>);

thread_local! {
    /// Is this thread inside `catch`? A job's own threads are not, and report as they always do.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// Where the latest panic under `catch` happened, and how it came to be there.
    static PLACE: RefCell<(Option<String>, Option<String>)> = const { RefCell::new((None, None)) };
}

/// By the worker, once: panics under [`catch`] note their place and print nothing.
pub(super) fn silence_caught() {
    let inherited = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        if CATCHING.get() && cfg!(panic = "unwind") {
            PLACE.set((info.location().map(ToString::to_string), backtrace()));
        } else {
            inherited(info);
        }
    }));
}

/// The way to this place, where the environment asks for it. (Only then it costs anything.)
fn backtrace() -> Option<String> {
    let backtrace = Backtrace::capture();
    (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string())
}

/// Runs user code and turns a panic into its text.
///
/// `AssertUnwindSafe`: what the closure owns is gone after a panic, and what it shares (statics)
/// is in the state in which a panicking thread leaves it in any program.
pub(super) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, PanicText> {
    let outer = CATCHING.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(code));
    CATCHING.set(outer);
    outcome.map_err(|payload| {
        let text = text_of(payload);
        let (place, backtrace) = PLACE.take();
        (text, place, backtrace)
    })
}

/// The message of a panic. The payload's own drop is user code too, and may panic in its turn.
fn text_of(payload: Box<dyn Any + Send>) -> String {
    let report = PanicReport::from_payload(payload);
    let message = report.message().to_owned();
    contain(|| drop(report));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("and its payload too");
        }
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_survived() {
        let (message, ..) = catch(|| panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(message, "(a panic payload that is not a string)");
    }

    #[test]
    fn the_message_is_that_of_the_panic() {
        assert_eq!(
            catch(|| panic!("no {}", 7)).map_err(|(text, ..)| text),
            Err::<(), _>("no 7".to_owned())
        );
        assert_eq!(catch(|| 5), Ok(5));
    }
}
