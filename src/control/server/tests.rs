//! Real sockets: the bounds of connections and headers, TLS and its reload, the end.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::control::example::{House, Script};
use crate::control::routes::Part;
use crate::pipeline::source::Answer;

fn loopback() -> ServerOptions {
    ServerOptions::on("127.0.0.1:0".parse().unwrap())
}

fn start(house: &House, options: &ServerOptions) -> Server {
    serve(options, house.router(Part::Everything), Some(house.control.clone()), &house.control.metrics).unwrap()
}

/// Sends bytes and reads until the server closes.
async fn exchange(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes with unread bytes in hand resets the connection; what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// Requests with alerts have a way that does not lead through the router: it must not show.
#[tokio::test]
async fn the_short_way_to_the_doors_answers_as_the_router_does() {
    let (house, token) = (House::new(), Some(SecretString::from("s3cret")));
    let options = ServerOptions { token, ..loopback() };
    let router = || house.router(Part::Everything);
    let short = serve(&options, router(), Some(house.control.clone()), &house.control.metrics).unwrap();
    let long = serve(&options, router(), None, &house.control.metrics).unwrap();
    let bearer = "Authorization: Bearer s3cret\r\n";
    for (path, host, more, body, expected) in [
        ("/api/v2/alerts", "localhost", bearer, "[]", "200"),
        ("/api/v1/alerts", "localhost", bearer, "{}", "200"),
        ("/api/v1/webhooks/alertmanager", "localhost", bearer, "{}", "200"),
        ("/api/v2/alerts?a=b", "localhost", bearer, "[]", "200"),
        ("/api/v2/alerts/", "localhost", bearer, "[]", "404"),
        ("/api/v2/alerts", "localhost", "", "[]", "401"),
        ("/api/v2/alerts", "localhost", "Accept: text/html\r\n", "[]", "401"),
        ("/api/v2/alerts", "localhost", "Authorization: Bearer s3cret\r\nSec-Fetch-Site: cross-site\r\n", "[]", "403"),
        ("/api/v2/alerts", "evil.example.org", bearer, "[]", "403"),
        ("/api/v2/alerts", "localhost", "Authorization: Bearer s3cret\r\nContent-Encoding: br\r\n", "[]", "415"),
        ("/api/v2/alerts", "localhost", "Authorization: Bearer s3cret\r\nContent-Encoding: gzip\r\n", "[]", "400"),
    ] {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let undated = |answer: String| {
            let mut lines: Vec<_> =
                answer.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
            lines.sort_unstable(); // Headers have no order.
            lines
        };
        let answers = [exchange(short.address(), &request).await, exchange(long.address(), &request).await];
        assert!(answers[0].starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {}", answers[0]);
        let [short, long] = answers.map(undated);
        assert_eq!(short, long, "{path}");
    }
    let line = |route: &str, code: &str| format!("tidegate_http_requests_total{{route=\"{route}\",code=\"{code}\"}}");
    let page = house.control.metrics.render();
    let counted = |start: String| page.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse::<u64>().ok());
    assert_eq!(counted(line("/api/v2/alerts", "200")), Some(4), "{page}");
    assert_eq!(counted(line("unknown", "404")), Some(2), "{page}");
    short.shut_down(Duration::ZERO).await;
    long.shut_down(Duration::ZERO).await;
}

#[tokio::test]
async fn requests_come_and_go_over_a_socket() {
    let house = House::new();
    let server = start(&house, &loopback());
    assert_ne!(server.address().port(), 0);
    let answer = exchange(server.address(), &get("/-/ready")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"{"status":"ready"}"#), "{answer}");
    let post = "POST /api/v2/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]";
    assert!(exchange(server.address(), post).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let refused = exchange(server.address(), &get("/metrics").replace("localhost", "evil.example.org")).await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let token = ServerOptions { token: Some(SecretString::from("new")), ..loopback() };
    server.replace_guard(&token);
    assert!(exchange(server.address(), &get("/metrics")).await.starts_with("HTTP/1.1 401 "));
    server.shut_down(Duration::ZERO).await;
}

#[tokio::test]
async fn headers_are_bounded_in_size_and_time() {
    let house = House::new();
    let options = ServerOptions { header_timeout: Duration::from_millis(50), ..loopback() };
    let server = start(&house, &options);
    let fits = get("/-/ready").replace("Connection", &format!("X-Long: {}\r\nConnection", "x".repeat(10_000)));
    assert!(exchange(server.address(), &fits).await.starts_with("HTTP/1.1 200 "));
    let too_long = get("/-/ready").replace("Connection", &format!("X-Long: {}\r\nConnection", "x".repeat(20_000)));
    let answer = exchange(server.address(), &too_long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // Slow senders: half a header, or nothing at all. Reading ends because the server closes.
    assert_eq!(exchange(server.address(), "GET /-/ready HTTP/1.1\r\nHos").await, "");
    assert_eq!(exchange(server.address(), "").await, "");
    server.shut_down(Duration::ZERO).await;
}

#[tokio::test]
async fn a_stream_outlives_the_header_timeout_and_ends_with_the_feed() {
    let house = House::new();
    let options = ServerOptions { header_timeout: Duration::from_millis(50), ..loopback() };
    let server = start(&house, &options);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(get("/live").as_bytes()).await.unwrap();
    let (mut heard, mut buffer, mut n_beats) = (String::new(), [0; 4096], 0);
    // The second beat comes two seconds after the first: forty times the timeout.
    while n_beats < 2 {
        let n = stream.read(&mut buffer).await.unwrap();
        assert_ne!(n, 0, "the server closed: {heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..n]));
        n_beats = heard.matches("event: beat").count();
    }
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
    house.control.feed.close();
    stream.read_to_string(&mut heard).await.unwrap();
    server.shut_down(Duration::from_secs(60)).await; // Nothing holds it up.
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_counted() {
    let house = House::new();
    let server = start(&house, &ServerOptions { connections_max: 1, ..loopback() });
    let mut first = TcpStream::connect(server.address()).await.unwrap();
    first.write_all(get("/-/ready").replace("close", "keep-alive").as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    assert_eq!(exchange(server.address(), &get("/-/ready")).await, "", "the only place is taken");
    assert!(house.control.metrics.render().contains("tidegate_http_connections_refused_total 1\n"));
    server.shut_down(Duration::ZERO).await;
}

#[tokio::test]
async fn the_world_needs_a_token_or_a_word() {
    let house = House::new();
    let open = ServerOptions::on("0.0.0.0:0".parse().unwrap());
    let metrics = &house.control.metrics;
    let error = serve(&open, house.router(Part::Everything), None, metrics).unwrap_err();
    assert_eq!(
        error.to_string(),
        "listen address 0.0.0.0:0 is not loopback: set a bearer token, or insecure_listen: true if nobody else can reach it"
    );
    let with_token = ServerOptions { token: Some(SecretString::from("t")), ..open.clone() };
    let with_word = ServerOptions { insecure_listen: true, ..open };
    for options in [with_token, with_word] {
        serve(&options, house.router(Part::Everything), None, metrics).unwrap().shut_down(Duration::ZERO).await;
    }
    let server = start(&house, &loopback());
    let taken = ServerOptions::on(server.address());
    let error = serve(&taken, house.router(Part::Everything), None, metrics).unwrap_err();
    assert!(error.to_string().starts_with(&format!("listen on {}: ", server.address())), "{error}");
    server.shut_down(Duration::ZERO).await;
}

#[tokio::test]
async fn the_end_waits_for_requests_in_hand() {
    let house = House::new();
    house.script(Script::NeverAnswer);
    let server = start(&house, &loopback());
    let address = server.address();
    let post = "POST /api/v2/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n[]";
    let client = tokio::spawn(async move { exchange(address, post).await });
    while house.puppet.bodies.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let end = tokio::spawn(server.shut_down(Duration::from_secs(60)));
    tokio::task::yield_now().await;
    house.puppet.answer_all(&Answer::Durable { accepted: 1, rejected: Vec::new() });
    assert!(client.await.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    end.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn tls_serves_and_takes_new_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    let renew = || {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&files.certificate, issued.cert.pem()).unwrap();
        std::fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
        reqwest::Certificate::from_pem(issued.cert.pem().as_bytes()).unwrap()
    };
    let first = renew();
    let house = House::new();
    let server = start(&house, &ServerOptions { tls: Some(files.clone()), ..loopback() });
    let url = format!("https://localhost:{}/-/ready", server.address().port());
    let status = async |certificate: &reqwest::Certificate| {
        let _ = rustls::crypto::ring::default_provider().install_default(); // The client's; another test may have been first.
        let client = reqwest::Client::builder().tls_certs_only([certificate.clone()]).build().unwrap();
        client.get(&url).send().await.map(|response| response.status().as_u16()).ok()
    };
    assert_eq!(status(&first).await, Some(200));
    let second = renew();
    assert_eq!(status(&second).await, None, "the old certificate is still shown");
    server.reload_tls().unwrap();
    assert_eq!((status(&second).await, status(&first).await), (Some(200), None));
    std::fs::write(&files.key, "nonsense").unwrap();
    assert!(server.reload_tls().unwrap_err().to_string().starts_with("TLS: key "));
    assert_eq!(status(&second).await, Some(200), "a bad file changes nothing");
    server.shut_down(Duration::ZERO).await;
}
