//! `SharedBytes` cross without a copy, both ways; nobody can change them then; elsewhere they are bytes.

mod support;

use serde::de::value::{Error, SeqDeserializer};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process;
use std::sync::Mutex;
use support::{fd_count, is_dead, kill, pool, until};
use tatkal_executor::{Executor, OnDeath, ProcessPool, Sequential, SharedBytes};

tests![
    a_long_result_arrives_as_a_view_of_what_the_worker_wrote,
    a_long_argument_arrives_as_a_view_and_goes_to_many_without_a_copy,
    views_lie_anywhere_in_a_value_beside_anything,
    short_ones_are_copied,
    whoever_keeps_a_descriptor_can_neither_change_nor_cut_them,
    they_outlive_the_worker_that_wrote_them,
    an_argument_is_there_for_the_next_worker_when_one_dies,
    many_can_be_kept_and_nothing_is_left,
    to_other_serializers_they_are_bytes,
    a_type_that_reads_otherwise_than_it_writes_gets_the_same_bytes,
    in_other_modes_they_are_bytes_too,
];

const MIB: usize = 1 << 20;

/// What stands at every place, over and over.
fn block() -> Vec<u8> {
    (0..251_u16).map(|at| (at * 31 % 251) as u8).collect()
}

fn noise(length: usize) -> SharedBytes {
    SharedBytes::filled(length, |bytes| {
        let block = block();
        let fill = |chunk: &mut [u8]| chunk.copy_from_slice(&block[..chunk.len()]);
        bytes.chunks_mut(block.len()).for_each(fill);
    })
}

fn is_noise(bytes: &[u8]) -> bool {
    let block = block();
    let mut chunks = bytes.chunks(block.len());
    chunks.all(|chunk| chunk == &block[..chunk.len()])
}

/// The file (its inode) in whose mapping the bytes lie: `None` when they lie in a process's own memory.
fn file_of(bytes: &[u8]) -> Option<u64> {
    let (from, to) = (bytes.as_ptr().addr(), bytes.as_ptr().addr() + bytes.len());
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| {
        let (start, rest) = line.split_once('-').unwrap();
        let [start, end] =
            [start, &rest[..rest.find(' ').unwrap()]].map(|hex| usize::from_str_radix(hex, 16));
        start.unwrap() <= from && to <= end.unwrap()
    })?;
    let mut words = line.split_whitespace();
    let (inode, name) = (words.nth(4).unwrap(), words.next().unwrap_or(""));
    assert!(!name.contains("tatkal") || line.contains("r--p"), "{line}");
    name.contains("tatkal-shared")
        .then(|| inode.parse().unwrap())
}

fn a_long_result_arrives_as_a_view_of_what_the_worker_wrote() {
    let pool = pool(1);
    let from_vector = |length: usize| {
        let bytes = noise(length).to_vec();
        (file_of(&bytes), SharedBytes::from(bytes))
    };
    let in_place = |length: usize| {
        let bytes = noise(length);
        (file_of(&bytes), bytes)
    };
    let (worker_file, bytes) = pool.submit(in_place, 3 * MIB + 5).join().unwrap();
    assert!(bytes.is_shared() && is_noise(&bytes) && bytes.len() == 3 * MIB + 5);
    assert!(worker_file.is_some() && file_of(&bytes) == worker_file);
    let (worker_file, bytes) = pool.submit(from_vector, MIB).join().unwrap();
    assert!(bytes.is_shared() && is_noise(&bytes) && bytes.len() == MIB);
    assert!(worker_file.is_none() && file_of(&bytes).is_some());
}

fn a_long_argument_arrives_as_a_view_and_goes_to_many_without_a_copy() {
    let pool = pool(3);
    let look = |bytes: SharedBytes| (file_of(&bytes), is_noise(&bytes), process::id());
    let all = [noise(2 * MIB), SharedBytes::from(noise(2 * MIB).to_vec())];
    for bytes in all {
        let handles: Vec<_> = (0..12).map(|_| pool.submit(look, bytes.clone())).collect();
        let seen: Vec<_> = handles.into_iter().map(|it| it.join().unwrap()).collect();
        assert!(seen[0].0.is_some());
        assert!(seen.iter().all(|it| it.0 == seen[0].0 && it.1));
        // There, back, and there again.
        let back = pool.submit(|bytes: SharedBytes| bytes, bytes.clone());
        let back = back.join().unwrap();
        assert_eq!(file_of(&back), seen[0].0);
        let half = pool.submit(look, back.slice(..MIB)).join().unwrap();
        assert!(half.0 == seen[0].0 && half.1);
    }
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Clone)]
struct Album {
    name: String,
    pages: Vec<Option<SharedBytes>>,
    weight: f64,
    cover: (SharedBytes, u8),
}

