//! Requests to send: spans of about 530 bytes with the attributes that a traced HTTP service has.

use bytes::Bytes;
use pipeline::otlp::fields::{request, resource, resource_group, scope, scope_group, span, status};
use pipeline::otlp::write::{Scalar, Writer};

const RESOURCES: usize = 10;

/// One serialized `ExportTraceServiceRequest` of `spans` spans in up to ten resources of ten attributes each; `seed` makes
/// its ids and times differ from other requests'.
pub fn traces(spans: usize, seed: u64) -> Bytes {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut w = Writer::with_capacity(spans * 560 + 4096);
    let resources = RESOURCES.min(spans.max(1));
    for r in 0..resources {
        let here = spans / resources + usize::from(r < spans % resources);
        w.message(request::RESOURCES, |w| {
            w.message(resource_group::RESOURCE, |w| attributes_of_resource(w, r));
            w.message(resource_group::SCOPES, |w| {
                w.message(scope_group::SCOPE, |w| {
                    w.text(scope::NAME, "io.opentelemetry.http-server");
                    w.text(scope::VERSION, "1.2.3");
                });
                (0..here).for_each(|n| one_span(w, n, &mut random));
            });
        });
    }
    w.into_bytes()
}

fn attributes_of_resource(w: &mut Writer, r: usize) {
    let pod = format!("checkout-7d9c5b8f6-x{r}");
    let texts = [
        ("service.name", "checkout"),
        ("service.namespace", "shop"),
        ("service.version", "2.41.0"),
        ("k8s.cluster.name", "production-eu-1"),
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", &pod),
        ("k8s.node.name", "ip-10-0-17-23.eu-central-1.compute.internal"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", "go"),
        ("telemetry.sdk.version", "1.28.0"),
    ];
    texts.iter().for_each(|(key, value)| w.attribute(resource::ATTRIBUTES, key, Scalar::Text(value)));
}

fn one_span(w: &mut Writer, n: usize, random: &mut Random) {
    let start = 1_795_000_000_000_000_000 + random.next() % 1_000_000_000;
    w.message(scope_group::ITEMS, |w| {
        w.bytes(span::TRACE_ID, &[random.next().to_le_bytes(), random.next().to_le_bytes()].concat());
        w.bytes(span::SPAN_ID, &random.next().to_le_bytes());
        w.bytes(span::PARENT_SPAN_ID, &random.next().to_le_bytes());
        w.text(span::NAME, "POST /api/v1/checkout");
        w.varint(span::KIND, 2);
        w.fixed64(span::START, start);
        w.fixed64(span::END, start + random.next() % 100_000_000);
        let url = format!("https://shop.example.com/api/v1/checkout?cart={}", random.next() % 1_000_000);
        let attribute = |w: &mut Writer, key, value| w.attribute(span::ATTRIBUTES, key, value);
        attribute(w, "http.request.method", Scalar::Text("POST"));
        attribute(w, "http.route", Scalar::Text("/api/v1/checkout"));
        attribute(w, "http.response.status_code", Scalar::Int(200));
        attribute(w, "url.full", Scalar::Text(&url));
        attribute(w, "url.path", Scalar::Text("/api/v1/checkout"));
        attribute(w, "server.address", Scalar::Text("shop.example.com"));
        attribute(w, "server.port", Scalar::Int(443));
        attribute(w, "network.protocol.version", Scalar::Text("1.1"));
        attribute(w, "user_agent.original", Scalar::Text("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"));
        attribute(w, "enduser.id", Scalar::Int((n % 5_000).cast_signed() as i64));
        attribute(w, "app.cart.total", Scalar::Double(19.99));
        attribute(w, "app.cache.hit", Scalar::Bool(n.is_multiple_of(2)));
        w.message(span::STATUS, |w| w.varint(status::CODE, 1));
        w.fixed32(span::FLAGS, 257);
    });
}

/// A small generator of numbers (xorshift), the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
