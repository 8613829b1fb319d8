//! Where the words about the frame's own types stand, which many components read.

use pipeline::config::docs::Shared;

const NET: &str = include_str!("../pipeline/src/net/README.md");

const fn of_net(name: &'static str, section: &'static str) -> Shared {
    Shared { name, readme: NET, section, under: "" }
}

/// Each type and its tables.
pub const TYPES: &[Shared] = &[
    Shared {
        name: "DeliveryConfig",
        readme: include_str!("../pipeline/src/delivery/README.md"),
        section: "Config",
        under: "",
    },
    Shared {
        name: "Service",
        readme: include_str!("../pipeline/src/config/README.md"),
        section: "The section `service`",
        under: "",
    },
    Shared {
        name: "RelabelRule",
        readme: include_str!("../pipeline/src/relabel/README.md"),
        section: "Config",
        under: "",
    },
    of_net("HttpClientConfig", "An HTTP client"),
    of_net("HttpServerConfig", "An HTTP server"),
    of_net("GrpcClientConfig", "A gRPC client"),
    of_net("GrpcServerConfig", "A gRPC server"),
    of_net("TlsClientConfig", "TLS of a client"),
    of_net("TlsServerConfig", "TLS of a server"),
    of_net("TlsCommon", "TLS on both sides"),
];
