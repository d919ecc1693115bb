//! A client that costs little: requests rendered beforehand, keep-alive sockets, one thread that asks epoll which of them
//! has an answer. A thread for each would be woken for every answer, which the server pays as well.
//! Posts alerts as Prometheus does, to `/api/v2/alerts`, which Alertmanager and tidegate both have.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use serde_json::Value;
use tidegate::model::time::{Clock as _, Stopwatch, SystemClock};
use tidegate::model::{Millis, Timestamp};
use tidegate::storm::{Flood, FloodOptions, Shape};

use crate::measure::{Meter, cpu_of, status_kib};

/// A server that does not answer for so long has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer told apart, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;
/// Bytes read at once; an answer is a few hundred.
const READ_BYTES: usize = 16 << 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `host:port` of the server
    #[arg(long)]
    addr: String,
    /// Its process
    #[arg(long)]
    pid: u32,
    /// What the line is about
    #[arg(long)]
    what: String,
    /// Alerts per request
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Connections; on each one request at a time
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Seconds to send for
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Alerts that are rendered; sent again from the first if the time is longer
    #[arg(long, default_value_t = 300_000)]
    alerts: u32,
    /// What the flood looks like
    #[arg(long, default_value = "corpus", value_parser = |text: &str| text.parse::<Shape>())]
    shape: Shape,
}

/// One connection: a request on its way, then its answer.
struct Link {
    stream: TcpStream,
    /// Which request.
    turn: usize,
    /// Bytes of it that are sent.
    sent: usize,
    since: Stopwatch,
    /// What has come of an answer that came in pieces.
    begun: Vec<u8>,
}

/// All connections, and what was counted.
struct Load {
    requests: Vec<(Vec<u8>, usize)>,
    epoll: OwnedFd,
    links: Vec<Link>,
    next: usize,
    alerts: u64,
    refused: u64,
    latency: Histogram<u64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut load = Load {
        requests: requests(args)?,
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        links: Vec::new(),
        next: 0,
        alerts: 0,
        refused: 0,
        latency: Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?,
    };
    for _ in 0..args.connections {
        load.connect(&args.addr).context("connect")?;
    }
    let cpu_before = cpu_of(args.pid).context("the server has ended")?;
    let meter = Meter::start();
    load.send_for(Duration::from_secs_f64(args.seconds))?;
    let spent = meter.stop();
    let cpu = cpu_of(args.pid).context("the server has ended")? - cpu_before;
    let latency = load.latency;
    let more = serde_json::json!({
        "shape": args.shape, "batch": args.batch, "connections": args.connections, "requests": latency.len(),
        "refused": load.refused, "answer_p50_us": latency.value_at_quantile(0.5),
        "answer_p99_us": latency.value_at_quantile(0.99), "server_cpu_seconds": cpu,
        "server_cores": cpu / spent.seconds, "rss_peak_kib": status_kib(&args.pid.to_string(), "VmHWM:"),
    });
    spent.print(&args.what, load.alerts, 0, more)
}

impl Load {
    fn connect(&mut self, addr: &str) -> Result<()> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(self.links.len() as u64), EventFlags::IN)?;
        self.links.push(Link { stream, turn: 0, sent: 0, since: Stopwatch::start(), begun: Vec::new() });
        Ok(())
    }

    /// On each connection one request after the other, each when the one before is answered.
    fn send_for(&mut self, time: Duration) -> Result<()> {
        let watch = Stopwatch::start();
        (0..self.links.len()).try_for_each(|at| self.begin(at))?;
        let mut events = Vec::with_capacity(self.links.len());
        let mut heard = Stopwatch::start();
        let mut scratch = vec![0; READ_BYTES];
        while watch.elapsed() < time {
            let patience = time.saturating_sub(watch.elapsed()).try_into().context("a time to wait")?;
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => heard = Stopwatch::start(),
                Err(error) => return Err(error).context("wait for answers"),
            }
            if heard.elapsed() > ANSWER_TIMEOUT {
                bail!("the server has not answered for {} s", ANSWER_TIMEOUT.as_secs());
            }
            for event in events.drain(..) {
                let at = event.data.u64() as usize;
                if { event.flags }.contains(EventFlags::OUT) {
                    self.go_on(at)?;
                } else {
                    self.hear(at, &mut scratch)?;
                }
            }
        }
        Ok(())
    }

    /// Begins the next request.
    fn begin(&mut self, at: usize) -> Result<()> {
        let link = &mut self.links[at];
        (link.turn, link.sent, link.since) = (self.next % self.requests.len(), 0, Stopwatch::start());
        self.next += 1;
        if !link.write(&self.requests[link.turn].0)? {
            self.wait_for(at, EventFlags::IN | EventFlags::OUT)?;
        }
        Ok(())
    }

    /// Goes on with a request that did not fit the socket.
    fn go_on(&mut self, at: usize) -> Result<()> {
        let link = &mut self.links[at];
        if link.write(&self.requests[link.turn].0)? {
            self.wait_for(at, EventFlags::IN)?;
        }
        Ok(())
    }

    fn wait_for(&self, at: usize, what: EventFlags) -> Result<()> {
        epoll::modify(&self.epoll, &self.links[at].stream, EventData::new_u64(at as u64), what).context("epoll")
    }

    /// Reads what has come, and begins the next request when the answer is complete.
    fn hear(&mut self, at: usize, scratch: &mut [u8]) -> Result<()> {
        let link = &mut self.links[at];
        let Some(status) = link.read(scratch)? else { return Ok(()) };
        if status == 200 {
            self.alerts += self.requests[link.turn].1 as u64;
            self.latency.saturating_record(link.since.elapsed().as_micros() as u64);
        } else {
            self.refused += 1;
        }
        self.begin(at)
    }
}

