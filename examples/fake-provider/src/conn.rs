//! A connection that can be reset from the middle of an answer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
};

/// What the answers of a connection know of it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    resets: AtomicBool,
    cut: Notify,
}

impl Line {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            resets: AtomicBool::new(false),
            cut: Notify::new(),
        }
    }

    /// Has the connection dropped with a TCP reset.
    pub(crate) fn reset(&self) {
        self.resets.store(true, Ordering::Release);
        self.cut.notify_one();
    }

    /// Waits for [`Line::reset`].
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }
}

/// The socket, which closes as the line says.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    line: Arc<Line>,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, line: Arc<Line>) -> Self {
        Self { tcp, line }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.line.resets.load(Ordering::Acquire) {
            // where that fails the client sees an orderly close, which is the next best
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}