fn views_lie_anywhere_in_a_value_beside_anything() {
    let pool = pool(2);
    let sent = |album: Album| {
        let whole = [&album.cover.0]
            .into_iter()
            .chain(album.pages.iter().flatten());
        let shared = whole.filter(|bytes| bytes.is_shared()).count();
        (album, shared)
    };
    for (pages, long_name) in [(0, false), (3, true), (12, false), (40, true)] {
        let album = Album {
            name: "a name".repeat(if long_name { 50_000 } else { 1 }),
            pages: (0..pages)
                .map(|n| (n % 4 != 3).then(|| noise(1000 + n % 3 * MIB)))
                .collect(),
            weight: 0.5,
            cover: (noise(MIB).slice(MIB / 4..), 7),
        };
        let long = album.pages.iter().flatten().filter(|it| it.len() > MIB);
        let long = 1 + long.count();
        let (back, shared) = pool.submit(sent, album.clone()).join().unwrap();
        assert!(back == album, "{pages}");
        // What does not fit into one message is copied.
        assert_eq!(shared, long.min(15), "{pages}");
    }
}

fn short_ones_are_copied() {
    let pool = pool(1);
    for length in [0, 1, 100, 16 * 1024, 100_000, 256 * 1024 - 1] {
        let look = |bytes: SharedBytes| (file_of(&bytes), bytes);
        let (file, back) = pool.submit(look, noise(length)).join().unwrap();
        assert!(is_noise(&back) && back.len() == length);
        assert!(file.is_none() && file_of(&back).is_none() && !back.is_shared());
    }
}

/// The descriptors of shared bytes that this process has, opened anew to write.
fn descriptors() -> Vec<File> {
    let fds = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let ours = fds.filter(|fd| {
        fs::read_link(fd.path()).is_ok_and(|file| file.to_string_lossy().contains("tatkal-shared"))
    });
    let open = |path| File::options().read(true).write(true).open(path).unwrap();
    ours.map(|fd| open(fd.path())).collect()
}

static KEPT: Mutex<Vec<File>> = Mutex::new(Vec::new());

fn whoever_keeps_a_descriptor_can_neither_change_nor_cut_them() {
    fn keeps(bytes: SharedBytes) -> (usize, SharedBytes) {
        let own = noise(MIB);
        let mut kept = KEPT.lock().unwrap();
        kept.extend(descriptors());
        assert!(is_noise(&bytes));
        (kept.len(), own)
    }
    fn attacks(_: ()) -> usize {
        let kept = KEPT.lock().unwrap();
        let tries = kept.iter().flat_map(|file| {
            [
                file.write_all_at(b"changed", 1000),
                file.set_len(0),
                file.set_len(10 * MIB as u64),
            ]
        });
        tries.filter(Result::is_ok).count()
    }
    let pool = pool(1);
    let argument = noise(MIB);
    let (kept, result) = pool.submit(keeps, argument.clone()).join().unwrap();
    assert_eq!(kept, 2);
    assert_eq!(pool.submit(attacks, ()).join().unwrap(), 0);
    assert!(is_noise(&argument) && is_noise(&result));
    assert_eq!((argument.len(), result.len()), (MIB, MIB));
}

fn they_outlive_the_worker_that_wrote_them() {
    let pool = pool(1);
    let bytes = pool.submit(noise, 2 * MIB).join().unwrap();
    let worker = pool.worker_pids()[0];
    kill(worker, libc::SIGKILL);
    until("its end", || is_dead(worker));
    drop(pool);
    assert!(bytes.is_shared() && is_noise(&bytes));
}

fn an_argument_is_there_for_the_next_worker_when_one_dies() {
    let pool = ProcessPool::builder()
        .workers(1)
        .on_death(OnDeath::Retry(1))
        .build()
        .unwrap();
    let trace = support::Trace::new("shared-bytes");
    let second_time = |(path, bytes): (std::path::PathBuf, SharedBytes)| {
        support::leave_trace(&path);
        if fs::metadata(&path).unwrap().len() == 1 {
            process::abort();
        }
        (bytes.is_shared(), bytes)
    };
    let argument = (trace.path(), noise(MIB));
    let (shared, bytes) = pool.submit(second_time, argument).join().unwrap();
    assert!(shared && is_noise(&bytes));
}

