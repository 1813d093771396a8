//! Two fences that are full ones together: the light side pays nothing, the heavy side for both.
//!
//! For a store-then-load race of one who does it all the time and one who hardly ever does:
//!
//! ```text
//!   light side, all the time          heavy side, now and then
//!   l1 write A                        h1 write B
//!   l2 light()                        h2 heavy(), and it said true
//!   l3 read B                         h3 read A
//! ```
//!
//! Holds     l3 sees h1, or h3 sees l1. (Both may be.)
//!
//! With a SeqCst fence for each of the two that is the language's own promise, and so loom explores
//! it. But a fence costs some 20 cycles, as a locked instruction does. So `light` only keeps the
//! compiler from putting l3 before l1, and `heavy` is membarrier(2): the kernel runs a full barrier on
//! every CPU that runs a thread of this process, and returns when all have. On the light side's CPU
//! that barrier comes
//! - after l1: then l1 has left the CPU before `heavy` returns, and h3 sees it; or
//! - before l1, and so before l3, which then reads after `heavy` began: it sees h1.
//!
//! A thread that does not run has left its CPU through the kernel, which has such a barrier on its way.
//! As with two real fences, what was read is ordered only if its own reads and writes say so.
//!
//! Cost      light: nothing. heavy: 20 us with another thread running (an interrupt of its CPU), and
//!           in a process's first the system call that asks for the right to (with threads 12 ms, for
//!           the kernel waits until all its CPUs have heard of it; so not when an executor starts).
//! Source    `asymmetric_thread_fence` of P1202 (Goldblatt, 2018), membarrier(2). Next: `../error.rs`.

pub(crate) use pair::{can_be_heavy, heavy, light};

#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod pair {
    use std::sync::atomic::{Ordering, compiler_fence};

    fn membarrier(command: i32) -> libc::c_long {
        // SAFETY: no memory is passed: a command, no flags, and a CPU that these flags ignore.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
    }

    const QUERY: i32 = 0;
    const PRIVATE_EXPEDITED: i32 = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

    /// Does the kernel know how? (Not before Linux 4.14, nor where a filter of system calls says no.)
    pub(crate) fn can_be_heavy() -> bool {
        let needed = libc::c_long::from(PRIVATE_EXPEDITED | REGISTER_PRIVATE_EXPEDITED);
        // An error is negative, with these bits set in it perhaps.
        let known = membarrier(QUERY);
        known > 0 && known & needed == needed
    }

    #[inline(always)]
    pub(crate) fn light() {
        compiler_fence(Ordering::SeqCst);
    }

    /// False: the kernel has no memory for it just now, and there was no fence.
    pub(crate) fn heavy() -> bool {
        // The right to it is the process's, and it does not hurt to ask for it twice.
        membarrier(PRIVATE_EXPEDITED) == 0
            || membarrier(REGISTER_PRIVATE_EXPEDITED) == 0 && membarrier(PRIVATE_EXPEDITED) == 0
    }
}

#[cfg(loom)]
mod pair {
    use crate::sync::atomic::{Ordering, fence};

    pub(crate) fn can_be_heavy() -> bool {
        true
    }

    pub(crate) fn light() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy() -> bool {
        fence(Ordering::SeqCst);
        true
    }
}

/// Nobody is heavy, so nobody may rely on being light.
#[cfg(all(not(loom), any(not(target_os = "linux"), miri)))]
mod pair {
    pub(crate) fn can_be_heavy() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn light() {}

    pub(crate) fn heavy() -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux", not(any(loom, miri))))]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_heavy_is() {
        assert_eq!(heavy(), can_be_heavy());
        assert_eq!(heavy(), can_be_heavy(), "asked for once");
    }
}
