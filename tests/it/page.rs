//! The page on a real daemon: the list, one incident, what is not there, the streams, the login, and the end with streams open.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tidegate::model::time::Stopwatch;

use crate::daemon::{Daemon, Home, http, wait_for};

const CONFIG: &str = "
sources: [{name: http, type: http}]
windows: [{name: default, wait: 0s, update_every: 200ms, gap: 1h}]
";

const TOKEN_CONFIG: &str = "
sources: [{name: http, type: http}]
token: {file: {folder}/token}
";

/// A stream that stays open.
struct Stream(BufReader<TcpStream>);

/// An event of a stream; comments are passed over.
#[derive(Debug, Default)]
struct Event {
    name: String,
    id: String,
    data: String,
}

impl Stream {
    fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{headers}\r\n").unwrap();
        let mut stream = Self(BufReader::new(stream));
        let status = stream.line().unwrap();
        assert!(status.starts_with("HTTP/1.1 200 "), "{status}");
        while stream.line().is_some_and(|line| !line.is_empty()) {}
        stream
    }

    /// A line without its end; `None` at the end of the stream. Sizes of chunks are lines of their own: no field of an event.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let n = self.0.read_line(&mut line).unwrap();
        (n > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("data", data)) => event.data.push_str(data),
                _ if line.is_empty() && !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
    }

    /// Reads on until an event holds.
    fn find(&mut self, what: &str, holds: impl Fn(&Event) -> bool) -> Event {
        let watch = Stopwatch::start();
        while watch.elapsed() < Duration::from_secs(60) {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {what}"));
            if holds(&event) {
                return event;
            }
        }
        panic!("not in the stream: {what}");
    }
}

fn send(home: &Home, service: &str) {
    let body = format!(
        r#"{{"labels": {{"alertname": "PageTest", "service": "{service}", "severity": "critical"}},
            "annotations": {{"summary": "<b>{service}</b> is down"}}}}"#
    );
    let answer = http::post(home.address(), "/api/v1/alerts", body.replace('\n', " ").as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn page(home: &Home, path: &str) -> String {
    let answer = http::get(home.address(), path).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// The id of the only incident.
fn only_incident(home: &Home) -> String {
    let page = page(home, "/");
    let (_, rest) = page.split_once("href=\"/incidents/").expect("an incident is on the page");
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn a_person_finds_an_incident_and_ends_it() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    assert!(page(&home, "/").contains("Nothing is open"));
    send(&home, "checkout");
    wait_for("the incident on the page", || page(&home, "/").contains("PageTest: &#60;b&#62;checkout"));
    let id = only_incident(&home);
    let path = format!("/incidents/{id}");
    let shown = page(&home, &path);
    for text in ["PageTest", "critical", "The first alert of a group without an incident", "id=\"by\""] {
        assert!(shown.contains(text), "{text} is not in {shown}");
    }
    assert_eq!(http::get(home.address(), &format!("/incidents/{}", "0".repeat(32))).unwrap().status, 404);
    assert_eq!(http::post(home.address(), &format!("{path}/resolve"), b"by=Ada").unwrap().status, 303);
    wait_for("the end of the incident", || page(&home, &path).contains("Ada said that it is over"));
    assert!(page(&home, "/").contains("Nothing is open"));
    daemon.stop();
    let daemon = home.start();
    assert!(page(&home, &path).contains("Ada said that it is over"), "the store still knows it");
    daemon.stop();
}

#[test]
fn an_alert_reaches_open_streams_and_a_reader_resumes() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let mut events = Stream::open(home.address(), "/api/v1/incidents/stream", "");
    let mut live = Stream::open(home.address(), "/live", "");
    live.find("the empty list", |event| event.name == "open" && event.data.contains("Nothing is open"));
    send(&home, "one");
    let first = events.find("the first event", |event| event.name == "incident" && event.data.contains("\"one\""));
    live.find("the row", |event| event.name == "open" && event.data.contains("PageTest"));
    drop(events);
    send(&home, "two");
    let header = format!("Last-Event-ID: {}\r\n", first.id);
    let mut events = Stream::open(home.address(), "/api/v1/incidents/stream", &header);
    events.find("what was missed", |event| event.data.contains("\"two\""));
    let mut stranger = Stream::open(home.address(), "/api/v1/incidents/stream", "Last-Event-ID: 999999.1\r\n");
    assert_eq!(stranger.next().unwrap().name, "reset");
    daemon.stop();
}

#[test]
fn open_streams_do_not_hold_up_a_stop() {
    let home = Home::new(CONFIG);
    let daemon = home.start();
    let mut streams: Vec<Stream> = ["/live", "/api/v1/incidents/stream", "/live?status=open"]
        .into_iter()
        .map(|path| Stream::open(home.address(), path, ""))
        .collect();
    let watch = Stopwatch::start();
    stop_within(daemon, Duration::from_secs(5));
    for stream in &mut streams {
        while stream.next().is_some() {}
    }
    println!("stopped and all streams ended after {:?}", watch.elapsed());
}

/// The grace for requests in hand is 5 s: streams that had to be cut off would take all of it.
fn stop_within(daemon: Daemon, limit: Duration) {
    let watch = Stopwatch::start();
    daemon.stop();
    assert!(watch.elapsed() < limit, "{:?}", watch.elapsed());
}

#[test]
fn a_browser_logs_in_once() {
    let home = Home::new(TOKEN_CONFIG);
    std::fs::write(home.path("token"), "s3cret-token\n").unwrap();
    let daemon = home.start();
    let ask = |method: &str, path: &str, headers: &str, body: &str| {
        let mut stream = TcpStream::connect(home.address()).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: text/html\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}",
            home.address()
        )
        .unwrap();
        std::io::read_to_string(stream).unwrap()
    };
    let answer = ask("GET", "/", "", "");
    assert!(answer.starts_with("HTTP/1.1 303 ") && answer.contains("location: /login?to=%2F\r\n"), "{answer}");
    assert!(ask("POST", "/login", "", "token=wrong").starts_with("HTTP/1.1 401 "));
    let answer = ask("POST", "/login", "", "token=s3cret-token&to=%2F%3Fstatus%3Dopen");
    assert!(answer.contains("location: /?status=open\r\n"), "{answer}");
    let (_, cookie) = answer.split_once("set-cookie: ").unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert!(ask("GET", "/", &cookie, "").contains("Open incidents"));
    let mut live = Stream::open(home.address(), "/live", &cookie);
    live.find("a beat", |event| event.name == "beat");
    let origin = format!("{cookie}Origin: http://{}\r\n", home.address());
    assert!(ask("POST", "/logout", &origin, "").starts_with("HTTP/1.1 303 "));
    assert!(ask("GET", "/", &cookie, "").starts_with("HTTP/1.1 303 "));
    daemon.stop();
}
