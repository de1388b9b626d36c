//! Historical requests in Terra's shape: what is told, to whom, and how everything that is wrong is told.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod daemon;
#[path = "support/gym.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared between tests")]
mod gym;
#[path = "support/buffer.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use daemon::{Daemon, LIMIT, output};
use gym::{Gym, at};
use pulsegate::athlete::AthleteId;
use pulsegate::config::Config;
use pulsegate::floor::Floor;
use pulsegate::intake::Intake;
use pulsegate::reading::{Event, EventKind, Fact, RequestedData};
use pulsegate::roster::Edit;
use pulsegate::secret;
use pulsegate::web::{self, Terra, Wall, Webhooks};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use support::{read_all, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const DEV_ID: &str = "gym-backend";
const API_KEY: &str = "0123456789abcdef0123456789abcdef";

/// A box that can be asked.
struct Asked {
    gym: Gym,
    address: SocketAddr,
    client: reqwest::Client,
    wall_key: String,
    stop: CancellationToken,
    serving: JoinSet<std::io::Result<()>>,
}

fn headers(dev_id: &str, api_key: &str) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    [("dev-id", dev_id), ("x-api-key", api_key)]
        .into_iter()
        .map(|(name, text)| (name.parse().unwrap(), value(text)))
        .collect()
}

