use super::*;

const SMALL: Rotation = Rotation { size: 1_000, kept: 3 };

/// The contents of the log and its rotated files, oldest first.
fn files(path: &Path) -> Vec<String> {
    let aside = (1..=10).rev().map(|number| Rotation::aside(path, number));
    aside.chain([path.to_owned()]).filter_map(|path| fs::read_to_string(path).ok()).collect()
}

#[test]
fn lines_are_neither_lost_nor_split_and_the_size_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.log");
    let mut log = Log::open(&path, SMALL).unwrap();
    let text: String = (0..1_000).map(|number| format!("line {number} {}\n", "x".repeat(number % 50))).collect();
    // In pieces that end in the middle of lines.
    for piece in text.as_bytes().chunks(77) {
        log.write_all(piece).unwrap();
    }
    let files = files(&path);
    assert_eq!(files.len(), 4);
    assert!(files.iter().all(|file| file.len() <= 1_000 && file.ends_with('\n')), "{files:?}");
    assert!(files[..3].iter().all(|file| file.len() > 900), "{files:?}");
    assert!(text.ends_with(&files.concat()), "the newest lines are kept");
}

#[test]
fn a_reopened_log_is_appended_to_and_an_incomplete_line_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.log");
    for life in ["first\nkilled in the mid", "second\n"] {
        let mut log = Log::open(&path, SMALL).unwrap();
        log.write_all(life.as_bytes()).unwrap();
        log.end().unwrap();
    }
    assert_eq!(files(&path), ["first\nkilled in the mid\nsecond\n"]);
}

#[test]
fn a_line_longer_than_a_file_is_kept_whole_and_an_endless_one_needs_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.log");
    let mut log = Log::open(&path, SMALL).unwrap();
    let long = format!("{}\n", "y".repeat(5_000));
    log.write_all(format!("before\n{long}after\n").as_bytes()).unwrap();
    assert_eq!(files(&path), ["before\n", &long, "after\n"]);
    for _ in 0..40 {
        log.write_all(&[b'z'; 64 * 1024]).unwrap();
        assert!(log.partial.len() <= MAX_LINE + 64 * 1024);
    }
    log.write_all(b"\nlast\n").unwrap();
    let files = files(&path);
    assert_eq!(files[files.len() - 2].len(), 40 * 64 * 1024 + 1);
    assert_eq!(files[files.len() - 1], "last\n");
}

#[test]
fn everything_from_a_pipe_is_in_the_log_once_it_is_drained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.log");
    let rotation = Rotation { size: 1_000_000, kept: 3 };
    let (reader, mut writer) = io::pipe().unwrap();
    let drained = drain(reader, Log::open(&path, rotation).unwrap()).unwrap();
    let text: String = (0..50_000).map(|number| format!("line {number}\n")).collect();
    writer.write_all(text.as_bytes()).unwrap();
    drop(writer);
    drained.wait(Duration::from_secs(30));
    assert_eq!(files(&path).concat(), text);
}
