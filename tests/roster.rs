//! `pulsegate athlete` and `pulsegate strap` with the real binary: through the socket of a running daemon and in the folder
//! of a stopped one, over kills, on a disk that refuses; what the wall shows of people; and forgetting.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod daemon;
#[path = "support/operator.rs"]
#[allow(dead_code, reason = "shared between tests")]
mod operator;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use daemon::{Daemon, LIMIT, output};
use operator::{CONFIG, text, wait_until};
use pulsegate::simulate::{self, Settings};
use serde_json::Value;

/// Runs a command for this data folder, with the configuration beside it where there is one.
fn run(data_dir: &Path, arguments: &[&str]) -> Output {
    let config = data_dir.with_file_name("pulsegate.toml");
    let mut all = arguments.to_vec();
    all.extend(["--data-dir", data_dir.to_str().unwrap()]);
    if config.exists() {
        all.extend(["--config", config.to_str().unwrap()]);
    }
    output(&all)
}

/// What it prints when all is well.
fn told(data_dir: &Path, arguments: &[&str]) -> String {
    let output = run(data_dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(data_dir: &Path, arguments: &[&str]) -> Value {
    let all = [arguments, &["--json"]].concat();
    serde_json::from_str(&told(data_dir, &all)).unwrap()
}

/// What it says when it fails with this code.
fn refused(data_dir: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(data_dir, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// A daemon that answers.
fn start(folder: &Path, config: &str, straps: &str) -> Daemon {
    let daemon = Daemon::start(folder, config, &["--simulate", straps]);
    let socket = daemon.data_dir().join("pulsegate.sock");
    wait_until(|| UnixStream::connect(&socket).is_ok());
    daemon
}

/// The straps that a daemon hears by now.
fn heard(daemon: &Daemon) -> Vec<String> {
    let straps = || daemon.status()["straps"].as_array().unwrap().clone();
    wait_until(|| straps().iter().filter(|strap| strap["bpm"].is_u64()).count() >= 2);
    straps().iter().map(|strap| strap["id"].as_str().unwrap().to_owned()).collect()
}

/// Every file below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

/// The files that have these bytes in them.
fn mentions(folder: &Path, word: &str) -> Vec<PathBuf> {
    let has = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(word.len()).any(|part| part == word.as_bytes())
    };
    files(folder).into_iter().filter(has).collect()
}

#[test]
fn the_desk_works_alike_through_the_socket_and_in_the_folder_of_a_stopped_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let daemon = start(folder.path(), CONFIG, "2");
    daemon.wait_committed(5);
    let mut daemon = Some(daemon);
    for (round, (anna, bo)) in [("Anna K.", "Bo/Ü"), ("Carla", "Dora")].into_iter().enumerate() {
        let added = json(
            &data_dir,
            &["athlete", "add", anna, "--max-hr", "187", "--legal-name", "Anna Example"],
        );
        assert_eq!(added["athlete"]["profile"]["max_hr"]["bpm"], 187);
        told(&data_dir, &["athlete", "add", bo, "--hide", "numbers,ranking"]);
        let strap = ["9F6E5322", "AABBCC11"][round];
        let number = ["12", "13"][round];
        told(&data_dir, &["strap", "add", strap, "--number", number]);
        let said = told(&data_dir, &["strap", "assign", number, anna]);
        assert_eq!(said, format!("{anna} wears rental {number} ({strap}) from now on\n"));
        let said = json(&data_dir, &["strap", "assign", &strap[4..], bo]);
        assert_eq!(said["taken_from"]["display_name"], anna);
        let listed = json(&data_dir, &["strap", "list"]);
        let one = listed.as_array().unwrap().iter().find(|one| one["strap"] == strap).unwrap();
        assert_eq!(
            (&one["worn_by"]["display_name"], &one["rental"]),
            (&bo.into(), &number.parse::<u64>().unwrap().into())
        );
        let shown = json(&data_dir, &["athlete", "show", anna]);
        let worn = &shown["worn"][0];
        assert!(worn["strap"] == strap && worn["to"].as_str() >= worn["from"].as_str(), "{shown}");
        assert_eq!(shown["legal_name"], "Anna Example");
        let table = told(&data_dir, &["athlete", "list"]);
        assert!(table.contains(anna) && !table.contains("Example"), "{table}");
        let edited =
            json(&data_dir, &["athlete", "edit", bo, "--clear", "hide", "--weight", "70.5"]);
        assert_eq!(
            (&edited["athlete"]["hide"]["numbers"], &edited["athlete"]["profile"]["weight_kg"]),
            (&false.into(), &70.5.into())
        );
        assert_eq!(told(&data_dir, &["strap", "release", "--rentals"]).lines().count(), 1);
        let said = told(&data_dir, &["strap", "release", number]);
        assert!(said.contains("nobody wore it"), "{said}");
        refused(&data_dir, &["athlete", "show", "Nobody"], 64);
        refused(&data_dir, &["strap", "assign", "77", anna], 64);
        let said = refused(&data_dir, &["athlete", "edit", anna, "--max-hr", "20"], 64);
        assert!(said.contains("from 100 to 240, not 20"), "{said}");
        let mistyped = run(&data_dir, &["strap", "assign", "9F6E5324", anna]);
        assert!(mistyped.status.success() && text(&mistyped.stderr).contains("perhaps mistyped"));
        told(&data_dir, &["strap", "remove", "9F6E5324"]);
        if let Some(daemon) = daemon.take() {
            assert!(daemon.stop().success());
        }
    }
    assert_eq!(json(&data_dir, &["athlete", "list"]).as_array().unwrap().len(), 4);
}

#[test]
fn a_strap_changes_hands_and_nothing_confirmed_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let names = ["Anna", "Bo"];
    for round in 0..6 {
        let daemon = start(folder.path(), CONFIG, "1");
        if round == 0 {
            for name in names {
                told(&data_dir, &["athlete", "add", name]);
            }
        }
        let who = names[round % 2];
        let said = json(&data_dir, &["strap", "assign", "9F6E5322", who]);
        let before = (round > 0).then(|| names[(round + 1) % 2]);
        assert_eq!(said["taken_from"]["display_name"].as_str(), before);
        daemon.kill();
    }
    let mut times = Vec::new();
    for name in names {
        let shown = json(&data_dir, &["athlete", "show", name]);
        for worn in shown["worn"].as_array().unwrap() {
            let time = |end: &str| worn[end].as_str().map(str::to_owned);
            times.push((time("from").unwrap(), time("to"), name));
        }
    }
    times.sort();
    assert_eq!(times.len(), 6, "{times:?}");
    for (n, (_, to, name)) in times.iter().enumerate() {
        assert_eq!(*name, names[n % 2]);
        assert_eq!(to.as_ref(), times.get(n + 1).map(|(from, _, _)| from), "hand to hand");
    }
}

#[test]
fn kills_while_people_are_entered_lose_nobody_who_was_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let length = || std::fs::metadata(data_dir.join("roster/people")).map_or(0, |file| file.len());
    let mut confirmed = Vec::new();
    for round in 0..4u64 {
        let daemon = start(folder.path(), CONFIG, "1");
        let before = length();
        let place = data_dir.clone();
        // Goes on in the folder of the killed one.
        let entering = std::thread::spawn(move || {
            let enter = |n: u64| {
                let name = format!("Athlete {round}-{n}");
                let output = run(&place, &["athlete", "add", &name, "--json"]);
                let told: Option<Value> = serde_json::from_slice(&output.stdout).ok();
                told.filter(|_| output.status.success()).map(|told| (told, name))
            };
            (0..30).filter_map(enter).collect::<Vec<_>>()
        });
        wait_until(|| length() > before + 200 * (1 + 2 * round));
        daemon.kill();
        confirmed.extend(entering.join().unwrap());
    }
    let listed = json(&data_dir, &["athlete", "list"]);
    for (told, name) in &confirmed {
        let is_them = |one: &&Value| one["id"] == told["athlete"]["id"];
        let found = listed.as_array().unwrap().iter().find(is_them);
        assert_eq!(found.unwrap()["display_name"], **name);
    }
    assert!(confirmed.len() > 100, "{} of 120", confirmed.len());
}