impl Asked {
    async fn open(folder: &Path, webhooks: Webhooks) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let gym = Gym::open(folder);
        let secret = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            secret::read(&path).unwrap()
        };
        let terra = Terra {
            dev_id: DEV_ID.to_owned(),
            api_key: secret("api-key", API_KEY),
            archive: gym.archive(),
            intake: Intake::new(gym.buffer.clone(), gym.board.clone()),
            webhooks,
        };
        let listener = web::listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let key = secret("wall-key", "wall-wall-wall");
        let wall_key = key.expose().to_owned();
        let stop = CancellationToken::new();
        let floor = Floor::new(
            Intake::new(gym.buffer.clone(), gym.board.clone()),
            gym.buffer.clone(),
            gym.roster.clone(),
            gym.clock.clone(),
        );
        let site = web::Site::new(web::Parts {
            gateway: "box-1".to_owned(),
            floor,
            config: Config::default(),
            board: gym.board.clone(),
            buffer: gym.buffer.clone(),
            importer: gym.importer.clone(),
            roster: gym.roster.clone(),
            clock: gym.clock.clone(),
            wall: Some(Wall { address, key }),
            stop: stop.clone(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(web::serve_wall(site, Some(terra), listener));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { gym, address, client, wall_key, stop, serving }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn ask(&self, path: &str) -> reqwest::Response {
        let asked = self.client.get(self.url(path)).headers(headers(DEV_ID, API_KEY));
        within(asked.send()).await.unwrap()
    }

    async fn told(&self, path: &str) -> Value {
        let response = self.ask(path).await;
        assert_eq!(response.status(), 200, "{path}: {}", response.text().await.unwrap());
        within(response.json()).await.unwrap()
    }

    /// Status and detail of a problem, after everything else of it was looked at.
    async fn problem(&self, path: &str) -> (u16, String) {
        problem(self.ask(path).await, path).await
    }

    /// Everything of these dates that is asked for.
    async fn data(&self, kind: &str, who: AthleteId, more: &str) -> Value {
        self.told(&format!("/v2/{kind}?user_id={who}&to_webhook=false&{more}")).await
    }

    async fn close(mut self) {
        self.stop.cancel();
        within(self.serving.join_next()).await.unwrap().unwrap().unwrap();
        self.gym.close().await;
    }
}

async fn problem(response: reqwest::Response, path: &str) -> (u16, String) {
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
    let problem: Value = within(response.json()).await.unwrap();
    assert_eq!(problem["type"], "about:blank", "{path}");
    let title = status.canonical_reason().unwrap().to_lowercase();
    assert_eq!((&problem["title"], &problem["instance"]), (&title.into(), &path.into()));
    (status.as_u16(), problem["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn workouts_of_a_time_are_told_with_their_heart_rates_if_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::NowhereToGo).await;
    let aino = asked.gym.somebody("Aino", Some("v1"));
    let first = asked.gym.session(Some(aino), at("2026-06-01T12:00:00Z"), 90).await;
    let second = asked.gym.session(Some(aino), at("2026-06-03T12:00:00Z"), 60).await;
    asked.gym.session(None, at("2026-06-01T12:00:00Z"), 60).await;
    let path = format!(
        "/v2/activity?user_id={aino}&to_webhook=false&with_samples=true&start_date=2026-06-01&end_date=2026-06-03"
    );
    let response = asked.ask(&path).await;
    let reference = response.headers()["terra-reference"].to_str().unwrap().to_owned();
    assert!(reference.parse::<Uuid>().is_ok());
    assert_eq!(response.headers()["cache-control"], "no-store");
    let told: Value = within(response.json()).await.unwrap();
    assert_eq!(
        (&told["type"], &told["user"]["user_id"]),
        (&"activity".into(), &aino.to_string().into())
    );
    let ids = |told: &Value| -> Vec<String> {
        let data = told["data"].as_array().unwrap().iter();
        data.map(|one| one["metadata"]["summary_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&told), [first.to_string(), second.to_string()]);
    let samples = &told["data"][0]["heart_rate_data"]["detailed"]["hr_samples"];
    assert_eq!(samples.as_array().unwrap().len(), 90);
    assert_eq!(samples[89]["timestamp"], "2026-06-01T15:01:29.000000+03:00");
    assert_eq!(samples[89]["bpm"], 121);
    // 12:00Z is 1780315200.
    for (more, expected) in [
        ("start_date=2026-06-02&end_date=2026-06-03", vec![second]),
        ("start_date=2026-06-01&end_date=2026-06-01", vec![first]),
        ("start_date=1780315201&end_date=1780315202", vec![first]),
        ("start_date=1780315290&end_date=1780315300", vec![]),
        ("start_date=2026-06-03", vec![second]),
        ("start_date=1780315200&end_date=2026-06-02", vec![first]),
    ] {
        let told = asked.data("activity", aino, more).await;
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(ids(&told), expected, "{more}");
        for one in told["data"].as_array().unwrap() {
            let samples = &one["heart_rate_data"]["detailed"]["hr_samples"];
            assert_eq!(samples, &Value::Array(Vec::new()), "not asked for");
        }
    }
    asked.close().await;
}

#[tokio::test]
async fn days_are_told_beat_by_beat_and_as_sums() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::NowhereToGo).await;
    let aino = asked.gym.somebody("Aino", Some("v1"));
    asked.gym.session(Some(aino), at("2026-06-01T20:59:00Z"), 120).await;
    asked.gym.session(Some(aino), at("2026-06-01T08:00:00Z"), 60).await;
    let range = "start_date=2026-05-01&end_date=2026-06-05";
    let short = "start_date=2026-06-01&end_date=2026-06-05&with_samples=true";
    let body = asked.data("body", aino, short).await;
    let days = body["data"].as_array().unwrap();
    let beats =
        |day: usize| days[day]["heart_data"]["rr_interval_samples"].as_array().unwrap().len();
    assert_eq!((days.len(), beats(0), beats(1)), (2, 60 * 4 + 1, 60 * 2 - 1));
    assert_eq!(days[1]["metadata"]["start_time"], "2026-06-02T00:00:00.000000+03:00");
    let daily = asked.data("daily", aino, range).await;
    let days = daily["data"].as_array().unwrap();
    assert_eq!((daily["type"].as_str(), days.len()), (Some("daily"), 2));
    assert_eq!(days[0]["active_durations_data"]["activity_seconds"], 180.0, "of both workouts");
    assert_eq!(days[0]["calories_data"]["total_burned_calories"], 18);
    let plain = asked.data("body", aino, range).await;
    assert_eq!(plain["data"][0]["heart_data"]["rr_interval_samples"], Value::Array(Vec::new()));
    asked.close().await;
}

#[tokio::test]
async fn people_are_told_by_their_id_by_the_operators_and_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::NowhereToGo).await;
    let edit = |name: &str| Edit {
        display_name: Some(name.to_owned()),
        reference_id: Some(format!("member {name}")),
        birth_year: Some(1990),
        consent: Some("v1".to_owned()),
        ..Edit::default()
    };
    let aino = asked.gym.athlete(&edit("Aino"));
    let (ben, _) = (asked.gym.athlete(&edit("Ben")), asked.gym.athlete(&edit("Cai")));
    asked.gym.somebody("Dee", None);
    asked.gym.session(Some(aino), at("2026-06-01T12:00:00Z"), 90).await;

    let athlete = asked.told(&format!("/v2/athlete?user_id={aino}&to_webhook=false")).await;
    assert_eq!(
        (&athlete["athlete"]["first_name"], &athlete["athlete"]["age"]),
        (&"Aino".into(), &36.into())
    );
    let info = asked.told(&format!("/v2/userInfo?user_id={aino}")).await;
    assert_eq!((&info["status"], &info["is_authenticated"]), (&"success".into(), &true.into()));
    assert_eq!(info["user"]["most_recent_data_at"], "2026-06-01T12:01:30.000000+00:00");
    let info = asked.told(&format!("/v2/userInfo?user_id={ben}")).await;
    assert_eq!(info["user"]["most_recent_data_at"], Value::Null);
    let by_reference = asked.told("/v2/userInfo?reference_id=member+Ben").await;
    assert_eq!(by_reference.as_array().unwrap().len(), 1);
    assert_eq!(by_reference[0]["user_id"], ben.to_string());

    let everybody = asked.told("/v2/subscriptions").await;
    assert_eq!(everybody["users"].as_array().unwrap().len(), 3, "Dee has not agreed");
    let mut paged = Vec::new();
    let mut page = 0;
    loop {
        let told = asked.told(&format!("/v2/subscriptions?page={page}&per_page=2")).await;
        assert_eq!(told["data"]["max_page"], 1);
        paged.extend(told["data"]["results"].as_array().unwrap().clone());
        let Some(next) = told["data"]["next"].as_u64() else { break };
        page = next;
    }
    assert_eq!((page, Value::Array(paged)), (1, everybody["users"].clone()));
    let beyond = asked.told("/v2/subscriptions?page=9&per_page=2").await;
    assert_eq!(
        (&beyond["data"]["next"], beyond["data"]["results"].as_array().unwrap().len()),
        (&Value::Null, 0)
    );
    asked.close().await;
}

#[tokio::test]
async fn who_has_not_agreed_is_as_unknown_as_somebody_who_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::Delivered).await;
    let ben = asked.gym.somebody("Ben", None);
    asked.gym.session(Some(ben), at("2026-06-01T12:00:00Z"), 60).await;
    for (kind, more) in [
        ("activity", "&start_date=2026-06-01&to_webhook=false"),
        ("body", "&start_date=2026-06-01&to_webhook=false"),
        ("daily", "&start_date=2026-06-01"),
        ("athlete", "&to_webhook=false"),
        ("userInfo", ""),
    ] {
        let said = asked.problem(&format!("/v2/{kind}?user_id={ben}{more}")).await;
        assert_eq!(said, (404, "user not found".to_owned()), "{kind}");
        let nobody = asked.problem(&format!("/v2/{kind}?user_id={}{more}", Uuid::nil())).await;
        assert_eq!(said, nobody, "{kind}");
    }
    let (status, _) = asked.problem("/v2/userInfo?reference_id=member").await;
    assert_eq!(status, 404);
    assert_eq!(asked.told("/v2/subscriptions").await["users"], Value::Array(Vec::new()));
    asked.close().await;
}

#[tokio::test]
async fn both_keys_open_their_own_door_only() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::NowhereToGo).await;
    let path = "/v2/subscriptions";
    let mut only_one = headers(DEV_ID, API_KEY);
    only_one.remove("x-api-key");
    let wrong = "dev-id or x-api-key is wrong";
    for (shown, detail) in [
        (HeaderMap::new(), "dev-id or x-api-key headers are missing"),
        (only_one, "dev-id or x-api-key headers are missing"),
        (headers("somebody", API_KEY), wrong),
        (headers(DEV_ID, &API_KEY[1..]), wrong),
        (headers(DEV_ID, ""), wrong),
        (headers(DEV_ID, &asked.wall_key), wrong),
    ] {
        for path in [path, "/v2/nowhere"] {
            let asking = asked.client.get(asked.url(path)).headers(shown.clone());
            let response = within(asking.send()).await.unwrap();
            assert_eq!(problem(response, path).await, (401, detail.to_owned()));
        }
    }
    let cookie = format!("pulsegate_wall={}", asked.wall_key);
    let asking = asked.client.get(asked.url(path)).header("cookie", &cookie);
    assert_eq!(within(asking.send()).await.unwrap().status(), 401);
    let asking = asked.client.get(asked.url("/wall.js")).headers(headers(DEV_ID, API_KEY));
    assert_eq!(within(asking.send()).await.unwrap().status(), 401);
    let asking = asked.client.get(asked.url("/wall.js")).header("cookie", &cookie);
    assert_eq!(within(asking.send()).await.unwrap().status(), 200);
    // A name that points here, in a page of somebody else.
    let mut shown = headers(DEV_ID, API_KEY);
    shown.insert("host", HeaderValue::from_static("evil.example"));
    let response = within(asked.client.get(asked.url(path)).headers(shown).send()).await.unwrap();
    assert_eq!(problem(response, path).await.0, 421);
    asked.close().await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_as_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::NowhereToGo).await;
    let aino = asked.gym.somebody("Aino", Some("v1"));
    let user = format!("user_id={aino}");
    for (path, status, detail) in [
        ("activity?start_date=2026-06-01", 400, "user_id is missing"),
        ("activity?user_id=aino&start_date=2026-06-01", 400, "invalid user_id"),
        ("activity?USER", 400, "start_date is missing"),
        ("activity?USER&start_date=yesterday", 400, "invalid start_date"),
        ("activity?USER&start_date=2026-02-30", 400, "invalid start_date"),
        ("activity?USER&start_date=2026-06-01&end_date=1", 400, "invalid end_date"),
        (
            "body?USER&start_date=2026-06-02&end_date=2026-06-01",
            400,
            "start_date is later than end_date",
        ),
        (
            "daily?USER&start_date=2030-01-01",
            400,
            "start_date is later than end_date, which is now",
        ),
        ("daily?USER&start_date=9999-12-31&end_date=9999-12-31", 400, "invalid"),
        ("daily?USER&start_date=2025-01-01&end_date=2026-01-02", 400, "367 days at once"),
        (
            "body?USER&start_date=2026-01-01&end_date=2026-02-01&with_samples=true",
            400,
            "32 days at once",
        ),
        ("activity?USER&start_date=2026-06-01&to_webhook=maybe", 400, "invalid to_webhook"),
        ("activity?USER&start_date=2026-06-01&with_samples=2", 400, "invalid with_samples"),
        ("activity?USER&USER&start_date=2026-06-01", 400, "user_id is given more than once"),
        ("activity?USER&start_date=2026-06-01", 400, "no destination"),
        ("athlete?USER&to_webhook=true", 400, "no destination"),
        ("userInfo", 400, "user_id or reference_id is missing"),
        ("userInfo?USER&reference_id=x", 400, "user_id or reference_id, not both"),
        ("subscriptions?page=-1", 400, "invalid page"),
        ("subscriptions?page=0&per_page=100000", 400, "invalid per_page"),
        ("sleep?USER&start_date=2026-06-01", 404, "no such path"),
        ("", 404, "no such path"),
    ] {
        let path = format!("/v2/{}", path.replace("USER", &user));
        let said = asked.problem(&path).await;
        assert!(said.0 == status && said.1.starts_with(detail), "{path}: {said:?}");
    }
    let path = "/v2/activity";
    let asking = asked.client.post(asked.url(path)).headers(headers(DEV_ID, API_KEY));
    let response = within(asking.send()).await.unwrap();
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    assert_eq!(problem(response, path).await.0, 405);
    asked.close().await;
}

