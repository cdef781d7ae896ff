//! Pingora as it comes, before one app: `pingora-bench LISTEN APP`. One thread, no modules, no hook
//! but the address.

use std::io;

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::modules::http::HttpModules;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// The gate's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

struct Bare {
    app: String,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    /// By itself Pingora adds compression.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&self.app, false, String::new())))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, listen, app] = <[String; 3]>::try_from(std::env::args().collect::<Vec<_>>())
        .map_err(|_| io::Error::other("two addresses: where to listen, and the app's"))?;
    // By itself it waits five minutes for its connections when it is told to end.
    let conf = ServerConf {
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut proxy = http_proxy_service(&server.configuration, Bare { app });
    proxy.add_tcp(&listen);
    server.add_service(proxy);
    server.run_forever()
}
