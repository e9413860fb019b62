//! No text contains the key.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_key_is_in_no_debug_output_and_no_error() {
    let world = World::of(organisation());
    let echo = format!("bad key {API_KEY}");
    let id = ScimId::new("1");
    let mut texts = vec![format!("{:?}", world.client)];
    for code in [400, 401, 403, 418] {
        world.fault(status(code, &[], &echo));
        let error = world
            .client
            .update_user(&id, &named("X"))
            .await
            .unwrap_err();
        texts.push(format!("{error} {error:?}"));
    }
    world.fault(status(
        200,
        &[],
        &format!("{{\"Resources\":\"{API_KEY}\"}}"),
    ));
    let error = world.client.users().await.unwrap_err();
    texts.push(format!("{error} {error:?}"));
    for text in texts {
        assert!(!text.contains(API_KEY), "{text}");
    }
}