#[tokio::test]
async fn what_is_promised_is_in_the_log_before_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::Delivered).await;
    let aino = asked.gym.somebody("Aino", Some("v1"));
    let path = format!(
        "/v2/body?user_id={aino}&start_date=2026-06-01&end_date=2026-06-02&with_samples=true"
    );
    let response = asked.ask(&path).await;
    let reference = response.headers()["terra-reference"].to_str().unwrap().to_owned();
    let told: Value = within(response.json()).await.unwrap();
    assert_eq!((&told["status"], &told["type"]), (&"success".into(), &"body".into()));
    assert_eq!(
        (&told["reference"], &told["trace_id"]),
        (&reference.as_str().into(), &reference.as_str().into())
    );
    assert_eq!(told["user"]["user_id"], aino.to_string());
    // What a crash now would leave.
    let image = tempfile::tempdir().unwrap();
    support::crash_image(folder.path(), &image.path().join("data"));
    let (buffer, keeper) = support::open(&image.path().join("data"), 1 << 30).unwrap();
    let kinds = read_all(&buffer).await.into_iter().filter_map(|entry| match entry.fact {
        Fact::Event(Event { kind: kind @ EventKind::Requested { .. }, .. }) => Some(kind),
        _ => None,
    });
    let expected = EventKind::Requested {
        reference: reference.parse().unwrap(),
        data: RequestedData::Body,
        athlete: aino,
        from: at("2026-05-31T21:00:00Z"),
        to: at("2026-06-02T21:00:00Z"),
        with_samples: true,
    };
    assert_eq!(kinds.collect::<Vec<_>>(), [expected]);
    support::close(&buffer, keeper).await;
    asked.close().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_whole_is_refused_or_breaks_off() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::NowhereToGo).await;
    let aino = asked.gym.somebody("Aino", Some("v1"));
    asked.gym.session(Some(aino), at("2026-06-01T12:00:00Z"), 2000).await;
    let second = asked.gym.session(Some(aino), at("2026-06-02T12:00:00Z"), 60).await;
    let history = asked.gym.importer.history().clone();
    let kept = history.get(second).unwrap().unwrap();
    std::fs::remove_file(folder.path().join(format!("history/originals/{}.fit", kept.sha256)))
        .unwrap();
    let path = |first: &str| {
        format!(
            "/v2/body?user_id={aino}&to_webhook=false&with_samples=true&start_date={first}&end_date=2026-06-02"
        )
    };
    let (status, detail) = asked.problem(&path("2026-06-02")).await;
    assert_eq!(status, 500);
    assert!(!detail.contains('/'), "no path of the box: {detail}");
    let response = asked.ask(&path("2026-06-01")).await;
    assert_eq!(response.status(), 200, "the first day can be read");
    assert!(within(response.bytes()).await.is_err(), "and does not end as if that were all");
    asked.close().await;
}

