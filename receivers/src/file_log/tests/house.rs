//! What every receiver must do.

use std::sync::atomic::{AtomicUsize, Ordering};

use pipeline::testing::conformance;

use super::*;

#[tokio::test(start_paused = true)]
async fn it_is_a_receiver_as_every_other() {
    let next = AtomicUsize::new(0);
    conformance::receiver::<Factory>("include: [/logs/*.log]", async |world: &World| {
        let i = next.fetch_add(1, Ordering::Relaxed);
        world.files.append("/logs/a.log", format!("line {i}\n"));
        sleep(A_POLL).await;
    })
    .await;
}
