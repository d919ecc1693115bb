//! A client that costs little: requests rendered beforehand, raw keep-alive sockets, answers read no further than needed.
//! Posts alerts as Prometheus does, to `/api/v2/alerts`, which Alertmanager and tidegate both have.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use serde_json::Value;
use tidegate::model::time::{Clock as _, Stopwatch, SystemClock};
use tidegate::model::{Millis, Timestamp};
use tidegate::storm::{Flood, FloodOptions, Shape};

use crate::measure::{Meter, cpu_of, status_kib};

/// A server that does not answer for so long has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer told apart, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;

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
    /// Connections, each with a thread
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

/// What the connections share.
struct Job {
    requests: Vec<(Vec<u8>, usize)>,
    next: AtomicUsize,
    is_over: AtomicBool,
    alerts: AtomicU64,
    refused: AtomicU64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let job = Job {
        requests: requests(args)?,
        next: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        alerts: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    };
    let connect = || {
        let stream = TcpStream::connect(&args.addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        anyhow::Ok(stream)
    };
    let streams: Vec<TcpStream> = (0..args.connections).map(|_| connect()).collect::<Result<_>>().context("connect")?;
    let cpu_before = cpu_of(args.pid).context("the server has ended")?;
    let meter = Meter::start();
    let latency = std::thread::scope(|scope| {
        let start = |(number, stream): (usize, TcpStream)| {
            let send = || send(stream, &job);
            std::thread::Builder::new().name(format!("http-{number}")).spawn_scoped(scope, send)
        };
        let threads: Vec<_> = streams.into_iter().enumerate().map(start).collect::<Result<_, _>>()?;
        std::thread::sleep(Duration::from_secs_f64(args.seconds));
        job.is_over.store(true, Ordering::Relaxed);
        let mut all = histogram()?;
        for thread in threads {
            all.add(thread.join().ok().context("a thread panicked")??)?;
        }
        anyhow::Ok(all)
    })?;
    let spent = meter.stop();
    let cpu = cpu_of(args.pid).context("the server has ended")? - cpu_before;
    let alerts = job.alerts.into_inner();
    let more = serde_json::json!({
        "shape": args.shape, "batch": args.batch, "connections": args.connections, "requests": latency.len(),
        "refused": job.refused.into_inner(), "answer_p50_us": latency.value_at_quantile(0.5),
        "answer_p99_us": latency.value_at_quantile(0.99), "server_cpu_seconds": cpu,
        "server_cores": cpu / spent.seconds, "rss_peak_kib": status_kib(&args.pid.to_string(), "VmHWM:"),
    });
    spent.print(&args.what, alerts, 0, more)
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?)
}

/// One request after the other, each when the one before is answered.
fn send(stream: TcpStream, job: &Job) -> Result<Histogram<u64>> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(16 << 10, stream);
    let mut latency = histogram()?;
    let mut line = Vec::new();
    while !job.is_over.load(Ordering::Relaxed) {
        let turn = job.next.fetch_add(1, Ordering::Relaxed) % job.requests.len();
        let (request, n_alerts) = &job.requests[turn];
        let watch = Stopwatch::start();
        writer.write_all(request).context("send a request")?;
        if answer(&mut reader, &mut line)? == 200 {
            job.alerts.fetch_add(*n_alerts as u64, Ordering::Relaxed);
            latency.saturating_record(watch.elapsed().as_micros() as u64);
        } else {
            job.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(latency)
}

/// Reads an answer to its end; its status.
fn answer(reader: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> Result<u16> {
    let (mut status, mut length) = (0, 0);
    loop {
        line.clear();
        if reader.read_until(b'\n', line).context("wait for an answer")? == 0 {
            bail!("the server has closed the connection");
        }
        let text = std::str::from_utf8(line)?.trim_end();
        if text.is_empty() {
            break;
        }
        if status == 0 {
            status = text.split(' ').nth(1).unwrap_or_default().parse().context("read the status")?;
        } else if let Some((name, value)) = text.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("read the length")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("the answer comes in chunks, which this client does not read");
            }
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(status)
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