#[tokio::test]
async fn hours_come_as_they_are_read_and_few_are_asked_for_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::NowhereToGo).await;
    let aino = asked.gym.somebody("Aino", Some("v1"));
    for day in 1..=4 {
        asked.gym.session(Some(aino), at(&format!("2026-06-0{day}T06:00:00Z")), 15_000).await;
    }
    let path = format!(
        "/v2/body?user_id={aino}&to_webhook=false&with_samples=true&start_date=2026-06-01&end_date=2026-06-04"
    );
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\ndev-id: {DEV_ID}\r\nx-api-key: {API_KEY}\r\nconnection: close\r\n\r\n"
    );
    // They begin to be answered, and do not read on.
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(asked.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        within(stream.read_exact(&mut head)).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        slow.push(stream);
    }
    let response = asked.ask(&path).await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(problem(response, &path).await.0, 429);
    assert_eq!(asked.ask("/v2/subscriptions").await.status(), 200, "that costs nothing");
    // Whoever goes away makes room.
    slow.clear();
    let whole = within(async {
        loop {
            let response = asked.ask(&path).await;
            if response.status() == 200 {
                return response.bytes().await.unwrap();
            }
        }
    })
    .await;
    let told: Value = serde_json::from_slice(&whole).unwrap();
    let days = told["data"].as_array().unwrap();
    let beats = |day: &Value| day["heart_data"]["rr_interval_samples"].as_array().unwrap().len();
    assert_eq!(days.iter().map(beats).collect::<Vec<_>>(), [30_000; 4]);
    assert!(whole.len() > 10_000_000, "{}", whole.len());
    asked.close().await;
}

