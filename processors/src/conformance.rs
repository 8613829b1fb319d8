//! What every processor must do, checked by the kit.

use pipeline::testing::conformance::processor;

#[tokio::test(start_paused = true)]
async fn attributes() {
    processor::<crate::attributes::Factory>("actions: [{key: a, value: 1, action: insert}]").await;
}

#[tokio::test(start_paused = true)]
async fn batch() {
    processor::<crate::batch::Factory>("send_batch_size: 2").await;
}

#[tokio::test(start_paused = true)]
async fn dynamo_labels() {
    processor::<crate::dynamo_labels::Factory>("{component: worker, labels: {zone: a}}").await;
}

#[tokio::test(start_paused = true)]
async fn filter() {
    processor::<crate::filter::Factory>("metrics: {exclude: {match_type: strict, metric_names: [a, e]}}").await;
}

#[tokio::test(start_paused = true)]
async fn memory_limiter() {
    processor::<crate::memory_limiter::Factory>("{check_interval: 1s, limit_mib: 4000}").await;
}

#[tokio::test(start_paused = true)]
async fn resource() {
    processor::<crate::resource::Factory>("attributes: [{key: a, value: 1, action: upsert}]").await;
}
