//! Lines that are never torn: each is one write(2), from whichever thread or process prints it.
//!
//! std's stdout has a lock per process, which is no help between processes, and passes a line on
//! in as many pieces as it was formatted in. Here a line is put together first and handed to the
//! kernel whole; the kernel keeps writes to one pipe (up to PIPE_BUF bytes), terminal or file
//! apart. A reader that went away (`flags | head -1`) ends the printing, not the run; a full disk is
//! an error, and who prints the report says so.
//! Source: write(2), pipe(7). Next: `report/`.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::BorrowedFd;

/// Where lines go. It crosses to worker processes with the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lines {
    /// Nowhere: someone else prints them (a progress bar is in the way).
    Nowhere,
    /// To standard output.
    Stdout,
    /// To standard error, when standard output carries JSON.
    Stderr,
}

impl Lines {
    /// Prints one line, whole. May wait for a slow reader; a line that nobody takes is dropped.
    pub fn print(self, line: &str) {
        let _ = self.print_text(&format!("{line}\n"));
    }

    /// Prints a text of any length that brings its own line ends.
    ///
    /// # Errors
    /// What write(2) says of a full disk or a closed descriptor. A reader that is gone is none.
    pub fn print_text(self, text: &str) -> io::Result<()> {
        match self {
            Lines::Nowhere => Ok(()),
            Lines::Stdout => write_whole(rustix::stdio::stdout(), text.as_bytes()),
            Lines::Stderr => write_whole(rustix::stdio::stderr(), text.as_bytes()),
        }
    }

    /// Is there a person at the other end?
    pub fn is_terminal(self) -> bool {
        match self {
            Lines::Nowhere => false,
            Lines::Stdout => rustix::termios::isatty(rustix::stdio::stdout()),
            Lines::Stderr => rustix::termios::isatty(rustix::stdio::stderr()),
        }
    }
}

/// One write; more only where the kernel took a part (a full pipe, a text past PIPE_BUF).
fn write_whole(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // A descriptor that someone made non-blocking: wait until it takes more.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None);
            }
            Err(Errno::PIPE) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn lines_of_many_threads_arrive_whole_even_through_a_full_pipe() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        // Non-blocking, so that the writers meet a full pipe instead of sleeping in the kernel.
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let writer = writer.try_clone().unwrap();
                std::thread::spawn(move || {
                    let line = format!("{}\n", number.to_string().repeat(99));
                    for _ in 0..500 {
                        write_whole(writer.as_fd(), line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        drop(writer);
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(all.lines().count(), 2000);
        for line in all.lines() {
            assert_eq!(line.len(), 99);
            assert!(
                line.bytes().all(|byte| byte == line.as_bytes()[0]),
                "{line}"
            );
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_no_panic() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        write_whole(writer.as_fd(), b"nobody reads this\n").unwrap();
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let error = write_whole(full.unwrap().as_fd(), b"no room for this\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
