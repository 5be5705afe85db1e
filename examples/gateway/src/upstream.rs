//! The HTTP client to the providers: HTTP/1.1 in clear text, HTTP/1.1 or 2 over TLS, and for gRPC
//! HTTP/2 either way.

use std::{io, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderMap, Request, Response, Uri, header};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use llm_exchange::{BoxError, Payload};
use rustls::ClientConfig;
use tower::{service_fn, util::BoxCloneSyncService};
use tower_service::Service;

/// Name, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(10);

/// Connections that wait for the next call: how long, and how many to one provider.
const IDLE: Duration = Duration::from_secs(60);
const MOST_IDLE: usize = 256;

/// A connection that does not answer a ping for so long is dead.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);

pub(crate) type Upstream = BoxCloneSyncService<Request<Payload>, Response<Body>, BoxError>;

/// TLS that trusts the public certificate authorities, as compiled in.
pub(crate) fn public_roots() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_webpki_roots()
        .with_no_client_auth())
}

/// A client with its own pool of connections. Redirects are answers like any other.
pub(crate) fn client(tls: ClientConfig) -> Upstream {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PING));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    let connector = service_fn(move |uri: Uri| {
        let connecting = connector.clone().call(uri);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(BoxError::from(io::Error::from(io::ErrorKind::TimedOut))),
            }
        })
    });
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PONG);
    let any = builder.build::<_, Payload>(connector.clone());
    let http2 = builder.http2_only(true).build::<_, Payload>(connector);
    let client = service_fn(move |request: Request<Payload>| {
        let sent = if is_grpc(request.headers()) {
            http2.request(request)
        } else {
            any.request(request)
        };
        async move { Ok(sent.await?.map(Body::new)) }
    });
    BoxCloneSyncService::new(client)
}

/// Whether a request is gRPC's, which only HTTP/2 carries.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Version;
    use http_body_util::BodyExt;
    use hyper::service::service_fn;
    use hyper_util::{rt::TokioIo, server::conn::auto};
    use rustls::{RootCertStore, ServerConfig, pki_types::PrivatePkcs8KeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tower::ServiceExt;

    use super::*;

    fn ring() -> Arc<rustls::crypto::CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    /// A server with a certificate for `localhost` that echoes, and a client's TLS that trusts it.
    async fn tls_server(alpn: &[&[u8]]) -> (String, ClientConfig) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut server = ServerConfig::builder_with_provider(ring())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        server.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}/v1/x",
            listener.local_addr().unwrap().port()
        );
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let echo = service_fn(|request: Request<hyper::body::Incoming>| async {
                        Ok::<_, Infallible>(Response::new(request.into_body()))
                    });
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(tls), echo)
                        .await;
                });
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(ring())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (url, client)
    }

    fn post(url: &str) -> Request<Payload> {
        Request::post(url)
            .body(Payload::new("hello".to_owned()))
            .unwrap()
    }

    #[tokio::test]
    async fn a_provider_is_called_over_tls_with_http_2_where_it_speaks_that() {
        for (alpn, version) in [
            (&[&b"h2"[..], b"http/1.1"][..], Version::HTTP_2),
            (&[&b"http/1.1"[..]][..], Version::HTTP_11),
            (&[][..], Version::HTTP_11),
        ] {
            let (url, tls) = tls_server(alpn).await;
            let response = client(tls).oneshot(post(&url)).await.unwrap();
            assert_eq!(response.version(), version);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "hello");
        }
    }

    #[tokio::test]
    async fn a_certificate_of_nobody_we_trust_is_refused() {
        let (url, _) = tls_server(&[b"h2"]).await;
        let client = client(public_roots().unwrap());
        let error = client.oneshot(post(&url)).await.unwrap_err();
        let answer = crate::errors::upstream(&error, "p");
        assert!(
            format!("{answer:?}").contains("upstream_unreachable"),
            "{answer:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_made_in_time_is_a_timeout() {
        // accepts, and then says nothing of TLS
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/v1/x", listener.local_addr().unwrap());
        let client = client(public_roots().unwrap());
        let error = client.oneshot(post(&url)).await.unwrap_err();
        let answer = crate::errors::upstream(&error, "p");
        assert!(
            format!("{answer:?}").contains("upstream_timeout"),
            "{answer:?}"
        );
    }
}