impl Link {
    /// Whether all of it is sent.
    fn write(&mut self, request: &[u8]) -> Result<bool> {
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(n_bytes) => self.sent += n_bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("send a request"),
            }
        }
        Ok(true)
    }

    /// The status of the answer, once it has come to its end.
    fn read(&mut self, scratch: &mut [u8]) -> Result<Option<u16>> {
        let came = match self.stream.read(scratch) {
            Ok(0) => bail!("the server has closed the connection"),
            Ok(n_bytes) => &scratch[..n_bytes],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("wait for an answer"),
        };
        if self.begun.is_empty()
            && let Some(status) = answer(came)?
        {
            return Ok(Some(status));
        }
        self.begun.extend_from_slice(came);
        let status = answer(&self.begun)?;
        if status.is_some() {
            self.begun.clear();
        }
        Ok(status)
    }
}

/// The status of a complete answer.
fn answer(bytes: &[u8]) -> Result<Option<u16>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let mut lines = std::str::from_utf8(&bytes[..end])?.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().context("read the length")?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the answer comes in chunks, which this client does not read");
        }
    }
    let is_whole = bytes.len() >= end + 4 + length;
    Ok(if is_whole { Some(status.parse().context("read the status")?) } else { None })
}

/// All requests with the number of their alerts. The flood's times end now, so that no alert lies in the future.
fn requests(args: &Args) -> Result<Vec<(Vec<u8>, usize)>> {
    const RATE: f64 = 100_000.0;
    let span = Millis((f64::from(args.alerts) * 1_000.0 / RATE) as i64);
    let start: Timestamp = SystemClock.now() - span;
    let options = FloodOptions {
        shape: args.shape,
        alerts: args.alerts,
        start,
        rate: RATE,
        received_at: false,
        ..FloodOptions::default()
    };
    let mut flood = Flood::new(options);
    let (mut requests, mut body, mut n_alerts, mut line) = (Vec::new(), String::from("["), 0, Vec::new());
    loop {
        line.clear();
        let more = flood.next_into(&mut line).is_some();
        if n_alerts == args.batch || (!more && n_alerts > 0) {
            body.push(']');
            requests.push((request(&args.addr, &body)?, n_alerts));
            (body, n_alerts) = (String::from("["), 0);
        }
        if !more {
            return Ok(requests);
        }
        if n_alerts > 0 {
            body.push(',');
        }
        body.push_str(&posted(&line)?);
        n_alerts += 1;
    }
}

/// A native alert as the v2 API has it: without a status, which there follows from the times.
fn posted(native: &[u8]) -> Result<String> {
    let mut alert: Value = serde_json::from_slice(native)?;
    alert.as_object_mut().context("an alert is an object")?.remove("status");
    Ok(alert.to_string())
}

fn request(addr: &str, body: &str) -> Result<Vec<u8>> {
    let mut request = String::with_capacity(body.len() + 200);
    write!(
        request,
        "POST /api/v2/alerts HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    request.push_str(body);
    Ok(request.into_bytes())
}