fn many_can_be_kept_and_nothing_is_left() {
    let maps = || {
        fs::read_to_string("/proc/self/maps")
            .unwrap()
            .lines()
            .count()
    };
    let pool = pool(2);
    drop(pool.submit(noise, 300_000).join().unwrap());
    let before = (fd_count(process::id()), maps());
    let kept: Vec<_> = pool
        .map(noise, (0..300).map(|n| 300_000 + n))
        .map(Result::unwrap)
        .collect();
    assert!(
        kept.iter()
            .all(|bytes| bytes.is_shared() && is_noise(bytes))
    );
    // A few descriptors, though there are many.
    assert!(fd_count(process::id()) < before.0 + 150);
    // Without a descriptor they are copied, and right.
    let check = |bytes: SharedBytes| is_noise(&bytes);
    assert!(pool.map(check, kept).all(|right| right.unwrap()));
    until("the end of all", || {
        fd_count(process::id()) <= before.0 + 8 && maps() <= before.1 + 30
    });
    let theirs = |_: ()| descriptors().len();
    assert!(pool.map(theirs, [(), ()]).all(|left| left.unwrap() == 0));
}

/// Writes its bytes through another serializer, in the middle of ours.
struct Wrapped(SharedBytes);

impl Serialize for Wrapped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        postcard::to_stdvec(&self.0).unwrap().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Wrapped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let inner = Vec::<u8>::deserialize(deserializer)?;
        Ok(Wrapped(postcard::from_bytes(&inner).unwrap()))
    }
}

fn to_other_serializers_they_are_bytes() {
    let bytes = noise(MIB);
    let encoded = postcard::to_stdvec(&bytes).unwrap();
    assert!(encoded == postcard::to_stdvec(&bytes.to_vec()).unwrap());
    let decoded: SharedBytes = postcard::from_bytes(&encoded).unwrap();
    assert!(decoded == bytes && !decoded.is_shared());
    let numbers = SeqDeserializer::<_, Error>::new([1_u8, 2, 3].into_iter());
    assert_eq!(SharedBytes::deserialize(numbers).unwrap()[..], [1, 2, 3]);

    let back = pool(1).submit(|it: Wrapped| it, Wrapped(bytes.clone()));
    assert!(back.join().unwrap().0 == bytes);
}

/// Written as bytes and four numbers, read as numbers of eight bytes: the last of them lies on both
/// sides of the edge.
struct Torn(Vec<f64>);

const NUMBERS: usize = 32 * 32 * 32 + 32;

impl Serialize for Torn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|it| it.to_le_bytes()).collect();
        let (long, short) = bytes.split_at(bytes.len() - 4);
        let mut tuple = serializer.serialize_tuple(5)?;
        tuple.serialize_element(&SharedBytes::from(long))?;
        for byte in short {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Torn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (bytes, numbers, last) =
            <(u64, [[[f64; 32]; 32]; 32], [f64; 32])>::deserialize(deserializer)?;
        assert_eq!(bytes as usize, NUMBERS * 8 - 4);
        Ok(Torn([numbers.concat().concat(), last.to_vec()].concat()))
    }
}

fn a_type_that_reads_otherwise_than_it_writes_gets_the_same_bytes() {
    let pool = pool(1);
    let numbers: Vec<f64> = (0..NUMBERS).map(|n| n as f64).collect();
    let back = pool.submit(|it: Torn| it.0, Torn(numbers.clone()));
    assert_eq!(back.join().unwrap(), numbers);
    // One by one, over every edge.
    let pair = (noise(MIB), noise(MIB));
    let items = pool.submit(|pair: (SharedBytes, SharedBytes)| pair, pair.clone());
    assert!(items.join().unwrap() == pair);
}

fn in_other_modes_they_are_bytes_too() {
    let sum = |bytes: SharedBytes| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let bytes = SharedBytes::from(vec![1; MIB]);
    let sequential = Sequential::new();
    let sums = sequential.map(sum, [bytes.clone()]);
    assert_eq!(sums.map(Result::unwrap).sum::<u64>(), MIB as u64);
    assert!(!bytes.is_shared());
}
