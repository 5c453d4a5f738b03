//! A man in the middle: shows a certificate of his own, talks TLS to the real server, and may
//! change what the server offers.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wasmgate_services::certificates::Pair;

/// What he does to the server's first question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// Passes it on.
    Relay,
    /// Takes SCRAM-SHA-256-PLUS off the offer.
    NoPlus,
    /// Asks for the password in plain text.
    AskPlain,
    /// Says that nothing is asked for.
    LetIn,
}

/// Listens; the port. Lives as long as the runtime.
pub(crate) async fn start(own: &Pair, root: &std::path::Path, server: u16, trick: Trick) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(&own.certificate).unwrap().map(Result::unwrap);
    let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
    let accepting = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.collect(), key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let dialling = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, dialler) =
        (TlsAcceptor::from(Arc::new(accepting)), TlsConnector::from(Arc::new(dialling)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, dialler) = (acceptor.clone(), dialler.clone());
            tokio::spawn(async move {
                drop(between(client, acceptor, dialler, server, trick).await);
            });
        }
    });
    port
}

async fn between(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    dialler: TlsConnector,
    port: u16,
    trick: Trick,
) -> std::io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.write_all(&request).await?;
    assert_eq!(server.read_u8().await?, b'S');
    let name = ServerName::try_from("localhost").unwrap();
    let mut server = dialler.connect(name, server).await?;
    let startup = framed(&mut client, false).await?;
    server.write_all(&startup).await?;
    let question = framed(&mut server, true).await?;
    let question = match trick {
        Trick::Relay => question,
        Trick::NoPlus => b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0".to_vec(),
        Trick::AskPlain => b"R\0\0\0\x08\0\0\0\x03".to_vec(),
        Trick::LetIn => b"R\0\0\0\x08\0\0\0\0".to_vec(),
    };
    client.write_all(&question).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// One message, whole; the first of a client has no tag.
async fn framed<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    tagged: bool,
) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    if tagged {
        message.push(stream.read_u8().await?);
    }
    let length = stream.read_u32().await?;
    message.extend(length.to_be_bytes());
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await?;
    message.extend(body);
    Ok(message)
}
