//! jwt-server: the keys that Istio's example tokens (`security/tools/jwt/samples`) can be verified with.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use super::reply;
use crate::resources::Duration as GoDuration;

/// Longest `?delay=`.
const DELAY_LIMIT: Duration = Duration::from_secs(60);

/// The public halves of the key pairs that Istio publishes with its sample server and for its guides.
const KEYS: &str = r#"{"keys":[{"e":"AQAB","kid":"tT_w9LRNrY7wJalGsTYSt7rutZi86Gvyc0EKR4CaQAw","kty":"RSA","n":"raJ7ZEhMfrBUo2werGKOow9an1B6Ukc6dKY2hNi10eaQe9ehJCjLpmJpePxoqaCi2VYt6gncLfhEV71JDGsodbfYMlaxwWTt6lXBcjlVXHWDXLC45rHVfi9FjSSXloHqmSStpjv3mrW3R6fx2VeVVP_mrA6ZHtcynq6ecJqO11STvVoeeM3lEsASVSWsUrKltC1Crfo0sI7YG34QjophVTEi8B9gVepAJZV-Bso5sinRABnxfLUM7DU5c8MO114uvXThgSIuAOM9PbViSC3X6Y9Gsjsy881HGO-EJaUCrwSWnwQW5sp0TktrYL70-M4_ug-X51Yt_PErmncKupx8Hw"},
{"e":"AQAB","kid":"DHFbpoIUqrY8t2zpA2qXfCmr5VO5ZEr4RzHU_-envvQ","kty":"RSA","n":"xAE7eB6qugXyCAG3yhh7pkDkT65pHymX-P7KfIupjf59vsdo91bSP9C8H07pSAGQO1MV_xFj9VswgsCg4R6otmg5PV2He95lZdHtOcU5DXIg_pbhLdKXbi66GlVeK6ABZOUW3WYtnNHD-91gVuoeJT_DwtGGcp4ignkgXfkiEm4sw-4sfb4qdt5oLbyVpmW6x9cfa7vs2WTfURiCrBoUqgBo_-4WTiULmmHSGZHOjzwa8WtrtOQGsAFjIbno85jp6MnGGGZPYZbDAa_b3y5u-YpW7ypZrvD8BgtKVjgtQgZhLAGezMt0ua3DRrWnKqTZ0BJ_EyxOGuHJrLsn00fnMQ"}]}"#;

pub(super) async fn handle(request: &Request<Bytes>) -> Response<Bytes> {
    let delay = super::bookinfo::form::pairs(request.uri().query().unwrap_or(""))
        .find_map(|(name, value)| (name == "delay").then_some(value));
    if let Some(delay) = delay {
        match delay.parse::<GoDuration>() {
            Ok(delay) => tokio::time::sleep(delay.get().min(DELAY_LIMIT)).await,
            Err(_) => return reply::text(StatusCode::BAD_REQUEST, "Invalid delay parameter"),
        }
    }
    reply::text(StatusCode::OK, KEYS)
}
