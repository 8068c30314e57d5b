//! The client against a real SSH server of the same library, on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gsh_ssh::key::{self, KeyFile};
use gsh_ssh::{Auth, HostKey, KeyPair, SshError, banner, connect, connect_by_any, host_key, host_key_like};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::server::{self, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Preferred};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Accepts one key and the password `right`; `cat` echoes its input, `fail` ends with 3, `hang-up` drops the connection.
#[derive(Clone)]
struct Shell {
    client: PublicKey,
    input: Vec<u8>,
    echoes: bool,
}

impl server::Handler for Shell {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<server::Auth, russh::Error> {
        Ok(if password == "right" { server::Auth::Accept } else { server::Auth::reject() })
    }

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<server::Auth, russh::Error> {
        let same = key.public_key.key_data() == self.client.key_data();
        Ok(if same { server::Auth::Accept } else { server::Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(id)?;
        match command {
            b"cat" => self.echoes = true,
            b"fail" => {
                session.extended_data(id, 1, b"no such thing".to_vec())?;
                session.exit_status_request(id, 3)?;
                session.close(id)?;
            }
            _ => return Err(russh::Error::Disconnect),
        }
        Ok(())
    }

    async fn data(&mut self, _id: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), russh::Error> {
        self.input.extend_from_slice(data);
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        if self.echoes {
            session.data(id, self.input.clone())?;
            session.exit_status_request(id, 0)?;
            session.close(id)?;
        }
        Ok(())
    }
}

struct Server {
    at: SocketAddr,
    host_key: HostKey,
    client: KeyPair,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve() -> Server {
    serve_to(KeyPair::generate("client").unwrap(), Preferred::default(), Vec::new()).await
}

/// Lets this client in, and signatures of these kinds; with these host keys beside its ed25519 one.
async fn serve_to(client: KeyPair, preferred: Preferred, mut more: Vec<PrivateKey>) -> Server {
    let host = KeyPair::generate("host").unwrap();
    more.push(PrivateKey::from_openssh(&host.private_pem).unwrap());
    let config = Arc::new(server::Config {
        keys: more,
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]),
        preferred,
        ..server::Config::default()
    });
    let shell =
        Shell { client: PublicKey::from_openssh(&client.public_line).unwrap(), input: Vec::new(), echoes: false };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(session) = server::run_stream(config.clone(), stream, shell.clone()).await {
                tokio::spawn(session);
            }
        }
    });
    Server { at, host_key: host.public_line.parse().unwrap(), client, task }
}

/// Says these bytes to everybody and closes.
async fn say(bytes: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(bytes).await.unwrap();
        }
    });
    (at, task)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test]
async fn a_command_gets_its_input_and_gives_its_output() {
    let server = serve().await;
    let session =
        connect(server.at, "root", &server.host_key, Auth::Key(&server.client.private_pem), soon()).await.unwrap();
    let output = session.exec("cat", b"a line\n", soon()).await.unwrap();
    assert_eq!((output.status, output.text().as_str()), (Some(0), "a line\n"));
    let output = session.exec("fail", b"", soon()).await.unwrap();
    assert_eq!((output.status, output.error_text().as_str()), (Some(3), "no such thing"));
    session.close().await;
}

#[tokio::test]
async fn a_large_input_passes_whole() {
    let server = serve().await;
    let session =
        connect(server.at, "root", &server.host_key, Auth::Key(&server.client.private_pem), soon()).await.unwrap();
    let input = vec![b'x'; 3 * 1024 * 1024];
    let output = session.exec("cat", &input, soon()).await.unwrap();
    assert_eq!(output.stdout.len(), input.len());
    session.close().await;
}

#[tokio::test]
async fn another_host_key_than_the_pinned_one_is_refused_and_named() {
    let server = serve().await;
    let other: HostKey = KeyPair::generate("other").unwrap().public_line.parse().unwrap();
    let refused = connect(server.at, "root", &other, Auth::Key(&server.client.private_pem), soon()).await.unwrap_err();
    match refused {
        SshError::HostKeyMismatch { got, expected, .. } => {
            assert_eq!((got, expected), (server.host_key.line(), other.line()));
        }
        wrong => panic!("{wrong:?}"),
    }
}