#[test]
fn what_a_disk_refuses_does_not_count_and_what_was_confirmed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    told(&data_dir, &["athlete", "add", "Anna"]);
    // No file may be larger than a block: the line is broken off in the middle.
    let limited = |name: &str| {
        let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" athlete add \"$1\" --data-dir \"$2\"";
        let program = env!("CARGO_BIN_EXE_pulsegate");
        let place = data_dir.to_str().unwrap();
        Command::new("bash").args(["-c", script, program, name, place]).output().unwrap()
    };
    let mut there = vec!["Anna".to_owned()];
    let said = loop {
        let name = format!("Number {}", there.len());
        let output = limited(&name);
        if !output.status.success() {
            assert_eq!(output.status.code(), Some(74));
            break text(&output.stderr);
        }
        there.push(name);
        assert!(there.len() < 50, "nothing was refused");
    };
    assert!(said.contains("roster/people"), "{said}");
    told(&data_dir, &["athlete", "add", "Zoe"]);
    there.push("Zoe".to_owned());
    let listed = json(&data_dir, &["athlete", "list"]);
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["display_name"].as_str().unwrap())
        .collect();
    there.sort();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, there);
    assert!(!data_dir.join("roster/damaged-1").exists(), "what was broken off was taken back");
}

#[test]
fn a_damaged_file_keeps_no_daemon_from_starting_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    told(&data_dir, &["athlete", "add", "Anna"]);
    let path = data_dir.join("roster/people");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(b"1 0123abcd {\"athlete\":{\"id\"");
    std::fs::write(&path, &bytes).unwrap();
    let daemon = start(folder.path(), CONFIG, "1");
    daemon.wait_for("word of the damage", |line| {
        (line.contains("ERROR") && line.contains("roster/damaged-1")).then_some(())
    });
    daemon.wait_committed(3);
    assert_eq!(json(&data_dir, &["athlete", "list"])[0]["display_name"], "Anna");
    assert!(daemon.stop().success());
    // Nor does one that cannot be opened at all.
    std::fs::remove_dir_all(data_dir.join("roster")).unwrap();
    std::fs::write(data_dir.join("roster"), "no folder").unwrap();
    let daemon = start(folder.path(), CONFIG, "1");
    daemon.wait_committed(3);
    refused(&data_dir, &["athlete", "add", "Bo"], 74);
    std::fs::remove_file(data_dir.join("roster")).unwrap();
    told(&data_dir, &["athlete", "add", "Bo"]);
    assert!(daemon.stop().success());
}

