//! The one way into a worker's main loop: a bounded queue that any thread may fill and an eventfd that wakes it.
//!
//! Contract: senders never block and never fail; what does not fit is lost with an error in the log (it means a bug:
//! notices are rare, and whatever is frequent is kept as a latest value elsewhere).

use gst::glib;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Notices waiting at most: a minute of the busiest second ever seen (20 meters).
const CAPACITY: usize = 1024;

/// Hands notices in; clone it freely.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    queue: Mutex<VecDeque<T>>,
    wake: OwnedFd,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: 'static> Mailbox<T> {
    /// An empty mailbox.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Inner { queue: Mutex::default(), wake })))
    }

    /// Puts one notice in.
    pub fn send(&self, notice: T) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() >= CAPACITY {
            tracing::error!("the main loop does not keep up; a notice is lost");
            return;
        }
        queue.push_back(notice);
        drop(queue);
        // Fails only when the counter is full, and then the loop is awake anyway.
        let _ = rustix::io::write(&self.0.wake, &1u64.to_ne_bytes());
    }

    fn take(&self) -> VecDeque<T> {
        let mut count = [0; 8];
        // Nothing to read = woken by an earlier notice of the same batch.
        let _ = rustix::io::read(&self.0.wake, &mut count);
        std::mem::take(&mut *self.0.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What comes within `deadline`, in order.
    #[cfg(test)]
    pub fn wait(&self, deadline: std::time::Duration) -> Vec<T> {
        let timeout = rustix::event::Timespec::try_from(deadline).expect("a deadline");
        let mut wake = [rustix::event::PollFd::new(&self.0.wake, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut wake, Some(&timeout)).expect("an eventfd can be polled");
        self.take().into()
    }

    /// Lets the glib main loop of this thread hand every notice to `receive`, in order.
    pub fn attach(&self, mut receive: impl FnMut(T) + 'static) -> glib::SourceId {
        let mailbox = self.clone();
        glib::source::unix_fd_add_local(self.0.wake.as_raw_fd(), glib::IOCondition::IN, move |_, _| {
            mailbox.take().into_iter().for_each(&mut receive);
            glib::ControlFlow::Continue
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn notices_of_other_threads_arrive_in_order() {
        let context = glib::MainContext::new();
        let got = context
            .with_thread_default(|| {
                let mailbox = Mailbox::new().expect("an eventfd");
                let got = Rc::new(RefCell::new(Vec::new()));
                let sink = got.clone();
                let wake = mailbox.0.wake.as_raw_fd();
                let reader = mailbox.clone();
                let source =
                    glib::source::unix_fd_source_new(wake, glib::IOCondition::IN, None, glib::Priority::DEFAULT, {
                        let sink = std::sync::Mutex::new(Vec::new());
                        move |_, _| {
                            sink.lock().expect("no panic").extend(reader.take());
                            glib::ControlFlow::Continue
                        }
                    });
                source.attach(Some(&context));
                let sender = mailbox.clone();
                std::thread::spawn(move || (0..100).for_each(|n| sender.send(n))).join().expect("no panic");
                sink.borrow_mut().extend(mailbox.take());
                got.take()
            })
            .expect("a context of its own");
        assert_eq!(got, (0..100).collect::<Vec<i32>>());
    }

    #[test]
    fn a_full_mailbox_does_not_grow() {
        let mailbox = Mailbox::new().expect("an eventfd");
        (0..CAPACITY + 10).for_each(|n| mailbox.send(n));
        assert_eq!(mailbox.take().len(), CAPACITY);
    }
}
