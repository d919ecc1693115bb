//! The way out into a file or a pipe: one alert a line.

use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::storm::delivery::Delivery;
use crate::cli::storm::outlet::{Outlet, Parcel};

/// Big enough that the write is not what a flood waits for.
const BUFFER_BYTES: usize = 1 << 18;
/// How often the bar moves.
const REPORT_EVERY: u64 = 1_024;
/// How long a line of a slow flood waits for others.
const LINGER: Duration = Duration::from_millis(100);

/// Writes lines.
#[derive(Debug)]
pub(crate) struct Lines<W: Write> {
    out: BufWriter<W>,
    unreported: u64,
    flushed_at: Duration,
    delivery: Delivery,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(out: W, delivery: &Delivery) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER_BYTES, out),
            unreported: 0,
            flushed_at: Duration::ZERO,
            delivery: delivery.clone(),
        }
    }

    fn write_out(&mut self) -> Result<()> {
        self.out.flush().context("write alerts")?;
        self.report();
        Ok(())
    }

    fn report(&mut self) {
        self.delivery.sent(std::mem::take(&mut self.unreported));
    }
}

impl<W: Write> Outlet for Lines<W> {
    fn push(&mut self, parcel: Parcel<'_>) -> Result<()> {
        self.out.write_all(parcel.json).and_then(|()| self.out.write_all(b"\n")).context("write an alert")?;
        self.unreported += 1;
        if self.unreported == REPORT_EVERY {
            self.report();
        }
        Ok(())
    }

    fn flush(&mut self, now: Duration) -> Result<()> {
        if now.saturating_sub(self.flushed_at) >= LINGER {
            self.flushed_at = now;
            self.write_out()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_out()
    }
}