#[tokio::test]
async fn a_refused_login_says_what_the_server_still_offers() {
    let server = serve().await;
    let stranger = KeyPair::generate("stranger").unwrap();
    for auth in [Auth::Password("wrong"), Auth::Key(&stranger.private_pem), Auth::None] {
        match connect(server.at, "root", &server.host_key, auth, soon()).await.unwrap_err() {
            SshError::AuthRefused { user, offers, .. } => {
                assert_eq!(user, "root");
                assert!(!offers.is_empty(), "{auth:?}");
            }
            wrong => panic!("{auth:?}: {wrong:?}"),
        }
    }
    let session = connect(server.at, "root", &server.host_key, Auth::Password("right"), soon()).await.unwrap();
    session.close().await;
}

#[tokio::test]
async fn a_server_that_hangs_up_after_the_login_is_told_apart() {
    let server = serve().await;
    let session = connect(server.at, "root", &server.host_key, Auth::Password("right"), soon()).await.unwrap();
    let ended = session.exec("hang-up", b"", soon()).await.unwrap_err();
    assert!(matches!(ended, SshError::ClosedAfterAuth { .. }), "{ended:?}");
}

#[tokio::test]
async fn the_host_key_and_the_banner_can_be_looked_at_without_a_login() {
    let server = serve().await;
    assert_eq!(host_key(server.at, soon()).await.unwrap(), server.host_key);
    assert!(banner(server.at, soon()).await.unwrap().starts_with("SSH-2.0-"));
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = banner(free, soon()).await.unwrap_err();
    assert!(matches!(refused, SshError::Refused { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_web_server_or_a_silent_close_does_not_speak_ssh() {
    let key: HostKey = KeyPair::generate("any").unwrap().public_line.parse().unwrap();
    for (bytes, expected) in [(&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP/1.1 400 Bad Request"), (&b""[..], "")] {
        let (at, task) = say(bytes).await;
        for error in
            [banner(at, soon()).await.unwrap_err(), connect(at, "root", &key, Auth::None, soon()).await.unwrap_err()]
        {
            match error {
                SshError::NotSsh { saw, .. } => assert_eq!(saw, expected),
                wrong => panic!("{wrong:?}"),
            }
        }
        task.abort();
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out_while_greeting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let late = banner(at, Instant::now() + Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(late, SshError::TimedOut { during: "greeting", .. }), "{late:?}");
}

#[tokio::test]
async fn keys_and_credentials_are_not_in_debug_output() {
    let pair = KeyPair::generate("x").unwrap();
    let shown = format!("{pair:?} {:?} {:?}", Auth::Key(&pair.private_pem), Auth::Password("hush"));
    assert!(!shown.contains("PRIVATE") && !shown.contains("hush"), "{shown}");
    assert!(matches!("nonsense".parse::<HostKey>(), Err(SshError::BadKey { what: "host key", .. })));
}

/// A key of OpenSSH's making; nothing, and a line that says so, where that makes none of this kind.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not checked")]
fn made(kind: &[&str]) -> Option<KeyPair> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let mut command = std::process::Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", "made", "-f"]).arg(&file).args(kind);
    if !command.status().is_ok_and(|status| status.success()) {
        eprintln!("not checked: `ssh-keygen {}` makes no key here", kind.join(" "));
        return None;
    }
    let read = |file: &std::path::Path| std::fs::read_to_string(file).unwrap();
    Some(KeyPair { private_pem: read(&file), public_line: read(&file.with_extension("pub")) })
}

#[tokio::test]
async fn an_rsa_key_signs_over_what_the_server_takes_and_never_over_sha_1() {
    let Some(client) = made(&["-t", "rsa", "-b", "2048"]) else { return };
    for (hash, welcome) in [(Some(HashAlg::Sha512), true), (Some(HashAlg::Sha256), true), (None, false)] {
        let kinds = vec![Algorithm::Ed25519, Algorithm::Rsa { hash }];
        let preferred = Preferred { key: kinds.into(), ..Preferred::default() };
        let server = serve_to(client.clone(), preferred, Vec::new()).await;
        let login = connect(server.at, "root", &server.host_key, Auth::Key(&client.private_pem), soon()).await;
        match login {
            Ok(session) => {
                assert!(welcome, "{hash:?}");
                session.close().await;
            }
            Err(SshError::OnlySha1 { target }) => assert!(!welcome && target == server.at, "{hash:?}"),
            Err(wrong) => panic!("{hash:?}: {wrong:?}"),
        }
    }
}

#[tokio::test]
async fn the_first_proof_that_is_accepted_counts() {
    let server = serve().await;
    let stranger = KeyPair::generate("stranger").unwrap();
    let (strange, own) = (Auth::Key(&stranger.private_pem), Auth::Key(&server.client.private_pem));
    let agent = Auth::Agent { socket: std::path::Path::new("/nowhere"), key: &stranger.public_line };
    for proofs in [vec![strange, own], vec![agent, strange, own]] {
        connect_by_any(server.at, "root", &server.host_key, &proofs, soon()).await.unwrap().close().await;
    }
    let none = connect_by_any(server.at, "root", &server.host_key, &[strange, agent], soon()).await.unwrap_err();
    assert!(none.to_string().starts_with("the SSH agent at `/nowhere` cannot be reached: "), "{none}");
}

#[tokio::test]
async fn a_server_that_hangs_up_before_all_keys_were_shown_is_told_apart() {
    let server = serve().await;
    let strangers: Vec<KeyPair> = (0..12).map(|_| KeyPair::generate("stranger").unwrap()).collect();
    let mut proofs: Vec<Auth<'_>> = strangers.iter().map(|pair| Auth::Key(&pair.private_pem)).collect();
    proofs.push(Auth::Key(&server.client.private_pem));
    match connect_by_any(server.at, "root", &server.host_key, &proofs, soon()).await.unwrap_err() {
        SshError::TooMany { shown, of, .. } => assert!((10..of).contains(&shown) && of == 13, "{shown} of {of}"),
        wrong => panic!("{wrong:?}"),
    }
}

#[tokio::test]
async fn a_server_shows_the_kind_of_host_key_by_which_it_is_known() {
    let kinds: [&[&str]; 2] = [&["-t", "ecdsa"], &["-t", "rsa", "-b", "2048"]];
    let others = kinds.into_iter().filter_map(made).map(|pair| PrivateKey::from_openssh(&pair.private_pem).unwrap());
    let others: Vec<PrivateKey> = others.collect();
    let client = KeyPair::generate("client").unwrap();
    let server = serve_to(client.clone(), Preferred::default(), others.clone()).await;
    let known = others.iter().map(|key| key.public_key().to_openssh().unwrap().parse::<HostKey>().unwrap());
    for known in known.chain([server.host_key.clone()]) {
        assert_eq!(host_key_like(server.at, std::slice::from_ref(&known), soon()).await.unwrap(), known);
        let session = connect(server.at, "root", &known, Auth::Key(&client.private_pem), soon()).await.unwrap();
        session.close().await;
    }
    assert_eq!(host_key(server.at, soon()).await.unwrap(), server.host_key);
    // Which only proves over SHA-1 that it has its key has not proved it.
    let old = Preferred { key: vec![Algorithm::Rsa { hash: None }].into(), ..Preferred::default() };
    let server = serve_to(client, old, others).await;
    let shown = host_key(server.at, soon()).await;
    assert!(matches!(shown, Err(SshError::Protocol { during: "key exchange", .. })), "{shown:?}");
}

#[test]
fn a_key_file_that_cannot_be_used_says_why_and_nothing_of_itself() {
    use russh::keys::ssh_key::private::{KeypairData, SkEd25519};
    use russh::keys::ssh_key::{LineEnding, public};

    let half = public::SkEd25519::new(public::Ed25519PublicKey([7; 32]), "ssh:");
    let token = KeypairData::SkEd25519(SkEd25519::new(half, 1, [9; 16]).unwrap());
    let token = PrivateKey::new(token, "token").unwrap().to_openssh(LineEnding::LF).unwrap();
    let said = |text: &str| key::read(text, None).unwrap_err().to_string();
    let only = "it belongs to a security token (sk-ssh-ed25519@openssh.com), which only an agent can ask to sign";
    assert_eq!(said(&token), only);
    if let Some(old) = made(&["-t", "dsa"]) {
        assert_eq!(said(&old.private_pem), "it is a key of the kind ssh-dss; ed25519, ECDSA and RSA can be used");
    }
    let cut = KeyPair::generate("cut").unwrap().private_pem.replace("-----BEGIN", "-----BEGAN");
    for text in ["", "no key", &cut] {
        let said = said(text);
        assert!(said.starts_with("it cannot be read as a key of OpenSSH, PKCS#1 or PKCS#8: "), "{said}");
        assert!(!cut.lines().any(|line| line.len() > 8 && said.contains(line)), "{said}");
    }
    let pair = KeyPair::generate("pair").unwrap();
    assert!(matches!(key::read(&pair.private_pem, None), Ok(KeyFile::Private(_))));
    match key::read(&pair.public_line, None) {
        Ok(KeyFile::Public(line)) => assert!(pair.public_line.starts_with(&line), "{line}"),
        wrong => panic!("{wrong:?}"),
    }
}
