//! The part of GitLab's API that the gate asks: pipelines of a commit, the jobs of one, and the archive of what a job left.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use flate2::Crc;
use serde_json::{Value, json};

use super::runner::{Forge, Status};

/// The token with which it may be read.
pub(crate) const TOKEN: &str = "may-read";

/// What is answered, by path and query.
pub(crate) struct Api {
    pub(crate) address: String,
}

impl Api {
    /// Serves what the forge has run so far. It ends with the test's process.
    pub(crate) fn serve(forge: &Forge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/api/v4", listener.local_addr().expect("an address"));
        let mut pipelines = Vec::new();
        let mut answers: Vec<(String, Vec<u8>)> = Vec::new();
        for pipeline in &forge.pipelines {
            pipelines.push(json!({
                "id": pipeline.id, "sha": pipeline.commit, "ref": "main", "source": pipeline.source,
            }));
            let mut jobs = Vec::new();
            for ((name, status), place) in pipeline.jobs.iter().zip(1..) {
                let id = pipeline.id * 1000 + place;
                let status = match status {
                    Status::Success => "success",
                    Status::Warning | Status::Failed => "failed",
                    Status::Skipped => "skipped",
                };
                jobs.push(json!({ "id": id, "name": name, "status": status }));
                let left = pipeline.artifacts(name);
                if left.is_dir() {
                    answers.push((format!("jobs/{id}/artifacts"), zip(&left)));
                }
            }
            let path = format!("pipelines/{}/jobs", pipeline.id);
            answers.push((path, serde_json::to_vec(&jobs).expect("JSON")));
        }
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _gone = answer(stream, &pipelines, &answers);
            }
        });
        Self { address }
    }
}

fn answer(stream: TcpStream, pipelines: &[Value], answers: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let heads: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let allowed = heads.iter().any(|h| h.eq_ignore_ascii_case(&format!("authorization: Bearer {TOKEN}")));
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let inside = path.strip_prefix("/api/v4/projects/7/").unwrap_or_default();
    let (status, body) = match (allowed, inside) {
        (false, _) => ("401 Unauthorized", Vec::new()),
        (true, "pipelines") => ("200 OK", serde_json::to_vec(&chosen(pipelines, query))?),
        (true, inside) => match answers.iter().find(|(path, _)| path == inside) {
            Some((_, body)) => ("200 OK", body.clone()),
            None => ("404 Not Found", Vec::new()),
        },
    };
    let length = body.len();
    write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    (&stream).write_all(&body)
}

/// The pipelines that a query asks for. Without an order the newest come first; a key that is not known here is refused.
fn chosen(pipelines: &[Value], query: &str) -> Vec<Value> {
    let mut all: Vec<Value> = pipelines.iter().rev().cloned().collect();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (key, value) {
            ("sha" | "ref" | "source", value) => all.retain(|p| p[key] == value),
            ("order_by", "id") | ("sort", "desc") | ("per_page", "100") => {}
            other => panic!("the API is not asked with {other:?} here"),
        }
    }
    all
}

/// An archive of a folder, nothing compressed.
fn zip(folder: &Path) -> Vec<u8> {
    let (mut out, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.path()));
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let name = path.strip_prefix(folder).expect("inside").display().to_string();
        let mut crc = Crc::new();
        crc.update(&bytes);
        let size = u32::try_from(bytes.len()).expect("small").to_le_bytes();
        // Version, flags, method, time and date, checksum, sizes, lengths of name and extra field.
        let mut about = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        about.extend(crc.sum().to_le_bytes());
        about.extend([size, size].concat());
        about.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
        about.extend([0, 0]);
        let at = u32::try_from(out.len()).expect("small").to_le_bytes();
        out.extend([b"PK\x03\x04".as_slice(), &about, name.as_bytes(), &bytes].concat());
        // Made by, the same, then comment, disk, attributes, place.
        directory.extend([b"PK\x01\x02\x14\0".as_slice(), &about, &[0; 10], &at, name.as_bytes()].concat());
        count += 1;
    }
    let (size, at) = (directory.len(), out.len());
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    for number in [size, at] {
        out.extend(u32::try_from(number).expect("small").to_le_bytes());
    }
    out.extend([0, 0]);
    out
}