#[test]
fn a_box_that_connects_to_known_straps_only_takes_up_one_that_is_entered() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let config = format!("{CONFIG}[bluetooth]\nconnect = \"known\"\nbroadcast = false\n");
    let daemon = start(folder.path(), &config, "2");
    let settings = Settings { straps: 2, seed: 1, mishaps: true, speed: 1 };
    let strap = simulate::strap_ids(settings)[1].to_string();
    told(&data_dir, &["athlete", "add", "Anna"]);
    told(&data_dir, &["strap", "assign", &strap, "Anna"]);
    let straps = || daemon.status()["straps"].as_array().unwrap().clone();
    wait_until(|| straps().iter().any(|known| known["bpm"].is_u64()));
    let straps = straps();
    assert_eq!((straps.len(), straps[0]["id"].as_str()), (1, Some(strap.as_str())));
    assert!(daemon.stop().success());
}

/// The next tiles that the wall's stream sends.
fn tiles(stream: &mut impl BufRead) -> Value {
    let mut is_tiles = false;
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
        match line.trim_end().split_once(':') {
            Some(("event", name)) => is_tiles = name.trim() == "tiles",
            Some(("data", data)) if is_tiles => return serde_json::from_str(data).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn the_wall_shows_the_names_and_zones_of_people_and_hides_what_they_want_hidden() {
    const WALL: &str = "[web]\nlisten = \"127.0.0.1:0\"\nmax_heart_rate_bpm = 100\n";
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let daemon = start(folder.path(), WALL, "3");
    daemon.wait_committed(5);
    let straps = heard(&daemon);
    let link = daemon.status()["wall"].as_str().unwrap().to_owned();
    let (address, key) = link.trim_start_matches("http://").split_once("/?key=").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let request = format!(
        "GET /api/v1/live HTTP/1.1\r\nHost: {address}\r\nCookie: pulsegate_wall={key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut wait_for_tile = |strap: &str, what: &dyn Fn(Option<&Value>) -> bool| {
        for _ in 0..60 {
            let all = tiles(&mut stream);
            if what(all["tiles"].as_array().unwrap().iter().find(|tile| tile["strap"] == strap)) {
                return;
            }
        }
        panic!("it does not come");
    };
    let is_beating = |tile: Option<&Value>| tile.is_some_and(|tile| tile["bpm"].is_u64());
    let strap = straps[0].as_str();
    wait_for_tile(strap, &|tile| is_beating(tile) && tile.unwrap()["name"].is_null());
    told(&data_dir, &["athlete", "add", "Anna", "--max-hr", "240", "--legal-name", "Secret"]);
    told(&data_dir, &["strap", "assign", strap, "Anna"]);
    wait_for_tile(strap, &|tile| {
        is_beating(tile)
            && tile.is_some_and(|tile| {
                let percent = tile["bpm"].as_u64().unwrap() * 100 / 240;
                tile["name"] == "Anna" && tile["percent_of_max"] == percent
            })
    });
    assert_eq!(
        daemon.status()["straps"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["id"] == strap)
            .unwrap()["label"],
        "Anna"
    );
    told(
        &data_dir,
        &["athlete", "edit", "Anna", "--zones", "30,31,32,33,240", "--hide", "numbers"],
    );
    wait_for_tile(strap, &|tile| {
        tile.is_some_and(|tile| {
            tile["bpm"].is_null() && tile["percent_of_max"].is_null() && tile["zone"] == 4
        })
    });
    told(&data_dir, &["athlete", "edit", "Anna", "--hide", "tile"]);
    wait_for_tile(strap, &|tile| tile.is_none());
    told(&data_dir, &["strap", "release", strap]);
    wait_for_tile(strap, &|tile| is_beating(tile) && tile.unwrap()["name"].is_null());
    assert!(daemon.stop().success());
}

#[test]
fn of_who_was_forgotten_no_byte_is_left_on_the_box_and_what_remains_is_told() {
    const NAMES: [&str; 4] = ["Zlatana", "Quixotina of Nowhere", "M-4711-X", "user-99173"];
    let config = format!("{CONFIG}[straps.9F6E5322]\nlabel = \"zlatana's own\"\n");
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let enter = || {
        let [display, legal, reference, user] = NAMES;
        let account = format!("strava={user}");
        let arguments = [
            "athlete",
            "add",
            display,
            "--legal-name",
            legal,
            "--reference",
            reference,
            "--account",
            &account,
        ];
        json(&data_dir, &arguments)["athlete"]["id"].as_str().unwrap().to_owned()
    };
    let gone = |id: &str| {
        for word in NAMES.into_iter().chain([id]) {
            assert_eq!(mentions(&data_dir, word), Vec::<PathBuf>::new(), "{word}");
        }
    };
    let remains = |told: &Value, what: &str| {
        let remains = told["remains"].as_array().unwrap();
        remains.iter().any(|left| left["what"].as_str().unwrap().contains(what))
    };
    let daemon = start(folder.path(), &config, "2");
    let straps = heard(&daemon);
    let id = enter();
    told(&data_dir, &["strap", "assign", &straps[0], "zla"]);
    let from = daemon.wait_committed(0);
    daemon.wait_committed(from + 10);
    assert!(!mentions(&data_dir, NAMES[0]).is_empty(), "it is there before");
    let forgotten = json(&data_dir, &["athlete", "forget", "Zlatana"]);
    assert_eq!((&forgotten["athlete"], &forgotten["accounts"]), (&id.as_str().into(), &1.into()));
    assert_eq!(forgotten["changes"], 1);
    assert!(forgotten["log"]["readings"].as_u64() > Some(0), "{forgotten}");
    for what in ["1 label", "delivered to out"] {
        assert!(remains(&forgotten, what), "{what}: {forgotten}");
    }
    gone(&id);
    refused(&data_dir, &["athlete", "show", &id], 64);
    assert!(daemon.stop().success());
    gone(&id);
    // The same on the folder of the stopped one, where nothing more was measured.
    let id = enter();
    let said = told(&data_dir, &["athlete", "forget", NAMES[2]]);
    assert!(said.contains("forgotten") && said.contains("REMAINS: 1 label"), "{said}");
    gone(&id);
}
