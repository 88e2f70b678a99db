//! A client's connection with a deadline for writing: one that never reads cannot keep its place for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A client that takes not one byte for this long is gone or frozen (R-CMD-7).
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    deadline: Duration,
    /// Runs while the client takes nothing.
    late: Option<Pin<Box<Sleep>>>,
}

impl<S> Stream<S> {
    /// `inner` with the deadline.
    pub fn new(inner: S) -> Self {
        Self { inner, deadline: WRITE_DEADLINE, late: None }
    }

    /// Passes a result on; nothing taken for too long becomes an error.
    fn judge<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.late = None;
            return result;
        }
        let deadline = self.deadline;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(deadline)));
        late.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.judge(context, result)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_flush(context);
        this.judge(context, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn a_client_that_never_reads_is_given_up() {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
        executor.expect("a runtime").block_on(async {
            let (ours, _theirs) = tokio::io::duplex(16);
            let mut stream = Stream { deadline: Duration::from_millis(20), ..Stream::new(ours) };
            let error = stream.write_all(&[0; 64]).await.expect_err("nobody reads");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }
}