#[tokio::test]
async fn the_real_daemon_answers_who_is_configured_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let plain = format!("[web]\nlisten = \"{address}\"\n");
    let key_file = folder.path().join("terra.key");
    let config = format!("{plain}[web.terra]\ndev_id = {DEV_ID:?}\napi_key_file = {key_file:?}\n");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let ask = || {
        let url = format!("http://{address}/v2/subscriptions");
        client.get(url).headers(headers(DEV_ID, API_KEY)).send()
    };
    for (key, said) in [(None, "cannot be read"), (Some("short"), "fewer than 16")] {
        if let Some(key) = key {
            std::fs::write(&key_file, key).unwrap();
        }
        let path = folder.path().join("wrong.toml");
        let data_dir = folder.path().join("data");
        std::fs::write(&path, format!("data_dir = {data_dir:?}\n{config}")).unwrap();
        let mut refused = daemon::pulsegate(&["run", "--config", path.to_str().unwrap()]);
        refused.args(["--simulate", "1"]).stderr(std::process::Stdio::piped());
        let output = bounded(refused);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains("web.terra") && text.contains(said), "{text}");
    }
    std::fs::write(&key_file, format!("{API_KEY}\n")).unwrap();
    let daemon = Daemon::start(folder.path(), &config, &["--simulate", "1"]);
    daemon.wait_committed(1);
    let data_dir = daemon.data_dir().to_str().unwrap().to_owned();
    let added = output(&["athlete", "add", "Aino", "--consent", "v1", "--data-dir", &data_dir]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let told: Value = within(within(ask()).await.unwrap().json()).await.unwrap();
    assert_eq!(told["users"].as_array().unwrap().len(), 1, "{told}");
    assert!(daemon.stop().success());
    let daemon = Daemon::start(folder.path(), &plain, &["--simulate", "1"]);
    daemon.wait_committed(1);
    let response = within(ask()).await.unwrap();
    assert_ne!(response.status(), 200);
    assert!(!response.headers().contains_key("terra-reference"));
    assert!(!response.headers().contains_key("content-type"), "nobody of /v2 answers");
    assert!(daemon.stop().success());
}

/// What it said before it ended. One that runs on is killed.
fn bounded(mut command: Command) -> std::process::Output {
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // Already gone, if all is well.
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

/// The command of whoever asks: it is given the address, both headers, and a user.
const JUDGE: &str = "PULSEGATE_JUDGE";

#[tokio::test]
async fn a_judge_asks_the_box_as_terras_openapi_says() {
    let Ok(command) = std::env::var(JUDGE) else { return };
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::open(folder.path(), Webhooks::Delivered).await;
    let aino = asked.gym.somebody("Aino", Some("v1"));
    asked.gym.somebody("Ben", Some("v1"));
    asked.gym.session(Some(aino), at("2026-06-01T12:00:00Z"), 90).await;
    asked.gym.session(Some(aino), at("2026-06-03T20:59:00Z"), 120).await;
    let mut words = command.split(' ');
    let mut judge = Command::new(words.next().unwrap());
    judge.args(words).args([&asked.url(""), DEV_ID, API_KEY, &aino.to_string()]);
    // It ends by itself, after ten minutes at the latest.
    let judged = tokio::task::spawn_blocking(move || judge.status()).await.unwrap().unwrap();
    assert!(judged.success());
    asked.close().await;
}
